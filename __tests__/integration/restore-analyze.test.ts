import { describe, expect, test } from '@jest/globals'
import { analyzeDatabase } from '../../src/migration/analyze.ts'
import { runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { startPlainTarget } from '../support/polardb-standin.ts'
import { Harness } from '../support/restore-harness.ts'
import { hasServer, type Major, TestServer } from '../support/server.ts'

/** Tables with all that statistics are collected of, and some that must wait for the end. */
const schemaFor = (account: string) => `
  CREATE FUNCTION half(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN IF session_user = '${account}' THEN RAISE EXCEPTION 'not as the account'; END IF; RETURN $1 / 2; END $$;
  CREATE FUNCTION never_twice(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN IF pg_catalog.current_setting('application_name') LIKE 'migrate-to-polardb restore%' AND pg_catalog.current_query() LIKE 'ANALYZE%'
       THEN RAISE EXCEPTION 'not here'; END IF; RETURN $1; END $$;
  CREATE TABLE large (id int PRIMARY KEY, a int, b int, t text);
  INSERT INTO large SELECT g, g % 100, g % 50, md5(g::text) FROM generate_series(1, 100000) g;
  CREATE INDEX expressed ON large (half(a)); CREATE STATISTICS together (dependencies) ON a, b FROM large;
  CREATE TABLE "O""dd; --" (a int); INSERT INTO "O""dd; --" SELECT generate_series(1, 500);
  CREATE TABLE nothing (a int);
  CREATE TABLE parent (a int); INSERT INTO parent SELECT generate_series(1, 300);
  CREATE TABLE heir (b int) INHERITS (parent); INSERT INTO heir SELECT g, g FROM generate_series(1, 300) g;
  CREATE TABLE parted (k int) PARTITION BY RANGE (k);
  CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (1000); INSERT INTO parted SELECT generate_series(1, 300);
  CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM large;`

describe.each([11, 13, 15, 18] as Major[])('on PostgreSQL %i', (major) => {
  const maybe = hasServer(major) ? test : test.skip
  maybe('statistics of tables that are done are collected while others are restored', async () => {
    const harness = (await Harness.open(major)) ?? (await Harness.open(15))
    if (!harness) throw new Error('client programs are missing')
    const source = await TestServer.start(major)
    const target = await startPlainTarget(major)
    try {
      await source.sql('CREATE DATABASE shop')
      await source.sql(schemaFor(target.account), 'shop')
      const dump = await harness.dump(source, 'shop')
      const { analyzed } = await harness.restore(dump, target, { analyze: true })
      const onTheWay = ['heir', 'large', 'nothing', 'O""dd; --', 'part']
      expect([...analyzed].sort()).toEqual(onTheWay.map((name) => `"public"."${name}"`).sort())
      const statistics = `
        SELECT c.relname AS name, count(*)::int AS columns FROM pg_statistic s JOIN pg_class c ON c.oid = s.starelid
         WHERE c.oid >= 16384 GROUP BY 1 ORDER BY 1`
      const { rows } = await target.backend.sql(statistics, 'shop')
      expect(rows).toEqual(
        [
          { name: 'O"dd; --', columns: 1 },
          { name: 'expressed', columns: 1 },
          { name: 'heir', columns: 2 },
          { name: 'large', columns: 4 },
          { name: 'part', columns: 1 },
        ].sort((one, other) => (one.name < other.name ? -1 : 1)),
      )
      const extended =
        major >= 12
          ? 'SELECT FROM pg_statistic_ext_data'
          : 'SELECT FROM pg_statistic_ext WHERE stxdependencies IS NOT NULL'
      expect((await target.backend.sql(extended, 'shop')).rowCount).toBe(1)

      const options = await harness.options(dump, target)
      const rest = await analyzeDatabase({ ...options, but: analyzed }, harness.context)
      expect(rest).toMatchObject({ tables: 3, refused: [] })
      const { rows: all } = await target.backend.sql(statistics, 'shop')
      expect(all.map(({ name }) => name)).toEqual(
        expect.arrayContaining(['parent', 'parted', 'seen']),
      )
    } finally {
      await source.stop()
      await target.stop()
      await harness.close()
    }
  })
})

describe('a whole migration', () => {
  test('leaves what fails beside the restore to the phase behind it, and none with analyze: false', async () => {
    const harness = await Harness.open(15)
    if (!harness) throw new Error('the client programs of 15 are missing')
    const source = await TestServer.start(15)
    const target = await startPlainTarget(15)
    try {
      await source.sql('CREATE DATABASE shop')
      // the restore's sessions have a name, those of the phase another
      await source.sql(
        `${schemaFor(target.account)}
         CREATE TABLE later (a int); INSERT INTO later SELECT generate_series(1, 100);
         CREATE INDEX ON later (never_twice(a));`,
        'shop',
      )
      const inputs = {
        ...between(source, target, 'shop'),
        'client-path': harness.client.directory,
        'upload-dump': 'false',
      }
      const counted = async (name: string) =>
        (
          await target.backend.sql(
            `SELECT count(DISTINCT starelid)::int AS n FROM pg_statistic WHERE starelid >= 16384 AND NOT EXISTS
              (SELECT FROM pg_index WHERE indexrelid = starelid)`,
            name,
          )
        ).rows[0]?.n
      const { report, error } = await runInProcess({ ...inputs, databases: 'shop=with' })
      expect(error).toBeUndefined()
      expect(report).toMatchObject({ verified: true, warnings: [] })
      expect(report.phases).toContainEqual(
        expect.objectContaining({ name: 'analyze', status: 'succeeded' }),
      )
      // all but the one without rows
      expect(await counted('with')).toBe(8)
      const without = await runInProcess({
        ...inputs,
        databases: 'shop=without',
        analyze: 'false',
      })
      expect(without.report).toMatchObject({ verified: true })
      expect(await counted('without')).toBe(0)
    } finally {
      await source.stop()
      await target.stop()
      await harness.close()
    }
  })
})
