import type pg from 'pg'
import { counted, formatBytes, formatRate, timeLeft } from '../../text/numbers.ts'

/** Bytes of each table's own storage by its name as pg_dump prints it, to weigh progress with. */
export interface TableSizes {
  tables: ReadonlyMap<string, number>
  total: number
}

/**
 * Reads the sizes of all tables that hold rows, as the last vacuum or analyze saw them: asking for exact ones would wait for
 * whoever has a table locked. They only weigh progress.
 */
export async function readTableSizes(client: pg.Client): Promise<TableSizes> {
  const { rows } = await client.query<{ name: string; bytes: string }>(`
    SELECT n.nspname || '.' || c.relname AS name,
           (c.relpages + COALESCE(t.relpages, 0) + 1)::bigint * pg_catalog.current_setting('block_size')::int AS bytes
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
     WHERE c.relkind = 'r'
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`)
  const tables = new Map(rows.map(({ name, bytes }) => [name, Number(bytes)]))
  return { tables, total: [...tables.values()].reduce((sum, bytes) => sum + bytes, 0) }
}

/** Reads the stderr of `pg_dump --verbose` to know which tables are done. */
export class DumpProgress {
  private readonly sizes: TableSizes
  private finished = 0
  private bytes = 0

  constructor(sizes: TableSizes) {
    this.sizes = sizes
  }

  read(line: string): void {
    // a worker says which table it begins; with -j the leader says which item is finished, without its schema
    const begun = /dumping contents of table "?(.*?)"?$/.exec(line)?.[1]
    if (begun !== undefined) {
      this.bytes += this.sizes.tables.get(begun.replaceAll('"', '')) ?? 0
    } else if (/finished item \d+ TABLE DATA /.test(line)) this.finished++
  }

  /** A table that has an archive of its own is done: pg_dump says nothing of it at its end. */
  end(bytes: number): void {
    this.finished++
    this.bytes += bytes
  }

  /** Tables done, bytes written, rate and time left, for a progress line. @param began milliseconds of performance.now() */
  parts(written: number, began: number): string[] {
    const seconds = (performance.now() - began) / 1000
    const { tables, total } = this.sizes
    const parts = [
      `${this.finished} of ${counted(tables.size, 'table')}`,
      `${formatBytes(written)} written`,
      ...(written > 0 ? [formatRate(written / seconds)] : []),
    ]
    // begun tables count whole: with many tables the error is small, with one table there is nothing better to say
    const left = this.finished > 0 ? timeLeft(Math.min(this.bytes, total), total, seconds) : ''
    if (left) parts.push(left)
    return parts
  }
}
