import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { sampleSource } from '../../src/migration/estimate/source-sample.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { isTable } from '../../src/postgres/only-tables.ts'
import { newContext } from '../support/context.ts'
import { type Major, TestServer } from '../support/server.ts'
import { fingerprintOf } from '../support/verify-run.ts'

const table = {
  made: `CREATE TABLE app.r (note text); INSERT INTO app.r VALUES ('x')`,
  lock: 'LOCK TABLE app.r',
  exchange: 'DROP TABLE app.r; CREATE VIEW app.r AS SELECT app.planted() AS note',
}
const sequence = {
  made: 'CREATE SEQUENCE app.r',
  lock: 'ALTER SEQUENCE app.r RENAME TO moved',
  exchange:
    'DROP SEQUENCE app.moved; CREATE VIEW app.r AS SELECT length(app.planted())::bigint AS last_value, true AS is_called',
}

/** What the server's log holds once mallory's code has run as somebody else. */
const mark = 'planted code ran as'

/**
 * A table that becomes a view between the look at the catalogs and the reading of its rows: its owner, an ordinary role, holds a
 * lock meanwhile, so that whoever reads it waits, and then finds the view by the table's name. What the view calls runs with
 * the rights of who reads it.
 */
describe.each<Major>([10, 15, 18])(
  'on %i, a table that its owner exchanges for a view',
  (major) => {
    let server: TestServer

    beforeAll(async () => {
      server = await TestServer.start(major)
      await server.sql(`CREATE ROLE mallory LOGIN PASSWORD 'm'`)
      await server.sql('CREATE DATABASE shop OWNER mallory')
      await server.sql(
        `CREATE SCHEMA app AUTHORIZATION mallory; SET ROLE mallory;
       CREATE FUNCTION app.planted() RETURNS text LANGUAGE plpgsql AS
         $$ BEGIN IF current_user <> 'mallory' THEN RAISE LOG '${mark} %', current_user; END IF; RETURN 'x'; END $$`,
        'shop',
      )
    })
    afterAll(() => server?.stop())

    /**
     * Runs `read`, and exchanges a relation for a view as soon as somebody waits for it.
     *
     * @param lock what keeps others waiting
     */
    async function exchangeDuring(
      read: () => Promise<unknown>,
      { made, lock, exchange } = table,
    ): Promise<string[]> {
      await server.sql(`SET ROLE mallory; ${made}`, 'shop')
      const mallory = await server.connect('shop', { user: 'mallory', password: 'm' })
      const { rows: before } = await server.sql(`SELECT 'app.r'::regclass::oid AS oid`, 'shop')
      try {
        await mallory.query(`BEGIN; ${lock}`)
        let over = false
        const reading = read()
          .catch(() => {})
          .finally(() => {
            over = true
          })
        for (;;) {
          const { rows } = await server.sql(
            `SELECT 1 FROM pg_locks WHERE NOT granted AND relation = ${before[0]?.oid}`,
            'shop',
          )
          if (rows.length > 0) break
          if (over) throw new Error('nobody waited for it')
        }
        await mallory.query(`${exchange}; GRANT SELECT ON app.r TO public; COMMIT`)
        await reading
        await mallory.query('DROP VIEW app.r')
      } finally {
        await mallory.end()
      }
      return server
        .log()
        .split('\n')
        .filter((line) => line.includes(mark))
    }

    test('runs nothing in the sample of an estimate', async () => {
      const table = {
        ...{ schema: 'app', name: 'r', isView: false, bytes: 8192, longBytes: 0 },
        ...{ rows: 1, columns: 1, secured: false, indexes: [], foreignKeys: 0 },
      }
      const databases = [
        {
          name: 'shop',
          bytes: 8192,
          tables: [table],
          objects: 1,
          largeObjects: { count: 0, bytes: 0 },
        },
      ]
      const traces = await exchangeDuring(() =>
        sampleSource(
          parseConnectionString(server.uri('shop')),
          databases,
          { method: 'none', level: undefined },
          newContext('preflight'),
        ),
      )
      expect(traces).toEqual([])
    })

    test('runs nothing in the comparison of rows', async () => {
      expect(await exchangeDuring(() => fingerprintOf(server, 'shop'))).toEqual([])
    })

    // before 12 the server has no setting for it: docs/threat-model.md says so
    ;(major < 12 ? test.skip : test)('runs nothing in the comparison of sequences', async () => {
      expect(await exchangeDuring(() => fingerprintOf(server, 'shop'), sequence)).toEqual([])
    })

    test('and a table is read as fast as ever: the server plans nothing of what makes sure of it', async () => {
      await server.sql(
        'CREATE TABLE public.large AS SELECT i FROM generate_series(1, 300000) AS i; ANALYZE',
      )
      const plan = async (condition: string) =>
        (await server.sql(`EXPLAIN SELECT sum(i) FROM ONLY public.large WHERE ${condition}`)).rows
      expect(await plan(isTable('public.large', server.major * 10_000))).toEqual(await plan('true'))
      await server.sql('CREATE VIEW public.view AS SELECT 1 AS i')
      await expect(
        server.sql(
          `SELECT 1 FROM public.view WHERE ${isTable('public.view', server.major * 10_000)}`,
        ),
      ).rejects.toThrow(/TABLESAMPLE/)
      await server.sql('DROP VIEW public.view; DROP TABLE public.large')
    })
  },
)
