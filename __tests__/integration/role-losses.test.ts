import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import type { Context } from '../../src/migration/context.ts'
import type { RestoreRolesOptions } from '../../src/migration/roles/options.ts'
import { planRoleRestore } from '../../src/migration/roles/restore-roles.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import type { CatalogRole, RoleCatalog } from '../../src/postgres/roles/catalog.ts'
import { ReportWriter } from '../../src/report/writer.ts'
import { PolarStandIn, startPlainTarget } from '../support/polardb-standin.ts'
import { restoreRoles } from '../support/restore-roles.ts'
import { catalog, role } from '../support/role-targets.ts'
import { goodReport } from '../support/sample-reports.ts'
import type { TestServer } from '../support/server.ts'

interface Target {
  backend: TestServer
  uri(database?: string): string
  stop(): Promise<void>
}

function context(): Context & { lines: string[] } {
  const lines: string[] = []
  const say = (line: string) => void lines.push(line)
  const record = new ReportWriter({ ...goodReport(), losses: [], checks: [] })
  return {
    lines,
    log: { debug: say, info: say, warning: say },
    progress: { update: () => {} },
    signal: new AbortController().signal,
    temporaryDirectory: '/nonexistent',
    record,
    report: record.report,
    warn: say,
  }
}

const verifier =
  'SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVkc3RvcmVkc3RvcmVkc3RvcmVkc3RvcmU=:c2VydmVyc2VydmVyc2VydmVyc2VydmVyc2VydmU='
const create = (name: string, options: string) =>
  `CREATE ROLE ${name};\nALTER ROLE ${name} WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB ${options};\n`

/** Roles of a grown cluster: each loses something where the account is none that may give it. */
const script = [
  create('reader', `LOGIN NOREPLICATION NOBYPASSRLS PASSWORD '${verifier}'`),
  create('monitor', 'NOLOGIN NOREPLICATION NOBYPASSRLS'),
  create('standby', `LOGIN REPLICATION NOBYPASSRLS PASSWORD '${verifier}'`),
  create('auditor', 'NOLOGIN NOREPLICATION BYPASSRLS'),
  create('by_socket', 'LOGIN NOREPLICATION NOBYPASSRLS'),
  create('plain', 'NOLOGIN NOREPLICATION NOBYPASSRLS'),
  "ALTER ROLE plain SET log_statement TO 'all';\n",
  "ALTER ROLE plain SET statement_timeout TO '5s';\n",
  "ALTER ROLE plain SET no_such_setting TO 'x';\n",
  'GRANT pg_read_all_data TO reader;\nGRANT pg_monitor TO monitor;\nGRANT plain TO reader;\n',
  'GRANT SET ON PARAMETER log_min_messages TO plain;\n',
].join('')

const setting = (parameter: string, value: string) => ({
  role: 'plain',
  database: null,
  parameter,
  value,
})
const membership = (of: string, member: string) => ({
  role: of,
  member,
  admin: false,
  inherit: true,
  set: true,
})
const login = (name: string, more: Partial<CatalogRole> = {}) =>
  role(name, { login: true, ...more })
const source: RoleCatalog = catalog({
  major: 17,
  roles: [
    role('auditor', { bypassRls: true }),
    login('by_socket'),
    role('monitor'),
    role('plain'),
    login('reader'),
    login('standby', { replication: true }),
  ],
  settings: [
    setting('log_statement', 'all'),
    setting('no_such_setting', 'x'),
    setting('statement_timeout', '5s'),
  ],
  memberships: [
    membership('pg_read_all_data', 'reader'),
    membership('pg_monitor', 'monitor'),
    membership('plain', 'reader'),
  ],
  parameters: [
    { role: 'plain', parameter: 'log_min_messages', privilege: 'SET', grantOption: false },
  ],
})

function options(target: Target, allowMissing: string[]): RestoreRolesOptions {
  return {
    script,
    catalog: source,
    target: parseConnectionString(target.uri()),
    databaseNames: new Map(),
    superuserOption: 'auto',
    existingRoles: 'keep',
    rolePasswords: true,
    allowMissing,
  }
}

