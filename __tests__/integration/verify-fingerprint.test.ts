import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Cancelled } from '../../src/failure.ts'
import { compareFingerprints } from '../../src/migration/verify/compare/fingerprints.ts'
import { rereadSequences } from '../../src/migration/verify/fingerprint.ts'
import { parseFingerprint } from '../../src/migration/verify/kept-fingerprint.ts'
import { TableReplaced } from '../../src/migration/verify/read-session.ts'
import { startTasks } from '../../src/migration/verify/rows/readers.ts'
import { exportSnapshot } from '../../src/migration/verify/snapshot.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { failureOf } from '../support/failure.ts'
import { TestServer } from '../support/server.ts'
import { createRichDatabase } from '../support/verify-database.ts'
import { compareWith, differencesIn, fingerprintOf, testContext } from '../support/verify-run.ts'

let server: TestServer
let replaced = 0

beforeAll(async () => {
  server = await TestServer.start(15)
})

afterAll(() => server?.stop())

async function database(name: string, sql: string, options = ''): Promise<string> {
  await server.sql(`CREATE DATABASE ${name} TEMPLATE template0 ${options}`)
  await server.sql(sql, name)
  return name
}

async function copy(from: string, to: string): Promise<string> {
  await server.sql(`CREATE DATABASE ${to} TEMPLATE ${from}`)
  return to
}

/** Between two looks at what the server is doing. */
function pause(): Promise<void> {
  return new Promise((done) => setTimeout(done, 20))
}

describe('one moment', () => {
  test('a source that is written to while it is read still compares equal with its dump', async () => {
    const name = await database(
      'live',
      'CREATE TABLE t (id serial, v text); INSERT INTO t (v) SELECT g::text FROM generate_series(1, 1000) g',
    )
    const dump = await copy(name, 'live_dump')
    const connection = parseConnectionString(server.uri())
    const snapshot = await exportSnapshot(connection, name)
    await server.sql(
      `INSERT INTO t (v) VALUES ('late'); UPDATE t SET v = 'changed' WHERE id < 10; DELETE FROM t WHERE id = 11`,
      name,
    )
    const source = await fingerprintOf(server, name, { snapshot })
    await snapshot.close()

    expect(source.moments).toBeNull()
    expect(source.tables).toEqual([expect.objectContaining({ name: 't', rows: 1000 })])
    expect(differencesIn(await compareWith(source, server, dump))).toEqual([])
    // without the snapshot the writes are seen
    const later = await fingerprintOf(server, name)
    expect(differencesIn(await compareWith(later, server, dump))).toEqual([
      'sequence value public.t_id_seq: 1001 on the source, 1000 on the target',
      'table public.t: rows',
    ])
  })

  test('a sequence that moved during the dump is right anywhere on its way, and nowhere else', async () => {
    const name = await database('moving', "CREATE SEQUENCE s; SELECT setval('s', 10)")
    const target = await copy(name, 'moving_dump')
    const source = await fingerprintOf(server, name)
    await server.sql(`SELECT setval('s', 20)`, name)
    await rereadSequences(
      source,
      { connection: parseConnectionString(server.uri()), database: name },
      testContext(),
    )
    for (const [value, found] of [
      [10, 0],
      [15, 0],
      [20, 0],
      [9, 1],
      [21, 1],
    ] as const) {
      await server.sql(`SELECT setval('s', ${value})`, target)
      expect(differencesIn(await compareWith(source, server, target))).toHaveLength(found)
    }
  })

  test('a snapshot whose session ended is a failure, not another moment', async () => {
    const name = await database('ended', 'CREATE TABLE t ()')
    const snapshot = await exportSnapshot(parseConnectionString(server.uri()), name)
    await snapshot.close()
    const failure = await failureOf(fingerprintOf(server, name, { snapshot }))
    expect(failure.message).toBe('The moment that was to be verified is gone')
  })

  test.each([
    ['emptied', 'TRUNCATE t'],
    ['emptied and filled', 'BEGIN; TRUNCATE t; INSERT INTO t SELECT 1, 2; COMMIT'],
    ['rewritten', 'ALTER TABLE t ALTER b TYPE int USING b + 1'],
    ['rewritten with another type', 'ALTER TABLE t ALTER b TYPE bigint USING b + 1'],
    [
      'exchanged for another one that has rows',
      'BEGIN; ALTER TABLE t RENAME TO x; ALTER TABLE u RENAME TO t; ALTER TABLE x RENAME TO u; COMMIT',
    ],
  ])('a table that is %s afterwards is not read as if it had held nothing', async (_, sql) => {
    const tables = `CREATE TABLE t AS SELECT g AS a, g AS b FROM generate_series(1, 1000) g; CREATE TABLE u AS TABLE t`
    const name = await database(`replaced_${++replaced}`, tables)
    const connection = parseConnectionString(server.uri())
    const snapshot = await exportSnapshot(connection, name)
    try {
      await server.sql(sql, name)
      for (const level of ['counts', 'data'] as const) {
        const reading = fingerprintOf(server, name, { snapshot, level })
        await expect(reading).rejects.toBeInstanceOf(TableReplaced)
      }
    } finally {
      await snapshot.close()
    }
  })

  test('a table whose rows were moved to another file is read from there, but for parts of it', async () => {
    const name = await database(
      'moved',
      `CREATE TABLE t AS SELECT g AS a, repeat('x', 500) AS b FROM generate_series(1, 1000) g; DELETE FROM t WHERE a < 500;
       CREATE TABLE empty (a int)`,
    )
    const before = await fingerprintOf(server, name)
    const snapshot = await exportSnapshot(parseConnectionString(server.uri()), name)
    try {
      // as one statement each: a transaction cannot hold it
      await server.sql('VACUUM FULL t', name)
      const { tables } = await fingerprintOf(server, name, { snapshot })
      expect(tables).toEqual(before.tables)
      const pieces = fingerprintOf(server, name, { snapshot, pieceBytes: 8192 })
      await expect(pieces).rejects.toBeInstanceOf(TableReplaced)
    } finally {
      await snapshot.close()
    }
  })
})

