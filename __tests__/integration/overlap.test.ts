import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Cancelled, Failure } from '../../src/failure.ts'
import type { Run } from '../../src/migration/run.ts'
import type { PhaseResult, Report } from '../../src/report/model.ts'
import { clientDirectory } from '../support/clients.ts'
import { isRestoredEarly, tinyParts } from '../support/dump-in-parts.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { digestRows, membershipsOf } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'
import { SmallDisk } from '../support/small-disk.ts'

let source: TestServer
let target: PlainTarget
/** The source behind a network that does what it is told. */
let proxy: TcpProxy
let client: string
let directory: string

/** Tables that depend on one another in every way that a restore must mind, each in an archive of its own, and the rest. */
const shop = `
  CREATE SCHEMA app AUTHORIZATION app;
  SET ROLE app;
  CREATE TABLE app.big (id serial PRIMARY KEY, t text, tags text[]);
  INSERT INTO app.big (t, tags) SELECT repeat(md5(g::text), 3), ARRAY[md5(g::text), 'x'] FROM generate_series(1, 60000) g;
  CREATE INDEX ON app.big USING gin (tags);
  CREATE INDEX ON app.big (t);
  CREATE TABLE app.twin AS TABLE app.big;
  ALTER TABLE app.twin ADD PRIMARY KEY (id);
  ALTER TABLE app.twin ADD FOREIGN KEY (id) REFERENCES app.big;
  CREATE TABLE app.parted (k int, v text) PARTITION BY RANGE (k);
  CREATE TABLE app.parted_1 PARTITION OF app.parted FOR VALUES FROM (0) TO (5000);
  CREATE TABLE app.parted_2 PARTITION OF app.parted FOR VALUES FROM (5000) TO (10000);
  INSERT INTO app.parted SELECT g, 'v' FROM generate_series(0, 9999) g;
  ALTER TABLE app.parted ADD PRIMARY KEY (k);
  CREATE TABLE app.hidden (a int); INSERT INTO app.hidden SELECT generate_series(1, 100);
  ALTER TABLE app.hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY nobody ON app.hidden USING (false);
  CREATE FUNCTION app.spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.t := 'spoilt'; RETURN NEW; END $$;
  CREATE UNLOGGED TABLE app.volatile (id serial PRIMARY KEY, t text);
  INSERT INTO app.volatile (t) SELECT 'v' || g FROM generate_series(1, 2000) g;
  CREATE TRIGGER spoil BEFORE INSERT ON app.volatile FOR EACH ROW EXECUTE FUNCTION app.spoil();
  CREATE MATERIALIZED VIEW app.summary AS SELECT count(*) FROM app.big;
  CREATE TABLE app.empty (id int PRIMARY KEY, big int REFERENCES app.big);
  DO $$ BEGIN FOR i IN 1..20 LOOP
    EXECUTE format('CREATE TABLE app.small_%s (id int PRIMARY KEY, t text UNIQUE)', i);
    EXECUTE format('INSERT INTO app.small_%s SELECT g, md5(g::text) FROM generate_series(1, %s) g', i, i * 5);
    EXECUTE format('GRANT SELECT ON app.small_%s TO reader', i);
  END LOOP; END $$;
  CREATE FUNCTION app.others() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.small_1';
  CREATE TABLE app.checked (a int CHECK (app.others() > 0), t text);
  INSERT INTO app.checked SELECT g, repeat(md5(g::text), 5) FROM generate_series(1, 20000) g;
  RESET ROLE;
  SELECT lo_from_bytea(9001, decode(repeat('ab', 100000), 'hex'));
  COMMENT ON LARGE OBJECT 9001 IS 'large';`

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 are missing')
  client = found
  directory = await mkdtemp(join(tmpdir(), 'overlap-'))
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
  proxy = await TcpProxy.start(source.port)
  await source.sql(`CREATE ROLE app LOGIN PASSWORD 'app secret'; CREATE ROLE reader`)
  for (const name of ['shop', 'stock']) await source.sql(`CREATE DATABASE ${name} OWNER app`)
  await source.sql(shop, 'shop')
  await source.sql(
    `CREATE TABLE s1 (id int PRIMARY KEY); INSERT INTO s1 SELECT generate_series(1, 5000); CREATE TABLE s2 AS TABLE s1`,
    'stock',
  )
})