/** What the roles lose on the target, by the refusal's own checks; and that nothing of them is there. */
async function refused(target: Target, allowMissing: string[] = []) {
  const now = context()
  const failure = await restoreRoles(options(target, allowMissing), now).then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(failure instanceof Failure)) throw new Error(`no Failure but ${String(failure)}`)
  const { rows } = await target.backend.sql(
    `SELECT rolname FROM pg_roles WHERE rolname IN ('reader', 'plain', 'standby') OR rolname ~ '^migration_'`,
  )
  expect(rows).toEqual([])
  return {
    failure,
    lines: now.lines.join('\n'),
    remedies: now.report.checks.map(({ remedy }) => remedy).join('\n'),
    entries: now.report.checks.flatMap(({ objects }) => objects).sort(),
  }
}

const everywhere = [
  'LOGIN by_socket',
  'PARAMETER plain SET log_min_messages',
  'SETTING plain log_statement',
  'SETTING plain no_such_setting',
]

describe('on a server of version 16 or newer', () => {
  let target: Target
  beforeAll(async () => {
    target = await startPlainTarget(17)
  })
  afterAll(() => target?.stop())

  const lost = [
    ...everywhere,
    'MEMBERSHIP monitor in pg_monitor',
    'MEMBERSHIP reader in pg_read_all_data',
    'ROLE auditor BYPASSRLS',
    'ROLE standby REPLICATION',
  ].sort()

  test('everything that roles would lose is named at once, with what takes its place, and no role is made', async () => {
    const { failure, lines, remedies, entries } = await refused(target)
    expect(entries).toEqual(lost)
    expect(failure.message).toContain(`The target cannot take ${lost.length} objects of the roles`)
    expect(remedies).toMatch(
      /GRANT USAGE ON SCHEMA s TO "reader"; GRANT SELECT ON ALL TABLES IN SCHEMA s TO "reader".*ALTER DEFAULT PRIVILEGES/,
    )
    expect(remedies).toContain('CREATE POLICY p ON t TO "auditor" USING (true)')
    const pasted = lines.slice(lines.indexOf('allow-missing: |\n')).split('\n').slice(1)
    expect(
      pasted
        .map((line) => line.trim())
        .filter((line) => lost.includes(line))
        .sort(),
    ).toEqual(lost)
    // a partial acceptance leaves the rest
    const rest = await refused(target, ['ROLE *', 'MEMBERSHIP reader in pg_read_all_data'])
    expect(rest.entries).toEqual([...everywhere, 'MEMBERSHIP monitor in pg_monitor'].sort())
  })

  test('to decide about them sends nothing', async () => {
    const roles = await planRoleRestore(options(target, ['*']), context())
    expect([...roles.planned.keys()].sort()).toEqual([
      'auditor',
      'by_socket',
      'monitor',
      'plain',
      'reader',
      'standby',
    ])
    expect(roles.refusal).toBeUndefined()
    const { rows } = await target.backend.sql(`SELECT FROM pg_roles WHERE rolname = 'plain'`)
    expect(rows).toHaveLength(0)
  })

  test('accepted by name, the losses are in the report and the rest is restored', async () => {
    const now = context()
    const { result } = await restoreRoles(options(target, lost), now)
    expect(now.report.losses.map(({ entry }) => entry).sort()).toEqual(lost)
    expect(result).toMatchObject({ created: 6, verified: true })
    const { rows } = await target.backend.sql(
      `SELECT unnest(setconfig) AS setting FROM pg_db_role_setting WHERE setrole = 'plain'::regrole`,
    )
    expect(rows).toEqual([{ setting: 'statement_timeout=5s' }])
  })
})

test('PolarDB 11 keeps REPLICATION and BYPASSRLS; of pg_monitor it has parts, which are no whole', async () => {
  const target = await PolarStandIn.start()
  try {
    const { entries, failure } = await refused(target)
    expect(entries).toEqual(
      [
        ...everywhere,
        'MEMBERSHIP monitor in pg_monitor',
        // that version has no such role
        'MEMBERSHIP reader in pg_read_all_data',
      ].sort(),
    )
    expect(failure.why).toContain('instead it has membership in "pg_read_all_stats"')
  } finally {
    await target.stop()
  }
})
