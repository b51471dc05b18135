import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { planRestore } from '../../src/migration/restore/plan-restore.ts'
import { beginRestore } from '../../src/migration/restore/restore-database.ts'
import { failureOf } from '../support/failure.ts'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { createRoles, Harness, type RestoreTarget, rowsOf } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

/** RESTORE_LARGE=1 takes the sizes that real databases have; they take minutes and gigabytes. */
const large = process.env.RESTORE_LARGE === '1'
if (large) jest.setTimeout(1_200_000)

let source: TestServer
let plain: RestoreTarget & { stop(): Promise<void> }
let polar: RestoreTarget & { stop(): Promise<void> }
let harness: Harness

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  source = await TestServer.start(15, { settings: { max_locks_per_transaction: '1024' } })
  plain = await startPlainTarget(15)
  polar = await PolarStandIn.start({ major: 15 })
  await source.sql('CREATE ROLE app_owner')
  await createRoles(plain, ['app_owner'])
  await createRoles(polar, ['app_owner'])
})

afterAll(async () => {
  await harness?.close()
  await source?.stop()
  await plain?.stop()
  await polar?.stop()
})

/** Creates a database on the source from template0 and runs SQL in it. */
async function given(name: string, sql: string, clauses = ''): Promise<void> {
  await source.sql(`CREATE DATABASE "${name}" TEMPLATE template0 ${clauses}`)
  await source.sql(sql, name)
}

/** Dumps, restores, and expects the same rows and nothing lost. */
async function expectMoved(name: string, target: RestoreTarget): Promise<void> {
  const dump = await harness.dump(source, name)
  const { result } = await harness.restore(dump, target)
  expect(result.failed).toEqual([])
  expect(await rowsOf(target.backend, name)).toEqual(await rowsOf(source, name))
}

describe('encodings', () => {
  test('a LATIN1 database keeps its encoding, its names and its text', async () => {
    await given(
      'latin',
      `CREATE TABLE "caf\u00e9" (t text DEFAULT '\u00fc'); INSERT INTO "caf\u00e9" VALUES ('\u00e4\u00f6\u00df'), (DEFAULT);
       COMMENT ON TABLE "caf\u00e9" IS 'd\u00e9j\u00e0'`,
      `ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`,
    )
    await expectMoved('latin', plain)
    const { rows } = await plain.backend.sql(
      `SELECT obj_description('"caf\u00e9"'::regclass) AS comment, current_setting('server_encoding') AS encoding`,
      'latin',
    )
    expect(rows).toEqual([{ comment: 'd\u00e9j\u00e0', encoding: 'LATIN1' }])
  })

  test('an SQL_ASCII database keeps bytes that are text in no encoding, in rows and in statements', async () => {
    await given(
      'bytes',
      `SET client_encoding = 'SQL_ASCII';
       CREATE TABLE t (v text);
       DO $$ BEGIN
         EXECUTE 'INSERT INTO t VALUES (E''\\xe4\\xff'')';
         EXECUTE 'COMMENT ON TABLE t IS E''\\xfc''';
         EXECUTE 'ALTER TABLE t ALTER v SET DEFAULT E''\\xe9''';
       END $$`,
      `ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`,
    )
    const dump = await harness.dump(source, 'bytes')
    const { result } = await harness.restore(dump, plain)
    expect(result.failed).toEqual([])
    const seen = `SELECT (SELECT encode(v::bytea, 'hex') FROM t) AS value,
      encode(obj_description('t'::regclass)::bytea, 'hex') AS comment,
      (SELECT encode(pg_get_expr(adbin, adrelid)::bytea, 'hex') FROM pg_attrdef) AS standard`
    const { rows } = await plain.backend.sql(seen, 'bytes')
    expect(rows).toEqual((await source.sql(seen, 'bytes')).rows)
    expect(rows[0]).toMatchObject({ value: 'e4ff', comment: 'fc' })
  })
})

