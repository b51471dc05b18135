import { describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { writerOf } from '../../src/migration/kept/load.ts'
import {
  archivePath,
  formatManifest,
  isSafePath,
  type Manifest,
  parseManifest,
} from '../../src/migration/kept/manifest.ts'
import { failureThrown } from '../support/failure.ts'
import { randomIntegers } from '../support/random.ts'
import { sampleContents, sampleFiles, sampleNames } from '../support/sample-dump.ts'

const manifest: Manifest = {
  formatVersion: 1,
  id: '0f8fad5b-d9cb-469f-a165-70867728950e',
  createdAt: '2026-11-23T00:20:40.102Z',
  ...sampleContents,
  files: Object.entries(sampleFiles)
    .map(([path, content]) => ({ path, bytes: content.length, sha256: 'a'.repeat(64) }))
    .sort((a, b) => (a.path < b.path ? -1 : 1)),
}
const parse = (text: string) => parseManifest(Buffer.from(text))
const why = (text: string) => failureThrown(() => parse(text)).line

describe('the directory of a database', () => {
  test('has the name of the database when that is harmless', () => {
    expect(archivePath('shop', 1)).toBe('databases/shop/1')
    expect(archivePath('web_shop-2', 3)).toBe('databases/web_shop-2/3')
  })

  test.each([
    ...['..', '.', '/', '../../etc/passwd', 'a/b', 'a\\b', 'C:', 'a:b', 'new\nline', '\r', '-rf'],
    ...['"quoted"', '<a>|*?', '🐘', '名前', ' ', 'x'.repeat(63), 'Ж'.repeat(63), '.hidden', 'dot.'],
    ...['::error::x', '$(id)', '\x1b[31m', 'CON', 'roles.sql', '__proto__'],
  ])('is a safe one for the name %j', (name) => {
    const path = archivePath(name, 1)
    expect(isSafePath(path)).toBe(true)
    expect(path.split('/')).toHaveLength(3)
  })

  test('is never that of another database, not even where case is ignored', () => {
    const names = ['shop', 'Shop', 'SHOP', 'sh/op', 'sh:op', 'sh_op', 'shop ', ' shop', 'shop\n']
    const paths = names.map((name) => archivePath(name, 1).toLowerCase())
    expect(new Set(paths).size).toBe(names.length)
  })
})

describe('a path in a dump', () => {
  test.each([
    ...['', '/', 'a/', '/a', 'a//b', '..', 'a/../b', './a', 'a/.b', 'a.', 'a./b', 'a b', '-a'],
    ...['a\\b', 'a:b', 'a\n', 'ä', 'x'.repeat(129), `${'a/'.repeat(300)}b`, '\0'],
  ])('may not be %j', (path) => {
    expect(isSafePath(path)).toBe(false)
  })
})

describe('a manifest', () => {
  test('comes back as it was written', () => {
    expect(parse(formatManifest(manifest))).toEqual(manifest)
  })

  test('keeps hostile names as they are', () => {
    expect(parse(formatManifest(manifest)).databases[1]?.name).toBe(sampleNames[1])
  })

  test('without roles needs no role scripts', () => {
    const files = manifest.files.filter(({ path }) => !path.startsWith('roles'))
    const without = { ...manifest, roles: null, files }
    expect(parse(formatManifest(without)).roles).toBeNull()
  })

  test('holds the roles alone, and not nothing', () => {
    const files = manifest.files.filter(({ path }) => path.startsWith('roles'))
    const alone = { ...manifest, databases: [], files }
    expect(parse(formatManifest(alone))).toEqual(alone)
    const nothing = { ...alone, roles: null, files: [] }
    const { why } = failureThrown(() => parse(formatManifest(nothing)))
    expect(why).toBe('it names neither databases nor roles')
  })

  test('drops fields that it does not know', () => {
    const text = JSON.stringify({ format: 'polardb-dump', ...manifest, extra: 1 })
    expect(parse(text)).toEqual(manifest)
  })

  test('cannot hold what is no JSON', () => {
    const [database] = manifest.databases
    const odd = { ...manifest, databases: [{ ...database, fingerprint: 1n } as never] }
    expect(() => formatManifest(odd)).toThrow(TypeError)
  })

  /** The manifest after a change to its text's value. */
  const changed = (change: (value: Record<string, never>) => unknown) => {
    const value = JSON.parse(formatManifest(manifest)) as Record<string, never>
    return JSON.stringify(change(value) ?? value)
  }
  const set = (path: string, to: unknown) =>
    changed((value) => {
      const keys = path.split('.')
      const last = keys.pop() ?? ''
      const parent = keys.reduce((at, key) => at[key] as never, value)
      Object.assign(parent, { [last]: to })
    })

  test.each<[string, string, RegExp]>([
    ['cut off', formatManifest(manifest).slice(0, -10), /not JSON, or cut off/],
    ['empty', '', /not JSON/],
    ['a list', '[]', /`the manifest` is no object/],
    ['null', 'null', /`the manifest` is no object/],
    ['of another program', set('format', 'x'), /`format` is not `polardb-dump`/],
    ['of a later format', set('formatVersion', 2), /format version 2.*reads the format version 1/],
    ['of a hostile format', set('formatVersion', '\n::error::'), /format version "\\n::error::"/],
    ['without an id', set('id', 1), /`id`/],
    ['with a date that is none', set('createdAt', 'yesterday'), /`createdAt`/],
    ['with a hostile version', set('source.version', '15\n::error::x'), /`source.version`/],
    ['with a negative major', set('source.major', -1), /`source.major`/],
    ['with no databases', set('databases', {}), /`databases` is no list/],
    ['with a database without name', set('databases.0.name', ''), /`databases\[0\].name`/],
    ['with a NUL in a name', set('databases.0.name', 'a\0'), /`databases\[0\].name`/],
    ['with a name twice', set('databases.0.name', sampleNames[1]), /second time/],
    ['with half a byte', set('databases.0.bytes', 0.5), /`databases\[0\].bytes`/],
    ['with a database without archive', set('databases.0.archives', []), /archives` is empty/],
    ['with an archive elsewhere', set('databases.0.archives.0.path', '../x'), /no path inside/],
    ['with an archive not there', set('databases.0.archives.0.path', 'x'), /lacks x\/toc.dat/],
    ['with files as an object', set('files', {}), /`files` is no list/],
    ['with an absolute path', set('files.0.path', '/etc/passwd'), /no path inside.*\/etc\/passwd/],
    ['with a path upwards', set('files.0.path', 'a/../../x'), /`files\[0\].path`/],
    ['with a path with a line break', set('files.0.path', 'a\n::error::'), /"a\\n::error::"/],
    ['with a path that is no text', set('files.0.path', ['a']), /`files\[0\].path` is no text/],
    ['with a path twice', set('files.1.path', manifest.files[0]?.path.toUpperCase()), /twice/],
    ['naming itself', set('files.0.path', 'manifest.json'), /names the manifest itself/],
    ['with a bad digest', set('files.0.sha256', 'A'.repeat(64)), /`files\[0\].sha256`/],
    ['with too large a number', set('files.0.bytes', 2 ** 60), /`files\[0\].bytes`/],
    [
      'without the role script',
      changed((value) => {
        const files: { path: string }[] = value.files ?? []
        return { ...value, files: files.filter(({ path }) => path !== 'roles.sql') }
      }),
      /`files` lacks roles.sql/,
    ],
    ['with roles as text', set('roles', 'x'), /`roles` is no object/],
    [
      'with a prototype',
      `{"a":[{"__proto__":{"polluted":1}}],${changed(() => {}).slice(1)}`,
      /__proto__/,
    ],
    ['as deep as a well', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, /nests deeper/],
  ])('is refused when it is %s', (_, text, reason) => {
    expect(why(text)).toMatch(reason)
  })

  test('is refused when it is not UTF-8', () => {
    expect(() => parseManifest(Buffer.from([0x22, 0xff, 0x22]))).toThrow(Failure)
  })

  test('never speaks in more than one printable line', () => {
    expect(why(set('files.0.path', `\x1b[31m\n\u202e${'x'.repeat(10_000)}`))).toMatch(
      /^[\x20-\x7e…]{1,400}$/,
    )
  })

  test('names the client programs that wrote the dump, or is refused', () => {
    const by = (version: string) => writerOf({ ...manifest, client: { version } })
    expect(by('9.6.24 (Debian)')).toMatchObject({ version: '9.6.24', majorName: '9.6' })
    expect(failureThrown(() => by('newest')).line).toMatch(/which client programs.*client\.version/)
  })

  test('that anybody may have damaged is read or refused, and nothing else happens (seed 1)', () => {
    const next = randomIntegers(1)
    const text = formatManifest({ ...manifest, files: manifest.files.slice(0, 4) })
    const pieces = [
      ...['{', '}', '[', ']', '"', ',', ':', 'null', '-1', '1e999', '""', '"__proto__":', '\0'],
      ...['"../x"', '"\\ud800"', '99999999999999999999', 'true', '\\u0000', '"constructor":'],
    ]
    for (let round = 0; round < 4000; round++) {
      let damaged = text
      for (let changes = 1 + next(4); changes > 0; changes--) {
        const at = next(damaged.length)
        const piece = pieces[next(pieces.length)] ?? ''
        damaged = damaged.slice(0, at) + piece + damaged.slice(at + next(12))
      }
      try {
        for (const { path } of parse(damaged).files) expect(isSafePath(path)).toBe(true)
      } catch (error) {
        if (!(error instanceof Failure)) throw error
      }
    }
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})
