import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { partSizes } from '../../src/migration/dump/part-sizes.ts'
import { isRestoredEarly, tinyParts } from '../support/dump-in-parts.ts'
import type { CommandResult } from '../support/in-process.ts'
import { OverlapScene } from '../support/overlap-scene.ts'
import type { Disturbance } from '../support/proxy.ts'
import { giveToServer } from '../support/server.ts'
import { SmallDisk } from '../support/small-disk.ts'

/** `bad` can be built in the database of this name alone: nobody sees it before the target tries. */
const shop = `
  CREATE SCHEMA app AUTHORIZATION app;
  SET ROLE app;
  CREATE FUNCTION app.here(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN IF pg_catalog.current_database() <> 'shop' THEN RAISE EXCEPTION 'not here'; END IF; RETURN $1; END $$;
  CREATE TABLE app.big (id serial PRIMARY KEY, t text);
  INSERT INTO app.big (t) SELECT repeat(md5(g::text), 9) FROM generate_series(1, 3000) g;
  CREATE INDEX good ON app.big (t);
  CREATE INDEX bad ON app.big (app.here(id));
  CREATE TABLE app.twin (id int PRIMARY KEY REFERENCES app.big, t text);
  INSERT INTO app.twin SELECT id, t FROM app.big WHERE id <= 2000;
  CREATE TABLE app.last (id int PRIMARY KEY);
  INSERT INTO app.last SELECT generate_series(1, 100);
  RESET ROLE;
  SELECT lo_from_bytea(9001, decode(repeat('ab', 5000), 'hex'))`

let scene: OverlapScene

beforeAll(async () => {
  scene = await OverlapScene.start({
    shop,
    stock: 'CREATE TABLE s1 (id int PRIMARY KEY); INSERT INTO s1 SELECT generate_series(1, 500)',
    elsewhere: '',
  })
})

afterEach(() => scene.clear())

afterAll(() => scene?.stop())

/** Holds the dump before its end until that is met, which it must be before the run ends. */
async function during(met: Promise<void>, migrate = () => scene.migrate()): Promise<CommandResult> {
  const held = scene.near.when(/COPY app\.last /, 'hold')
  const running = migrate()
  const both = Promise.all([held, met]).then(() => undefined)
  const ended = await Promise.race([both, running])
  scene.near.release()
  const result = await running
  // the server's side of a connection whose answer was lost
  scene.far.close()
  if (ended) throw result.error ?? new Error('the run has ended, and has not met the fault')
  return result
}

