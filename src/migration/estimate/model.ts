import type { DatabaseEstimate, EstimatedPhase, Range } from '../../report/model.ts'
import { partSizes } from '../dump/part-sizes.ts'
import {
  analyzing,
  answering,
  askedForObject,
  described,
  digest,
  encrypting,
  filling,
  foreignKey,
  loading,
  otherKind,
  slowness,
  start,
  unmeasured,
  uploading,
} from './assumed.ts'
import {
  figuresOf,
  type LargeObjects,
  largeObjectsOf,
  sum,
  sumOfDump,
  type TableFigures,
} from './figures.ts'
import type { DatabaseSizes, SizedTable } from './sizes.ts'
import type { SourceSample } from './source-sample.ts'
import { analyzedRows, type RowCost, type TargetSample } from './target-sample.ts'

/** What the arithmetic goes by; times in seconds. */
export interface Basis {
  source: SourceSample
  /** Null where there is no target, or it could not be measured. */
  target: TargetSample | null
  /** Sessions that dump, that restore, and that read the source and the target for the proof. */
  jobs: { dump: number; restore: number; fingerprint: number }
  /** What pg_dump took for the definitions alone, by database, where it was run. */
  schemaSeconds?: ReadonlyMap<string, number>
  verify: 'none' | 'counts' | 'data'
  analyze: boolean
  /** A large database is restored while it is dumped. */
  isEarly: boolean
  /** Null where the dump is not kept as an artifact. */
  upload: { encrypted: boolean } | null
}

/** The work of several sessions: no less than its longest piece, and no less than its share. */
export function together(pieces: readonly number[], jobs: number): number {
  let [sum, longest] = [0, 0]
  for (const piece of pieces) {
    sum += piece
    longest = Math.max(longest, piece)
  }
  return Math.max(longest, sum / Math.max(1, jobs))
}

/**
 * What each phase of one database's migration will take, and how large its dump will be, from sizes and measured samples.
 * The low end takes every session for a processor of its own and nobody else at work; the high end half of that.
 */
export function estimateDatabase(sizes: DatabaseSizes, basis: Basis): DatabaseEstimate {
  const figures = figuresOf(sizes, basis.source)
  const tables = figures.filter(({ table }) => !table.isView)
  const large = largeObjectsOf(sizes, figures, basis.source)
  const dumpBytes = {
    low: sumOfDump(tables, 'low') + large.compressed.low,
    high: sumOfDump(tables, 'high') + large.compressed.high + 2000 * sizes.objects,
  }
  const dump = dumpSeconds(sizes, tables, large, basis)
  const [restore, indexes] = restoreSeconds(sizes, figures, large, basis)
  const phases: EstimatedPhase[] = [
    { name: 'dump', seconds: dump },
    { name: 'restore', seconds: restore },
    { name: 'indexes', seconds: indexes },
  ]
  if (basis.analyze) phases.push({ name: 'analyze', seconds: analyzeSeconds(figures, basis) })
  if (basis.verify !== 'none')
    phases.push({ name: 'verify', seconds: verifySeconds(sizes, figures, large, basis) })
  if (basis.upload) phases.push({ name: 'upload', seconds: uploadSeconds(dumpBytes, basis.upload) })
  const seconds = totalOf(phases, basis.isEarly && sizes.bytes >= partSizes.database)
  return { name: sizes.name, bytes: sizes.bytes, dumpBytes, seconds, phases }
}

/**
 * All phases one after the other, but for the upload, which runs beside what comes after the dump.
 *
 * @param isEarly the restore may begin while the dump goes on: at the low end the shorter of the two costs nothing
 */
export function totalOf(phases: readonly EstimatedPhase[], isEarly = false): Range {
  const end = (side: keyof Range) => {
    const of = (...names: EstimatedPhase['name'][]) =>
      phases
        .filter(({ name }) => names.includes(name))
        .reduce((all, { seconds }) => all + seconds[side], 0)
    const beside = isEarly && side === 'low' ? Math.min(of('dump'), of('restore', 'indexes')) : 0
    const rest = of('restore', 'indexes', 'analyze', 'verify') - beside
    return of('dump') + Math.max(of('upload'), rest)
  }
  return { low: end('low'), high: end('high') }
}

function dumpSeconds(
  sizes: DatabaseSizes,
  tables: readonly TableFigures[],
  large: LargeObjects,
  { source, jobs, schemaSeconds, verify }: Basis,
): Range {
  const { roundTrip } = source
  const schema = schemaSeconds?.get(sizes.name)
  const objects = {
    low: schema ?? sizes.objects * described.low,
    high: (schema ?? sizes.objects * described.high) * 1.5,
  }
  const speed = sum(tables, 'text') > 0 ? sum(tables, 'read') / sum(tables, 'text') : 2e-8
  const blobs =
    (askedForObject.dump * large.count + large.messages) * (roundTrip + 0.00003) +
    large.bytes * speed
  // reading and compressing go on at the same time at best, one after the other at worst
  const low =
    0.5 *
    together(
      [...tables.map((one) => Math.max(one.read, one.compress)), 2 * answering.low * blobs],
      jobs.dump,
    )
  const high = together(
    [
      ...tables.map((one) => one.read + one.compress + 3 * roundTrip + 0.001),
      answering.high * blobs,
    ],
    jobs.dump / 2,
  )
  if (verify !== 'data')
    return { low: start.dump.low + objects.low + low, high: start.dump.high + objects.high + high }
  // the fingerprint is read beside it, from the same server
  const reads = [...tables.map(({ read }) => read), large.bytes * speed]
  const proof = {
    low: sizes.objects * described.low + together(reads, jobs.fingerprint) * digest.low,
    high: sizes.objects * described.high + together(reads, jobs.fingerprint) * digest.high,
  }
  return {
    low: start.dump.low + objects.low + Math.max(low, proof.low),
    high:
      start.dump.high +
      objects.high +
      Math.max(high, proof.high) +
      0.5 * Math.min(high, proof.high),
  }
}

