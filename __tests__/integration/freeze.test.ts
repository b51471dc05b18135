import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { Cancelled, messageOf } from '../../src/failure.ts'
import { freezeSchema } from '../../src/migration/freeze/mark.ts'
import { checkTarget, findFrozen, tellCutover } from '../../src/migration/freeze/unfreeze.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { clientDirectory } from '../support/clients.ts'
import { newContext } from '../support/context.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { withoutPassword } from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { startAction } from '../support/runner.ts'
import { type Major, TestServer } from '../support/server.ts'

const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts')
let scratch = ''
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'freeze-'))
})
afterEach(() => rmSync(scratch, { recursive: true }))

/** A source whose database has roles and settings of every kind that a freeze has to do with. */
async function startSource(major: Major): Promise<TestServer> {
  const source = await TestServer.start(major, { settings: { max_prepared_transactions: '5' } })
  await source.sql(`
    CREATE ROLE app LOGIN PASSWORD 'a'; CREATE ROLE rebel LOGIN PASSWORD 'a'; CREATE ROLE stubborn LOGIN PASSWORD 'a';
    ALTER ROLE rebel SET default_transaction_read_only = off`)
  await source.sql('CREATE DATABASE shop')
  await source.sql('CREATE DATABASE other')
  await source.sql(
    `
    CREATE TABLE public.t (i int PRIMARY KEY); INSERT INTO public.t VALUES (1); GRANT ALL ON public.t TO PUBLIC;
    ALTER DATABASE shop SET default_transaction_read_only = 'false'; ALTER DATABASE shop SET work_mem = '5MB';
    ALTER ROLE stubborn IN DATABASE shop SET default_transaction_read_only = 'no'`,
    'shop',
  )
  return source
}

async function settingsOf(source: TestServer): Promise<unknown[]> {
  const { rows } = await source.sql(
    `SELECT setdatabase, setrole, unnest(setconfig) AS setting FROM pg_db_role_setting ORDER BY 1, 2, 3`,
  )
  return rows
}

async function schemas(source: TestServer): Promise<string[]> {
  const { rows } = await source.sql(
    `SELECT nspname AS name FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1`,
    'shop',
  )
  return rows.map(({ name }) => name)
}

let key = 100

/** What a new session of somebody gets who writes: `written`, or the SQLSTATE of the refusal. */
async function write(source: TestServer, user?: string): Promise<string> {
  const client = await source.connect('shop', user ? { user, password: 'a' } : {})
  try {
    await client.query(`INSERT INTO public.t VALUES (${key++})`)
    return 'written'
  } catch (error) {
    return String((error as { code?: string }).code)
  } finally {
    await client.end()
  }
}

async function dump(
  source: TestServer,
  more: Record<string, string> = {},
  changes: Parameters<typeof runInProcess>[1] = {},
): Promise<CommandResult> {
  const client = await clientDirectory(15)
  if (client === undefined) throw new Error('this machine has no client programs')
  return runInProcess(
    {
      command: 'dump',
      source: withoutPassword(source.uri('shop')),
      'source-password': source.password,
      'freeze-source': 'true',
      verify: 'counts',
      'upload-dump': 'false',
      'keep-dump': 'true',
      'dump-directory': join(scratch, `dump-${key++}`),
      'client-path': client,
      'client-version': '15',
      ...more,
    },
    changes,
  )
}

async function unfreeze(
  source: TestServer,
  more: Record<string, string> = {},
): Promise<CommandResult> {
  return runInProcess({
    command: 'unfreeze',
    source: withoutPassword(source.uri('shop')),
    'source-password': source.password,
    ...more,
  })
}

/** Calls `act` when the run says that it begins a phase. */
function when(phase: string, act: () => void): Parameters<typeof runInProcess>[1] {
  const say = (line: string) => {
    if (line.startsWith(`▶ ${phase}`)) act()
  }
  return { log: { debug() {}, info: say, warning() {} } }
}

const readOnly = '25006'