describe('rows that depend on others', () => {
  test('tables that reference each other in a circle are loaded', async () => {
    await given(
      'circle',
      `CREATE TABLE hen (id int PRIMARY KEY, egg int); CREATE TABLE egg (id int PRIMARY KEY, hen int REFERENCES hen);
       ALTER TABLE hen ADD FOREIGN KEY (egg) REFERENCES egg DEFERRABLE;
       INSERT INTO hen VALUES (1, NULL); INSERT INTO egg VALUES (1, 1); UPDATE hen SET egg = 1`,
    )
    await expectMoved('circle', polar)
  })

  test('a CHECK that reads another table is met, whichever table is loaded first', async () => {
    await given(
      'check_reads',
      `CREATE TABLE z_limits (most int); INSERT INTO z_limits VALUES (100);
       CREATE FUNCTION below(int) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.z_limits WHERE $1 < most)';
       CREATE TABLE a_values (v int CHECK (below(v)), filler text DEFAULT repeat('x', 1000));
       INSERT INTO a_values SELECT g % 100 FROM generate_series(1, 20000) g`,
    )
    const dump = await harness.dump(source, 'check_reads')
    const { result } = await harness.restore(dump, plain, { jobs: 1 })
    expect(result.failed).toEqual([])
    expect(await rowsOf(plain.backend, 'check_reads')).toEqual(await rowsOf(source, 'check_reads'))
  })

  test('a row without its referenced row fails the run by its key when all else is done, and allow-missing lets it go on', async () => {
    await given(
      'orphan',
      `CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int, parent int REFERENCES parent);
       ALTER TABLE child DISABLE TRIGGER ALL; INSERT INTO child VALUES (1, 7)`,
    )
    const dump = await harness.dump(source, 'orphan')
    const { failure, result: first } = await harness.restore(dump, plain)
    if (!failure) throw new Error('nothing failed')
    expect(first.failed).toHaveLength(1)
    expect(failure.sqlstate).toBe('23503')
    expect(failure.message).toBe(
      'FK CONSTRAINT public.child child_parent_fkey cannot be restored into the database "orphan"',
    )
    expect(failure.why).toContain('ADD CONSTRAINT child_parent_fkey FOREIGN KEY')
    expect(failure.remedy).toContain('break the foreign key already')
    // values of rows stay out of every message
    expect(failure.line).not.toContain('(7)')
    const { result } = await harness.restore(dump, plain, {
      ifNotEmpty: 'resume',
      allowMissing: ['FK CONSTRAINT public.child *'],
    })
    expect(result.skipped.map(({ entry }) => entry)).toContain(
      'FK CONSTRAINT public.child child_parent_fkey',
    )
    const lost = harness.context.report.losses.filter(({ database }) => database === 'orphan')
    expect(lost.map(({ entry }) => entry)).toEqual(['FK CONSTRAINT public.child child_parent_fkey'])
    expect(await rowsOf(plain.backend, 'orphan')).toEqual(await rowsOf(source, 'orphan'))
  })

  test('a generated column whose function counts on a search_path fails with the way out', async () => {
    await given(
      'path',
      `CREATE SCHEMA app; CREATE FUNCTION app.helper(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
       CREATE FUNCTION app.outer_one(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN helper($1); END';
       SET search_path = app; CREATE TABLE app.t (a text, b text GENERATED ALWAYS AS (app.outer_one(a)) STORED);
       INSERT INTO app.t VALUES ('X')`,
    )
    const failure = await failureOf(harness.restore(await harness.dump(source, 'path'), plain))
    expect(failure).toMatchObject({ sqlstate: '42883' })
    expect(failure.message).toContain('TABLE DATA app.t')
    expect(failure.remedy).toContain('ALTER FUNCTION … SET search_path')
  })

  test('a second failure does not hide the first, nor the other way round', async () => {
    await given(
      'two_failures',
      `CREATE SCHEMA app; CREATE FUNCTION app.helper(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
       CREATE FUNCTION app.check_it(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN helper($1) > 0; END';
       SET search_path = app; CREATE TABLE a (i int CHECK (check_it(i))); INSERT INTO a VALUES (1);
       CREATE TABLE b (i int CHECK (check_it(i))); INSERT INTO b VALUES (1);`,
    )
    const dump = await harness.dump(source, 'two_failures')
    const options = await harness.options(dump, plain)
    const plan = await planRestore(options, harness.context)
    const restore = await beginRestore(options, plan, harness.context)
    const failure = await failureOf(restore.carryOut())
    expect(restore.result.failed.map(({ entry }) => entry).sort()).toEqual([
      'TABLE DATA app.a',
      'TABLE DATA app.b',
    ])
    expect(failure.line).toContain('app.a')
    expect(failure.line).toContain('app.b')
  })
})

describe('sizes', () => {
  test('a table of 1,600 columns is moved', async () => {
    const columns = Array.from({ length: 1600 }, (_, index) => `c${index} int`)
    await given(
      'wide',
      `CREATE TABLE wide (${columns.join(', ')}); INSERT INTO wide (c0, c1599) VALUES (1, 2)`,
    )
    await expectMoved('wide', polar)
  })

  test(`${large ? 5000 : 300} tables with keys to one another are moved`, async () => {
    const tables = large ? 5000 : 300
    await given('many', 'SELECT 1')
    for (let from = 0; from < tables; from += 100) {
      await source.sql(
        `DO $$ BEGIN FOR i IN ${from}..${from + 99} LOOP
           EXECUTE format('CREATE TABLE t_%s (id serial PRIMARY KEY, up int)', i);
           EXECUTE format('INSERT INTO t_%s (up) SELECT 1 FROM generate_series(1, 3)', i);
           EXECUTE format('ALTER TABLE t_%s OWNER TO app_owner', i);
           EXECUTE format('GRANT SELECT ON t_%s TO PUBLIC', i);
           IF i > 0 THEN EXECUTE format('ALTER TABLE t_%s ADD FOREIGN KEY (up) REFERENCES t_%s', i, i - 1); END IF;
         END LOOP; END $$`,
        'many',
      )
    }
    await expectMoved('many', plain)
    const { rows } = await plain.backend.sql(
      `SELECT count(*)::int AS n FROM pg_class WHERE relkind = 'r' AND relowner = 'app_owner'::regrole`,
      'many',
    )
    expect(rows).toEqual([{ n: tables }])
  })

  test(`a large object of ${large ? 1024 : 32} MB is moved`, async () => {
    const megabytes = large ? 1024 : 32
    await given(
      'blob',
      `SELECT lo_create(4711);
       DO $$ DECLARE piece bytea := decode(repeat('0123456789abcdef', 65536 * 2), 'hex'); BEGIN
         FOR i IN 0..${megabytes - 1} LOOP PERFORM lo_put(4711, i * 1048576::bigint, piece); END LOOP; END $$`,
    )
    const dump = await harness.dump(source, 'blob')
    await harness.restore(dump, plain)
    const digest =
      'SELECT count(*)::int AS pages, md5(string_agg(md5(data), NULL ORDER BY pageno)) AS digest FROM pg_largeobject'
    const { rows } = await plain.backend.sql(digest, 'blob')
    expect(rows[0].pages).toBe(megabytes * 512)
    expect(rows).toEqual((await source.sql(digest, 'blob')).rows)
  })
})

