import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { planRestore } from '../../src/migration/restore/plan-restore.ts'
import { type Dump, Harness, restoreDatabase, testContext } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

let harness: Harness
let server: TestServer

beforeAll(async () => {
  const found = await Harness.open(15)
  if (!found) throw new Error('no client programs of PostgreSQL 15 can be had here')
  harness = found
  server = await TestServer.start(15)
  await server.sql('CREATE DATABASE shop')
})
afterAll(async () => {
  await server?.stop()
  await harness?.close()
})

/** Restores the database under another name, and hands the context out meanwhile. */
async function restore(dump: Dump, targetName: string, context = testContext(harness.directory)) {
  const target = {
    ...{ account: 'postgres', backend: server },
    uri: (database?: string) => server.uri(database),
    connect: (database?: string) => server.connect(database),
  }
  const options = await harness.options(dump, target, { targetName })
  const plan = await planRestore(options, context)
  const restored = await restoreDatabase(options, plan, context)
  await restored.release()
  return restored
}

test('an index says how much of it is built, and how long the restore still takes', async () => {
  // a row a page, so that the server counts pages while it computes what goes into the index
  await server.sql(
    `CREATE FUNCTION slowly(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
       BEGIN PERFORM pg_catalog.pg_sleep(0.1); RETURN i; END $$;
     CREATE TABLE wide (i int, filler text);
     ALTER TABLE wide ALTER filler SET STORAGE PLAIN;
     INSERT INTO wide SELECT i, repeat('x', 7000) FROM generate_series(1, 100) i;
     CREATE TABLE loaded AS SELECT i, pg_catalog.md5(i::text) AS v FROM generate_series(1, 60000) i;
     CREATE INDEX wide_slowly ON wide (slowly(i))`,
    'shop',
  )
  const dump = await harness.dump(server, 'shop', ['--compress=0'])
  const context = testContext(harness.directory)
  await restore(dump, 'indexed', context)
  const lines = context.progressLines
  expect(lines.every((line) => line.length <= 92)).toBe(true)
  expect(lines.join('\n')).toMatch(
    /^restore indexed: \d of \d+ entries, about \d+ s left; INDEX public\.wide_slowly [1-9]\d? %$/m,
  )
  expect(lines.at(-1)).toMatch(/^restore indexed: (\d+) of \1 entries$/)
})

test('a lock that the restore waits for says who holds it', async () => {
  await server.sql('CREATE TABLE defaulted (i int DEFAULT 1)', 'shop')
  const dump = await harness.dump(server, 'shop')
  await server.sql('CREATE DATABASE locked')
  const blocker = await server.connect('locked')
  const context = testContext(harness.directory)
  const told = Promise.withResolvers<void>()
  context.log.warning = (line) => {
    context.lines.push(line)
    if (line.includes('waits for a lock')) told.resolve()
  }
  try {
    await blocker.query(`SET application_name = 'nightly report'`)
    // a default is a row of this catalog
    await blocker.query('BEGIN; LOCK TABLE pg_catalog.pg_attrdef IN SHARE MODE')
    const restoring = restore(dump, 'locked', context)
    restoring.catch((error: unknown) => told.reject(error))
    await told.promise
    await blocker.query('ROLLBACK')
    const { result } = await restoring
    expect(result.failed).toEqual([])
  } finally {
    await blocker.end()
  }
  expect(context.lines.filter((line) => line.includes('waits for a lock'))).toEqual([
    expect.stringMatching(
      /^locked: the restore waits for a lock on pg_catalog\.pg_attrdef, which is held or was asked for before by process \d+ \(user postgres, application nightly report, idle in transaction, in a transaction for [^)]+\)$/,
    ),
  ])
  expect(context.progressLines.join('\n')).toMatch(
    /^restore locked: .*waits for a lock of process \d+ \(nightly report\)/m,
  )
})
