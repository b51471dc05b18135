import { createHash, randomBytes } from 'node:crypto'
import type pg from 'pg'
import { Cancelled, messageOf } from '../../failure.ts'
import { detectTarget, knowsStatement } from '../../polardb/detect.ts'
import { catalogOnSource } from '../../polardb/roles/stand-ins.ts'
import type { RoleTarget } from '../../polardb/roles/target.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts'
import { type RoleCatalog, readRoleCatalog } from '../../postgres/roles/catalog.ts'
import type { RoleNames } from '../../postgres/roles/role-names.ts'
import type { RoleScript } from '../../postgres/roles/script.ts'
import {
  isPreload,
  parameterKey,
  preloadKey,
  settingValues,
} from '../../postgres/roles/settings.ts'
import { together } from '../../postgres/together.ts'
import type { Context } from '../context.ts'

/**
 * Asks the target everything that the plan of its roles depends on. Changes nothing there: syntax is asked about with
 * statements for a role that does not exist.
 *
 * @param libraries that roles of the source load on login (`preloads`)
 * @param names what the source's roles are called there
 */
export async function readRoleTarget(
  client: pg.Client,
  connection: ConnectionParameters,
  libraries: readonly Preload[],
  names: RoleNames,
  context: Pick<Context, 'signal'>,
): Promise<RoleTarget> {
  const [target, catalog, knowsMembershipOptions] = await together(client, [
    () => detectTarget(client),
    () => readRoleCatalog(client),
    () => knowsStatement(client, (name) => `GRANT ${name} TO ${name} WITH INHERIT TRUE`),
  ])
  return {
    ...target,
    account: { ...target.account, name: names.onSource(target.account.name) },
    names,
    catalog: catalogOnSource(catalog, names),
    knowsMembershipOptions,
    unloadable: await unloadable(connection, libraries, context),
  }
}

/** A library that a setting of roles loads on login. */
export interface Preload {
  parameter: string
  library: string
}

/** The libraries that settings of roles load on login, those of all roles and of single databases included. */
export function preloads(script: RoleScript, source: RoleCatalog): Preload[] {
  const settings = source.settings.map(({ parameter, value }) => {
    return { parameter, values: settingValues(parameter, value) }
  })
  for (const statement of script.statements)
    if (statement.kind === 'setting') settings.push(statement)
  const found = settings
    .filter(({ parameter }) => isPreload(parameter))
    .flatMap(({ parameter, values }) => values.map((library) => ({ parameter, library })))
  const unique = new Map(found.map((one) => [preloadKey(one.parameter, one.library), one]))
  return [...unique.values()].filter(({ library }) => library !== '')
}

/** Which of the libraries a session cannot load there, with the server's answer. */
async function unloadable(
  connection: ConnectionParameters,
  libraries: readonly Preload[],
  context: Pick<Context, 'signal'>,
): Promise<Map<string, string>> {
  const refused = new Map<string, string>()
  if (libraries.length === 0) return refused
  // a session of its own: a loaded library stays in its session
  await withConnection(connection, { role: 'target', signal: context.signal }, async (client) => {
    for (const { parameter, library } of libraries) {
      // local_preload_libraries looks below $libdir/plugins, from where everybody may load
      const local = parameterKey(parameter) === 'local_preload_libraries' && !library.includes('/')
      const path = local ? `$libdir/plugins/${library}` : library
      try {
        await client.query(`LOAD ${quoteLiteral(path)}`)
      } catch (error) {
        const sqlstate = sqlstateOf(error)
        if (sqlstate === undefined) throw error
        refused.set(preloadKey(parameter, library), `${messageOf(error)}, ${sqlstate}`)
      }
    }
  })
  return refused
}

/**
 * Sessions that the role of a test login may have: opening one takes another where a pooler may stand between, and the server still
 * counts one that has just ended.
 */
const loginTestSessions = 5

/** One name for all tries of a run. */
const loginTest = `migration_login_test_${randomBytes(6).toString('hex')}`

/**
 * Whether a login with an md5 verifier works: tried with a role of our own, which is removed again, because what the
 * server takes is decided by pg_hba.conf, which only a superuser may read. The role is good for ten minutes: one that a run left which
 * died here lets nobody in, and the next run removes it.
 *
 * @returns the server's answer when it does not work; undefined when it does
 */
export async function refusesMd5(
  client: pg.Client,
  connection: ConnectionParameters,
  context: Pick<Context, 'signal'>,
): Promise<string | undefined> {
  const user = loginTest
  const password = randomBytes(18).toString('base64url')
  const verifier = `md5${createHash('md5').update(`${password}${user}`).digest('hex')}`
  // it is there where the connection was lost the last time, or where a run died in these seconds
  const { rows: left } = await client.query<{ name: string }>(
    `SELECT rolname AS name FROM pg_catalog.pg_roles
      WHERE rolname OPERATOR(pg_catalog.=) $1
         OR (rolname OPERATOR(pg_catalog.~) '^migration_login_test_[0-9a-f]{12}$' AND rolconnlimit OPERATOR(pg_catalog.=) ANY (ARRAY[1, ${loginTestSessions}])
             AND rolvaliduntil OPERATOR(pg_catalog.<) pg_catalog.clock_timestamp())`,
    [user],
  )
  for (const { name } of left) {
    try {
      await client.query(`DROP ROLE IF EXISTS ${quoteIdentifier(name)}`)
    } catch (error) {
      // another account's: it is past its time, and lets nobody in
      if (name === user || sqlstateOf(error) !== '42501') throw error
    }
  }
  const { rows } = await client.query<{ until: string }>(
    `SELECT (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '10 minutes'::pg_catalog.interval)::pg_catalog.text AS until`,
  )
  const until = rows[0]?.until ?? 'infinity'
  await client.query(
    `CREATE ROLE ${quoteIdentifier(user)} WITH LOGIN CONNECTION LIMIT ${loginTestSessions} PASSWORD ${quoteLiteral(verifier)} VALID UNTIL ${quoteLiteral(until)}`,
  )
  try {
    const { options: _, sslcert: __, sslkey: ___, ...plain } = connection
    await withConnection({ ...plain, user, password }, { signal: context.signal }, async () => {})
    return undefined
  } catch (error) {
    if (error instanceof Cancelled) throw error
    return messageOf(error)
  } finally {
    await client.query(`DROP ROLE ${quoteIdentifier(user)}`)
  }
}