describe.each([10, 15] as const)('PostgreSQL %i', (major) => {
  let source: TestServer
  let before: unknown[]
  beforeAll(async () => {
    source = await startSource(major)
    before = await settingsOf(source)
  })
  afterAll(() => source?.stop())

  test('a frozen source refuses whoever writes; unfreeze brings back exactly what was', async () => {
    const pool = new pg.Pool({ connectionString: source.uri('shop', 'app', 'a'), max: 1 })
    pool.on('error', () => {})
    await pool.query(`INSERT INTO public.t VALUES (${key++})`)
    const directory = join(scratch, 'dump')
    const { report, error } = await dump(source, { 'dump-directory': directory })
    expect(error).toBeUndefined()
    expect(report.freeze).toMatchObject({ frozen: true, ended: 1, written: false })
    expect(report.sourceStill).toBe(true)
    const pooled = await pool.query(`INSERT INTO public.t VALUES (${key++})`).catch((e) => e.code)
    expect(pooled).toBe(readOnly)
    await pool.end()
    for (const user of [undefined, 'app', 'rebel', 'stubborn']) {
      expect([user, await write(source, user)]).toEqual([user, readOnly])
    }
    await source.sql('CREATE TABLE public.free (i int)', 'other')
    // nothing of it is in the dump
    const manifest = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8'))
    const [database] = manifest.databases
    expect(database.properties.settings).toEqual(
      expect.arrayContaining([
        { role: null, name: 'default_transaction_read_only', value: 'false' },
        { role: null, name: 'work_mem', value: '5MB' },
        { role: 'stubborn', name: 'default_transaction_read_only', value: 'no' },
      ]),
    )
    expect(database.properties.settings).toHaveLength(3)
    const contents = readFileSync(join(directory, database.archives[0].path, 'toc.dat'), 'latin1')
    expect(contents).not.toContain(freezeSchema)
    expect(contents).not.toContain(`default_transaction_read_only TO 'on'`)
    const text = JSON.stringify(manifest.roles)
    expect(text).toContain('"value":"no"')
    expect(text).not.toContain('"value":"on"')

    const undone = await unfreeze(source)
    expect(undone.error).toBeUndefined()
    expect(undone.report.freeze).toMatchObject({ frozen: false, databases: ['shop'] })
    expect(await settingsOf(source)).toEqual(before)
    expect(await write(source, 'app')).toBe('written')
    // whoever restores that dump later is told
    const context = newContext('restore')
    const place = parseConnectionString(source.uri('shop'))
    await tellCutover(place, ['shop'], manifest.id, context)
    expect(context.warnings.join()).toMatch(/no longer the cutover/)
    // and the next dump takes neither the stamp along nor the freeze
    const next = await dump(source, {
      'freeze-source': 'false',
      'dump-directory': join(scratch, 'next'),
    })
    expect(next.error).toBeUndefined()
    expect(
      readFileSync(join(scratch, 'next', database.archives[0].path, 'toc.dat'), 'latin1'),
    ).not.toContain(freezeSchema)
  })

  test('a run that fails or is cancelled before there is a dump leaves the source as it was', async () => {
    const names = await schemas(source)
    const failed = await dump(
      source,
      {},
      when('dump shop', () => {
        throw new Error('broken')
      }),
    )
    expect(messageOf(failed.error)).toBe('broken')
    expect(failed.report.freeze).toMatchObject({ frozen: false, ended: 0 })
    const controller = new AbortController()
    const cancelled = await dump(
      source,
      {},
      {
        ...when('dump shop', () => controller.abort(new Cancelled())),
        signal: controller.signal,
      },
    )
    expect(cancelled.error).toBeInstanceOf(Cancelled)
    expect(cancelled.report.freeze).toMatchObject({ frozen: false })
    expect(cancelled.report.phases.at(-1)).toMatchObject({ name: 'unfreeze', status: 'succeeded' })
    expect(await settingsOf(source)).toEqual(before)
    expect(await schemas(source)).toEqual(names)
    expect(await write(source, 'rebel')).toBe('written')
  })

  test('a run that is killed leaves a mark, by which the next one or unfreeze undoes it', async () => {
    const client = (await clientDirectory(15)) ?? ''
    for (const next of ['unfreeze', 'dump'] as const) {
      const running = startAction(main, {
        inputs: {
          command: 'dump',
          source: withoutPassword(source.uri('shop')),
          'source-password': source.password,
          'freeze-source': 'true',
          'upload-dump': 'false',
          'keep-dump': 'true',
          'dump-directory': join(scratch, `killed-${next}`),
          'client-path': client,
          'client-version': '15',
        },
      })
      await running.logged(/▶ dump-roles/)
      if (next === 'unfreeze')
        expect(messageOf((await unfreeze(source)).error)).toMatch(/still at work/)
      running.kill('SIGKILL')
      ;(await running.result).cleanUp()
      expect(await write(source, 'stubborn')).toBe(readOnly)
      for (;;) {
        const { rows } = await source.sql(
          `SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'migrate-to-polardb%'`,
        )
        if (rows.length === 0) break
        await setTimeout(50)
      }
      const undone =
        next === 'unfreeze'
          ? await unfreeze(source)
          : await dump(source, { 'freeze-source': 'false' })
      expect(undone.error).toBeUndefined()
      if (next === 'dump') expect(undone.report.warnings.join()).toMatch(/left frozen at/)
      expect(await settingsOf(source)).toEqual(before)
      expect(await write(source, 'app')).toBe('written')
    }
  })

  test('a write that comes through fails the run, unless it is allowed', async () => {
    for (const allowed of [false, true]) {
      const spared = await source.connect('shop', { application_name: 'nightly job' })
      const { error, report } = await dump(
        source,
        { 'freeze-except': 'nightly job', 'allow-writes': String(allowed) },
        when('dump-roles', () => void spared.query(`INSERT INTO public.t VALUES (${key++})`)),
      )
      await spared.end()
      expect(report.freeze?.written).toBe(true)
      if (allowed) expect(error).toBeUndefined()
      else expect(messageOf(error)).toMatch(/frozen source was written to.*1 row inserted/)
      expect(report.freeze?.frozen).toBe(allowed)
      await unfreeze(source)
      expect(await settingsOf(source)).toEqual(before)
    }
  })
})

