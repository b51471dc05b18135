import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { createRoles, type Dump, Harness, type RestoreTarget } from '../support/restore-harness.ts'
import { type Major, TestServer } from '../support/server.ts'

let harness: Harness
let plain11: PlainTarget
let plain15: PlainTarget

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  plain11 = await startPlainTarget(11)
  plain15 = await startPlainTarget(15)
  for (const target of [plain11, plain15]) await createRoles(target, ['writer'])
})
afterAll(async () => {
  await harness?.close()
  await Promise.all([plain11?.stop(), plain15?.stop()])
})

/** A dump of a database of that major with these objects. */
async function dumpOf(major: Major, name: string, sql: string): Promise<Dump> {
  const source = await TestServer.start(major)
  try {
    await source.sql('CREATE ROLE writer')
    await source.sql(`CREATE DATABASE ${name}`)
    await source.sql(sql, name)
    return await harness.dump(source, name)
  } finally {
    await source.stop()
  }
}

/** What the plan refuses, with nothing of it on the target. */
async function refused(dump: Dump, target: RestoreTarget): Promise<string> {
  const failure = await harness.restore(dump, target).then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(failure instanceof Failure)) throw new Error(`no Failure but ${String(failure)}`)
  const { rows } = await target.backend.sql(
    `SELECT FROM pg_database WHERE datname = '${dump.properties.name}'`,
  )
  expect(rows).toHaveLength(0)
  return failure.why
}

test('what a newer target has removed is refused before the first byte, all at once, with what takes its place', async () => {
  const dump = await dumpOf(
    11,
    'old',
    `CREATE TABLE abs (id int PRIMARY KEY, a abstime, r reltime, ti tinterval);
     INSERT INTO abs VALUES (1, 'epoch', '5 days', NULL);
     CREATE AGGREGATE array_accum(anyelement) (sfunc = array_append, stype = anyarray, initcond = '{}');
     CREATE FUNCTION fpost(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
     CREATE OPERATOR !!! (leftarg = int, procedure = fpost);
     CREATE VIEW factorials AS SELECT 5 ! AS f;
     CREATE VIEW aggregates AS SELECT proname, prosrc FROM pg_proc, pg_constraint WHERE consrc IS NULL;
     CREATE TABLE fine (id int PRIMARY KEY, n int CHECK (n < 100 AND CASE WHEN n > 1 THEN true ELSE false END));
     CREATE VIEW also_fine AS SELECT '5' !~~ '6' AS g, (@ -5) AS h, !! 'a'::tsquery AS q FROM fine`,
  )
  const why = await refused(dump, plain15)
  for (const name of [
    'TABLE public.abs',
    'AGGREGATE public.array_accum(anyelement)',
    'OPERATOR public.!!!',
    'VIEW public.factorials',
    'VIEW public.aggregates',
  ])
    expect(why).toContain(name)
  expect(why).not.toContain('fine')
  for (const remedy of ['timestamptz', 'anycompatiblearray', 'prefix operator', 'factorial()'])
    expect(why).toContain(remedy)
  // what is left is restored, and nothing of it was refused for nothing
  const { result } = await harness.restore(dump, plain15, {
    allowMissing: ['TABLE public.abs', 'AGGREGATE *', 'OPERATOR *', 'VIEW *'],
  })
  expect(result.failed).toEqual([])
  const { rows } = await plain15.backend.sql('SELECT count(*)::int AS n FROM also_fine', 'old')
  expect(rows).toEqual([{ n: 0 }])
})

test('what an older target lacks is refused so, too; a stored column of a CASE is none of that', async () => {
  const sql = `CREATE TABLE parcel (weight int PRIMARY KEY, class text GENERATED ALWAYS AS
       (CASE WHEN weight < 10 THEN 'light' ELSE (CASE WHEN weight < 20 THEN 'a ) STORED' ELSE 'heavy' END) END) STORED);
     INSERT INTO parcel SELECT generate_series(1, 20);
     CREATE TABLE filter (id int PRIMARY KEY, path jsonpath); INSERT INTO filter VALUES (1, '$.a[*]');
     CREATE TABLE seen (at xid8, snap pg_snapshot[]);
     CREATE TABLE named (jsonpath text, xid8 int CHECK (xid8 > 0));
     CREATE TABLE spans (r int4multirange);
     CREATE FUNCTION anything(a anycompatible, b anycompatible) RETURNS bool LANGUAGE sql AS 'SELECT true'`
  const dump = await dumpOf(15, 'newer', sql)
  const why = await refused(dump, plain11)
  for (const name of [
    'TABLE public.parcel',
    'TABLE public.filter',
    'TABLE public.seen',
    'TABLE public.spans',
    'FUNCTION public.anything',
  ])
    expect(why).toContain(name)
  expect(why).not.toContain('public.named')
  expect(why).toMatch(/jsonpath.*xid8, pg_snapshot/s)

  await harness.restore(dump, plain15)
  const { rows } = await plain15.backend.sql(
    'SELECT class, count(*)::int FROM parcel GROUP BY 1 ORDER BY 1',
    'newer',
  )
  expect(rows).toEqual([
    { class: 'a ) STORED', count: 10 },
    { class: 'heavy', count: 1 },
    { class: 'light', count: 9 },
  ])
})

test('a table that the target refuses on the way and that is given up by name takes everything of it along', async () => {
  // nothing foresees that this function is not there
  const dump = await dumpOf(
    15,
    'surprise',
    `CREATE TABLE lz (id int PRIMARY KEY, at int DEFAULT pg_catalog.length(current_setting('x.y', true)));
     INSERT INTO lz VALUES (1); CREATE INDEX lz_at ON lz (at); COMMENT ON TABLE lz IS 'c';
     GRANT SELECT ON lz TO PUBLIC; ALTER TABLE lz OWNER TO writer; CREATE TABLE kept AS SELECT 1 AS one`,
  )
  const { archives } = await harness.options(dump, plain15)
  const [directory = ''] = archives
  await breakDefinition(directory, 'length(', 'lenght(')
  const { result } = await harness.restore(dump, plain15, { allowMissing: ['TABLE public.lz'] })
  expect(result.failed).toEqual([])
  expect(harness.context.report.losses.map(({ entry }) => entry)).toContain('TABLE public.lz')
  expect(result.skipped.map(({ entry }) => entry)).toEqual(
    expect.arrayContaining(['TABLE public.lz', 'INDEX public.lz_at']),
  )
  const { rows } = await plain15.backend.sql('SELECT one FROM kept', 'surprise')
  expect(rows).toEqual([{ one: 1 }])
})

/** Alters the archive so that the target refuses what nothing could foresee. */
async function breakDefinition(directory: string, from: string, to: string): Promise<void> {
  const path = join(directory, 'toc.dat')
  const text = await readFile(path, 'latin1')
  if (!text.includes(from) || from.length !== to.length) throw new Error(`no ${from} to replace`)
  await writeFile(path, text.replace(from, to), 'latin1')
}
