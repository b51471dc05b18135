import type pg from 'pg'
import { closeSession, connect, serverVersion } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { together } from '../../postgres/together.ts'
import { readSequences, type SequenceState } from './rows/sequences.ts'

/** A transaction on the source that shows one moment to everybody who imports its snapshot. */
export interface ExportedSnapshot {
  /** For `pg_dump --snapshot` and for the fingerprint; null where the server cannot export one. */
  id: string | null
  /** Why there is none, in a sentence. */
  unavailable: string | null
  /** `server_version_num`. */
  server: number
  /** The session that is in this transaction. */
  client: pg.Client
  /** Sequences do not obey snapshots: their state at the moment of the export, before anything was dumped. */
  sequences: SequenceState[]
  /** Ends the transaction: nobody can import the snapshot any more. */
  close(): Promise<void>
}

/**
 * Opens a transaction on the source that exports its snapshot (`pg_export_snapshot`, 9.2 and newer; on a standby 10 and
 * newer; not on PolarDB 11) and holds it until `close`: dump, counts, digests all see this one moment, however the source is written to.
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
    const place = { connection, database, role: 'source' as const }
    const sequences = await readSequences(place, signal ?? new AbortController().signal)
    return { ...exported, server, client, sequences, close: () => closeSession(client) }
  } catch (error) {
    await closeSession(client)
    throw error
  }
}

/** Begins a transaction of one moment and exports its snapshot, where the server can. */
export async function exportFrom(
  client: pg.Client,
  server: number,
): Promise<{ id: string | null; unavailable: string | null }> {
  // asked before the transaction, which an answer that is an error would end
  const unavailable = await whyNoSnapshot(client, server)
  const begin = () => client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  if (unavailable !== null) {
    await begin()
    return { id: null, unavailable }
  }
  const [, snapshot] = await together(client, [
    begin,
    () => client.query<{ id: string }>('SELECT pg_catalog.pg_export_snapshot() AS id'),
  ])
  return { id: snapshot.rows[0]?.id ?? null, unavailable: null }
}

/** Why sessions of a server cannot share a snapshot, in a sentence; null where they can. */
async function whyNoSnapshot(client: pg.Client, server: number): Promise<string | null> {
  if (server < 90200) return 'PostgreSQL before 9.2 cannot export a snapshot'
  const [misreads, { rows }] = await together(client, [
    () => misreadsSnapshots(client, server),
    () => client.query<{ standby: boolean }>('SELECT pg_catalog.pg_is_in_recovery() AS standby'),
  ])
  if (misreads) {
    return 'this PolarDB misreads exported snapshots (polar_csn_enable): each session sees a moment of its own'
  }
  if (rows[0]?.standby && server < 100000) {
    return 'a standby before PostgreSQL 10 cannot export a snapshot'
  }
  return null
}

/**
 * PolarDB 11 writes the number of an exported snapshot in one notation and reads it in another, so that an import fails or
 * silently means an older moment (docs/polardb.md, "Exported snapshots"). It is known by its settings: a server of PolarDB
 * whose snapshots are made of commit sequence numbers is not trusted, nor is one that does not say whether they are.
 */
async function misreadsSnapshots(client: pg.Client, server: number): Promise<boolean> {
  if (server < 90600) return false
  const setting = async (name: string): Promise<string | null> => {
    try {
      const { rows } = await client.query<{ value: string | null }>(
        `SELECT pg_catalog.current_setting('${name}', true) AS value`,
      )
      return rows[0]?.value ?? null
    } catch (error) {
      // it exists, and the account may not see it
      if (sqlstateOf(error) === '42501') return 'hidden'
      throw error
    }
  }
  const polardb = await setting('polar_version')
  if (!polardb) return false
  const numbers = await setting('polar_csn_enable')
  return server < 120000 || polardb.startsWith('1.') || !(numbers === null || numbers === 'off')
}