describe('dumps that users make otherwise', () => {
  const sql = `CREATE TABLE p (k int, v text) PARTITION BY LIST (k); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1, 3);
    CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2, 4); INSERT INTO p SELECT g % 4 + 1, 'v' FROM generate_series(1, 500) g`

  test.each([
    ['rows as INSERT statements', ['--rows-per-insert=50']],
    ['rows through the partition root', ['--load-via-partition-root']],
    ['no compression', ['--compress=0']],
  ])('%s', async (_, options) => {
    const name = `made_${options[0]?.replace(/\W+/g, '_')}`
    await given(name, sql)
    const dump = await harness.dump(source, name, options)
    await harness.restore(dump, plain, { proven: true })
    expect(await rowsOf(plain.backend, name)).toEqual(await rowsOf(source, name))
  })

  test('a database in two archives, its largest table on its own', async () => {
    await given(
      'parted_dump',
      `CREATE TABLE large_one (id int PRIMARY KEY, t text); INSERT INTO large_one SELECT g, md5(g::text) FROM generate_series(1, 5000) g;
       CREATE TABLE small_one (id int REFERENCES large_one); INSERT INTO small_one SELECT generate_series(1, 50)`,
    )
    const rest = await harness.dump(source, 'parted_dump', ['--exclude-table-data=large_one'])
    const rows = await harness.dump(source, 'parted_dump', ['--section=data', '--table=large_one'])
    const { result } = await harness.restore(rest, plain, {
      archives: [rest.directory, rows.directory],
    })
    expect(result.failed).toEqual([])
    expect(await rowsOf(plain.backend, 'parted_dump')).toEqual(await rowsOf(source, 'parted_dump'))
    expect(harness.context.progressLines.at(-1)).toMatch(
      /^restore parted_dump: (\d+) of \1 entries/,
    )
  })

  test("restore-options of the user's own leave out what they name", async () => {
    await given(
      'filtered',
      'CREATE TABLE a (i int); CREATE SCHEMA other; CREATE TABLE other.b (i int)',
    )
    const dump = await harness.dump(source, 'filtered')
    const { result } = await harness.restore(dump, plain, {
      extraOptions: ['--exclude-schema=other', '--no-comments'],
    })
    expect(result.skipped.map(({ entry }) => entry)).toContain('TABLE other.b')
    const { rows } = await plain.backend.sql(
      `SELECT relname FROM pg_class WHERE relname IN ('a', 'b') ORDER BY 1`,
      'filtered',
    )
    expect(rows).toEqual([{ relname: 'a' }])
  })
})

test('a GIN index is built with the memory that suits it, and nothing else is', async () => {
  // a function that says what was set while the index was built: it is in the index then
  const setting = `CREATE FUNCTION used(text[]) RETURNS text[] IMMUTABLE LANGUAGE sql
     AS $$ SELECT ARRAY[pg_catalog.current_setting('maintenance_work_mem')] $$;`
  await given(
    'memory',
    `${setting} CREATE TABLE t (v text[]); INSERT INTO t VALUES ('{a}');
     CREATE INDEX with_gin ON t USING gin (used(v)); CREATE INDEX with_btree ON t USING btree (used(v))`,
  )
  await expectMoved('memory', plain)
  const client = await plain.backend.connect('memory')
  try {
    await client.query('SET enable_seqscan = off; SET enable_bitmapscan = on')
    const { rows: gin } = await client.query(`SELECT FROM t WHERE used(v) @> '{16MB}'`)
    expect(gin).toHaveLength(1)
    const { rows: btree } = await client.query(`SELECT FROM t WHERE used(v) = '{64MB}'`)
    expect(btree).toHaveLength(1)
  } finally {
    await client.end()
  }
})
