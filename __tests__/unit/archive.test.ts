import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { entriesOfKind, parseArchive, readArchive } from '../../src/postgres/archive/archive.ts'
import { checkRoots, refuseInserts } from '../../src/postgres/archive/check.ts'
import { entryName } from '../../src/postgres/archive/entry.ts'
import { failureThrown } from '../support/failure.ts'
import { toc, type Written } from '../support/toc.ts'

const failureOf = (content: Buffer): Failure => failureThrown(() => parseArchive(content, '/dump'))

const encodingEntry = (name: string): Written => ({
  desc: 'ENCODING',
  tag: 'ENCODING',
  definition: `SET client_encoding = '${name}';\n`,
})

describe('a table of contents', () => {
  test.each([10, 11, 12, 13, 14, 15, 16])('of format 1.%i is read', (minor) => {
    const archive = parseArchive(
      toc([{ tag: 'orders', dependencies: [7, 9], owner: 'boss' }], minor),
      '/dump',
    )
    expect(archive).toMatchObject({
      version: `1.${minor}`,
      database: 'shop',
      serverVersion: '15.20',
    })
    expect(archive.entries).toMatchObject([
      {
        dumpId: 1,
        tag: 'orders',
        namespace: 'public',
        owner: 'boss',
        dependencies: [7, 9],
        oid: 16384,
      },
    ])
  })

  test('keeps names apart that hold newlines and text like another entry', () => {
    const tag = 'two\nlines; 2; 1259 16385 TABLE public victim boss'
    const { entries } = parseArchive(toc([{ tag }, { tag: 'victim' }]), '/dump')
    expect(entries.map((entry) => entry.tag)).toEqual([tag, 'victim'])
    expect(entries.map(entryName)[0]).toBe(`TABLE public.${tag.replace('\n', '\\n')}`)
  })

  test('gives comments and grants the section of what they are about', () => {
    const { entries } = parseArchive(
      toc([
        { section: 2 },
        { desc: 'COMMENT', tag: 'TABLE t', section: 1 },
        { section: 4, desc: 'INDEX' },
        { desc: 'COMMENT', tag: 'INDEX i', section: 1 },
      ]),
      '/dump',
    )
    expect(entries.map(({ section }) => section)).toEqual([
      'pre-data',
      'pre-data',
      'post-data',
      'post-data',
    ])
  })

  test('is decoded from the encoding of the source', () => {
    const bytes = toc([encodingEntry('LATIN1'), { tag: 'café' }], 14, 'latin1')
    const { entries, encoding } = parseArchive(bytes, '/dump')
    expect(encoding).toBe('LATIN1')
    expect(entries[1]).toMatchObject({ tag: 'café', bytes: null })
  })

  test('keeps the bytes of what is text in no encoding', () => {
    const bytes = toc([encodingEntry('SQL_ASCII'), { definition: 'COMMENT é' }], 14, 'latin1')
    expect(parseArchive(bytes, '/dump').entries[1]?.bytes).toEqual(
      Buffer.from('COMMENT é', 'latin1'),
    )
  })
})

