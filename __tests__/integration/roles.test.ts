import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { Cancelled, Failure } from '../../src/failure.ts'
import type { Context } from '../../src/migration/context.ts'
import type { RestoreRolesOptions } from '../../src/migration/roles/options.ts'
import { requireRoles } from '../../src/migration/roles/preconditions.ts'
import { planRoleRestore } from '../../src/migration/roles/restore-roles.ts'
import type { RoleRestore } from '../../src/migration/roles/role-restore.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import {
  type CatalogRole,
  type RoleCatalog,
  readRoleCatalog,
} from '../../src/postgres/roles/catalog.ts'
import { newReport, wordsOfAnyRun } from '../../src/report/model.ts'
import { ReportWriter } from '../../src/report/writer.ts'
import { clientDirectory } from '../support/clients.ts'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { Pooler } from '../support/pooler.ts'
import { type Disturbance, TcpProxy, through } from '../support/proxy.ts'
import { restoreRoles } from '../support/restore-roles.ts'
import { role } from '../support/role-targets.ts'
import {
  fixtureLogins,
  fixturePassword,
  fixtureStatements,
  systemNames,
} from '../support/roles-fixture.ts'
import { TestServer } from '../support/server.ts'

const run = promisify(execFile)

interface Recorded extends Context {
  /** Everything that was said: log lines, warnings and the result. */
  said: string[]
  warnings: string[]
}

function context(signal = new AbortController().signal): Recorded {
  const said: string[] = []
  const warnings: string[] = []
  const say = (message: string) => void said.push(message)
  const record = new ReportWriter(newReport('migrate', wordsOfAnyRun))
  return {
    said,
    warnings,
    log: { debug: say, info: say, warning: say },
    progress: { update: say },
    signal,
    temporaryDirectory: '/nonexistent',
    record,
    report: record.report,
    warn: (message) => {
      warnings.push(message)
      said.push(message)
    },
  }
}

/** A script as pg_dumpall writes it, and the catalog of a source that has just these roles. */
async function dumpRoles(
  source: TestServer,
  directory: string,
): Promise<{ script: string; catalog: RoleCatalog }> {
  const args = ['--roles-only', `--dbname=${source.uri()}`]
  const env = { PGCLIENTENCODING: 'UTF8' }
  const { stdout } = await run(join(directory, 'pg_dumpall'), args, { env })
  const client = await source.connect()
  try {
    return { script: stdout, catalog: await readRoleCatalog(client) }
  } finally {
    await client.end()
  }
}

interface Facts {
  roles: Map<string, string>
  memberships: Set<string>
  settings: Set<string>
}

/** What a superuser sees of the roles, asked for in another way than the code under test does. */
async function readFacts(server: TestServer): Promise<Facts> {
  const roles = await server.sql(
    `SELECT rolname, concat_ws(' ', rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
       rolbypassrls, rolconnlimit, rolpassword, extract(epoch FROM rolvaliduntil)::float8) AS attributes FROM pg_authid`,
  )
  const memberships = await server.sql(
    `SELECT DISTINCT roleid::regrole || ' > ' || member::regrole AS row FROM pg_auth_members
      WHERE roleid::regrole::text <> 'pg_polar_superuser'`,
  )
  const settings = await server.sql(
    `SELECT coalesce(datname, '-') || ' ' || coalesce(rolname, 'ALL') || ' ' || unnest(setconfig) AS row
       FROM pg_db_role_setting LEFT JOIN pg_roles r ON r.oid = setrole LEFT JOIN pg_database d ON d.oid = setdatabase`,
  )
  return {
    roles: new Map(roles.rows.map(({ rolname, attributes }) => [rolname, attributes])),
    memberships: new Set(memberships.rows.map(({ row }) => row)),
    settings: new Set(settings.rows.map(({ row }) => row)),
  }
}

const missing = (of: Set<string>, from: Set<string>) =>
  [...of].filter((one) => !from.has(one)).sort()

async function canLogIn(
  target: { backend: TestServer },
  role: string,
  password = fixturePassword(role),
): Promise<boolean> {
  try {
    const client = await target.backend.connect('postgres', { user: role, password })
    await client.end()
    return true
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === '28P01') return false
    throw error
  }
}

function statements(restored: RoleRestore): string[] {
  return restored.script.split('\n').filter((line) => /^(CREATE|ALTER|GRANT|COMMENT)/.test(line))
}

const sources = [13, 15, 17, 18] as const
const clients = new Map(
  await Promise.all(sources.map(async (major) => [major, await clientDirectory(major)] as const)),
)
const skipped = sources.filter((major) => clients.get(major) === undefined)
if (skipped.length > 0) test.skip(`no client programs here of ${skipped.join(', ')}`, () => {})