describe('what stands in the way', () => {
  let source: TestServer
  beforeAll(async () => {
    source = await startSource(15)
  })
  afterAll(() => source?.stop())

  test('is found before anything is changed, all at once', async () => {
    await source.sql(`CREATE ROLE weak LOGIN PASSWORD 'w'; GRANT pg_read_all_data TO weak`)
    await source.sql(
      `CREATE SUBSCRIPTION feed CONNECTION 'host=/nonexistent' PUBLICATION p WITH (connect = false, slot_name = 'x')`,
      'shop',
    )
    await source.sql(`UPDATE pg_subscription SET subenabled = true`)
    const preparing = await source.connect('shop')
    await preparing.query(`BEGIN; INSERT INTO public.t VALUES (7); PREPARE TRANSACTION 'pending'`)
    const { error, report } = await dump(source, {
      source: withoutPassword(source.uri('shop', 'weak')),
      'source-password': 'w',
      roles: 'skip',
    })
    expect(messageOf(error)).toMatch(/4 blockers/)
    const failed = report.checks.filter(({ status }) => status === 'failed')
    expect(failed.map(({ id, objects }) => [id, objects])).toEqual([
      ['freeze-owner', ['shop']],
      ['freeze-roles', ['rebel', 'stubborn']],
      ['freeze-bypass', ['pending', 'feed']],
      ['freeze-sessions', ['postgres']],
    ])
    // as the remedies say
    await preparing.query(`ROLLBACK PREPARED 'pending'`)
    await preparing.end()
    await source.sql(
      `ALTER SUBSCRIPTION feed DISABLE; ALTER SUBSCRIPTION feed SET (slot_name = NONE)`,
      'shop',
    )
    await source.sql('DROP SUBSCRIPTION feed', 'shop')
    await source.sql(`ALTER DATABASE shop OWNER TO weak; ALTER ROLE rebel RESET default_transaction_read_only;
      ALTER ROLE stubborn IN DATABASE shop RESET default_transaction_read_only; GRANT pg_signal_backend TO weak`)
    const other = await source.connect('shop', { user: 'app', password: 'a' })
    const now = await dump(source, {
      source: withoutPassword(source.uri('shop', 'weak')),
      'source-password': 'w',
      roles: 'skip',
    })
    expect(now.error).toBeUndefined()
    expect(now.report.freeze).toMatchObject({ frozen: true, ended: 1 })
    await expect(other.query('SELECT 1')).rejects.toThrow()
    expect((await unfreeze(source)).error).toBeUndefined()
    await source.sql(`DROP SCHEMA "${freezeSchema}"`, 'shop')
  })

  test('a planted mark is nothing to undo, and no place for a mark of ours', async () => {
    const state = {
      format: 1,
      database: '1',
      frozen: {
        run: '00000000-0000-0000-0000-000000000000',
        at: '2026-01-01T00:00:00Z',
        holder: { pid: 1, began: '20260101000000000000' },
        setting: 'on',
        roles: [{ role: 'app', setting: 'on' }],
        dump: null,
        target: null,
      },
      revoked: [],
    }
    await source.sql(`CREATE ROLE mallory; GRANT CREATE ON DATABASE shop TO mallory`)
    const { rows } = await source.sql(`SELECT oid FROM pg_database WHERE datname = 'shop'`)
    const comment = JSON.stringify({ ...state, database: String(rows[0]?.oid) })
    await source.sql(
      `SET ROLE mallory; CREATE SCHEMA "${freezeSchema}"; COMMENT ON SCHEMA "${freezeSchema}" IS '${comment}'`,
      'shop',
    )
    await source.sql(`ALTER DATABASE shop SET default_transaction_read_only = on`)
    const before = await settingsOf(source)
    expect((await unfreeze(source)).report.freeze?.databases).toEqual([])
    expect(await settingsOf(source)).toEqual(before)
    expect(messageOf((await dump(source)).error)).toMatch(/belongs to "mallory"/)
    // a dump without a freeze carries it like any other schema
    await dump(source, { 'freeze-source': 'false', 'dump-directory': join(scratch, 'plain') })
    const manifest = JSON.parse(readFileSync(join(scratch, 'plain', 'manifest.json'), 'utf8'))
    expect(manifest.databases[0].properties.settings).toContainEqual({
      role: null,
      name: 'default_transaction_read_only',
      value: 'on',
    })
    await source.sql(`ALTER DATABASE shop RESET default_transaction_read_only`)
    await source.sql(`DROP SCHEMA "${freezeSchema}"`, 'shop')
  })
})