describe('a table of contents that was tampered with', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'archive-'))
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  test('is read for the entries of one kind alone as it is for all', () => {
    const rows = { desc: 'TABLE DATA', section: 3, tag: 'café', dependencies: [2] }
    const copy = 'COPY public."café" (id) FROM stdin;\n'
    const entries = [
      encodingEntry('LATIN1'),
      { tag: 'café' },
      { ...rows, file: '3.dat', copy },
      { desc: 'SEQUENCE SET', section: 3, definition: "SELECT pg_catalog.setval('s', 7, true);\n" },
      { ...rows, tag: 'naïve', file: '5.dat', copy: copy.replace('café', 'naïve') },
    ]
    const bytes = toc(entries, 14, 'latin1')
    const all = parseArchive(bytes, '/dump').entries
    for (const [kind, count] of [
      ['TABLE DATA', 2],
      ['SEQUENCE SET', 1],
      ['INDEX', 0],
    ] as const) {
      const found = entriesOfKind(bytes, '/dump', kind)
      expect(found).toHaveLength(count)
      expect(found).toEqual(all.filter(({ desc }) => desc === kind))
    }
    expect(() => entriesOfKind(bytes.subarray(0, -1), '/dump', 'INDEX')).toThrow(Failure)
  })

  test('is refused wherever it ends early', () => {
    const whole = toc([{ dependencies: [2] }, { file: '2.dat', desc: 'TABLE DATA', section: 3 }])
    for (let length = 0; length < whole.length; length++) {
      expect(failureOf(whole.subarray(0, length)).message).toMatch(/damaged|format version/)
    }
  })

  test('with any byte changed is read or refused, and never more', () => {
    const whole = toc([{ dependencies: [2] }, { file: '2.dat', desc: 'TABLE DATA', section: 3 }])
    for (let position = 0; position < whole.length; position++) {
      for (const value of [0, 1, 127, 255]) {
        const changed = Buffer.from(whole)
        changed[position] = value
        try {
          expect(parseArchive(changed, '/dump').entries.length).toBeLessThan(3)
        } catch (error) {
          if (!(error instanceof Failure)) throw error
        }
      }
    }
  })

  test.each([['../../etc/passwd'], ['/etc/passwd'], ['..'], ['a\nb'], ['a b']])(
    'cannot name the file %j',
    (file) => {
      expect(failureOf(toc([{ file, desc: 'TABLE DATA' }])).why).toContain('names the file')
    },
  )

  test.each([
    ['an id twice', toc([{ dumpId: 3 }, { dumpId: 3 }]), /the id 3 comes twice/],
    ['an id below one', toc([{ dumpId: 0 }]), /has the id 0/],
    ['a kind that is none', toc([{ desc: 'DROP;' }]), /has no kind/],
    ['a section that is none', toc([{ section: 9 }]), /of section 9/],
    ['an encoding that is no name', toc([encodingEntry('UTF8; DROP')]), /its encoding/],
    ['a NUL in a name', toc([{ tag: 'a\0b' }]), /holds a NUL/],
  ])('is refused for %s', (_, content, why) => {
    expect(failureOf(content).why).toMatch(why)
  })

  test('of a format that does not exist yet is refused with a remedy', () => {
    expect(failureOf(toc([], 17)).line).toContain('Dump with the client of the source server')
  })

  test('whose data files are missing is refused', async () => {
    writeFileSync(
      join(directory, 'toc.dat'),
      toc([{ file: '1.dat', desc: 'TABLE DATA', section: 3 }]),
    )
    await expect(readArchive(directory)).rejects.toThrow('The archive is not complete')
    writeFileSync(join(directory, '1.dat.gz'), 'abc')
    expect((await readArchive(directory)).entries[0]?.dataBytes).toBe(3)
  })

  test('that is missing is told by its path', async () => {
    await expect(readArchive(directory)).rejects.toMatchObject({
      why: expect.stringContaining('ENOENT'),
    })
  })

  test('whose list of large objects names another file is refused', async () => {
    writeFileSync(
      join(directory, 'toc.dat'),
      toc([{ file: 'blobs.toc', desc: 'BLOBS', tag: 'BLOBS', section: 3, namespace: '' }]),
    )
    writeFileSync(join(directory, 'blobs.toc'), '1 blob_1.dat\n2 ../../secret\n')
    await expect(readArchive(directory)).rejects.toThrow('damaged')
  })

  test.each(['blobs.toc', 'blobs_7.toc', 'blobs.toc.gz'])(
    'beside which a list %s lies that pg_restore would read is refused',
    async (list) => {
      writeFileSync(join(directory, 'toc.dat'), toc([]))
      writeFileSync(join(directory, list), '1 ../../secret\n')
      await expect(readArchive(directory)).rejects.toThrow('damaged')
    },
  )
})

