import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Failure, messageOf } from '../../src/failure.ts'
import { whileMigrating } from '../../src/migration/rehearsal/presence.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { renderMarkdown } from '../../src/report/markdown.ts'
import { outcome } from '../../src/report/verdict.ts'
import { runInProcess } from '../support/in-process.ts'
import { canLogIn } from '../support/migration.ts'
import { type PlainTarget, PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { Harness } from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let harness: Harness
const targets: Record<string, PlainTarget | PolarStandIn> = {}

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 cannot be had on this machine')
  harness = opened
  source = await TestServer.start(15)
  targets['a stock 16'] = await startPlainTarget(16)
  targets['the stand-in'] = await PolarStandIn.start({ major: 15 })
  for (const name of ['shop', 'ledger']) await source.sql(`CREATE DATABASE ${name}`)
  await source.sql('CREATE TABLE here AS SELECT 1 AS a', 'shop')
  await source.sql(`
    CREATE ROLE keeper; CREATE ROLE teller LOGIN PASSWORD 'teller''s own'; GRANT keeper TO teller;
    ALTER ROLE teller SET work_mem = '5MB';
    ALTER ROLE teller IN DATABASE shop SET work_mem = '6MB';
    ALTER ROLE teller IN DATABASE ledger SET statement_timeout = '7s'`)
  await source.sql('ALTER TABLE here OWNER TO keeper', 'shop')
})
afterAll(async () => {
  await Promise.all([source, ...Object.values(targets)].map((server) => server?.stop()))
  await harness?.close()
})

const clients = () => ({ 'client-path': harness.client.directory, 'upload-dump': 'false' })
const inDirectory = (name: string) => {
  const directory = join(harness.directory, name)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  return { 'dump-directory': directory, 'keep-dump': 'true' }
}
const settingsOf = async (server: TestServer) => {
  const { rows } = await server.sql(
    `SELECT d.datname AS database, s.setconfig AS settings FROM pg_db_role_setting s
       JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
      WHERE r.rolname = 'teller' ORDER BY 1`,
  )
  return rows
}

describe.each(['a stock 16', 'the stand-in'])('roles: only, to %s', (kind) => {
  const target = () => targets[kind] as PlainTarget
  const both = () => ({ source: source.uri('shop'), target: target().uri('postgres') })

  test('is tried by a preflight, which makes nothing', async () => {
    const { report, error } = await runInProcess({
      ...{ command: 'preflight', roles: 'only', 'role-passwords': 'true', ...both() },
      ...clients(),
    })
    expect(messageOf(error ?? '')).toBe('')
    expect(report.databases).toEqual([])
    const said = report.checks.find(({ id }) => id === 'source-databases')
    expect(said?.message).toBe('none to migrate: roles is only')
    const { rows } = await target().backend.sql(`SELECT 1 FROM pg_roles WHERE rolname = 'teller'`)
    expect(rows).toEqual([])
  })

  test('migrates the roles, proves them, and names what comes with the databases', async () => {
    const dump = inDirectory(`only-${kind.length}`)
    const { report, error } = await runInProcess({
      ...{ command: 'migrate', roles: 'only', databases: 'all', ...both(), ...clients(), ...dump },
    })
    expect(messageOf(error ?? '')).toBe('')
    expect(report).toMatchObject({ verified: true, databases: [], cutoverSeconds: null })
    expect(report.roles).toMatchObject({
      verified: true,
      inOtherDatabases: [
        { role: 'teller', database: 'ledger', parameter: 'statement_timeout' },
        { role: 'teller', database: 'shop', parameter: 'work_mem' },
      ],
    })
    expect(outcome({ ...report, status: 'succeeded' }).sentence).toMatch(
      /^Migrated \d+ roles in .*: every role compared equal.*; 2 settings of roles in single databases come with these databases\.$/,
    )
    expect(renderMarkdown(report)).toContain('- `work_mem` of `teller` in `shop`')
    expect(report.phases.map(({ name }) => name)).not.toContain('dump')
    expect(await canLogIn(target(), 'teller', "teller's own")).toBe(true)
    expect(await settingsOf(target().backend)).toEqual([
      { database: null, settings: ['work_mem=5MB'] },
    ])
    expect(readdirSync(dump['dump-directory']).sort()).toEqual([
      'manifest.json',
      'roles.polardb.sql',
      'roles.sql',
    ])
    const { databases } = JSON.parse(
      readFileSync(join(dump['dump-directory'], 'manifest.json'), 'utf8'),
    )
    expect(databases).toEqual([])
  })

  test('leaves a database and its settings to a job with roles: skip', async () => {
    const inputs = { command: 'migrate', roles: 'skip', databases: 'shop', ...both(), ...clients() }
    const { report, error } = await runInProcess({ ...inputs, ...inDirectory(`s-${kind.length}`) })
    expect(messageOf(error ?? '')).toBe('')
    expect(report).toMatchObject({ verified: true })
    expect(report.roles).toBeUndefined()
    expect(await settingsOf(target().backend)).toEqual([
      { database: 'shop', settings: ['work_mem=6MB'] },
      { database: null, settings: ['work_mem=5MB'] },
    ])
    const { rows } = await target().backend.sql(
      `SELECT tableowner FROM pg_tables WHERE tablename = 'here'`,
      'shop',
    )
    expect(rows).toEqual([{ tableowner: 'keeper' }])
  })

  test('is followed by one job after the other, where the account needs memberships', async () => {
    const other = parseConnectionString(target().uri('postgres'), '')
    const quiet = {
      log: { debug() {}, info() {}, warning() {} },
      signal: AbortSignal.timeout(60_000),
    }
    const { report, error } = await whileMigrating(other, quiet, () =>
      runInProcess({
        ...{ command: 'migrate', roles: 'skip', databases: 'shop=beside', ...both() },
        ...{ ...clients(), ...inDirectory(`beside-${kind.length}`) },
      }),
    )
    expect(messageOf(error ?? '')).toBe('')
    expect(report.warnings.some((one) => one.startsWith('Another migration or restore is'))).toBe(
      kind === 'a stock 16',
    )
  })

  test('finds a difference, and says so', async () => {
    await target().backend.sql(`ALTER ROLE teller CONNECTION LIMIT 3`)
    const { report, error } = await runInProcess({
      ...{ command: 'migrate', roles: 'only', ...both(), ...clients() },
      ...inDirectory(`again-${kind.length}`),
    })
    expect(report.verified).toBe(report.roles?.differences.every(({ explained }) => explained))
    expect(report.roles?.differences).toContainEqual(
      expect.objectContaining({ role: 'teller', what: 'CONNECTION LIMIT' }),
    )
    expect(error === undefined).toBe(report.verified)
    await target().backend.sql(`ALTER ROLE teller CONNECTION LIMIT -1`)
  })
})

