import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type pg from 'pg'
import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts'
import { isTemporaryRole } from './login-role.ts'

/**
 * A schema that exists in the target database only while a restore is under way or interrupted. Its comment says of which
 * dump, and which rights the account has lent itself and must give back: it survives the runner.
 */
export const stateSchema = 'migrate-to-polardb'

export interface RestoreState {
  /** Identifies the dump (see dumpIdentity). */
  dump: string
  /** Roles that the account was made a member of for the restore. */
  memberships: string[]
  /** Roles that were given CREATE on schemas, and on the database. */
  schemaGrants: { role: string; schema: string }[]
  databaseGrants: string[]
  /** The role that loads (see Loader); null where the account does. */
  loader: string | null
  /** Objects have begun to go to their owners, so they are the loader's no longer. */
  owners: boolean
}

/** What tells one dump of a database from another: a digest of its archives' tables of contents. */
export async function dumpIdentity(archives: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const archive of archives) hash.update(await readFile(join(archive, 'toc.dat')))
  return hash.digest('hex')
}

/** The state of an interrupted restore, null where there is none. */
export async function readState(client: pg.Client): Promise<RestoreState | null> {
  const { rows } = await client.query<{ comment: string | null }>(
    `SELECT pg_catalog.obj_description(oid, 'pg_namespace') AS comment
       FROM pg_catalog.pg_namespace WHERE nspname = $1 AND pg_catalog.pg_has_role(session_user, nspowner, 'MEMBER')`,
    [stateSchema],
  )
  const [row] = rows
  if (!row) return null
  return parseState(row.comment ?? '')
}

/** What the comment says, as far as it is what we write: anybody who owns the schema may have changed it. */
export function parseState(comment: string): RestoreState {
  let value: unknown
  try {
    value = JSON.parse(comment)
  } catch {
    value = null
  }
  const root = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  const texts = (list: unknown) =>
    Array.isArray(list) ? list.filter((item): item is string => typeof item === 'string') : []
  const grants = Array.isArray(root.schemaGrants) ? (root.schemaGrants as unknown[]) : []
  return {
    dump: typeof root.dump === 'string' ? root.dump : '',
    memberships: texts(root.memberships),
    databaseGrants: texts(root.databaseGrants),
    loader: typeof root.loader === 'string' && isTemporaryRole(root.loader) ? root.loader : null,
    owners: root.owners === true,
    schemaGrants: grants.flatMap((item) => {
      const { role, schema } = (item ?? {}) as { role?: unknown; schema?: unknown }
      return typeof role === 'string' && typeof schema === 'string' ? [{ role, schema }] : []
    }),
  }
}

/** Writes the state: in one transaction, so that it is never there by halves. */
export async function writeState(client: pg.Client, state: RestoreState): Promise<void> {
  const schema = quoteIdentifier(stateSchema)
  const { rowCount } = await client.query(
    'SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1',
    [stateSchema],
  )
  // IF NOT EXISTS would still ask for CREATE on the database, which may belong to somebody else by now
  const create = rowCount ? '' : `CREATE SCHEMA ${schema}; `
  await client.query(
    `${create}COMMENT ON SCHEMA ${schema} IS ${quoteLiteral(JSON.stringify(state))}`,
  )
}

export async function removeState(client: pg.Client): Promise<void> {
  await client.query(`DROP SCHEMA IF EXISTS ${quoteIdentifier(stateSchema)}`)
}
