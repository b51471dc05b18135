import type pg from 'pg'
import { Failure, messageOf } from '../../failure.ts'
import { connect, serverVersion, withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { quoteLiteral } from '../../postgres/identifiers.ts'
import { readSequences, type SequenceState } from './sequences.ts'

/** Where a fingerprint is taken, and how its messages call the place. */
export interface Place {
  connection: ConnectionParameters
  database: string
  role: 'source' | 'target'
}

/** A transaction on the source that shows one moment to everybody who imports its snapshot. */
export interface ExportedSnapshot {
  /** For `pg_dump --snapshot` and for the fingerprint; null where the server cannot export one. */
  id: string | null
  /** Why there is none, in a sentence. */
  unavailable: string | null
  /** `server_version_num`. */
  server: number
  /** Sequences do not obey snapshots: their state at the moment of the export, before anything was dumped. */
  sequences: SequenceState[]
  /** Ends the transaction: nobody can import the snapshot any more. */
  close(): Promise<void>
}

/** Everything that changes how a value or a definition reads, pinned (on top of what `connect` sets). */
const pinned: Record<string, string> = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '3',
  lc_monetary: 'C',
  lc_numeric: 'C',
  xmlbinary: 'base64',
  xmloption: 'content',
  quote_all_identifiers: 'off',
  client_min_messages: 'error',
}

/**
 * Opens a transaction on the source that exports its snapshot (`pg_export_snapshot`, 9.2 and newer; on a standby 10 and
 * newer) and holds it until `close`: dump, counts, digests all see this one moment, however the source is written to.
 *
 * @throws Failure when the server cannot be reached; a server that cannot export answers with `id: null` and the reason
 */
export async function exportSnapshot(
  connection: ConnectionParameters,
  database: string,
  signal?: AbortSignal,
): Promise<ExportedSnapshot> {
  const client = await connect(connection, {
    database,
    readOnly: true,
    role: 'source',
    ...(signal ? { signal } : {}),
  })
  try {
    const { number: server } = await serverVersion(client)
    const exported = await exportFrom(client, server)
    // in a session of its own: what the long transaction reads stays locked until its end
    const sequences = await withSession(
      { connection, database, role: 'source' },
      signal ?? new AbortController().signal,
      readSequences,
    )
    return { ...exported, server, sequences, close: () => client.end().catch(() => {}) }
  } catch (error) {
    await client.end().catch(() => {})
    throw error
  }
}

/** Begins a transaction of one moment and exports its snapshot, where the server can. */
export async function exportFrom(
  client: pg.Client,
  server: number,
): Promise<{ id: string | null; unavailable: string | null }> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  if (server < 90200) {
    return { id: null, unavailable: 'PostgreSQL before 9.2 cannot export a snapshot' }
  }
  const { rows } = await client.query<{ standby: boolean }>(
    'SELECT pg_catalog.pg_is_in_recovery() AS standby',
  )
  if (rows[0]?.standby && server < 100000) {
    return { id: null, unavailable: 'a standby before PostgreSQL 10 cannot export a snapshot' }
  }
  const snapshot = await client.query<{ id: string }>(
    'SELECT pg_catalog.pg_export_snapshot() AS id',
  )
  return { id: snapshot.rows[0]?.id ?? null, unavailable: null }
}

/**
 * Runs `work` in a session whose texts depend on no setting of the account, the database or the server, inside a
 * read-only transaction that sees one moment: that of the snapshot, where one is given.
 *
 * @throws Failure on a refused connection or a snapshot that is gone; Cancelled; whatever `work` throws
 */
export async function withSession<T>(
  place: Place,
  signal: AbortSignal,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const { connection, database, role } = place
  return withConnection(connection, { database, role, signal, readOnly: true }, async (client) => {
    await pin(client)
    return work(client)
  })
}

/** Begins a read-only transaction, of the snapshot's moment where one is given. */
export async function begin(client: pg.Client, snapshot: string | null): Promise<void> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  if (snapshot === null) return
  try {
    await client.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot)}`)
  } catch (error) {
    throw new Failure(
      'The moment that was to be verified is gone',
      messageOf(error),
      'The session that held it was ended: keep poolers, restarts and idle timeouts away from it, and run again',
      { cause: error, sqlstate: sqlstateOf(error) },
    )
  }
}

async function pin(client: pg.Client): Promise<void> {
  const names = Object.keys(pinned)
  const values = names.map((name) => `(${quoteLiteral(name)}, ${quoteLiteral(pinned[name] ?? '')})`)
  // joined with pg_settings: one statement for every major, whichever of these it knows
  await client.query(`
    SELECT pg_catalog.set_config(s.name, p.value, false)
      FROM pg_catalog.pg_settings s
      JOIN (VALUES ${values.join(', ')}) AS p(name, value) ON pg_catalog.lower(s.name) = pg_catalog.lower(p.name)`)
}
