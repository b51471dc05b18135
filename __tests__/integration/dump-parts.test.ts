import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Failure, messageOf } from '../../src/failure.ts'
import { parseManifest } from '../../src/migration/kept/manifest.ts'
import { dumpIdentity } from '../../src/migration/restore/database/mark.ts'
import { readArchive } from '../../src/postgres/archive/archive.ts'
import { isOfDatabase } from '../../src/postgres/archive/entry.ts'
import { clientDirectory } from '../support/clients.ts'
import { dumping, listener, newlyTold, type Told, tinyParts } from '../support/dump-in-parts.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { createRichDatabase, richRoles } from '../support/rich-database.ts'
import { type Major, TestServer } from '../support/server.ts'

const execute = promisify(execFile)

/** Names that would be patterns, options or several names where they are not quoted well. */
const names = [
  'a.b',
  'any*',
  'anything',
  'O"Brien',
  'dol$lar',
  '$1',
  'two\nlines',
  '--table',
  'back\\slash',
  'br[a]cke(t)s|{1}^+?',
  'Upper',
  'upper',
  "quo'te",
  '..',
  'Ünïcödé 🐘',
]
const quote = (name: string) => `"${name.replaceAll('"', '""')}"`

/** A few of everything that a part could lose or hold twice. */
function hostileTables(major: Major): string {
  return [
    'CREATE SCHEMA "s.*"',
    ...names.flatMap((name, index) => [
      `CREATE TABLE "s.*".${quote(name)} (id serial, t text)`,
      `INSERT INTO "s.*".${quote(name)} (t) SELECT repeat('x', 400) FROM generate_series(1, ${100 * (index + 1)})`,
    ]),
    'CREATE TABLE app.no_columns ()',
    'INSERT INTO app.no_columns DEFAULT VALUES',
    ...(major >= 11
      ? [`INSERT INTO app.hashed SELECT g, repeat('v', 500) FROM generate_series(301, 500) g`]
      : []),
  ].join(';')
}