describe('what cannot be read', () => {
  beforeAll(async () => {
    await server.sql(
      `CREATE ROLE reader LOGIN PASSWORD 'r'; CREATE ROLE owner; CREATE ROLE heir LOGIN NOINHERIT PASSWORD 'h' IN ROLE owner`,
    )
    await database(
      'guarded',
      `CREATE TABLE open (a int); GRANT SELECT ON open TO reader;
       CREATE TABLE hidden (a int); INSERT INTO hidden VALUES (1); ALTER TABLE hidden OWNER TO owner;
       CREATE SEQUENCE counter; ALTER SEQUENCE counter OWNER TO owner; GRANT SELECT ON counter TO reader;
       SELECT lo_create(700001); ALTER LARGE OBJECT 700001 OWNER TO owner; GRANT SELECT ON LARGE OBJECT 700001 TO reader`,
    )
    await database(
      'policed',
      `CREATE TABLE p (a int); INSERT INTO p VALUES (1); GRANT SELECT ON p TO reader;
       ALTER TABLE p ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON p USING (false)`,
    )
  })

  test('row-level security leaves a hole with the remedy, and a warning at once', async () => {
    const connection = parseConnectionString(server.uri('policed', 'reader', 'r'))
    const context = testContext()
    const { tables } = await fingerprintOf(
      server,
      'policed',
      { connection, level: 'counts' },
      context,
    )
    expect(tables).toEqual([
      expect.objectContaining({
        name: 'p',
        unreadable:
          'query would be affected by row-level security policy for table "p" [42501]. ' +
          'Row-level security would hide rows from "reader": give that account BYPASSRLS, or use a superuser',
      }),
    ])
    expect(context.warnings).toEqual([
      expect.stringMatching(
        /^policed: the table public\.p cannot be read, so it will not be verified: query would/,
      ),
    ])
  })

  test('what the account may not read is a hole with its reason, among many small ones as well', async () => {
    const connection = parseConnectionString(server.uri('guarded', 'reader', 'r'))
    await server.sql('REVOKE SELECT ON counter FROM reader', 'guarded')
    await server.sql('REVOKE SELECT ON LARGE OBJECT 700001 FROM reader', 'guarded')
    const source = await fingerprintOf(server, 'guarded', { connection })
    await server.sql('GRANT SELECT ON counter TO reader', 'guarded')
    await server.sql('GRANT SELECT ON LARGE OBJECT 700001 TO reader', 'guarded')
    expect(source.tables).toEqual([
      expect.objectContaining({
        name: 'hidden',
        unreadable:
          'permission denied for table hidden [42501]. ' +
          'Give "reader" USAGE on the schema "public" and SELECT on the table, or membership in the owner "owner"',
      }),
      expect.objectContaining({ name: 'open', rows: 0 }),
    ])
    // nothing is proven by two holes, nor by one
    const recipe = parseFingerprint(JSON.parse(JSON.stringify(source)))
    for (const as of [connection, undefined]) {
      const target = await fingerprintOf(server, 'guarded', {
        recipe,
        ...(as ? { connection: as } : {}),
      })
      const comparison = compareFingerprints(recipe, target, [])
      expect(comparison.verified).toBe(false)
      expect(comparison.tables).toEqual([
        {
          schema: 'public',
          name: 'hidden',
          sourceRows: null,
          targetRows: as ? null : 1,
          match: false,
          unreadable: expect.stringMatching(/^on the source: permission denied for table hidden/),
        },
        expect.objectContaining({ name: 'open', match: true }),
      ])
      expect(differencesIn(comparison)).toEqual(
        expect.arrayContaining([
          expect.stringMatching(
            /^sequence value public\.counter: cannot be read: permission denied/,
          ),
          expect.stringMatching(/^large object 700001: cannot be read: The large objects 700001/),
        ]),
      )
    }
  })

  test('an account that may become the owner reads as the owner: tables, sequences, large objects', async () => {
    await server.sql('GRANT SELECT ON open TO heir', 'guarded')
    const connection = parseConnectionString(server.uri('guarded', 'heir', 'h'))
    const fingerprint = await fingerprintOf(server, 'guarded', { connection })
    expect(fingerprint.tables).toEqual([
      expect.objectContaining({ name: 'hidden', rows: 1 }),
      expect.objectContaining({ name: 'open', rows: 0 }),
    ])
    expect(fingerprint).toEqual({
      ...(await fingerprintOf(server, 'guarded')),
      seconds: expect.any(Number),
      rowsPerSecond: expect.any(Number),
    })
  })

  test.each([11, 18] as const)(
    'on PostgreSQL %i an ordinary account that may read the rows sees all that a superuser sees',
    async (major) => {
      const other = await TestServer.start(major, { settings: { wal_level: 'logical' } })
      try {
        await createRichDatabase(other, 'rich', major)
        await other.sql(
          `CREATE ROLE plain LOGIN BYPASSRLS PASSWORD 'p'; GRANT USAGE ON SCHEMA rich, "odd ""schema""" TO plain;
           GRANT SELECT ON ALL TABLES IN SCHEMA rich, "odd ""schema""" TO plain;
           GRANT SELECT ON ALL SEQUENCES IN SCHEMA rich TO plain; GRANT SELECT ON LARGE OBJECT 500001, 500002, 500003 TO plain`,
          'rich',
        )
        const recipe = await fingerprintOf(other, 'rich')
        const connection = parseConnectionString(other.uri('rich', 'plain', 'p'))
        const seen = await fingerprintOf(other, 'rich', { connection, recipe })
        expect(differencesIn(compareFingerprints(recipe, seen, []))).toEqual([])
      } finally {
        await other.stop()
      }
    },
  )

  test('a row that the server cannot read is a hole, and no reason to stop', async () => {
    await database(
      'broken',
      `CREATE TYPE e AS ENUM ('a'); CREATE TABLE fine (a int); CREATE TABLE bad (v e); INSERT INTO bad VALUES ('a');
       DELETE FROM pg_enum WHERE enumtypid = 'e'::regtype`,
    )
    const { tables } = await fingerprintOf(server, 'broken')
    expect(tables).toEqual([
      expect.objectContaining({
        name: 'bad',
        unreadable: expect.stringMatching(
          /^invalid internal value for enum \[22P03\]\. Mend what the server/,
        ),
      }),
      expect.objectContaining({ name: 'fine', rows: 0 }),
    ])
    expect(tables[1]).not.toHaveProperty('unreadable')
  })

  test('a cancelled job ends every session on the server', async () => {
    await database(
      'slow',
      `CREATE TABLE t (a text); INSERT INTO t SELECT repeat('x', 500) FROM generate_series(1, 100000);
       CREATE TABLE u AS SELECT * FROM t; CREATE TABLE locked (a int)`,
    )
    const blocker = await server.connect('slow')
    await blocker.query('BEGIN; LOCK TABLE locked')
    const stop = new AbortController()
    const context = testContext(stop.signal)
    const running = fingerprintOf(server, 'slow', { jobs: 3 }, context)
    const watching = (async () => {
      const query = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = 'slow' AND wait_event_type = 'Lock'`
      while ((await server.sql(query)).rows[0].n === 0) await pause()
      stop.abort()
    })()
    await expect(running).rejects.toBeInstanceOf(Cancelled)
    await watching
    await blocker.end()
    const query = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = 'slow'`
    while ((await server.sql(query)).rows[0].n > 0) await pause()
  })
})

test('the first session that fails ends what the others are running, on the server as well', async () => {
  const place = {
    connection: parseConnectionString(server.uri()),
    database: 'postgres',
    role: 'source' as const,
  }
  const asleep = `SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(1000)' AND state = 'active'`
  const { done } = startTasks(
    {
      place,
      server: 150000,
      encoding: 'UTF8',
      snapshot: null,
      jobs: 2,
      pieceBytes: 1,
      floatDigits: 3,
      source: 150000,
      method: 'hash',
    },
    [
      {
        name: 'asleep',
        bytes: 2,
        run: async (client) => {
          await client.query('SELECT pg_sleep(1000)')
          return { rows: 0, tables: 1 }
        },
      },
      {
        name: 'failing',
        bytes: 1,
        run: async () => {
          while ((await server.sql(asleep)).rowCount === 0) await pause()
          throw new Error('the first')
        },
      },
    ],
    2,
    testContext(),
  )
  await expect(done).rejects.toThrow('the first')
  while ((await server.sql(asleep)).rowCount !== 0) await pause()
})

describe('how it is read', () => {
  test('a table in pieces has the digest of the whole', async () => {
    const name = await database(
      'large',
      `CREATE TABLE t AS SELECT g, repeat(md5(g::text), 5) FROM generate_series(1, 30000) g; DELETE FROM t WHERE g % 7 = 0`,
    )
    const whole = await fingerprintOf(server, name, { jobs: 1 })
    const context = testContext()
    const pieces = await fingerprintOf(server, name, { jobs: 3, pieceBytes: 1_100_000 }, context)
    expect(pieces.tables).toEqual(whole.tables)
    expect(context.lines.length).toBeGreaterThan(3)
    expect(context.lines.at(-1)).toMatch(
      /^Reading the source large: 1 of 1 table, 25,715 rows, [\d,]+ rows\/s$/,
    )
    expect(pieces).toMatchObject({ rows: 25_715, rowsPerSecond: expect.any(Number) })
  })

  test('many tables are read without a look through a whole catalog for each of them', async () => {
    const many = await database(
      'many',
      `DO $$ BEGIN FOR i IN 1..400 LOOP EXECUTE pg_catalog.format('CREATE TABLE t%s AS SELECT 1 AS a', i); END LOOP; END $$`,
    )
    const looks = async () => {
      const sum = `SELECT sum(seq_tup_read)::int AS rows FROM pg_catalog.pg_stat_sys_tables`
      return (await server.sql(sum, many)).rows[0]?.rows
    }
    const before = await looks()
    const { tables } = await fingerprintOf(server, many, { level: 'counts' })
    expect(tables).toHaveLength(400)
    // 400 looks through pg_class would be 300,000
    expect((await looks()) - before).toBeLessThan(20_000)
  })

  test('the widest table there can be is read, on servers with and without 64-bit hashes', async () => {
    const old = await TestServer.start(10)
    try {
      const numbers = Array.from({ length: 1600 }, (_, index) => index)
      const columns = numbers.map((number) => `c${number} int`)
      const sql = `CREATE TABLE wide (${columns.join(', ')}); INSERT INTO wide VALUES (${numbers.join(', ')})`
      await old.sql(`CREATE DATABASE wide; `)
      await old.sql(sql, 'wide')
      const target = await database('wide', sql)
      expect(
        differencesIn(await compareWith(await fingerprintOf(old, 'wide'), server, target)),
      ).toEqual([])
      const source = await fingerprintOf(server, target)
      expect(differencesIn(await compareWith(source, server, target))).toEqual([])
      await server.sql('UPDATE wide SET c1599 = 0', target)
      expect(differencesIn(await compareWith(source, server, target))).toEqual([
        'table public.wide: rows',
      ])
    } finally {
      await old.stop()
    }
  })

  test('a database of another encoding compares by its characters', async () => {
    const sql = `CREATE TABLE t (a text, b char(4), c varchar, d name, e json, f xml, g tsvector);
      INSERT INTO t VALUES ('ä', 'ö', 'ü', 'ß', '{"é": "è"}', '<a>ñ</a>', 'ünïcode:1')`
    const source = await database('latin', sql, `ENCODING 'LATIN1' LOCALE 'C'`)
    const target = await database('utf', sql, `ENCODING 'UTF8'`)
    const found = differencesIn(
      await compareWith(await fingerprintOf(server, source), server, target),
    )
    expect(found).toEqual([
      'database encoding (LATIN1 on the source, UTF8 on the target), collation, character classification',
    ])
  })

  test('bytes without an encoding compare as they are', async () => {
    const sql = `CREATE TABLE t (a text); INSERT INTO t VALUES (convert_from('\\xff00'::bytea || '\\x41', 'SQL_ASCII'))`
    const source = await database(
      'ascii',
      sql.replace('ff00', 'ff'),
      `ENCODING 'SQL_ASCII' LOCALE 'C'`,
    )
    const target = await copy(source, 'ascii_copy')
    const fingerprint = await fingerprintOf(server, source)
    expect(differencesIn(await compareWith(fingerprint, server, target))).toEqual([])
    await server.sql(`UPDATE t SET a = a || 'x'`, target)
    expect(differencesIn(await compareWith(fingerprint, server, target))).toEqual([
      'table public.t: rows',
    ])
  })

  test('a comment that is not UTF-8 is no missing privilege', async () => {
    const name = await database(
      'ascii_comment',
      `CREATE TABLE t (a int);
       DO $$ BEGIN EXECUTE format('COMMENT ON TABLE t IS %L', convert_from('\\x636166e9', 'SQL_ASCII')); END $$`,
      `ENCODING 'SQL_ASCII' LOCALE 'C'`,
    )
    const failure = await failureOf(fingerprintOf(server, name))
    expect(failure.sqlstate).toBe('22021')
    expect(failure.message).toContain('database "ascii_comment" on the source')
    expect(failure.why).toMatch(/^A name, a comment or a definition in them is not UTF-8: /)
    expect(failure.remedy).toContain('Write what is not UTF-8 anew')
  })

  test("of an extension's configuration table the user's rows count", async () => {
    const name = await database(
      'configured',
      `CREATE EXTENSION citext; CREATE TABLE settings (id int); CREATE TABLE internal (id int);
       ALTER EXTENSION citext ADD TABLE settings; ALTER EXTENSION citext ADD TABLE internal;
       UPDATE pg_extension SET extconfig = ARRAY['settings'::regclass::oid], extcondition = ARRAY['WHERE id > 10'] WHERE extname = 'citext';
       INSERT INTO settings VALUES (1), (11), (12)`,
    )
    const { tables } = await fingerprintOf(server, name)
    expect(tables).toEqual([expect.objectContaining({ name: 'settings', rows: 2 })])
  })

  test('a foreign table is named as not read', async () => {
    const name = await database(
      'far',
      'CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE f (a int) SERVER s',
    )
    const { tables, notRead } = await fingerprintOf(server, name)
    expect(tables).toEqual([])
    expect(notRead).toEqual([
      { schema: 'public', name: 'f', reason: 'a foreign table: its rows are on another server' },
    ])
  })
})

describe('levels', () => {
  beforeAll(async () => {
    await database(
      'level',
      `CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2); SELECT lo_create(800001)`,
    )
    await copy('level', 'level_copy')
  })

  test('counts alone find a lost row and verify nothing', async () => {
    const source = await fingerprintOf(server, 'level', { level: 'counts' })
    expect(source.catalog).toBeNull()
    expect(await compareWith(source, server, 'level_copy')).toMatchObject({
      equal: true,
      verified: false,
    })
    const lost = await copy('level', 'level_lost')
    await server.sql('DELETE FROM t WHERE a = 1', lost)
    expect(await compareWith(source, server, lost)).toMatchObject({
      equal: false,
      tables: [{ sourceRows: 2, targetRows: 1, match: false }],
    })
  })

  test('a dump with digests can be compared by counts alone', async () => {
    const source = await fingerprintOf(server, 'level')
    const target = await fingerprintOf(server, 'level_copy', { level: 'counts', recipe: source })
    expect(compareFingerprints(source, target, [])).toMatchObject({ equal: true, verified: false })
  })

  test('level none reads nothing', async () => {
    const source = await fingerprintOf(server, 'level', { level: 'none' })
    expect(source).toMatchObject({ level: 'none', tables: [], sequences: [], catalog: null })
  })
})
