import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Failure } from '../../src/failure.ts'
import type { Report } from '../../src/report/model.ts'
import { outcome } from '../../src/report/verdict.ts'
import { dumpCatalogs } from '../support/catalog-dump.ts'
import { clientDirectory } from '../support/clients.ts'
import { runInProcess } from '../support/in-process.ts'
import { between } from '../support/migration.ts'
import { type PlainTarget, PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let plain: PlainTarget
let polar: PolarStandIn
let client: string

/** From the start: what vacuum writes into the catalogs would look like a change of ours. */
const settings = { autovacuum: 'off' }

beforeAll(async () => {
  const found = await clientDirectory(15)
  if (!found) throw new Error('the client programs of 15 cannot be had on this machine')
  client = found
  ;[source, plain, polar] = await Promise.all([
    TestServer.start(15, { settings }),
    startPlainTarget(15, { settings }),
    PolarStandIn.start({ settings }),
  ])
  await source.sql('CREATE DATABASE shop')
  await source.sql(
    `CREATE ROLE owner_role NOLOGIN; CREATE ROLE watcher LOGIN PASSWORD 'w' IN ROLE pg_monitor;
     SET password_encryption = md5; CREATE ROLE old_login LOGIN PASSWORD 'o'; ALTER ROLE old_login SET search_path = pg_catalog;
     CREATE SCHEMA app AUTHORIZATION owner_role; CREATE TABLE app.orders (id serial PRIMARY KEY, note text COLLATE "C");
     CREATE COLLATION app.german (provider = icu, locale = 'de');
     CREATE FUNCTION app.raw(internal) RETURNS internal LANGUAGE internal AS 'array_subscript_handler'`,
    'shop',
  )
})
afterAll(async () => {
  await Promise.all([source, plain, polar].map((one) => one?.stop()))
})

async function preflight(inputs: Record<string, string>) {
  const outputs: Record<string, unknown> = {}
  const result = await runInProcess(
    { 'client-path': client, command: 'preflight', ...inputs },
    { setOutput: (name, value) => void Object.assign(outputs, { [name]: value }) },
  )
  return { ...result, outputs }
}

const failed = ({ checks }: Report) => checks.filter(({ status }) => status === 'failed')

test.each([
  ['a plain server', () => plain],
  ['a stand-in for PolarDB 11', () => polar],
])('both servers are afterwards what they were before: %s', async (_, which) => {
  const target = which()
  const servers = [source, target.backend]
  const before = await Promise.all(servers.map(dumpCatalogs))
  const { report, error, outputs } = await preflight(between(source, target, 'shop'))
  expect(await Promise.all(servers.map(dumpCatalogs))).toEqual(before)
  expect(report.phases.map(({ name, status }) => [name, status])).toEqual(
    ['preflight', 'client', 'dump-roles', 'schema', 'preflight'].map((name) => [name, 'succeeded']),
  )
  // the plan was made: what is lost is known by name, with the lines to paste
  const losses = failed(report).filter(({ id }) => id === 'losses')
  expect(losses.length).toBeGreaterThan(0)
  const all = report.checks.find(({ id }) => id === 'losses-all')?.paste ?? ''
  expect(all).toMatch(/^allow-missing: \|\n( {2}\S.*\n?)+$/)
  expect((error as Failure).line).toMatch(/^Not ready to migrate/)
  expect(outputs).toMatchObject({ ready: false, 'source-version': expect.stringMatching(/^15/) })
  expect(outcome({ ...report, status: 'failed' }).title).toBe('Not ready')

  // pasted, they are all that it takes
  if (target !== plain) return
  const lines = all
    .split('\n')
    .slice(1)
    .map((line) => line.trim())
  const accepted = await preflight({
    ...between(source, target, 'shop'),
    'allow-missing': lines.join('\n'),
  })
  expect(accepted.error).toBeUndefined()
  expect(accepted.outputs.ready).toBe(true)
  expect(JSON.parse(String(accepted.outputs['databases-json']))).toMatchObject([
    {
      ...{ name: 'shop', target: 'shop', bytes: expect.any(Number) },
      estimate: { seconds: { low: expect.any(Number), high: expect.any(Number) } },
    },
  ])
  expect(accepted.report.losses.map(({ entry }) => entry).sort()).toEqual([...lines].sort())
})

test('a database that is not there keeps nobody from the plan of the others, and nothing is called whole', async () => {
  const inputs = between(source, plain, 'shop', { databases: 'shop, gone' })
  const { report } = await preflight(inputs)
  expect(report.checks.filter(({ id }) => id === 'plan').map(({ message }) => message)).toEqual(
    expect.arrayContaining([expect.stringMatching(/^"shop": \d+ of \d+ entries/)]),
  )
  const losses = report.checks.filter(({ id }) => id === 'losses')
  expect(losses.length).toBeGreaterThan(0)
  expect(losses.filter(({ status }) => status === 'passed')).toEqual([])
})

/** As somebody else, whose password is `p`. */
const as = (role: string, uri: string) => uri.replace(/\/\/[^@]*@/, `//${role}@`)

/** The inputs that a block of the workflow's lines says. */
const pasted = (text = '') =>
  Object.fromEntries(text.split('\n').map((line) => line.split(': ') as [string, string]))

test('an account that may create no roles is told so, and what becomes of the databases all the same', async () => {
  await plain.backend.sql(`CREATE ROLE powerless LOGIN CREATEDB PASSWORD 'p'`)
  try {
    const target = as('powerless', plain.uri('postgres'))
    const inputs = { ...between(source, plain, 'shop'), target, 'target-password': 'p' }
    const { report, outputs } = await preflight(inputs)
    const plan = report.checks.filter(({ id }) => id === 'plan')
    const [refused, ...others] = plan.filter(({ status }) => status === 'failed')
    expect(others).toEqual([])
    expect(refused?.message).toMatch(
      /^the roles: The account "powerless" may not create roles on the target.*takes CREATEROLE/,
    )
    expect(refused?.paste).toBe('ALTER ROLE "powerless" CREATEROLE;')
    expect(plan.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/^"shop": \d+ of \d+ entries/),
    )
    // what the roles would lose was not tried, and nobody says that they lose nothing
    const losses = report.checks.filter(({ id }) => id === 'losses')
    expect(losses.filter(({ status }) => status === 'passed')).toEqual([])
    expect(outputs).toMatchObject({ ready: false })
    await plain.backend.sql(refused?.paste ?? '')
    const again = await preflight(inputs)
    expect(again.report.checks.filter(({ id }) => id === 'plan' && 'status')).not.toContainEqual(
      expect.objectContaining({ status: 'failed' }),
    )
  } finally {
    await plain.backend.sql('DROP ROLE powerless')
  }
})

