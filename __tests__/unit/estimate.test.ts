import { describe, expect, test } from '@jest/globals'
import { estimateChecks, leavesOut } from '../../src/migration/estimate/answers.ts'
import { databasesJson } from '../../src/migration/estimate/estimate.ts'
import {
  type Basis,
  estimateDatabase,
  indexSeconds,
  together,
  totalOf,
} from '../../src/migration/estimate/model.ts'
import { sampleCompression } from '../../src/migration/estimate/sample-rows.ts'
import type { DatabaseSizes, SizedTable } from '../../src/migration/estimate/sizes.ts'
import type { TableSample } from '../../src/migration/estimate/source-sample.ts'
import { costOf, type TargetSample } from '../../src/migration/estimate/target-sample.ts'
import { artifactsFor } from '../../src/migration/kept/upload-limits.ts'
import type { Estimate } from '../../src/report/model.ts'
import { formatDuration, formatRange } from '../../src/text/numbers.ts'

const GiB = 1024 ** 3

const table = (changes: Partial<SizedTable> = {}): SizedTable => ({
  schema: 'public',
  name: 'orders',
  isView: false,
  bytes: 130_000_000,
  longBytes: 0,
  rows: 1_000_000,
  columns: 4,
  secured: false,
  indexes: [],
  foreignKeys: 0,
  ...changes,
})

const sizesOf = (...tables: SizedTable[]): DatabaseSizes => ({
  name: 'shop',
  bytes: 2e8,
  tables,
  objects: 10,
  largeObjects: { count: 0, bytes: 0 },
})

const target: TargetSample = {
  load: { row: 1e-6, byte: 0 },
  read: { row: 1e-6, byte: 0 },
  index: { seconds: 0.06, rows: 60_000, bytes: 1_200_000 },
  analyze: 1e-6,
  definition: 0.001,
  roundTrip: 0.001,
}

/** Rows of 100 bytes, a tenth of them left, a million rows in a second. */
const sample = { rows: 10_000, bytes: 1e6, compressed: 1e5, seconds: 0.01, compressing: 0.005 }

const basis: Basis = {
  source: {
    tables: new Map([['shop', new Map([['"public"."orders"', sample]])]]),
    largeObjects: new Map(),
    roundTrip: 0,
    method: 'zstd',
  },
  target,
  jobs: { dump: 4, restore: 4, fingerprint: 2 },
  verify: 'data',
  analyze: true,
  isEarly: false,
  upload: null,
}

const phase = (sizes: DatabaseSizes, name: string, changes: Partial<Basis> = {}) => {
  const found = estimateDatabase(sizes, { ...basis, ...changes }).phases.find(
    (one) => one.name === name,
  )
  if (!found) throw new Error(`no phase ${name}`)
  return found.seconds
}

