import { describe, expect, test } from '@jest/globals'
import { changedMeanwhile } from '../../src/migration/roles/meanwhile.ts'
import type { RolePlan } from '../../src/polardb/roles/model.ts'
import { planRoles } from '../../src/polardb/roles/plan.ts'
import { catalogOnSource, isStandIn, standInMark } from '../../src/polardb/roles/stand-ins.ts'
import { isStep } from '../../src/polardb/roles/steps.ts'
import type { RoleTarget } from '../../src/polardb/roles/target.ts'
import type { RoleCatalog } from '../../src/postgres/roles/catalog.ts'
import { renamedRoles } from '../../src/postgres/roles/role-names.ts'
import { parseRoleScript } from '../../src/postgres/roles/script.ts'
import { account, catalog, polar11, role, stock, stock16 } from '../support/role-targets.ts'

const own = 'NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS'

/** A target that calls the source's roles otherwise, as it is read: its own of those names are marked. */
function renaming(target: RoleTarget, ...names: string[]): RoleTarget {
  const roleNames = renamedRoles('run', names)
  return {
    ...target,
    account: { ...target.account, name: roleNames.onSource(target.account.name) },
    catalog: catalogOnSource(target.catalog, roleNames),
    names: roleNames,
  }
}

function plan(script: string, target: RoleTarget, source: RoleCatalog = catalog()): RolePlan {
  const parsed = parseRoleScript(script)
  expect(parsed.unknown).toEqual([])
  return planRoles(parsed, source, target, {
    ...{
      superuserOption: 'auto',
      existingRoles: 'update',
      rolePasswords: true,
      databases: ['shop'],
    },
  })
}

function sent({ batches }: RolePlan): string[] {
  return batches.flat().flatMap((item) => (isStep(item) ? [item.text] : []))
}

const made = (name: string, words = '') =>
  `CREATE ROLE "${name}"${words}; COMMENT ON ROLE "${name}" IS '${standInMark}';`

test('what another run makes for itself meanwhile is no change that anybody is to look into', () => {
  const standIn = 'rehearsal_202611290230_1f2e3d4c_r'
  const setting = { database: null, parameter: 'work_mem', value: '3MB' }
  const membership = { grantor: 'x', admin: false, inherit: true, set: true }
  const own = role('app')
  const other = catalog({
    roles: [
      own,
      role(`${standIn}1`, { comment: `${standInMark}\nits own` }),
      role(`${standIn}2`, { comment: standInMark }),
      role('migration_login_test_0123456789ab'),
    ],
    memberships: [
      { ...membership, role: `${standIn}1`, member: `${standIn}2` },
      { ...membership, role: 'pg_monitor', member: `${standIn}2` },
    ],
    settings: [{ ...setting, role: `${standIn}1` }],
  })
  const ours = new Set(['app'])
  const alone = catalog({ roles: [own] })
  const nothing = { differences: [], others: [] }
  expect(changedMeanwhile(alone, other, 'x', ours)).toEqual(nothing)
  expect(changedMeanwhile(other, alone, 'x', ours)).toEqual(nothing)

  // the mark is missing, or a role of the dump has to do with it
  const strange = catalog({
    roles: [own, role(`${standIn}1`), role(`${standIn}2`, { comment: standInMark })],
    memberships: [{ ...membership, role: 'app', member: `${standIn}2` }],
  })
  expect(changedMeanwhile(alone, strange, 'x', ours)).toMatchObject({
    differences: [{ role: `${standIn}2`, what: 'membership in app' }],
    others: [`${standIn}1`],
  })
})