describe('what happens to the target while the dump goes on', () => {
  test.each<[Disturbance, string, RegExp]>([
    ['swallow', 'the database is created', /CREATE DATABASE/],
    ['cut', 'it is marked', /CREATE SCHEMA "migrate-to-polardb"/],
    ['cut', 'rows are loaded', /COPY app\.big /],
    ['reset', 'an index is built', /CREATE INDEX good/],
    ['swallow', 'a key is made', /twin_pkey/],
  ])(
    'a connection that is lost (%s) while %s is made up for',
    async (disturbance, _, statement) => {
      const result = await during(scene.far.when(statement, disturbance))
      await scene.expectWhole(result, 'shop')
      expect(isRestoredEarly(result.report, 'shop')).toBe(true)
      expect(result.report.phases.filter(({ name }) => name === 'dump')).toHaveLength(1)
    },
  )

  test('a crash is made up for', async () => {
    const { far, target } = scene
    const crashed = far.when(/COPY app\.big /, 'stall').then(async () => {
      await target.backend.down('immediate')
      await target.backend.up()
      // what was stalled does not tell its client by itself that the server has gone
      far.closeStalled()
    })
    const patiently = () => scene.migrate({}, { pauses: [0.5, 1, 2, 4, 8] })
    await scene.expectWhole(await during(crashed, patiently), 'shop')
  })

  test('somebody who holds a table there is waited for', async () => {
    const { far, target } = scene
    const waited = far.when(/COPY app\.big /, 'none').then(async () => {
      const other = await target.backend.connect('shop')
      await other.query('BEGIN; LOCK TABLE app.big IN ACCESS EXCLUSIVE MODE')
      const waiting = `SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'app.big'::regclass`
      while (!(await target.backend.sql(waiting, 'shop')).rowCount) await sleep(20)
      await other.end()
    })
    await scene.expectWhole(await during(waited), 'shop')
  })

  test('a role to load that is not let in is done without, and told', async () => {
    const { account, backend } = scene.target
    const { rows } = await backend.sql('SHOW hba_file')
    const before = await readFile(String(rows[0]?.hba_file), 'utf8')
    const admit = async (lines: string) => {
      await backend.write('pg_hba.conf', lines)
      await backend.down()
      await backend.up()
    }
    try {
      await admit(`local all all trust\nhost all ${account},${backend.superuser} all md5\n`)
      const met = scene.far.when(/COPY app\.big /, 'none')
      const result = await during(met)
      await scene.expectWhole(result, 'shop')
      expect(result.report.warnings.join()).toMatch(
        /with the rights of the account.* the server does not let it in/,
      )
    } finally {
      await admit(before)
    }
  })

  test('its disk that is full ends the restore, and the dump is gone on with', async () => {
    const disk = SmallDisk.make(60 * 1024 * 1024)
    if (!disk) return process.stderr.write('skipped: no file system can be mounted here\n')
    const { far, target } = scene
    try {
      giveToServer(disk.path)
      await target.backend.sql(`CREATE TABLESPACE small LOCATION '${disk.path}'`)
      await target.backend.sql(`CREATE DATABASE shop OWNER "${target.account}" TABLESPACE small`)
      let empty = () => {}
      const full = far.when(/COPY app\.twin /, 'none').then(() => {
        empty = disk.fill()
      })
      const { error, report } = await during(full, () => scene.migrate(scene.kept('full')))
      expect((error as Failure).line).toMatch(/the disk of the server is full.*Enlarge the storage/)
      expect((error as Failure).remedy).toContain('if-target-not-empty: resume')
      expect(report.verified).toBe(false)
      expect(report.dump?.id).toBeDefined()
      // the mark takes no change on a full disk, but roles do
      await scene.expectNothingLent()
      expect(report.warnings.join()).not.toMatch(/temporary role|still/)
      empty()
      await scene.expectWhole(await scene.restore('full'), 'shop')
    } finally {
      await target.backend.sql('DROP DATABASE IF EXISTS shop WITH (FORCE)')
      await target.backend.sql('DROP TABLESPACE IF EXISTS small')
      disk.remove()
    }
  })
})

test.each<[Disturbance, string, RegExp]>([
  ['cut', 'statistics are collected', /ANALYZE/],
  ['reset', 'objects go to their owners', /OWNER TO/],
  ['cut', 'a reference is checked', /VALIDATE CONSTRAINT|FOREIGN KEY/],
  ['cut', 'its rows are compared', /SELECT 0 AS i/],
])(
  'a connection to the target that is lost (%s) while %s is made up for',
  async (disturbance, _, statement) => {
    const met = scene.far.when(statement, disturbance)
    const result = await scene.migrate()
    await met
    await scene.expectWhole(result, 'shop')
  },
)

