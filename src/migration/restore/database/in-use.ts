import type pg from 'pg'
import { Failure } from '../../../failure.ts'
import { quoteLiteral } from '../../../postgres/identifiers.ts'
import { printable } from '../../../text/text.ts'

/** A transaction that was prepared in a database and is neither committed nor rolled back. */
export interface PreparedTransaction {
  gid: string
  owner: string
  of: string
}

export const preparedTransactions =
  'SELECT gid, owner, database AS of FROM pg_catalog.pg_prepared_xacts ORDER BY prepared'

/**
 * Why a database can be neither dropped nor renamed while transactions are prepared in it: no session shows them, and they outlive a
 * restart of the server (PostgreSQL source, CountOtherDBBackends).
 *
 * @param all of the server
 * @returns undefined where there is none in this database
 */
export function refusedForPrepared(
  name: string,
  all: readonly PreparedTransaction[],
): Failure | undefined {
  const own = all.filter(({ of }) => of === name)
  if (own.length === 0) return undefined
  const lines = own.map(({ gid }) => `ROLLBACK PREPARED ${quoteLiteral(gid)};`)
  const shown = own
    .slice(0, 5)
    .map(({ gid, owner }) => `${printable(quoteLiteral(gid))} by ${printable(owner)}`)
  return new Failure(
    `The database "${name}" can be neither dropped nor renamed`,
    `Transactions are prepared in it and left open: ${shown.join(', ')}${own.length > shown.length ? ', …' : ''}`,
    'End them in that database by COMMIT PREPARED or ROLLBACK PREPARED, then run again',
    { paste: lines.map(printable).join('\n') },
  )
}

/** @throws Failure where a transaction is prepared in the database */
export async function assertNonePrepared(client: pg.Client, name: string): Promise<void> {
  const { rows } = await client.query<PreparedTransaction>(preparedTransactions)
  const refused = refusedForPrepared(name, rows)
  if (refused) throw refused
}

/** Who keeps a database from being dropped or renamed, for a sentence; empty where that is nobody. */
export async function whoUses(client: pg.Client, name: string): Promise<string> {
  const { rows } = await client.query<{ who: string }>(
    `SELECT DISTINCT usename || COALESCE(' (' || NULLIF(application_name, '') || ')', '') AS who
       FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND usename IS NOT NULL
     UNION ALL
     SELECT 'the prepared transaction ' || pg_catalog.quote_literal(gid) FROM pg_catalog.pg_prepared_xacts WHERE database = $1`,
    [name],
  )
  return rows.map((row) => printable(row.who)).join(', ')
}
