import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { markSchema } from '../../src/migration/restore/database/mark.ts'
import { planRestore } from '../../src/migration/restore/plan-restore.ts'
import { startPlainTarget } from '../support/polardb-standin.ts'
import { randomNumbers } from '../support/random.ts'
import {
  createRoles,
  type Dump,
  digestRows,
  Harness,
  membershipsOf,
  type RestoreTarget,
  restoreDatabase,
} from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

/** Runs with different seeds; RESTORE_SEEDS asks for more of them. */
const seeds = Array.from(
  { length: Number(process.env.RESTORE_SEEDS ?? 2) },
  (_, index) => index + 1,
)
const blows = 5

let source: TestServer
let target: RestoreTarget & { stop(): Promise<void> }
let harness: Harness
let dump: Dump
let expected: Map<string, string>

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  source = await TestServer.start(15)
  target = await startPlainTarget(15)
  await source.sql('CREATE ROLE app_owner; CREATE ROLE app_reader')
  await source.sql('CREATE DATABASE busy OWNER app_owner')
  await source.sql(
    `CREATE SCHEMA app AUTHORIZATION app_owner;
     SET ROLE app_owner;
     CREATE TABLE app.big (id serial PRIMARY KEY, t text, u uuid);
     INSERT INTO app.big (t, u) SELECT repeat(md5(g::text), 3), md5(g::text)::uuid FROM generate_series(1, 120000) g;
     CREATE INDEX ON app.big (t); CREATE INDEX ON app.big (u);
     CREATE TABLE app.twin AS TABLE app.big; ALTER TABLE app.twin ADD PRIMARY KEY (id);
     ALTER TABLE app.twin ADD FOREIGN KEY (id) REFERENCES app.big;
     CREATE TABLE app.parted (k int, v text) PARTITION BY RANGE (k);
     CREATE TABLE app.parted_1 PARTITION OF app.parted FOR VALUES FROM (0) TO (5000);
     CREATE TABLE app.parted_2 PARTITION OF app.parted FOR VALUES FROM (5000) TO (10000);
     INSERT INTO app.parted SELECT g, 'v' FROM generate_series(0, 9999) g;
     ALTER TABLE app.parted ADD PRIMARY KEY (k);
     CREATE TABLE app.plain (a int); INSERT INTO app.plain SELECT generate_series(1, 1000);
     CREATE TABLE app.hidden (a int); INSERT INTO app.hidden SELECT generate_series(1, 100);
     ALTER TABLE app.hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
     CREATE POLICY nobody ON app.hidden USING (false);
     CREATE FUNCTION app.spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.t := 'spoilt'; RETURN NEW; END $$;
     CREATE UNLOGGED TABLE app.volatile (id serial PRIMARY KEY, t text);
     INSERT INTO app.volatile (t) SELECT 'v' || g FROM generate_series(1, 2000) g;
     CREATE TRIGGER spoil BEFORE INSERT ON app.volatile FOR EACH ROW EXECUTE FUNCTION app.spoil();
     CREATE TRIGGER spoil_not BEFORE INSERT ON app.volatile FOR EACH ROW EXECUTE FUNCTION app.spoil();
     ALTER TABLE app.volatile DISABLE TRIGGER spoil_not;
     CREATE MATERIALIZED VIEW app.summary AS SELECT count(*) FROM app.big;
     DO $$ BEGIN FOR i IN 1..40 LOOP
       EXECUTE format('CREATE TABLE app.small_%s (id int PRIMARY KEY, t text UNIQUE)', i);
       EXECUTE format('INSERT INTO app.small_%s SELECT g, md5(g::text) FROM generate_series(1, %s) g', i, i * 50);
       EXECUTE format('GRANT SELECT ON app.small_%s TO app_reader', i);
     END LOOP; END $$;
     RESET ROLE;
     SELECT lo_from_bytea(9001, decode(repeat('ab', 100000), 'hex'));`,
    'busy',
  )
  await createRoles(target, ['app_owner', 'app_reader'])
  dump = await harness.dump(source, 'busy')
  expected = await rowsOf(source, 'busy')
})

afterAll(async () => {
  await harness?.close()
  await source?.stop()
  await target?.stop()
})

async function rowsOf(server: TestServer, database: string): Promise<Map<string, string>> {
  const client = await server.connect(database)
  try {
    return await digestRows(client)
  } finally {
    await client.end()
  }
}

/** What must be as on the source, whatever happened on the way. */
async function expectWhole(name: string): Promise<void> {
  expect(await rowsOf(target.backend, name)).toEqual(expected)
  const differences = await harness.differences(source, 'busy', target.backend, name)
  // large objects and the like of the source's superuser belong to the account
  expect(differences.filter(({ what }) => what !== 'owner')).toEqual([])
  expect(await membershipsOf(target)).toEqual([])
  const { rows } = await target.backend.sql(
    `SELECT (SELECT count(*)::int FROM pg_largeobject WHERE loid = 9001) AS pages,
            (SELECT last_value::int FROM app.volatile_id_seq) AS last,
            (SELECT count(*)::int FROM pg_namespace WHERE nspname = '${markSchema}') AS marks`,
    name,
  )
  expect(rows).toEqual([{ pages: 49, last: 2000, marks: 0 }])
  await target.backend.sql(`DROP DATABASE "${name}"`)
}

