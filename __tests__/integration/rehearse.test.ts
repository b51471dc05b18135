import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { dumpCatalogs } from '../support/catalog-dump.ts'
import { clientDirectory } from '../support/clients.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: PlainTarget
let client: string

/** Everything that the catalogs of both sides hold. */
const catalogs = async () => ({
  source: await dumpCatalogs(source),
  target: await dumpCatalogs(target.backend),
})
let before: Awaited<ReturnType<typeof catalogs>>

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 are missing')
  client = found
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(16)])
  await source.sql('CREATE ROLE app LOGIN PASSWORD \'app secret\'; CREATE ROLE "Reader"')
  await target.backend.sql(
    'CREATE ROLE app; CREATE ROLE "Reader"; GRANT app, "Reader" TO gctest WITH ADMIN OPTION',
  )
  await target.backend.sql('CREATE DATABASE shop')
  await target.backend.sql('CREATE TABLE of_the_target AS SELECT 1 AS n', 'shop')
  for (const name of ['shop', 'stock']) {
    await source.sql(`CREATE DATABASE ${name} OWNER app`)
    await source.sql(
      `ALTER DATABASE ${name} SET work_mem TO '7MB'; GRANT CONNECT ON DATABASE ${name} TO "Reader";
       ALTER ROLE app IN DATABASE ${name} SET work_mem TO '8MB'; COMMENT ON DATABASE ${name} IS 'the ${name}';
       CREATE TABLE t (version int PRIMARY KEY, what text); INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 500) n;
       ALTER TABLE t OWNER TO app; GRANT SELECT ON t TO "Reader";
       CREATE PUBLICATION p FOR TABLE t`,
      name,
    )
  }
  before = await catalogs()
})
afterAll(async () => {
  await source?.stop()
  await target?.stop()
})

const rehearse = (more: Record<string, string> = {}): Promise<CommandResult> =>
  runInProcess({
    command: 'rehearse',
    source: source.uri(),
    target: target.uri(),
    databases: 'shop,stock',
    'client-path': client,
    roles: 'skip',
    ...more,
  })

test('is verified, and leaves nothing: the catalogs of both sides are as before, byte for byte', async () => {
  const { error, report } = await rehearse()
  if (error) throw error
  expect(report.verified).toBe(true)
  expect(report.rehearsal).toMatchObject({ outcome: 'removed' })
  expect(report.databases.map(({ name, target }) => [name, target])).toEqual([
    ['shop', `${report.rehearsal?.name}_1`],
    ['stock', `${report.rehearsal?.name}_2`],
  ])
  expect(await catalogs()).toEqual(before)
})