/** Loading, and then what the indexes add to it: they are built beside it as soon as their table is there. */
function restoreSeconds(
  sizes: DatabaseSizes,
  figures: readonly TableFigures[],
  large: LargeObjects,
  { target, jobs }: Basis,
): [restore: Range, indexes: Range] {
  const sample = target ?? unmeasured
  const doubt = target ? 1 : 3
  const schema = sizes.objects * sample.definition
  const blobs =
    (askedForObject.restore * large.count + large.messages) * (sample.roundTrip + 0.00005) +
    large.bytes * sample.load.byte
  const end = (side: keyof Range) => {
    const [times, share] =
      side === 'low' ? [loading.low, jobs.restore] : [loading.high * doubt, jobs.restore / 2]
    const loads = figures.map(
      ({ table, rows, text }) =>
        costs(sample.load, rows, text) * times * (table.isView ? filling[side] : 1),
    )
    const builds = figures.map(({ table, rows }) =>
      table.indexes.map(
        (index) => indexSeconds(sample, index, { rows, bytes: table.bytes }, side) * times,
      ),
    )
    const keys = figures.map(
      ({ table, rows }) =>
        table.foreignKeys *
        foreignKey *
        indexSeconds(sample, { method: 'btree', bytes: rows * 20 }, { rows, bytes: 0 }, side) *
        times,
    )
    const base = start.restore[side] + schema * (side === 'low' ? 0.3 : 2)
    const loaded = together([...loads, blobs * answering[side]], share)
    // the longest way is a table's load and then its slowest index
    const ways = figures.map(
      (_, i) => (loads[i] ?? 0) + Math.max(0, ...(builds[i] ?? []), keys[i] ?? 0),
    )
    const all = [...loads, blobs * answering[side], ...builds.flat(), ...keys]
    const whole = Math.max(together(all, share), ...ways)
    return { loaded: base + loaded, added: whole - loaded }
  }
  const [low, high] = [end('low'), end('high')]
  return [
    { low: low.loaded, high: high.loaded },
    { low: low.added, high: Math.max(low.added, high.added) },
  ]
}

/** Sorting takes a row the longer the more of them there are, and the wider its key is. */
export function indexSeconds(
  { index }: Pick<TargetSample, 'index'>,
  { method, bytes }: SizedTable['indexes'][number],
  table: { rows: number; bytes: number },
  side: keyof Range,
): number {
  const { rows } = table
  const each = index.seconds / index.rows
  if (method === 'btree') {
    const sorting = Math.log2(Math.max(2, rows)) / Math.log2(index.rows)
    const width = Math.max(1, Math.sqrt(bytes / Math.max(1, rows) / (index.bytes / index.rows)))
    return rows * each * Math.max(0.3, sorting) * width
  }
  const perByte = index.seconds / index.bytes
  // a summary of blocks is small, and reads all of the table
  const read = method === 'brin' ? table.bytes / 20 : 0
  return (bytes + read) * perByte * (slowness[method] ?? otherKind)[side]
}

function analyzeSeconds(figures: readonly TableFigures[], { target, jobs }: Basis): Range {
  const sample = target ?? unmeasured
  const each = (side: keyof Range) =>
    figures.map(
      ({ table, rows }) =>
        analyzing[side] + Math.min(rows, analyzedRows) * table.columns * sample.analyze,
    )
  return {
    low: start.analyze.low + together(each('low'), jobs.restore) * 0.5,
    high: start.analyze.high + together(each('high'), jobs.restore / 2) * (target ? 2 : 4),
  }
}

function verifySeconds(
  sizes: DatabaseSizes,
  figures: readonly TableFigures[],
  large: LargeObjects,
  { target, jobs, verify }: Basis,
): Range {
  const sample = target ?? unmeasured
  const rows = figures.map((one) =>
    // a count reads the pages, and makes no text
    verify === 'data' ? costs(sample.read, one.rows, one.text) : one.rows * 5e-8,
  )
  const blobs =
    verify === 'data'
      ? large.count * askedForObject.verify * 0.00005 + large.bytes * sample.read.byte
      : 0
  const all = [...rows, blobs]
  return {
    low:
      start.verify.low + sizes.objects * described.low + together(all, jobs.restore) * digest.low,
    high:
      start.verify.high +
      sizes.objects * described.high +
      together(all, jobs.restore / 2) * digest.high * (target ? 1 : 3),
  }
}

function uploadSeconds(bytes: Range, { encrypted }: { encrypted: boolean }): Range {
  const end = (side: keyof Range) =>
    bytes[side] / uploading[side] + (encrypted ? bytes[side] / encrypting[side] : 0)
  return { low: 0.5 + end('low'), high: 3 + end('high') }
}

function costs({ row, byte }: RowCost, rows: number, bytes: number): number {
  return rows * row + bytes * byte
}
