import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { messageOf } from '../../src/failure.ts'
import { clientDirectory } from '../support/clients.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { withoutPassword } from '../support/migration.ts'
import { TestServer } from '../support/server.ts'

let server: TestServer

/** What somebody would write into a mark to have the account lose its rights, or others theirs. */
const planted = JSON.stringify({
  dump: '0'.repeat(64),
  memberships: ['pg_monitor', 'team', 'ghost'],
  schemaGrants: [
    { role: 'ghost', schema: 'public' },
    { role: 'team', schema: 'ghost' },
  ],
  databaseGrants: ['ghost'],
})

beforeAll(async () => {
  server = await TestServer.start(15)
  await server.sql(`
    CREATE ROLE mallory LOGIN;
    CREATE ROLE migrator LOGIN CREATEROLE CREATEDB PASSWORD 'm';
    CREATE ROLE team;
    GRANT pg_monitor TO migrator;
    GRANT team TO migrator WITH ADMIN OPTION`)
  await server.sql('CREATE DATABASE shop')
  await server.sql(
    `CREATE TABLE public.orders AS SELECT generate_series(1, 5) AS id; ALTER TABLE public.orders OWNER TO team`,
    'shop',
  )
})
afterAll(() => server?.stop())

let target = ''
let count = 0
beforeEach(async () => {
  target = `target${++count}`
  await server.sql(`CREATE DATABASE ${target} OWNER migrator`)
})

async function migrate(more: Record<string, string> = {}): Promise<CommandResult> {
  const client = await clientDirectory(15)
  if (client === undefined) throw new Error('this machine has no client programs')
  return runInProcess({
    command: 'migrate',
    source: withoutPassword(server.uri('shop')),
    'source-password': server.password,
    target: withoutPassword(server.uri('postgres', 'migrator', '')),
    'target-password': 'm',
    databases: `shop=${target}`,
    roles: 'skip',
    'upload-dump': 'false',
    'client-path': client,
    'allow-missing': '*',
    ...more,
  })
}

async function memberships(): Promise<string[]> {
  const { rows } = await server.sql(
    `SELECT roleid::regrole::text AS role FROM pg_auth_members WHERE member = 'migrator'::regrole ORDER BY 1`,
  )
  return rows.map(({ role }) => role)
}

const mark = '"migrate-to-polardb"'

test('a mark that is not of the account is refused, and nothing is done that it says', async () => {
  await server.sql(`ALTER DATABASE ${target} OWNER TO mallory`)
  await server.sql(`GRANT CREATE ON DATABASE ${target} TO migrator`)
  await server.sql('GRANT CREATE ON SCHEMA public TO migrator', target)
  await server.sql(
    `SET ROLE mallory; CREATE SCHEMA ${mark}; COMMENT ON SCHEMA ${mark} IS '${planted}'`,
    target,
  )
  for (const mode of ['fail', 'resume']) {
    const { error } = await migrate({ 'if-target-not-empty': mode })
    expect(messageOf(error)).toMatch(
      /The schema "migrate-to-polardb" of the target database is not the account's.*belongs to "mallory"/,
    )
  }
  expect(await memberships()).toEqual(['pg_monitor', 'team'])
})

test("nothing is taken back that the server does not bear out, even where the mark is the account's", async () => {
  await server.sql(
    `SET ROLE migrator; CREATE SCHEMA ${mark}; COMMENT ON SCHEMA ${mark} IS '${planted}'`,
    target,
  )
  const { error, report } = await migrate()
  expect(messageOf(error ?? '')).toBe('')
  expect(report.verified).toBe(true)
  expect(await memberships()).toEqual(['pg_monitor', 'team'])
  expect(
    (await server.sql(`SELECT FROM pg_namespace WHERE nspname = 'migrate-to-polardb'`, target))
      .rowCount,
  ).toBe(0)
})

test('a mark in the source is not restored over the one of this restore', async () => {
  await server.sql(`CREATE SCHEMA ${mark}; COMMENT ON SCHEMA ${mark} IS '${planted}'`, 'shop')
  try {
    const { error, report } = await migrate()
    expect(messageOf(error ?? '')).toBe('')
    expect(report.databases[0]?.restore?.skipped).toContainEqual(
      expect.objectContaining({ entry: 'SCHEMA migrate-to-polardb' }),
    )
    expect(await memberships()).toEqual(['pg_monitor', 'team'])
  } finally {
    await server.sql(`DROP SCHEMA ${mark}`, 'shop')
  }
})
