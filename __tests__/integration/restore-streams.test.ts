import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { RestoreOptions } from '../../src/migration/restore/options.ts'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { Harness, type RestoreTarget, rowsOf } from '../support/restore-harness.ts'
import { hasServer, type Major, TestServer } from '../support/server.ts'

/** Every table goes through several sessions, a few rows through each in turn. */
const streams: Partial<RestoreOptions> = { jobs: 8, streams: { from: 1, most: 8, piece: 2048 } }

/** How many transactions have put the rows of a table there. */
async function transactionsOf(server: TestServer, database: string, table: string) {
  const { rows } = await server.sql(
    `SELECT count(DISTINCT xmin::text)::int AS number FROM ${table}`,
    database,
  )
  return rows[0]?.number
}

/** Values whose form in a COPY is not that of the value, of every kind that a server has. */
const values = `
  CREATE TABLE texts (id int, t text, more text);
  INSERT INTO texts SELECT g, v, CASE g % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE v END
    FROM generate_series(1, 400) g, unnest(ARRAY[E'\\n', E'\\\\.', E'a\\nb\\r\\nc', E'\\t', E'\\\\', E'x\\\\', E'\\\\N', E'\\\\\\n', '', ' ', '\\', E'\\b\\f\\v\\x01\\x7f',
      E'\\\\.\\n', E'\\n\\\\.\\n', 'COPY public.texts (id, t, more) FROM stdin;', '--', E'\\\\restrict x', E'"''']) v;
  CREATE TABLE one_text (t text);
  INSERT INTO one_text SELECT v FROM generate_series(1, 500) g, unnest(ARRAY['', E'\\\\.', '.', E'\\n', NULL, E'\\\\']) v;
  CREATE TABLE no_columns (); INSERT INTO no_columns SELECT FROM generate_series(1, 20000);
  CREATE TABLE no_rows (a int);
  CREATE TABLE kinds (b bytea, n numeric, f float8, d date, ts timestamptz, iv interval, a text[], j jsonb, u uuid, i inet, p point, r int4range, bits varbit, x money, k "char");
  INSERT INTO kinds SELECT decode(repeat(lpad(to_hex(g % 256), 2, '0') || '0a5c2e0a', 40), 'hex'), g / 7.0, CASE g % 5 WHEN 0 THEN 'NaN'::float8 WHEN 1 THEN '-Infinity' ELSE g / 3.0 END,
      CASE g % 7 WHEN 0 THEN 'infinity'::date ELSE date '0044-03-15 BC' + g END, now() - g * interval '1 day 1.5 s', g * interval '1 mon -2 days 3.25 s', ARRAY['a', NULL, E'\\n', E'\\\\', ',"'],
      jsonb_build_object('k', E'\\n\\\\.', 'g', g), md5(g::text)::uuid, '10.0.0.1'::inet + g, point(g, -g), int4range(g, g + 5), g::bit(12), (g / 100.0)::text::money, chr(g % 64 + 33)::"char"
    FROM generate_series(1, 2000) g;
  CREATE SCHEMA "we""ird ; \\ schema";
  CREATE TABLE "we""ird ; \\ schema"."COPY x (a) FROM stdin;
\\." ("a
b" int, """" text, "FROM stdin;
" text);
  INSERT INTO "we""ird ; \\ schema"."COPY x (a) FROM stdin;
\\." SELECT g, E'\\\\.', repeat('z', 50) FROM generate_series(1, 2000) g`

const opened: { stop?: () => Promise<void>; close?: () => Promise<void> }[] = []
afterAll(async () => {
  for (const one of opened.reverse()) await (one.stop?.() ?? one.close?.())
})

async function harnessOf(major: number): Promise<Harness | undefined> {
  const harness = await Harness.open(major)
  if (harness) opened.push(harness)
  return harness
}

describe.each<
  [Major, number, (major: Major) => Promise<RestoreTarget & { stop(): Promise<void> }>]
