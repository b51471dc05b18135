import { describe, expect, test } from '@jest/globals'
import type { RolePlan } from '../../src/polardb/roles/model.ts'
import { planRoles } from '../../src/polardb/roles/plan.ts'
import { isStep } from '../../src/polardb/roles/steps.ts'
import type { RolePlanOptions, RoleTarget } from '../../src/polardb/roles/target.ts'
import type { CatalogRole, RoleCatalog } from '../../src/postgres/roles/catalog.ts'
import { parseRoleScript } from '../../src/postgres/roles/script.ts'
import { nextToken, type Token } from '../../src/postgres/roles/tokens.ts'
import { generateRoleScript } from '../support/role-scripts.ts'
import { account, catalog, polar11, role, stock, stock16 } from '../support/role-targets.ts'

const defaults: RolePlanOptions = {
  superuserOption: 'auto',
  existingRoles: 'keep',
  rolePasswords: true,
}

function plan(
  script: string,
  target: RoleTarget,
  options: Partial<Parameters<typeof planRoles>[3]> = {},
  source: RoleCatalog = catalog(),
): RolePlan {
  const parsed = parseRoleScript(script)
  expect(parsed.unknown).toEqual([])
  return planRoles(parsed, source, target, { ...defaults, databases: [], ...options })
}

/** What is sent, in order. */
function sent(planned: RolePlan): string[] {
  return planned.batches
    .flat()
    .filter(isStep)
    .map(({ text }) => text)
}

/** What is not sent, and why. */
function leftOut(planned: RolePlan): string[] {
  return planned.batches.flatMap((batch) =>
    batch.flatMap((item) => (isStep(item) ? [] : [`${item.role}: ${item.what}: ${item.reason}`])),
  )
}

const ordinary = 'NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS'

describe('one CREATE ROLE a role', () => {
  test('has no word that only says what is the default', () => {
    const script = `CREATE ROLE a;\nALTER ROLE a WITH ${ordinary} CONNECTION LIMIT 5 PASSWORD 'md5x' VALID UNTIL '2030-01-01 00:00:00+00';`
    for (const target of [stock, stock16, polar11]) {
      expect(sent(plan(script, target))).toEqual([
        `CREATE ROLE "a" WITH LOGIN CONNECTION LIMIT 5 PASSWORD 'md5x' VALID UNTIL '2030-01-01 00:00:00+00';`,
      ])
    }
  })

  test('keeps what is not the default', () => {
    const script =
      'CREATE ROLE a;\nALTER ROLE a WITH NOSUPERUSER NOINHERIT CREATEROLE CREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;\nCREATE ROLE b;\nALTER ROLE b WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;'
    expect(sent(plan(script, stock))).toEqual([
      'CREATE ROLE "a" WITH NOINHERIT CREATEROLE CREATEDB;',
      'CREATE ROLE "b";',
    ])
  })

  test('leaves passwords out where they are not wanted, and says who needs one', () => {
    const script = `CREATE ROLE a;\nALTER ROLE a WITH ${ordinary} PASSWORD 'md5x';\nCREATE ROLE b;\nALTER ROLE b WITH ${ordinary};\nCREATE ROLE c;\nALTER ROLE c WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS PASSWORD 'md5y';`
    const source = catalog({ roles: [role('a'), role('b', { password: 'none' }), role('c')] })
    const planned = plan(script, stock, { rolePasswords: false }, source)
    expect(sent(planned).join('\n')).not.toMatch(/PASSWORD|md5/)
    expect(planned.passwordsToSet).toEqual(['a', 'b'])
    expect(planned.losses.map(({ entry }) => entry)).toEqual(['LOGIN a', 'LOGIN b'])
  })

  test("writes a timestamp of another DateStyle as the source's catalog has it", () => {
    const script = `CREATE ROLE a;\nALTER ROLE a WITH ${ordinary} VALID UNTIL '01/02/2030 00:00:00 CET';`
    const source = catalog({
      roles: [role('a', { validUntil: '2030-02-01 00:00:00.000000+00 AD' })],
    })
    expect(sent(plan(script, stock, {}, source))).toEqual([
      `CREATE ROLE "a" WITH LOGIN VALID UNTIL '2030-02-01 00:00:00.000000+00 AD';`,
    ])
  })

  test('from 16 on gives CREATEDB apart where the account lacks it itself', () => {
    const script =
      'CREATE ROLE a;\nALTER ROLE a WITH NOSUPERUSER INHERIT NOCREATEROLE CREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;'
    const poor = { ...account, createDatabase: false }
    expect(sent(plan(script, { ...stock16, account: poor }))).toEqual([
      'CREATE ROLE "a";',
      'ALTER ROLE "a" WITH CREATEDB;',
    ])
    expect(sent(plan(script, { ...stock, account: poor }))).toEqual([
      'CREATE ROLE "a" WITH CREATEDB;',
    ])
  })
})