describe.each([
  ['while it is dumped', tinyParts],
  ['when it is dumped', partSizes],
])('a database that is restored %s', (when, sizes) => {
  const name = when.replaceAll(' ', '-')
  const migrate = (more: Record<string, string>) => scene.migrate(more, { partSizes: sizes })

  /** Nothing is proven, nothing of ours is in force, and there is a dump to go on with, which the message says. */
  async function expectKept({ error, report }: CommandResult): Promise<Failure> {
    if (!(error instanceof Failure)) throw error ?? new Error('it has not failed')
    expect(report.verified).toBe(false)
    expect(report.dump?.id).toBeDefined()
    await scene.expectNothingLent()
    return error
  }

  test('and of which something is refused late fails alone, and is named', async () => {
    const result = await migrate({
      databases: 'stock,shop=elsewhere',
      'allow-missing': 'LOGIN *',
      ...scene.kept(`refused-${name}`),
    })
    const { message, remedy } = await expectKept(result)
    expect(message).toContain('INDEX app.bad')
    expect(remedy).toContain(`dump-directory: ${join(scene.directory, `refused-${name}`)}`)
    const { databases } = result.report
    expect(databases.map((one) => [one.name, one.verified])).toEqual([
      ['stock', true],
      ['shop', false],
    ])
    expect(databases[1]?.restore?.failed.map(({ entry }) => entry)).toEqual(['INDEX app.bad'])
  })

  test('and of which something is refused late that may be missing is verified with that loss', async () => {
    const { error, report } = await migrate({
      databases: 'shop=elsewhere',
      'allow-missing': 'LOGIN *\nINDEX app.bad',
    })
    expect(error).toBeUndefined()
    expect(report.verified).toBe(true)
    expect(report.losses.map(({ entry }) => entry)).toEqual(['INDEX app.bad'])
    await scene.expectNothingLent()
  })

  test('and changed by somebody before it is compared is not verified', async () => {
    const { far, target } = scene
    const changed = far.when(/ANALYZE .*big/, 'stall').then(async () => {
      await target.backend.sql(`UPDATE app.big SET t = 'changed' WHERE id = 7`, 'shop')
      far.closeStalled()
    })
    const result = await migrate(scene.kept(`changed-${name}`))
    await changed
    expect((await expectKept(result)).message).toContain('differs')
    const { tables } = result.report.databases[0] ?? {}
    expect(tables?.filter(({ match }) => !match).map((one) => one.name)).toEqual(['big'])
  })

  test('and whose dump cannot be uploaded is verified, and the run fails', async () => {
    const { error, report } = await migrate({ 'upload-dump': 'true' })
    expect((error as Failure).message).toBe('The dump cannot be kept as an artifact here')
    expect(report.verified).toBe(true)
    await scene.expectNothingLent()
  })

  test('and whose dump cannot be sealed is not on the target', async () => {
    const kept = scene.kept(`unsealed-${name}`)
    // where its manifest is to be written
    void scene.near
      .when(/COPY app\.last /, 'none')
      .then(() => mkdir(join(kept['dump-directory'] ?? '', 'manifest.json')))
    const { error, report } = await migrate(kept)
    expect(error).toBeDefined()
    expect(report.verified).toBe(false)
    expect(report.dump).toBeUndefined()
    expect(await scene.targets()).toEqual([])
    await scene.expectNothingLent()
  })

  test('and lacks a role there that only its large objects belong to fails, and says so', async () => {
    const { source, target } = scene
    for (const role of ['app', 'reader'])
      await target.backend.sql(
        `DO $$ BEGIN CREATE ROLE ${role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
      )
    await source.sql('CREATE ROLE clerk')
    await source.sql('ALTER LARGE OBJECT 9001 OWNER TO clerk', 'shop')
    try {
      const result = await migrate({ roles: 'skip', ...scene.kept(`roles-${name}`) })
      expect((await expectKept(result)).line).toContain('clerk')
      await target.backend.sql('CREATE ROLE clerk')
      const restored = await scene.restore(`roles-${name}`, { roles: 'skip' })
      await scene.expectWhole(restored, 'shop')
    } finally {
      await source.sql('ALTER LARGE OBJECT 9001 OWNER TO postgres', 'shop')
      await source.sql('DROP ROLE clerk')
      await scene.clear()
      await target.backend.sql('DROP ROLE IF EXISTS clerk')
    }
  })
})
