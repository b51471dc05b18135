import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { markSchema } from '../../src/migration/restore/database/mark.ts'
import { planRestore } from '../../src/migration/restore/plan-restore.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy } from '../support/proxy.ts'
import { randomNumbers } from '../support/random.ts'
import {
  behind,
  createRoles,
  type Dump,
  Harness,
  killPgRestore,
  membershipsOf,
  type RestoreTarget,
  restoreDatabase,
  rowsOf,
} from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

/** Runs with different seeds; RESTORE_SEEDS asks for more of them. */
const seeds = Array.from(
  { length: Number(process.env.RESTORE_SEEDS ?? 2) },
  (_, index) => index + 1,
)
const blows = 5

let source: TestServer
let target: PlainTarget
let proxy: TcpProxy
/** The target through the proxy, which tells when a statement goes by. */
let far: RestoreTarget
let harness: Harness
let dump: Dump
let expected: Map<string, string>

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  source = await TestServer.start(15)
  target = await startPlainTarget(15)
  proxy = await TcpProxy.start(target.port)
  far = behind(proxy, target)
  await source.sql('CREATE ROLE app_owner; CREATE ROLE app_reader')
  await source.sql('CREATE DATABASE busy OWNER app_owner')
  await source.sql(
    `CREATE SCHEMA app AUTHORIZATION app_owner;
     SET ROLE app_owner;
     CREATE TABLE app.big (id serial PRIMARY KEY, t text, u uuid);
     INSERT INTO app.big (t, u) SELECT repeat(md5(g::text), 3), md5(g::text)::uuid FROM generate_series(1, 30000) g;
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

afterEach(() => proxy.calm())

afterAll(async () => {
  await proxy?.stop()
  await harness?.close()
  await source?.stop()
  await target?.stop()
})

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

/** What a blow waits for: loads, indexes, keys and grants, of which a restore sends some two hundred. */
const statement = /COPY app\.|CREATE (UNIQUE )?INDEX|ADD CONSTRAINT|GRANT /

describe('a restore that is disturbed', () => {
  test.each(seeds)(
    'heals itself or is resumed, with the same rows at the end (seed %i)',
    async (seed) => {
      const name = `busy_${seed}`
      const next = randomNumbers(seed)
      const ended = Promise.withResolvers<void>()
      let over = false
      const disturb = async () => {
        for (let blow = 0; blow < blows; blow++) {
          const kind = next()
          for (let skipped = Math.floor(next() * 40); skipped > 0 && !over; skipped--)
            await Promise.race([proxy.when(statement, 'none'), ended.promise])
          // a crash after the end would empty its unlogged table, and nobody is there to fill it again: a load stands still for it
          const met = kind < 0.8 ? undefined : proxy.when(/COPY app\.(big|twin)/, 'stall')
          await Promise.race([met, ended.promise])
          if (over) return
          if (kind < 0.4) killPgRestore()
          else if (kind < 0.8) await killBackend(name).catch(() => {})
          else await crashServer()
          proxy.closeStalled()
        }
      }
      const disturbing = disturb()
      let failed = false
      try {
        await harness.restore(dump, far, { targetName: name, analyze: true })
      } catch {
        failed = true
      }
      over = true
      ended.resolve()
      await disturbing
      if (failed) await harness.restore(dump, target, { targetName: name, ifNotEmpty: 'resume' })
      await expectWhole(name)
    },
  )

  test('fills unlogged tables again when the server crashes after they were loaded', async () => {
    const name = 'busy_crashed'
    // a key that is made once the rows are in, and without which nothing is at its end
    const met = proxy.when(/FOREIGN KEY/, 'stall')
    const restoring = harness.restore(dump, far, { targetName: name })
    await Promise.race([met, restoring])
    const isLoaded = async () =>
      (await target.backend.sql('SELECT FROM app.volatile', name)).rowCount === 2000
    while (!(await isLoaded())) await sleep(20)
    await crashServer()
    proxy.closeStalled()
    const { result } = await restoring
    expect(result.attempts).toBeGreaterThan(1)
    await expectWhole(name)
  })

  test.each([
    ['--rows-per-insert=200', /INSERT INTO app\.big/],
    ['--load-via-partition-root', /COPY app\.parted /],
  ])(
    'doubles no row of a dump with %s, whose tables are not loaded at one stroke',
    async (option, load) => {
      const name = `busy_${option.replace(/\W+/g, '_')}`
      const other = await harness.dump(source, 'busy', [option])
      // some of it is in already
      const met = proxy.nth(2, load, 'stall')
      const restoring = harness.restore(other, far, { targetName: name, proven: true })
      await Promise.race([met, restoring])
      expect(killPgRestore()).toBe(true)
      proxy.closeStalled()
      const { result } = await restoring
      expect(result.attempts).toBeGreaterThan(1)
      await expectWhole(name)
    },
  )

  test('is resumed by another job after its own died in the middle', async () => {
    const name = 'busy_cancelled'
    const died = await Harness.open(15)
    if (!died) throw new Error('the client programs of 15 are missing')
    const options = await harness.options(dump, far, { targetName: name })
    const plan = await planRestore(options, died.context)
    // while rows are being loaded, slowly
    const met = proxy.when(/COPY app\.big /, 'slow')
    const running = restoreDatabase(options, plan, died.context)
    await Promise.race([met, running])
    died.context.controller.abort()
    await expect(running).rejects.toThrow('cancelled')
    // nothing of it works on, neither here nor on the server, which may need a moment to notice
    expect(killPgRestore()).toBe(false)
    const atWork = `SELECT FROM pg_stat_activity WHERE datname = '${name}' AND state <> 'idle'`
    while ((await target.backend.sql(atWork)).rowCount !== 0) await sleep(20)
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
