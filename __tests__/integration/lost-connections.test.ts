import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Cancelled, Failure } from '../../src/failure.ts'
import { analyzeDatabase } from '../../src/migration/analyze.ts'
import { inspectSource, inspectTarget } from '../../src/migration/checks/preflight.ts'
import { decideSameServer } from '../../src/migration/checks/same-server.ts'
import { applySteps, type Outcome } from '../../src/migration/roles/apply.ts'
import { RoleSession } from '../../src/migration/roles/role-session.ts'
import { MomentGone } from '../../src/migration/verify/read-session.ts'
import { exportSnapshot } from '../../src/migration/verify/snapshot.ts'
import { step } from '../../src/polardb/roles/steps.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import {
  behind,
  createRoles,
  type Dump,
  Harness,
  type RestoreTarget,
} from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'
import { compareWith, differencesIn, fingerprintOf, testContext } from '../support/verify-run.ts'

let source: TestServer
let target: RestoreTarget & { port: number; stop(): Promise<void> }
/** The target behind a network that does what it is told. */
let far: RestoreTarget
let proxy: TcpProxy
let harness: Harness
let dump: Dump

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  source = await TestServer.start(15)
  target = await startPlainTarget(15)
  proxy = await TcpProxy.start(target.port)
  far = behind(proxy, target)
  await source.sql('CREATE ROLE app_owner')
  await source.sql('CREATE DATABASE shop OWNER app_owner')
  await source.sql(
    `CREATE TABLE orders (id int PRIMARY KEY, t text);
     INSERT INTO orders SELECT g, md5(g::text) FROM generate_series(1, 20000) g;
     CREATE TABLE slow (id int); INSERT INTO slow VALUES (1);
     DO $$ BEGIN FOR i IN 1..20 LOOP
       EXECUTE format('CREATE TABLE small_%s AS SELECT g AS n FROM generate_series(1, %s) g', i, i * 10);
     END LOOP; END $$;
     SELECT lo_from_bytea(o, decode(repeat(lpad(to_hex(o % 256), 2, '0'), 40000), 'hex')) FROM generate_series(20001, 20150) o;`,
    'shop',
  )
  await createRoles(target, ['app_owner'])
  dump = await harness.dump(source, 'shop')
})

afterEach(() => proxy.calm())

afterAll(async () => {
  await proxy?.stop()
  await harness?.close()
  await source?.stop()
  await target?.stop()
})

/** By its OID, 955, libpq calls the function lowrite (PostgreSQL, "Message Formats", FunctionCall). */
const lowrite = Buffer.from([0, 0, 3, 0xbb])

/** Everything of the source is in the database of the target, nothing twice and nothing half. */
async function expectWhole(name: string): Promise<void> {
  const fingerprint = await fingerprintOf(source, 'shop')
  const comparison = await compareWith(fingerprint, target.backend, name)
  // what belongs to the source's superuser belongs to the account
  const differing = differencesIn(comparison).filter((one) => !one.includes('owner'))
  expect(differing.filter((one) => !one.startsWith('large object'))).toEqual([])
  const digest = `SELECT count(*)::int AS pages, md5(string_agg(loid || ' ' || pageno || ' ' || md5(data), ',' ORDER BY loid, pageno)) AS digest FROM pg_largeobject`
  const [here, there] = await Promise.all([
    source.sql(digest, 'shop'),
    target.backend.sql(digest, name),
  ])
  expect(there.rows).toEqual(here.rows)
  await target.backend.sql(`DROP DATABASE "${name}"`)
}

test('giving rights back ends in seconds when the job is cancelled and the target does not answer, and what is left is said', async () => {
  const cancel = new AbortController()
  const warnings: string[] = []
  const context = {
    ...harness.context,
    signal: cancel.signal,
    warn: (message: string) => void warnings.push(message),
  }
  const met = proxy.when(lowrite, 'slow')
  const restoring = harness
    .restore(dump, far, { targetName: 'held' }, context)
    .catch((error: unknown) => error)
  await met
  const holder = await target.backend.connect('postgres')
  try {
    await holder.query('BEGIN; LOCK TABLE pg_catalog.pg_auth_members IN ACCESS EXCLUSIVE MODE')
    cancel.abort()
    expect(await restoring).toBeInstanceOf(Cancelled)
  } finally {
    await holder.query('ROLLBACK')
    await holder.end()
  }
  expect(warnings.join('\n')).toMatch(
    /The account may still be a member of the temporary role migrate-to-polardb loader \w+ on the target/,
  )
  // the next run does it
  proxy.calm()
  await harness.restore(dump, target, { targetName: 'held', ifNotEmpty: 'resume' })
  await expectWhole('held')
  const { rows } = await target.backend.sql(
    `SELECT rolname FROM pg_roles WHERE rolname LIKE 'migrate-to-polardb%'`,
  )
  expect(rows).toEqual([])
})

