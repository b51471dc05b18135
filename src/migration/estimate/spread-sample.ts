import type pg from 'pg'
import { serverVersion } from '../../postgres/connection.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { qualifiedName, quoteIdentifier } from '../../postgres/identifiers.ts'
import { isTable } from '../../postgres/only-tables.ts'
import type { Context } from '../context.ts'
import { compress, readSome, type SampleCompression } from './sample-rows.ts'
import type { SizedTable } from './sizes.ts'

/** Rows as they are stored, compressed by TOAST or not, and as COPY writes them; bytes. */
export interface StoredRows {
  rows: number
  stored: number
  text: number
  /** So many times what it takes where it is stored a row is as text, on average. */
  times: number
  /** What is left of the text after compression. */
  compressed: number
}

/** What rows from all over a table have shown. */
export interface SpreadSample {
  /** Rows that are in the table's own blocks, and those with values that are elsewhere, since they are too long (TOAST). */
  short: StoredRows
  long: StoredRows
}

/** Blocks that are looked into, rows of them together, and bytes of those at most. */
const blocks = 32
const rowsInAll = 64
const most = 2 * 1024 * 1024

/** Bytes above which a row has values elsewhere (PostgreSQL source, TOAST_TUPLE_THRESHOLD). */
const toasted = 2040

/** Bytes of a row's header and of where its block points to it ("Database Page Layout"). */
const header = 28

/**
 * Reads a few rows from blocks all over a table, with the bytes that each takes where it is stored: what TOAST has compressed is not
 * so in a dump, bytea has two digits for each byte there, and those that were written first may be unlike the others.
 *
 * @param client whose statement_timeout is set
 * @returns undefined where nothing could be read
 */
export async function sampleSpread(
  client: pg.Client,
  table: SizedTable,
  compression: SampleCompression,
  context: Pick<Context, 'signal' | 'log'>,
): Promise<SpreadSample | undefined> {
  const from = qualifiedName(table.schema, table.name)
  const known = await readShape(client, from, context)
  if (!known || known.columns.length === 0) return undefined
  const { number } = await serverVersion(client)
  const stored = known.columns
    .map((column) => `COALESCE(pg_catalog.pg_column_size(t.${quoteIdentifier(column)}), 0)`)
    .join(' + ')
  const places = placesIn(known.blocks).join(',')
  const read = await readSome(
    client,
    `COPY (SELECT ${stored}, t.* FROM ONLY ${from} t WHERE ${isTable(from, number)} AND t.ctid = ANY ('{${places}}'::pg_catalog.tid[])) TO STDOUT`,
    most,
    context,
  )
  return read && split(read.raw, compression)
}

async function readShape(
  client: pg.Client,
  table: string,
  context: Pick<Context, 'signal' | 'log'>,
): Promise<{ columns: string[]; blocks: number } | undefined> {
  try {
    const { rows } = await client.query<{ column: string; blocks: string }>(
      `SELECT attname AS column,
              (pg_catalog.pg_relation_size(attrelid) / pg_catalog.current_setting('block_size')::pg_catalog.int8)::pg_catalog.text AS blocks
         FROM pg_catalog.pg_attribute
        WHERE attrelid = $1::pg_catalog.regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
      [table],
    )
    return { columns: rows.map(({ column }) => column), blocks: Number(rows[0]?.blocks ?? 0) }
  } catch (error) {
    context.signal.throwIfAborted()
    if (sqlstateOf(error) === undefined) throw error
    context.log.debug(`A table of the sample was passed over: ${sqlstateOf(error)}`)
    return undefined
  }
}

/** Where rows may be, evenly spread: what is not there is none. */
function placesIn(all: number): string[] {
  const count = Math.min(all, blocks)
  const each = Math.ceil(rowsInAll / Math.max(1, count))
  return Array.from({ length: count }, (_, index) =>
    Math.floor(((index + 0.5) * all) / count),
  ).flatMap((block) => Array.from({ length: each }, (_, offset) => `"(${block},${offset + 1})"`))
}

/** Sorts the rows by whether they have values elsewhere. */
function split(raw: Buffer, compression: SampleCompression): SpreadSample {
  const short: Buffer[] = []
  const long: Buffer[] = []
  const stored = { short: 0, long: 0 }
  const times = { short: 0, long: 0 }
  for (let at = 0; at < raw.length; ) {
    const found = raw.indexOf(10, at)
    const end = found < 0 ? raw.length : found + 1
    const line = raw.subarray(at, end)
    const tab = line.indexOf(9)
    const bytes = header + Number(line.toString('latin1', 0, tab))
    const kind = bytes > toasted ? 'long' : 'short'
    const text = line.subarray(tab + 1)
    stored[kind] += bytes
    times[kind] += text.length / bytes
    ;(kind === 'long' ? long : short).push(text)
    at = end
  }
  const of = (lines: Buffer[], kind: keyof SpreadSample): StoredRows => {
    const text = Buffer.concat(lines)
    return {
      rows: lines.length,
      stored: stored[kind],
      text: text.length,
      times: times[kind] / Math.max(1, lines.length),
      compressed: text.length === 0 ? 0 : compress(text, compression),
    }
  }
  return { short: of(short, 'short'), long: of(long, 'long') }
}
