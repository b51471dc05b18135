import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { Failure, messageOf } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { copyIn, copyOut } from '../../postgres/copy.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { quoteIdentifier } from '../../postgres/identifiers.ts'
import { together } from '../../postgres/together.ts'
import { rolledBack } from '../../postgres/tried.ts'
import type { Context } from '../context.ts'
import { measureRoundTrip } from './source-sample.ts'

/** Seconds that rows cost: each of them, and each byte of it as COPY writes it. */
export interface RowCost {
  row: number
  byte: number
}

/** What was measured of the target: without its log, and without anybody else's work. A lower bound therefore. */
export interface TargetSample {
  load: RowCost
  /** Rows read and written out as text: comparable with what a digest takes. */
  read: RowCost
  /** Seconds for a b-tree of so many rows with so many bytes an entry. */
  index: { seconds: number; rows: number; bytes: number }
  /** Seconds that ANALYZE takes for each value of the rows that it looks at. */
  analyze: number
  /** Seconds for a table with a primary key, among others in one message. */
  definition: number
  roundTrip: number
}

const narrowRows = 60_000
const narrowColumns = 5
const wideRows = 2000
/** Of a table that is larger (PostgreSQL, "ANALYZE": 300 for each of the hundred of default_statistics_target). */
export const analyzedRows = 30_000
const definitions = 20
/** Milliseconds for each statement: a target that is slower than that says so by it. */
const patience = 20_000

/**
 * Measures what rows, an index and definitions take on the target: temporary tables in one transaction that is rolled back,
 * filled with made-up rows.
 *
 * @returns why it could not be measured, where the target does not let the account have temporary tables, say
 * @throws Failure when the target cannot be reached; Cancelled
 */
export async function sampleTarget(
  connection: ConnectionParameters,
  context: Pick<Context, 'signal'>,
): Promise<TargetSample | string> {
  const options = { role: 'target', signal: context.signal } as const
  return await withConnection(connection, options, async (client) => {
    const roundTrip = await measureRoundTrip(client)
    return rolledBack(client, async () => {
      try {
        return { ...(await measure(client)), roundTrip }
      } catch (error) {
        context.signal.throwIfAborted()
        if (error instanceof Failure || sqlstateOf(error) === undefined) throw error
        return messageOf(error)
      }
    })
  })
}

async function measure(client: pg.Client): Promise<Omit<TargetSample, 'roundTrip'>> {
  const name = (what: string) =>
    `pg_temp.${quoteIdentifier(`estimate_${what}_${randomBytes(4).toString('hex')}`)}`
  const [narrow, wide] = [name('narrow'), name('wide')]
  await client.query(`
    SET LOCAL statement_timeout = ${patience};
    CREATE TEMPORARY TABLE ${narrow} (id pg_catalog.int8, customer pg_catalog.int4, at pg_catalog.timestamptz,
      amount pg_catalog.numeric, note pg_catalog.text) ON COMMIT DROP;
    CREATE TEMPORARY TABLE ${wide} (id pg_catalog.int8, body pg_catalog.text) ON COMMIT DROP`)
  const [narrowTexts, wideTexts] = [narrowLines(), wideLines()]
  const sizes = [narrowTexts, wideTexts].map((lines) => lines.reduce((sum, l) => sum + l.length, 0))
  const both = async (work: (table: string, lines: Buffer[]) => Promise<void>) =>
    costOf(
      {
        rows: narrowRows,
        bytes: sizes[0] ?? 0,
        seconds: await timed(() => work(narrow, narrowTexts)),
      },
      { rows: wideRows, bytes: sizes[1] ?? 0, seconds: await timed(() => work(wide, wideTexts)) },
    )
  const load = await both((table, lines) => copyIn(client, `COPY ${table} FROM STDIN`, lines))
  const read = await both((table) => copyOut(client, `COPY ${table} TO STDOUT`, () => {}))
  const seconds = await timed(() => client.query(`CREATE INDEX ON ${narrow} (id)`))
  const analyze = await timed(() => client.query(`ANALYZE ${narrow}`))
  const empty = Array.from({ length: definitions }, (_, made) => name(`empty_${made}`))
  const definition = await timed(() =>
    together(
      client,
      empty.map(
        (table) => () =>
          client.query(
            `CREATE TEMPORARY TABLE ${table} (id pg_catalog.int8 PRIMARY KEY, note pg_catalog.text) ON COMMIT DROP`,
          ),
      ),
    ),
  )
  return {
    load,
    read,
    // sixteen bytes of an entry and four of its pointer
    index: { seconds, rows: narrowRows, bytes: narrowRows * 20 },
    analyze: analyze / (analyzedRows * narrowColumns),
    definition: definition / definitions,
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return (performance.now() - began) / 1000
}

/** Two times of two shapes, as the cost of a row and of a byte; neither is less than nothing. */
export function costOf(
  narrow: { rows: number; bytes: number; seconds: number },
  wide: { rows: number; bytes: number; seconds: number },
): RowCost {
  const determinant = narrow.rows * wide.bytes - wide.rows * narrow.bytes
  const row = (narrow.seconds * wide.bytes - wide.seconds * narrow.bytes) / determinant
  const byte = (narrow.rows * wide.seconds - wide.rows * narrow.seconds) / determinant
  if (row >= 0 && byte >= 0) return { row, byte }
  if (row < 0) {
    const bytes = narrow.bytes + wide.bytes
    return { row: 0, byte: (narrow.seconds + wide.seconds) / bytes }
  }
  return { row: (narrow.seconds + wide.seconds) / (narrow.rows + wide.rows), byte: 0 }
}

/** In some sixteen pieces, so that no message is as small as a row. */
function piecesOf(rows: number, line: (row: number) => string): Buffer[] {
  const pieces: Buffer[] = []
  const each = Math.ceil(rows / 16)
  for (let from = 0; from < rows; from += each) {
    const count = Math.min(each, rows - from)
    pieces.push(Buffer.from(Array.from({ length: count }, (_, i) => line(from + i)).join('')))
  }
  return pieces
}

/** Numbers that look random and are the same in each run: an index on them is built in no order. */
const scattered = (row: number) => (row * 2_654_435_761) % 4_294_967_296

function narrowLines(): Buffer[] {
  return piecesOf(narrowRows, (row) => {
    const number = scattered(row)
    return `${number}\t${number % 10_000}\t2024-01-${String(1 + (row % 28)).padStart(2, '0')} 12:00:00+00\t${(number % 1_000_000) / 100}\tnote ${number.toString(36)}\n`
  })
}

function wideLines(): Buffer[] {
  return piecesOf(wideRows, (row) => {
    const words = Array.from({ length: 120 }, (_, word) => scattered(row * 120 + word).toString(36))
    return `${row}\t${words.join(' ')}\n`
  })
}