test('passwords that cannot be read are one blocker, and no loss of every login', async () => {
  // not pg_read_all_data, which may read pg_authid, too
  await source.sql(
    `CREATE ROLE reader LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA app TO reader;
     GRANT SELECT ON ALL TABLES IN SCHEMA app TO reader; GRANT SELECT ON ALL SEQUENCES IN SCHEMA app TO reader`,
    'shop',
  )
  try {
    const inputs = {
      ...between(source, plain, 'shop', { 'allow-missing': 'MEMBERSHIP *\nROLE *\nFUNCTION *' }),
      ...{ source: as('reader', source.uri('shop')), 'source-password': 'p' },
    }
    const { report, error } = await preflight(inputs)
    const blockers = failed(report).filter(({ severity }) => severity === 'blocker')
    expect(blockers.map(({ id, objects }) => [id, objects])).toEqual([
      ['source-role-passwords', []],
    ])
    expect(report.losses.filter(({ entry }) => entry.startsWith('LOGIN'))).toEqual([])
    expect((error as Failure).line).toMatch(
      /^Not ready to migrate: 1 blocker .*may not read pg_authid/,
    )
    // a migration says the same, and what is pasted mends both
    const migrated = {
      ...inputs,
      'client-path': client,
      'allow-writes': 'true',
      'upload-dump': 'false',
    }
    const refused = await runInProcess({ ...migrated, command: 'migrate' })
    expect((refused.error as Failure).line).toMatch(/may not read pg_authid/)
    const way = pasted(blockers[0]?.paste)
    const now = await preflight({ ...inputs, ...way })
    expect(now.error).toBeUndefined()
    expect(now.outputs.ready).toBe(true)
    const run = await runInProcess({ ...migrated, ...way, command: 'migrate' })
    expect(run.error).toBeUndefined()
    expect(run.report.verified).toBe(true)
    expect(run.report.losses.map(({ entry }) => entry).sort()).toEqual(
      now.report.losses.map(({ entry }) => entry).sort(),
    )
  } finally {
    await source.sql('DROP OWNED BY reader; DROP ROLE reader', 'shop')
  }
})
