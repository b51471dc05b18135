import { commands } from '../commands/index.ts'
import { type Option, ownOptions, type Package, variableOf } from './options.ts'

const program = 'migrate-to-polardb'

/** What each command does, in one sentence. */
export const summaries: Record<string, string> = {
  migrate:
    'Dump roles and databases, restore them into the target, and compare every row and object.',
  preflight:
    'Ask both servers everything that could go wrong, and estimate the time. Changes nothing.',
  dump: "The source's half: roles, databases and the fingerprint of both, into dump-directory.",
  restore:
    "The target's half, from dump-directory; verifies against the dump, with no way to the source.",
  verify: 'Compare two live servers, or a target with a dump.',
  rehearse:
    'The whole migration into throw-away databases on the target, verified, timed and removed.',
  unfreeze: 'Give the source its writes back after a migration with freeze-source.',
}

/** How a run ends, for whoever calls it from a script. */
export const endings = [
  ['0', 'done, and verified as asked'],
  ['1', 'failed'],
  ['2', 'an option or input is wrong; nothing was begun'],
  ['3', 'differences were found'],
  ['4', 'not ready: a check found what stops a migration; nothing was touched'],
  ['130', 'cancelled'],
] as const

/** The help of the whole. @param width columns */
export function overview({ version }: Pick<Package, 'version'>, width: number): string {
  return [
    `${program} ${version} moves a self-managed PostgreSQL to PolarDB for PostgreSQL, offline, and proves that everything arrived.`,
    '',
    `Usage: ${program} COMMAND [--name value …]`,
    '',
    'Commands:',
    ...commands.map(({ name, words }): [string, string] => [name, summaries[name] ?? words.noun]),
    '',
    `${program} COMMAND --help lists what a command takes.`,
    '',
    'Options:',
    ...ownOptions.map((option): [string, string] => [labelOf(option), option.description]),
    '',
    'Exit status:',
    ...endings.map(([code, words]): [string, string] => [code, words]),
  ]
    .map((line) => laidOut(line, 26, width))
    .join('\n')
}

/** The help of a command. @param width columns */
export function helpOf(command: string, { options }: Package, width: number): string {
  const own = options.filter(({ commands }) => !commands || commands.includes(command))
  const secrets = own.filter(({ kind }) => kind === 'secret')
  return [
    `Usage: ${program} ${command} [--name value …]`,
    '',
    summaries[command] ?? '',
    '',
    'Inputs. Each may also stand in the environment (MIGRATE_SOURCE for --source) or in the file of --config; the command line counts before the environment, and that before the file.',
    '',
    ...own
      .filter(({ kind }) => kind !== 'secret')
      .map((option): [string, string] => [labelOf(option), described(option)]),
    '',
    ...(secrets.length === 0
      ? []
      : [
          'Secrets, from the environment or the file of --config, never from the command line. A password that is not set is asked for on a terminal.',
          '',
          ...secrets.map(({ name, description }): [string, string] => [
            variableOf(name),
            description,
          ]),
          '',
        ]),
    'Options:',
    ...ownOptions.map((option): [string, string] => [labelOf(option), option.description]),
  ]
    .map((line) => laidOut(line, 26, width))
    .join('\n')
}

function labelOf(
  option: Pick<Option, 'name'> & Partial<Option> & { value?: string; short?: string },
): string {
  const value =
    option.value ??
    { boolean: '[true|false]', list: 'VALUE …', text: 'VALUE', secret: '' }[option.kind ?? 'secret']
  const short = option.short === undefined ? '' : `-${option.short}, `
  return `${short}--${option.name} ${value}`.trim()
}

function described(option: Option): string {
  const sentence =
    option.kind === 'list'
      ? `${option.description} May be given several times.`
      : option.description
  return option.default === '' ? sentence : `${sentence} Default: ${option.default}.`
}

/** A line as it is, wrapped; or a name with its words in a column beside it. */
function laidOut(line: string | [string, string], indent: number, width: number): string {
  if (typeof line === 'string') return wrapped(line, width).join('\n')
  const [name, words] = line
  const rest = wrapped(words, Math.max(30, width - indent))
  const first = `  ${name}`
  const column = ' '.repeat(indent)
  return first.length + 2 > indent
    ? [first, ...rest.map((text) => column + text)].join('\n')
    : [first.padEnd(indent) + rest[0], ...rest.slice(1).map((text) => column + text)].join('\n')
}

function wrapped(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? ''
    if (last !== '' && last.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines
}
