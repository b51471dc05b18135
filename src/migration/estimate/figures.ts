import { qualifiedName } from '../../postgres/identifiers.ts'
import type { Range } from '../../report/model.ts'
import { asText } from '../dump/compression.ts'
import { counted, guessed, halfPage, objectMessage } from './assumed.ts'
import type { DatabaseSizes, SizedTable } from './sizes.ts'
import type { SourceSample, TableSample } from './source-sample.ts'
import type { SpreadSample, StoredRows } from './spread-sample.ts'

/** One table in numbers: rows, bytes of its text and of that compressed. */
export interface TableFigures {
  table: SizedTable
  rows: number
  text: number
  compressed: number
  /** How far the truth may lie from `compressed`, as factors. */
  doubt: Range
  /** Seconds that the source and the connection take for all of it, and the compression. */
  read: number
  compress: number
}

/** Rows whose text is fewer bytes are compressed as badly as any few bytes, which says nothing of many. */
const enough = 64 * 1024

/** What each table holds: measured where it was looked into, and as the average of those otherwise. */
export function figuresOf(sizes: DatabaseSizes, source: SourceSample): TableFigures[] {
  const samples = [...source.tables.values()].flatMap((known) => [...known.values()])
  const all = samples.reduce<TableSample>(
    (one, other) => ({
      rows: one.rows + other.rows,
      bytes: one.bytes + other.bytes,
      compressed: one.compressed + other.compressed,
      seconds: one.seconds + other.seconds,
      compressing: one.compressing + other.compressing,
    }),
    // weighs nothing beside a sample, and says something where there is none
    { rows: 100, bytes: 10_000, compressed: 4000, seconds: 0.0002, compressing: 0.0001 },
  )
  const everywhere = together(samples.flatMap(({ spread }) => spread ?? []))
  const own = source.tables.get(sizes.name)
  return sizes.tables.map((table) => {
    const found = own?.get(qualifiedName(table.schema, table.name))
    const sample = found ?? all
    const spread = found?.spread ?? everywhere
    const {
      rows,
      text,
      compressed,
      least = text,
    } = spread
      ? bySpread(table, sample, spread, everywhere)
      : byWidth(table, sample, found !== undefined)
    const doubt = found ? counted : guessed
    // some kilobytes of a sample are too few to tell its speed
    const timed = found && found.bytes >= 256 * 1024 ? found : all
    return {
      table,
      rows,
      text,
      compressed,
      doubt: { ...doubt, low: (doubt.low * least) / Math.max(1, text) },
      read: (text * timed.seconds) / timed.bytes,
      compress: (text * timed.compressing) / timed.bytes,
    }
  })
}

/** With the fewest bytes of text that it may be: much of the table may be free space, which nothing but the number of its rows tells. */
type Text = Pick<TableFigures, 'rows' | 'text' | 'compressed'> & { least?: number }

/**
 * By what rows from all over the table take where they are stored, those in its blocks and those beyond apart: each stands for as much
 * of the table as there is of its kind, whatever share of the rows that is.
 */
function bySpread(
  table: SizedTable,
  sample: TableSample,
  spread: SpreadSample,
  everywhere: SpreadSample | undefined,
): Text {
  const { long, short } = spread
  const own = Math.max(0, table.bytes - table.longBytes - halfPage)
  const kept = (rows: StoredRows) =>
    rows.text >= enough ? rows.compressed / rows.text : sample.compressed / sample.bytes
  // a block counts as much as any other, and so do rows of it; one whose values are elsewhere has little of its block
  const inBlocks = (own * short.rows * short.times) / Math.max(1, short.rows + long.rows)
  const longRows = long.rows > 0 ? long : (everywhere?.long ?? long)
  // here a row counts by what it takes
  const beyond = table.longBytes * (longRows.rows > 0 ? longRows.text / longRows.stored : asText)
  const read = Math.max(1, short.rows + long.rows)
  const width = (short.stored + long.rows * pointed) / read
  const text = inBlocks + beyond
  return {
    rows: table.rows ?? Math.round(own / Math.max(1, width)),
    text,
    least: Math.min(text, (table.rows ?? text) * ((short.text + long.text) / read)),
    compressed: inBlocks * kept(short) + beyond * kept(longRows),
  }
}

/** Bytes that a row has in its block whose values are elsewhere. */
const pointed = 80

/** By how long rows are that were read from the beginning of the table. */
function byWidth(table: SizedTable, sample: TableSample, isOwn: boolean): Text {
  const width = sample.bytes / sample.rows
  // a row has a header of 28 bytes on its page ("Database Page Layout"), and no text
  const rows = table.rows ?? Math.round(table.bytes / (width + 28))
  // the last page is half empty, on average
  const text = isOwn ? rows * width : Math.max(0, table.bytes - rows * 28 - halfPage)
  return { rows, text, compressed: (text * sample.compressed) / sample.bytes }
}

function together(spreads: readonly SpreadSample[]): SpreadSample | undefined {
  if (spreads.length === 0) return undefined
  const of = (kind: keyof SpreadSample) =>
    spreads
      .map((spread) => spread[kind])
      .reduce((one, other) => ({
        rows: one.rows + other.rows,
        stored: one.stored + other.stored,
        text: one.text + other.text,
        times:
          (one.rows * one.times + other.rows * other.times) / Math.max(1, one.rows + other.rows),
        compressed: one.compressed + other.compressed,
      }))
  return { short: of('short'), long: of('long') }
}

export interface LargeObjects {
  count: number
  bytes: number
  compressed: Range
  messages: number
}

/** What they hold is known of some; how that compresses is not: they may be compressed already, or shrink as the rows do. */
export function largeObjectsOf(
  { name, largeObjects: { count, bytes: stored } }: DatabaseSizes,
  figures: readonly TableFigures[],
  source: SourceSample,
): LargeObjects {
  const text = sum(figures, 'text')
  const ratio = text > 0 ? sum(figures, 'compressed') / text : 0.5
  const sample = source.largeObjects.get(name)
  const held = sample && (sample.bytes / sample.count) * count
  const bytes = Math.max(stored, held ?? 0)
  const most = held === undefined ? stored * asText : Math.max(1.1 * stored, guessed.high * held)
  const compressed = {
    none: { low: held === undefined ? 0.9 * stored : guessed.low * bytes, high: most },
    // no repetition that the server has found is missed by these
    other: { low: stored * Math.min(0.1, ratio), high: stored * 1.1 },
  }
  return {
    count,
    bytes,
    compressed: source.method === 'none' ? compressed.none : compressed.other,
    messages: count + bytes / objectMessage,
  }
}

/** Bytes of a dump, as few or as many as they may be. */
export function sumOfDump(figures: readonly TableFigures[], side: keyof Range): number {
  return figures.reduce((all, { compressed, doubt }) => all + compressed * doubt[side], 0)
}

export function sum(
  figures: readonly TableFigures[],
  what: 'text' | 'compressed' | 'read',
): number {
  return figures.reduce((all, one) => all + one[what], 0)
}