describe('a connection that is lost', () => {
  test.each(['cut', 'reset'] as const)(
    'while large objects load (%s) costs no page and doubles none',
    async (disturbance) => {
      const name = `blobs_${disturbance}`
      const met = proxy.when(lowrite, disturbance)
      const { result } = await harness.restore(dump, far, { targetName: name })
      await met
      expect(result.attempts).toBeGreaterThan(1)
      await expectWhole(name)
    },
  )

  test('while its session is ended by an administrator in the middle of large objects', async () => {
    const name = 'blobs_ended'
    const met = proxy.when(lowrite, 'slow')
    const restoring = harness.restore(dump, far, { targetName: name })
    await met
    const { rowCount } = await target.backend.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = '${name}' AND application_name LIKE 'migrate-to-polardb restore%'`,
    )
    expect(rowCount).toBeGreaterThan(0)
    const { result } = await restoring
    expect(result.attempts).toBeGreaterThan(1)
    await expectWhole(name)
  })

  test.each([
    ['the target is asked for its extensions', /pg_available_extension/, 'cut'],
    ['the database is created', /CREATE DATABASE/, 'cut'],
    ['the answer to CREATE DATABASE is on its way', /CREATE DATABASE/, 'swallow'],
    ['its content is looked at', /pg_depend/, 'reset'],
  ] as const)('while %s is nothing that anybody notices', async (_, pattern, disturbance) => {
    const met = proxy.when(pattern, disturbance)
    await harness.restore(dump, far, { targetName: 'planned' })
    await met
    await expectWhole('planned')
  })

  test('while a database is replaced lets it be replaced all the same', async () => {
    await harness.restore(dump, target, { targetName: 'replaced' })
    const met = proxy.when(/DROP DATABASE/, 'swallow')
    await harness.restore(dump, far, { targetName: 'replaced', ifNotEmpty: 'replace' })
    await met
    await expectWhole('replaced')
  })

  test('while statistics are collected has them collected all the same', async () => {
    await harness.restore(dump, target, { targetName: 'analyzed' })
    const met = [proxy.when(/ANALYZE/, 'cut'), proxy.when(/relhassubclass/, 'reset')]
    const { tables, refused } = await analyzeDatabase(
      { target: parseConnectionString(far.uri('postgres')), targetName: 'analyzed', jobs: 2 },
      harness.context,
    )
    await Promise.all(met)
    expect([tables, refused]).toEqual([22, []])
    const { rows } = await target.backend.sql(
      `SELECT count(*)::int AS n FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples > 0`,
      'analyzed',
    )
    expect(rows).toEqual([{ n: 22 }])
    await target.backend.sql('DROP DATABASE analyzed')
  })
})

test('a connection that is lost while both sides are looked at is nothing that anybody notices', async () => {
  const near = await TcpProxy.start(source.port)
  try {
    const context = testContext()
    const [from, to] = [
      parseConnectionString(through(near, source.uri('shop'))),
      parseConnectionString(far.uri('postgres')),
    ]
    const met = [
      near.when(/pg_database_size/, 'cut'),
      near.when(/superuser_reserved_connections/, 'reset'),
      near.when(/extconfig/, 'cut'),
      near.when(/pg_advisory_xact_lock/, 'cut'),
      proxy.when(/pg_is_in_recovery/, 'cut'),
    ]
    const databases = [{ source: 'shop', target: 'shop' }]
    await inspectSource(from, databases, context)
    await inspectTarget(to, { superuserOption: 'auto', roles: 'migrate' }, context)
    await decideSameServer(
      {
        source: from,
        target: to,
        databases,
        writes: true,
        ifTargetNotEmpty: 'fail',
        sameServer: 'auto',
      },
      context,
    )
    await Promise.all(met)
    expect(context.report.checks.map(({ id, status }) => [id, status])).toEqual([
      ['source-databases', 'passed'],
      ['target-writable', 'passed'],
    ])
  } finally {
    await near.stop()
  }
})

describe('a verification', () => {
  const context = () => ({ ...testContext(), pauses: [0.1, 0.2, 0.5, 1, 2, 4, 8, 16] })
  const placeOf = () => ({ connection: parseConnectionString(far.uri('postgres')) })

  beforeAll(async () => {
    await harness.restore(dump, target, { targetName: 'verified' })
  })

  test.each([
    ['a worker', /SELECT 0 AS i/, 'cut'],
    ['a worker at its commit', /COMMIT/, 'cut'],
    ['the answer to a commit', /COMMIT/, 'swallow'],
    ['the session that holds the moment', /pg_proc/, 'reset'],
    ['large objects', /lo_open/, 'cut'],
  ] as const)('that loses %s reads the same', async (_, pattern, disturbance) => {
    const recipe = await fingerprintOf(source, 'shop')
    const met = proxy.when(pattern, disturbance)
    const found = await fingerprintOf(
      target.backend,
      'verified',
      { ...placeOf(), recipe, jobs: 3 },
      context(),
    )
    await met
    expect(found.tables).toEqual(recipe.tables)
    expect(found.moments).toBeNull()
    expect(found.largeObjects?.ranges).toEqual(recipe.largeObjects?.ranges)
  })

  test('during which the server crashes begins again of a new moment', async () => {
    const recipe = await fingerprintOf(source, 'shop')
    const seen = proxy.when(/SELECT 0 AS i/, 'stall')
    const reading = fingerprintOf(
      target.backend,
      'verified',
      { ...placeOf(), recipe, jobs: 2 },
      context(),
    )
    await seen
    await target.backend.down('immediate')
    await target.backend.up()
    // what was stalled does not tell its client by itself that the server has gone
    proxy.closeStalled()
    const found = await reading
    expect(found.tables).toEqual(recipe.tables)
    expect(found.largeObjects?.ranges).toEqual(recipe.largeObjects?.ranges)
  })

  test('of a moment that others have seen, too, does not go on with another', async () => {
    const connection = parseConnectionString(source.uri())
    const snapshot = await exportSnapshot(connection, 'shop')
    await snapshot.close()
    const failing = fingerprintOf(source, 'shop', { snapshot }, context())
    await expect(failing).rejects.toBeInstanceOf(MomentGone)
  })

  test('of a server that stays away fails in the end, once, and says so', async () => {
    const met = proxy.when(/SELECT 0 AS i/, 'stall')
    const began = { ...context(), pauses: [0.1, 0.2] }
    const failing = fingerprintOf(target.backend, 'verified', { ...placeOf(), jobs: 1 }, began)
    failing.catch(() => {})
    await met
    await target.backend.down('immediate')
    proxy.closeStalled()
    await expect(failing).rejects.toBeInstanceOf(Failure)
    await target.backend.up()
  })
})

test('a role statement is sent again only when the session that it was lost with has ended', async () => {
  const context = testContext()
  const session = new RoleSession(parseConnectionString(far.uri('postgres')), context)
  const holder = await target.backend.connect('postgres')
  const sent = `SELECT pid FROM pg_stat_activity WHERE query = 'CREATE ROLE app_lost' AND state = 'active'`
  const pids = async () => (await target.backend.sql(sent)).rows.map(({ pid }) => pid as number)
  try {
    // whoever makes the same role waits for what becomes of this one
    await holder.query('BEGIN; CREATE ROLE app_lost')
    // its session is known before it is lost
    let first: number[] = []
    const isKnown = async () => {
      while (first.length === 0) first = await pids()
    }
    const met = proxy.when(/CREATE ROLE app_lost/, 'swallow', { until: isKnown })
    const outcomes: Outcome[] = []
    const create = step('create', 'CREATE ROLE app_lost', [])
    const done = applySteps([session], [create], outcomes, context)
    done.catch(() => {})
    await met
    let now = first
    while (now.every((pid) => first.includes(pid))) now = await pids()
    expect(now).not.toContain(first[0])
    await holder.query('ROLLBACK')
    await done
    expect(outcomes[0]?.refusal).toBeUndefined()
  } finally {
    await holder.end()
    await session.drop()
    await target.backend.sql('DROP ROLE IF EXISTS app_lost')
  }
})
