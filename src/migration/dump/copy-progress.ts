import type pg from 'pg'
import { sqlstateOf } from '../../postgres/errors.ts'
import type { StoredTable } from './parts.ts'

interface Copied {
  schema: string
  name: string
  rows: number
  bytes: number
}

/**
 * How far the tables of a database are that somebody copies from, as a share of their rows: only to foresee when that ends. Where
 * the rows were never counted it is the bytes sent by those of the storage, which says less.
 *
 * @param number `server_version_num`
 * @returns nothing of a server before 14, which has no pg_stat_progress_copy
 */
export async function copyShares(
  client: pg.Client,
  number: number,
  tables: readonly StoredTable[],
): Promise<[table: StoredTable, share: number][]> {
  if (number < 140_000) return []
  const copied = await readCopied(client)
  return copied.flatMap(({ schema, name, rows, bytes }): [StoredTable, number][] => {
    const table = tables.find((one) => one.schema === schema && one.name === name)
    if (!table || table.bytes === 0) return []
    return [[table, table.rows ? rows / table.rows : bytes / table.bytes]]
  })
}

async function readCopied(client: pg.Client): Promise<Copied[]> {
  try {
    const { rows } = await client.query<Copied>(`
      SELECT n.nspname AS schema, c.relname AS name, p.tuples_processed::pg_catalog.float8 AS rows,
             p.bytes_processed::pg_catalog.float8 AS bytes
        FROM pg_catalog.pg_stat_progress_copy p
        JOIN pg_catalog.pg_class c ON c.oid = p.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE p.datname = pg_catalog.current_database() AND p.command = 'COPY TO'`)
    return rows
  } catch (error) {
    // a server that refuses it costs the next part its early begin, and must not cost the session its other looks
    if (sqlstateOf(error) === undefined) throw error
    return []
  }
}
