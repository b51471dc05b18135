// The tables of docs/reference.md and of the README, from action.yml and the command line: `npx node scripts/reference.ts` writes
// them, and __tests__/unit/documents.test.ts holds that they are as it would write them.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { endings, summaries } from '../src/cli/help.ts'
import { commandsFor } from '../src/cli/options.ts'
import { commands } from '../src/commands/index.ts'

const root = join(import.meta.dirname, '..')
const read = (name: string) => readFileSync(join(root, name), 'utf8')

interface Described {
  description: string
  default?: string
}
const action = parse(read('action.yml')) as Record<'inputs' | 'outputs', Record<string, Described>>

/** What most migrations set, in the order in which it is met. */
const mostUsed = [
  ...['command', 'source', 'source-password', 'target', 'target-password', 'databases'],
  ...[
    'passphrase',
    'freeze-source',
    'allow-missing',
    'if-target-not-empty',
    'verify',
    'max-outage',
  ],
]

/** What stands between two marks of a page, by the mark's name. */
const tables: Record<string, () => string> = {
  inputs: () => inputsTable(Object.keys(action.inputs)),
  'inputs that are used most': () => inputsTable(mostUsed),
  outputs: () =>
    table(
      ['output', 'meaning'],
      Object.entries(action.outputs).map(([name, { description }]) => [code(name), description]),
    ),
  'commands and inputs': () => {
    const names = commands.map(({ name }) => name)
    return table(
      ['input', ...names.map(code)],
      Object.keys(action.inputs)
        .filter((input) => input !== 'command')
        .map((input) => {
          const takes = commandsFor(input) ?? names
          return [code(input), ...names.map((name) => (takes.includes(name) ? 'yes' : ''))]
        }),
    )
  },
  commands: () =>
    table(
      ['command', 'what it does', 'needs'],
      commands.map(({ name, needs }) => [
        code(name),
        summaries[name] ?? '',
        needs.map(code).join(', '),
      ]),
    ),
  'exit status': () =>
    table(
      ['status', 'meaning'],
      endings.map(([status, words]) => [status, words]),
    ),
}

/** A page as it would be, with every table that its marks name. */
export function documented(page: string): string {
  return read(page).replace(
    /(<!-- ([a-z ]+): npx node scripts\/reference\.ts -->\n)[\s\S]*?(<!-- end -->)/g,
    (_, start: string, name: string, end: string) => `${start}\n${tables[name]?.() ?? ''}\n${end}`,
  )
}

export const pages = ['docs/reference.md', 'README.md']

function inputsTable(names: readonly string[]): string {
  return table(
    ['input', 'default', 'meaning'],
    names.map((name) => {
      const { description, default: fallback } = action.inputs[name] ?? { description: '' }
      const [meaning = '', stated] = description.split(/ ?Default: /)
      const value = fallback === undefined ? (stated ?? '').replace(/\.$/, '') : code(fallback)
      return [code(name), value, meaning]
    }),
  )
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
  return [head, head.map(() => '---'), ...rows].map(line).join('')
}

function code(text: string): string {
  return `\`${text}\``
}

if (import.meta.main) for (const page of pages) writeFileSync(join(root, page), documented(page))