describe('stand-ins for roles', () => {
  test('are made without login, password, limit and expiry, which are tried under the same name', () => {
    const planned = plan(
      `CREATE ROLE "a""b";\nALTER ROLE "a""b" WITH ${own} CONNECTION LIMIT 5 PASSWORD 'md5x' VALID UNTIL '2030-01-01 00:00:00+00';`,
      renaming(stock, 'a"b'),
    )
    expect(sent(planned)).toEqual([made('run_r1')])
    const [step] = planned.batches.flat().filter(isStep)
    expect(step?.trial).toEqual({
      instead: `CREATE ROLE "run_r1" WITH LOGIN CONNECTION LIMIT 5 PASSWORD 'md5x' VALID UNTIL '2030-01-01 00:00:00+00';`,
    })
    // whether a login with an md5 verifier works is still asked
    expect([...planned.loginsSent]).toEqual(['a"b'])
  })

  test('keep their comment behind the mark, which is not taken for a part of it', () => {
    const [text] = sent(
      plan(
        `CREATE ROLE a;\nALTER ROLE a WITH ${own};\nCOMMENT ON ROLE a IS 'it''s \\ a';`,
        renaming(stock, 'a'),
      ),
    )
    expect(text).toBe(
      `CREATE ROLE "run_r1"; COMMENT ON ROLE "run_r1" IS E'${standInMark}\nit''s \\\\ a';`,
    )
    const names = renamedRoles('run', ['a', 'b'])
    const found = catalogOnSource(
      catalog({
        roles: [
          role('run_r1', { comment: `${standInMark}\nit's` }),
          role('run_r2', { comment: standInMark }),
          role('a', { comment: standInMark }),
        ],
      }),
      names,
    )
    expect(found.roles.map(({ name, comment }) => [name, comment])).toEqual([
      ['a', "it's"],
      ['b', null],
      ['a (of the target)', standInMark],
    ])
    expect(isStandIn(role('run_r1', { comment: `${standInMark} no` }))).toBe(false)
  })

  test("have the source's memberships and settings under their names, those that name a role as well", () => {
    const script = `CREATE ROLE a;\nALTER ROLE a WITH ${own};\nCREATE ROLE b;\nALTER ROLE b WITH ${own};
ALTER ROLE a SET role TO 'b';\nALTER ROLE a SET search_path TO 'a', 'b';\nALTER ROLE b SET role TO 'none';
GRANT a TO b WITH ADMIN OPTION GRANTED BY a;\nGRANT pg_monitor TO b GRANTED BY a;`
    const source = catalog({
      settings: [{ role: 'b', database: 'shop', parameter: 'role', value: 'a' }],
    })
    const planned = plan(script, renaming(stock, 'a', 'b'), source)
    expect(sent(planned).slice(2)).toEqual([
      `ALTER ROLE "run_r1" SET "role" TO 'run_r2';`,
      `ALTER ROLE "run_r1" SET "search_path" TO 'a', 'b';`,
      `ALTER ROLE "run_r2" SET "role" TO 'none';`,
      'GRANT "run_r1" TO "run_r2" WITH ADMIN OPTION;',
      'GRANT "pg_monitor" TO "run_r2";',
    ])
    expect(planned.deferred.map(({ text }) => text('copy'))).toEqual([
      `ALTER ROLE "run_r2" IN DATABASE "copy" SET "role" TO 'run_r1';`,
    ])
    const back = catalogOnSource(
      catalog({
        settings: [
          { role: 'run_r1', database: null, parameter: 'role', value: 'run_r2' },
          { role: 'run_r2', database: null, parameter: 'role', value: 'a' },
        ],
      }),
      renamedRoles('run', ['a', 'b']),
    )
    expect(back.settings.map(({ role: of, value }) => [of, value])).toEqual([
      ['a', 'b'],
      ['b', 'a (of the target)'],
    ])
  })

  test('change nothing that is of the whole cluster: it is tried', () => {
    const script = `CREATE ROLE a;\nALTER ROLE a WITH ${own};
GRANT SET ON PARAMETER work_mem TO PUBLIC;\nGRANT SET ON PARAMETER work_mem TO a;`
    const source = catalog({
      settings: [{ role: null, database: null, parameter: 'work_mem', value: '3MB' }],
    })
    const planned = plan(script, renaming(stock16, 'a'), source)
    expect(sent(planned)).toEqual([
      made('run_r1'),
      'GRANT SET ON PARAMETER "work_mem" TO "run_r1";',
    ])
    expect(planned.triedOnly.map(({ text, trial }) => [text, trial])).toEqual([
      [`ALTER ROLE ALL SET "work_mem" TO '3MB';`, 'itself'],
      ['GRANT SET ON PARAMETER "work_mem" TO PUBLIC;', 'itself'],
    ])
    expect(planned.explained.map(({ role: of, what }) => `${of}: ${what}`)).toEqual([
      'ALL: setting work_mem',
      'PUBLIC: SET on parameter work_mem',
    ])
    expect(plan(script, stock16, source).triedOnly).toEqual([])
  })

  test("are made although the target has a role of the source's name, which is not touched", () => {
    const target = { ...stock, catalog: catalog({ roles: [role('a', { createRole: true })] }) }
    const planned = plan(`CREATE ROLE a;\nALTER ROLE a WITH ${own};`, renaming(target, 'a'))
    expect(planned).toMatchObject({ created: ['a'], existing: [] })
    expect(sent(planned)).toEqual([made('run_r1')])
  })

  test('reckon with what a migration would never alter: the account and superusers', () => {
    const roles = [role('migrator', { createRole: true }), role('dba', { superuser: true })]
    const script = `CREATE ROLE dba;\nALTER ROLE dba WITH ${own} PASSWORD 'md5x';\nCREATE ROLE migrator;\nALTER ROLE migrator WITH ${own};
CREATE ROLE x;\nALTER ROLE x WITH ${own} PASSWORD 'md5x';\nGRANT dba TO x;\nGRANT migrator TO x;`
    const names = ['dba', 'migrator', 'x']
    const planned = plan(script, renaming({ ...stock, catalog: catalog({ roles }) }, ...names))
    expect(sent(planned)).toEqual([
      made('run_r1'),
      made('run_r2', ' WITH CREATEROLE CREATEDB'),
      made('run_r3'),
    ])
    // as on the target itself, nobody comes to power by an old grant, and no password of theirs is missing
    expect(planned.warnings.join()).toMatch(
      /"x" is not made a member of "dba": "dba" is a superuser of the target/,
    )
    expect(planned.warnings.join()).toMatch(
      /"x" is not made a member of "migrator": .* is the account/,
    )
    expect(planned.passwordsToSet).toEqual([])
    expect(planned.explained.filter(({ what }) => what === 'the role itself')).toEqual([
      {
        role: 'dba',
        what: 'the role itself',
        reason: expect.stringMatching(/a superuser of the target/),
      },
      {
        role: 'migrator',
        what: 'the role itself',
        reason: expect.stringMatching(/the account that runs/),
      },
    ])
    const bySuperuser = {
      ...stock,
      account: { ...account, superuser: true },
      catalog: catalog({ roles: roles.map((one) => ({ ...one, superuser: true })) }),
    }
    expect(sent(plan(script, renaming(bySuperuser, ...names))).slice(0, 2)).toEqual([
      made('run_r1', ' WITH SUPERUSER'),
      made('run_r2', ' WITH SUPERUSER CREATEROLE CREATEDB'),
    ])
  })

  test('that are there already stay without login, and marked', () => {
    const target = {
      ...stock,
      catalog: catalog({
        roles: [
          role('run_r1', { comment: `${standInMark}\nold`, createRole: true }),
          role('run_r2', { comment: `${standInMark}\ngone` }),
        ],
      }),
    }
    const script = `CREATE ROLE a;\nALTER ROLE a WITH ${own} CONNECTION LIMIT 5 PASSWORD 'md5x' VALID UNTIL '2030-01-01 00:00:00+00';
CREATE ROLE b;\nALTER ROLE b WITH ${own};\nCOMMENT ON ROLE a IS 'new';`
    const source = catalog({ roles: [role('a', { validUntil: '2030-01-01 00:00:00.000000+00' })] })
    expect(sent(plan(script, renaming(target, 'a', 'b'), source))).toEqual([
      `ALTER ROLE "run_r1" WITH NOCREATEROLE; COMMENT ON ROLE "run_r1" IS '${standInMark}\nnew';`,
      `COMMENT ON ROLE "run_r1" IS '${standInMark}\nnew';`,
      `COMMENT ON ROLE "run_r2" IS '${standInMark}';`,
    ])
  })

  test('are marked again by the very message in which PolarDB writes over their comment', () => {
    const script = `CREATE ROLE a;\nALTER ROLE a WITH SUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;\nCREATE ROLE b;\nALTER ROLE b WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN REPLICATION NOBYPASSRLS;\nCOMMENT ON ROLE b IS 'b';`
    const planned = plan(script, renaming(polar11, 'a', 'b'))
    expect(sent(planned)).toEqual([
      made('run_r1', ' WITH POLAR_SUPERUSER'),
      `CREATE ROLE "run_r2"; COMMENT ON ROLE "run_r2" IS '${standInMark}\nb';`,
      `ALTER ROLE "run_r2" WITH NOPOLAR_SUPERUSER REPLICATION; COMMENT ON ROLE "run_r2" IS '${standInMark}\nb';`,
    ])
    const [, , altered] = planned.batches.flat().filter(isStep)
    expect(altered?.fallback.map(({ text }) => text)).toEqual([
      `ALTER ROLE "run_r2" WITH REPLICATION; COMMENT ON ROLE "run_r2" IS '${standInMark}\nb';`,
    ])
  })

  test('are not made for names that no role of the target can have', () => {
    const planned = plan(
      `CREATE ROLE "none";\nALTER ROLE "none" WITH ${own};`,
      renaming(stock, 'none'),
    )
    expect(sent(planned)).toEqual([])
    expect(planned.losses.length + planned.explained.length).toBeGreaterThan(0)
  })
})
