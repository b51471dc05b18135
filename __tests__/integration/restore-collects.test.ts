import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { markSchema } from '../../src/migration/restore/database/mark.ts'
import { runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { Harness, membershipsOf, type RestoreTarget } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: RestoreTarget & { port: number; password: string; stop(): Promise<void> }
let harness: Harness
let inputs: Record<string, string>

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  source = await TestServer.start(15)
  target = await startPlainTarget(15)
  await source.sql('CREATE ROLE app_owner')
  await source.sql('CREATE DATABASE shop OWNER app_owner')
  // what works in the database of this name alone: nobody sees it before the target tries
  await source.sql(
    `SET ROLE app_owner;
     CREATE SCHEMA app;
     CREATE FUNCTION app.here(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
       $$ BEGIN IF pg_catalog.current_database() <> 'shop' THEN RAISE EXCEPTION 'not here'; END IF; RETURN $1; END $$;
     CREATE TABLE app.orders (id int PRIMARY KEY, customer int);
     INSERT INTO app.orders SELECT g, g FROM generate_series(1, 500) g;
     CREATE TABLE app.customers (id int PRIMARY KEY);
     INSERT INTO app.customers SELECT generate_series(1, 499);
     DO $$ BEGIN FOR i IN 1..12 LOOP
       EXECUTE format('CREATE INDEX bad_%s ON app.orders (app.here(id + %s))', i, i); END LOOP; END $$;
     CREATE INDEX good ON app.orders (customer);
     COMMENT ON INDEX app.bad_1 IS 'hangs on it';
     CREATE MATERIALIZED VIEW app.first AS SELECT app.here(id) AS id FROM app.orders;
     CREATE MATERIALIZED VIEW app.second AS SELECT id FROM app.first;
     CREATE MATERIALIZED VIEW app.other AS SELECT count(*) FROM app.orders;
     COMMENT ON TABLE app.orders IS 'still comes';
     GRANT SELECT ON app.orders TO PUBLIC;
     RESET ROLE;
     SET session_replication_role = replica;
     ALTER TABLE app.orders ADD FOREIGN KEY (customer) REFERENCES app.customers NOT VALID;
     UPDATE pg_constraint SET convalidated = true WHERE conname = 'orders_customer_fkey'`,
    'shop',
  )
  inputs = {
    ...between(source, target, 'shop'),
    'client-path': harness.client.directory,
    'upload-dump': 'false',
  }
})

afterAll(async () => {
  await harness?.close()
  await source?.stop()
  await target?.stop()
})

const stateOf = async (name: string) =>
  (
    await target.backend.sql(
      `SELECT (SELECT count(*)::int FROM app.orders) AS orders,
              (SELECT count(*)::int FROM pg_indexes WHERE schemaname = 'app' AND indexname = 'good') AS good,
              pg_catalog.obj_description('app.orders'::regclass, 'pg_class') AS comment,
              (SELECT relispopulated FROM pg_class WHERE relname = 'other') AS other,
              (SELECT reltuples::int FROM pg_class WHERE relname = 'orders') AS analyzed,
              pg_catalog.has_table_privilege('public', 'app.orders', 'SELECT') AS granted,
              (SELECT count(*)::int FROM pg_namespace WHERE nspname = '${markSchema}') AS marks`,
      name,
    )
  ).rows[0]

