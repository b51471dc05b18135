import type pg from 'pg'
import { Cancelled, Failure } from '../../failure.ts'
import { connect, withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { mayPass } from '../../postgres/errors.ts'
import { quoteIdentifier } from '../../postgres/identifiers.ts'
import { type CatalogRole, readRoleCatalog } from '../../postgres/roles/catalog.ts'
import type { LoginResult } from '../../report/model.ts'
import { counted } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import { runPhase } from '../phases.ts'
import { retrying } from '../retry.ts'
import type { Run } from '../run.ts'
import type { TestLogin } from './login-input.ts'
import { listed } from './preconditions.ts'

/** Seconds: a login that is refused for want of a connection finds one soon, or the run says so. */
const pauses: readonly number[] = [1, 2, 4]

/**
 * Makes sure that the roles of `test-logins` will be on the target, long before they are tried.
 *
 * @param planned names of roles that the run makes there
 * @throws Failure that names those that will not; of the connection; Cancelled
 */
export async function requireLogins(
  target: ConnectionParameters,
  planned: Iterable<string>,
  run: Run,
): Promise<void> {
  const { testLogins } = run.inputs
  if (testLogins.length === 0) return
  const options = { role: 'target', readOnly: true, signal: run.signal } as const
  const there = await retrying(run, () =>
    withConnection(target, options, async (client) => {
      const { roles } = await readRoleCatalog(client, [])
      return new Set(roles.map(({ name }) => name))
    }),
  )
  for (const name of planned) there.add(name)
  const missing = testLogins
    .map(({ role }) => role)
    .filter((role) => !there.has(run.roleNames.onTarget(role)))
  if (missing.length === 0) return
  throw new Failure(
    'An input is wrong',
    `test-logins: ${listed(missing.map((role) => `"${printable(role)}"`))}: the target has no such role, and none is migrated`,
    'Correct the names in test-logins: they are those of the source, and case counts',
  )
}

/**
 * Logs in to the target as each role of `test-logins`, with its secret, and records what came of it. That is what no comparison of
 * catalogs can show: whether an application gets in.
 *
 * @param target how the account connects
 * @param databases the target's names of the databases of this run; a role that may connect to none of them is tried in another
 * @throws Failure of the account's own connection; Cancelled; not for a login that fails, see refuseFailedLogins
 */
export async function tryLogins(
  target: ConnectionParameters,
  databases: readonly string[],
  run: Run,
): Promise<void> {
  const { testLogins } = run.inputs
  if (testLogins.length === 0) return
  await runPhase(run, 'verify', async () => {
    const names = testLogins.map(({ role }) => run.roleNames.onTarget(role))
    const options = { role: 'target', readOnly: true, signal: run.signal } as const
    const known = await retrying(run, () =>
      withConnection(target, options, (client) => readLogins(client, names)),
    )
    const results: LoginResult[] = []
    for (const login of testLogins) {
      const found = known.get(run.roleNames.onTarget(login.role))
      const [database] = [...databases, target.dbname, ...(found?.databases ?? [])].filter((name) =>
        found?.databases.includes(name),
      )
      const result = await tryLogin(login, found, database, target, run)
      results.push(result)
      const shown = `"${printable(login.role)}"`
      if (result.status === 'succeeded')
        run.log.info(`Logged in as ${shown}, to "${printable(database ?? '')}"`)
      else run.log.warning(`Login as ${shown} failed: ${result.reason}`)
    }
    run.record.logins(results)
  })
}

/** @throws Failure with every login that failed, and what to do about it */
export function refuseFailedLogins({ report }: Pick<Run, 'report'>): void {
  const logins = report.roles?.logins ?? []
  const failed = logins.filter(({ status }) => status === 'failed')
  if (failed.length === 0) return
  throw new Failure(
    `${counted(failed.length, 'test login')} of ${logins.length} failed`,
    listed(
      failed.map(({ role, reason }) => `"${printable(role)}": ${reason}`),
      '; ',
    ),
    listed([...new Set(failed.map(({ remedy }) => remedy))], '; '),
    { isDifference: true },
  )
}

interface KnownRole {
  role: CatalogRole
  /** Those that it may connect to. */
  databases: string[]
}

async function readLogins(
  client: pg.Client,
  names: readonly string[],
): Promise<Map<string, KnownRole>> {
  const { roles } = await readRoleCatalog(client, [])
  const { rows } = await client.query<{ name: string; databases: string[] }>(
    `SELECT r.rolname AS name,
            ARRAY(SELECT d.datname::pg_catalog.text FROM pg_catalog.pg_database d
                   WHERE d.datallowconn AND NOT d.datistemplate AND pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT')
                   ORDER BY d.oid) AS databases
       FROM pg_catalog.pg_roles r
      WHERE r.rolname::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])`,
    [names],
  )
  return new Map(
    rows.flatMap(({ name, databases }) => {
      const role = roles.find((one) => one.name === name)
      return role ? [[name, { role, databases }] as const] : []
    }),
  )
}

async function tryLogin(
  { role, secret }: TestLogin,
  found: KnownRole | undefined,
  database: string | undefined,
  target: ConnectionParameters,
  run: Run,
): Promise<LoginResult> {
  const failed = (reason: string, remedy: string): LoginResult => ({
    ...{ role, status: 'failed', database: database ?? null, reason, remedy },
  })
  if (!found) return failed('it is not on the target', 'Correct test-logins, or migrate the role')
  const quoted = printable(quoteIdentifier(found.role.name))
  if (database === undefined)
    return failed(
      'it may connect to no database of the target',
      `GRANT CONNECT ON DATABASE … TO ${quoted}`,
    )
  const parameters = { ...target, user: found.role.name, dbname: database }
  try {
    const asked = await logIn(parameters, secret, found.role, run)
    if (asked) return { role, status: 'succeeded', database, reason: '', remedy: '' }
    return failed(
      'the target let it in without asking for its secret, so nothing is proven of that',
      'Take the line out of test-logins, or have pg_hba.conf ask for a password',
    )
  } catch (error) {
    if (run.signal.aborted || error instanceof Cancelled || !(error instanceof Failure)) throw error
    const { reason, remedy } = explained(error, found.role, quoted)
    return failed(reason, remedy)
  }
}

/** @returns whether the server asked for the secret. @throws Failure of the login; Cancelled */
async function logIn(
  parameters: ConnectionParameters,
  secret: string,
  { connectionLimit }: CatalogRole,
  run: Run,
): Promise<boolean> {
  let asked = false
  const attempt = async () => {
    const client = await connect(
      { ...parameters, password: secret },
      {
        ...{ role: 'target', readOnly: true, patience: null, signal: run.signal },
        onPasswordAsked: () => {
          asked = true
        },
      },
    )
    await client.end().catch(() => {})
  }
  // a limit of none does not pass
  const again = (error: unknown) => connectionLimit !== 0 && mayPass(error)
  await retrying({ ...run, pauses: run.pauses ?? pauses }, attempt, { again })
  return asked
}

/** Why a login failed: by what the catalog says of the role, else in the server's words. */
function explained(
  { sqlstate, why, remedy }: Failure,
  role: CatalogRole,
  quoted: string,
): { reason: string; remedy: string } {
  const said = ` (${why})`
  if (!role.login && sqlstate === '28000')
    return { reason: `it is NOLOGIN on the target${said}`, remedy: `ALTER ROLE ${quoted} LOGIN` }
  if (sqlstate === '28P01' && role.password === 'none')
    return {
      reason: `it has no password on the target${said}`,
      remedy: `Give it one on the target: \\password ${quoted} in psql`,
    }
  if (sqlstate === '28P01' && role.expired)
    return {
      reason: `its password is past VALID UNTIL ${role.validUntil ?? ''}${said}`,
      remedy: `ALTER ROLE ${quoted} VALID UNTIL '…', if it is to log in`,
    }
  if (sqlstate === '28P01')
    return {
      reason: `the secret is not its password on the target, or the target does not take the kind of hash that it has${said}`,
      remedy:
        'Correct the secret in test-logins, or set the password on the target; existing-roles: keep leaves the password of a role that was there',
    }
  if (sqlstate === '53300' && role.connectionLimit === 0)
    return {
      reason: `its CONNECTION LIMIT is 0${said}`,
      remedy: `ALTER ROLE ${quoted} CONNECTION LIMIT -1, if it is to log in`,
    }
  return { reason: why, remedy }
}
