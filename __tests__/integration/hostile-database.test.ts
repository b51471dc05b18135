import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { messageOf } from '../../src/failure.ts'
import { clientDirectory } from '../support/clients.ts'
import { calmly, hostileMark, hostileTraces, makeHostile } from '../support/hostile-database.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { withoutPassword } from '../support/migration.ts'
import { type Major, TestServer } from '../support/server.ts'

const servers = new Map<Major, TestServer>()

beforeAll(async () => {
  for (const major of [13, 15, 18] as const) servers.set(major, await TestServer.start(major))
  await makeHostile(at(13), 'shop')
  await makeHostile(at(15), 'store')
  await makeHostile(at(18), 'mart')
})
afterAll(() => Promise.all([...servers.values()].map((server) => server.stop())))

function at(major: Major): TestServer {
  const server = servers.get(major)
  if (!server) throw new Error(`there is no server ${major}`)
  return server
}

async function run(
  command: string,
  [from, to]: [Major, Major],
  database: string,
  more: Record<string, string> = {},
): Promise<CommandResult> {
  const client = await clientDirectory(Math.max(from, 15))
  if (client === undefined) throw new Error('this machine has no client programs')
  const [source, target] = [at(from), at(to)]
  return runInProcess({
    command,
    source: withoutPassword(source.uri(database)),
    'source-password': source.password,
    target: withoutPassword(target.uri('postgres')),
    'target-password': target.password,
    'upload-dump': 'false',
    'client-path': client,
    'client-version': String(Math.max(from, 15)),
    ...more,
  })
}

test('the hostile database does what it is meant to do to a session that is not careful', async () => {
  const server = await TestServer.start(15)
  try {
    await makeHostile(server, 'shop')
    const client = await server.connect('shop', {
      options: '-c statement_timeout=0 -c role=none -c default_transaction_read_only=on',
    })
    await client.query(`SELECT lower('A') = 'a', 'x'::text, sum(1) FROM pg_am`)
    await client.end()
    const traces = await hostileTraces(server)
    for (const what of ['lower', '=', 'text', 'pg_am']) {
      expect(traces.some((line) => line.includes(`${hostileMark}: ${what} as postgres`))).toBe(true)
    }
  } finally {
    await server.stop()
  }
})

test.each<[Major, Major, string]>([
  [13, 15, 'shop'],
  [15, 18, 'store'],
])(
  'nothing of a hostile database runs while it is migrated from %i to %i',
  async (from, to, database) => {
    // mallory owns the target's database beforehand, and has set her path there, too
    await at(to).sql(`
    DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mallory') THEN CREATE ROLE mallory LOGIN; END IF;
    END $$`)
    await at(to).sql(`CREATE DATABASE ${database} OWNER mallory`)
    await at(to).sql(`ALTER DATABASE ${database} SET search_path = evil, pg_catalog`)
    await at(to).sql(
      `ALTER ROLE postgres IN DATABASE ${database} SET search_path = evil, pg_catalog`,
    )
    const { error, report } = await run('migrate', [from, to], database)
    expect(messageOf(error ?? '')).toBe('')
    expect(report.verified).toBe(true)
    expect(await hostileTraces(at(from))).toEqual([])
    expect(await hostileTraces(at(to))).toEqual([])

    // a row that differs is looked for in both databases
    await calmly(at(to), database, `UPDATE public.orders SET note = 'other' WHERE id = 7`)
    const verified = await run('verify', [from, to], database, { 'show-keys': 'true' })
    expect(
      verified.report.databases[0]?.tables.flatMap((table) => table.differingKeys ?? []),
    ).toEqual(['id=7: changed'])
    expect(await hostileTraces(at(from))).toEqual([])
    expect(await hostileTraces(at(to))).toEqual([])

    // the database is exchanged for a new one: what was there is looked at, renamed and dropped
    const swapped = await run('migrate', [from, to], database, {
      'if-target-not-empty': 'swap',
      'drop-swapped': 'true',
    })
    expect(messageOf(swapped.error ?? '')).toBe('')
    expect(await hostileTraces(at(from))).toEqual([])
    expect(await hostileTraces(at(to))).toEqual([])
  },
)

test('nothing of a hostile database runs in a preflight, in a rehearsal, while it is frozen, and when it is given its writes back', async () => {
  const [from, to] = [15, 18] as const
  await makeHostile(at(from), 'frozen')
  const clean = async () => [await hostileTraces(at(from)), await hostileTraces(at(to))]
  const ahead = await run('preflight', [from, to], 'frozen', { 'preflight-restore': 'true' })
  expect(ahead.report.phases.map(({ name }) => name)).toContain('scratch-restore')
  expect(ahead.report.estimate?.basis).toBeDefined()
  expect(await clean()).toEqual([[], []])

  const rehearsed = await run('rehearse', [from, to], 'frozen', { 'allow-missing': '*' })
  expect(messageOf(rehearsed.error ?? '')).toBe('')
  expect(rehearsed.report.verified).toBe(true)
  expect(await clean()).toEqual([[], []])

  const migrated = await run('migrate', [from, to], 'frozen', { 'freeze-source': 'true' })
  expect(messageOf(migrated.error ?? '')).toBe('')
  expect(migrated.report).toMatchObject({ verified: true, freeze: { frozen: true } })
  expect(await clean()).toEqual([[], []])

  const thawed = await run('unfreeze', [from, to], 'frozen', { target: at(to).uri('postgres') })
  expect(messageOf(thawed.error ?? '')).toBe('')
  expect(thawed.report.freeze?.frozen).toBe(false)
  expect(await clean()).toEqual([[], []])
})

test('nothing of a hostile target runs while it is dropped and made anew, by an ordinary account', async () => {
  const [source, target] = [at(13), at(15)]
  await target.sql(`
    CREATE ROLE migrator LOGIN CREATEROLE CREATEDB PASSWORD 'm';
    GRANT mallory TO migrator WITH ADMIN OPTION`)
  await target.sql(`
    ALTER ROLE migrator IN DATABASE shop SET search_path = evil, pg_catalog;
    ALTER ROLE migrator SET role = mallory`)
  // all that mallory may do here is what she may do anyway
  const { error } = await run('migrate', [13, 15], 'shop', {
    target: withoutPassword(target.uri('postgres', 'migrator', '')),
    'target-password': 'm',
    'if-target-not-empty': 'replace',
    'allow-missing': '*',
  })
  expect(messageOf(error ?? '')).toBe('')
  expect(await hostileTraces(source)).toEqual([])
  expect(await hostileTraces(target)).toEqual([])
})

test('a login event trigger does not run in the sessions of a superuser', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'hostile-dump-'))
  try {
    const { error } = await run('dump', [18, 18], 'mart', {
      'dump-directory': join(directory, 'dump'),
      'keep-dump': 'true',
    })
    expect(messageOf(error ?? '')).toBe('')
    expect(await hostileTraces(at(18))).toEqual([])
  } finally {
    await rm(directory, { recursive: true })
  }
})