afterEach(async () => {
  proxy.calm()
  for (const name of ['shop', 'stock'])
    await target.backend.sql(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
})

afterAll(async () => {
  await proxy?.stop()
  await source?.stop()
  await target?.stop()
  await rm(directory, { recursive: true, force: true })
})

const migrate = (more: Record<string, string> = {}, changes: Partial<Run> = {}) =>
  runInProcess(
    {
      command: 'migrate',
      source: through(proxy, source.uri()),
      target: target.uri(),
      databases: 'shop',
      'client-path': client,
      'allow-missing': '*',
      'upload-dump': 'false',
      ...more,
    },
    { partSizes: tinyParts, pauses: [0.2, 0.2, 0.2], ...changes },
  )

/** Keeps the dump where the test finds it. */
const kept = (name: string) => ({
  'dump-directory': join(directory, name),
  'keep-dump': 'true',
})

const restore = (name: string, more: Record<string, string> = {}) =>
  runInProcess({
    command: 'restore',
    target: target.uri(),
    'client-path': client,
    'allow-missing': '*',
    'if-target-not-empty': 'resume',
    ...kept(name),
    ...more,
  })

const phase = ({ phases }: Report, name: string, database?: string) =>
  phases.filter((one) => one.name === name && (!database || one.database === database))

const endOf = (phases: PhaseResult[]) =>
  Math.max(...phases.map(({ startedAt, seconds }) => startedAt + seconds))
const startOf = (phases: PhaseResult[]) => Math.min(...phases.map(({ startedAt }) => startedAt))

function expectOverlap(report: Report, database: string): void {
  expect(isRestoredEarly(report, database)).toBe(true)
}

async function rowsIn(server: TestServer, database: string): Promise<Map<string, string>> {
  const connection = await server.connect(database)
  try {
    return await digestRows(connection)
  } finally {
    await connection.end()
  }
}

/** The target has every row, nothing of ours is left in it or in force, and the run says that it is verified. */
async function expectWhole({ error, report }: CommandResult, ...databases: string[]) {
  if (error) throw error instanceof Failure ? new Error(error.line) : error
  expect(report.verified).toBe(true)
  for (const database of databases) {
    expect(await rowsIn(target.backend, database)).toEqual(await rowsIn(source, database))
    expect(await schemasIn(database)).toEqual([])
  }
  await expectNothingLent()
}

async function expectNothingLent(): Promise<void> {
  expect(await membershipsOf(target)).toEqual([])
  const { rows } = await target.backend.sql(
    `SELECT rolname FROM pg_roles WHERE rolname LIKE 'migrate_to_polardb%' AND rolcanlogin
     UNION ALL SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'migrate-to-polardb%'`,
  )
  expect(rows).toEqual([])
}

const schemasIn = async (database: string) =>
  (
    await target.backend.sql(
      `SELECT nspname FROM pg_namespace WHERE nspname = 'migrate-to-polardb'`,
      database,
    )
  ).rows

const targets = async () =>
  (
    await target.backend.sql(
      `SELECT datname FROM pg_database WHERE datname IN ('shop', 'stock') ORDER BY 1`,
    )
  ).rows.map(({ datname }) => datname as string)

/** Rows of one of the archives: others are complete by then, and the restore has begun. */
const atTheRest = /COPY app\.small_20 /

describe('a database that is dumped in parts', () => {
  test('is restored while it is dumped, and verified when the dump is sealed', async () => {
    const result = await migrate({ databases: 'shop,stock', ...kept('plain') })
    await expectWhole(result, 'shop', 'stock')
    const { report, lines } = result
    for (const database of ['shop', 'stock']) expectOverlap(report, database)
    expect(startOf(phase(report, 'verify'))).toBeGreaterThanOrEqual(endOf(phase(report, 'dump')))
    const at = (pattern: RegExp) => lines.findIndex((line) => pattern.test(line))
    expect(at(/▶ restore shop/)).toBeLessThan(at(/Dumped shop/))
    expect(at(/The dump has the id/)).toBeLessThan(at(/▶ verify shop/))
    expect(lines.filter((line) => /▶ restore-roles/.test(line))).toHaveLength(1)
    const archives = await readdir(join(directory, 'plain', 'databases', 'shop'))
    expect(archives.length).toBeGreaterThan(3)
    // the same dump by itself
    await target.backend.sql('DROP DATABASE shop')
    await target.backend.sql('DROP DATABASE stock')
    await expectWhole(await restore('plain'), 'shop', 'stock')
  })
})

describe('when something goes wrong', () => {
  test.each(['new', 'empty'] as const)(
    'a moment that is lost is made up for, into a database that is %s',
    async (kind) => {
      if (kind === 'empty') await createEmpty()
      const before = await oidOf('shop')
      const met = proxy.when(atTheRest, 'none').then(() => proxy.disturb('cut'))
      const result = await migrate()
      await expectWhole(result, 'shop')
      await met
      expect(result.report.warnings.join()).toContain(
        'is removed from the target, and restored again',
      )
      expect(phase(result.report, 'restore', 'shop')).toHaveLength(2)
      // what was there is emptied and used, what was made is dropped and made again
      if (kind === 'empty') expect(await oidOf('shop')).toBe(before)
      expect(result.lines.join('\n')).toMatch(kind === 'empty' ? /Emptied shop/ : /Dropped shop/)
    },
  )

  test.each(['new', 'empty'] as const)(
    'a dump that fails ends the restore, and leaves the target as it was: %s',
    async (kind) => {
      if (kind === 'empty') await createEmpty()
      const cable = await TcpProxy.start(source.port)
      void cable.when(atTheRest, 'none').then(() => cable.stop())
      const { error, report } = await migrate({ source: through(cable, source.uri()) })
      expect(error).toBeInstanceOf(Failure)
      expect(report.verified).toBe(false)
      expectOverlap(report, 'shop')
      expect(await targets()).toEqual(kind === 'empty' ? ['shop'] : [])
      if (kind === 'empty') {
        expect(await schemasIn('shop')).toEqual([])
        const { rows } = await target.backend.sql(
          `SELECT relname FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'S')`,
          'shop',
        )
        expect(rows).toEqual([])
      }
      await expectNothingLent()
    },
  )

  test('a dump that fails when another database is restored leaves no role that could log in', async () => {
    await createEmpty()
    const cable = await TcpProxy.start(source.port)
    const met = cable.when(/COPY public\.s2 /, 'stall').then(async () => {
      while ((await restoredIn('shop')) === 0) await sleep(50)
      await cable.stop()
    })
    const { error, lines } = await migrate({
      source: through(cable, source.uri()),
      databases: 'shop,stock',
    })
    await met
    expect(error).toBeInstanceOf(Failure)
    expect(lines.join('\n')).toContain('Restored shop into shop')
    expect(await schemasIn('shop')).toEqual([])
    await expectNothingLent()
  })

  test('a restore that fails lets the dump finish, which is then gone on with', async () => {
    // rows that the target refuses until its superuser says otherwise
    await source.sql(
      `CREATE TABLE app.refused (a int CHECK (current_setting('my.allowed', true) IS DISTINCT FROM 'no'));
       INSERT INTO app.refused SELECT generate_series(1, 1000)`,
      'shop',
    )
    try {
      await createEmpty()
      await target.backend.sql(`ALTER DATABASE shop SET my.allowed TO 'no'`)
      const { error, report } = await migrate(kept('refused'))
      expect(error).toBeInstanceOf(Failure)
      expect((error as Failure).line).toContain('app.refused')
      expect((error as Failure).remedy).toContain(`dump-directory: ${join(directory, 'refused')}`)
      expect((error as Failure).remedy).toContain('if-target-not-empty: resume')
      expect(report.dump?.id).toBeDefined()
      expect(phase(report, 'dump', 'shop')).toMatchObject([{ status: 'succeeded' }])
      expect(phase(report, 'verify')).toEqual([])
      await expectNothingLent()
      await target.backend.sql(`ALTER DATABASE shop RESET my.allowed`)
      await expectWhole(await restore('refused'), 'shop')
    } finally {
      await source.sql('DROP TABLE app.refused', 'shop')
    }
  })

  test('a job that is cancelled while both are at work leaves nothing that works, and its mark', async () => {
    const cancel = new AbortController()
    void proxy.when(atTheRest, 'stall').then(() => cancel.abort(new Cancelled()))
    const began = performance.now()
    const { error } = await migrate({}, { signal: cancel.signal })
    expect(error).toBeInstanceOf(Cancelled)
    expect(performance.now() - began).toBeLessThan(120_000)
    await expectNothingLent()
    expect(await schemasIn('shop')).toHaveLength(1)
  })

  test('a job that is cancelled when the source does not answer any more ends soon', async () => {
    const cable = await TcpProxy.start(source.port)
    const cancel = new AbortController()
    const late = cable.when(atTheRest, 'stall').then(async () => {
      cable.deaf = true
      cable.disturb('stall')
      cancel.abort(new Cancelled())
      // minutes pass before a session is given up whose peer is silent
      return await sleep(60_000, 'it goes on', { ref: false })
    })
    const ended = migrate({ source: through(cable, source.uri()) }, { signal: cancel.signal })
    const first = await Promise.race([ended, late])
    await cable.stop()
    expect(first).toMatchObject({ error: expect.any(Cancelled) })
    await ended
  })

  test('a disk that is full ends the dump, and the restore with it', async () => {
    const disk = SmallDisk.make(200 * 1024 * 1024)
    if (!disk) return process.stderr.write('skipped: no file system can be mounted here\n')
    try {
      void proxy.when(atTheRest, 'none').then(() => disk.fill())
      const { error } = await migrate({ 'dump-directory': join(disk.path, 'dump') })
      expect((error as Failure).message).toBe('The disk of the runner is full')
      expect(await targets()).toEqual([])
      await expectNothingLent()
    } finally {
      disk.remove()
    }
  })

  test('sessions and programs that are killed on the target are made up for', async () => {
    const killing = (async () => {
      for (let kills = 0; kills < 3; ) {
        const { rows } = await target.backend.sql(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = 'shop' AND application_name LIKE 'migrate-to-polardb restore%' AND state = 'active' AND query ~ 'COPY|CREATE|ALTER'`,
        )
        if (rows.length > 0) kills++
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    })()
    const result = await migrate()
    await killing
    await expectWhole(result, 'shop')
    expect(result.report.databases[0]?.restore?.attempts).toBeGreaterThan(1)
  })
})

describe('with', () => {
  test('swap: is built beside the old database, and exchanged when all is verified', async () => {
    await expectWhole(await migrate(), 'shop')
    const before = await oidOf('shop')
    const result = await migrate({ 'if-target-not-empty': 'swap', 'drop-swapped': 'true' })
    await expectWhole(result, 'shop')
    expectOverlap(result.report, 'shop')
    expect(await oidOf('shop')).not.toBe(before)
    expect(startOf(phase(result.report, 'swap'))).toBeGreaterThanOrEqual(
      endOf(phase(result.report, 'verify')),
    )
  })

  test('replace: nothing is touched before the dump is sealed', async () => {
    await expectWhole(await migrate(), 'shop')
    const result = await migrate({ 'if-target-not-empty': 'replace' })
    await expectWhole(result, 'shop')
    expect(startOf(phase(result.report, 'restore'))).toBeGreaterThanOrEqual(
      endOf(phase(result.report, 'dump')),
    )
    expect(result.lines.join('\n')).toContain('replace drops nothing before there is a dump')
  })

  test('resume of what an earlier run has begun: it is gone on with when the dump is complete', async () => {
    await createEmpty()
    const into = await migrate({ 'if-target-not-empty': 'resume' })
    await expectWhole(into, 'shop')
    expectOverlap(into.report, 'shop')
    await target.backend.sql('DROP DATABASE shop')
    // what a run has begun that was cancelled
    const cancel = new AbortController()
    void proxy.when(atTheRest, 'stall').then(() => cancel.abort(new Cancelled()))
    await migrate({}, { signal: cancel.signal })
    const { error, lines } = await migrate({ 'if-target-not-empty': 'resume' })
    expect(lines.join('\n')).toContain('is gone on with, as if-target-not-empty: resume says')
    expect((error as Failure).line).toContain('It was begun with another dump')
  })

  test('a frozen source: is watched to the end of the dump', async () => {
    const good = await migrate({ 'freeze-source': 'true', ...kept('frozen') }, { sample: 300 })
    await expectWhole(good, 'shop')
    expectOverlap(good.report, 'shop')
    const { error } = await runInProcess({
      command: 'unfreeze',
      source: source.uri(),
      databases: 'shop',
      'client-path': client,
    })
    expect(error).toBeUndefined()
  })

  test('a frozen source that is written to: the run fails, and what was restored is removed', async () => {
    const written = proxy.when(atTheRest, 'none').then(async () => {
      const writer = await source.connect('shop')
      await writer.query('SET default_transaction_read_only TO off')
      await writer.query('UPDATE app.small_1 SET t = t WHERE id = 1')
      await writer.end()
    })
    const { error, report } = await migrate({ 'freeze-source': 'true' }, { sample: 300 })
    await written
    expect((error as Failure).message).toBe('The frozen source was written to')
    expect(phase(report, 'restore', 'shop')).toHaveLength(1)
    expect(report.dump).toBeUndefined()
    expect(await targets()).toEqual([])
    expect(report.freeze).toMatchObject({ frozen: false })
    await expectNothingLent()
  })

  test('a small database: it is dumped into one archive, and the log says why', async () => {
    const result = await runInProcess({
      command: 'migrate',
      source: source.uri(),
      target: target.uri(),
      databases: 'stock',
      'client-path': client,
      'allow-missing': '*',
      'upload-dump': 'false',
    })
    await expectWhole(result, 'stock')
    expect(result.lines.join('\n')).toMatch(/stock is dumped into one archive/)
  })

  test('a rehearsal: everything is restored early, verified, and removed again', async () => {
    const result = await migrate({ command: 'rehearse' })
    if (result.error) throw result.error
    expect(result.report.verified).toBe(true)
    expectOverlap(result.report, 'shop')
    expect(await targets()).toEqual([])
    await expectNothingLent()
  })
})

/** What somebody has made for the data to go to. */
async function createEmpty(): Promise<void> {
  await target.backend.sql(`CREATE DATABASE shop OWNER "${target.account}"`)
}

/** How many settings of its own a database has that is restored to the end. */
const restoredIn = async (name: string) =>
  (
    await target.backend.sql(
      `SELECT 1 FROM pg_class c WHERE c.relname = 'empty' AND pg_get_userbyid(c.relowner) = 'app'
        AND EXISTS (SELECT 1 FROM pg_matviews WHERE matviewname = 'summary' AND ispopulated)`,
      name,
    )
  ).rows.length

const oidOf = async (name: string) =>
  (await target.backend.sql(`SELECT oid FROM pg_database WHERE datname = '${name}'`)).rows[0]?.oid
