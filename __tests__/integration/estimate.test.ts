import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { inspectSource } from '../../src/migration/checks/preflight.ts'
import { estimateMigration } from '../../src/migration/estimate/estimate.ts'
import { readSizes } from '../../src/migration/estimate/sizes.ts'
import { sampleSource } from '../../src/migration/estimate/source-sample.ts'
import { sampleTarget } from '../../src/migration/estimate/target-sample.ts'
import { required } from '../../src/migration/inputs.ts'
import type { Run } from '../../src/migration/run.ts'
import { withConnection } from '../../src/postgres/connection.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { newContext } from '../support/context.ts'
import { runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { TestServer } from '../support/server.ts'

/** One server is both sides: nothing is migrated. */
let server: TestServer

const compression = { method: 'gzip', level: 1 } as const

beforeAll(async () => {
  server = await TestServer.start(15, { settings: { autovacuum: 'off' } })
  await server.sql('CREATE DATABASE shop')
  await server.sql(
    `CREATE SCHEMA "odd ""schema";
     CREATE TABLE "odd ""schema"."or\nders" AS
       SELECT g AS id, 'personal data ' || g AS note, E'two\nlines\\\\' AS text FROM generate_series(1, 20000) g;
     CREATE INDEX ON "odd ""schema"."or\nders" (note);
     CREATE TABLE guarded AS SELECT g AS id FROM generate_series(1, 1000) g;
     ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
     CREATE TABLE never_analyzed AS SELECT g AS id, repeat('x', 5000) AS body FROM generate_series(1, 100) g;
     CREATE TABLE wide AS SELECT repeat(md5('1'), 300000) AS body FROM generate_series(1, 3);
     CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM guarded;
     CREATE TEMPORARY TABLE mine (id int);
     ANALYZE "odd ""schema"."or\nders"`,
    'shop',
  )
  await server.sql("SELECT pg_catalog.lo_from_bytea(0, 'some bytes')", 'shop')
})

afterAll(() => server?.stop())

const readShop = (patience?: number) =>
  withConnection(
    parseConnectionString(server.uri()),
    { database: 'shop', role: 'source', readOnly: true },
    (client) => readSizes(client, { name: 'shop', bytes: 1e7 }, patience),
  )

/** Everything that a catalog shows of a server that somebody has left something on, or changed. */
const traces = async () =>
  (
    await Promise.all(
      ['postgres', 'shop'].map((database) =>
        server.sql(
          `SELECT c.oid, c.relname, c.relpages, c.reltuples, s.n_tup_ins, s.n_tup_upd, s.n_tup_del
             FROM pg_class c LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
            WHERE c.oid >= 16384 AND c.relnamespace::regnamespace::text !~ '^pg_' ORDER BY 1`,
          database,
        ),
      ),
    )
  ).map((rows) => JSON.stringify(rows))

test('the sizes are those of what a dump carries', async () => {
  const { tables, largeObjects, objects } = await readShop()
  expect(tables.map(({ name }) => name).sort()).toEqual([
    'guarded',
    'never_analyzed',
    'or\nders',
    'totals',
    'wide',
  ])
  const of = (name: string) => tables.find((table) => table.name === name)
  expect(of('or\nders')).toMatchObject({
    schema: 'odd "schema',
    rows: 20000,
    columns: 3,
    isView: false,
    secured: false,
    foreignKeys: 0,
    indexes: [{ method: 'btree', bytes: expect.any(Number) }],
  })
  expect(of('never_analyzed')).toMatchObject({ rows: null })
  expect(of('guarded')).toMatchObject({ secured: true })
  expect(of('totals')).toMatchObject({ isView: true })
  // long values are somewhere else, and are counted
  expect(of('wide')?.bytes).toBeGreaterThan(100_000)
  expect(largeObjects).toMatchObject({ count: 1 })
  expect(objects).toBeGreaterThan(5)
})

test('a table that somebody has locked is not waited for', async () => {
  const client = await server.connect('shop')
  try {
    await client.query('BEGIN; LOCK TABLE guarded IN ACCESS EXCLUSIVE MODE')
    const { tables } = await readShop(200)
    expect(tables.find(({ name }) => name === 'or\nders')).toMatchObject({ rows: 20000 })
  } finally {
    await client.end()
  }
})

test('samples are of rows that anybody may read, and bounded', async () => {
  const source = parseConnectionString(server.uri())
  const sizes = await readShop()
  const { tables, roundTrip } = await sampleSource(source, [sizes], compression, newContext('dump'))
  const shop = tables.get('shop')
  expect([...(shop?.keys() ?? [])].sort()).toEqual([
    '"odd ""schema"."or\nders"',
    '"public"."never_analyzed"',
    '"public"."wide"',
  ])
  expect(shop?.get('"odd ""schema"."or\nders"')?.rows).toBe(20000)
  // three rows of nine megabytes, of which the first goes over the limit
  const wide = shop?.get('"public"."wide"')
  expect(wide?.rows).toBeLessThan(3)
  expect((wide?.compressed ?? 0) * 10).toBeLessThan(wide?.bytes ?? 0)
  expect(roundTrip).toBeGreaterThan(0)
})

test('a target that lets nobody have temporary tables says so', async () => {
  await server.sql('CREATE DATABASE closed')
  await server.sql('REVOKE ALL ON DATABASE closed FROM PUBLIC')
  await server.sql(
    "CREATE ROLE guest LOGIN PASSWORD 'guest'; GRANT CONNECT ON DATABASE closed TO guest",
  )
  const place = {
    ...parseConnectionString(server.uri('closed')),
    user: 'guest',
    password: 'guest',
  }
  expect(await sampleTarget(place, newContext('preflight'))).toMatch(/permission denied/)
  const measured = await sampleTarget(parseConnectionString(server.uri()), newContext('preflight'))
  expect(measured).toMatchObject({ index: { rows: 60_000 }, definition: expect.any(Number) })
})

test('an estimate changes nothing, is in the report, and tells nothing of the rows', async () => {
  const before = await traces()
  const inputs = between(server, server, 'shop')
  const { report, lines, error } = await runInProcess(inputs, {}, async (run: Run) => {
    const connection = required(run.inputs, 'source')
    const source = await inspectSource(connection, run.inputs.databases, run)
    await estimateMigration(source, { connection: required(run.inputs, 'target') }, run)
  })
  expect(error).toBeUndefined()
  const { estimate } = report
  expect(estimate?.phases.map(({ name }) => name)).toEqual([
    'dump',
    'restore',
    'indexes',
    'analyze',
    'verify',
    'upload',
  ])
  expect(estimate?.databases).toHaveLength(1)
  expect(estimate?.dumpBytes.high).toBeGreaterThan(estimate?.dumpBytes.low ?? Infinity)
  expect(estimate?.basis.join('\n')).toMatch(/of rows were read from 3 of 5 tables[\s\S]*guessed/)
  expect(lines.join('\n')).toMatch(/Estimate: .* in all/)
  expect(JSON.stringify([report, lines])).not.toContain('personal data')
  expect(await traces()).toEqual(before)
})
