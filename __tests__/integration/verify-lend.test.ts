import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { markSchema, noDump } from '../../src/migration/restore/database/mark.ts'
import type { Run } from '../../src/migration/run.ts'
import { withLentRights } from '../../src/migration/verify/lend.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { createRoles, membershipsOf, type RestoreTarget } from '../support/restore-harness.ts'
import { fingerprintOf, testContext } from '../support/verify-run.ts'

type Target = RestoreTarget & { stop(): Promise<void> }

const roles = ['boss', 'keeper', 'maker', 'tenant']
let plain: Target
let plain18: Target
let polar: Target

beforeAll(async () => {
  plain = await startPlainTarget(15)
  plain18 = await startPlainTarget(18)
  polar = await PolarStandIn.start({ major: 11 })
  for (const target of [plain, plain18, polar]) {
    await createRoles(target, roles)
    await target.backend.sql('CREATE DATABASE shop OWNER boss')
    await target.backend.sql(
      `CREATE SCHEMA store AUTHORIZATION keeper; CREATE TABLE store.item (i int); INSERT INTO store.item VALUES (1);
       CREATE SEQUENCE store.counter; ALTER SEQUENCE store.counter OWNER TO maker;
       ALTER TABLE store.item OWNER TO maker; CREATE TABLE public.open (i int); GRANT SELECT ON public.open TO PUBLIC;
       CREATE TABLE public.mine (i int); INSERT INTO public.mine VALUES (1), (2); ALTER TABLE public.mine OWNER TO tenant;
       ALTER TABLE public.mine ENABLE ROW LEVEL SECURITY; ALTER TABLE public.mine FORCE ROW LEVEL SECURITY;
       SELECT lo_create(4711); ALTER LARGE OBJECT 4711 OWNER TO keeper`,
      'shop',
    )
  }
})

afterAll(async () => {
  await plain?.stop()
  await plain18?.stop()
  await polar?.stop()
})

function runOf(lendRights: boolean) {
  const context = testContext()
  const log: string[] = []
  const say = (line: string) => void log.push(line)
  return {
    ...context,
    log: { debug: say, info: say, warning: say },
    said: log,
    inputs: { lendRights },
  } as unknown as Run & { said: string[]; warnings: string[] }
}

/** What the account cannot read, with the rights that it has then. */
async function unreadable(target: Target): Promise<string[]> {
  const recipe = await fingerprintOf(target.backend, 'shop')
  const connection = parseConnectionString(target.uri('shop'))
  const options = { connection, recipe, mayAlter: 'if unused' } as const
  const seen = await fingerprintOf(target.backend, 'shop', options)
  return [...seen.tables, ...seen.sequences, ...(seen.largeObjects?.ranges ?? [])].flatMap((one) =>
    one.unreadable === undefined ? [] : ['name' in one ? one.name : 'large objects'],
  )
}

const markOf = (dump: string, memberships: string[]) =>
  JSON.stringify({
    ...{ dump, memberships, schemaGrants: [], databaseGrants: [], loader: null, owners: false },
  })

async function marks(target: Target): Promise<string[]> {
  const { rows } = await target.backend.sql(
    `SELECT obj_description(oid, 'pg_namespace') AS comment FROM pg_namespace WHERE nspname = '${markSchema}'`,
    'shop',
  )
  return rows.map(({ comment }) => comment)
}

async function readAllData(target: Target): Promise<boolean> {
  const { rows } = await target.backend.sql(
    `SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles a ON a.oid = m.member
      WHERE r.rolname = 'pg_read_all_data' AND a.rolname = '${target.account}'`,
  )
  return rows.length > 0
}

const lent = (target: Target, allowed: boolean, work: () => Promise<unknown>) => {
  const run = runOf(allowed)
  const connection = parseConnectionString(target.uri('postgres'))
  return { run, done: withLentRights(connection, 'shop', run, work) }
}

test.each([
  ['a plain 15', () => plain, true],
  ['a plain 18, whose account may not grant predefined roles', () => plain18, false],
])('everything can be read meanwhile, and nothing is left, on %s', async (_, which, all) => {
  const target = which()
  const before = await membershipsOf(target)
  await lent(target, false, async () => {
    expect(await unreadable(target)).toEqual(['mine', 'item', 'counter', 'large objects'])
  }).done

  let reached = false
  const { run, done } = lent(target, true, async () => {
    expect(await readAllData(target)).toBe(all)
    expect(await unreadable(target)).toEqual([])
    reached = true
    throw new Error('whatever becomes of it')
  })
  await expect(done).rejects.toThrow('whatever becomes of it')
  expect(reached).toBe(true)
  expect(await membershipsOf(target)).toEqual(before)
  expect(await readAllData(target)).toBe(false)
  expect(await marks(target)).toEqual([])
  expect(run.warnings).toEqual([])
  const said = run.said.join('\n')
  expect(said).toContain(`Lent until the verification ends: GRANT "boss" TO "${target.account}"`)
  expect(said).toContain(`Lent until the verification ends: GRANT "tenant" TO "${target.account}"`)
  expect(said).toMatch(/Given back: membership in .*boss/)
  if (all) expect(said).not.toContain('GRANT "maker"')
})

test('a polar_superuser of PolarDB 11 reads everything as it is, and is lent nothing', async () => {
  const { run, done } = lent(polar, true, async () => {
    expect(await unreadable(polar)).toEqual([])
  })
  await done
  expect(run.said).toEqual([])
  expect(await marks(polar)).toEqual([])
})

test('what a killed run has lent is given back by the next, without being asked to lend', async () => {
  await plain.backend.sql(
    `GRANT maker TO "${plain.account}"; CREATE SCHEMA "${markSchema}" AUTHORIZATION "${plain.account}";
     COMMENT ON SCHEMA "${markSchema}" IS '${markOf(noDump, ['maker', 'pg_read_all_data', 'tenant'])}';
     GRANT pg_read_all_data TO "${plain.account}"`,
    'shop',
  )
  await lent(plain, false, async () => {
    expect(await unreadable(plain)).toEqual([])
  }).done
  expect(await membershipsOf(plain)).toEqual([])
  expect(await readAllData(plain)).toBe(false)
  expect(await marks(plain)).toEqual([])
})

test('what a restore has lent stays with the restore, and so does its mark', async () => {
  await plain.backend.sql(
    `GRANT keeper TO "${plain.account}"; CREATE SCHEMA "${markSchema}" AUTHORIZATION "${plain.account}";
     COMMENT ON SCHEMA "${markSchema}" IS '${markOf('a'.repeat(64), ['keeper'])}'`,
    'shop',
  )
  await lent(plain, false, async () => {
    expect(await unreadable(plain)).toEqual([])
  }).done
  expect(await membershipsOf(plain)).toEqual(['keeper'])
  expect(await readAllData(plain)).toBe(false)
  const [mark] = await marks(plain)
  expect(JSON.parse(mark ?? '')).toMatchObject({ memberships: ['keeper'] })
})
