import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import type pg from 'pg'
import type { Context } from '../../src/migration/context.ts'
import { markSchema, noDump, parseMark } from '../../src/migration/restore/database/mark.ts'
import type { RestoreOptions } from '../../src/migration/restore/options.ts'
import { leaveOut } from '../../src/migration/restore/plan/planned-entry.ts'
import { planRestore } from '../../src/migration/restore/plan-restore.ts'
import { beginRestore } from '../../src/migration/restore/restore-database.ts'
import { RunningRestore } from '../../src/migration/restore/running-restore.ts'
import { readArchive } from '../../src/postgres/archive/archive.ts'
import { newContext, type TestContext } from '../support/context.ts'
import { failureOf } from '../support/failure.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy } from '../support/proxy.ts'
import {
  behind,
  type Dump,
  Harness,
  killPgRestore,
  membershipsOf,
  type RestoreTarget,
  restoreDatabase,
  rowsOf,
  signalPgRestore,
} from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

/** Rows of the table `large`, which goes through several sessions. */
const count = 60_000
const streams: Partial<RestoreOptions> = {
  jobs: 6,
  streams: { from: 100_000, most: 6, piece: 8192 },
}

/** Nobody has counted the rows of the dump: what a table holds says nothing of whether that is all. */
const uncounted: Partial<RestoreOptions> = { ...streams, expectedRows: new Map() }

const patience = { silence: 300, between: 100, looks: 3 }

let source: TestServer
let target: PlainTarget
let proxy: TcpProxy
let far: RestoreTarget
let harness: Harness
let dump: Dump
let expected: Map<string, string>
let databases = 0

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  source = await TestServer.start(15)
  target = await startPlainTarget(15)
  proxy = await TcpProxy.start(target.port)
  far = behind(proxy, target)
  await source.sql('CREATE DATABASE streams')
  // without a key in the rows: two of one kind would not be refused, but seen
  await source.sql(
    `CREATE TABLE large (id int, t text);
     INSERT INTO large SELECT g, repeat(md5(g::text), 3) FROM generate_series(1, ${count}) g;
     CREATE INDEX ON large (id);
     CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small SELECT generate_series(1, 100)`,
    'streams',
  )
  dump = await harness.dump(source, 'streams', ['--compress=0'])
  expected = await rowsOf(source, 'streams')
})

afterEach(() => proxy.calm())

afterAll(async () => {
  await proxy?.stop()
  await harness?.close()
  await source?.stop()
  await target?.stop()
})

const nextName = () => `streams_${++databases}`

async function expectWhole(name: string): Promise<void> {
  expect(await rowsOf(target.backend, name)).toEqual(expected)
  expect(await membershipsOf(target)).toEqual([])
  const { rows } = await target.backend.sql(
    `SELECT (SELECT count(*)::int FROM pg_index WHERE indrelid = 'large'::regclass) AS indexes,
            (SELECT count(*)::int FROM pg_namespace WHERE nspname = '${markSchema}') AS marks`,
    name,
  )
  expect(rows).toEqual([{ indexes: 1, marks: 0 }])
  await target.backend.sql(`DROP DATABASE "${name}"`)
}

/** Sessions that the rows of `large` go through now, the oldest first: a young one may have come too late for any. */
async function streamsIn(name: string): Promise<number[]> {
  const { rows } = await target.backend.sql(
    `SELECT pid FROM pg_stat_activity WHERE datname = '${name}' AND application_name LIKE '% stream %' ORDER BY backend_start`,
  )
  return rows.map(({ pid }) => pid)
}

async function end(pid: number | undefined): Promise<void> {
  if (pid === undefined) throw new Error('there is no session to end')
  await target.backend.sql(`SELECT pg_terminate_backend(${pid})`)
  while ((await target.backend.sql(`SELECT FROM pg_stat_activity WHERE pid = ${pid}`)).rowCount)
    await sleep(10)
}

/** What the target's mark says is being loaded. */
async function loadingIn(name: string): Promise<unknown> {
  const { rows } = await target.backend.sql(
    `SELECT obj_description('"${markSchema}"'::regnamespace, 'pg_namespace') AS comment`,
    name,
  )
  return parseMark(rows[0]?.comment)?.loading
}

