import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { between, runJob } from '../support/migration.ts'
import { type PlainTarget, PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: PlainTarget

beforeAll(async () => {
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
  for (const name of ['shop', 'crm', 'we,ird "db"']) {
    await source.sql(`CREATE DATABASE "${name.replaceAll('"', '""')}"`)
    await source.sql('CREATE TABLE t AS SELECT i FROM generate_series(1, 100) AS i', name)
  }
  // how many close a database before they move it: only superusers get in any more
  await source.sql('CREATE ROLE keeper; ALTER DATABASE crm OWNER TO keeper')
  await source.sql('ALTER DATABASE crm CONNECTION LIMIT 0')
})
afterAll(() => Promise.all([source?.stop(), target?.stop()]))

const rows = async (database: string) =>
  (await target.backend.sql('SELECT count(*)::int AS n FROM t', database)).rows[0].n
const migrate = (more: Record<string, string>) =>
  runJob({ inputs: between(source, target, 'shop', { 'upload-dump': 'false', ...more }) })

test('several databases go to their names, each with its own verdict', async () => {
  const run = await migrate({ databases: 'shop=shop_new, crm\n"we,ird ""db"""' })
  expect(run.report.error).toBeNull()
  expect(
    run.report.databases.map(({ name, target: to, verified }) => [name, to, verified]),
  ).toEqual([
    ['shop', 'shop_new', true],
    ['crm', 'crm', true],
    ['we,ird "db"', 'we,ird "db"', true],
  ])
  for (const name of ['shop_new', 'crm', 'we,ird "db"']) expect(await rows(name)).toBe(100)
  const { rows: limits } = await target.backend.sql(
    `SELECT datname, datconnlimit FROM pg_database WHERE datname IN ('shop_new', 'crm') ORDER BY 1`,
  )
  expect(limits).toEqual([
    { datname: 'crm', datconnlimit: 0 },
    { datname: 'shop_new', datconnlimit: -1 },
  ])
  // no mark is left where the account cannot get in any more, and no membership
  const marks = await target.backend.sql(
    `SELECT nspname FROM pg_namespace WHERE nspname ~ 'migrate'
      UNION ALL SELECT 'keeper' FROM pg_auth_members WHERE roleid = 'keeper'::regrole`,
    'crm',
  )
  expect(marks.rows).toEqual([])
  run.cleanUp()
})

test('one that fails does not lose the results of the others', async () => {
  await target.backend.sql('CREATE DATABASE busy')
  await target.backend.sql('CREATE TABLE somebody_elses (x int)', 'busy')
  const run = await migrate({ databases: 'shop=busy, crm=crm_again' })
  expect(run.code).toBe(1)
  expect(run.report.error?.message).toContain('busy')
  const [busy, crm] = run.report.databases
  expect(busy).toMatchObject({
    verified: false,
    error: { message: expect.stringContaining('busy') },
  })
  expect(crm).toMatchObject({ target: 'crm_again', verified: true })
  expect(await rows('crm_again')).toBe(100)
  expect(run.outputs.verified).toBe('false')
  run.cleanUp()
})

test('what is written to the source meanwhile is counted and reported as what it is', async () => {
  const writer = await source.connect('crm')
  let stop = false
  const writing = (async () => {
    while (!stop) await writer.query('INSERT INTO t VALUES (-1)')
  })()
  const run = await migrate({ databases: 'crm=crm_busy' })
  stop = true
  await writing
  await writer.end()
  // the snapshot was proved all the same
  expect(run.report.error).toBeNull()
  expect(run.outputs.verified).toBe('true')
  expect(run.report.warnings.join()).toMatch(
    /"crm" was written to after its dump began.*rows? inserted/,
  )
  expect(run.report.checks.find(({ id }) => id === 'source-writes')).toMatchObject({
    status: 'failed',
  })
  expect(run.report.sourceStill).toBe(false)
  run.cleanUp()
})

test('a PolarDB 11 as the source is dumped by one session, since its snapshots cannot be shared', async () => {
  const polar = await PolarStandIn.start({ snapshots: 'refused' })
  try {
    await polar.backend.sql('CREATE DATABASE shop')
    await polar.backend.sql(
      `CREATE TABLE t AS SELECT i FROM generate_series(1, 100) AS i; CREATE TABLE u (x int);
       GRANT SELECT ON t, u TO PUBLIC`,
      'shop',
    )
    const run = await runJob({
      inputs: between(polar, target, 'shop', {
        databases: 'shop=from_polar',
        roles: 'skip',
        'dump-jobs': '4',
        'upload-dump': 'false',
      }),
    })
    expect(run.report.error).toBeNull()
    expect(run.outputs.verified).toBe('true')
    expect(run.report.sourceStill).not.toBe(false)
    expect(run.report.warnings.join()).toMatch(/dumped by one session.*not 4 as dump-jobs says/)
    expect(run.log).toContain('with 1 job')
    expect(await rows('from_polar')).toBe(100)
    run.cleanUp()
  } finally {
    await polar.stop()
  }
})