describe('a dump of the roles alone', () => {
  const target = () => targets['a stock 16'] as PlainTarget
  const dumped = () => ({ ...inDirectory('roles'), 'upload-dump': 'false' })
  const restore = (more: Record<string, string> = {}) =>
    runInProcess({ command: 'restore', target: target().uri('postgres'), ...dumped(), ...more })
  const failureOf = ({ error }: { error: unknown }) => error as Failure

  test('is restored without client programs, by roles: only and without', async () => {
    const { report, error, lines } = await runInProcess({
      ...{ command: 'dump', roles: 'only', source: source.uri('shop'), ...clients() },
      ...dumped(),
    })
    expect(messageOf(error ?? '')).toBe('')
    expect(outcome({ ...report, status: 'succeeded' }).sentence).toMatch(/^Dumped the roles in /)
    expect(lines.join('\n')).not.toContain('pg_dump ')
    for (const more of [{ roles: 'only', databases: 'shop' }, {}]) {
      const restored = await restore({ ...more, 'client-path': '/nonexistent' })
      expect(messageOf(restored.error ?? '')).toBe('')
      expect(restored.report).toMatchObject({ verified: true, databases: [] })
      expect(restored.report.client).toBeUndefined()
    }
  })

  test('is refused where something else is wanted of it', async () => {
    const skipped = failureOf(await restore({ roles: 'skip' }))
    expect(skipped.message).toBe('There is nothing to restore')
    const named = failureOf(await restore({ databases: 'shop' }))
    expect(named.message).toBe('The dump holds no database "shop"')
    expect(named.why).toContain('the roles alone')
    const compared = failureOf(
      await runInProcess({ command: 'verify', target: target().uri('postgres'), ...dumped() }),
    )
    expect(compared.message).toBe('There is nothing to compare')
  })

  test('is refused of a dump without roles, and no dump is made of nothing', async () => {
    const without = { ...inDirectory('without'), ...clients() }
    const one = { command: 'dump', roles: 'skip', source: source.uri('shop') }
    const { error } = await runInProcess({ ...one, ...without })
    expect(messageOf(error ?? '')).toBe('')
    const failure = failureOf(await restore({ ...without, roles: 'only' }))
    expect(failure.message).toBe('The dump holds no roles')
  })
})

test('a restore of the roles of a whole dump leaves its databases and their losses alone', async () => {
  const target = targets['a stock 16'] as PlainTarget
  const whole = { ...inDirectory('whole'), ...clients() }
  await source.sql('ALTER DATABASE ledger ALLOW_CONNECTIONS false')
  const { error } = await runInProcess({
    ...{ command: 'dump', source: source.uri('shop'), databases: 'all', ...whole },
  })
  expect(messageOf(error ?? '')).toBe('')
  const restored = await runInProcess({
    ...{ command: 'restore', roles: 'only', target: target.uri('postgres'), ...whole },
  })
  expect(messageOf(restored.error ?? '')).toBe('')
  expect(restored.report).toMatchObject({ verified: true, databases: [], losses: [] })
  expect(restored.report.roles?.inOtherDatabases).toEqual([
    { role: 'teller', database: 'shop', parameter: 'work_mem' },
  ])
})