function contextWith(changes: Partial<Context>): TestContext {
  return newContext('restore', { temporaryDirectory: harness.directory, ...changes })
}

/** The statement by which the table is entered into the mark. */
const entered = /COMMENT ON SCHEMA .*"loading":\[/

/**
 * Restores, and ends one session when every COPY has ended and nothing is committed.
 *
 * @param before what is done first at that moment
 * @returns what the restore returns
 */
async function withOneCommitLost(
  name: string,
  context: TestContext,
  before = async () => {},
): Promise<unknown> {
  const met = proxy.when(entered, 'stall')
  const restoring = harness.restore(dump, far, { ...uncounted, targetName: name }, context)
  await Promise.race([met, restoring])
  await before()
  const [one] = await streamsIn(name)
  await end(one)
  proxy.closeStalled()
  return await restoring
}

const inPart = (line: string) => line.includes('may be there in part')

/** One of ten rows of `large` on their way: a row may be cut in two by the network, and is not known then. */
const row = (first: number) => new RegExp(`\\n${first / 10}\\d\\t[0-9a-f]{96}\\n`)

describe('rows through several sessions are there once', () => {
  test.each([1000, 30_000, 59_990])('when a session is cut off at row %i', async (number) => {
    const name = nextName()
    const met = proxy.when(row(number), 'cut')
    const restoring = harness.restore(dump, far, { ...streams, targetName: name })
    await Promise.race([met, restoring])
    const { result } = await restoring
    expect(result.attempts).toBeGreaterThan(1)
    await expectWhole(name)
  })

  test('when a session is ended after its rows, before they are committed', async () => {
    const name = nextName()
    const context = contextWith({ pauses: [0.1, 0.1, 0.1] })
    await withOneCommitLost(name, context)
    expect(context.lines.filter(inPart)).toHaveLength(1)
    await expectWhole(name)
  })

  test('when the answer to a commit is lost', async () => {
    const name = nextName()
    const context = contextWith({ pauses: [0.1, 0.1, 0.1] })
    const met = proxy.when(/COMMIT\0/, 'swallow', { after: /^COPY public\.large / })
    await harness.restore(dump, far, { ...uncounted, targetName: name }, context)
    await met
    expect(context.lines.filter(inPart)).toHaveLength(1)
    await expectWhole(name)
  })

  test('when pg_restore is killed', async () => {
    const name = nextName()
    const met = proxy.when(row(2000), 'stall')
    const restoring = harness.restore(dump, far, { ...streams, targetName: name })
    await Promise.race([met, restoring])
    expect(killPgRestore()).toBe(true)
    proxy.closeStalled()
    const { result } = await restoring
    expect(result.attempts).toBeGreaterThan(1)
    await expectWhole(name)
  })

  test('when the server crashes', async () => {
    const name = nextName()
    const met = proxy.when(row(30_000), 'stall')
    const restoring = harness.restore(dump, far, { ...streams, targetName: name })
    await Promise.race([met, restoring])
    await target.backend.down('immediate')
    await target.backend.up()
    proxy.closeStalled()
    const { result } = await restoring
    expect(result.attempts).toBeGreaterThan(1)
    await expectWhole(name)
  })

  /** A run that died when some of the rows were committed and others were not. */
  async function diedBetweenCommits(name: string): Promise<void> {
    const context = contextWith({ pauses: [0.1, 0.1, 0.1] })
    const seen = Promise.withResolvers<pg.Client>()
    const restoring = withOneCommitLost(name, context, async () => {
      // a reader, for whom the run waits before it empties the table
      const reader = await target.backend.connect(name)
      await reader.query('BEGIN; SELECT FROM large LIMIT 0')
      seen.resolve(reader)
    })
    const reader = await seen.promise
    while (!context.lines.some(inPart)) await sleep(20)
    const { rows } = await reader.query('SELECT count(*)::int AS number FROM large')
    expect(rows[0]?.number).toBeGreaterThan(0)
    expect(rows[0]?.number).toBeLessThan(count)
    context.controller.abort()
    await expect(restoring).rejects.toThrow('cancelled')
    await reader.end()
    expect(await loadingIn(name)).toEqual([{ schema: 'public', name: 'large' }])
  }

  test('when a session gets no answer any more', async () => {
    const name = nextName()
    const met = proxy.when(row(30_000), 'stall')
    const restoring = harness.restore(dump, far, { ...streams, patience, targetName: name })
    await Promise.race([met, restoring])
    const { result } = await restoring
    expect(result.attempts).toBeGreaterThan(1)
    proxy.closeStalled()
    await expectWhole(name)
  })

  test('in one try when pg_restore stands still for a while, and the server waits', async () => {
    const name = nextName()
    const met = proxy.when(row(20_000), 'none')
    const restoring = harness.restore(dump, far, { ...streams, patience, targetName: name })
    await Promise.race([met, restoring])
    expect(signalPgRestore('SIGSTOP')).toBe(true)
    // several times what a silent peer is given
    await sleep(2000)
    signalPgRestore('SIGCONT')
    const { result } = await restoring
    expect(result.attempts).toBe(1)
    await expectWhole(name)
  })

  test('over TLS', async () => {
    const safe = await TestServer.start(15, { tls: true })
    try {
      const uri = (database = 'postgres') => safe.uri(database)
      const connect = (database = 'postgres') => safe.connect(database)
      const account = safe.superuser
      await harness.restore(dump, { account, backend: safe, uri, connect }, streams)
      expect(await rowsOf(safe, 'streams')).toEqual(expected)
      const { rows } = await safe.sql(
        'SELECT count(DISTINCT xmin::text)::int AS n FROM large',
        'streams',
      )
      expect(rows[0]?.n).toBeGreaterThan(1)
    } finally {
      await safe.stop()
    }
  })

  test('in one session, where the server takes another number of rows than the dump is said to have', async () => {
    const name = nextName()
    const context = contextWith({})
    const expectedRows = new Map([['"public"."large"', count - 1]])
    const all = { ...streams, expectedRows, targetName: name }
    await harness.restore(dump, target, all, context)
    expect(
      context.lines.filter((line) => line.includes('loaded again, in one session')),
    ).toHaveLength(1)
    await expectWhole(name)
  })

  test('when the run dies between two commits, and the next one goes on', async () => {
    const name = nextName()
    await diedBetweenCommits(name)
    await harness.restore(dump, target, { ...uncounted, targetName: name, ifNotEmpty: 'resume' })
    await expectWhole(name)
  })

  test('or not at all, when the next run is to leave them out', async () => {
    const name = nextName()
    await diedBetweenCommits(name)
    const options = await harness.options(dump, target, {
      ...uncounted,
      targetName: name,
      ifNotEmpty: 'resume',
    })
    const plan = await planRestore(options, harness.context)
    for (const item of plan.entries)
      if (item.name === 'TABLE DATA public.large')
        item.decision = leaveOut('not wanted', 'none', 'rows')
    const restored = await restoreDatabase(options, plan, harness.context)
    await restored.release()
    const { rows } = await target.backend.sql('SELECT FROM large LIMIT 1', name)
    expect(rows).toEqual([])
  })

  test('when the server has few connections left', async () => {
    const crowded = await startPlainTarget(15, { settings: { max_connections: '13' } })
    try {
      const { result } = await harness.restore(dump, crowded, { ...streams })
      expect(result.attempts).toBe(1)
      expect(await rowsOf(crowded.backend, 'streams')).toEqual(expected)
    } finally {
      await crowded.stop()
    }
  })
})

describe('a load through several sessions', () => {
  /** The dump with other rows in `large`. */
  async function changed(change: (rows: string) => string): Promise<Dump> {
    const other = await harness.dump(source, 'streams', ['--compress=0'])
    const { entries } = await readArchive(other.directory)
    const { dataFile } =
      entries.find(({ desc, tag }) => desc === 'TABLE DATA' && tag === 'large') ?? {}
    const path = join(other.directory, dataFile ?? '')
    writeFileSync(path, change(readFileSync(path, 'latin1')), 'latin1')
    return other
  }

  test('that the server refuses says which table and why, and no value', async () => {
    const name = nextName()
    const bad = await changed((rows) => rows.replace('\n30000\t', '\nsecret\t'))
    const context = contextWith({})
    const logFile = join(harness.directory, 'refused.log')
    const failure = await failureOf(
      harness.restore(bad, target, { ...streams, targetName: name, logFile }, context),
    )
    expect(failure).toMatchObject({
      message: `TABLE DATA public.large cannot be restored into the database "${name}"`,
      sqlstate: '22P02',
    })
    expect(failure.why).toContain('invalid input syntax for type integer')
    expect(failure.why).toContain('COPY public.large')
    for (const text of [
      failure.line,
      ...context.lines,
      ...context.warnings,
      readFileSync(logFile, 'latin1'),
    ])
      expect(text).not.toContain('secret')
    const { rows } = await target.backend.sql('SELECT count(*)::int AS number FROM large', name)
    expect(rows[0]?.number).toBe(0)
    expect(await loadingIn(name)).toBeUndefined()
    // and what is not wanted is left out, with nothing of it there
    const { result } = await harness.restore(bad, target, {
      ...streams,
      targetName: name,
      ifNotEmpty: 'resume',
      allowMissing: ['TABLE DATA public.large'],
    })
    expect(result.skipped.map(({ entry }) => entry)).toContain('TABLE DATA public.large')
    const { rows: left } = await target.backend.sql(
      'SELECT count(*)::int AS number FROM large',
      name,
    )
    expect(left[0]?.number).toBe(0)
  })

  test('of a data file that was cut off commits nothing of it', async () => {
    const name = nextName()
    const cut = await changed((rows) => rows.slice(0, rows.indexOf('\n50000\t') + 1))
    const failure = await failureOf(
      harness.restore(cut, target, { ...uncounted, targetName: name }),
    )
    // the server may refuse what comes in the place of rows before it is known that no more of them come
    expect(failure.message).toMatch(
      /^TABLE DATA public\.large (cannot be restored|is not complete)/,
    )
    const { rows } = await target.backend.sql('SELECT FROM large LIMIT 1', name)
    expect(rows).toEqual([])
  })

  test('ends with the job, here and on the server', async () => {
    const name = nextName()
    const context = contextWith({})
    const met = proxy.when(row(30_000), 'slow')
    const restoring = harness.restore(dump, far, { ...streams, targetName: name }, context)
    await Promise.race([met, restoring])
    context.controller.abort()
    await expect(restoring).rejects.toThrow('cancelled')
    expect(killPgRestore()).toBe(false)
    while ((await streamsIn(name)).length > 0) await sleep(20)
    const { rows } = await target.backend.sql('SELECT count(*)::int AS number FROM large', name)
    expect(rows[0]?.number).toBe(0)
    await harness.restore(dump, target, { ...streams, targetName: name, ifNotEmpty: 'resume' })
    await expectWhole(name)
  })

  test('is one step of the report', async () => {
    const name = nextName()
    const context = contextWith({})
    const steps: unknown[][] = []
    await harness.restore(
      dump,
      target,
      { ...streams, targetName: name, timed: (step, table) => steps.push([step, table.name]) },
      context,
    )
    expect(steps.filter(([step, table]) => step === 'load' && table === 'large')).toHaveLength(1)
    expect(steps.filter(([step, table]) => step === 'load' && table === 'small')).toHaveLength(1)
    await expectWhole(name)
  })
})

test('what is noted of a table disturbs nobody who asks the target meanwhile', async () => {
  const name = nextName()
  const options = await harness.options(dump, target, { ...streams, targetName: name })
  const plan = await planRestore(options, harness.context)
  await beginRestore(options, plan, harness.context)
  const restore = new RunningRestore(options, plan, harness.context, noDump, false)
  const { worker, execution } = restore
  const ledger = execution.ledger
  const table = { schema: 'public', name: 'large' }
  // as an archive does that comes while others are loaded
  const asked = worker.retrying('a question', '', async (session) => {
    await session.query('SELECT pg_catalog.pg_sleep(1)')
  })
  await Promise.all([asked, ledger?.enter(table).then(() => ledger.leave(table))])
  await worker.close()
  expect(execution.attempts).toBe(1)
  // a server that is busy takes longer to end a session than anybody waits for it
  const left = `SELECT FROM pg_stat_activity WHERE datname = '${name}'`
  while ((await target.backend.sql(left)).rowCount) await sleep(10)
  await target.backend.sql(`DROP DATABASE "${name}"`)
})