>([
  [10, 15, () => startPlainTarget(11)],
  [15, 15, () => PolarStandIn.start({ major: 15 })],
  [18, 18, (major) => startPlainTarget(major)],
])('rows of %i by the client of %i', (major, client, start) => {
  let source: TestServer
  let target: RestoreTarget
  let harness: Harness | undefined

  beforeAll(async () => {
    harness = await harnessOf(client)
    if (!harness || !hasServer(major)) return
    source = await TestServer.start(major)
    const server = await start(major)
    opened.push(source, server)
    target = server
  })

  async function expectMoved(name: string, dumpOptions: string[] = []): Promise<void> {
    if (!harness) return
    const dump = await harness.dump(source, name, dumpOptions)
    const { result, failure } = await harness.restore(dump, target, streams)
    expect(failure).toBeUndefined()
    expect(result.failed).toEqual([])
    expect(await rowsOf(target.backend, name)).toEqual(await rowsOf(source, name))
    expect(harness.context.lines.filter((line) => / in one session/.test(line))).toEqual([])
  }

  test('every kind of value', async () => {
    if (!harness) return
    await source.sql('CREATE DATABASE every_kind TEMPLATE template0')
    await source.sql(values, 'every_kind')
    await expectMoved('every_kind')
    for (const table of ['texts', 'one_text', 'no_columns', 'kinds'])
      expect(await transactionsOf(target.backend, 'every_kind', table)).toBeGreaterThan(1)
  })

  test.each([
    ['LATIN1', 'caf\u00e9 \u00fc'],
    ['EUC_JP', '\u8868\u5341\u30bd'],
    ['WIN1251', '\u0416\u044f'],
  ])('a %s database', async (encoding, text) => {
    if (!harness) return
    const name = `in_${encoding.toLowerCase()}`
    await source.sql(
      `CREATE DATABASE ${name} TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`,
    )
    await source.sql(
      `CREATE TABLE "${text}" ("${text}" text); INSERT INTO "${text}" SELECT v FROM generate_series(1, 500) g, unnest(ARRAY['${text}', E'${text}\\n\\\\', E'\\\\.']) v`,
      name,
    )
    await expectMoved(name)
    expect(await transactionsOf(target.backend, name, `"${text}"`)).toBeGreaterThan(1)
  })

  test('a dump in SJIS, whose characters may end with the byte of a backslash', async () => {
    if (!harness) return
    await source.sql(
      `CREATE DATABASE in_sjis TEMPLATE template0 ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C'`,
    )
    await source.sql(
      `CREATE TABLE t (v text); INSERT INTO t SELECT v FROM generate_series(1, 800) g, unnest(ARRAY[E'\u8868', E'\u8868\\\\', E'\u5341\\n\u8868', 'x', E'\\\\.', '\u30bd']) v`,
      'in_sjis',
    )
    await expectMoved('in_sjis', ['--encoding=SJIS'])
    expect(await transactionsOf(target.backend, 'in_sjis', 't')).toBeGreaterThan(1)
  })

  test('an SQL_ASCII database with bytes that are text in no encoding', async () => {
    if (!harness) return
    await source.sql(
      `CREATE DATABASE in_bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`,
    )
    await source.sql(
      `SET client_encoding = 'SQL_ASCII'; CREATE TABLE t (v text);
       DO $$ BEGIN FOR i IN 1..2000 LOOP EXECUTE 'INSERT INTO t VALUES (E''\\xe4\\xff\\x5c\\x5c\\x95\\n\\xc3'')'; END LOOP; END $$`,
      'in_bytes',
    )
    const dump = await harness.dump(source, 'in_bytes')
    const { result } = await harness.restore(dump, target, streams)
    expect(result.failed).toEqual([])
    const seen = `SELECT count(*)::int AS rows, md5(string_agg(encode(v::bytea, 'hex'), '')) AS digest FROM t`
    const { rows } = await target.backend.sql(seen, 'in_bytes')
    expect(rows).toEqual((await source.sql(seen, 'in_bytes')).rows)
    expect(await transactionsOf(target.backend, 'in_bytes', 't')).toBeGreaterThan(1)
  })

  // how long a row is neither server nor client minds: one of them does for all
  const onceOnly = major === 15 ? test : test.skip

  onceOnly('rows of 50 MB', async () => {
    if (!harness) return
    await source.sql('CREATE DATABASE long_rows TEMPLATE template0')
    await source.sql(
      `CREATE TABLE long (id int, t text); ALTER TABLE long ALTER t SET STORAGE EXTERNAL;
       INSERT INTO long SELECT g, repeat(E'line\\n\\\\.', 50000000 / 6) FROM generate_series(1, 2) g;
       INSERT INTO long SELECT g, 'short' FROM generate_series(3, 3000) g`,
      'long_rows',
    )
    await expectMoved('long_rows', ['--compress=1'])
  })
})
