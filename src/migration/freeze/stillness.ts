import { withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'

/** What a server counts of writes: in the whole cluster by transactions, in one database by rows. */
export interface Activity {
  /** The oldest transaction that was writing, and the next one's number: equal where nobody was. */
  oldest: string
  next: string
  /** Rows inserted, updated and deleted in tables of users, as far as statistics have come in. */
  rows: string
}

/** Whether nothing was written between two readings; `unknown` where the server was, and perhaps not this database. */
export type Stillness = boolean | 'unknown'

/**
 * Reads how much a server has written. Statistics of rows come in late on servers before 15; numbers of transactions do not.
 *
 * @throws Failure when the server cannot be asked; Cancelled
 */
export async function readActivity(
  connection: ConnectionParameters,
  database: string,
  role: 'source' | 'target',
  signal: AbortSignal,
): Promise<Activity> {
  return await withConnection(
    connection,
    { database, role, readOnly: true, signal },
    async (client) => {
      const { rows } = await client.query<Activity>(`
        SELECT pg_catalog.txid_snapshot_xmin(t.snapshot)::pg_catalog.text AS oldest,
               pg_catalog.txid_snapshot_xmax(t.snapshot)::pg_catalog.text AS next,
               (SELECT COALESCE(pg_catalog.sum(n_tup_ins + n_tup_upd + n_tup_del), 0)
                  FROM pg_catalog.pg_stat_user_tables WHERE schemaname !~ '^pg_(toast_)?temp_')::pg_catalog.text AS rows
          FROM (SELECT pg_catalog.txid_current_snapshot() AS snapshot) t`)
      const [row] = rows
      if (!row) throw new Error('the server did not tell its transactions')
      return row
    },
  )
}

/** Compares two readings of one database. */
export function stillness(before: Activity, after: Activity): Stillness {
  if (before.rows !== after.rows) return false
  // a transaction that writes has a number: none was running, and none was given since
  if (before.oldest === before.next && before.next === after.next) return true
  return 'unknown'
}
