import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Cancelled } from '../../src/failure.ts'
import { compareFingerprints } from '../../src/migration/verify/compare/fingerprints.ts'
import type { DatabaseFingerprint } from '../../src/migration/verify/model.ts'
import type { Ahead, AheadPiece } from '../../src/migration/verify/rows/ahead.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { newContext } from '../support/context.ts'
import { runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { behind, type Dump, Harness } from '../support/restore-harness.ts'
import { hasServer, type Major, TestServer } from '../support/server.ts'
import { differencesIn, fingerprintOf } from '../support/verify-run.ts'

/** Tables of 20 KB are read while others are restored, in pieces of 128 KB. */
const aheadSizes = { from: 20_000, piece: 128 * 1024, whole: 1024 ** 3 }

const schema = `
  CREATE TYPE mood AS ENUM ('low', 'high'); CREATE DOMAIN short AS varchar(40);
  CREATE TABLE large (id int PRIMARY KEY, a int, t text, m mood, f float8[], s short);
  INSERT INTO large SELECT g, g % 7, md5(g::text), 'low', ARRAY[g / 3.0], g::text FROM generate_series(1, 6000) g;
  CREATE INDEX ON large (t); CREATE INDEX ON large USING gin (f);
  CREATE TABLE "O""dd" (v text, "Ünï ""q""" int); INSERT INTO "O""dd" SELECT md5(g::text), g FROM generate_series(1, 2000) g;
  CREATE TABLE parted (k int, t text) PARTITION BY RANGE (k);
  CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9999);
  INSERT INTO parted SELECT g, md5(g::text) FROM generate_series(1, 2000) g;
  CREATE TABLE heir (more text) INHERITS ("O""dd"); INSERT INTO heir SELECT md5(g::text), g, 'x' FROM generate_series(1, 2000) g;
  CREATE TYPE couple AS (a int, b text);
  CREATE TABLE pair AS SELECT md5(g::text) AS t, ARRAY[(g, md5(g::text))::couple] AS c FROM generate_series(1, 2000) g;
  CREATE TABLE few (a int); INSERT INTO few VALUES (1);
  CREATE TABLE named AS SELECT 'few'::regclass AS r, md5(g::text) AS t FROM generate_series(1, 2000) g;
  ALTER TABLE large ENABLE ROW LEVEL SECURITY; CREATE POLICY above ON large USING (id > 10)`

/** Columns that are computed whenever they are read. */
const virtual = `
  CREATE TABLE computed (t text, v text GENERATED ALWAYS AS (t || 'x') VIRTUAL);
  INSERT INTO computed SELECT md5(g::text) FROM generate_series(1, 2000) g`

/** What happens to a database between its restore and its verification, and the tables whose rows are different then. */
const changes: { name: string; sql: string; rows: string[]; isRead?: boolean }[] = [
  { name: 'one value', sql: `UPDATE large SET a = a + 1 WHERE id = 4000`, rows: ['large'] },
  {
    name: 'a row in the place of another',
    sql: `DELETE FROM ONLY "O""dd" WHERE "Ünï ""q""" = 7; INSERT INTO "O""dd" VALUES ('other', 7)`,
    rows: ['O"dd'],
  },
  { name: 'a row less', sql: `DELETE FROM ONLY part WHERE k = 1`, rows: ['part'] },
  { name: 'a row more', sql: `INSERT INTO large SELECT 0, 1 FROM few`, rows: ['large'] },
  { name: 'no row left', sql: `TRUNCATE heir`, rows: ['heir'] },
  {
    name: 'a column that is made anew',
    sql: `ALTER TABLE part DROP COLUMN IF EXISTS never; ALTER TABLE pair DROP COLUMN t; ALTER TABLE pair ADD COLUMN t text`,
    rows: ['pair'],
  },
  {
    name: 'two columns that exchange their names',
    sql: `ALTER TABLE large RENAME id TO x; ALTER TABLE large RENAME a TO id; ALTER TABLE large RENAME x TO a`,
    rows: ['large'],
  },
  {
    name: 'a column of a composite type that is made anew',
    sql: `ALTER TYPE couple DROP ATTRIBUTE b; ALTER TYPE couple ADD ATTRIBUTE b text`,
    rows: ['pair'],
  },
  {
    name: 'labels of an enum that exchange their names',
    sql: `ALTER TYPE mood RENAME VALUE 'low' TO 'x'; ALTER TYPE mood RENAME VALUE 'high' TO 'low'; ALTER TYPE mood RENAME VALUE 'x' TO 'high'`,
    rows: ['large'],
  },
  {
    name: 'a table that rows name and that is made anew',
    sql: `DROP TABLE few; CREATE TABLE few (a int); INSERT INTO few VALUES (1)`,
    rows: ['named'],
  },
  { name: 'rows written anew', sql: `UPDATE large SET a = a WHERE id < 9`, rows: [] },
  { name: 'a table written anew', sql: `VACUUM FULL large`, rows: [] },
  { name: 'other statistics', sql: `VACUUM (FREEZE, ANALYZE)`, rows: [], isRead: false },
]

describe.each([11, 18] as Major[])('on PostgreSQL %i', (major) => {
  const maybe = hasServer(major) ? test : test.skip
  let harness: Harness
  let source: TestServer
  let target: PlainTarget
  let dump: Dump
  let recipe: DatabaseFingerprint
  let ahead: Ahead
  let copies = 0

  beforeAll(async () => {
    if (!hasServer(major)) return
    const opened = (await Harness.open(major)) ?? (await Harness.open(15))
    if (!opened) throw new Error('client programs are missing')
    harness = opened
    source = await TestServer.start(major)
    target = await startPlainTarget(major)
    await source.sql('CREATE DATABASE shop')
    await source.sql(schema, 'shop')
    if (major >= 18) await source.sql(virtual, 'shop')
    dump = await harness.dump(source, 'shop')
    recipe = await fingerprintOf(source, 'shop', { targetMajor: major })
    const context = { ...harness.context, aheadSizes }
    ;({ ahead } = await harness.restore(dump, target, { readAhead: {} }, context))
  })

  afterAll(async () => {
    await source?.stop()
    await target?.stop()
    await harness?.close()
  })

  /** What differs, and what was said of the tables that had been read. */
  async function verify(
    database: string,
    known = ahead,
    connection = parseConnectionString(target.backend.uri()),
  ) {
    const context = newContext('verify', { pauses: [0.1, 0.2, 0.5] })
    const options = { connection, recipe, ahead: known, role: 'target' } as const
    const found = await fingerprintOf(target.backend, database, options, context)
    const { tables } = compareFingerprints(recipe, found, [])
    const said = context.lines.filter((line) => line.includes('had been read'))
    return { differences: differencesIn({ tables, objects: [] } as never), said }
  }

  maybe('large tables are read while others are restored', async () => {
    const names = ['large', 'O"dd', 'part', 'heir', 'pair'].map((name) =>
      JSON.stringify(['public', name]),
    )
    expect([...ahead.keys()].sort()).toEqual(names.sort())
    const pieces = ahead.get(JSON.stringify(['public', 'large']))?.pieces.length ?? 0
    if (major >= 14) expect(pieces).toBeGreaterThan(3)
    else expect(pieces).toBe(1)
    expect(await verify('shop')).toEqual({
      differences: [],
      said: [
        'shop: 5 tables of the target had been read while others were restored; none of their rows has changed since',
      ],
    })
  })

  describe.each(changes)('$name', ({ sql, rows, isRead = true }) => {
    maybe('is seen as it is', async () => {
      const copy = `copy_${++copies}`
      await target.backend.sql(`CREATE DATABASE ${copy} TEMPLATE shop`)
      for (const statement of sql.split('; ')) await target.backend.sql(statement, copy)
      const { differences, said } = await verify(copy)
      expect(differences).toEqual(rows.map((name) => `table public.${name}: rows`))
      const isUsed = said.some((line) => line.includes('none of their rows'))
      // what another shape shows at once is not looked at
      if (!/COLUMN|FULL|TRUNCATE|RENAME|TYPE|DROP/.test(sql)) expect(isUsed).toBe(!isRead)
    })
  })

  maybe.each<[string, (piece: AheadPiece) => AheadPiece]>([
    ['is not what the source has', (piece) => ({ ...piece, digest: piece.digest + 1n })],
    ['was written nobody knows when', (piece) => ({ ...piece, xids: [...piece.xids, '2'] })],
  ])('what was read is worth nothing where it %s', async (_, change) => {
    const wrong = new Map(
      [...ahead].map(([key, table]) => [key, { ...table, pieces: table.pieces.map(change) }]),
    )
    expect(await verify('shop', wrong)).toEqual({ differences: [], said: [] })
  })

  maybe('one job alone reads nothing ahead, since it is never idle', async () => {
    const context = { ...harness.context, aheadSizes }
    const changes = { readAhead: {}, targetName: 'alone', jobs: 1 }
    const { ahead: none } = await harness.restore(dump, target, changes, context)
    expect(none.size).toBe(0)
  })

  maybe('a transaction that had begun before the rows came, and ends later', async () => {
    await target.backend.sql(`CREATE DATABASE early OWNER "${target.account}"`)
    const stranger = await target.backend.connect('early')
    try {
      await stranger.query('BEGIN; SELECT txid_current()')
      const context = { ...harness.context, aheadSizes }
      const changes = { readAhead: {}, targetName: 'early' }
      const restored = await harness.restore(dump, target, changes, context)
      expect(restored.ahead.size).toBe(5)
      await stranger.query(
        `DELETE FROM large WHERE id = 5; INSERT INTO large VALUES (5, 5); COMMIT`,
      )
      const { differences } = await verify('early', restored.ahead)
      expect(differences).toEqual(['table public.large: rows'])
    } finally {
      await stranger.end()
    }
  })

  maybe(
    'sessions that are lost while they read: one leaves its table, and one looks once more',
    async () => {
      const proxy = await TcpProxy.start(target.backend.port)
      try {
        const context = { ...harness.context, aheadSizes }
        const lost = proxy.when(/hash_array_extended.* GROUP BY t\.xmin/s, 'cut')
        const far = behind(proxy, target)
        const changes = { readAhead: {}, targetName: 'lost' }
        const restored = await harness.restore(dump, far, changes, context)
        await lost
        expect(restored.ahead.size).toBe(4)
        const looks = [1, 2].map(() => proxy.when(/THEN 1 END/, 'cut'))
        const connection = parseConnectionString(through(proxy, target.backend.uri()))
        expect(await verify('lost', restored.ahead, connection)).toEqual({
          differences: [],
          said: [expect.stringContaining('lost: 4 tables of the target had been read')],
        })
        await Promise.all(looks)
      } finally {
        await proxy.stop()
      }
    },
  )

  maybe('a job that is cancelled while it reads leaves no session behind', async () => {
    const proxy = await TcpProxy.start(target.backend.port)
    try {
      const controller = new AbortController()
      const context = { ...harness.context, aheadSizes, signal: controller.signal }
      void proxy.when(/GROUP BY t\.xmin/, 'none').then(() => controller.abort())
      const changes = { readAhead: {}, targetName: 'cancelled' }
      const cancelled = harness.restore(dump, behind(proxy, target), changes, context)
      await expect(cancelled).rejects.toThrow(Cancelled)
      const left = `SELECT 1 FROM pg_stat_activity WHERE datname = 'cancelled'`
      // the server takes a moment to end those whose connections are closed
      while ((await target.backend.sql(left)).rowCount) await sleep(10)
    } finally {
      await proxy.stop()
    }
  })

  maybe('rows that came by statements of their own are left to the verification', async () => {
    const inserts = await harness.dump(source, 'shop', ['--inserts', '--table="O""dd"'])
    const context = { ...harness.context, aheadSizes }
    const changes = { readAhead: {}, targetName: 'inserted', proven: true }
    const { ahead: none } = await harness.restore(inserts, target, changes, context)
    expect(none.size).toBe(0)
  })
})

test('the restore of a kept dump reads ahead by what its manifest says, with verify: data alone', async () => {
  const harness = await Harness.open(15)
  if (!harness) throw new Error('the client programs of 15 are missing')
  const source = await TestServer.start(15)
  const target = await startPlainTarget(15)
  try {
    await source.sql('CREATE DATABASE shop')
    await source.sql(schema, 'shop')
    const dump = join(harness.directory, 'kept')
    const inputs = {
      ...between(source, target, 'shop'),
      'client-path': harness.client.directory,
      'dump-directory': dump,
      'keep-dump': 'true',
      'upload-dump': 'false',
    }
    const dumped = await runInProcess({ ...inputs, command: 'dump' }, { aheadSizes })
    expect(dumped.error).toBeUndefined()
    const said = async (verify: string) => {
      const more = { command: 'restore', databases: `shop=${verify}`, verify }
      const { lines, report } = await runInProcess({ ...inputs, ...more }, { aheadSizes })
      expect(report.verified).toBe(verify === 'data')
      return lines.filter((line) => line.includes('had been read'))
    }
    expect(await said('data')).toEqual([
      'data: 5 tables of the target had been read while others were restored; none of their rows has changed since',
    ])
    expect(await said('counts')).toEqual([])
  } finally {
    await source.stop()
    await target.stop()
    await harness.close()
  }
})