describe('the arithmetic', () => {
  test('several sessions take no less than the longest piece, and no less than their share', () => {
    expect(together([4, 1, 1], 2)).toBe(4)
    expect(together([2, 2, 2, 2], 2)).toBe(4)
    expect(together([3], 0.5)).toBe(3)
    expect(together([], 4)).toBe(0)
  })

  test('two shapes of rows tell what a row and what a byte costs', () => {
    const cost = { row: 2e-6, byte: 3e-9 }
    const shape = (rows: number, bytes: number) => ({
      rows,
      bytes,
      seconds: rows * cost.row + bytes * cost.byte,
    })
    const found = costOf(shape(60_000, 3_000_000), shape(2000, 2_000_000))
    expect(found.row).toBeCloseTo(cost.row, 9)
    expect(found.byte).toBeCloseTo(cost.byte, 12)
  })

  test('no cost is less than nothing, whatever a busy machine has measured', () => {
    for (const [narrow, wide] of [
      [0.001, 1],
      [1, 0.001],
    ] as const) {
      const found = costOf(
        { rows: 60_000, bytes: 3e6, seconds: narrow },
        { rows: 2000, bytes: 2e6, seconds: wide },
      )
      expect(found.row).toBeGreaterThanOrEqual(0)
      expect(found.byte).toBeGreaterThanOrEqual(0)
      expect(found.row + found.byte).toBeGreaterThan(0)
    }
  })

  test('a dump is as large as its tables compress', () => {
    const { dumpBytes } = estimateDatabase(sizesOf(table()), basis)
    // a million rows of a hundred bytes, a tenth of it left
    expect(dumpBytes.low).toBeLessThanOrEqual(1e7)
    expect(dumpBytes.high).toBeGreaterThanOrEqual(1e7)
    expect(dumpBytes.high).toBeLessThan(1.5e7)
  })

  test('rows that nobody has counted are guessed from bytes, and a table that nobody has sampled from the others', () => {
    const known = estimateDatabase(sizesOf(table()), basis).dumpBytes.high
    const guessed = estimateDatabase(sizesOf(table({ rows: null })), basis).dumpBytes.high
    expect(guessed / known).toBeGreaterThan(0.9)
    expect(guessed / known).toBeLessThan(1.1)
    const other = estimateDatabase(sizesOf(table({ name: 'other' })), basis).dumpBytes
    expect(other.high / known).toBeGreaterThan(1)
    expect(other.low / known).toBeLessThan(1)
  })

  test('a table is as much text as its rows are so many times what they take where they are stored', () => {
    const rows = (changes: object) => ({
      ...{ rows: 0, stored: 0, text: 0, times: 0, compressed: 0 },
      ...changes,
    })
    // half of the rows are short, as long as they are stored, and half of them are ten times so long and stored elsewhere
    const spread = {
      short: rows({ rows: 10, stored: 1000, text: 1000, times: 1 }),
      long: rows({ rows: 10, stored: 30_000, text: 300_000, times: 10, compressed: 30_000 }),
    }
    const of = (found: Partial<TableSample>, changes: Partial<SizedTable>) =>
      estimateDatabase(sizesOf(table({ longBytes: 1e8, rows: null, ...changes })), {
        ...basis,
        source: {
          ...basis.source,
          method: 'none',
          tables: new Map([
            ['shop', new Map([['"public"."orders"', { ...sample, compressed: 1e6, ...found }]])],
          ]),
        },
      }).dumpBytes
    const { low, high } = of({ spread }, {})
    // a tenth of what is elsewhere is left of it, which is a hundred million bytes again, and half of 30 million in its blocks
    expect(low).toBeLessThan(115e6)
    expect(high).toBeGreaterThan(115e6)
    expect(high / low).toBeLessThan(2)
    // nobody has seen what is elsewhere
    expect(of({ spread: { ...spread, long: rows({}) } }, {}).high).toBeGreaterThan(400e6)
    // free space is no text
    expect(of({ spread }, { rows: 100 }).low).toBeLessThan(2e6)
  })

  test('large objects hold more than is stored of them', () => {
    const sizes = { ...sizesOf(), largeObjects: { count: 100, bytes: 1e6 } }
    const of = (method: 'none' | 'zstd', bytes: number | null) =>
      estimateDatabase(sizes, {
        ...basis,
        source: {
          ...basis.source,
          method,
          largeObjects: new Map(bytes === null ? [] : [['shop', { count: 10, bytes }]]),
        },
      }).dumpBytes
    expect(of('none', 1e6).low).toBeLessThan(1e7)
    expect(of('none', 1e6).high).toBeGreaterThan(1e7)
    expect(of('none', null).high).toBeGreaterThan(3.9e6)
    expect(of('zstd', 1e6).high).toBeLessThan(1.2e6)
  })

  test('one table is dumped and loaded by one session, however many there are', () => {
    const one = sizesOf(table())
    const four = sizesOf(
      ...['a', 'b', 'c', 'd'].map((name) => table({ name, bytes: 32_500_000, rows: 250_000 })),
    )
    for (const name of ['dump', 'restore'])
      expect(phase(one, name).low).toBeGreaterThan(1.2 * phase(four, name).low)
  })

  test('an index comes after its table, and the slowest one decides', () => {
    const without = phase(sizesOf(table()), 'indexes')
    const btree = phase(sizesOf(table({ indexes: [{ method: 'btree', bytes: 2e7 }] })), 'indexes')
    const gin = phase(sizesOf(table({ indexes: [{ method: 'gin', bytes: 2e7 }] })), 'indexes')
    expect(without.low).toBeCloseTo(0)
    expect(btree.low).toBeGreaterThan(0.3)
    expect(gin.low).toBeGreaterThan(btree.low)
    expect(gin.high).toBeGreaterThan(3 * btree.high)
    const keys = phase(sizesOf(table({ foreignKeys: 2 })), 'indexes')
    expect(keys.high).toBeGreaterThan(0.3)
  })

  test('sorting more rows takes longer than its share', () => {
    const of = (rows: number) =>
      indexSeconds(target, { method: 'btree', bytes: rows * 20 }, { rows, bytes: 0 }, 'low')
    expect(of(60_000)).toBeCloseTo(0.06)
    expect(of(6_000_000)).toBeGreaterThan(100 * of(60_000))
  })

  test('large objects take a question each, so that the way to the server counts', () => {
    const sizes = { ...sizesOf(), largeObjects: { count: 10_000, bytes: 1e7 } }
    const near = phase(sizes, 'dump')
    const far = phase(sizes, 'dump', { source: { ...basis.source, roundTrip: 0.01 } })
    expect(far.high).toBeGreaterThan(near.high + 100)
  })

  test('without a measured target the range is wide', () => {
    const measured = phase(sizesOf(table()), 'restore')
    const unmeasured = phase(sizesOf(table()), 'restore', { target: null })
    expect(unmeasured.high / unmeasured.low).toBeGreaterThan(measured.high / measured.low)
  })

  test('what the inputs leave out takes no time', () => {
    const { phases } = estimateDatabase(sizesOf(table()), {
      ...basis,
      verify: 'none',
      analyze: false,
    })
    expect(phases.map(({ name }) => name)).toEqual(['dump', 'restore', 'indexes'])
    const counts = phase(sizesOf(table()), 'verify', { verify: 'counts' })
    expect(counts.high).toBeLessThan(phase(sizesOf(table()), 'verify').high)
    expect(phase(sizesOf(table()), 'dump', { verify: 'none' }).high).toBeLessThan(
      phase(sizesOf(table()), 'dump').high,
    )
  })

  test('the upload runs beside what comes after the dump', () => {
    const seconds = (low: number) => ({ low, high: 2 * low })
    const phases = (upload: number) =>
      [
        { name: 'dump', seconds: seconds(10) },
        { name: 'restore', seconds: seconds(5) },
        { name: 'indexes', seconds: seconds(3) },
        { name: 'upload', seconds: seconds(upload) },
      ] as const
    expect(totalOf(phases(1))).toEqual({ low: 18, high: 36 })
    expect(totalOf(phases(20))).toEqual({ low: 30, high: 60 })
    // restored while it is dumped, at best
    expect(totalOf(phases(1), true)).toEqual({ low: 11, high: 36 })
    expect(totalOf(phases(20), true)).toEqual({ low: 30, high: 60 })
  })

  test('the low end is never above the high one', () => {
    for (const one of [
      sizesOf(),
      sizesOf(table({ rows: 0, bytes: 0 })),
      sizesOf(table({ isView: true, indexes: [{ method: 'rum', bytes: 1e8 }] })),
    ]) {
      const estimate = estimateDatabase(one, { ...basis, upload: { encrypted: true } })
      for (const { low, high } of [
        estimate.seconds,
        estimate.dumpBytes,
        ...estimate.phases.map(({ seconds }) => seconds),
      ]) {
        expect(low).toBeGreaterThanOrEqual(0)
        expect(high).toBeGreaterThanOrEqual(low)
        expect(Number.isFinite(high)).toBe(true)
      }
    }
  })
})

