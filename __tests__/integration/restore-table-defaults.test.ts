import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { PolarStandIn } from '../support/polardb-standin.ts'
import { createRoles, Harness } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'
import { compareWith, differencesIn, fingerprintOf } from '../support/verify-run.ts'

let source: TestServer
let target: PolarStandIn
let harness: Harness

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 cannot be had on this machine')
  harness = opened
  source = await TestServer.start(11)
  target = await PolarStandIn.start({ major: 11 })
  await source.sql('CREATE ROLE smith')
  await createRoles(target, ['smith'])
})

afterAll(async () => {
  await harness?.close()
  await source?.stop()
  await target?.stop()
})

const tables = `
  CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1); ALTER TABLE item OWNER TO smith;
  CREATE TABLE whole (x int); ALTER TABLE whole REPLICA IDENTITY FULL;
  CREATE TABLE nothing (x int); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
  CREATE TABLE by_index (x int NOT NULL); CREATE UNIQUE INDEX by_index_x ON by_index (x);
  ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_x;
  CREATE TABLE parts (x int) PARTITION BY LIST (x); CREATE TABLE part PARTITION OF parts FOR VALUES IN (1);
  CREATE TABLE "odd ""name""" (x int);
  CREATE MATERIALIZED VIEW held AS SELECT 1 AS one;
  CREATE UNLOGGED TABLE unl (x int); INSERT INTO unl VALUES (1)`

test('what PolarDB 11 makes of every table is put right: replica identities and unlogged tables', async () => {
  await source.sql('CREATE DATABASE tables')
  await source.sql(tables, 'tables')
  const fingerprint = await fingerprintOf(source, 'tables', { targetMajor: 11 })
  const dump = await harness.dump(source, 'tables')
  const { result } = await harness.restore(dump, target)
  expect(result.skipped.filter(({ entry }) => /^(REPLICA|UNLOGGED)/.test(entry))).toEqual([])
  const comparison = await compareWith(fingerprint, target.backend, 'tables', result.skipped)
  expect(differencesIn(comparison).filter((name) => /replica|persistence|rows/.test(name))).toEqual(
    [],
  )
  const { rows } = await target.backend.sql(
    `SELECT relname, relreplident, relpersistence FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND relkind IN ('r', 'p', 'm') AND (relreplident <> 'd' OR relpersistence <> 'p') ORDER BY 1`,
    'tables',
  )
  expect(rows).toEqual([
    { relname: 'by_index', relreplident: 'i', relpersistence: 'p' },
    { relname: 'nothing', relreplident: 'n', relpersistence: 'p' },
    { relname: 'unl', relreplident: 'd', relpersistence: 'u' },
    { relname: 'whole', relreplident: 'f', relpersistence: 'p' },
  ])
})