describe.each([
  { major: 10, client: 15 },
  { major: 15, client: 15 },
  { major: 18, client: 18 },
] as const)('of PostgreSQL $major', ({ major, client }) => {
  let source: TestServer
  let target: TestServer
  let programs: string
  let directory: string
  const told = newlyTold()
  let dumped: CommandResult

  beforeAll(async () => {
    const found = await clientDirectory(client)
    if (!found) throw new Error(`the client programs of ${client} cannot be had on this machine`)
    programs = found
    directory = await mkdtemp(join(tmpdir(), 'dump-parts-'))
    await mkdir(join(directory, 'report'))
    ;[source, target] = await Promise.all([TestServer.start(major), TestServer.start(client)])
    await createRichDatabase(source)
    await source.sql(hostileTables(major), 'rich')
    // neither rows nor the names that pg_dump is given are told in what a client of the database is to speak by itself
    await source.sql('ALTER DATABASE rich SET client_encoding TO LATIN1')
    for (const role of richRoles) await target.sql(`CREATE ROLE ${quote(role)}`)
    dumped = await dump('parts', told)
    await dump('single')
  })
  afterAll(async () => {
    await Promise.all([source, target].map((one) => one?.stop()))
    await rm(directory, { recursive: true, force: true })
  })

  async function dump(name: string, heard?: Told): Promise<CommandResult> {
    const result = await runInProcess(
      {
        command: 'dump',
        source: source.uri('rich'),
        'client-path': programs,
        'client-version': String(client),
        'dump-directory': join(directory, name),
        'dump-jobs': '3',
        'keep-dump': 'true',
        'upload-dump': 'false',
      },
      { partSizes: { ...tinyParts, parts: 100 }, reportDirectory: join(directory, 'report') },
      async (run) => {
        await dumping(heard && listener(heard))(run)
        run.record.database({ source: 'rich', target: 'rich', bytes: 0 }).compared({
          tables: [{ schema: 's.*', name: 'anything', sourceRows: 1, targetRows: 1, match: true }],
          objects: [],
          verified: true,
        })
      },
    )
    if (result.error) throw new Error((result.error as Failure).why ?? messageOf(result.error))
    return result
  }

  test('a dump in parts tells of each, and the last is the rest', async () => {
    const [first, ...others] = told.calls
    expect(first).toBe('schema rich')
    expect(others.at(-1)).toBe('dumped rich')
    expect([...others.slice(0, -1)].sort()).toEqual(
      told.ahead.map(({ path }) => `data rich ${path}`).sort(),
    )
    expect(told.schema?.archives).toEqual([{ path: 'databases/rich/1' }])
    expect(told.schema?.fingerprint).toBeUndefined()
    const alone = told.ahead.slice(0, -1).flatMap(({ tables }) => tables.map(({ name }) => name))
    expect(told.ahead.map(({ isRest }) => isRest)).toEqual([...alone.map(() => false), true])
    expect(alone).toEqual(
      expect.arrayContaining([...names, 'measure_2023', 'parent', 'child', 'cache', 'secret']),
    )
    // their rows could go into the root of the partitions
    expect(alone).not.toContain('hashed_0')
    expect(told.dumped[0]?.archives.map(({ path }) => path)).toEqual([
      'databases/rich/1',
      ...told.ahead.map(({ path }) => path),
    ])
    // every table was timed by its own pg_dump
    expect(dumped.report.databases[0]?.tables[0]?.timeline?.dump?.end).toBeGreaterThan(0)
    const whole = dumped.report.databases[0]?.dumpBytes ?? 0
    expect(whole).toBeGreaterThan(0)
    for (const number of [1, 2, 9]) {
      const log = await readFile(join(directory, 'report', `pg_dump-rich.${number}.log`), 'utf8')
      expect(log).toMatch(/^# pg_dump \d/)
    }
  })

  test('the archive of the definitions alone tells which dump it is', async () => {
    const archives = (name: string) =>
      [1, 2, 9].map((number) => join(directory, name, `databases/rich/${number}`))
    const [first = ''] = archives('parts')
    const whole = await dumpIdentity(archives('parts'))
    expect(await dumpIdentity([first])).toBe(whole)
    expect(await dumpIdentity(archives('single'))).not.toBe(whole)
  })

  test('no entry with rows is missing or comes twice, against one archive of the same', async () => {
    const entries = async (name: string) => {
      const text = await readFile(join(directory, name, 'manifest.json'))
      const found: string[] = []
      for (const { path } of parseManifest(text).databases[0]?.archives ?? []) {
        const archive = await readArchive(join(directory, name, path))
        for (const { desc, namespace, tag } of archive.entries)
          if (desc !== 'SEQUENCE SET' && !isOfDatabase({ desc, tag }))
            found.push(`${desc} ${namespace} ${tag}`)
      }
      return found.sort()
    }
    expect(await entries('parts')).toEqual(await entries('single'))
  })

  test('pg_restore by hand makes the same database of it as of one archive', async () => {
    for (const name of ['by_hand', 'whole'])
      await target.sql(`CREATE DATABASE ${name} TEMPLATE template0`)
    const restore = async (name: string, archive: string, ...options: string[]) =>
      await execute(join(programs, 'pg_restore'), [
        `--dbname=${target.uri(name)}`,
        '--exit-on-error',
        ...options,
        join(directory, archive),
      ])
    await restore('whole', 'single/databases/rich/1')
    await restore('by_hand', 'parts/databases/rich/1', '--section=pre-data')
    for (const { path } of told.ahead) await restore('by_hand', `parts/${path}`)
    await restore('by_hand', 'parts/databases/rich/1', '--section=post-data', '--jobs=2')
    const { report, error } = await runInProcess({
      command: 'verify',
      ...between(target, target, 'whole'),
      databases: 'whole=by_hand',
      'client-path': programs,
    })
    expect(error).toBeUndefined()
    expect(report.databases[0]?.tables.filter(({ match }) => !match)).toEqual([])
    expect(report.databases[0]?.verified).toBe(true)
  })

  test('restore makes the same database of it', async () => {
    const { report, error } = await runInProcess({
      command: 'restore',
      target: target.uri('postgres'),
      'client-path': programs,
      'dump-directory': join(directory, 'parts'),
      'allow-missing': '*',
      'restore-jobs': '3',
    })
    expect(error).toBeUndefined()
    expect(report.databases[0]?.verified).toBe(true)
  })
})
