import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { Cancelled, messageOf } from '../../src/failure.ts'
import { freezeSchema } from '../../src/migration/freeze/mark.ts'
import { tellCutover } from '../../src/migration/freeze/unfreeze.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { clientDirectory } from './clients.ts'
import { newContext } from './context.ts'
import { type CommandResult, runInProcess } from './in-process.ts'
import { withoutPassword } from './migration.ts'
import { TcpProxy, through } from './proxy.ts'
import { startAction } from './runner.ts'
import { type Major, TestServer } from './server.ts'

const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts')

let directory: string | undefined
/** A directory of the test file's own, which is removed after its tests. */
export function scratch(): string {
  directory ??= mkdtempSync(join(tmpdir(), 'freeze-'))
  return directory
}
afterAll(() => {
  if (directory) rmSync(directory, { recursive: true })
})

/** How a run of a freeze can end, beside the way that all goes well. */
export type End = 'failure' | 'kill, then unfreeze' | 'kill, then dump' | 'write'

/** A source whose database has roles and settings of every kind that a freeze has to do with. */
export async function startSource(major: Major): Promise<TestServer> {
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

export async function settingsOf(source: TestServer): Promise<unknown[]> {
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

/** A number that no row has yet. */
export const newKey = () => key++

/** What a new session of somebody gets who writes: `written`, or the SQLSTATE of the refusal. */
export async function write(source: TestServer, user?: string): Promise<string> {
  const client = await source.connect('shop', user ? { user, password: 'a' } : {})
  try {
    await client.query(`INSERT INTO public.t VALUES (${newKey()})`)
    return 'written'
  } catch (error) {
    return String((error as { code?: string }).code)
  } finally {
    await client.end()
  }
}

export async function dump(
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
      'dump-directory': join(scratch(), `dump-${newKey()}`),
      'client-path': client,
      'client-version': '15',
      ...more,
    },
    { sample: 300, ...changes },
  )
}

export async function unfreeze(
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
export function when(phase: string, act: () => void): Parameters<typeof runInProcess>[1] {
  const say = (line: string) => {
    if (line.startsWith(`▶ ${phase}`)) act()
  }
  return { log: { debug() {}, info: say, warning() {} } }
}

export const readOnly = '25006'

/**
 * The tests of one major as the source: who is refused, and how each way in which a run can end leaves the source.
 *
 * @param ends those that are tried; `refusals` alone is quick
 */
export function freezeTests(major: Major, ends: readonly End[]): void {
  describe(`PostgreSQL ${major}`, () => {
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
      await pool.query(`INSERT INTO public.t VALUES (${newKey()})`)
      const directory = join(scratch(), `dump-${newKey()}`)
      const { report, error } = await dump(source, { 'dump-directory': directory })
      expect(error).toBeUndefined()
      expect(report.freeze).toMatchObject({ frozen: true, ended: 1, written: false })
      expect(report.sourceStill).toBe(true)
      const pooled = await pool
        .query(`INSERT INTO public.t VALUES (${newKey()})`)
        .catch((e) => e.code)
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
      const again = join(scratch(), `dump-${newKey()}`)
      const next = await dump(source, {
        'freeze-source': 'false',
        'dump-directory': again,
      })
      expect(next.error).toBeUndefined()
      expect(
        readFileSync(join(again, database.archives[0].path, 'toc.dat'), 'latin1'),
      ).not.toContain(freezeSchema)
    })

    if (ends.includes('failure'))
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
        expect(cancelled.report.phases.at(-1)).toMatchObject({
          name: 'unfreeze',
          status: 'succeeded',
        })
        expect(await settingsOf(source)).toEqual(before)
        expect(await schemas(source)).toEqual(names)
        expect(await write(source, 'rebel')).toBe('written')
      })

    const kills = (['unfreeze', 'dump'] as const).filter((next) =>
      ends.includes(`kill, then ${next}`),
    )
    for (const next of kills) {
      test(`a run that is killed leaves a mark, by which ${next} undoes it`, async () => {
        const client = (await clientDirectory(15)) ?? ''
        const proxy = await TcpProxy.start(source.port)
        const copies = proxy.when(/COPY public\.t /, 'stall')
        const running = startAction(main, {
          inputs: {
            command: 'dump',
            source: through(proxy, withoutPassword(source.uri('shop'))),
            'source-password': source.password,
            'freeze-source': 'true',
            'upload-dump': 'false',
            'keep-dump': 'true',
            'dump-directory': join(scratch(), `killed-${newKey()}`),
            'client-path': client,
            'client-version': '15',
          },
        })
        await Promise.race([
          copies,
          running.result.then(({ log }) => Promise.reject(new Error(log))),
        ])
        if (next === 'unfreeze')
          expect(messageOf((await unfreeze(source)).error)).toMatch(/still at work/)
        running.kill('SIGKILL')
        ;(await running.result).cleanUp()
        await proxy.stop()
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
      })
    }

    if (ends.includes('write'))
      test('a write that comes through fails the run, unless it is allowed', async () => {
        for (const allowed of [false, true]) {
          const spared = await source.connect('shop', { application_name: 'nightly job' })
          const written = Promise.withResolvers<void>()
          const proxy = await TcpProxy.start(source.port)
          // the dump does not end before
          const held = proxy.when(/COPY public\.t /, 'none', { until: () => written.promise })
          const { error, report } = await dump(
            source,
            {
              source: through(proxy, withoutPassword(source.uri('shop'))),
              'freeze-except': 'nightly job',
              'allow-writes': String(allowed),
            },
            when('dump-roles', () => {
              // a session hands in its counts when it ends, if not before
              const writing = spared
                .query(`INSERT INTO public.t VALUES (${newKey()})`)
                .then(() => spared.end())
              written.resolve(writing)
            }),
          )
          await held
          await proxy.stop()
          expect(report.freeze?.written).toBe(true)
          if (allowed) expect(error).toBeUndefined()
          else expect(messageOf(error)).toMatch(/frozen source was written to.*1 row inserted/)
          expect(report.freeze?.frozen).toBe(allowed)
          await unfreeze(source)
          expect(await settingsOf(source)).toEqual(before)
        }
      })
  })
}
