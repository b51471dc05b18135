import type pg from 'pg'
import * as v from 'valibot'
import { Failure } from '../../failure.ts'
import { serverVersion } from '../../postgres/connection.ts'
import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts'
import { roleSettings } from '../../postgres/roles/catalog.ts'
import { count, digits, jsonBy, list, matching, name } from '../kept/schema.ts'

/**
 * A schema that stands empty in a source database while it is frozen, and afterwards where a dump was made of it meanwhile. Its
 * comment says what the freeze has changed, so that whoever comes next can undo exactly that: it survives the runner.
 */
export const freezeSchema = 'migrate-to-polardb-freeze'

/** Makes the transactions of a session read-only unless they say otherwise (PostgreSQL, "Statement Behavior"). */
export const readOnlySetting = 'default_transaction_read_only'

/** What a boolean setting may be written as, prefixes included (PostgreSQL, "Setting Parameters", Boolean). */
const spellings = /^(t|tr|tru|true|y|ye|yes|on|1|f|fa|fal|fals|false|n|no|of|off|0)$/i

/** Whether a value of the setting lets a session write. */
export function letsWrite(value: string): boolean {
  return spellings.test(value) && /^(f|n|of|0)/i.test(value)
}

/** The value that was there before the freeze, null for none. */
const before = v.nullable(matching(spellings))
const uuid = matching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
const moment = matching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/)
const serverName = v.pipe(
  name,
  v.check((value) => Buffer.byteLength(value) <= 63, 'has more than 63 bytes'),
)

/** A target as it was when the migration had come to its end. */
const targetState = v.strictObject({
  /** OIDs and names may be taken again, but not both by chance. */
  oid: digits,
  name: serverName,
  /** Rows written to the tables of users, since when they are counted, and the number of the next transaction. */
  rows: digits,
  /** Rows written to its catalogs, which TRUNCATE and changes of definitions write; earlier versions did not note them. */
  definitions: v.exactOptional(digits),
  since: v.nullable(matching(/^\d{20}$/)),
  next: digits,
})
export type TargetState = v.InferOutput<typeof targetState>

/** A session of the run that froze: while it lives, so does the run. */
const holder = v.strictObject({ pid: count, began: matching(/^\d{20}$/) })
export type Holder = v.InferOutput<typeof holder>

/** Roles with a setting of their own that a mark has room for. */
export const mostRoles = 10_000

const frozen = v.strictObject({
  /** The run that froze, by a random id. */
  run: uuid,
  at: moment,
  holder,
  /** What the database's own setting was. */
  setting: before,
  /** What the settings of roles in this database were, of those that the freeze has changed. */
  roles: list(v.strictObject({ role: serverName, setting: before }), mostRoles),
  /** The dump that was sealed of it: while it can be restored, the source stays frozen. */
  dump: v.nullable(uuid),
  target: v.nullable(targetState),
})
export type Frozen = v.InferOutput<typeof frozen>

/** Strict: with a key that we do not write it is not ours, or of a later version. */
const freezeState = v.strictObject({
  format: v.literal(1),
  /** OID of the database: a copy of it (CREATE DATABASE … TEMPLATE) has the schema, but not the settings. */
  database: digits,
  frozen: v.nullable(frozen),
  /** Dumps after which the source was given back its writes. */
  revoked: list(v.strictObject({ dump: uuid, at: moment }), 100),
})
export type FreezeState = v.InferOutput<typeof freezeState>

/** What a database says of a freeze. */
export interface FreezeMark {
  /** Of the schema. */
  owner: string
  /**
   * The account itself wrote it, a superuser, or who has the rights of the database's owner: all may make this database read-only
   * anyway. Anybody who may create schemas in the database can make one of this name.
   */
  ours: boolean
  /** Nothing is in the schema. */
  empty: boolean
  /** Null where it is not ours, or does not read as what we write. */
  state: FreezeState | null
}

/**
 * Reads the mark of the database that a session is in.
 *
 * @param client a session on any server from 8.4 on
 * @returns null where there is no schema of that name
 */
export async function readFreezeMark(client: pg.Client): Promise<FreezeMark | null> {
  const { rows } = await client.query<{
    comment: string | null
    owner: string
    ours: boolean
    empty: boolean
    database: string
  }>(
    `SELECT pg_catalog.obj_description(n.oid, 'pg_namespace') AS comment, r.rolname AS owner,
            r.rolname = session_user OR pg_catalog.pg_has_role(r.oid, d.datdba, 'USAGE') AS ours, d.oid::pg_catalog.text AS database,
            NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend p
              WHERE p.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND p.refobjid = n.oid) AS empty
       FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
       JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
      WHERE n.nspname = ${quoteLiteral(freezeSchema)}`,
  )
  const [row] = rows
  if (!row) return null
  const { owner, ours, empty } = row
  const state = ours ? parseFreezeState(row.comment ?? '') : null
  // a copy of a frozen database is not frozen
  const copied = state !== null && state.database !== row.database
  return {
    ...{ owner, ours, empty },
    state: copied ? { format: 1, database: row.database, frozen: null, revoked: [] } : state,
  }
}

