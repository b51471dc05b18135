import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { readArchive } from '../../src/postgres/archive/archive.ts'
import { makeOldArchive } from '../support/old-archive.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { createRoles, type Dump, Harness } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let harness: Harness
let dump: Dump

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  source = await TestServer.start(11)
  await source.sql('CREATE DATABASE grown')
  await source.sql(
    `CREATE SCHEMA app;
     CREATE TABLE app.plain (id int);
     CREATE TABLE app.withoids (id int, t text) WITH OIDS;
     INSERT INTO app.withoids SELECT g, 'r' || g FROM generate_series(1, 200) g;
     CREATE UNIQUE INDEX withoids_oid ON app.withoids (oid);
     SELECT lo_from_bytea(70001, 'one'), lo_create(70002)`,
    'grown',
  )
  dump = await harness.dump(source, 'grown')
  await makeOldArchive(dump.directory, ['withoids'])
})
afterAll(async () => {
  await harness?.close()
  await source?.stop()
})

test('the archive of a client before 12 names its large objects as they are', async () => {
  const archive = await readArchive(dump.directory)
  expect(archive.version).toBe('1.13')
  const list = archive.entries.find(({ desc }) => desc === 'BLOBS')
  expect(list?.dataFile).toBe('blobs.toc')
  expect(list?.dataBytes).toBeGreaterThan(0)
  expect(archive.entries.filter(({ withOids }) => withOids).map(({ tag }) => tag)).toEqual([
    'withoids',
  ])
})

describe('a dump of a client before 12', () => {
  let target: PlainTarget
  afterAll(() => target?.stop())

  test('is restored on 11 with its large objects, and WITH OIDS', async () => {
    target = await startPlainTarget(11)
    await createRoles(target, [])
    await harness.restore(dump, target)
    const { rows } = await target.backend.sql(
      `SELECT (SELECT relhasoids FROM pg_class WHERE relname = 'withoids') AS oids,
              (SELECT relhasoids FROM pg_class WHERE relname = 'plain') AS plain,
              (SELECT count(*)::int FROM app.withoids WHERE oid > 0) AS rows,
              convert_from(lo_get(70001), 'UTF8') AS one, length(lo_get(70002)) AS two`,
      'grown',
    )
    expect(rows).toEqual([{ oids: true, plain: false, rows: 200, one: 'one', two: 0 }])
  })

  test('is refused on 15, before the first byte, for its tables WITH OIDS', async () => {
    const newer = await startPlainTarget(15)
    try {
      const refusal = await harness.restore(dump, newer).then(
        () => undefined,
        (error: unknown) => error,
      )
      expect(refusal).toBeInstanceOf(Failure)
      expect((refusal as Failure).why).toMatch(
        /TABLE app\.withoids: .*PostgreSQL 12.*SET WITHOUT OIDS/,
      )
      const { rows } = await newer.backend.sql(`SELECT FROM pg_database WHERE datname = 'grown'`)
      expect(rows).toHaveLength(0)
      await harness.restore(dump, newer, { allowMissing: ['TABLE app.withoids'] })
    } finally {
      await newer.stop()
    }
  })
})