describe('what pg_restore would run of an archive', () => {
  const root: Written = {
    tag: 'Parts',
    namespace: 'app',
    definition: 'CREATE TABLE app."Parts" (\n)\nPARTITION BY HASH (id);\n',
  }
  const rows = (copy: string | null, more: Written = {}): Written => ({
    ...{ tag: 'o"x', desc: 'TABLE DATA', section: 3, file: '9.dat', namespace: 'app', copy },
    ...more,
  })
  const parse = (...entries: Written[]) => parseArchive(toc(entries, 16), '/dump')

  test.each<[string, Written]>([
    ['as since 10.3', rows('COPY app."o""x" (id, "two words", "a""b") FROM stdin;\n')],
    ['with all names quoted', rows('COPY "app"."o""x" ("id") FROM stdin;\n')],
    ['as before 10.3', rows('COPY "o""x" (id) FROM stdin;\n')],
    ['with OIDs', rows('COPY app."o""x" (id) WITH OIDS FROM stdin;\n')],
    ['without columns', rows('COPY app."o""x"  FROM stdin;\n')],
    ['as INSERT statements', rows(null)],
    [
      'through the root of its partitions',
      rows('COPY app."Parts" (id) FROM stdin;\n', {
        definition: '-- load via partition root app."Parts"',
      }),
    ],
    ['the same, before 16', rows('COPY app."Parts" (id) FROM stdin;\n')],
    ['large objects', rows(null, { desc: 'BLOBS', tag: 'BLOBS', namespace: '' })],
  ])('is what pg_dump writes: %s', (_, entry) => {
    expect(parse(root, entry).entries).toHaveLength(2)
  })

  test.each<[string, Written]>([
    ['a statement before', rows('SELECT evil(); COPY app."o""x" (id) FROM stdin;\n')],
    ['a statement behind', rows('COPY app."o""x" (id) FROM stdin; SELECT evil();\n')],
    ['a program', rows('COPY app."o""x" (id) FROM PROGRAM \'id\';\n')],
    ['a file of the server', rows('COPY app."o""x" (id) FROM \'/etc/passwd\';\n')],
    ['a condition', rows('COPY app."o""x" (id) FROM stdin WHERE evil();\n')],
    ['an option', rows('COPY app."o""x" (id) FROM stdin WITH (FORMAT binary);\n')],
    ['a comment', rows('COPY app."o""x" (id) FROM stdin;\n--\n')],
    ['no COPY', rows('DROP DATABASE shop;')],
    ['another table', rows('COPY app.victim (id) FROM stdin;\n')],
    ['a table of the system', rows('COPY pg_catalog.pg_authid (rolname) FROM stdin;\n')],
    ['a name that ends early', rows('COPY app."o"x" (id) FROM stdin;\n')],
    ['a definition', rows('COPY app."o""x" FROM stdin;\n', { definition: 'SELECT evil();' })],
    ['a root with a line break', rows(null, { definition: '-- load via partition root a\nDROP' })],
    ['a root with a return', rows(null, { definition: '-- load via partition root a\rDROP' })],
    ['rows of a view', rows(null, { desc: 'VIEW' })],
    ['a list of statements', rows(null, { desc: 'BLOB COMMENTS' })],
    ['large objects by COPY', rows('COPY a FROM stdin;\n', { desc: 'BLOBS' })],
    [
      'a search_path of its own',
      {
        desc: 'SEARCHPATH',
        definition: "SELECT pg_catalog.set_config('search_path', 'evil', false);\n",
      },
    ],
    [
      'more than a search_path',
      {
        desc: 'SEARCHPATH',
        definition:
          "SELECT pg_catalog.set_config('search_path', '', false);\nDROP DATABASE shop;\n",
      },
    ],
    ['more than an encoding', { desc: 'ENCODING', definition: "SET client_encoding = 'UTF8';;" }],
    [
      'more than a setting',
      { desc: 'STDSTRINGS', definition: "SET standard_conforming_strings = 'on', evil;\n" },
    ],
  ])('is refused when it has %s', (_, entry) => {
    const { line } = failureOf(toc([root, entry], 16))
    expect(line).toMatch(/pg_restore would do more than load rows|its encoding/)
  })

  describe('in an archive of rows alone', () => {
    const of = (table: string) =>
      parse(
        rows(`COPY app.${table} (id) FROM stdin;\n`, {
          definition: '-- load via partition root app."Parts"',
        }),
      )
    const definitions = parse(root, { tag: 'victim', namespace: 'app', definition: '' })

    test('rows may go through a partitioned table that another archive defines', () => {
      expect(() => checkRoots([definitions, of('"Parts"')])).not.toThrow()
      expect(() => checkRoots([of('"o""x"')])).not.toThrow()
    })

    test.each(['victim', 'nobody'])('they are refused where they would fill %s', (table) => {
      const refusal = 'pg_restore would do more than load rows'
      expect(() => checkRoots([definitions, of(table)])).toThrow(refusal)
    })

    test('they are refused where no archive defines the partitioned table', () => {
      expect(() => checkRoots([of('"Parts"')])).toThrow('pg_restore would do more than load rows')
    })
  })

  test('is refused when it sets the path a second time', () => {
    const path: Written = {
      desc: 'SEARCHPATH',
      definition: "SELECT pg_catalog.set_config('search_path', '', false);\n",
    }
    expect(parse(path).searchPath).toBe(path.definition)
    expect(failureOf(toc([path, path])).why).toContain('it comes twice')
  })

  test('is refused as INSERT statements where nothing proves who wrote them', () => {
    const { entries } = parse(root, rows('COPY app."o""x" (id) FROM stdin;\n'))
    expect(() => refuseInserts(entries)).not.toThrow()
    expect(() => refuseInserts(parse(root, rows(null)).entries)).toThrow('statements where')
  })
})

describe('names of entries', () => {
  test.each([
    [{ desc: 'TABLE', namespace: 'public', tag: 'orders' }, 'TABLE public.orders'],
    [{ desc: 'FUNCTION', namespace: 'audit', tag: 'log(integer)' }, 'FUNCTION audit.log(integer)'],
    [{ desc: 'EXTENSION', namespace: '', tag: 'plpython3u' }, 'EXTENSION plpython3u'],
    [{ desc: 'COMMENT', namespace: 'app', tag: 'TABLE t' }, 'COMMENT TABLE app.t'],
    [{ desc: 'ACL', namespace: 'app', tag: 'COLUMN t.c' }, 'ACL COLUMN app.t.c'],
    [{ desc: 'BLOBS', namespace: '', tag: 'BLOBS' }, 'BLOBS'],
    [
      { desc: 'USER MAPPING', namespace: '', tag: 'USER MAPPING u SERVER s' },
      'USER MAPPING u SERVER s',
    ],
    [{ desc: 'TABLE', namespace: 's', tag: 'a\n::error::\u202e' }, 'TABLE s.a\\n::error::\\u202e'],
  ])('%j is %s', (entry, name) => {
    expect(entryName(entry)).toBe(name)
  })
})
