// as a whole: a Node too old for zstd is told so elsewhere, and must get as far as that
import zlib from 'node:zlib'
import type pg from 'pg'
import { serverVersion, withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { copyOut } from '../../postgres/copy.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { qualifiedName } from '../../postgres/identifiers.ts'
import { isTable } from '../../postgres/only-tables.ts'
import type { Context } from '../context.ts'
import type { DatabaseSizes, SizedTable } from './sizes.ts'

/** How a dump is compressed, as far as it can be done here as well. */
export interface SampleCompression {
  method: 'none' | 'gzip' | 'lz4' | 'zstd'
  level: number | undefined
}

/** What a few rows of one table have shown: numbers alone, the rows themselves are not kept. */
export interface TableSample {
  rows: number
  /** As COPY writes them, and what is left of it after compression. */
  bytes: number
  compressed: number
  /** Seconds that the source and the connection took for them, and the compression here. */
  seconds: number
  compressing: number
}

/** What was measured of the source. */
export interface SourceSample {
  /** By database and then by `"schema"."table"`. */
  tables: ReadonlyMap<string, ReadonlyMap<string, TableSample>>
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
    const left = those.map(({ table }) => table)
    const known = new Map<string, TableSample>()
    tables.set(database, known)
    const read = async (client: pg.Client) => {
      if (roundTrip === Number.POSITIVE_INFINITY) roundTrip = await measureRoundTrip(client)
      await client.query(`SET statement_timeout = ${patience}`)
      // a session whose answer was cut off is none any more
      while (client.connection.stream.writable) {
        const table = left.shift()
        if (!table) return
        const sample = await sampleTable(client, table, compression, context)
        context.signal.throwIfAborted()
        if (sample) known.set(qualifiedName(table.schema, table.name), sample)
      }
    }
    while (left.length > 0) await withConnection(connection, { ...options, database }, read)
  }
  if (roundTrip === Number.POSITIVE_INFINITY)
    roundTrip = await withConnection(connection, options, measureRoundTrip)
  return { tables, roundTrip }
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
  const chunks: Buffer[] = []
  let [bytes, rows, first] = [0, 0, 0]
  let last = 0
  const take = (chunk: Buffer) => {
    last = performance.now()
    if (bytes === 0) first = last
    // a row that goes over the limit says as much as those before it
    if (bytes >= most) client.connection.stream.destroy(new Error('enough'))
    bytes += chunk.length
    rows += newlines(chunk)
    chunks.push(chunk)
  }
  const from = qualifiedName(table.schema, table.name)
  const { number } = await serverVersion(client)
  const statement = `COPY (SELECT * FROM ONLY ${from} WHERE ${isTable(from, number)} LIMIT ${limit}) TO STDOUT`
  const began = performance.now()
  try {
    await copyOut(client, statement, take)
  } catch (error) {
    context.signal.throwIfAborted()
    // what came in time, or within the limit, is a sample as well
    if (rows === 0 || !(bytes >= most || sqlstateOf(error) === '57014')) {
      if (sqlstateOf(error) === undefined) throw error
      // the account may not read it, or it is gone by now; the reason may quote what the table holds
      context.log.debug(`A table of the sample was passed over: ${sqlstateOf(error)}`)
      return undefined
    }
  }
  if (rows === 0) return undefined
  // the first row's way says nothing about speed, unless there is no other
  const seconds = Math.max(1e-6, (last - (last > first ? first : began)) / 1000)
  const raw = Buffer.concat(chunks)
  const compressedAt = performance.now()
  const compressed = compress(raw, compression)
  return {
    rows,
    bytes,
    compressed,
    seconds,
    compressing: (performance.now() - compressedAt) / 1000,
  }
}

/** Rows in the text format, where a line break in a value is written `\n` (PostgreSQL, "COPY", Text Format). */
function newlines(chunk: Buffer): number {
  let found = 0
  for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) found++
  return found
}

/** Bytes that are left. For lz4, which Node does not have, those of the quickest method that it has. */
function compress(raw: Buffer, { method, level }: SampleCompression): number {
  const { constants } = zlib
  switch (method) {
    case 'none':
      return raw.length
    case 'gzip':
      return zlib.deflateSync(raw, { level: level ?? constants.Z_DEFAULT_COMPRESSION }).length
    case 'lz4':
      return zlib.deflateSync(raw, { level: constants.Z_BEST_SPEED }).length
    case 'zstd': {
      const params = { [constants.ZSTD_c_compressionLevel]: level ?? constants.ZSTD_CLEVEL_DEFAULT }
      return zlib.zstdCompressSync(raw, { params }).length
    }
  }
}

/** What `--compress=…` asks of pg_dump, in the forms that compressionArguments writes. */
export function sampleCompression(argument: string): SampleCompression {
  const wish = argument.replace('--compress=', '')
  if (/^\d+$/.test(wish)) return { method: wish === '0' ? 'none' : 'gzip', level: Number(wish) }
  const [method = '', level] = wish.split(':')
  if (method !== 'gzip' && method !== 'lz4' && method !== 'zstd') {
    throw new TypeError(`unknown compression ${argument}`)
  }
  return { method, level: level === undefined ? undefined : Number(level) }
}
