import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Cancelled, Failure } from '../../src/failure.ts'
import type { Run } from '../../src/migration/run.ts'
import { clientDirectory } from '../support/clients.ts'
import type { CommandResult } from '../support/in-process.ts'
import { OverlapScene } from '../support/overlap-scene.ts'
import type { PlainTarget } from '../support/polardb-standin.ts'
import type { TcpProxy } from '../support/proxy.ts'
import { signalProgram } from '../support/restore-harness.ts'

/**
 * Tables of a megabyte are in parts of their own, go through several sessions when a part of that is written, and are read for the
 * verification when they are there.
 */
const sizes: Partial<Run> = {
  aheadSizes: { from: 20_000, piece: 512 * 1024, whole: 1024 ** 3 },
  partSizes: { database: 1, table: 1024 * 1024, share: 0, parts: 8 },
  streamSizes: { from: 20_000, most: 4, piece: 8192 },
}

const rows = 'SELECT g, repeat(md5(g::text), 3) FROM generate_series(1, 20000) g'
const databases: Record<string, string> = {
  shop: `CREATE TABLE big (id int, t text); INSERT INTO big ${rows};
    ALTER TABLE big ADD PRIMARY KEY (id);
    CREATE TABLE small (id int REFERENCES big); INSERT INTO small VALUES (1)`,
  // rows that fit into its columns in either order
  twins: `CREATE TABLE twin (a text, b text); INSERT INTO twin SELECT 'a' || g, repeat(md5(g::text), 3) FROM generate_series(1, 20000) g`,
  // more than the buffers between two ends of a connection hold
  wide: `CREATE TABLE huge (id int, t text); INSERT INTO huge SELECT g, repeat(md5(g::text), 12) FROM generate_series(1, 110000) g`,
  // rows that the target refuses until its superuser says otherwise
  picky: `CREATE TABLE refused (a int CHECK (current_setting('my.allowed', true) IS DISTINCT FROM 'no' OR a < 15000), t text);
    INSERT INTO refused ${rows}`,
}

let scene: OverlapScene
let target: PlainTarget
/** Before the source, and before the target. */
let near: TcpProxy
let far: TcpProxy
let client: string
let directory: string

beforeAll(async () => {
  scene = await OverlapScene.start(databases)
  ;({ target, near, far, client, directory } = scene)
})

afterEach(async () => {
  near.portion = 1024 * 1024
  await scene.clear()
})

afterAll(() => scene?.stop())

let dumps = 0

/** Migrates a database, and keeps its dump where the test finds it. */
function migrate(
  database: string,
  more: Record<string, string> = {},
  changes: Partial<Run> = {},
): { result: Promise<CommandResult>; dump: string } {
  const dump = join(directory, `dump-${++dumps}`)
  const wanted = {
    databases: database,
    'dump-directory': dump,
    'keep-dump': 'true',
    'restore-jobs': '4',
    ...more,
  }
  const result = scene.migrate(wanted, { ...sizes, ...changes })
  return { result, dump: join(dump, 'databases', database, '2') }
}

/** Sessions on the target that rows go through which are still being dumped, and those rows. */
async function streamsIn(database: string): Promise<{ pid: number; rows: number }[]> {
  const { rows } = await target.backend.sql(
    `SELECT a.pid, p.tuples_processed::int AS rows FROM pg_stat_activity a JOIN pg_stat_progress_copy p ON p.pid = a.pid
      WHERE a.datname = '${database}' AND a.application_name LIKE 'migrate-to-polardb restore % stream %'`,
  )
  return rows as { pid: number; rows: number }[]
}

/** Bytes of the data file in a directory of a dump, 0 where there is none yet. */
async function bytesOf(dump: string): Promise<number> {
  const name = (await readdir(dump)).find((one) => /^\d+\.dat/.test(one))
  return name === undefined ? 0 : (await stat(join(dump, name))).size
}

/** Migrates a database until rows of its large table are on the target, and the dump waits for the rest of them: see near.release(). */
async function inTheMiddle(
  database: string,
  table: string,
  more: Record<string, string> = {},
  changes: Partial<Run> = {},
): Promise<{ result: Promise<CommandResult>; dump: string; pid: number; dumped: number }> {
  void near.when(new RegExp(`COPY public\\.${table} `), 'portion')
  const { result, dump } = migrate(database, more, changes)
  let over = false
  void result.then(() => {
    over = true
  })
  while (!over) {
    const [stream] = (await streamsIn(database)).filter(({ rows }) => rows > 0)
    if (stream) return { result, dump, pid: stream.pid, dumped: await bytesOf(dump) }
    await sleep(20)
  }
  throw (await result).error ?? new Error((await result).lines.join('\n'))
}

const said = ({ lines }: CommandResult, what: RegExp) => lines.filter((line) => what.test(line))

const begun = /TABLE DATA public\.\w+ is loaded while it is dumped/
const done = /TABLE DATA public\.\w+ was loaded while it was dumped/
const givenUp = /(TABLE DATA public\.\w+|The table in \d) is loaded when its dump is complete: /

