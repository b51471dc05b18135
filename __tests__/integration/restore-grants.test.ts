import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import type { Restored } from '../../src/migration/restore/restore-database.ts'
import { compareFingerprints } from '../../src/migration/verify/compare/fingerprints.ts'
import type { RoleSubstitute } from '../../src/migration/verify/compare/sides.ts'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import {
  createRoles,
  Harness,
  membershipsOf,
  type RestoreTarget,
} from '../support/restore-harness.ts'
import { TestServer } from '../support/server.ts'
import { differencesIn, fingerprintOf } from '../support/verify-run.ts'

type Target = RestoreTarget & { stop(): Promise<void> }

const roles = ['keeper', 'maker', 'reader', 'pubown', 'guest', 'chained']

let source: TestServer
let plain: Target
let polar: Target
let harness: Harness

beforeAll(async () => {
  const opened = await Harness.open(15)
  if (!opened) throw new Error('the client programs of 15 are missing')
  harness = opened
  source = await TestServer.start(15)
  plain = await startPlainTarget(15)
  polar = await PolarStandIn.start({ major: 11 })
  for (const role of [...roles, plain.account]) await source.sql(`CREATE ROLE "${role}"`)
  await createRoles(plain, roles)
  await createRoles(polar, roles)
})

afterAll(async () => {
  await harness?.close()
  await source?.stop()
  await plain?.stop()
  await polar?.stop()
})

/** Makes a database of this SQL on the source, restores it, and compares both. */
async function moved(
  name: string,
  sql: string,
  target: Target,
  allowMissing: string[] = [],
  options: string[] = [],
): Promise<Restored & { differences: string[] }> {
  await source.sql(`CREATE DATABASE "${name}" TEMPLATE template0`)
  await source.sql(sql, name)
  const dump = await harness.dump(source, name, options)
  const fingerprint = await fingerprintOf(source, name)
  const restored = await harness.restore(dump, target, { allowMissing })
  const other = await fingerprintOf(target.backend, name, { recipe: fingerprint })
  const substitutes: RoleSubstitute[] = (restored.owners ?? []).map(({ role, owner, reason }) => ({
    role,
    instead: owner,
    reason,
  }))
  const comparison = compareFingerprints(fingerprint, other, restored.result.skipped, substitutes)
  return { ...restored, differences: differencesIn(comparison) }
}

async function may(target: Target, database: string, question: string): Promise<boolean> {
  const { rows } = await target.backend.sql(`SELECT ${question} AS may`, database)
  return rows[0]?.may
}

const ownerWithoutUsage = `
  CREATE SCHEMA store AUTHORIZATION keeper;
  CREATE TABLE store.item (id int PRIMARY KEY);
  INSERT INTO store.item VALUES (1);
  ALTER TABLE store.item OWNER TO maker;
  GRANT USAGE ON SCHEMA store TO reader, chained;
  GRANT SELECT ON store.item TO reader;
  GRANT UPDATE ON store.item TO chained WITH GRANT OPTION;
  SET ROLE chained; GRANT UPDATE ON store.item TO reader; RESET ROLE;`