describe.each(sources.filter((major) => !skipped.includes(major)))(
  'the roles of a grown cluster of version %i',
  (major) => {
    let source: TestServer
    let dump: { script: string; catalog: RoleCatalog }
    let facts: Facts

    beforeAll(async () => {
      const directory = clients.get(major) ?? ''
      source = await TestServer.start(major)
      const client = await source.connect()
      for (const statement of fixtureStatements(major)) await client.query(statement)
      await client.end()
      dump = await dumpRoles(source, directory)
      facts = await readFacts(source)
    })
    afterAll(() => source?.stop())

    const options = (uri: string): RestoreRolesOptions => ({
      ...dump,
      target: parseConnectionString(uri),
      databaseNames: new Map([['postgres', 'postgres']]),
      superuserOption: 'auto',
      existingRoles: 'keep',
      rolePasswords: true,
      allowMissing: ['*'],
    })

    test('arrive on PolarDB 11 but for what it can have of no customer', async () => {
      const target = await PolarStandIn.start()
      try {
        const now = context()
        const before = await readFacts(target.backend)
        const restored = await restoreRoles(options(target.uri()), now)
        await restored.applyDeferred(now)
        const { result } = restored
        expect(result.differences.filter(({ explained }) => !explained)).toEqual([])
        expect(result).toMatchObject({ source: 49, created: 44, existing: 5, verified: true })

        const after = await readFacts(target.backend)
        // superusers of the source are polar_superusers; all others are the same in every attribute, passwords included
        const untouched = ['postgres', 'gctest', ...systemNames]
        for (const [name, attributes] of facts.roles) {
          if (name.startsWith('pg_')) continue
          const expected = untouched.includes(name)
            ? before.roles.get(name)
            : attributes.replace(/^t (?=.)/, 'f ')
          expect([name, after.roles.get(name)]).toEqual([name, expected])
        }
        const polar = await target.backend.sql(
          `SELECT rolname FROM pg_roles WHERE NOT rolsuper AND pg_has_role(oid, 'pg_polar_superuser', 'MEMBER')
            AND rolname !~ '^pg_' ORDER BY 1`,
        )
        expect(polar.rows.map(({ rolname }) => rolname)).toEqual([
          'app_owner',
          'dba_full',
          'gctest',
          'my SUPERUSER role',
          'super1',
        ])
        expect(now.warnings.join('\n')).toContain(
          '"app_owner" becomes a superuser of the target: it is a member of "super1"',
        )

        expect(missing(facts.memberships, after.memberships)).toEqual(
          [
            'pg_monitor > monitor',
            ...(major >= 14 ? ['pg_read_all_data > app_ro'] : []),
            'pg_read_server_files > monitor',
            // gives nothing on the source, and would give everything to a version without these options
            ...(major >= 16 ? ['app_rw > for_ever'] : []),
          ].sort(),
        )
        expect(missing(after.memberships, facts.memberships)).toEqual([
          'pg_read_all_stats > monitor',
          'pg_stat_scan_tables > monitor',
        ])
        expect(missing(facts.settings, after.settings)).toEqual([
          '- guc_role local_preload_libraries=no_such_library',
          '- guc_role log_min_duration_statement=250',
          '- guc_role log_statement=all',
          '- guc_role myapp.flag=on \\ off',
          '- guc_role session_preload_libraries=auto_explain',
          '- polardb_admin work_mem=7MB',
        ])
        for (const login of fixtureLogins)
          expect([login, await canLogIn(target, login)]).toEqual([login, true])
        expect(await canLogIn(target, 'gctest', target.password)).toBe(true)
        expect(await canLogIn(target, 'gctest')).toBe(false)

        const again = await restoreRoles(options(target.uri()), context())
        await again.applyDeferred(context())
        expect(statements(again)).toEqual([])
        expect(again.result).toMatchObject({ created: 0, existing: 49, verified: true })
        expect(await readFacts(target.backend)).toEqual(after)

        const everything = JSON.stringify([now.said, result, now.report])
        expect(everything).not.toMatch(/SCRAM-SHA-256\$|md5[0-9a-f]{32}/)
      } finally {
        await target.stop()
      }
    })

    test('lose only SUPERUSER, REPLICATION and BYPASSRLS on a stock server', async () => {
      const target = await startPlainTarget(15)
      try {
        const now = context()
        const restored = await restoreRoles(options(target.uri()), now)
        await restored.applyDeferred(now)
        const { result } = restored
        expect(result.differences.filter(({ explained }) => !explained)).toEqual([])
        expect(result).toMatchObject({ created: 47, existing: 2, verified: true })
        const attributes = result.differences.filter(
          ({ role, what }) => /^[A-Z ]+$/.test(what) && !['postgres', 'gctest'].includes(role),
        )
        expect(attributes.map(({ role, what }) => `${role}: ${what}`).sort()).toEqual([
          'aurora: SUPERUSER',
          'dba_full: BYPASSRLS',
          'dba_full: REPLICATION',
          'dba_full: SUPERUSER',
          'my SUPERUSER role: SUPERUSER',
          'repl: REPLICATION',
          'repl_rls: BYPASSRLS',
          'repl_rls: REPLICATION',
          'replicator: REPLICATION',
          'rls_bypass: BYPASSRLS',
          'super1: SUPERUSER',
        ])
        const after = await readFacts(target.backend)
        const lost = new Set(attributes.map(({ role }) => role))
        for (const [name, wanted] of facts.roles) {
          if (name.startsWith('pg_') || lost.has(name) || ['postgres', 'gctest'].includes(name))
            continue
          expect([name, after.roles.get(name)]).toEqual([name, wanted])
        }
        expect(missing(facts.memberships, after.memberships)).toEqual(
          major >= 16 ? ['app_rw > for_ever'] : [],
        )
        for (const login of fixtureLogins)
          expect([login, await canLogIn(target, login)]).toEqual([login, true])
        expect(await canLogIn(target, 'gctest', target.password)).toBe(true)
      } finally {
        await target.stop()
      }
    })
  },
)