/** The rows of a database came in so many transactions. */
async function transactionsIn(database: string, table: string): Promise<number> {
  const { rows } = await target.backend.sql(
    `SELECT count(DISTINCT xmin::text)::int AS number FROM ${table}`,
    database,
  )
  return rows[0]?.number
}

const of18 = (path: string) => ({ 'client-path': path, 'client-version': '18' })

describe('the rows of a large table', () => {
  test.each(['none', 'gzip:1', 'zstd:1'])(
    'are on the target before they are dumped, compressed by %s',
    async (compression) => {
      const newer = compression.startsWith('zstd') ? await clientDirectory(18) : client
      if (!newer) return void process.stderr.write('skipped: no client of 18 can be had here\n')
      const more = { compression, ...(newer === client ? {} : of18(newer)) }
      // what compression holds back is more than a little
      if (compression === 'none') near.portion = 65_536
      // what is large on the source need not be in its file
      const large = { streamSizes: { from: 1_500_000, most: 4, piece: 8192 } }
      const middle = await inTheMiddle('shop', 'big', more, compression === 'gzip:1' ? large : {})
      // jobs are idle, but one session takes all that comes
      if (compression === 'none') expect(await streamsIn('shop')).toHaveLength(1)
      near.release()
      const result = await middle.result
      await scene.expectWhole(result, 'shop')
      expect(await bytesOf(middle.dump)).toBeGreaterThan(middle.dumped)
      expect(said(result, begun)).toHaveLength(1)
      expect(said(result, done)).toHaveLength(1)
      expect(
        said(result, /1 table of the target had been read .* none of their rows has changed/),
      ).toHaveLength(1)
      const timeline = result.report.databases[0]?.tables.find(
        ({ name }) => name === 'big',
      )?.timeline
      expect(timeline?.load?.start).toBeLessThan(timeline?.dump?.end ?? 0)
      expect(timeline?.load?.end).toBeGreaterThanOrEqual(timeline?.dump?.end ?? 0)
    },
  )

  test.each(['done', 'lost'])(
    'go through several sessions where one cannot keep up, and are there once: a commit is %s',
    async (commit) => {
      const entered =
        commit === 'lost' ? far.when(/COMMENT ON SCHEMA .*"loading":\[/, 'stall') : undefined
      const { result } = await inTheMiddle('wide', 'huge')
      // the one that has rows takes no more of them until another one has some
      far.disturb('hold')
      near.release()
      let isOver = false
      void result.finally(() => {
        isOver = true
      })
      const areMany = async () =>
        (await streamsIn('wide')).filter(({ rows }) => rows > 0).length > 1
      while (!isOver && !(await areMany())) await sleep(20)
      far.release()
      if (entered !== undefined) {
        await Promise.race([entered, result])
        const { rows } = await target.backend.sql(
          `SELECT pid FROM pg_stat_activity WHERE datname = 'wide' AND application_name LIKE '% stream %'`,
        )
        expect(rows.length).toBeGreaterThan(1)
        const [{ pid }] = rows
        await target.backend.sql(`SELECT pg_terminate_backend(${pid})`)
        const alive = `SELECT FROM pg_stat_activity WHERE pid = ${pid}`
        while ((await target.backend.sql(alive)).rowCount) await sleep(10)
        far.closeStalled()
      }
      const ended = await result
      await scene.expectWhole(ended, 'wide')
      expect(said(ended, begun)).toHaveLength(1)
      expect(said(ended, done)).toHaveLength(commit === 'done' ? 1 : 0)
      expect(said(ended, /may be there in part/)).toHaveLength(commit === 'done' ? 0 : 1)
      if (commit === 'done') expect(await transactionsIn('wide', 'huge')).toBeGreaterThan(1)
    },
  )

  test('are loaded again where the archive, when it is complete, says other columns than it did', async () => {
    const { result, dump } = await inTheMiddle('twins', 'twin')
    const contents = join(dump, 'toc.dat')
    const text = await readFile(contents, 'latin1')
    expect(text).toContain('COPY public.twin (a, b)')
    await writeFile(contents, text.replace('COPY public.twin (a, b)', 'COPY public.twin (b, a)'), {
      encoding: 'latin1',
    })
    near.release()
    const ended = await result
    expect(said(ended, /public\.twin is loaded again from the beginning: /)).toHaveLength(1)
    expect(said(ended, done)).toEqual([])
    expect(ended.report.databases[0]?.restore?.attempts).toBe(1)
    // what is verified is what was dumped, so this archive is not
    expect(ended.report.verified).toBe(false)
    const { rows } = await target.backend.sql("SELECT FROM twin WHERE b LIKE 'a%'", 'twins')
    expect(rows).toHaveLength(20_000)
  })

  test('are loaded again where their session is ended', async () => {
    const { result, pid } = await inTheMiddle('shop', 'big')
    await target.backend.sql(`SELECT pg_terminate_backend(${pid})`)
    near.release()
    const ended = await result
    await scene.expectWhole(ended, 'shop')
    expect(said(ended, givenUp)).toHaveLength(1)
    expect(ended.report.databases[0]?.restore?.attempts).toBe(1)
  })

  test('are loaded again where the server goes on waiting for a session that is lost', async () => {
    void far.when(/COPY public\.big .* WITH \(ENCODING /, 'swallow')
    void near.when(/COPY public\.big /, 'portion')
    const lines: string[] = []
    const say = (line: string) => void lines.push(line)
    const { result } = migrate('shop', {}, { log: { debug: say, info: say, warning: say } })
    while (!lines.some((line) => givenUp.test(line)))
      if ((await Promise.race([result, sleep(50)])) !== undefined) break
    near.release()
    await scene.expectWhole(await result, 'shop')
  })

  test('wait for a lock of somebody else, who is named, and are there once when he lets go', async () => {
    // before the COPY of the load, and the rest of the rows
    const asked = far.when(/relhastriggers/, 'hold')
    void near.when(/COPY public\.big /, 'portion')
    const lines: string[] = []
    const say = (line: string) => void lines.push(line)
    const { result } = migrate('shop', {}, { log: { debug: say, info: say, warning: say } })
    await Promise.race([asked, result])
    const somebody = await target.backend.connect('shop')
    try {
      await somebody.query(`SET application_name = 'monitor'`)
      await somebody.query('BEGIN; LOCK TABLE public.big IN SHARE MODE')
      far.release()
      const waits =
        /^shop: the restore waits for a lock on public\.big, which is held .* application monitor/
      while (!lines.some((line) => waits.test(line)))
        if ((await Promise.race([result, sleep(50)])) !== undefined) break
      expect(lines.filter((line) => waits.test(line))).toHaveLength(1)
      await somebody.query('ROLLBACK')
    } finally {
      await somebody.end()
    }
    near.release()
    await scene.expectWhole(await result, 'shop')
    expect(lines.filter((line) => done.test(line))).toHaveLength(1)
  })

  test('that the target refuses are told of as ever', async () => {
    await scene.createEmpty('picky')
    await target.backend.sql(`ALTER DATABASE picky SET my.allowed TO 'no'`)
    const { result } = await inTheMiddle('picky', 'refused')
    near.release()
    const ended = await result
    expect(said(ended, givenUp)).toHaveLength(1)
    expect(ended.error).toBeInstanceOf(Failure)
    expect((ended.error as Failure).line).toContain('TABLE DATA public.refused cannot be restored')
    expect((ended.error as Failure).sqlstate).toBe('23514')
    const { rows } = await target.backend.sql('SELECT FROM refused LIMIT 1', 'picky')
    expect(rows).toEqual([])
    await scene.expectNothingLent()
  })

  test('are loaded as ever where nobody reads their compression', async () => {
    const newer = await clientDirectory(18)
    if (!newer) return void process.stderr.write('skipped: no client of 18 can be had here\n')
    void near.when(/COPY public\.big /, 'portion')
    const lines: string[] = []
    const say = (line: string) => void lines.push(line)
    const log = { debug: say, info: say, warning: say }
    const { result } = migrate('shop', { compression: 'lz4', ...of18(newer) }, { log })
    const why = () => lines.filter((line) => givenUp.test(line)).join()
    while (!why()) if ((await Promise.race([result, sleep(50)])) !== undefined) break
    near.release()
    const ended = await result
    await scene.expectWhole(ended, 'shop')
    expect(why()).toContain('compressed in a way that is not read here')
    expect(lines.filter((line) => begun.test(line))).toEqual([])
  })
})

describe('when in the middle of a large table', () => {
  test('the moment of the dump is lost, all is made up for', async () => {
    const { result } = await inTheMiddle('shop', 'big')
    near.disturb('cut')
    const ended = await result
    await scene.expectWhole(ended, 'shop')
    expect(ended.report.warnings.join()).toContain('is removed from the target, and restored again')
  })

  test('pg_dump is killed, nothing of it is left on the target', async () => {
    const { result } = await inTheMiddle('shop', 'big')
    expect(signalProgram('pg_dump', 'SIGKILL')).toBe(true)
    const { error } = await result
    expect((error as Failure).why).toContain('pg_dump was killed by SIGKILL')
    const { rows } = await target.backend.sql(`SELECT FROM pg_database WHERE datname = 'shop'`)
    expect(rows).toEqual([])
    await scene.expectNothingLent()
  })

  test('the job is cancelled, no row of it is on the target', async () => {
    const cancel = new AbortController()
    const { result } = await inTheMiddle('shop', 'big', {}, { signal: cancel.signal })
    cancel.abort(new Cancelled())
    const { error } = await result
    expect(error).toBeInstanceOf(Cancelled)
    await scene.expectNothingLent()
    expect(await scene.marksIn('shop')).toHaveLength(1)
    const { rows } = await target.backend.sql('SELECT FROM big LIMIT 1', 'shop')
    expect(rows).toEqual([])
  })
})
