import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Failure } from '../../src/failure.ts'
import { inspectSource } from '../../src/migration/checks/preflight.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { outcome } from '../../src/report/verdict.ts'
import { runInProcess } from '../support/in-process.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { Harness } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'
import { compareWith, differencesIn, fingerprintOf, testContext } from '../support/verify-run.ts'

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

async function database(name: string, sql: string): Promise<void> {
  await source.sql(`CREATE DATABASE ${name} TEMPLATE template0`)
  await source.sql(sql, name)
}

/** The failure of a restore that must not begin. */
async function refusal(name: string, allowMissing: string[] = []): Promise<Failure> {
  const dump = await harness.dump(source, name)
  return await harness.restore(dump, target, { allowMissing }).then(
    () => {
      throw new Error('it was restored')
    },
    (error: Failure) => error,
  )
}

test('rows that no dump carries, and databases that cannot be dumped, are found before anything is', async () => {
  await database(
    'members',
    // in one transaction, as a script would do it
    `CREATE EXTENSION pgcrypto; CREATE TABLE jobs (id int PRIMARY KEY, payload text);
     INSERT INTO jobs SELECT g, 'job ' || g FROM generate_series(1, 100) g;
     CREATE TABLE "odd ""one""" (a int); CREATE TABLE marked (a int); INSERT INTO marked VALUES (1);
     ALTER EXTENSION pgcrypto ADD TABLE jobs; ALTER EXTENSION pgcrypto ADD TABLE "odd ""one""";
     ALTER EXTENSION pgcrypto ADD TABLE marked;
     UPDATE pg_extension SET extconfig = ARRAY['marked'::regclass::oid], extcondition = ARRAY['WHERE a > 0'] WHERE extname = 'pgcrypto'`,
  )
  await source.sql('INSERT INTO "odd ""one""" VALUES (1)', 'members')
  await database('base', 'CREATE TABLE base (id int PRIMARY KEY); INSERT INTO base VALUES (1)')
  await source.sql('ALTER DATABASE base IS_TEMPLATE true')
  await database('closed', 'CREATE TABLE t ()')
  await source.sql('ALTER DATABASE closed ALLOW_CONNECTIONS false')
  await source.sql('CREATE TABLE everywhere ()', 'template1')
  const context = testContext()
  const connection = parseConnectionString(source.uri('postgres'))
  const found = await inspectSource(connection, 'all', context)
  expect(found.databases.map(({ source }) => source)).toEqual(
    expect.arrayContaining(['base', 'members']),
  )
  expect(found.databases.map(({ source }) => source)).not.toContain('closed')
  expect(found.losses.map(({ entry, database }) => [entry, database])).toEqual([
    ['DATABASE closed', null],
    ['TABLE public.jobs', 'members'],
    ['TABLE public.odd "one"', 'members'],
  ])
  expect(found.losses[1]?.remedy).toContain('ALTER EXTENSION "pgcrypto" DROP TABLE "public"."jobs"')
  expect(context.warnings.join()).toContain('template1 holds objects of your own')
  await source.sql('DROP TABLE everywhere', 'template1')

  const some = await inspectSource(connection, [{ source: 'base', target: 'base' }], testContext())
  expect(some.losses).toEqual([])
})

test('a template is restored as one, and can be replaced', async () => {
  await database('pattern', 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)')
  await source.sql('ALTER DATABASE pattern IS_TEMPLATE true')
  const fingerprint = await fingerprintOf(source, 'pattern', { targetMajor: 15 })
  const dump = await harness.dump(source, 'pattern')
  for (const ifNotEmpty of ['fail', 'replace'] as const) {
    const { result } = await harness.restore(dump, target, { ifNotEmpty })
    const compared = await compareWith(fingerprint, target.backend, 'pattern', result.skipped)
    expect(differencesIn(compared).filter((name) => !/owner/.test(name))).toEqual([])
  }
  await target.backend.sql('ALTER DATABASE pattern IS_TEMPLATE false')
  expect(differencesIn(await compareWith(fingerprint, target.backend, 'pattern')).join()).toMatch(
    /database owner .*, template,/,
  )
})

