import { globSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { expect, test } from '@jest/globals'

/**
 * The plan of the house (CONTRIBUTING.md, "Where things are"), held by what the files import. Every test here can be read as
 * the rule that it protects.
 */
const root = join(import.meta.dirname, '..', '..')
const files = globSync('src/**/*.ts', { cwd: root }).sort()
const texts = new Map(files.map((file) => [file, readFileSync(join(root, file), 'utf8')]))

/** What each file imports: files of ours as their paths, packages by their names. */
const imports = new Map(
  files.map((file) => {
    const specifiers = (texts.get(file) ?? '').matchAll(/\b(?:from|import) ?\(?'([^']+)'/g)
    const resolved = [...specifiers].map(([, specifier = '']) =>
      specifier.startsWith('.') ? posix.join(dirname(file), specifier) : specifier,
    )
    return [file, resolved]
  }),
)

/** The floors, from the top: a file imports from its own floor or from lower ones. */
const floors = [
  'entry',
  'action',
  'cli',
  'host',
  'commands',
  'runner',
  'migration',
  'polardb',
  'postgres',
  'text',
]

function floorOf(file: string): string {
  const [, room = '', ...rest] = file.split('/')
  return rest.length === 0 && /^(main|post|cli|runner-(start|stop))\.ts$/.test(room)
    ? 'entry'
    : room
}

/** Every import of one file of ours by another, with what is wrong with it. */
function wrong(isWrong: (from: string, to: string) => boolean): string[] {
  return [...imports].flatMap(([from, list]) =>
    list.filter((to) => isWrong(from, to)).map((to) => `${from} imports ${to}`),
  )
}

test('imports point down: action, cli, host, commands, runner, migration, polardb, postgres, text', () => {
  const level = (file: string) => floors.indexOf(floorOf(file))
  expect(
    wrong((from, to) => level(from) >= 0 && level(to) >= 0 && level(to) < level(from)),
  ).toEqual([])
  // two faces of one engine, which know nothing of each other
  expect(wrong((from, to) => floorOf(from) === 'action' && floorOf(to) === 'cli')).toEqual([])
})

test('the faces of the report know the report alone, and the engine knows its model and its writer alone', () => {
  const isOfReport = (file: string) => floorOf(file) === 'report'
  expect(
    wrong((from, to) => {
      if (!to.startsWith('src/')) return false
      if (isOfReport(from)) return !/^(report|text|failure\.ts)$/.test(floorOf(to))
      const isModel = /^src\/report\/(model|writer)\.ts$/.test(to)
      return isOfReport(to) && !isModel && !/^(action|cli|host)$/.test(floorOf(from))
    }),
  ).toEqual([])
})

test('the report has one writer', () => {
  // the fields of the model are read-only: what is left to forbid is a way around that
  const waysAround =
    /\bas (unknown as )?(Open|Writable|Mutable)\b|-readonly|Object\.assign\([^)]*\breport\b/
  expect(files.filter((file) => waysAround.test(texts.get(file) ?? ''))).toEqual([
    'src/report/writer.ts',
  ])
  const open = ['model', 'outage'].flatMap((name) => [
    ...(texts.get(`src/report/${name}.ts`) ?? '').matchAll(/^ {2}(?!readonly )\w+\??: .*[^,]$/gm),
  ])
  expect(open.map(([line]) => line.trim())).toEqual([])
})

test('no circles', () => {
  const circles: string[] = []
  const done = new Set<string>()
  const visit = (file: string, path: string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' → '))
    if (path.includes(file) || done.has(file)) return
    for (const to of imports.get(file) ?? []) if (imports.has(to)) visit(to, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  expect(circles).toEqual([])
})

test('only the action knows that it runs on GitHub', () => {
  expect(
    wrong((from, to) => to.startsWith('@actions/') && !from.startsWith('src/action/')),
  ).toEqual([])
})

test('only the faces read the environment', () => {
  const readers = files.filter((file) => texts.get(file)?.includes('process.env'))
  expect(readers.filter((file) => !/^(entry|action|cli)$/.test(floorOf(file)))).toEqual([])
})

test('programs are run in one place, which ends them with the job', () => {
  expect(wrong((_, to) => to.endsWith('child_process')).map((line) => line.split(' ')[0])).toEqual([
    'src/postgres/programs/process.ts',
  ])
})

test('what a file gives to others is used by the action itself, or by a script: not by tests alone', () => {
  const scripts = globSync('scripts/**/*.ts', { cwd: root }).map((file) =>
    readFileSync(join(root, file), 'utf8'),
  )
  const uses = new Map<string, number>()
  for (const text of [...texts.values(), ...scripts]) {
    const code = text.replace(/\/\*[\s\S]*?\*\/|^import [\s\S]*? from .*|^ *\/\/.*/gm, '')
    for (const [word] of code.matchAll(/\w+/g)) uses.set(word, (uses.get(word) ?? 0) + 1)
  }
  const exported =
    /^export (?:async |abstract )*(?:function\*?|class|const|let|interface|type) (\w+)/gm
  const unused = [...texts].flatMap(([file, text]) =>
    [...text.matchAll(exported)]
      .filter(([, name = '']) => uses.get(name) === 1)
      .map(([, name]) => `${file}: ${name}`),
  )
  expect(unused).toEqual([])
})

test('every import of a file of ours is found', () => {
  const ours = wrong((_, to) => to.startsWith('src/') && !imports.has(to))
  expect(ours).toEqual([])
  expect(imports.get('src/main.ts')?.length).toBeGreaterThan(0)
})

test('sets of SQLSTATEs stand in one list', () => {
  const set = /\/\^\(?(?:\d[\dA-Z]{1,4}|XX)(?:\.+)?\|/
  const own = /^src\/postgres\/(sqlstates|startup|server-message)\.ts$/
  expect(files.filter((file) => !own.test(file) && set.test(texts.get(file) ?? ''))).toEqual([])
})

test('no file is longer than 350 lines', () => {
  const lines = (file: string) => (texts.get(file) ?? '').split('\n').length - 1
  const long = files.filter((file) => lines(file) > 350)
  expect(long.map((file) => `${file}: ${lines(file)} lines`)).toEqual([])
})
