import type pg from 'pg'
import { messageOf } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { counted } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import type { Context } from '../context.ts'
import { retrying } from '../retry.ts'
import type { TargetState } from './mark.ts'
import { wait } from './sessions.ts'
import { definitionsWritten } from './writes.ts'

/** A database of the source that has arrived, and where. */
export interface ArrivedDatabase {
  source: string
  target: string
  connection: ConnectionParameters
}

/** Milliseconds between two readings that have to be equal: sessions that have ended hand in their counts within half a second. */
const settling = 700

/** Reads how much was written to the databases of a target by now, so that it can be said later what came after. */
export async function readTargets(
  databases: readonly ArrivedDatabase[],
  context: Context,
): Promise<Map<string, TargetState>> {
  const states = new Map<string, TargetState>()
  for (const { source, target, connection } of databases) {
    states.set(source, (await settledState(connection, target, context)).state)
  }
  return states
}

interface Reading {
  state: TargetState
  /** Sessions of others, which may not have handed in yet what they wrote. */
  others: number
}

async function settledState(
  connection: ConnectionParameters,
  database: string,
  context: Context,
): Promise<Reading> {
  const options = { database, role: 'target', readOnly: true, signal: context.signal } as const
  const read = () => retrying(context, () => withConnection(connection, options, readState))
  let before = await read()
  for (let tries = 0; tries < 8; tries++) {
    await wait(settling, context.signal)
    const now = await read()
    const { rows, definitions } = now.state
    if (rows === before.state.rows && definitions === before.state.definitions) return now
    before = now
  }
  return before
}

async function readState(client: pg.Client): Promise<Reading> {
  const { rows } = await client.query<TargetState & { others: number }>(`
    SELECT d.oid::pg_catalog.text AS oid, d.datname AS name,
           pg_catalog.to_char(s.stats_reset AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS') AS since,
           pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot())::pg_catalog.text AS next,
           ((SELECT COALESCE(pg_catalog.sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_catalog.pg_stat_user_tables
              WHERE schemaname !~ '^pg_(toast_)?temp_')
            + (SELECT COALESCE(pg_catalog.sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_catalog.pg_stat_sys_tables
                WHERE schemaname = 'pg_catalog' AND relname = 'pg_largeobject'))::pg_catalog.text AS rows,
           ${definitionsWritten}::pg_catalog.text AS definitions,
           (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_stat_activity a
             WHERE a.datname = d.datname AND a.pid <> pg_catalog.pg_backend_pid() AND a.usesysid IS NOT NULL) AS others
      FROM pg_catalog.pg_database d JOIN pg_catalog.pg_stat_database s ON s.datid = d.oid
     WHERE d.datname = pg_catalog.current_database()`)
  const [row] = rows
  if (!row) throw new Error('the server does not count for the database that is connected')
  const { others, ...state } = row
  return { state, others }
}

/** What became of a target since the cutover. */
export interface SinceCutover {
  database: string
  /** `unknown` counts as written. */
  written: boolean | 'unknown'
  /** In words, as a sentence without its end. */
  what: string
}

/**
 * Finds out whether anything was written to a target since the source was frozen for it.
 *
 * @param noted what the mark of the source says of the target, null where the cutover was made by another run, or never noted
 * @param source the database's name there
 */
export async function sinceCutover(
  noted: TargetState | null,
  source: string,
  connection: ConnectionParameters,
  context: Context,
): Promise<SinceCutover> {
  const name = noted?.name ?? source
  const shown = printable(name)
  const unknown = (why: string): SinceCutover => ({
    database: name,
    written: 'unknown',
    what: `whether "${shown}" was written to since the cutover is not known: ${why}`,
  })
  if (!noted) return unknown('nobody noted what was there at the cutover')
  let now: Reading
  try {
    now = await settledState(connection, name, context)
  } catch (error) {
    if (context.signal.aborted) throw error
    return unknown(messageOf(error))
  }
  const { state, others } = now
  if (state.oid !== noted.oid || state.name !== noted.name)
    return unknown('it is another database than the one that was filled')
  const more = BigInt(state.rows) - BigInt(noted.rows)
  if (state.since !== noted.since || more < 0n)
    return unknown('the server has begun to count anew since')
  if (more > 0n) {
    return {
      database: name,
      written: true,
      what: `"${shown}" was written to since the cutover: ${counted(Number(more), 'row')} inserted, updated or deleted`,
    }
  }
  if (state.next !== noted.next && state.definitions !== noted.definitions)
    return unknown(
      noted.definitions === undefined
        ? 'nobody noted at the cutover how often definitions had been changed'
        : 'definitions were changed since, as TRUNCATE and temporary tables do as well',
    )
  if (state.next !== noted.next && others > 0)
    return unknown(
      `${counted(others, 'session')} of others may not have handed in yet what they wrote`,
    )
  return {
    database: name,
    written: false,
    what: `nothing was written to "${shown}" since the cutover`,
  }
}
