import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Cancelled, Failure } from '../../src/failure.ts'
import type { Run } from '../../src/migration/run.ts'
import type { PhaseResult, Report } from '../../src/report/model.ts'
import { isRestoredEarly } from '../support/dump-in-parts.ts'
import { runInProcess } from '../support/in-process.ts'
import { OverlapScene } from '../support/overlap-scene.ts'
import type { PlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import type { TestServer } from '../support/server.ts'
import { SmallDisk } from '../support/small-disk.ts'

let scene: OverlapScene
let source: TestServer
let target: PlainTarget
/** Before the source, and before the target. */
let proxy: TcpProxy
let far: TcpProxy
let client: string
let directory: string

/** Tables that depend on one another in every way that a restore must mind, each in an archive of its own, and the rest. */
const shop = `
  CREATE SCHEMA app AUTHORIZATION app;
  SET ROLE app;
  CREATE TABLE app.big (id serial PRIMARY KEY, t text, tags text[]);
  INSERT INTO app.big (t, tags) SELECT repeat(md5(g::text), 3), ARRAY[md5(g::text), 'x'] FROM generate_series(1, 6000) g;
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
  INSERT INTO app.checked SELECT g, repeat(md5(g::text), 5) FROM generate_series(1, 4000) g;
  RESET ROLE;
  SELECT lo_from_bytea(9001, decode(repeat('ab', 100000), 'hex'));
  COMMENT ON LARGE OBJECT 9001 IS 'large';`

beforeAll(async () => {
  scene = await OverlapScene.start({
    shop,
    stock: `CREATE TABLE s1 (id int PRIMARY KEY); INSERT INTO s1 SELECT generate_series(1, 5000); CREATE TABLE s2 AS TABLE s1`,
  })
  ;({ source, target, near: proxy, far, client, directory } = scene)
})

afterEach(() => scene.clear())

afterAll(() => scene?.stop())

const migrate = (more: Record<string, string> = {}, changes: Partial<Run> = {}) =>
  scene.migrate(more, changes)

const phase = ({ phases }: Report, name: string, database?: string) =>
  phases.filter((one) => one.name === name && (!database || one.database === database))

/** Both are rounded to a millisecond. */
const endOf = (phases: PhaseResult[]) =>
  Math.max(...phases.map(({ startedAt, seconds }) => startedAt + seconds)) - 0.002
const startOf = (phases: PhaseResult[]) => Math.min(...phases.map(({ startedAt }) => startedAt))

function expectOverlap(report: Report, database: string): void {
  expect(isRestoredEarly(report, database)).toBe(true)
}

/**
 * Rows of another archive are being loaded while the last one is being dumped, whichever half is the faster one: what is read of
 * the source is held until the proxy lets it go on.
 */
const bothAtWork = (before = proxy) =>
  Promise.all([before.when(/COPY app\.small_20 /, 'hold'), far.when(/COPY app\.big /, 'none')])

describe('a database that is dumped in parts', () => {
  test('is restored while it is dumped, and verified when the dump is sealed', async () => {
    void bothAtWork().then(() => proxy.release())
    const result = await migrate({ databases: 'shop,stock', ...scene.kept('plain') })
    await scene.expectWhole(result, 'shop', 'stock')
    const { report, lines } = result
    expectOverlap(report, 'shop')
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
    await scene.expectWhole(await scene.restore('plain'), 'shop', 'stock')
  })
})

describe('when something goes wrong', () => {
  test('a target whose database takes no change any more gets back what is not in it: nobody can log in as the role that loads', async () => {
    // what a full disk refuses, said by the database alone: what all databases share does change
    const full = far.when(/COPY app\.big /, 'hold').then(async () => {
      await target.backend.sql(
        `CREATE FUNCTION public.no_room() RETURNS event_trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
         CREATE EVENT TRIGGER no_room ON ddl_command_start EXECUTE FUNCTION public.no_room();
         ALTER EVENT TRIGGER no_room ENABLE ALWAYS`,
        'shop',
      )
      far.release()
    })
    const [{ error, report }] = await Promise.all([migrate(scene.kept('full')), full])
    expect((error as Failure).line).toMatch(/the disk of the server is full.*resume/)
    expect(await scene.marksIn('shop')).toHaveLength(1)
    await scene.expectNothingLent()
    expect(report.warnings.join()).not.toMatch(/temporary role|still/)
    await target.backend.sql('DROP EVENT TRIGGER no_room; DROP FUNCTION public.no_room()', 'shop')
    await scene.expectWhole(await scene.restore('full'), 'shop')
  })

  test.each(['new', 'empty'] as const)(
    'a moment that is lost is made up for, into a database that is %s',
    async (kind) => {
      if (kind === 'empty') await scene.createEmpty('shop')
      const before = await oidOf('shop')
      const met = bothAtWork().then(() => proxy.disturb('cut'))
      const result = await migrate()
      await scene.expectWhole(result, 'shop')
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

  test('a moment that is lost before anything is restored of it costs nothing but the time', async () => {
    // when its tables are to be held
    const met = proxy.when(/SAVEPOINT tables/, 'cut')
    const result = await migrate()
    await met
    await scene.expectWhole(result, 'shop')
    expect(result.report.warnings.join()).toMatch(/its dump is made again from the beginning$/)
    expect(isRestoredEarly(result.report, 'shop')).toBe(true)
    expect(phase(result.report, 'restore', 'shop')).toHaveLength(1)
  })

  test.each(['new', 'empty'] as const)(
    'a dump that fails ends the restore, and leaves the target as it was: %s',
    async (kind) => {
      if (kind === 'empty') await scene.createEmpty('shop')
      const cable = await TcpProxy.start(source.port)
      void bothAtWork(cable).then(() => cable.stop())
      const { error, report } = await migrate({ source: through(cable, source.uri()) })
      expect(error).toBeInstanceOf(Failure)
      expect(report.verified).toBe(false)
      expectOverlap(report, 'shop')
      expect(await scene.targets()).toEqual(kind === 'empty' ? ['shop'] : [])
      if (kind === 'empty') {
        expect(await scene.marksIn('shop')).toEqual([])
        const { rows } = await target.backend.sql(
          `SELECT relname FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'S')`,
          'shop',
        )
        expect(rows).toEqual([])
      }
      await scene.expectNothingLent()
    },
  )

  test('a dump that fails when another database is restored leaves no role that could log in', async () => {
    await scene.createEmpty('shop')
    const cable = await TcpProxy.start(source.port)
    const restored = Promise.withResolvers<void>()
    const say = (line: string) => {
      if (line.startsWith('Restored shop into shop')) restored.resolve()
    }
    const failing = Promise.all([cable.when(/COPY public\.s2 /, 'stall'), restored.promise]).then(
      () => cable.stop(),
    )
    const { error } = await migrate(
      { source: through(cable, source.uri()), databases: 'shop,stock' },
      { log: { debug: say, info: say, warning: say } },
    )
    await failing
    expect(error).toBeInstanceOf(Failure)
    expect(await scene.marksIn('shop')).toEqual([])
    await scene.expectNothingLent()
  })

  test('a restore that fails lets the dump finish, which is then gone on with', async () => {
    // rows that the target refuses until its superuser says otherwise
    await source.sql(
      `CREATE TABLE app.refused (a int CHECK (current_setting('my.allowed', true) IS DISTINCT FROM 'no'));
       INSERT INTO app.refused SELECT generate_series(1, 1000)`,
      'shop',
    )
    try {
      await scene.createEmpty('shop')
      await target.backend.sql(`ALTER DATABASE shop SET my.allowed TO 'no'`)
      const { error, report } = await migrate(scene.kept('refused'))
      expect(error).toBeInstanceOf(Failure)
      expect((error as Failure).line).toContain('app.refused')
      expect((error as Failure).remedy).toContain(`dump-directory: ${join(directory, 'refused')}`)
      expect((error as Failure).remedy).toContain('if-target-not-empty: resume')
      expect(report.dump?.id).toBeDefined()
      expect(phase(report, 'dump', 'shop')).toMatchObject([{ status: 'succeeded' }])
      expect(phase(report, 'verify')).toEqual([])
      await scene.expectNothingLent()
      await target.backend.sql(`ALTER DATABASE shop RESET my.allowed`)
      await scene.expectWhole(await scene.restore('refused'), 'shop')
    } finally {
      await source.sql('DROP TABLE app.refused', 'shop')
    }
  })

  test('a job that is cancelled while both are at work leaves nothing that works, and its mark', async () => {
    const cancel = new AbortController()
    void bothAtWork().then(() => cancel.abort(new Cancelled()))
    const { error } = await migrate({}, { signal: cancel.signal })
    expect(error).toBeInstanceOf(Cancelled)
    await scene.expectNothingLent()
    expect(await scene.marksIn('shop')).toHaveLength(1)
  })

  test('a job that is cancelled when the source does not answer any more ends soon', async () => {
    const cable = await TcpProxy.start(source.port)
    const cancel = new AbortController()
    const late = bothAtWork(cable).then(async () => {
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
      void bothAtWork().then(() => {
        disk.fill()
        proxy.release()
      })
      const { error } = await migrate({ 'dump-directory': join(disk.path, 'dump') })
      expect((error as Failure).message).toBe('The disk of the runner is full')
      expect(await scene.targets()).toEqual([])
      await scene.expectNothingLent()
    } finally {
      disk.remove()
    }
  })

  test('sessions and programs that are killed on the target are made up for', async () => {
    const running = migrate()
    for (const statement of [/COPY app\.big /, /CREATE INDEX/, /COPY app\.checked /]) {
      await Promise.race([far.when(statement, 'stall'), running])
      await target.backend.sql(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = 'shop' AND application_name LIKE 'migrate-to-polardb restore%'`,
      )
      far.closeStalled()
    }
    const result = await running
    await scene.expectWhole(result, 'shop')
    expect(result.report.databases[0]?.restore?.attempts).toBeGreaterThan(1)
  })
})

describe('with', () => {
  test('swap: is built beside the old database, and exchanged when all is verified', async () => {
    await scene.expectWhole(await migrate(), 'shop')
    const before = await oidOf('shop')
    void bothAtWork().then(() => proxy.release())
    const result = await migrate({ 'if-target-not-empty': 'swap', 'drop-swapped': 'true' })
    await scene.expectWhole(result, 'shop')
    expectOverlap(result.report, 'shop')
    expect(await oidOf('shop')).not.toBe(before)
    expect(startOf(phase(result.report, 'swap'))).toBeGreaterThanOrEqual(
      endOf(phase(result.report, 'verify')),
    )
  })

  test('replace: nothing is touched before the dump is sealed', async () => {
    await scene.expectWhole(await migrate(), 'shop')
    const result = await migrate({ 'if-target-not-empty': 'replace' })
    await scene.expectWhole(result, 'shop')
    expect(startOf(phase(result.report, 'restore'))).toBeGreaterThanOrEqual(
      endOf(phase(result.report, 'dump')),
    )
    expect(result.lines.join('\n')).toContain('replace drops nothing before there is a dump')
  })

  test('resume of what an earlier run has begun: it is gone on with when the dump is complete', async () => {
    await scene.createEmpty('shop')
    void bothAtWork().then(() => proxy.release())
    const into = await migrate({ 'if-target-not-empty': 'resume' })
    await scene.expectWhole(into, 'shop')
    expectOverlap(into.report, 'shop')
    await target.backend.sql('DROP DATABASE shop')
    // what a run has begun that was cancelled
    const cancel = new AbortController()
    void bothAtWork().then(() => cancel.abort(new Cancelled()))
    await migrate({}, { signal: cancel.signal })
    const { error, lines } = await migrate({ 'if-target-not-empty': 'resume' })
    expect(lines.join('\n')).toContain('is gone on with, as if-target-not-empty: resume says')
    expect((error as Failure).line).toContain('It was begun with another dump')
  })

  test('a frozen source: is watched to the end of the dump', async () => {
    void bothAtWork().then(() => proxy.release())
    const good = await migrate(
      { 'freeze-source': 'true', ...scene.kept('frozen') },
      { sample: 300 },
    )
    await scene.expectWhole(good, 'shop')
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
    const written = bothAtWork().then(async () => {
      const writer = await source.connect('shop')
      await writer.query('SET default_transaction_read_only TO off')
      await writer.query('UPDATE app.small_1 SET t = t WHERE id = 1')
      await writer.end()
      proxy.release()
    })
    const { error, report } = await migrate({ 'freeze-source': 'true' }, { sample: 300 })
    await written
    expect((error as Failure).message).toBe('The frozen source was written to')
    expect(phase(report, 'restore', 'shop')).toHaveLength(1)
    expect(report.dump).toBeUndefined()
    expect(await scene.targets()).toEqual([])
    expect(report.freeze).toMatchObject({ frozen: false })
    await scene.expectNothingLent()
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
    await scene.expectWhole(result, 'stock')
    expect(result.lines.join('\n')).toMatch(/stock is dumped into one archive/)
  })

  test('a rehearsal: everything is restored early, verified, and removed again', async () => {
    void bothAtWork().then(() => proxy.release())
    const result = await migrate({ command: 'rehearse' })
    if (result.error) throw result.error
    expect(result.report.verified).toBe(true)
    expectOverlap(result.report, 'shop')
    expect(await scene.targets()).toEqual([])
    await scene.expectNothingLent()
  })
})

const oidOf = async (name: string) =>
  (await target.backend.sql(`SELECT oid FROM pg_database WHERE datname = '${name}'`)).rows[0]?.oid
