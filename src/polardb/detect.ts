import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { serverVersion } from '../postgres/connection.ts'
import { sqlstateOf } from '../postgres/errors.ts'
import { quoteIdentifier } from '../postgres/identifiers.ts'
import { together } from '../postgres/together.ts'
import type { Version } from '../postgres/version.ts'

/** What a target is and what the account may do there: asked, never assumed (docs/polardb.md, "Detection"). */
export interface Target extends Version {
  /** `polar_version`, null on a server that is no PolarDB. */
  polardb: string | null
  /** The server has the role pg_polar_superuser. */
  hasPolarSuperuser: boolean
  /** Its grammar has (NO)POLAR_SUPERUSER. Having the role does not prove it. */
  knowsPolarSuperuser: boolean
  account: TargetAccount
  /** Extensions that PolarDB allows (`polar_supported_extensions`), null where it names none. */
  supportedExtensions: ReadonlySet<string> | null
}

export interface TargetAccount {
  name: string
  superuser: boolean
  /** A polar_superuser, directly or through another role, as the server itself decides. */
  polarSuperuser: boolean
  createRole: boolean
  createDatabase: boolean
  replication: boolean
  bypassRls: boolean
}

/**
 * Asks a connected target what it is. Works for any login, on stock PostgreSQL and every PolarDB. The grammar is asked
 * about by statements for a role that does not exist.
 */
export async function detectTarget(client: pg.Client): Promise<Target> {
  const version = await serverVersion(client)
  const [{ rows }, knowsPolarSuperuser, allowed] = await together(client, [
    () => readAccount(client),
    () => knowsRoleOption(client, 'NOPOLAR_SUPERUSER'),
    () => supportedExtensions(client),
  ])
  const [row] = rows
  if (!row) throw new Error('the target does not list the account that is connected')
  return {
    ...version,
    polardb: row.polardb,
    hasPolarSuperuser: row.has_polar_superuser,
    knowsPolarSuperuser,
    account: {
      name: row.name,
      superuser: row.superuser,
      polarSuperuser: row.polar_superuser,
      createRole: row.create_role || row.polar_superuser,
      createDatabase: row.create_database || row.polar_superuser,
      replication: row.replication,
      bypassRls: row.bypass_rls,
    },
    supportedExtensions: allowed,
  }
}

function readAccount(client: pg.Client) {
  return client.query<{
    polardb: string | null
    has_polar_superuser: boolean
    name: string
    superuser: boolean
    create_role: boolean
    create_database: boolean
    replication: boolean
    bypass_rls: boolean
    polar_superuser: boolean
  }>(`
    SELECT pg_catalog.current_setting('polar_version', true) AS polardb,
           p.oid IS NOT NULL AS has_polar_superuser,
           r.rolname AS name, r.rolsuper AS superuser, r.rolcreaterole AS create_role,
           r.rolcreatedb AS create_database, r.rolreplication AS replication, r.rolbypassrls AS bypass_rls,
           COALESCE(NOT r.rolsuper AND pg_catalog.pg_has_role(r.oid, p.oid, 'MEMBER'), false) AS polar_superuser
      FROM pg_catalog.pg_roles r
      LEFT JOIN pg_catalog.pg_roles p ON p.rolname = 'pg_polar_superuser'
     WHERE r.rolname = session_user`)
}

/** Whether the server's grammar has an option of ALTER ROLE. */
export async function knowsRoleOption(client: pg.Client, words: string): Promise<boolean> {
  return knowsStatement(client, (name) => `ALTER ROLE ${name} ${words}`)
}

/**
 * Whether the server can parse a statement. The role in it does not exist, so an answer that is no syntax error means that
 * it can.
 */
export async function knowsStatement(
  client: pg.Client,
  statement: (role: string) => string,
): Promise<boolean> {
  const name = quoteIdentifier(`no_such_role_${randomBytes(8).toString('hex')}`)
  try {
    await client.query(statement(name))
  } catch (error) {
    const sqlstate = sqlstateOf(error)
    if (sqlstate === '42601') return false
    // no such role, not allowed, or not in a read-only transaction: all of it comes after the grammar
    if (sqlstate !== '42704' && sqlstate !== '42501' && sqlstate !== '25006') throw error
  }
  return true
}

async function supportedExtensions(client: pg.Client): Promise<ReadonlySet<string> | null> {
  const { rows } = await client.query<{ list: string | null }>(
    `SELECT pg_catalog.current_setting('polar_supported_extensions', true) AS list`,
  )
  const list = rows[0]?.list
  if (!list) return null
  // one a line; names may be double-quoted
  return new Set(
    list
      .split(/[\n,]/)
      .map((name) => name.trim().replace(/^"(.*)"$/, '$1'))
      .filter(Boolean),
  )
}
