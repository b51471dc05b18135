import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import * as v from 'valibot'
import { Failure } from '../../../failure.ts'
import { quoteIdentifier, quoteLiteral } from '../../../postgres/identifiers.ts'
import { printable } from '../../../text/text.ts'
import { flag, jsonBy, list, matching, name } from '../../kept/schema.ts'
import { isTemporaryRole } from '../owners/login-role.ts'

/**
 * A schema that exists in the target database only while a restore is under way or interrupted. Its comment says of which
 * dump, and which rights the account has lent itself and must give back: it survives the runner.
 */
export const markSchema = 'migrate-to-polardb'

/** Names in a mark at most: a comment is no place to keep the server busy with. */
const mostNames = 100_000

/** Tables in a mark at most that are being loaded: each takes a job. */
const mostLoading = 1000

/** Whether a name may stand in a mark: none that a server can have is longer (NAMEDATALEN), unless its encoding is tighter than ours. */
export function fitsMark(name: string): boolean {
  return Buffer.byteLength(name) <= 63
}

/** A name that a server can have. */
const serverName = v.pipe(name, v.check(fitsMark, 'has more than 63 bytes'))

/** Strict: with a key that we do not write it is not ours, or of a later version. */
const restoreState = v.strictObject({
  /** Identifies the dump (see dumpIdentity). */
  dump: matching(/^[0-9a-f]{64}$/),
  /** Roles that the account was made a member of for the restore. */
  memberships: list(serverName, mostNames),
  /** Roles that were given CREATE on schemas, and on the database. */
  schemaGrants: list(v.strictObject({ role: serverName, schema: serverName }), mostNames),
  databaseGrants: list(serverName, mostNames),
  /** The role that loads (see Loader); null where the account does. */
  loader: v.nullable(v.pipe(serverName, v.check(isTemporaryRole, 'is no role of a restore'))),
  /** Objects have begun to go to their owners, so they are the loader's no longer. */
  owners: flag,
  /** Tables that may hold a part of their rows, since several transactions load them (see Ledger). */
  loading: v.exactOptional(
    list(v.strictObject({ schema: serverName, name: serverName }), mostLoading),
  ),
  /** The restore came to its end before: the database may be in use, and nothing in it is to be touched. */
  complete: v.exactOptional(v.literal(true)),
})
export type RestoreState = v.InferOutput<typeof restoreState>

/** Stands in the mark of a verification in the place of a dump (see verify/lend.ts). */
export const noDump = '0'.repeat(64)

/**
 * What tells one dump of a database from another: a digest of the table of contents of its first archive, which says of everything
 * what it is, and to the second when it was dumped. Of a dump in parts that archive is there before any row is, and so is this.
 *
 * @param archives of the database, in the order of their restore; those with rows alone may still be missing
 */
export async function dumpIdentity(archives: readonly string[]): Promise<string> {
  const [first] = archives
  if (first === undefined) throw new TypeError('a dump of a database has at least one archive')
  // in pieces: the table of contents of ten thousand tables has ten megabytes
  const digest = createHash('sha256')
  for await (const piece of createReadStream(join(first, 'toc.dat'))) digest.update(piece)
  return digest.digest('hex')
}

/** What a database says of a restore that was interrupted. */
export interface Mark {
  /** Of the schema. */
  owner: string
  /**
   * The account itself or a superuser wrote it. Anybody who may create schemas in the database can make one of this name, but
   * none that belongs to the account, and only an owner may change its comment.
   */
  ours: boolean
  /** Null where it does not read as what we write. */
  state: RestoreState | null
}

/** Reads the mark, null where there is none. Whatever it says was possibly written by somebody else: see Mark.ours. */
export async function readMark(client: pg.Client): Promise<Mark | null> {
  const { rows } = await client.query<{ comment: string | null; owner: string; ours: boolean }>(
    `SELECT pg_catalog.obj_description(n.oid, 'pg_namespace') AS comment, r.rolname AS owner,
            r.rolname = session_user OR r.rolsuper AS ours
       FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner WHERE n.nspname = $1`,
    [markSchema],
  )
  const [row] = rows
  if (!row) return null
  return {
    owner: row.owner,
    ours: row.ours,
    state: row.ours ? parseMark(row.comment ?? '') : null,
  }
}

/** The failure of a mark that somebody else made. */
export function notOurs({ owner }: Mark): Failure {
  return new Failure(
    `The schema "${markSchema}" of the target database is not the account's`,
    `It belongs to "${printable(owner)}", and a restore keeps there which rights the account has lent itself`,
    `Restore with the account that began, or drop the schema: DROP SCHEMA ${quoteIdentifier(markSchema)}`,
  )
}

/** What the comment says; null unless it is exactly of the form that we write. */
export function parseMark(comment: string): RestoreState | null {
  return jsonBy(restoreState, comment) ?? null
}

/**
 * As much of what a mark says as the server bears out, so that nothing is taken away that a restore cannot have given:
 * memberships of the account without ADMIN OPTION and in no predefined role but pg_read_all_data, which a verification lends (from
 * 16 on granted by the account itself; before, PolarDB grants in another role's name), and roles and schemas that exist.
 *
 * @param major of the target
 */
export async function borneOut(
  client: pg.Client,
  marked: RestoreState,
  major: number,
): Promise<RestoreState> {
  const { rows: members } = await client.query<{ name: string }>(
    `SELECT DISTINCT r.rolname AS name FROM pg_catalog.pg_auth_members m
       JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles a ON a.oid = m.member
      WHERE a.rolname = session_user AND NOT m.admin_option AND (r.rolname !~ '^pg_' OR r.rolname = 'pg_read_all_data')
            ${major >= 16 ? 'AND m.grantor = a.oid' : ''}`,
  )
  const { rows: roles } = await client.query<{ name: string }>(
    `SELECT rolname AS name FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'`,
  )
  const { rows: schemas } = await client.query<{ name: string }>(
    `SELECT nspname AS name FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'`,
  )
  const [isMember, isRole, isSchema] = [members, roles, schemas].map(
    (rows) => new Set(rows.map(({ name }) => name)),
  )
  return {
    ...marked,
    memberships: marked.memberships.filter((role) => isMember?.has(role)),
    databaseGrants: marked.databaseGrants.filter((role) => isRole?.has(role)),
    schemaGrants: marked.schemaGrants.filter(
      ({ role, schema }) => isRole?.has(role) && isSchema?.has(schema),
    ),
  }
}

/** Writes the mark: in one transaction, so that it is never there by halves. */
export async function writeMark(client: pg.Client, marked: RestoreState): Promise<void> {
  const schema = quoteIdentifier(markSchema)
  const { rowCount } = await client.query(
    'SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1',
    [markSchema],
  )
  // IF NOT EXISTS would still ask for CREATE on the database, which may belong to somebody else by now
  const create = rowCount ? '' : `CREATE SCHEMA ${schema}; `
  await client.query(
    `${create}COMMENT ON SCHEMA ${schema} IS ${quoteLiteral(JSON.stringify(marked))}`,
  )
}

export async function removeMark(client: pg.Client): Promise<void> {
  await client.query(`DROP SCHEMA IF EXISTS ${quoteIdentifier(markSchema)}`)
}