describe('what the target refuses once the rows are in', () => {
  test('is collected: everything else is done, and the run fails with all of it', async () => {
    const dump = join(harness.directory, 'collected')
    const { report, error } = await runInProcess({
      ...inputs,
      command: 'migrate',
      databases: 'shop=elsewhere',
      'dump-directory': dump,
      'keep-dump': 'true',
    })
    const [database] = report.databases
    const failed = database?.restore?.failed.map(({ entry }) => entry) ?? []
    expect(failed).toHaveLength(12 + 1 + 2 + 1)
    expect(failed).toEqual(
      expect.arrayContaining([
        'INDEX app.bad_12',
        expect.stringMatching(/^COMMENT .*bad_1$/),
        'MATERIALIZED VIEW DATA app.first',
        'MATERIALIZED VIEW DATA app.second',
        'FK CONSTRAINT app.orders orders_customer_fkey',
      ]),
    )
    expect(
      database?.restore?.failed.find(({ entry }) => entry.includes('app.second'))?.reason,
    ).toMatch(/it needs MATERIALIZED VIEW DATA app\.first, which could not be restored/)
    expect(await stateOf('elsewhere')).toEqual({
      orders: 500,
      good: 1,
      comment: 'still comes',
      other: true,
      analyzed: 500,
      granted: true,
      marks: 1,
    })
    expect(report.phases.map(({ name, status }) => `${name} ${status}`)).toEqual(
      expect.arrayContaining(['restore succeeded', 'analyze succeeded', 'verify failed']),
    )
    // nothing that failed is explained away
    const index = database?.objects.find(({ kind }) => kind === 'index')
    expect(index?.missing).toHaveLength(12)
    expect([report.verified, database?.verified]).toEqual([false, false])
    expect(error).toBeInstanceOf(Failure)
    const { message, why, remedy } = error as Failure
    expect(message).toMatch(/ and 15 other entries cannot be restored/)
    expect(why.split(', ').length).toBeLessThan(14)
    expect(why).toContain('and 6 more')
    // another migration would make another dump
    expect(remedy).toContain('command: restore')
    expect(remedy).toContain(`dump-directory: ${dump}`)
    expect(remedy).not.toContain('run again with if-target-not-empty: resume')
    expect(await membershipsOf(target)).toEqual([])

    await target.backend.sql(
      `CREATE OR REPLACE FUNCTION app.here(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
       INSERT INTO app.customers VALUES (500)`,
      'elsewhere',
    )
    const again = await runInProcess({
      target: inputs.target ?? '',
      'target-password': inputs['target-password'] ?? '',
      'client-path': harness.client.directory,
      command: 'restore',
      'dump-directory': dump,
      databases: 'shop=elsewhere',
      'if-target-not-empty': 'resume',
    })
    // the rows of the table that was mended by hand are those of the dump again, so its key fails again, and nothing else
    expect(again.report.databases[0]?.restore?.failed.map(({ entry }) => entry)).toEqual([
      'FK CONSTRAINT app.orders orders_customer_fkey',
    ])
    await rm(dump, { recursive: true })
  })
})

describe('a restore that is complete', () => {
  test('goes on with the verification that a lost server has interrupted, and with no mark verifies', async () => {
    await source.sql('CREATE DATABASE plain OWNER app_owner')
    await source.sql(
      `SET ROLE app_owner; CREATE SCHEMA app; CREATE TABLE app.t AS SELECT generate_series(1, 100) AS id`,
      'plain',
    )
    const dump = join(harness.directory, 'plain')
    const proxy = await TcpProxy.start(target.port)
    const common = {
      ...inputs,
      databases: 'plain',
      'dump-directory': dump,
      'keep-dump': 'true',
      source: (inputs.source ?? '').replace('/shop', '/plain'),
    }
    try {
      // and nobody listens there any more
      const met = proxy.when(/SELECT 0 AS i/, 'cut').then(() => proxy.stop())
      const first = await runInProcess(
        {
          ...common,
          command: 'migrate',
          target: through(proxy, inputs.target ?? ''),
        },
        { pauses: [0.1] },
      )
      await met
      expect(first.error).toBeInstanceOf(Failure)
      expect((first.error as Failure).line).toContain(`dump-directory: ${dump}`)
    } finally {
      await proxy.stop()
    }
    const resume = {
      target: inputs.target ?? '',
      'target-password': inputs['target-password'] ?? '',
      'client-path': harness.client.directory,
      command: 'restore',
      'dump-directory': dump,
      'if-target-not-empty': 'resume',
    }
    const second = await runInProcess(resume)
    expect([second.error, second.report.verified]).toEqual([undefined, true])
    const third = await runInProcess(resume)
    expect([third.error, third.report.verified]).toEqual([undefined, true])
    expect(third.report.databases[0]?.restore?.restored).toBe(0)

    // in use by now: what was written since is never taken back
    await target.backend.sql('INSERT INTO app.t VALUES (101)', 'plain')
    const fourth = await runInProcess(resume)
    expect((fourth.error as Failure).message).toContain('differs')
    const { rows } = await target.backend.sql('SELECT count(*)::int AS n FROM app.t', 'plain')
    expect(rows).toEqual([{ n: 101 }])
  })
})
