import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { analyzeDatabase } from '../../src/migration/analyze.ts'
import type { RestoreOptions } from '../../src/migration/restore/options.ts'
import { temporaryRole } from '../../src/migration/restore/owners/login-role.ts'
import { planRestore } from '../../src/migration/restore/plan-restore.ts'
import { makeHostileDatabase, oldPlaces, type Place } from '../support/hostile-code.ts'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import {
  createRoles,
  type Dump,
  Harness,
  membershipsOf,
  type RestoreTarget,
  restoreDatabase,
} from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'

type Target = RestoreTarget & { stop(): Promise<void> }

let source: TestServer
let plain: Target
let polar: Target
let harness: Harness
let modern: Dump
let old: Dump
/** `modern` with rows as statements, which compute what a COPY does not: `DEFAULT` for a generated column. */
let inserted: Dump
let broken: Dump

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  source = await TestServer.start(15)
  plain = await startPlainTarget(15)
  polar = await PolarStandIn.start({ major: 11 })
  await source.sql('CREATE ROLE mallory; CREATE ROLE chief CREATEROLE')
  for (const target of [plain, polar]) {
    await createRoles(target, ['mallory'])
    await target.backend.sql('CREATE ROLE chief CREATEROLE')
  }
  await makeHostileDatabase(source, 'modern', true)
  await makeHostileDatabase(source, 'old', false)
  await source.sql(`CREATE DATABASE broken`)
  await source.sql(
    `CREATE SCHEMA app; CREATE TABLE app.one (i int PRIMARY KEY); INSERT INTO app.one VALUES (1), (2);
     CREATE TABLE app.two (i int); INSERT INTO app.two SELECT 3;
     ALTER TABLE app.two ADD FOREIGN KEY (i) REFERENCES app.one (i) NOT VALID;
     UPDATE pg_constraint SET convalidated = true WHERE conname = 'two_i_fkey';
     CREATE TABLE app.mine (i int); ALTER TABLE app.mine OWNER TO mallory; GRANT SELECT ON app.one TO mallory;
     CREATE MATERIALIZED VIEW app.sum AS SELECT sum(i) AS i FROM app.one;`,
    'broken',
  )
  modern = await harness.dump(source, 'modern')
  old = await harness.dump(source, 'old')
  inserted = await harness.dump(source, 'modern', ['--inserts'])
  broken = await harness.dump(source, 'broken')
})

afterAll(async () => {
  await harness?.close()
  await source?.stop()
  for (const target of [plain, polar]) await target?.stop()
})

/** A target whose account is the server's superuser. */
const asSuperuser = (target: Target): RestoreTarget => ({
  account: target.backend.superuser,
  backend: target.backend,
  uri: (database) => target.backend.uri(database),
  connect: (database) => target.backend.connect(database),
})

const rolesOf = `
  SELECT r.rolname AS name, r.rolsuper AS super, r.rolcreaterole AS create_role, r.rolcreatedb AS create_db, r.rolbypassrls AS bypass,
         (SELECT array_agg(g.rolname ORDER BY 1) FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid) AS groups
    FROM pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1`

async function rows(target: RestoreTarget, sql: string, database = 'postgres') {
  return (await target.backend.sql(sql, database)).rows
}

const leftRoles = (target: RestoreTarget) =>
  rows(
    target,
    `SELECT rolname, rolcanlogin FROM pg_roles WHERE left(rolname, ${temporaryRole.length}) = '${temporaryRole}'`,
  )

const tomorrow = () => new Date(Date.now() + 86_400_000).toISOString()

/** Restores a database up to its statistics. @returns as whom these are to be collected, too */
async function restoreAsLoader(options: RestoreOptions) {
  const plan = await planRestore(options, harness.context)
  const restored = await restoreDatabase(options, plan, harness.context)
  const as = restored.analyzeAs
  if (!as) throw new Error('there was no loader')
  return { restored, as }
}

describe('code of the database that runs during a restore', () => {
  const cases: [string, () => RestoreTarget, () => Dump, readonly Place[]][] = [
    [
      'an account with CREATEROLE on 15',
      () => plain,
      () => modern,
      [...oldPlaces, 'generated', 'statistics'],
    ],
    [
      'a superuser on 15',
      () => asSuperuser(plain),
      () => modern,
      [...oldPlaces, 'generated', 'statistics'],
    ],
    [
      'an account that loads INSERT statements on 15',
      () => plain,
      () => inserted,
      [...oldPlaces, 'generated', 'statistics'],
    ],
    ['a polar_superuser on a stand-in for PolarDB 11', () => polar, () => old, oldPlaces],
  ]
  test.each(cases)('never has the rights of %s', async (what, targetOf, dumpOf, places) => {
    const target = targetOf()
    const dump = dumpOf()
    const targetName = `hostile_${what.length}`
    const before = await rows(target, rolesOf)
    const warned = harness.context.warnings.length
    // whoever made it, its statements are to have no more rights
    const options = await harness.options(dump, target, { targetName, proven: true })
    const { restored, as } = await restoreAsLoader(options)
    await analyzeDatabase({ target: as, targetName, jobs: 2 }, harness.context)
    await restored.settle()
    await restored.release()

    expect(await rows(target, rolesOf)).toEqual(before)
    expect(await rows(target, `SELECT 1 FROM pg_database WHERE datname = 'loot'`)).toEqual([])
    const witnesses = await rows(
      target,
      'SELECT DISTINCT place, session, who FROM public.a_witness ORDER BY 1',
      targetName,
    )
    expect([...new Set(witnesses.map(({ place }) => place))].sort()).toEqual([...places].sort())
    for (const { session, who } of witnesses) {
      expect(session).toContain(temporaryRole)
      expect(who).not.toBe(target.account)
    }
    expect(await membershipsOf(target)).toEqual([])
    expect(harness.context.warnings.slice(warned).join()).not.toMatch(/rights of the account/)
    // what the source's superuser owned belongs to the account, everything else to its author
    const owners = await rows(
      target,
      `SELECT relname, pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relname IN ('checked', 'trusted') ORDER BY 1`,
      targetName,
    )
    expect(owners).toEqual([
      { relname: 'checked', owner: 'mallory' },
      { relname: 'trusted', owner: target.account },
    ])
  })
})

