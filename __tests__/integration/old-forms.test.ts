import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type pg from 'pg'
import { outputText, rowExpression } from '../../src/migration/verify/rows/digest.ts'
import { privilegesIn } from '../../src/postgres/portable-sql.ts'
import { TestServer } from '../support/server.ts'

/** What only a source before 9.0 or 9.1 is asked runs here on a newer server, beside what newer ones are asked. */
let server: TestServer
let client: pg.Client

beforeAll(async () => {
  server = await TestServer.start(10)
  client = await server.connect()
  await client.query(`
    CREATE ROLE plain;
    CREATE ROLE "odd ""role=*/\\ name";
    CREATE TYPE pair AS (a int, b text);
    CREATE TABLE t (i int, v text, a text[], p pair, m box);
    INSERT INTO t VALUES
      (1, 'plain', '{a,NULL,"x y \\" \\\\"}', ROW(1, 'b "c" (d), \\ e'), '(1,2),(3,4)'),
      (2, '', '{}', ROW(NULL, ''), NULL), (3, NULL, NULL, NULL, NULL), (4, '"', '{""}', ROW(4, '"'), NULL),
      (5, E' \\n\\t, ()\\\\"" é', ARRAY['\\\\', '""'], ROW(5, NULL), NULL), (6, 'NULL', '{{a,b},{c,d}}', NULL, NULL);
    GRANT SELECT, INSERT ON t TO plain WITH GRANT OPTION;
    GRANT UPDATE, TRUNCATE, REFERENCES, TRIGGER, DELETE ON t TO "odd ""role=*/\\ name";
    GRANT SELECT ON t TO PUBLIC;
    SET ROLE plain; GRANT SELECT ON t TO "odd ""role=*/\\ name"; RESET ROLE;
    GRANT CREATE, CONNECT, TEMPORARY ON DATABASE postgres TO plain;`)
})

afterAll(async () => {
  await client?.end()
  await server?.stop()
})

test.each([
  "(SELECT c.relacl FROM pg_catalog.pg_class c WHERE c.relname = 't')",
  "(SELECT d.datacl FROM pg_catalog.pg_database d WHERE d.datname = 'postgres')",
])('privileges are read from the printed items as from the items: %s', async (acl) => {
  const read = async (number: number) =>
    (await client.query(`${privilegesIn(acl, number)} ORDER BY 1, 2, 3, 4`)).rows
  const now = await read(100_000)
  expect(now.length).toBeGreaterThan(4)
  expect(await read(80_400)).toEqual(now)
})

test("a value's output is read through a row as without one", async () => {
  for (const column of ['i', 'v', 'a', 'p', 'm']) {
    const { rows } = await client.query<{ before: string; now: string }>(
      `SELECT ${outputText(`t.${column}`, 80_400)} AS before, ${outputText(`t.${column}`, 100_000)} AS now FROM t ORDER BY i`,
    )
    expect(rows).toHaveLength(6)
    expect(rows.map(({ before }) => before)).toEqual(rows.map(({ now }) => now))
  }
})

test('rows have one digest on both sides of 9.1', async () => {
  const recipe = ['v', 'a', 'p'].map((name): [string, string] => [name, 'text'])
  const { rows } = await client.query<{ before: string; now: string }>(
    `SELECT ${rowExpression(recipe, 'md5', 't', 90_000)} AS before, ${rowExpression(recipe, 'md5', 't')} AS now FROM t`,
  )
  expect(rows.map(({ before }) => before)).toEqual(rows.map(({ now }) => now))
  expect(new Set(rows.map(({ now }) => now)).size).toBe(6)
})
