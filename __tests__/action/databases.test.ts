import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { between, runJob, withoutPassword } from '../support/migration.ts'
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
  // what it holds was allowed when it came in, and no plan can know that it is not any more
  await source.sql('CREATE DATABASE brittle')
  await source.sql(
    `CREATE FUNCTION allowed(int) RETURNS bool LANGUAGE sql AS 'SELECT true';
     CREATE TABLE t (i int CHECK (public.allowed(i))); INSERT INTO t VALUES (1);
     CREATE OR REPLACE FUNCTION allowed(int) RETURNS bool LANGUAGE sql AS 'SELECT false'`,
    'brittle',
  )
  const run = await migrate({ databases: 'brittle, crm=crm_again' })
  await source.sql('DROP DATABASE brittle')
  expect(run.code).toBe(1)
  expect(run.report.error?.message).toContain('brittle')
  const [brittle, crm] = run.report.databases
  expect(brittle).toMatchObject({
    verified: false,
    error: { message: expect.stringContaining('brittle') },
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
  const run = await migrate({ databases: 'crm=crm_busy', 'allow-writes': 'true' })
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

describe('where the data go', () => {
  const directory = mkdtempSync(join(tmpdir(), 'databases-'))
  afterAll(() => rmSync(directory, { recursive: true }))
  const named = (database: string) => ({ target: withoutPassword(target.uri(database)) })
  const exists = async (database: string) =>
    (
      await target.backend.sql(
        `SELECT datname FROM pg_database WHERE datname = '${database.replaceAll("'", "''")}'`,
      )
    ).rows.length === 1

  test('a target that names a database which does not exist yet creates it', async () => {
    const run = await migrate({ ...named('brand_new'), databases: 'shop=brand_new' })
    expect(run.report.error).toBeNull()
    expect(run.outputs.verified).toBe('true')
    expect(await rows('brand_new')).toBe(100)
    run.cleanUp()
  })

  test('a target that names another database than the one they go to is refused, with both readings', async () => {
    await target.backend.sql('CREATE DATABASE orders')
    const run = await migrate({ ...named('orders'), databases: 'shop=elsewhere' })
    expect(run.report.error?.message).toBe(
      'The target names the database "orders", and the data would go to "elsewhere"',
    )
    expect(run.report.error?.remedy).toContain('set databases: shop=orders.')
    expect(run.report.error?.remedy).toContain('let target end in /postgres, and keep databases')
    expect(run.report.phases.map(({ name }) => name)).toEqual(['preflight'])
    expect(await exists('elsewhere')).toBe(false)
    run.cleanUp()
  })

  test('a rename that the dump was given is kept by the restore, unless that says otherwise', async () => {
    const dump = { 'dump-directory': join(directory, 'dump') }
    const dumped = await runJob({
      inputs: {
        ...between(source, target, 'shop'),
        ...dump,
        command: 'dump',
        databases: 'shop=from_dump',
        'keep-dump': 'true',
        'upload-dump': 'false',
      },
    })
    expect(dumped.report.error).toBeNull()
    const id = dumped.report.dump?.id ?? ''
    const restore = (more: Record<string, string>) =>
      runJob({
        inputs: { ...between(source, target, 'shop'), ...dump, command: 'restore', ...more },
      })
    const kept = await restore({ 'dump-id': id })
    expect(kept.report.error).toBeNull()
    expect(kept.log).toContain(`The dump has the id ${id}`)
    expect(kept.report.databases.map((database) => database.target)).toEqual(['from_dump'])
    const verified = await restore({ command: 'verify', source: '', ...named('from_dump') })
    expect(verified.outputs.verified).toBe('true')
    const other = await restore({ databases: 'shop=from_restore' })
    expect(other.report.error).toBeNull()
    expect(await rows('from_restore')).toBe(100)
    const mistaken = await restore({ ...named('orders') })
    expect(mistaken.report.error?.message).toContain('the data would go to "from_dump"')
    const another = await restore({ 'dump-id': id.replace(/^./, id.startsWith('0') ? '1' : '0') })
    expect(another.report.error?.message).toBe('The dump is not the one that dump-id names')
    const unsealed = await restore({ passphrase: 'correct horse battery' })
    expect(unsealed.report.error?.message).toBe('The dump is refused: it carries no seal')
    for (const run of [dumped, kept, verified, other, mistaken, another, unsealed]) run.cleanUp()
  })
})

describe('all databases', () => {
  const all = { databases: 'all', 'if-target-not-empty': 'replace' }
  beforeAll(() => source.sql('DROP DATABASE crm'))

  test('are not the maintenance database while it is empty', async () => {
    const run = await migrate(all)
    expect(run.report.error).toBeNull()
    expect(run.outputs.verified).toBe('true')
    expect(run.report.databases.map(({ name }) => name)).toEqual(['shop', 'we,ird "db"'])
    const [check] = run.report.checks.filter(({ id }) => id === 'source-databases')
    expect(check?.message).toBe('2 to migrate; passed over: "postgres", which is empty')
    run.cleanUp()
  })

  test('are the maintenance database, too, once it holds something', async () => {
    await source.sql('CREATE TABLE left_here AS SELECT 1 AS i')
    const refused = await migrate({ databases: 'all', 'if-target-not-empty': 'fail' })
    expect(JSON.stringify(refused.report.checks)).toContain('postgres=other-name')
    const run = await migrate({ ...all, databases: 'postgres=old_postgres' })
    expect(run.report.error).toBeNull()
    expect(run.outputs.verified).toBe('true')
    for (const each of [refused, run]) each.cleanUp()
  })
})