describe('SUPERUSER, REPLICATION and BYPASSRLS', () => {
  const script =
    'CREATE ROLE s;\nALTER ROLE s WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;\nCREATE ROLE r;\nALTER ROLE r WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN REPLICATION BYPASSRLS;'

  test('PolarDB 11 takes both beside POLAR_SUPERUSER, and of others beside NOPOLAR_SUPERUSER', () => {
    expect(sent(plan(script, polar11))).toEqual([
      'CREATE ROLE "s" WITH POLAR_SUPERUSER CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;',
      'CREATE ROLE "r" WITH LOGIN;',
      'ALTER ROLE "r" WITH NOPOLAR_SUPERUSER REPLICATION BYPASSRLS;',
    ])
  })

  test('a stock server is asked for each on its own, after the role is there', () => {
    const planned = plan(script, stock)
    expect(sent(planned)).toEqual([
      'CREATE ROLE "s" WITH CREATEROLE CREATEDB LOGIN;',
      'CREATE ROLE "r" WITH LOGIN;',
      'ALTER ROLE "s" WITH REPLICATION;',
      'ALTER ROLE "s" WITH BYPASSRLS;',
      'ALTER ROLE "r" WITH REPLICATION;',
      'ALTER ROLE "r" WITH BYPASSRLS;',
    ])
    expect(planned.explained).toMatchObject([{ role: 's', what: 'SUPERUSER' }])
  })

  test('an account that is no polar_superuser cannot make one', () => {
    const planned = plan(script, { ...polar11, account })
    expect(sent(planned).join()).not.toContain('POLAR_SUPERUSER')
    expect(planned.explained[0]?.reason).toContain('"migrator" is no polar_superuser')
  })

  test('where only the role pg_polar_superuser is there, it is granted', () => {
    const target = { ...polar11, major: 16, knowsPolarSuperuser: false }
    expect(sent(plan(script, target))).toContain('GRANT pg_polar_superuser TO "s";')
    expect(sent(plan(script, target)).join()).not.toMatch(/ (NO)?POLAR_SUPERUSER/)
  })

  test('a real superuser gives SUPERUSER only when it is asked to', () => {
    const target = { ...stock, account: { ...account, superuser: true } }
    expect(sent(plan(script, target))[0]).toBe('CREATE ROLE "s" WITH CREATEROLE CREATEDB LOGIN;')
    expect(sent(plan(script, target, { superuserOption: 'SUPERUSER' }))[0]).toBe(
      'CREATE ROLE "s" WITH SUPERUSER CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;',
    )
  })

  test('superuser-option: NOSUPERUSER gives nothing in its place', () => {
    expect(
      sent(
        plan('CREATE ROLE s;\nALTER ROLE s WITH SUPERUSER;', stock, {
          superuserOption: 'NOSUPERUSER',
        }),
      ),
    ).toEqual(['CREATE ROLE "s";'])
  })

  test('a polar_superuser of a PolarDB source is one on the target', () => {
    const polarSource = `CREATE ROLE p;\nALTER ROLE p WITH ${ordinary};\nGRANT pg_polar_superuser TO p GRANTED BY postgres;`
    expect(sent(plan(polarSource, polar11))[0]).toBe('CREATE ROLE "p" WITH POLAR_SUPERUSER LOGIN;')
    expect(sent(plan(polarSource, stock))).toEqual([
      'CREATE ROLE "p" WITH CREATEROLE CREATEDB LOGIN;',
    ])
    expect(leftOut(plan(polarSource, stock))[0]).toContain('no predefined role pg_polar_superuser')
  })
})