/** What the comment says; null unless it is exactly of the form that we write. */
export function parseFreezeState(comment: string): FreezeState | null {
  return jsonBy(freezeState, comment) ?? null
}

/**
 * Writes the state of the database that a session is in; within the caller's transaction, if there is one.
 *
 * @throws Failure where it could not be read again: what cannot be undone is not done
 */
export async function writeFreezeState(client: pg.Client, state: FreezeState): Promise<void> {
  const comment = JSON.stringify(state)
  if (parseFreezeState(comment) === null) {
    throw new Failure(
      'The database cannot be frozen in a way that could be undone',
      `What the freeze would change does not fit its mark: it has room for ${mostRoles} roles with a setting of their own, with names of 63 bytes that are UTF-8`,
      `Take the settings off roles that need none: ALTER ROLE … RESET ${readOnlySetting}, then run again`,
    )
  }
  const schema = quoteIdentifier(freezeSchema)
  const { rows } = await client.query(
    `SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = ${quoteLiteral(freezeSchema)}`,
  )
  if (rows.length === 0) await client.query(`CREATE SCHEMA ${schema}`)
  await client.query(`COMMENT ON SCHEMA ${schema} IS ${quoteLiteral(comment)}`)
}

/** The option of pg_dump that leaves the mark out, where it is one of ours: an empty schema of the name is nobody's loss. */
export function withoutMark(mark: FreezeMark | null): string[] {
  return mark?.state && mark.empty ? [`--exclude-schema="${freezeSchema}"`] : []
}

/** What is on while a database is frozen, as the server keeps it. */
export const on = 'on'

/**
 * The settings of a database and of roles in it as they were before the freeze. What somebody has changed since is as it is.
 *
 * @param mark of that database, null where it has none
 */
export function settingsBefore<T extends { role: string | null; name: string; value: string }>(
  settings: readonly T[],
  mark: FreezeMark | null,
): T[] {
  const frozen = mark?.state?.frozen
  if (!frozen) return [...settings]
  return settings.flatMap((setting) => {
    const { role, name, value } = setting
    if (name !== readOnlySetting || value !== on) return [setting]
    const changed =
      role === null ? frozen.setting : frozen.roles.find((one) => one.role === role)?.setting
    if (changed === undefined) return [setting]
    return changed === null ? [] : [{ ...setting, value: changed }]
  })
}

/** The setting as the server has it now, of the database and of roles. */
export interface ReadOnlySettings {
  database: string | null
  /** Of roles in this database. */
  inDatabase: ReadonlyMap<string, string>
  /** Of roles in all databases. */
  everywhere: ReadonlyMap<string, string>
}

/** Reads who is read-only by default in the database that a session is in. */
export async function readReadOnlySettings(client: pg.Client): Promise<ReadOnlySettings> {
  const { number } = await serverVersion(client)
  const { rows } = await client.query<{ here: boolean; role: string | null; value: string }>(
    `SELECT s.setdatabase <> 0 AS here, r.rolname AS role,
            pg_catalog.substr(s.entry, ${readOnlySetting.length + 2}) AS value
       FROM (SELECT setdatabase, setrole, pg_catalog.unnest(setconfig) AS entry
               FROM ${roleSettings(number)} AS stored) s
       JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
       LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
      WHERE s.entry LIKE '${readOnlySetting}=%' AND s.setdatabase IN (0, d.oid)
        AND (s.setrole = 0) = (r.oid IS NULL)`,
  )
  const of = (isHere: boolean) =>
    new Map(
      rows.flatMap(({ here, role, value }) =>
        here === isHere && role !== null ? [[role, value] as const] : [],
      ),
    )
  return {
    database: rows.find(({ here, role }) => here && role === null)?.value ?? null,
    inDatabase: of(true),
    everywhere: of(false),
  }
}

/** Roles whose own setting lets them write in a database that is read-only by default: a role's setting outranks it. */
export function writingRoles({ inDatabase, everywhere }: ReadOnlySettings): string[] {
  const names = new Set([...inDatabase.keys(), ...everywhere.keys()])
  return [...names]
    .filter((role) => letsWrite(inDatabase.get(role) ?? everywhere.get(role) ?? on))
    .sort()
}