describe('before the first row', () => {
  test('a table is named whose rows are in the dump and whose definition is nowhere', async () => {
    await database(
      'marked',
      `CREATE EXTENSION pgcrypto; CREATE TABLE queue (id int PRIMARY KEY); INSERT INTO queue VALUES (1);
       CREATE TABLE other (a int); INSERT INTO other VALUES (1); ALTER EXTENSION pgcrypto ADD TABLE queue;
       UPDATE pg_extension SET extconfig = ARRAY['queue'::regclass::oid], extcondition = ARRAY[''] WHERE extname = 'pgcrypto'`,
    )
    const failure = await refusal('marked')
    expect(failure.why).toContain('TABLE DATA public.queue')
    expect(failure.why).toContain('ALTER EXTENSION "pgcrypto" DROP TABLE "public"."queue"')
    const dump = await harness.dump(source, 'marked')
    const { result } = await harness.restore(dump, target, {
      allowMissing: ['TABLE DATA public.queue'],
    })
    expect(result.skipped.map(({ entry }) => entry)).toContain('TABLE DATA public.queue')
    expect((await target.backend.sql('SELECT * FROM other', 'marked')).rowCount).toBe(1)
  })

  test("a schema that is called like the restore's own is named, with what is in it", async () => {
    await database(
      'notes',
      'CREATE SCHEMA "migrate-to-polardb"; CREATE TABLE "migrate-to-polardb".t (a int)',
    )
    expect((await refusal('notes')).why).toMatch(
      /SCHEMA migrate-to-polardb: a restore keeps its notes.*TABLE migrate-to-polardb\.t/,
    )
    // rows are given up by their own name only
    expect((await refusal('notes', ['SCHEMA migrate-to-polardb'])).why).toContain(
      'TABLE migrate-to-polardb.t',
    )
    await database('empty_notes', 'CREATE SCHEMA "migrate-to-polardb"')
    expect((await refusal('empty_notes')).why).toContain('SCHEMA migrate-to-polardb')
  })
})

test('a migration stops for them before it dumps, and says in its report what was accepted', async () => {
  await database(
    'shop',
    `CREATE EXTENSION pgcrypto; CREATE TABLE jobs (id int PRIMARY KEY); INSERT INTO jobs VALUES (1);
     ALTER EXTENSION pgcrypto ADD TABLE jobs; CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1)`,
  )
  const inputs = {
    command: 'migrate',
    source: source.uri('shop'),
    target: target.uri('postgres'),
    'client-path': harness.client.directory,
    'upload-dump': 'false',
    roles: 'skip',
  }
  const refused = await runInProcess(inputs)
  expect((refused.error as Failure).why).toContain('TABLE public.jobs')
  expect(refused.report.phases.map(({ name }) => name)).not.toContain('dump')
  const { report, error } = await runInProcess({ ...inputs, 'allow-missing': 'TABLE public.jobs' })
  expect(error).toBeUndefined()
  expect(report.verified).toBe(true)
  expect(report.losses.map(({ entry }) => entry)).toEqual(['TABLE public.jobs'])
  expect(outcome(report)).toMatchObject({
    title: 'Migrated and verified, except for 1 accepted loss',
  })
})

test('what the target cannot take ends a migration before a row is dumped, and no role is made', async () => {
  await database(
    'early',
    `CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1);
     CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
     CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION note()`,
  )
  await source.sql('CREATE ROLE early_reader')
  const inputs = {
    command: 'migrate',
    source: source.uri('early'),
    target: target.uri('postgres'),
    'client-path': harness.client.directory,
    'upload-dump': 'false',
  }
  const refused = await runInProcess(inputs)
  expect((refused.error as Failure).line).toContain('EVENT TRIGGER watch')
  expect(refused.report.phases.map(({ name, status }) => `${name} ${status}`)).toEqual([
    'preflight succeeded',
    'client succeeded',
    'schema failed',
  ])
  const roles = `SELECT FROM pg_roles WHERE rolname = 'early_reader'`
  expect((await target.backend.sql(roles)).rowCount).toBe(0)
  const { report, error } = await runInProcess({ ...inputs, 'allow-missing': '*' })
  expect(error).toBeUndefined()
  expect(report.verified).toBe(true)
  expect((await target.backend.sql(roles)).rowCount).toBe(1)
})