const describe17 = clients.get(17) === undefined ? describe.skip : describe
describe17('targets that follow the rules of PostgreSQL 16', () => {
  let source: TestServer
  let dump: { script: string; catalog: RoleCatalog }

  beforeAll(async () => {
    const directory = clients.get(17) ?? ''
    source = await TestServer.start(17)
    const client = await source.connect()
    for (const statement of fixtureStatements(17)) await client.query(statement)
    await client.end()
    dump = await dumpRoles(source, directory)
  })
  afterAll(() => source?.stop())

  test.each([
    ['a PolarDB 16', () => PolarStandIn.start({ major: 16 })],
    ['a stock 18', () => startPlainTarget(18)],
  ] as const)('%s keeps the options of memberships', async (_, start) => {
    const target = await start()
    try {
      const now = context()
      const { result } = await restoreRoles(
        {
          ...dump,
          target: parseConnectionString(target.uri()),
          databaseNames: new Map(),
          superuserOption: 'auto',
          existingRoles: 'keep',
          rolePasswords: true,
          allowMissing: ['*'],
        },
        now,
      )
      expect(result.differences.filter(({ explained }) => !explained)).toEqual([])
      expect(
        result.differences.filter(({ what }) => /option of the membership/.test(what)),
      ).toEqual([])
      const { rows } = await target.backend.sql(
        `SELECT roleid::regrole || ' ' || member::regrole AS pair, bool_or(admin_option) AS admin,
                bool_or(inherit_option) AS inherit, bool_or(set_option) AS set
           FROM pg_auth_members WHERE member::regrole::text IN ('guc_role', 'future', 'for_ever', 'app_login', 'monitor')
            AND roleid::regrole::text !~ '^pg_' GROUP BY 1 ORDER BY 1`,
      )
      expect(rows).toEqual([
        { pair: 'app_ro future', admin: false, inherit: true, set: false },
        { pair: 'app_ro guc_role', admin: false, inherit: false, set: true },
        { pair: 'app_rw app_login', admin: true, inherit: true, set: true },
        { pair: 'app_rw for_ever', admin: false, inherit: false, set: false },
        { pair: 'app_rw monitor', admin: false, inherit: true, set: true },
      ])
    } finally {
      await target.stop()
    }
  })
})