describe('what it means', () => {
  const estimate = (changes: Partial<Estimate> = {}): Estimate => ({
    seconds: { low: 60, high: 120 },
    dumpBytes: { low: GiB, high: 2 * GiB },
    phases: [{ name: 'dump', seconds: { low: 60, high: 120 } }],
    artifacts: 3,
    databases: [],
    basis: [],
    ...changes,
  })
  const place = {
    free: 10 * GiB,
    directory: '/tmp',
    runner: 'github-hosted',
    upload: true,
    retentionDays: 7,
    partial: false,
  }
  const failed = (changes: Partial<Estimate>, where: Partial<typeof place> = {}) =>
    estimateChecks(estimate(changes), { ...place, ...where })
      .filter(({ status }) => status === 'failed')
      .map(({ id, severity }) => `${id}: ${severity}`)

  test('what fits passes, and says what was estimated', () => {
    const checks = estimateChecks(estimate(), place)
    expect(checks.map(({ status }) => status)).toEqual(['passed', 'passed', 'passed'])
    expect(checks.map(({ message }) => message).join('\n')).toMatch(
      /1 min to 2 min[\s\S]*1\.0 GB to 2\.0 GB[\s\S]*3 artifacts of the 500[\s\S]*kept 7 days/,
    )
  })

  test('a job has six hours unless somebody gave it more', () => {
    const hours = (low: number, high: number) => ({
      seconds: { low: low * 3600, high: high * 3600 },
    })
    expect(failed(hours(2, 7))).toEqual(['estimate-time: warning'])
    expect(failed(hours(7, 9))).toEqual(['estimate-time: blocker'])
    expect(failed(hours(7, 9), { runner: 'self-hosted' })).toEqual(['estimate-time: warning'])
    const [check] = estimateChecks(estimate(hours(7, 9)), { ...place, runner: 'self-hosted' })
    expect(check?.remedy).toContain('timeout-minutes: 540')
  })

  test('a dump that the disk cannot take is a blocker, one that it may not take a warning', () => {
    expect(failed({}, { free: 1.5 * GiB })).toEqual(['estimate-disk: warning'])
    expect(failed({}, { free: 0.5 * GiB })).toEqual(['estimate-disk: blocker'])
    expect(failed({}, { free: 0.5 * GiB, partial: true })).toEqual(['estimate-disk: warning'])
    const partial = ['-T', '--exclude-table-data=log', '--schema=a', '-n']
    expect(partial.map((option) => leavesOut([option]))).toEqual(partial.map(() => true))
    expect(leavesOut(['--load-via-partition-root', '--no-owner'])).toBe(false)
  })

  test('artifacts of more than a gibibyte are named', () => {
    const large = { dumpBytes: { low: 400 * GiB, high: 500 * GiB } }
    expect(failed(large, { free: 1000 * GiB })).toEqual(['estimate-artifacts: warning'])
    expect(failed(large, { free: 1000 * GiB, upload: false })).toEqual([])
  })

  test('a dump is one artifact, or parts and one that lists them, and never more than a job may have', () => {
    expect(artifactsFor(GiB / 32, 100)).toBe(1)
    // 64 MiB of complete archives are sent while others are still being dumped
    expect(artifactsFor(GiB, 100)).toBe(18)
    expect(artifactsFor(1000, 9000)).toBe(4)
    expect(artifactsFor(5000 * GiB, 100)).toBeLessThanOrEqual(451)
  })

  test('the compression of the sample is that of pg_dump', () => {
    expect(sampleCompression('--compress=0')).toEqual({ method: 'none', level: 0 })
    expect(sampleCompression('--compress=6')).toEqual({ method: 'gzip', level: 6 })
    expect(sampleCompression('--compress=zstd:1')).toEqual({ method: 'zstd', level: 1 })
    expect(sampleCompression('--compress=lz4')).toEqual({ method: 'lz4', level: undefined })
  })

  test('a range whose ends read the same is said once', () => {
    expect(formatRange({ low: 60, high: 60.3 }, formatDuration)).toBe('1 min')
    expect(formatRange({ low: 60, high: 90 }, formatDuration)).toBe('1 min to 1 min 30 s')
  })

  test('a matrix gets each database with its estimate', () => {
    const source = { databases: [{ source: 'shop', target: 'store', bytes: 5 }] }
    const databases = [
      {
        name: 'shop',
        bytes: 5,
        dumpBytes: { low: 1.4, high: 2.6 },
        seconds: { low: 3.2, high: 4.9 },
        phases: [],
      },
    ]
    expect(JSON.parse(databasesJson(source, estimate({ databases })))).toEqual([
      {
        name: 'shop',
        target: 'store',
        input: '"shop"="store"',
        bytes: 5,
        estimate: { seconds: { low: 3, high: 5 }, dumpBytes: { low: 1, high: 3 } },
      },
    ])
  })
})
