import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { explainDifferences } from '../../src/migration/verify/rows/drill.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import type { TableResult } from '../../src/report/model.ts'
import { TestServer } from '../support/server.ts'
import { compareWith, fingerprintOf, recordOf, testContext } from '../support/verify-run.ts'

let server: TestServer

beforeAll(async () => {
  server = await TestServer.start(15)
  await server.sql('CREATE DATABASE source')
  await server.sql(
    `CREATE TABLE keyed (tenant text, id int, v text, PRIMARY KEY (id, tenant));
     INSERT INTO keyed SELECT 'a, b=c', g, 'v' || g FROM generate_series(1, 50000) g;
     CREATE TABLE uniquely (a int, b uuid NOT NULL UNIQUE);
     INSERT INTO uniquely VALUES (1, '00000000-0000-0000-0000-000000000001');
     CREATE TABLE keyless (a int, b text);
     INSERT INTO keyless SELECT g % 10, 'x' FROM generate_series(1, 1000) g;
     CREATE TABLE fine (a int); INSERT INTO fine VALUES (1)`,
    'source',
  )
})

afterAll(() => server?.stop())

async function drill(
  target: string,
  sql: string,
  showKeys: boolean,
): Promise<Map<string, TableResult>> {
  await server.sql(`CREATE DATABASE ${target} TEMPLATE source`)
  await server.sql(sql, target)
  const fingerprint = await fingerprintOf(server, 'source')
  const comparison = await compareWith(fingerprint, server, target)
  const context = testContext()
  const record = recordOf(context, comparison)
  const connection = parseConnectionString(server.uri())
  await explainDifferences(
    {
      source: { connection, database: 'source' },
      target: { connection, database: target },
      fingerprint,
      tables: comparison.tables,
      showKeys,
    },
    record,
    context,
  )
  return new Map(record.result.tables.map((table) => [table.name, table]))
}

test('rows that differ are found by their primary key, and told by what is wrong with them', async () => {
  const tables = await drill(
    'keys_shown',
    `UPDATE keyed SET v = 'changed' WHERE id = 7;
     DELETE FROM keyed WHERE id = 49999;
     INSERT INTO keyed VALUES ('new', 50001, 'x')`,
    true,
  )
  expect(tables.get('keyed')).toMatchObject({
    match: false,
    changedRows: 1,
    missingRows: 1,
    extraRows: 1,
    differingKeys: [
      'tenant=a, b=c, id=7: changed',
      'tenant=a, b=c, id=49999: missing',
      'tenant=new, id=50001: only on the target',
    ],
  })
  expect(tables.get('fine')).not.toHaveProperty('differingKeys')
})

test('without show-keys no character of a key is in the report', async () => {
  const tables = await drill(
    'keys_masked',
    `DELETE FROM keyed WHERE id = 49999; DELETE FROM uniquely`,
    false,
  )
  expect(tables.get('keyed')?.differingKeys).toEqual(['tenant=******, id=*****: missing'])
  expect(tables.get('uniquely')?.differingKeys).toEqual(['b=********: missing'])
})

test('a row of a table without a key is found by its digest', async () => {
  const tables = await drill(
    'keyless_rows',
    `UPDATE keyless SET b = 'y' WHERE ctid = (SELECT min(ctid) FROM keyless WHERE a = 3)`,
    true,
  )
  expect(tables.get('keyless')).toMatchObject({ missingRows: 1, extraRows: 1, changedRows: 0 })
  expect(tables.get('keyless')?.differingKeys).toEqual([
    expect.stringMatching(/^a row without a key, digest [0-9a-f]{16}: missing$/),
    expect.stringMatching(/^a row without a key, digest [0-9a-f]{16}: only on the target$/),
  ])
})

test('a table of which nothing is left shows a screenful of keys and no more', async () => {
  const tables = await drill('emptied', 'TRUNCATE keyed', true)
  const keyed = tables.get('keyed')
  expect(keyed?.differingKeys).toHaveLength(10)
  // 50,000 missing rows are not fetched for their keys; both counts are in the result anyway
  expect(keyed).not.toHaveProperty('missingRows')
  expect(keyed).toMatchObject({ sourceRows: 50_000, targetRows: 0 })
})

test('a table whose columns are not alike is left to the comparison of the catalogs', async () => {
  const tables = await drill('renamed', 'ALTER TABLE keyed RENAME v TO w', true)
  expect(tables.get('keyed')).toMatchObject({ match: false })
  expect(tables.get('keyed')).not.toHaveProperty('differingKeys')
})