describe('grants', () => {
  test.each([
    ['a plain 15', () => plain],
    ['a stand-in for PolarDB 11', () => polar],
  ])('of an owner without USAGE on the schema are kept on %s', async (_, target) => {
    const name = `usage${target().backend.major}`
    const { result, failure, differences } = await moved(name, ownerWithoutUsage, target())
    expect(failure).toBeUndefined()
    expect(result.failed).toEqual([])
    expect(differences).toEqual([])
    expect(await may(target(), name, `has_table_privilege('reader', 'store.item', 'SELECT')`)).toBe(
      true,
    )
    expect(await may(target(), name, `has_table_privilege('reader', 'store.item', 'UPDATE')`)).toBe(
      true,
    )
    expect(await may(target(), name, `has_schema_privilege('maker', 'store', 'USAGE')`)).toBe(false)
    expect(await membershipsOf(target())).toEqual([])
  })

  test('to the account itself on what it owns on the target are no difference', async () => {
    const { differences } = await moved(
      'own',
      `CREATE TABLE t (a int, b int); GRANT SELECT, UPDATE (b) ON t TO "${plain.account}";
       GRANT SELECT ON t TO reader`,
      plain,
    )
    expect(differences).toEqual([])
  })

  test('on the member of an extension that is left out go with it', async () => {
    const { result, failure, differences } = await moved(
      'wrapped',
      `CREATE EXTENSION postgres_fdw; GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO reader;
       GRANT EXECUTE ON FUNCTION postgres_fdw_handler() TO reader`,
      plain,
      ['EXTENSION postgres_fdw'],
    )
    expect(failure).toBeUndefined()
    expect(differences).toEqual([])
    const names = result.skipped.filter(({ reason }) => /needs EXTENSION postgres_fdw/.test(reason))
    expect(names.map(({ entry }) => entry)).toEqual(
      expect.arrayContaining(['ACL FOREIGN DATA WRAPPER postgres_fdw']),
    )
  })

  test('on the members of a trusted extension are a loss that the plan names', async () => {
    const sql = `CREATE EXTENSION pgcrypto SCHEMA public;
      REVOKE EXECUTE ON FUNCTION public.pgp_sym_decrypt(bytea, text) FROM PUBLIC;
      GRANT EXECUTE ON FUNCTION public.pgp_sym_decrypt(bytea, text) TO reader`
    const refused = await moved('crypto', sql, plain).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(Failure)
    expect((refused as Failure).why).toContain(
      'ACL FUNCTION public.pgp_sym_decrypt(bytea, text): the objects of the extension pgcrypto belong to a superuser',
    )
    await source.sql('DROP DATABASE crypto')
    const { failure } = await moved('crypto', sql, plain, ['ACL FUNCTION public.pgp_sym_decrypt*'])
    expect(failure).toBeUndefined()
  })

  test('that the target refuses, be it with a warning, fail the run unless they are accepted', async () => {
    // the function is a superuser's on the target, and the server answers GRANT with a warning; nobody foresaw it
    await source.sql('CREATE DATABASE refused TEMPLATE template0')
    await source.sql(
      `CREATE EXTENSION hstore; GRANT EXECUTE ON FUNCTION akeys(hstore) TO reader;
       CREATE TABLE t (i int); GRANT SELECT ON t TO reader`,
      'refused',
    )
    const dump = await harness.dump(source, 'refused')
    const properties = { ...dump.properties, extensionGrants: [] }
    const name = 'ACL FUNCTION public.akeys(public.hstore)'
    const { result, failure } = await harness.restore({ ...dump, properties }, plain)
    expect(result.failed).toEqual([expect.objectContaining({ entry: name, sqlstate: '01007' })])
    expect(result.skipped.map(({ entry }) => entry)).not.toContain(name)
    expect(failure?.message).toContain(`${name} cannot be restored`)
    expect(await may(plain, 'refused', `has_table_privilege('reader', 't', 'SELECT')`)).toBe(true)

    // accepted, another run of the same dump goes on to its end
    const accepted = await harness.restore({ ...dump, properties }, plain, {
      ifNotEmpty: 'resume',
      allowMissing: ['ACL FUNCTION *'],
    })
    expect(accepted.failure).toBeUndefined()
    expect(accepted.result.skipped.map(({ entry }) => entry)).toContain(name)
    const lost = harness.context.report.losses.filter(({ database }) => database === 'refused')
    expect(lost).toEqual([
      expect.objectContaining({ entry: name, reason: expect.stringContaining('no privileges') }),
    ])
    expect(await membershipsOf(plain)).toEqual([])
  })
})

describe('the schema public', () => {
  const sql = `ALTER SCHEMA public OWNER TO pubown; REVOKE ALL ON SCHEMA public FROM PUBLIC;
    GRANT USAGE ON SCHEMA public TO guest; CREATE TABLE t (id int PRIMARY KEY);
    ALTER TABLE t OWNER TO pubown; GRANT SELECT ON t TO guest`

  test('gets its owner and its grants where the account owns the database', async () => {
    const { failure, differences } = await moved('pub', sql, plain)
    expect(failure).toBeUndefined()
    expect(differences).toEqual([])
    const { rows } = await plain.backend.sql(
      `SELECT pg_get_userbyid(nspowner) AS owner FROM pg_namespace WHERE nspname = 'public'`,
      'pub',
    )
    expect(rows).toEqual([{ owner: 'pubown' }])
    expect(await may(plain, 'pub', `has_table_privilege('guest', 't', 'SELECT')`)).toBe(true)
    expect(await membershipsOf(plain)).toEqual([])
  })

  test('keeps the owner of a target whose superuser has it, with a warning', async () => {
    const { failure, differences } = await moved('pub11', sql, polar)
    expect(failure).toBeUndefined()
    expect(differences).toEqual([])
    expect(harness.context.warnings).toContainEqual(
      expect.stringMatching(/stays without its owner pubown, the grants to .*guest/),
    )
  })
})