describe('roles that the target has', () => {
  const all = (name: string) =>
    `CREATE ROLE ${name};\nALTER ROLE ${name} WITH ${ordinary} PASSWORD 'md5x';\nCOMMENT ON ROLE ${name} IS 'c';\nALTER ROLE ${name} SET work_mem TO '1MB';`
  const having = (target: RoleTarget, ...roles: CatalogRole[]): RoleTarget => {
    return { ...target, catalog: catalog({ roles }) }
  }

  test.each<[string, RoleTarget]>([
    ['the account that runs the migration', having(stock, role('migrator'))],
    ['a superuser of the target', having(stock, role('migrator', { superuser: true }))],
  ])('never touches %s', (_, target) => {
    const planned = plan(all('migrator'), target, { existingRoles: 'update' })
    expect(sent(planned)).toEqual([])
    expect(leftOut(planned)[0]).toContain('never altered')
  })

  test('never touches a system account of PolarDB; on a stock server the name is nothing special', () => {
    const planned = (target: RoleTarget) =>
      plan(all('replicator'), having(target, role('replicator')), { existingRoles: 'update' })
    expect(sent(planned(polar11))).toEqual([])
    expect(sent(planned(stock))).toHaveLength(3)
  })

  test('a polar_superuser of the target that was none on the source is never touched', () => {
    const target = having(polar11, role('dba', { polarSuperuser: true }))
    expect(sent(plan(all('dba'), target, { existingRoles: 'update' }))).toEqual([])
  })

  test('keeps an ordinary one as it is', () => {
    const planned = plan(all('a'), having(stock, role('a')))
    expect(sent(planned)).toEqual([])
    expect(leftOut(planned)).toEqual([
      'a: the role itself: it exists on the target and is left as it is (existing-roles is keep)',
    ])
  })

  test('updates only what differs, and takes away what the source does not have', () => {
    const target: RoleTarget = {
      ...stock,
      catalog: catalog({
        roles: [role('a', { login: true, createRole: true, connectionLimit: 3, comment: 'old' })],
        settings: [
          { role: 'a', database: null, parameter: 'work_mem', value: '9MB' },
          { role: 'a', database: null, parameter: 'search_path', value: 'x' },
        ],
      }),
    }
    const options = { existingRoles: 'update', samePasswords: new Map([['a', true]]) } as const
    expect(sent(plan(all('a'), target, options))).toEqual([
      'ALTER ROLE "a" WITH NOCREATEROLE CONNECTION LIMIT -1;',
      `ALTER ROLE "a" SET "work_mem" TO '1MB';`,
      'ALTER ROLE "a" RESET "search_path";',
      `COMMENT ON ROLE "a" IS 'c';`,
    ])
  })

  test('PolarDB 11 lets a role with REPLICATION be altered only beside such a word, which costs its comment', () => {
    const target = having(polar11, role('a', { login: true, replication: true, comment: 'c' }))
    expect(sent(plan(all('a'), target, { existingRoles: 'update' }))).toEqual([
      `ALTER ROLE "a" WITH NOPOLAR_SUPERUSER NOREPLICATION PASSWORD 'md5x';`,
      `ALTER ROLE "a" SET "work_mem" TO '1MB';`,
      `COMMENT ON ROLE "a" IS 'c';`,
    ])
  })

  test('completes an interrupted run: adds what is missing, changes nothing that is there', () => {
    const target: RoleTarget = {
      ...stock,
      catalog: catalog({
        roles: [role('a', { login: true }), role('b', { login: false })],
        settings: [{ role: 'a', database: null, parameter: 'search_path', value: 'x' }],
      }),
    }
    const source = catalog({ roles: [role('a', { login: true }), role('b', { login: true })] })
    const script = `${all('a')}\n${all('b')}\nGRANT a TO b;`
    expect(sent(plan(script, target, { completing: true }, source))).toEqual([
      `ALTER ROLE "a" SET "work_mem" TO '1MB';`,
      `COMMENT ON ROLE "a" IS 'c';`,
      'GRANT "a" TO "b";',
    ])
  })

  test('names that nobody can have are left out', () => {
    expect(
      leftOut(plan(`CREATE ROLE pg_old;\nALTER ROLE pg_old WITH ${ordinary};`, stock))[0],
    ).toContain('reserved')
  })
})