describe('one stock server', () => {
  let server: TestServer
  let empty: RoleCatalog
  let count = 0

  beforeAll(async () => {
    server = await TestServer.start(15)
    await server.sql(`CREATE ROLE migrator LOGIN CREATEROLE CREATEDB PASSWORD 'migrator'`)
    await server.sql(`CREATE ROLE nobody_special LOGIN PASSWORD 'nobody'`)
    const client = await server.connect()
    empty = { ...(await readRoleCatalog(client)), roles: [], memberships: [], settings: [] }
    await client.end()
  })
  afterAll(() => server?.stop())

  /** Names that no other test of this server uses. */
  const fresh = () => `r${++count}`
  const login = (name: string, more: Partial<CatalogRole> = {}) =>
    role(name, { login: true, ...more })
  const script = (name: string, options = '') =>
    `CREATE ROLE ${name};\nALTER ROLE ${name} WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS${options};\n`
  const options = (text: string, catalog: Partial<RoleCatalog>): RestoreRolesOptions => ({
    script: text,
    catalog: { ...empty, ...catalog },
    target: parseConnectionString(server.uri('postgres', 'migrator', 'migrator')),
    databaseNames: new Map(),
    superuserOption: 'auto',
    existingRoles: 'keep',
    rolePasswords: true,
    allowMissing: ['*'],
  })
  const exists = async (...names: string[]) => {
    const list = names.map((name) => `'${name}'`).join()
    const { rows } = await server.sql(
      `SELECT rolname FROM pg_roles WHERE rolname IN (${list}) ORDER BY 1`,
    )
    return rows.map(({ rolname }) => rolname)
  }
  const failureOf = async (work: Promise<unknown>): Promise<Failure> => {
    const error = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    if (!(error instanceof Failure)) throw new Error(`no Failure but ${String(error)}`)
    return error
  }

  test('an account without CREATEROLE is told so, and nothing is sent', async () => {
    const name = fresh()
    const target = parseConnectionString(server.uri('postgres', 'nobody_special', 'nobody'))
    const failure = await failureOf(
      restoreRoles({ ...options(script(name), { roles: [login(name)] }), target }, context()),
    )
    expect(failure.line).toContain(
      'The account "nobody_special" may not create roles on the target',
    )
    expect(await exists(name)).toEqual([])
  })

  test('an account without CREATEROLE may run where every role is there already', async () => {
    const name = fresh()
    await server.sql(`CREATE ROLE ${name} LOGIN`)
    const target = parseConnectionString(server.uri('postgres', 'nobody_special', 'nobody'))
    const restored = await restoreRoles(
      { ...options(script(name), { roles: [login(name)] }), target },
      context(),
    )
    expect(restored.result).toMatchObject({
      created: 0,
      existing: 1,
      verified: true,
      differences: [],
    })
  })

  test('a role that the data needs and the target will not have stops everything', async () => {
    const [name, other] = [fresh(), fresh()]
    const neededRoles = [
      { role: name, reason: 'owner of TABLE public.a' },
      { role: other, reason: 'owner of TABLE public.b' },
    ]
    const failure = await failureOf(
      restoreRoles({ ...options(script(name), { roles: [login(name)] }), neededRoles }, context()),
    )
    expect(failure.line).toContain(`"${other}" (owner of TABLE public.b)`)
    expect(failure.line).not.toContain(`"${name}"`)
    expect(await exists(name)).toEqual([])
  })

  test('where roles are not restored, those that the data needs must be on the target', async () => {
    const client = await server.connect()
    const needed = (name: string) =>
      requireRoles(client, [{ role: name, reason: 'owner of TABLE t' }])
    await needed('migrator')
    await needed('pg_monitor')
    expect((await failureOf(needed('absent'))).line).toContain('"absent" (owner of TABLE t)')
    await client.end()
  })

  test('a script with something unknown is refused with its line, and no password is quoted', async () => {
    const text = `${script('a')}CREATE USER b PASSWORD 'hidden';\n`
    const failure = await failureOf(restoreRoles(options(text, {}), context()))
    expect(failure.line).toContain('Line 3: CREATE USER b PASSWORD …')
    expect(failure.line).not.toContain('hidden')
  })

  test('a script in an unknown encoding is refused', async () => {
    const text = `SET client_encoding = 'SQL_ASCII';\n${script('"caf\ufffd"')}`
    expect((await failureOf(restoreRoles(options(text, {}), context()))).line).toContain(
      'SQL_ASCII',
    )
  })

  test('a superuser-option that the target does not know is refused before anything is sent', async () => {
    const name = fresh()
    const text = `CREATE ROLE ${name};\nALTER ROLE ${name} WITH SUPERUSER;\n`
    const failure = await failureOf(
      restoreRoles({ ...options(text, {}), superuserOption: 'POLAR_SUPERUSER' }, context()),
    )
    expect(failure.line).toContain('superuser-option POLAR_SUPERUSER means nothing to the target')
    expect(await exists(name)).toEqual([])
  })

  test('existing roles are kept, or updated down to the password', async () => {
    const name = fresh()
    await server.sql(`CREATE ROLE ${name} LOGIN PASSWORD 'old'`)
    await server.sql(`CREATE ROLE source_${name} LOGIN PASSWORD 'new' CONNECTION LIMIT 7`)
    const { rows } = await server.sql(
      `SELECT rolpassword FROM pg_authid WHERE rolname = 'source_${name}'`,
    )
    const text = script(name, ` CONNECTION LIMIT 7 PASSWORD '${rows[0].rolpassword}'`)
    const given = options(text, { roles: [login(name, { connectionLimit: 7 })] })
    const target = { backend: server }

    const kept = await restoreRoles(given, context())
    expect(kept.result.differences).toEqual([
      expect.objectContaining({ role: name, what: 'CONNECTION LIMIT', explained: true }),
    ])
    expect(await canLogIn(target, name, 'old')).toBe(true)

    const updated = await restoreRoles({ ...given, existingRoles: 'update' }, context())
    expect(updated.result).toMatchObject({
      existing: 1,
      updated: 1,
      differences: [],
      verified: true,
    })
    expect(await canLogIn(target, name, 'new')).toBe(true)
  })

  test('without passwords the report lists who needs one', async () => {
    const [name, group] = [fresh(), fresh()]
    const text = `${script(name)}CREATE ROLE ${group};\nALTER ROLE ${group} WITH NOSUPERUSER NOLOGIN;\n`
    const now = context()
    const given = options(text, { roles: [login(name), role(group)] })
    const { result } = await restoreRoles({ ...given, rolePasswords: false }, now)
    expect(result.passwordsToSet).toEqual([name])
    expect(now.warnings).toEqual([`1 role must be given a password: "${name}"`])
  })

  test('a setting in one database waits for the database and goes to it under its new name', async () => {
    const name = fresh()
    const settings = [{ role: name, database: 'shop', parameter: 'search_path', value: 'a, "B c"' }]
    const given = options(script(name), { roles: [login(name)], settings })
    const now = context()
    const restored = await restoreRoles(
      { ...given, databaseNames: new Map([['shop', 'shop2']]) },
      now,
    )
    await server.sql('CREATE DATABASE shop2')
    await restored.applyDeferred(now)
    const { rows } = await server.sql(
      `SELECT setconfig FROM pg_db_role_setting JOIN pg_database ON oid = setdatabase WHERE datname = 'shop2'`,
    )
    expect(rows).toEqual([{ setconfig: ['search_path=a, "B c"'] }])
    expect(restored.result).toMatchObject({ verified: true, differences: [] })
    expect(restored.script).toContain(`ALTER ROLE "${name}" IN DATABASE "shop2" SET`)
  })

  test('what changes while the data are restored is a difference, of roles that were there before as well', async () => {
    const [made, kept, other] = [fresh(), fresh(), fresh()]
    await server.sql(`CREATE ROLE "${kept}" CREATEDB; CREATE ROLE "${other}"`)
    const catalog = { roles: [login(made), login(kept)] }
    const now = context()
    const restored = await restoreRoles(options(script(made) + script(kept), catalog), now)
    await restored.applyDeferred(now)
    expect(restored.result.differences.filter(({ explained }) => !explained)).toEqual([])

    await server.sql(`
      ALTER ROLE "${made}" CREATEROLE; ALTER ROLE "${kept}" BYPASSRLS; GRANT "${kept}" TO "${other}";
      ALTER ROLE "${kept}" SET work_mem = '64MB'; ALTER ROLE "${other}" LOGIN; CREATE ROLE "${other}x"`)
    await restored.applyDeferred(now)
    expect(restored.result.verified).toBe(false)
    const open = restored.result.differences.filter(({ explained }) => !explained)
    expect(open.map(({ role, what }) => `${role}: ${what}`).sort()).toEqual(
      [
        `${made}: CREATEROLE`,
        `${kept}: BYPASSRLS`,
        `${kept}: setting work_mem`,
        `${other}: membership in ${kept}`,
      ].sort(),
    )
    expect(now.warnings.at(-1)).toMatch(
      new RegExp(`^2 other roles appeared or changed .*: "${other}", "${other}x"\\.`),
    )
  })

  test('a difference that nothing explains is said and not verified', async () => {
    const name = fresh()
    const given = options(script(name), { roles: [login(name, { connectionLimit: 3 })] })
    const { result } = await restoreRoles(given, context())
    expect(result.verified).toBe(false)
    expect(result.differences).toEqual([
      {
        role: name,
        what: 'CONNECTION LIMIT',
        reason: 'it is -1 on the target, for no known reason',
        explained: false,
      },
    ])
  })

  test('a role of the source that the dump lacks fails the restore', async () => {
    const [name, late] = [fresh(), fresh()]
    const given = options(script(name), { roles: [login(name), login(late)] })
    expect((await failureOf(restoreRoles(given, context()))).line).toContain(
      `"${late}": the dump of the roles does not have it`,
    )
  })

  test('a role that the server refuses fails the restore, and the message holds no verifier', async () => {
    const name = fresh()
    const verifier = `md5${'0123456789abcdef'.repeat(2)}`
    const text = script(name, ` PASSWORD '${verifier}' VALID UNTIL '2030-13-01 00:00:00+00'`)
    const now = context()
    const roles = await planRoleRestore(options(text, { roles: [login(name)] }), now)
    const failure = await failureOf(roles.restore(now))
    expect(failure.line).toContain(
      `"${name}": the target refuses it: date/time field value out of range`,
    )
    expect(JSON.stringify([failure.line, now.said])).not.toContain(verifier)
    expect(roles.script).toMatch(/-- the target refuses it: date\/time .*\nCREATE ROLE /)
  })

  test('a value that looks like a password verifier is not quoted, even if the server quotes it', async () => {
    const name = fresh()
    const verifier = 'SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy'
    const text = `${script(name)}ALTER ROLE ${name} SET work_mem TO '${verifier}';\n`
    const settings = [{ role: name, database: null, parameter: 'work_mem', value: verifier }]
    const { result } = await restoreRoles(
      options(text, { roles: [login(name)], settings }),
      context(),
    )
    expect(result.differences).toEqual([
      {
        role: name,
        what: 'setting work_mem',
        reason: 'the target refuses it: invalid value for parameter "work_mem": "…" (22023)',
        explained: true,
      },
    ])
  })

  describe('a connection that is lost is opened anew, and every statement arrives once', () => {
    let proxy: TcpProxy
    beforeAll(async () => {
      proxy = await TcpProxy.start(server.port)
    })
    afterEach(() => proxy.calm())
    afterAll(() => proxy?.stop())

    const far = (given: RestoreRolesOptions): RestoreRolesOptions => ({
      ...given,
      target: parseConnectionString(through(proxy, server.uri('postgres', 'migrator', 'migrator'))),
    })

    test.each<[string, (name: string) => RegExp, Disturbance]>([
      [
        'when a role is made, and nobody says whether it was',
        (name) => new RegExp(`CREATE ROLE "?${name}\\b`),
        'swallow',
      ],
      ['when a role is made', (name) => new RegExp(`CREATE ROLE "?${name}\\b`), 'cut'],
      ['when a comment is made', () => /COMMENT ON ROLE/, 'swallow'],
      ['when a setting is made', (name) => new RegExp(`ALTER ROLE "?${name}"? SET`), 'reset'],
      ['when a membership is given', () => /GRANT "?r\d/, 'swallow'],
      ['during the trial', () => /SAVEPOINT trial/, 'cut'],
      ['when the target is read', () => /pg_auth_members/, 'reset'],
      ['during the test login', () => /CREATE ROLE "?migration_login_test/, 'swallow'],
    ])('%s', async (_, pattern, disturbance) => {
      const names = Array.from({ length: 12 }, fresh)
      const [first = '', second = ''] = names
      const text =
        names
          .map((name) =>
            script(name, ` PASSWORD 'md5${'0'.repeat(31)}${names.indexOf(name) % 10}'`),
          )
          .join('') +
        `COMMENT ON ROLE ${first} IS 'c';\nALTER ROLE ${second} SET work_mem TO '5MB';\nGRANT ${first} TO ${second};\n`
      const given = options(text, {
        roles: names.map((name) => login(name, { comment: name === first ? 'c' : null })),
        memberships: [{ role: first, member: second, admin: false, inherit: true, set: true }],
        settings: [{ role: second, database: null, parameter: 'work_mem', value: '5MB' }],
      })
      const met = proxy.when(pattern(second), disturbance)
      const now = { ...context(), pauses: [0.05, 0.05, 0.1] }
      const restored = await restoreRoles(far(given), now)
      await met
      expect(now.said.join('\n')).toMatch(/trying again in/)
      expect(restored.result).toMatchObject({ source: 12, created: 12, verified: true })
      expect(restored.result.memberships).toEqual({ source: 1, restored: 1 })
      expect(restored.script).not.toContain('already exists')
      const sent = statements(restored)
      expect(sent.filter((line) => line.startsWith('CREATE ROLE')).length).toBe(12)
      expect(new Set(sent).size).toBe(sent.length)
      expect(await exists(...names)).toHaveLength(12)
      const { rows } = await server.sql(
        `SELECT rolname FROM pg_roles WHERE rolname LIKE 'migration%'`,
      )
      expect(rows).toEqual([])
    })

    test('one that stays lost is a failure, and the next run can complete what is there', async () => {
      const names = Array.from({ length: 12 }, fresh)
      const [first = '', second = ''] = names
      const text = `${names.map((name) => script(name)).join('')}GRANT ${first} TO ${second};\nCOMMENT ON ROLE ${first} IS 'c';\n`
      const given = options(text, {
        roles: names.map((name) => login(name, { comment: name === first ? 'c' : null })),
        memberships: [{ role: first, member: second, admin: false, inherit: true, set: true }],
      })
      const met = proxy.when(new RegExp(`CREATE ROLE "?${names[6]}\\b`), 'cut')
      const failure = await failureOf(restoreRoles(far(given), { ...context(), pauses: [] }))
      await met
      expect(failure.message).toContain('The roles could not be restored: it ended at the role')
      // the seventh itself may have arrived before the cut
      expect(await exists(...names.slice(0, 6))).toHaveLength(6)
      expect(await exists(...names.slice(7))).toEqual([])

      const { result } = await restoreRoles({ ...given, completing: true }, context())
      expect(result).toMatchObject({ source: 12, verified: true, differences: [] })
      expect(result.created).toBeLessThan(7)
      expect(result.memberships).toEqual({ source: 1, restored: 1 })
    })

    test('also when settings follow that wait for the databases', async () => {
      const name = fresh()
      const given = {
        ...options(script(name), {
          roles: [login(name)],
          settings: [{ role: name, database: 'shop', parameter: 'work_mem', value: '5MB' }],
        }),
        databaseNames: new Map([['shop', 'postgres']]),
      }
      const now = { ...context(), pauses: [0.05, 0.05, 0.1] }
      const restored = await restoreRoles(far(given), now)
      const met = proxy.when(/IN DATABASE/, 'swallow')
      await restored.applyDeferred(now)
      await met
      expect(restored.result).toMatchObject({ verified: true, differences: [] })
    })

    test('but a role of that name that somebody else has made is no success', async () => {
      const name = fresh()
      const given = options(script(name), { roles: [login(name)] })
      const roles = await planRoleRestore(given, context())
      await server.sql(`CREATE ROLE ${name}`)
      const result = await roles.restore({ ...context(), pauses: [] })
      expect(result.verified).toBe(false)
    })
  })

  test('a cancelled restore stops', async () => {
    const names = Array.from({ length: 120 }, fresh)
    const cancel = new AbortController()
    const now = context(cancel.signal)
    now.progress.update = () => cancel.abort()
    const given = options(names.map((name) => script(name)).join(''), {
      roles: names.map((name) => login(name)),
    })
    await expect(restoreRoles(given, now)).rejects.toThrow(Cancelled)
    expect((await exists(...names)).length).toBeLessThan(120)
  })
})

test('a real superuser gives REPLICATION and BYPASSRLS, and SUPERUSER where it is told to', async () => {
  const server = await TestServer.start(15)
  try {
    const client = await server.connect()
    const catalog = await readRoleCatalog(client)
    await client.end()
    const script =
      'CREATE ROLE s;\nALTER ROLE s WITH SUPERUSER;\nCREATE ROLE r;\nALTER ROLE r WITH REPLICATION BYPASSRLS;\n'
    const restore = (superuserOption: string, names: string[]) =>
      restoreRoles(
        {
          script: script.replace(/\b[sr]\b/g, (name) => names[name === 's' ? 0 : 1] ?? name),
          catalog: { ...catalog, roles: [] },
          target: parseConnectionString(server.uri()),
          databaseNames: new Map(),
          superuserOption,
          existingRoles: 'keep',
          rolePasswords: true,
          allowMissing: ['*'],
        },
        context(),
      )
    await restore('auto', ['s1', 'r1'])
    await restore('SUPERUSER', ['s2', 'r2'])
    const { rows } = await server.sql(
      `SELECT rolname, concat_ws(' ', rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls) AS flags
         FROM pg_roles WHERE rolname ~ '^[sr][12]$' ORDER BY 1`,
    )
    expect(rows.map(({ rolname, flags }) => `${rolname}: ${flags}`)).toEqual([
      'r1: f f f t t',
      'r2: f f f t t',
      's1: f t t f f',
      's2: t f f f f',
    ])
  } finally {
    await server.stop()
  }
})

test('on PolarDB 11 an account that is no polar_superuser gives CREATEROLE CREATEDB, as on a stock server', async () => {
  const target = await PolarStandIn.start()
  try {
    await target.backend.sql(`CREATE ROLE lesser LOGIN CREATEROLE CREATEDB PASSWORD 'lesser'`)
    const client = await target.backend.connect()
    const catalog = await readRoleCatalog(client)
    await client.end()
    const source = catalog.roles.filter(({ name }) => name === 'aurora')
    const { result } = await restoreRoles(
      {
        script:
          'CREATE ROLE s;\nALTER ROLE s WITH SUPERUSER INHERIT LOGIN REPLICATION NOBYPASSRLS;\n',
        catalog: {
          ...catalog,
          roles: source.map((role) => ({ ...role, name: 's', replication: true })),
          memberships: [],
          settings: [],
        },
        target: parseConnectionString(target.uri('postgres', 'lesser', 'lesser')),
        databaseNames: new Map(),
        superuserOption: 'auto',
        existingRoles: 'keep',
        rolePasswords: true,
        allowMissing: ['*'],
      },
      context(),
    )
    expect(result.verified).toBe(true)
    expect(result.differences).toEqual([
      {
        role: 's',
        what: 'SUPERUSER',
        reason: expect.stringContaining('"lesser" is no polar_superuser'),
        explained: true,
      },
      {
        role: 's',
        what: 'REPLICATION',
        reason: expect.stringContaining('(42501)'),
        explained: true,
      },
    ])
  } finally {
    await target.stop()
  }
})

describe('md5 passwords', () => {
  test.each([
    ['are a loss where a test login with one is refused', 'scram-sha-256', false, ['LOGIN a']],
    ['are none where it works', 'md5', false, []],
    // what is asked of a pooler takes a second session of the same role
    ['are none where it works through a pooler', 'md5', true, []],
  ])('%s', async (_, method, isPooled, losses) => {
    const server = await TestServer.start(15, { hba: `host all all all ${method}` })
    const pooler = isPooled ? await Pooler.start(server.port, 'throws options away') : undefined
    try {
      await server.sql(`CREATE ROLE migrator LOGIN CREATEROLE CREATEDB PASSWORD 'migrator'`)
      const client = await server.connect()
      const catalog = {
        ...(await readRoleCatalog(client)),
        roles: [],
        memberships: [],
        settings: [],
      }
      await client.end()
      // what a run left that died in its test login, and the role of one that is at it
      const [dead, alive] = [
        'migration_login_test_0123456789ab',
        'migration_login_test_ba9876543210',
      ]
      await server.sql(
        `CREATE ROLE ${dead} LOGIN CONNECTION LIMIT 5 VALID UNTIL '2020-01-01'; CREATE ROLE ${alive} LOGIN CONNECTION LIMIT 5 VALID UNTIL 'infinity'`,
      )
      const now = context()
      const uri = server.uri('postgres', 'migrator', 'migrator')
      await restoreRoles(
        {
          script: `CREATE ROLE a;\nALTER ROLE a WITH LOGIN PASSWORD 'md5${'0'.repeat(32)}';\n`,
          catalog,
          target: parseConnectionString(
            pooler ? uri.replace(`:${server.port}/`, `:${pooler.port}/`) : uri,
          ),
          databaseNames: new Map(),
          superuserOption: 'auto',
          existingRoles: 'keep',
          rolePasswords: true,
          allowMissing: ['*'],
        },
        now,
      )
      expect(now.report.losses.map(({ entry }) => entry)).toEqual(losses)
      const { rows } = await server.sql(`SELECT rolname FROM pg_roles WHERE rolname ~ 'login_test'`)
      expect(rows).toEqual([{ rolname: alive }])
    } finally {
      await pooler?.stop()
      await server.stop()
    }
  })
})

test.each([10, 11, 13, 15, 16, 18] as const)(
  'the catalog of a %i says the same to an ordinary account, but for passwords',
  async (major) => {
    const server = await TestServer.start(major)
    try {
      const admin = await server.connect()
      for (const statement of fixtureStatements(major)) await admin.query(statement)
      const all = await readRoleCatalog(admin, ['postgres'])
      const user = await server.connect('postgres', {
        user: 'creator',
        password: fixturePassword('creator'),
      })
      const some = await readRoleCatalog(user, ['postgres'])
      await Promise.all([admin.end(), user.end()])
      expect(all.roles.find(({ name }) => name === 'md5_user')?.password).toBe('md5')
      expect(all.roles.find(({ name }) => name === 'no_password')?.password).toBe('none')
      const roles = all.roles.map((role) => ({ ...role, password: 'unknown' }))
      expect(some).toEqual({ ...all, roles })
      expect(JSON.stringify(all)).not.toMatch(/SCRAM-SHA-256\$|md5[0-9a-f]{32}/)
    } finally {
      await server.stop()
    }
  },
)
