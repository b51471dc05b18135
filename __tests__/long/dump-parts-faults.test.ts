import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  jest,
  test,
} from '@jest/globals'
import { Cancelled, type Failure } from '../../src/failure.ts'
import { copyShares } from '../../src/migration/dump/copy-progress.ts'
import { holdTables, releaseTables, stillHeld } from '../../src/migration/dump/held-tables.ts'
import type { PartSizes } from '../../src/migration/dump/part-sizes.ts'
import type { DumpSink } from '../../src/migration/dump/sink.ts'
import { Streams } from '../../src/migration/dump/streams.ts'
import { parseManifest } from '../../src/migration/kept/manifest.ts'
import { fingerprintDatabase } from '../../src/migration/verify/fingerprint.ts'
import { MomentGone, TableAwaited, TableReplaced } from '../../src/migration/verify/read-session.ts'
import { exportSnapshot } from '../../src/migration/verify/snapshot.ts'
import { readArchive } from '../../src/postgres/archive/archive.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { clientDirectory } from '../support/clients.ts'
import { newContext } from '../support/context.ts'
import { dumping, listener, newlyTold, type Told, tinyParts } from '../support/dump-in-parts.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { PolarStandIn } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { TestServer } from '../support/server.ts'
import { SmallDisk } from '../support/small-disk.ts'

const tables = ['alpha', 'beta', 'gamma']
const fill = tables
  .map(
    (name, index) =>
      `CREATE TABLE ${name} (id serial, t text);
       INSERT INTO ${name} (t) SELECT md5(g::text) FROM generate_series(1, ${9000 - 2000 * index}) g`,
  )
  .join(';')

let source: TestServer
let proxy: TcpProxy
let programs: string
let directory: string
let told: Told

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 cannot be had on this machine')
  programs = found
  source = await TestServer.start(15)
  await source.sql('CREATE DATABASE shop')
  await source.sql(fill, 'shop')
  proxy = await TcpProxy.start(Number(new URL(source.uri()).port))
})
afterAll(async () => {
  await proxy?.stop()
  await source?.stop()
})
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dump-parts-faults-'))
  told = newlyTold()
})
afterEach(() => rm(directory, { recursive: true, force: true }))

interface How {
  inputs?: Record<string, string>
  sink?: Partial<DumpSink>
  uri?: string
  into?: string
  signal?: AbortSignal
  partSizes?: PartSizes
}

function dump({
  inputs,
  sink,
  uri,
  into = directory,
  signal,
  partSizes = tinyParts,
}: How = {}): Promise<CommandResult> {
  return runInProcess(
    {
      command: 'dump',
      source: uri ?? source.uri('shop'),
      'client-path': programs,
      'client-version': '15',
      'dump-directory': join(into, 'dump'),
      'dump-jobs': '2',
      'keep-dump': 'true',
      'upload-dump': 'false',
      roles: 'skip',
      ...inputs,
    },
    { partSizes, pauses: [0, 0, 0], ...(signal ? { signal } : {}) },
    dumping(listener(told, sink)),
  )
}

const manifest = async () =>
  parseManifest(await readFile(join(directory, 'dump', 'manifest.json'))).databases[0]

test('a connection that is lost voids what was told, and one archive is made of another moment', async () => {
  // its rows may begin to come before the part before it is told of
  const isTold = async () => {
    while (told.calls.length < 2) await sleep(20)
  }
  const met = proxy.when(/COPY public\.beta /, 'cut', { until: isTold })
  const { error, report } = await dump({ uri: through(proxy, source.uri('shop')) })
  await met
  expect(error).toBeUndefined()
  expect(told.calls).toEqual([
    'schema shop',
    'data shop databases/shop/2',
    'lost shop',
    'dumped shop',
  ])
  expect((await manifest())?.archives).toEqual([{ path: 'databases/shop/1' }])
  expect(await readdir(join(directory, 'dump', 'databases', 'shop'))).toEqual(['1'])
  expect(report.warnings.join()).toContain(
    'its dump is made again from the beginning, into one archive, which is restored when it is complete',
  )
})

