import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { messageOf } from '../../src/failure.ts'
import { runInProcess } from '../support/in-process.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { Harness } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: PlainTarget
let harness: Harness

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 cannot be had on this machine')
  harness = opened
  source = await TestServer.start(15)
  target = await startPlainTarget(15)
})
afterAll(async () => {
  await harness?.close()
  await source?.stop()
  await target?.stop()
})

test('a verification on a day of its own knows what allow-missing accepts, and nothing else', async () => {
  await source.sql('CREATE DATABASE watched')
  await source.sql(
    `CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE u (id int);
     CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
     CREATE EVENT TRIGGER watch ON ddl_command_start EXECUTE FUNCTION f();
     COMMENT ON EVENT TRIGGER watch IS 'who'`,
    'watched',
  )
  const common = {
    target: target.uri('postgres'),
    'client-path': harness.client.directory,
    'dump-directory': `${harness.directory}/watched`,
    'keep-dump': 'true',
    'upload-dump': 'false',
    roles: 'skip',
  }
  const accepted = { 'allow-missing': 'EVENT TRIGGER watch' }
  const moved = await runInProcess({
    ...common,
    ...accepted,
    command: 'migrate',
    source: source.uri('watched'),
  })
  expect(moved.error).toBeUndefined()
  const verify = (more: Record<string, string>) =>
    runInProcess({ ...common, command: 'verify', databases: 'watched', ...more })
  const without = await verify({})
  expect(messageOf(without.error)).toContain('event trigger')
  for (const live of [{}, { source: source.uri('watched') }]) {
    const { report, error } = await verify({ ...accepted, ...live })
    expect(error).toBeUndefined()
    expect(report.verified).toBe(true)
    expect(report.losses.map(({ entry }) => entry)).toEqual(['EVENT TRIGGER watch'])
  }
  await target.backend.sql('DROP TABLE u', 'watched')
  const gone = await verify({ 'allow-missing': '*' })
  expect(gone.report.verified).toBe(false)
  expect(messageOf(gone.error)).toContain('public.u')
})

test('roles that were made for a database whose rows are then refused are named', async () => {
  await source.sql('CREATE DATABASE brittle')
  await source.sql('CREATE ROLE made_for_nothing')
  await source.sql(
    `CREATE FUNCTION allowed(int) RETURNS bool LANGUAGE sql AS 'SELECT true';
     CREATE TABLE t (id int CHECK (public.allowed(id))); INSERT INTO t VALUES (1);
     CREATE OR REPLACE FUNCTION allowed(int) RETURNS bool LANGUAGE sql AS 'SELECT false'`,
    'brittle',
  )
  const { report, error } = await runInProcess({
    command: 'migrate',
    source: source.uri('brittle'),
    target: target.uri('postgres'),
    'client-path': harness.client.directory,
    'dump-directory': `${harness.directory}/brittle`,
    'keep-dump': 'true',
    'upload-dump': 'false',
  })
  expect(messageOf(error)).toContain('brittle')
  expect(report.warnings.join('\n')).toMatch(/Roles that this run created stay.*made_for_nothing/)
})