describe('a migration', () => {
  let source: TestServer
  let target: PlainTarget
  beforeAll(async () => {
    ;[source, target] = await Promise.all([startSource(15), startPlainTarget(15)])
  })
  afterAll(() => Promise.all([source?.stop(), target?.stop()]))

  const migrate = async (
    more: Record<string, string>,
    changes: Parameters<typeof runInProcess>[1] = {},
  ) =>
    dump(
      source,
      {
        command: 'migrate',
        target: withoutPassword(target.uri('postgres')),
        'target-password': target.password,
        verify: 'data',
        'keep-dump': 'false',
        'dump-directory': '',
        ...more,
      },
      changes,
    )

  test('does not begin while somebody writes; who only is there is nobody', async () => {
    const idle = await source.connect('shop')
    const writer = await source.connect('shop')
    await writer.query(`BEGIN; INSERT INTO public.t VALUES (${key++})`)
    const refused = await migrate({ 'freeze-source': 'false', databases: 'shop=busy' })
    expect(messageOf(refused.error)).toMatch(/source is being written to.*postgres, process/)
    expect(refused.report.phases.map(({ name }) => name)).not.toContain('dump')
    await writer.query('ROLLBACK')
    const { error } = await migrate({ 'freeze-source': 'false', databases: 'shop=calm' })
    expect(error).toBeUndefined()
    await Promise.all([idle.end(), writer.end()])
  })

  test('that went well leaves the source frozen and the target free; the way back knows what was written there', async () => {
    const { error, report } = await migrate({})
    expect(error).toBeUndefined()
    expect(report).toMatchObject({ verified: true, sourceStill: true })
    expect(report.freeze?.next).toMatch(/that is the cutover.*unfreeze/)
    expect(await write(source)).toBe(readOnly)
    const client = await target.backend.connect('shop')
    const { rows } = await client.query('SHOW default_transaction_read_only')
    expect(rows).toEqual([{ default_transaction_read_only: 'off' }])
    await client.end()

    // both live servers are equal, frozen or not
    const verified = await migrate({ command: 'verify', 'freeze-source': 'false' })
    expect(verified.error).toBeUndefined()
    expect(verified.report.verified).toBe(true)

    const place = parseConnectionString(source.uri('shop'))
    const there = parseConnectionString(target.uri('postgres'))
    const context = newContext('unfreeze')
    const frozen = await findFrozen(place, [], context)
    await checkTarget(frozen, there, false, context)
    expect(context.report.checks).toMatchObject([{ id: 'target-written', status: 'passed' }])
    await target.backend.sql('INSERT INTO public.t VALUES (-1)', 'shop')
    const given = {
      target: withoutPassword(target.uri('postgres')),
      'target-password': target.password,
    }
    const refused = await unfreeze(source, given)
    expect(messageOf(refused.error)).toMatch(/1 row inserted, updated or deleted.*confirm-unfreeze/)
    expect(await write(source)).toBe(readOnly)
    const confirmed = await unfreeze(source, { ...given, 'confirm-unfreeze': 'true' })
    expect(confirmed.error).toBeUndefined()
    expect(await write(source)).toBe('written')
  })

  test('whose restore failed leaves the source frozen while its dump can be restored', async () => {
    for (const kept of [true, false]) {
      const { error, report } = await migrate(
        {
          'if-target-not-empty': 'replace',
          'keep-dump': String(kept),
          'dump-directory': join(scratch, `kept-${kept}`),
        },
        when('restore shop', () => {
          throw new Error('broken')
        }),
      )
      expect(messageOf(error)).toMatch('broken')
      expect(report.freeze).toMatchObject({ frozen: kept, written: false })
      if (kept) expect(report.freeze?.next).toMatch(/command: restore.*command: unfreeze/)
      expect(await write(source)).toBe(kept ? readOnly : 'written')
      await unfreeze(source)
    }
  })
})