describe('memberships', () => {
  const roles = (...names: string[]) =>
    names.map((name) => `CREATE ROLE ${name};\nALTER ROLE ${name} WITH ${ordinary};`).join('\n')
  const grants = (planned: RolePlan) => sent(planned).filter((text) => text.startsWith('GRANT'))

  test('lose GRANTED BY and keep ADMIN OPTION', () => {
    const script = `${roles('a', 'b')}\nGRANT a TO b WITH ADMIN OPTION GRANTED BY postgres;`
    expect(grants(plan(script, stock))).toEqual(['GRANT "a" TO "b" WITH ADMIN OPTION;'])
  })

  test('by several grantors are one, which gives what any of them gives', () => {
    const script = `${roles('a', 'b', 'c')}\nGRANT a TO b WITH INHERIT FALSE, SET FALSE GRANTED BY x;\nGRANT a TO b WITH ADMIN OPTION, INHERIT TRUE GRANTED BY y;`
    const planned = plan(script, stock16)
    expect(grants(planned)).toEqual(['GRANT "a" TO "b" WITH ADMIN OPTION, INHERIT TRUE;'])
    expect(planned.memberships).toBe(1)
  })

  test('of several members are one statement, with the single ones to fall back on', () => {
    const planned = plan(`${roles('g', 'a', 'b')}\nGRANT g TO a;\nGRANT g TO b;`, stock)
    expect(grants(planned)).toEqual(['GRANT "g" TO "a", "b";'])
    const [step] = planned.batches.flat().filter(isStep).slice(-1)
    expect(step?.fallback.map(({ text }) => text)).toEqual([
      'GRANT "g" TO "a";',
      'GRANT "g" TO "b";',
    ])
  })

  test('keep INHERIT and SET where the target knows them', () => {
    const script = `${roles('a', 'b')}\nGRANT a TO b WITH INHERIT FALSE, SET FALSE GRANTED BY x;`
    expect(grants(plan(script, stock16))).toEqual([
      'GRANT "a" TO "b" WITH INHERIT FALSE, SET FALSE;',
    ])
  })

  test('that give nothing on the source are not made where they would give everything', () => {
    const script = `${roles('a', 'b')}\nGRANT a TO b WITH INHERIT FALSE, SET FALSE GRANTED BY x;`
    expect(grants(plan(script, stock))).toEqual([])
    expect(leftOut(plan(script, stock))[0]).toContain('it gives nothing on the source')
  })

  test('that give more where the options are unknown are a warning', () => {
    const script = `${roles('a', 'b', 'c')}\nGRANT a TO b WITH INHERIT FALSE GRANTED BY x;\nGRANT a TO c WITH INHERIT TRUE, SET FALSE GRANTED BY x;`
    expect(plan(script, stock).warnings).toEqual([
      expect.stringContaining('2 memberships give more than on the source: "b" in "a", "c" in "a"'),
    ])
    expect(plan(script, stock16).warnings).toEqual([])
  })

  test('of the account in its own roles go without ADMIN OPTION from 16 on: it has that as their creator', () => {
    const script = `${roles('a')}\nGRANT a TO migrator WITH ADMIN OPTION, INHERIT TRUE GRANTED BY x;`
    const target = { ...stock16, catalog: catalog({ roles: [role('migrator')] }) }
    expect(grants(plan(script, target))).toEqual(['GRANT "a" TO "migrator" WITH INHERIT TRUE;'])
  })

  test('between roles that both exist are left as they are, unless they are to be updated', () => {
    const script = `${roles('a', 'b')}\nGRANT a TO b;`
    const target = {
      ...stock,
      catalog: catalog({ roles: [role('a', { login: true }), role('b', { login: true })] }),
    }
    expect(grants(plan(script, target))).toEqual([])
    expect(grants(plan(script, target, { existingRoles: 'update' }))).toEqual(['GRANT "a" TO "b";'])
  })

  test('that are there already are not made again', () => {
    const script = `${roles('a', 'b')}\nGRANT a TO b;`
    const memberships = [{ role: 'a', member: 'b', admin: false, inherit: true, set: true }]
    const target = { ...stock, catalog: catalog({ roles: [role('a'), role('b')], memberships }) }
    expect(grants(plan(script, target, { existingRoles: 'update' }))).toEqual([])
  })

  test.each<[string, RoleTarget]>([
    [
      'the migrating account',
      {
        ...stock,
        catalog: catalog({ roles: [role('boss')] }),
        account: { ...account, name: 'boss' },
      },
    ],
    [
      'a superuser of the target',
      { ...stock, catalog: catalog({ roles: [role('boss', { superuser: true })] }) },
    ],
    [
      'a polar_superuser of the target',
      { ...polar11, catalog: catalog({ roles: [role('boss', { polarSuperuser: true })] }) },
    ],
  ])(
    'in %s, an ordinary role on the source, are not made: they would give its power',
    (_, target) => {
      const planned = plan(`${roles('boss', 'a')}\nGRANT boss TO a;`, target)
      expect(grants(planned)).toEqual([])
      expect(planned.warnings[0]).toMatch(/"a" is not made a member of "boss"/)
    },
  )

  test('in a superuser are a warning on PolarDB, with all who become superusers by it', () => {
    const script = `CREATE ROLE s;\nALTER ROLE s WITH SUPERUSER;\n${roles('a', 'b')}\nGRANT s TO a;\nGRANT a TO b;`
    expect(plan(script, polar11).warnings).toEqual([
      expect.stringMatching(
        /^"a" becomes a superuser of the target: it is a member of "s".* through it "b"/,
      ),
    ])
    expect(plan(script, stock).warnings).toEqual([
      expect.stringMatching(
        /^1 superuser of the source become.*CREATEROLE CREATEDB.*"s".*row-level security/,
      ),
    ])
  })

  test('in predefined roles: the parts are tried where the whole is refused, what is not there is left out', () => {
    const planned = plan(
      `${roles('a')}\nGRANT pg_monitor TO a;\nGRANT pg_read_all_data TO a;`,
      stock,
    )
    const [step] = planned.batches.flat().filter(isStep).slice(-1)
    expect(step?.text).toBe('GRANT "pg_monitor" TO "a";')
    expect(step?.fallback.map(({ text }) => text)).toEqual([
      'GRANT "pg_read_all_stats" TO "a";',
      'GRANT "pg_stat_scan_tables" TO "a";',
    ])
    expect(leftOut(planned)[0]).toContain('no predefined role pg_read_all_data')
  })

  test('a role is granted before it is itself a member of another', () => {
    const planned = plan(`${roles('a', 'b', 'c')}\nGRANT a TO b;\nGRANT b TO c;`, stock)
    expect(grants(planned)).toEqual(['GRANT "b" TO "c";', 'GRANT "a" TO "b";'])
  })
})