describe('the role that loads', () => {
  test('is gone when something was refused, and a resume goes on with another', async () => {
    const changes = { targetName: 'broken' }
    const { failure } = await harness.restore(broken, plain, changes)
    expect(failure?.message).toContain('two_i_fkey')
    expect(await leftRoles(plain)).toEqual([])
    expect(await membershipsOf(plain)).toEqual([])
    // rows that break a key: corrected on the target, as the remedy says
    await plain.backend.sql('INSERT INTO app.one VALUES (3)', 'broken')
    const expectedRows = new Map([...broken.expectedRows, ['"app"."one"', 3]])
    await harness.restore(broken, plain, { ...changes, ifNotEmpty: 'resume', expectedRows })
    expect(await leftRoles(plain)).toEqual([])
    expect(await membershipsOf(plain)).toEqual([])
    const owners = await rows(
      plain,
      `SELECT relname, pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'm') ORDER BY 1`,
      'broken',
    )
    expect(owners).toEqual([
      { relname: 'mine', owner: 'mallory' },
      { relname: 'one', owner: 'gctest' },
      { relname: 'sum', owner: 'gctest' },
      { relname: 'two', owner: 'gctest' },
    ])
    expect(await rows(plain, 'SELECT i::int FROM app.sum', 'broken')).toEqual([{ i: 6 }])
  })

  test('works in a database that was there before, on PolarDB 11, too', async () => {
    const client = await polar.connect()
    await client.query('CREATE DATABASE there_before')
    await client.end()
    await harness.restore(old, polar, { targetName: 'there_before' })
    expect(await leftRoles(polar)).toEqual([])
    expect(await rows(polar, 'SELECT i FROM public.checked ORDER BY 1', 'there_before')).toEqual([
      { i: 1 },
      { i: 2 },
    ])
  })

  test('of a run that has died is dropped by the next', async () => {
    const dead = `${temporaryRole}00112233445566ff`
    const client = await plain.connect()
    await client.query(`CREATE ROLE "${dead}" LOGIN PASSWORD 'x' VALID UNTIL '2001-01-01'`)
    await client.end()
    await harness.restore(old, plain, { targetName: 'swept' })
    expect(await leftRoles(plain)).toEqual([])
  })

  test('of a run at work is left alone by others, however old it is and though it owns nothing', async () => {
    await source.sql('CREATE DATABASE given')
    await source.sql(
      `CREATE SCHEMA app AUTHORIZATION mallory; SET ROLE mallory; CREATE TABLE app.one (i int PRIMARY KEY);
       INSERT INTO app.one VALUES (1), (2)`,
      'given',
    )
    const given = await harness.dump(source, 'given')
    const options = await harness.options(given, plain, { targetName: 'given' })
    const { restored, as } = await restoreAsLoader(options)
    // it is days old, and everything is with its owner by now
    await plain.backend.sql(`ALTER ROLE "${as.user}" VALID UNTIL '${tomorrow()}'`)
    await harness.restore(old, plain, { targetName: 'beside' })
    expect(await leftRoles(plain)).toEqual([{ rolname: as.user, rolcanlogin: true }])
    await analyzeDatabase({ target: as, targetName: 'given', jobs: 1 }, harness.context)
    await restored.settle()
    await restored.release()
    expect(await leftRoles(plain)).toEqual([])
  })

  test('is done without, and the account told, where the server does not let it in', async () => {
    await plain.backend.write(
      'pg_hba.conf',
      `local all all trust\nhost all ${plain.account},postgres,mallory all md5\n`,
    )
    await plain.backend.down()
    await plain.backend.up()
    const warned = harness.context.warnings.length
    await harness.restore(broken, plain, {
      targetName: 'closed',
      allowMissing: ['FK CONSTRAINT app.two *'],
    })
    expect(harness.context.warnings.slice(warned)).toEqual([
      expect.stringMatching(/with the rights of the account.* the server does not let it in/),
    ])
    expect(await leftRoles(plain)).toEqual([])
  })
})
