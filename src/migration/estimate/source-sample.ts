import type pg from 'pg'
import { serverVersion, withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { qualifiedName } from '../../postgres/identifiers.ts'
import { isTable } from '../../postgres/only-tables.ts'
import type { Context } from '../context.ts'
import { type LargeObjectSample, sampleLargeObjects } from './large-object-sample.ts'
import { compress, newlines, readSome, type SampleCompression } from './sample-rows.ts'
import type { DatabaseSizes, SizedTable } from './sizes.ts'
import { type SpreadSample, sampleSpread } from './spread-sample.ts'

/** What a few rows of one table have shown: numbers alone, the rows themselves are not kept. */
export interface TableSample {
  rows: number
  /** As COPY writes them, and what is left of it after compression. */
  bytes: number
  compressed: number
  /** Seconds that the source and the connection took for them, and the compression here. */
  seconds: number
  compressing: number
  /** What rows from all over the table have shown of how long it is as text. */
  spread?: SpreadSample | undefined
}

/** What was measured of the source. */
export interface SourceSample {
  /** By database and then by `"schema"."table"`. */
  tables: ReadonlyMap<string, ReadonlyMap<string, TableSample>>
  /** By database, where there are any and they could be looked at. */
  largeObjects: ReadonlyMap<string, LargeObjectSample>
  /** How the dump is compressed. */
  method: SampleCompression['method']
  /** Seconds from a question to its answer. */
  roundTrip: number
}

/** Bytes of a table's rows at most, and a moment's worth more: one row may be a gigabyte. */
const most = 4 * 1024 * 1024
/** Milliseconds that one table may take: the snapshot that its rows are read in lasts no longer. */
const patience = 5000
/** Tables of a database, and of all databases together. */
const tablesEach = 4
const tablesInAll = 16

/**
 * Reads a few megabytes of the largest tables' rows, each table in a short statement of its own, and compresses them as the dump
 * would. Changes nothing. Tables with policies are passed over, since those are code of the database, and so is what cannot be
 * read: that is another check's business.
 *
 * @throws Failure when the source cannot be reached; Cancelled
 */
export async function sampleSource(
  connection: ConnectionParameters,
  databases: readonly DatabaseSizes[],
  compression: SampleCompression,
  context: Pick<Context, 'signal' | 'log'>,
): Promise<SourceSample> {
  const chosen = databases
    .flatMap((database) =>
      database.tables
        .filter(({ secured, isView, bytes }) => !secured && !isView && bytes > 0)
        .slice(0, tablesEach)
        .map((table) => ({ database: database.name, table })),
    )
    .sort((a, b) => b.table.bytes - a.table.bytes)
    .slice(0, tablesInAll)
  const tables = new Map<string, Map<string, TableSample>>()
  const options = { role: 'source', readOnly: true, signal: context.signal } as const
  let roundTrip = Number.POSITIVE_INFINITY
  for (const [database, those] of Map.groupBy(chosen, ({ database }) => database)) {
    const left = those.flatMap(({ table }) => [
      async (client: pg.Client) => {
        const sample = await sampleTable(client, table, compression, context)
        if (sample) known.set(qualifiedName(table.schema, table.name), sample)
      },
      async (client: pg.Client) => {
        const sample = known.get(qualifiedName(table.schema, table.name))
        if (sample) sample.spread = await sampleSpread(client, table, compression, context)
      },
    ])
    const known = new Map<string, TableSample>()
    tables.set(database, known)
    const read = async (client: pg.Client) => {
      if (roundTrip === Number.POSITIVE_INFINITY) roundTrip = await measureRoundTrip(client)
      await client.query(`SET statement_timeout = ${patience}`)
      // a session whose answer was cut off is none any more
      while (client.connection.stream.writable) {
        const next = left.shift()
        if (!next) return
        await next(client)
        context.signal.throwIfAborted()
      }
    }
    while (left.length > 0) await withConnection(connection, { ...options, database }, read)
  }
  if (roundTrip === Number.POSITIVE_INFINITY)
    roundTrip = await withConnection(connection, options, measureRoundTrip)
  const largeObjects = new Map<string, LargeObjectSample>()
  for (const { name: database, largeObjects: all } of databases) {
    const look = (client: pg.Client) => sampleLargeObjects(client, all.count, patience)
    const sample =
      all.count > 0 && (await withConnection(connection, { ...options, database }, look))
    if (sample) largeObjects.set(database, sample)
  }
  return { tables, largeObjects, roundTrip, method: compression.method }
}

/** The quickest of three answers to a question that is none. */
export async function measureRoundTrip(client: pg.Client): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 3; round++) {
    const began = performance.now()
    await client.query('SELECT 1')
    best = Math.min(best, (performance.now() - began) / 1000)
  }
  return best
}

/** @returns undefined where the table has no rows, or cannot be read */
async function sampleTable(
  client: pg.Client,
  table: SizedTable,
  compression: SampleCompression,
  context: Pick<Context, 'signal' | 'log'>,
): Promise<TableSample | undefined> {
  const width = table.rows ? table.bytes / table.rows : 100
  const limit = Math.max(1, Math.ceil(most / Math.max(10, width)))
  const from = qualifiedName(table.schema, table.name)
  const { number } = await serverVersion(client)
  const statement = `COPY (SELECT * FROM ONLY ${from} WHERE ${isTable(from, number)} LIMIT ${limit}) TO STDOUT`
  const read = await readSome(client, statement, most, context)
  if (!read) return undefined
  const compressedAt = performance.now()
  const compressed = compress(read.raw, compression)
  return {
    rows: newlines(read.raw),
    bytes: read.raw.length,
    compressed,
    seconds: read.seconds,
    compressing: (performance.now() - compressedAt) / 1000,
  }
}