describe('while two programs are at work', () => {
  beforeAll(async () => {
    await source.sql('CREATE DATABASE wide')
    // more than the kernel's buffers of both ends and of the proxy take up: what is held back is not sent before
    const rows = (count: number) =>
      `(id, t) SELECT g, repeat(md5(g::text), 120) FROM generate_series(1, ${count}) g`
    await source.sql(
      `CREATE TABLE alpha (id int, t text); CREATE TABLE beta (id int, t text); CREATE VIEW both_of_them AS TABLE alpha UNION ALL TABLE beta;
       INSERT INTO alpha ${rows(12_000)}; INSERT INTO beta ${rows(9000)}`,
      'wide',
    )
    await source.sql('VACUUM ANALYZE', 'wide')
  })
  afterEach(() => {
    proxy.calm()
    jest.restoreAllMocks()
  })

  /** A second part is tried at once. @returns says that both together are no faster, which is seen at the next look */
  function trying(then = () => {}): () => void {
    let isKnown = false
    jest.spyOn(Streams.prototype, 'look').mockImplementation(function (this: Streams) {
      Object.assign(this, { allowed: isKnown ? 1 : 2, isSettled: isKnown })
      if (isKnown) then()
    })
    return () => {
      isKnown = true
    }
  }

  const copies = (table: string) =>
    source.sql(`SELECT FROM pg_stat_activity WHERE query LIKE 'COPY public.${table} %'`)

  /** Some rows of each of the two have come, and whoever listens knows of the definitions. */
  async function bothHeld(): Promise<void> {
    await Promise.all(
      ['alpha', 'beta'].map((table) =>
        proxy.when(new RegExp(`COPY public\\.${table} `), 'portion'),
      ),
    )
    while (told.calls.length === 0) await sleep(20)
    // the server may not have begun with what the proxy has seen
    for (const table of ['alpha', 'beta'])
      while ((await copies(table)).rowCount === 0) await sleep(20)
  }

  const nothingLeft = async () => {
    const left = `SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'migrate-to-polardb%'`
    while ((await source.sql(left)).rowCount) await sleep(50)
  }

  test('that of the definitions fails, and that of the first rows is stopped', async () => {
    const slow = proxy.when(/COPY public\.alpha /, 'slow')
    const met = proxy.when(/pg_get_viewdef\('\d+'::pg_catalog\.oid\)/, 'cut')
    const { error, report } = await dump({ uri: through(proxy, source.uri('wide')) })
    await Promise.all([slow, met])
    expect(error).toBeUndefined()
    // nobody had heard of it, so it is in parts again
    expect(told.calls.at(0)).toBe('schema wide')
    expect(told.calls.at(-1)).toBe('dumped wide')
    expect(told.calls).not.toContain('lost wide')
    expect((await manifest())?.archives.length).toBeGreaterThan(1)
    expect(report.warnings.join()).toMatch(/its dump is made again from the beginning$/)
    await nothingLeft()
  })

  test.each(['alpha', 'beta'])('that of %s fails, and the other one is stopped', async (fails) => {
    trying()
    const failing = bothHeld().then(async () => {
      // the server may have neither begun with what the proxy has seen, nor come to where its buffers are full
      const ended = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                      WHERE query LIKE 'COPY public.${fails} %' AND wait_event = 'ClientWrite'`
      while ((await source.sql(ended)).rowCount === 0) await sleep(20)
      // its session may have a moment more, and would send the rest to whoever takes it
      while ((await copies(fails)).rowCount) await sleep(20)
      proxy.release()
    })
    const { error } = await dump({ uri: through(proxy, source.uri('wide')) })
    await failing
    expect(error).toBeUndefined()
    expect(told.calls.at(0)).toBe('schema wide')
    expect(told.calls.slice(-2)).toEqual(['lost wide', 'dumped wide'])
    const failed = `data wide databases/wide/${fails === 'alpha' ? 2 : 3}`
    expect(told.calls).not.toContain(failed)
    expect((await manifest())?.archives).toEqual([{ path: 'databases/wide/1' }])
    await nothingLeft()
  })

  test('the job is cancelled, and neither is left behind', async () => {
    trying()
    const stop = new AbortController()
    const held = proxy.when(/COPY public\.alpha /, 'portion')
    const second = proxy.when(/COPY public\.beta /, 'portion').then(async () => {
      // the definitions may be there later
      while (told.calls.length === 0) await sleep(20)
      stop.abort()
    })
    const { error } = await dump({
      uri: through(proxy, source.uri('wide')),
      signal: stop.signal,
    })
    await Promise.all([held, second])
    expect(error).toBeInstanceOf(Cancelled)
    expect(told.calls).toEqual(['schema wide'])
    await nothingLeft()
  })

  describe('one of them is given up, since both together are no faster', () => {
    const second = () => join(directory, 'dump', 'databases', 'wide', '3')

    /** Waits until that has happened, and nothing is left of it. */
    async function givenUp(known: () => void, path: string): Promise<void> {
      await bothHeld()
      expect(await readdir(path)).not.toEqual([])
      known()
      while ((await copies('beta')).rowCount) await sleep(20)
      while ((await readdir(dirname(path))).includes('3')) await sleep(20)
      expect(told.calls).toEqual(['schema wide'])
    }

    test.each([
      ['a table', tinyParts],
      ['the rest', { ...tinyParts, parts: 2 }],
    ])('%s: it is dumped in its turn, and nobody was told of it before', async (_, partSizes) => {
      const released = givenUp(trying(), second()).then(() => proxy.release())
      const { error, report, lines } = await dump({
        uri: through(proxy, source.uri('wide')),
        inputs: { compression: 'none' },
        partSizes,
      })
      await released
      expect(error).toBeUndefined()
      expect(report.warnings).toEqual([])
      expect(lines.join('\n')).toContain('databases/wide/3 is dumped later')
      const parts = told.ahead.map(({ path }) => `data wide ${path}`)
      expect(told.calls).toEqual(['schema wide', ...parts, 'dumped wide'])
      expect(told.flowing.map(({ path, after }) => [path, after])).toEqual(
        told.ahead.filter(({ isRest }) => !isRest).map(({ path }, index) => [path, index + 1]),
      )
      const { entries } = await readArchive(second())
      const [rows] = entries.filter(({ desc }) => desc === 'TABLE DATA')
      const data = await readFile(join(second(), `${rows?.dumpId}.dat`), 'utf8')
      // a line that ends them, and an empty one
      expect(data.trimEnd().split('\n')).toHaveLength(9000 + 1)
      await nothingLeft()
    })

    test('and the job is cancelled meanwhile', async () => {
      const stop = new AbortController()
      const known = trying(() => queueMicrotask(() => stop.abort()))
      const cancelled = bothHeld().then(known)
      const { error } = await dump({
        uri: through(proxy, source.uri('wide')),
        signal: stop.signal,
      })
      await cancelled
      expect(error).toBeInstanceOf(Cancelled)
      expect(told.calls).toEqual(['schema wide'])
      await nothingLeft()
    })

    test('and the moment is lost meanwhile', async () => {
      const known = trying(() => queueMicrotask(() => proxy.disturb('cut')))
      const lost = bothHeld().then(known)
      const { error } = await dump({ uri: through(proxy, source.uri('wide')) })
      await lost
      expect(error).toBeUndefined()
      expect(told.calls).toEqual(['schema wide', 'lost wide', 'dumped wide'])
      expect((await manifest())?.archives).toEqual([{ path: 'databases/wide/1' }])
      await nothingLeft()
    })

    test('and the disk is full before its turn', async () => {
      const disk = SmallDisk.make(96 * 1024 * 1024)
      if (!disk) return void process.stderr.write('skipped: no file system can be mounted here\n')
      try {
        const path = join(disk.path, 'dump', 'databases', 'wide', '3')
        const full = givenUp(trying(), path).then(() => {
          disk.fill()
          proxy.release()
        })
        const { error } = await dump({
          uri: through(proxy, source.uri('wide')),
          into: disk.path,
          inputs: { compression: 'none' },
        })
        await full
        expect((error as Failure).message).toBe('The disk of the runner is full')
        expect(told.calls).toEqual(['schema wide'])
        await nothingLeft()
      } finally {
        disk.remove()
      }
    })
  })
})

test('a connection that is lost before anything was told voids nothing, and parts are made of another moment', async () => {
  const met = proxy.when(/LOCK TABLE public\.alpha/, 'cut')
  const { error, report } = await dump({ uri: through(proxy, source.uri('shop')) })
  await met
  expect(error).toBeUndefined()
  expect(told.calls.at(0)).toBe('schema shop')
  expect(told.calls.at(-1)).toBe('dumped shop')
  expect(told.calls).not.toContain('lost shop')
  expect((await manifest())?.archives.length).toBeGreaterThan(2)
  expect(report.warnings.join()).toMatch(/its dump is made again from the beginning$/)
})

test('who asks for a table that is held does not wait for long, and one archive is made of another moment', async () => {
  const other = await source.connect('shop')
  let asked: Promise<unknown> | undefined
  let isOver = false
  const ask = () => {
    asked ??= other
      .query('BEGIN; LOCK TABLE alpha, beta, gamma IN ACCESS EXCLUSIVE MODE; ROLLBACK')
      .finally(() => {
        isOver = true
      })
  }
  // nothing is dumped before the server knows who waits
  const waiting = `SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'`
  const isKnown = async () => {
    while (!isOver && !(await source.sql(waiting)).rowCount) await sleep(20)
  }
  const held = proxy.when(/COPY public\.alpha /, 'none', { until: isKnown })
  const { error, report } = await dump({
    uri: through(proxy, source.uri('shop')),
    sink: { schema: ask },
  })
  expect(error).toBeUndefined()
  await Promise.all([held, asked])
  await other.end()
  expect(told.calls.slice(-2)).toEqual(['lost shop', 'dumped shop'])
  expect((await manifest())?.archives).toEqual([{ path: 'databases/shop/1' }])
  expect(report.warnings.join()).toMatch(
    /somebody waits for a table that is held .* from the beginning, into one archive/,
  )
})

test.each([
  ['parts', tinyParts, `BEGIN; UPDATE alpha SET t = 'new'; TRUNCATE delta`],
  [
    'one archive',
    { ...tinyParts, database: 1e12 },
    'BEGIN; ALTER TABLE delta ALTER a TYPE int USING a + 1',
  ],
])(
  'a table that somebody rewrites when the moment has begun is dumped with its rows, of another moment: %s',
  async (_, partSizes, sql) => {
    await source.sql('CREATE TABLE delta AS SELECT generate_series(1, 100) AS a', 'shop')
    const other = await source.connect('shop')
    try {
      await other.query(sql)
      const running = dump({ inputs: { verify: 'counts', compression: 'none' }, partSizes })
      const waiting = `SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessShareLock'`
      while (!(await source.sql(waiting)).rowCount) await sleep(20)
      await other.query(`INSERT INTO delta SELECT generate_series(1, 50); COMMIT`)
      const { error, report } = await running
      expect(error).toBeUndefined()
      expect(report.warnings.join()).toContain(
        'The table public.delta was emptied, rewritten or exchanged for another one while its moment was being read',
      )
      const { rows } = await source.sql('SELECT count(*)::int AS rows FROM delta', 'shop')
      expect((await manifest())?.fingerprint).toMatchObject({
        tables: expect.arrayContaining([expect.objectContaining({ name: 'delta', ...rows[0] })]),
      })
      const data = await readFile(await dataFileOf('delta'), 'utf8')
      expect(data.trimEnd().split('\n')).toHaveLength(rows[0]?.rows + 1)
    } finally {
      await other.end()
      await source.sql('DROP TABLE delta', 'shop')
    }
  },
)

/** Of the archive that has the rows, which is not compressed. */
async function dataFileOf(table: string): Promise<string> {
  const database = join(directory, 'dump', 'databases', 'shop')
  for (const name of await readdir(database)) {
    const { entries } = await readArchive(join(database, name))
    const entry = entries.find(({ desc, tag }) => desc === 'TABLE DATA' && tag === table)
    if (entry) return join(database, name, `${entry.dumpId}.dat`)
  }
  throw new Error(`no archive has the rows of ${table}`)
}

test('a dump that is cancelled leaves no pg_dump behind, and tells nothing more', async () => {
  const stop = new AbortController()
  const { error } = await dump({ signal: stop.signal, sink: { schema: () => stop.abort() } })
  expect(error).toBeInstanceOf(Cancelled)
  expect(told.calls).toEqual(['schema shop'])
  const left = `SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'migrate-to-polardb%'`
  while ((await source.sql(left)).rowCount) await sleep(50)
})

test('a disk that is full ends a dump in parts and names itself', async () => {
  const disk = SmallDisk.make(200 * 1024)
  if (!disk) {
    console.warn('SKIPPED: no file system can be mounted here')
    return
  }
  try {
    const { error } = await dump({ into: disk.path, inputs: { compression: 'none' } })
    expect((error as Failure).message).toBe('The disk of the runner is full')
    expect(told.calls).not.toContain('dumped shop')
  } finally {
    disk.remove()
  }
})

describe('one archive is made, and nothing told early', () => {
  test('with options that choose what is dumped', async () => {
    const { error, lines } = await dump({ inputs: { 'dump-options': '--exclude-table-data=beta' } })
    expect(error).toBeUndefined()
    expect(told.calls).toEqual(['dumped shop'])
    expect(lines.join('\n')).toContain(
      'into one archive, and restored when it is complete: dump-options says --exclude-table-data',
    )
  })

  test('where sessions share no snapshot', async () => {
    const polar = await PolarStandIn.start({ snapshots: 'refused' })
    try {
      await polar.backend.sql('CREATE DATABASE shop')
      await polar.backend.sql(
        `${fill}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO PUBLIC`,
        'shop',
      )
      const { error, report } = await dump({ uri: polar.uri('shop') })
      expect(error).toBeUndefined()
      expect(report.warnings.join()).toMatch(
        /one session.*its restore begins when all of it is there/,
      )
      expect(told.calls).toEqual(['dumped shop'])
    } finally {
      await polar.stop()
    }
  })
})

test('rows that extensions keep for their users are in the last part, as far as they say', async () => {
  await source.sql('CREATE DATABASE extended')
  await source.sql(
    `${fill}; CREATE EXTENSION hstore; CREATE TABLE settings (id int); INSERT INTO settings SELECT generate_series(1, 20000);
     CREATE TABLE internals (id int); INSERT INTO internals SELECT generate_series(1, 20000);
     ALTER EXTENSION hstore ADD TABLE settings; ALTER EXTENSION hstore ADD TABLE internals;
     UPDATE pg_extension SET extconfig = ARRAY['settings'::regclass::oid], extcondition = ARRAY['WHERE id > 10'] WHERE extname = 'hstore'`,
    'extended',
  )
  const { error } = await dump({ uri: source.uri('extended') })
  expect(error).toBeUndefined()
  expect(told.ahead.map(({ tables }) => tables.map(({ name }) => name).sort())).toEqual([
    ['alpha'],
    ['beta'],
    ['gamma'],
    ['internals', 'settings'],
  ])
  const { entries } = await readArchive(join(directory, 'dump', told.ahead.at(-1)?.path ?? ''))
  const data = entries.filter(({ desc }) => desc === 'TABLE DATA').map(({ tag }) => tag)
  expect(data).toEqual(['settings'])
})

test('no archive of a frozen source says that it is read-only', async () => {
  await source.sql('CREATE DATABASE frozen')
  await source.sql(fill, 'frozen')
  await source.sql('ALTER DATABASE frozen SET default_transaction_read_only = false', 'frozen')
  const { error } = await dump({
    uri: source.uri('frozen'),
    inputs: { 'freeze-source': 'true' },
  })
  expect(error).toBeUndefined()
  const archives = (await manifest())?.archives ?? []
  expect(archives).toHaveLength(5)
  for (const { path } of archives) {
    const { entries } = await readArchive(join(directory, 'dump', path))
    const said = entries.filter(({ desc }) => desc === 'DATABASE PROPERTIES')
    expect(said.map(({ definition }) => definition).join()).toMatch(/read_only TO'off'/)
    expect(entries.map(({ tag }) => tag)).not.toContain('migrate-to-polardb-freeze')
  }
})

describe('between two parts', () => {
  const context = newContext('dump')

  test('nobody can truncate or rewrite a table, and its size is known', async () => {
    const snapshot = await exportSnapshot(parseConnectionString(source.uri('shop')), 'shop')
    const other = await source.connect('shop')
    try {
      const held = await holdTables(snapshot, context)
      expect(held?.map(({ name, mayStandAlone }) => [name, mayStandAlone]).sort()).toEqual(
        tables.map((name) => [name, true]),
      )
      const { rows } = await source.sql(`SELECT pg_table_size('alpha') AS bytes`, 'shop')
      expect(held?.find(({ name }) => name === 'alpha')?.bytes).toBe(Number(rows[0]?.bytes))
      await other.query(`SET lock_timeout = '100ms'`)
      for (const table of tables)
        await expect(other.query(`TRUNCATE ${table}`)).rejects.toMatchObject({ code: '55P03' })
      await stillHeld(snapshot.client)
      await releaseTables(snapshot.client)
      await other.query('BEGIN; TRUNCATE alpha; ROLLBACK')
    } finally {
      await other.end()
      await snapshot.close()
    }
  })

  test('it is known how far a table is that somebody copies from, where the server says so', async () => {
    await source.sql('ANALYZE alpha', 'shop')
    const snapshot = await exportSnapshot(parseConnectionString(source.uri('shop')), 'shop')
    const other = await source.connect('shop')
    try {
      const found = (await holdTables(snapshot, context)) ?? []
      expect(found.find(({ name }) => name === 'alpha')?.rows).toBe(9000)
      // nobody has counted those of the other one
      const held = found.map((one) => (one.name === 'beta' ? { ...one, rows: null } : one))
      for (const name of ['alpha', 'beta']) {
        // more than a pipe holds, so the server waits for whoever reads
        const barrier = join(source.directory, `barrier-${name}`)
        await writeFile(barrier, '')
        const program = `while [ -e ${barrier} ]; do sleep 0.1; done; cat > /dev/null`
        const copying = source.sql(`COPY ${name} TO PROGRAM '${program}'`, 'shop')
        let shares = await copyShares(other, 150_000, held)
        // not there yet, or without a row yet
        while (!shares[0]?.[1]) shares = await copyShares(other, 150_000, held)
        expect(shares.map(([table]) => table.name)).toEqual([name])
        expect(shares[0]?.[1]).toBeLessThan(1)
        expect(await copyShares(other, 130_000, held)).toEqual([])
        await rm(barrier)
        await copying
      }
      await other.query(
        'CREATE ROLE nobody; REVOKE SELECT ON pg_stat_progress_copy FROM PUBLIC; SET ROLE nobody',
      )
      expect(await copyShares(other, 150_000, held)).toEqual([])
    } finally {
      await other.query(
        'RESET ROLE; GRANT SELECT ON pg_catalog.pg_stat_progress_copy TO PUBLIC; DROP ROLE IF EXISTS nobody',
      )
      await other.end()
      await snapshot.close()
    }
  })

  test('who reads rows behind somebody who waits for a table gives the moment up', async () => {
    const connection = parseConnectionString(source.uri('shop'))
    const snapshot = await exportSnapshot(connection, 'shop')
    const other = await source.connect('shop')
    try {
      await holdTables(snapshot, context)
      const asked = other.query('BEGIN; LOCK TABLE gamma IN ACCESS EXCLUSIVE MODE; ROLLBACK')
      const waiting = `SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'`
      while (!(await source.sql(waiting)).rowCount) await sleep(20)
      const options = { connection, database: 'shop', snapshot, level: 'data', jobs: 2 } as const
      const reading = fingerprintDatabase({ ...options, lockWait: 100 }, context)
      await expect(reading).rejects.toBeInstanceOf(TableAwaited)
      await snapshot.close()
      await asked
    } finally {
      await other.end()
      await snapshot.close()
    }
  })

  test('the session that holds them must live', async () => {
    const snapshot = await exportSnapshot(parseConnectionString(source.uri('shop')), 'shop')
    try {
      await holdTables(snapshot, context)
      const { rows } = await snapshot.client.query('SELECT pg_catalog.pg_backend_pid() AS pid')
      await source.sql(`SELECT pg_terminate_backend(${rows[0]?.pid})`)
      await expect(stillHeld(snapshot.client)).rejects.toBeInstanceOf(MomentGone)
    } finally {
      await snapshot.close()
    }
  })

  test('nobody has replaced a table since the moment began', async () => {
    const snapshot = await exportSnapshot(parseConnectionString(source.uri('shop')), 'shop')
    try {
      await source.sql('ALTER TABLE gamma ALTER t TYPE text USING t || t', 'shop')
      await expect(holdTables(snapshot, context)).rejects.toBeInstanceOf(TableReplaced)
    } finally {
      await snapshot.close()
    }
  })

  test('a table that somebody has for himself is not waited for long, and the moment stays', async () => {
    const snapshot = await exportSnapshot(parseConnectionString(source.uri('shop')), 'shop')
    const other = await source.connect('shop')
    try {
      await other.query('BEGIN; LOCK TABLE gamma IN ACCESS EXCLUSIVE MODE')
      expect(await holdTables(snapshot, context, 100)).toBeNull()
      await other.query('LOCK TABLE alpha, beta IN ACCESS EXCLUSIVE MODE NOWAIT')
      await stillHeld(snapshot.client)
    } finally {
      await other.end()
      await snapshot.close()
    }
  })
})
