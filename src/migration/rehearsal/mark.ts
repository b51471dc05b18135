import type pg from 'pg'
import * as v from 'valibot'
import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts'
import { count, digits, flag, jsonBy, list, matching } from '../kept/schema.ts'
import { isRehearsalName, markLimit, markPattern, rehearsalDatabase } from './names.ts'

/**
 * The mark of a rehearsal: an empty database `<name>_0`, which nobody can connect to. It is there before anything else of the
 * rehearsal and goes last, so that whoever finds it knows what else there may be, however the run ended. Its comment says what.
 * Only its owner and superusers can make it look like this, and only what the account itself owns is taken for a mark: a database
 * that merely has such a name is nobody's to drop.
 */

/** Databases in a mark at most. */
const most = 10_000

/** Strict: with a key that we do not write it is not ours, or of a later version. */
const rehearsalState = v.strictObject({
  format: v.literal(1),
  rehearsal: v.pipe(matching(/^.{1,63}$/), v.check(isRehearsalName, 'is no name of a rehearsal')),
  /** When it began, in seconds of the server's clock. */
  at: count,
  databases: list(
    v.strictObject({
      number: count,
      /** Null from before it is created until it is known. */
      oid: v.nullable(digits),
    }),
    most,
  ),
  /** It came to its end and was left for a look. */
  kept: flag,
})
export type RehearsalState = v.InferOutput<typeof rehearsalState>

/** A mark that was found. */
export interface FoundMark {
  rehearsal: string
  /** `nothing`: the run ended before it made anything else. `unknown`: somebody has written over it. */
  state: RehearsalState | 'nothing' | 'unknown'
  /** Seconds since it began, by the server's clock; 0 where the mark does not say. */
  age: number
}

/** What the comment says; undefined unless it is exactly of the form that we write. */
export function parseMark(comment: string, rehearsal: string): RehearsalState | undefined {
  const state = jsonBy(rehearsalState, comment)
  return state?.rehearsal === rehearsal ? state : undefined
}

/**
 * Makes the mark, where an earlier try has not made it already.
 *
 * @param client a session of the target in a database that stays
 * @param numbers of the databases that are going to be made
 * @returns what it says
 */
export async function createMark(
  client: pg.Client,
  rehearsal: string,
  numbers: readonly number[],
): Promise<RehearsalState> {
  const database = rehearsalDatabase(rehearsal, 0)
  const { rowCount } = await client.query(
    'SELECT 1 FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) $1',
    [database],
  )
  if (!rowCount)
    await client.query(
      `CREATE DATABASE ${quoteIdentifier(database)} TEMPLATE template0 ALLOW_CONNECTIONS false CONNECTION LIMIT ${markLimit(database)}`,
    )
  const { rows } = await client.query<{ now: number }>(
    `SELECT pg_catalog.floor(pg_catalog.date_part('epoch', pg_catalog.now())) AS now`,
  )
  const state: RehearsalState = {
    format: 1,
    rehearsal,
    at: rows[0]?.now ?? 0,
    databases: numbers.map((number) => ({ number, oid: null })),
    kept: false,
  }
  await writeMark(client, state)
  return state
}

/** Writes what the mark says. */
export async function writeMark(client: pg.Client, state: RehearsalState): Promise<void> {
  const database = quoteIdentifier(rehearsalDatabase(state.rehearsal, 0))
  await client.query(`COMMENT ON DATABASE ${database} IS ${quoteLiteral(JSON.stringify(state))}`)
}

/** Removes the mark. */
export async function dropMark(client: pg.Client, rehearsal: string): Promise<void> {
  await client.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(rehearsalDatabase(rehearsal, 0))}`)
}

/** The marks of this account, oldest first. One whose dropping was interrupted has the limit -2 (PostgreSQL 15.4 and newer). */
export async function readMarks(client: pg.Client): Promise<FoundMark[]> {
  const { rows } = await client.query<{
    name: string
    limit: number
    comment: string | null
    now: number
  }>(
    `SELECT datname AS name, datconnlimit AS limit, pg_catalog.shobj_description(oid, 'pg_database') AS comment,
            pg_catalog.floor(pg_catalog.date_part('epoch', pg_catalog.now())) AS now
       FROM pg_catalog.pg_database
      WHERE datname::pg_catalog.text OPERATOR(pg_catalog.~) $1
        AND pg_catalog.pg_get_userbyid(datdba) OPERATOR(pg_catalog.=) session_user
      ORDER BY 1`,
    [markPattern],
  )
  return rows.flatMap(({ name, limit, comment, now }) => {
    const rehearsal = name.replace(/_0$/, '')
    const state = comment === null ? 'nothing' : (parseMark(comment, rehearsal) ?? 'unknown')
    const isOurs = limit === markLimit(name) || (limit === -2 && typeof state === 'object')
    if (!isOurs) return []
    return [{ rehearsal, state, age: typeof state === 'object' ? now - state.at : 0 }]
  })
}