/** Kills a pg_restore that this process has started; false when none runs. */
function killPgRestore(): boolean {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const [, command, state, parent] =
        /\((.*)\) (\S+) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? []
      if (command !== 'pg_restore' || state === 'Z' || Number(parent) !== process.pid) continue
      process.kill(Number(pid), 'SIGKILL')
      return true
    } catch {
      // it ended meanwhile
    }
  }
  return false
}

/** Waits until something has happened in a restore. @throws when the restore ends without */
async function until(restoring: Promise<unknown>, happened: () => boolean): Promise<void> {
  let over = false
  const ended = () => {
    over = true
  }
  restoring.then(ended, ended)
  while (!happened()) {
    if (over) throw new Error('the restore ended before what the test waits for')
    await sleep(2)
  }
}

async function killBackend(name: string): Promise<void> {
  await target.backend.sql(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = '${name}' AND application_name LIKE 'migrate-to-polardb restore%' ORDER BY random() LIMIT 1`,
  )
}

async function crashServer(): Promise<void> {
  await target.backend.down('immediate')
  await target.backend.up()
}

describe('a restore that is disturbed', () => {
  test.each(seeds)(
    'heals itself or is resumed, with the same rows at the end (seed %i)',
    async (seed) => {
      const name = `busy_${seed}`
      const next = randomNumbers(seed)
      let over = false
      let crashing = false
      const disturb = async () => {
        for (let blow = 0; blow < blows && !over; blow++) {
          await sleep(200 + next() * 900)
          // a crash after the restore would empty its unlogged table, and nobody is there to fill it again
          if (over) return
          const kind = next()
          if (kind < 0.4) killPgRestore()
          else if (kind < 0.8) await killBackend(name).catch(() => {})
          else {
            crashing = true
            await crashServer()
            crashing = false
          }
        }
      }
      const disturbing = disturb()
      try {
        await harness.restore(dump, target, { targetName: name })
      } catch {
        await disturbing
        await harness.restore(dump, target, { targetName: name, ifNotEmpty: 'resume' })
      }
      over = true
      const crashed = crashing
      await disturbing
      // the crash came after its end, and emptied what is unlogged
      if (crashed) await harness.restore(dump, target, { targetName: name, ifNotEmpty: 'replace' })
      await expectWhole(name)
    },
  )

  test('fills unlogged tables again when the server crashes after they were loaded', async () => {
    const name = 'busy_crashed'
    const seen = harness.context.progressLines.length
    const restoring = harness.restore(dump, target, { targetName: name })
    const lines = () => harness.context.progressLines.slice(seen)
    // every row is in, keys and triggers are being made
    await until(restoring, () =>
      lines().some((line) => /, ([\d.]+ \w+) of \1\b.*now (CONSTRAINT|INDEX)/.test(line)),
    )
    await crashServer()
    const { result } = await restoring
    expect(result.attempts).toBeGreaterThan(1)
    await expectWhole(name)
  })

  test.each([['--rows-per-insert=200'], ['--load-via-partition-root']])(
    'doubles no row of a dump with %s, whose tables are not loaded at one stroke',
    async (option) => {
      const name = `busy_${option.replace(/\W+/g, '_')}`
      const other = await harness.dump(source, 'busy', [option])
      const seen = harness.context.progressLines.length
      const restoring = harness.restore(other, target, { targetName: name, proven: true })
      const loading = () =>
        harness.context.progressLines
          .slice(seen)
          .some((line) => /TABLE DATA app.(big|parted)/.test(line))
      await until(restoring, loading)
      await sleep(100)
      await until(restoring, killPgRestore)
      const { result } = await restoring
      expect(result.attempts).toBeGreaterThan(1)
      await expectWhole(name)
    },
  )

  test('is resumed by another job after its own died in the middle', async () => {
    const name = 'busy_cancelled'
    const died = await Harness.open(15)
    if (!died) throw new Error('the client programs of 15 are missing')
    const options = await harness.options(dump, target, { targetName: name })
    const plan = await planRestore(options, died.context)
    const running = restoreDatabase(options, plan, died.context)
    // as soon as rows are being loaded
    await until(running, () =>
      died.context.progressLines.some((line) => line.includes('now TABLE DATA')),
    )
    died.context.controller.abort()
    await expect(running).rejects.toThrow('cancelled')
    // nothing of it works on, neither here nor on the server
    expect(killPgRestore()).toBe(false)
    const { rows } = await target.backend.sql(
      `SELECT application_name FROM pg_stat_activity WHERE datname = '${name}' AND state <> 'idle'`,
    )
    expect(rows).toEqual([])
    expect(await membershipsOf(target)).toEqual([])
    await expect(harness.restore(dump, target, { targetName: name })).rejects.toThrow(
      'is not empty',
    )
    await harness.restore(dump, target, { targetName: name, ifNotEmpty: 'resume' })
    await died.close()
    await expectWhole(name)
  })

  test('is resumed when nothing is left to do, and changes nothing', async () => {
    const name = 'busy_late'
    const options = await harness.options(dump, target, { targetName: name })
    const plan = await planRestore(options, harness.context)
    // the job dies just before it would have given its rights back
    await restoreDatabase(options, plan, harness.context)
    await harness.restore(dump, target, { targetName: name, ifNotEmpty: 'resume' })
    await expectWhole(name)
  })
})