describe('settings', () => {
  const a = `CREATE ROLE a;\nALTER ROLE a WITH ${ordinary};`

  test('that the script lacks come from the catalog, lists as lists', () => {
    const source = catalog({
      settings: [
        { role: null, database: null, parameter: 'work_mem', value: '7MB' },
        {
          role: 'a',
          database: 'shop',
          parameter: 'search_path',
          value: '"$user", "A ""b""", public',
        },
        { role: 'a', database: 'other', parameter: 'work_mem', value: '1MB' },
        { role: 'a', database: null, parameter: 'work_mem', value: '1MB' }, // in the script, were it real
      ],
    })
    const planned = plan(a, stock, { databases: ['shop'] }, source)
    expect(sent(planned).slice(1)).toEqual([`ALTER ROLE ALL SET "work_mem" TO '7MB';`])
    expect(planned.deferred.map(({ text }) => text('new shop'))).toEqual([
      `ALTER ROLE "a" IN DATABASE "new shop" SET "search_path" TO '$user', 'A "b"', 'public';`,
    ])
  })

  test('of libraries that the target cannot load are left out: nobody could log in', () => {
    const script = `${a}\nALTER ROLE a SET local_preload_libraries TO 'good', 'bad';\nALTER ROLE a SET session_preload_libraries TO 'bad';`
    const unloadable = new Map([['local_preload_libraries bad', 'no such file, 58P01']])
    const planned = plan(script, { ...stock, unloadable })
    expect(sent(planned).slice(1)).toEqual([
      `ALTER ROLE "a" SET "session_preload_libraries" TO 'bad';`,
    ])
    expect(leftOut(planned)[0]).toContain('cannot load "bad" (no such file, 58P01)')
  })

  test('of a script with backslash escapes mean the same to a session without', () => {
    const script = `SET standard_conforming_strings = off;\n${a}\nALTER ROLE a SET application_name TO 'x\\\\y';\nCOMMENT ON ROLE a IS 'p\\'q';`
    expect(sent(plan(script, stock)).slice(1)).toEqual([
      `ALTER ROLE "a" SET "application_name" TO E'x\\\\y';`,
      `COMMENT ON ROLE "a" IS 'p''q';`,
    ])
  })
})

