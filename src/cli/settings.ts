import { isAbsolute, resolve } from 'node:path'
import { secretsIn } from '../host/secrets.ts'
import { readArguments } from './arguments.ts'
import { readConfigFile } from './config-file.ts'
import { type Option, type Package, variableOf } from './options.ts'

/** What was asked for, from the command line, the environment and a file. */
export interface Settings {
  /** '' where none was given. */
  command: string
  help: boolean
  version: boolean
  verbose: boolean
  noPassword: boolean
  reportDirectory: string | undefined
  /** The text of an input, '' when it is not set anywhere. */
  get(name: string): string
  /** A mistake each, never with a value that may be a secret. */
  mistakes: string[]
  /** What is worth a line and stops nothing. */
  remarks: string[]
}

type Environment = Record<string, string | undefined>

const paths = ['dump-directory', 'client-path', 'history', 'junit']

/**
 * Reads everything that was given. A word on the command line counts before the environment, and that before the file; what is
 * empty is not set. A secret is refused on the command line, where everybody on the machine can read it.
 *
 * @param directory against which relative paths count
 */
export function readSettings(
  words: readonly string[],
  environment: Environment,
  { options, elsewhere }: Package,
  directory: string,
): Settings {
  const refused = [...elsewhere.keys()].map(
    (name): Pick<Option, 'name' | 'kind'> => ({ name, kind: 'text' }),
  )
  const { command, given, mistakes } = readArguments(words, [...options, ...refused])
  const remarks: string[] = []
  const own = (name: string) => given.get(name)?.at(-1) ?? environment[variableOf(name)] ?? ''

  const file = own('config')
  const secrets = options.filter(({ kind }) => kind === 'secret').map(({ name }) => name)
  const wrongInFile = (mistake: string) => mistakes.push(`the file ${file}: ${mistake}`)
  const config =
    file === ''
      ? new Map<string, string>()
      : readConfigFile(resolve(directory, file), secrets, wrongInFile)
  const known = new Set([
    'command',
    'report-directory',
    ...options.map(({ name }) => name),
    ...elsewhere.keys(),
  ])
  for (const name of config.keys())
    if (!known.has(name)) wrongInFile(`${name}: there is no such input`)
  for (const name of Object.keys(environment))
    if (
      name.startsWith('MIGRATE_') &&
      ![...known, 'config'].some((one) => variableOf(one) === name)
    )
      remarks.push(`The variable ${name} is not used: there is no such input`)

  for (const [name, why] of elsewhere) {
    const where = [
      ...(given.has(name) ? [`--${name}`] : []),
      ...(environment[variableOf(name)] ? [variableOf(name)] : []),
      ...(config.get(name) ? [`${name} in ${file}`] : []),
    ]
    if (where.length > 0) mistakes.push(`${where.join(', ')}: ${why}`)
  }
  for (const { name, kind } of options) {
    const values = given.get(name) ?? []
    if (kind === 'secret' && values.length > 0)
      mistakes.push(
        `--${name}: everybody on this machine can read a command line; set ${variableOf(name)}, or write it into the file of --config`,
      )
    else if (
      (name === 'source' || name === 'target') &&
      values.some((value) => secretsIn(value).length > 0)
    )
      mistakes.push(
        `--${name}: it holds a password, and everybody on this machine can read a command line; leave it out and set ${variableOf(`${name}-password`)}`,
      )
    else if (kind !== 'list' && values.length > 1)
      mistakes.push(`--${name}: it is given ${values.length} times`)
  }
  const kinds = new Map(options.map(({ name, kind }) => [name, kind]))
  const raw = (name: string): string => {
    const values = kinds.get(name) === 'secret' ? [] : (given.get(name) ?? [])
    const text = values.join('\n') || environment[variableOf(name)] || config.get(name) || ''
    return kinds.get(name) === 'secret' ? text : text.trim()
  }
  const reportDirectory = own('report-directory') || config.get('report-directory')
  return {
    command: command || raw('command'),
    help: given.has('help'),
    version: given.has('version'),
    verbose: given.has('verbose'),
    noPassword: given.has('no-password'),
    reportDirectory: reportDirectory ? resolve(directory, reportDirectory) : undefined,
    get: (name) => {
      const text = elsewhere.has(name) ? '' : raw(name)
      return paths.includes(name) && text !== '' && !isAbsolute(text)
        ? resolve(directory, text)
        : text
    },
    mistakes,
    remarks,
  }
}