test('of generated scripts every name and every string arrives, no byte of them changed (seeds 0 to 99)', () => {
  for (let seed = 0; seed < 100; seed++) {
    const { script, names } = generateRoleScript(seed)
    const planned = plan(script, seed % 2 ? polar11 : stock16)
    const output = sent(planned).join('\n')
    const again = parseRoleScript(output)
    const groups = again.unknown.filter(({ excerpt }) => !/^GRANT .* , /s.test(excerpt))
    expect({ seed, unknown: groups }).toEqual({ seed, unknown: [] })
    // every string of the script, as it is written there, is sent exactly as often
    expect({ seed, strings: written(output, 'string') }).toEqual({
      seed,
      strings: written(script, 'string').filter((text) => text !== "'UTF8'"),
    })
    const created = again.statements.flatMap((one) => (one.kind === 'create' ? [one.role] : []))
    expect(created.sort()).toEqual(
      names.filter((name) => !/^(public|none|pg_.*)$/.test(name)).sort(),
    )
  }
})

function written(text: string, kind: Token['kind']): string[] {
  const found: string[] = []
  const state = { standardStrings: true, brokenNames: [] }
  for (let token = nextToken(text, 0, state); token; token = nextToken(text, token.end, state)) {
    if (token.kind === kind) found.push(text.slice(token.start, token.end))
  }
  return found.sort()
}
