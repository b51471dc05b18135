import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { parseDuration } from '../../src/migration/duration.ts'
import { readReports } from '../../src/migration/history/directory.ts'
import { foldHistory, monthsKept, newestKept } from '../../src/migration/history/fold.ts'
import { mostReportBytes, readPoints } from '../../src/migration/history/point.ts'
import type { HistoryPoint } from '../../src/report/model.ts'
import { mutateJson } from '../support/mutate-json.ts'
import { randomIntegers } from '../support/random.ts'
import { renderJson } from '../support/report-json.ts'
import { Scratch } from '../support/sample-dump.ts'
import { samplePoint } from '../support/sample-history.ts'
import { goodReport } from '../support/sample-reports.ts'

const now = Date.parse('2026-11-29T00:00:00Z')
const reportOf = (...history: unknown[]) => Buffer.from(JSON.stringify({ history }))
const read = (...history: unknown[]) => readPoints(reportOf(...history), now)
const stated = { low: 1000, high: 1400, confidence: 0.5 }

describe('a point in a report', () => {
  test('is read back as it was written', () => {
    const history = [samplePoint(), samplePoint({ run: '7002', stated, rows: null })]
    const report = Buffer.from(renderJson({ ...goodReport(), history }))
    expect(readPoints(report, now)).toEqual({ points: history, refused: new Map() })
  })

  test('is what we know of it alone', () => {
    const more = { ...samplePoint(), note: '::error::x', __proto__: { polluted: true } }
    const { points } = read(JSON.parse(JSON.stringify(more).replace('"note"', '"__proto__"')))
    expect(points).toEqual([samplePoint()])
    expect(Object.keys(points[0] ?? {})).not.toContain('__proto__')
  })

  test.each<[string, object, string]>([
    ['seconds', { seconds: -1 }, '`seconds` is no number from 0 on'],
    ['seconds', { seconds: 0 }, '`seconds` is no time'],
    ['seconds', { seconds: 1e300 }, '`seconds` is longer than any run'],
    ['seconds', { seconds: '1200' }, '`seconds` is no number'],
    ['the data', { bytes: 0 }, '`bytes` is no whole number'],
    ['the data', { bytes: 2 ** 60 }, '`bytes` is no whole number'],
    ['the run', { run: '::error::x' }, '`run` has not the form that it should have'],
    ['the run', { run: undefined }, '`run` is missing'],
    ['the source', { source: '../../etc' }, '`source` has not the form that it should have'],
    ['the moment', { startedAt: 'yesterday' }, '`startedAt` has not the form that it should have'],
    [
      'the moment',
      { startedAt: '2026-13-40T00:00:00Z' },
      '`startedAt` was taken by a clock that was not set',
    ],
    [
      'the moment',
      { startedAt: '1970-01-01T00:00:00Z' },
      '`startedAt` was taken by a clock that was not set',
    ],
    ['the moment', { startedAt: '2031-01-01T00:00:00Z' }, 'it was taken by a clock that is ahead'],
    ['a phase', { phases: [{ name: 'lunch', seconds: 1 }] }, '`phases[0].name` is not one of'],
    [
      'a phase',
      { phases: [{ name: 'dump', seconds: 9999 }] },
      '`a point` has a phase that is longer than the whole',
    ],
    [
      'a phase',
      { phases: [1, 2].map((seconds) => ({ name: 'dump', seconds })) },
      '`a point` names a phase twice',
    ],
    ['what was stated', { stated: { ...stated, low: 2000 } }, '`stated` is no range'],
    [
      'what was stated',
      { stated: { ...stated, confidence: 90 } },
      '`stated.confidence` is above 1',
    ],
  ])('is refused by itself where %s is wrong: %j', (_, changes, why) => {
    const other = samplePoint({ run: '7002' })
    const { points, refused } = read({ ...samplePoint(), ...changes }, other)
    expect(points).toEqual([other])
    expect([...refused.values()]).toEqual([1])
    expect([...refused.keys()][0]).toContain(why)
  })

  test('is never shown, whatever is wrong with it', () => {
    const secret = 's3cret\n::error::x'
    for (const key of Object.keys(samplePoint())) {
      const { points, refused } = read({ ...samplePoint(), [key]: secret })
      expect(points).toEqual([])
      expect([...refused.keys()].join()).not.toContain('s3cret')
    }
  })

  test.each<[string, Uint8Array, string | undefined]>([
    ['is empty', Buffer.from(''), 'the report is no JSON, or cut off'],
    ['is cut off', reportOf(samplePoint()).subarray(0, 200), 'the report is no JSON, or cut off'],
    [
      'is no UTF-8',
      Buffer.from('{"history": [], "x": "\xff"}', 'latin1'),
      'the report is no JSON, or cut off',
    ],
    ['nests deeply', Buffer.from('['.repeat(5_000_000)), 'the report is no JSON, or cut off'],
    ['is huge', Buffer.alloc(mostReportBytes + 1, ' '), 'the report is larger than any'],
    [
      'has a history that is none',
      Buffer.from('{"history": {"length": 1}}'),
      'its history is no list',
    ],
    [
      'has a history without end',
      Buffer.from(`{"history": [${'0,'.repeat(20_000)}0]}`),
      'its history is no list, or a longer one',
    ],
    ['is of another command', Buffer.from('{"command": "preflight"}'), undefined],
    ['is no object', Buffer.from('null'), undefined],
  ])('is none where the report %s', (_, content, why) => {
    const { points, refused } = readPoints(content, now)
    expect(points).toEqual([])
    const found = [...refused.keys()]
    expect(found).toEqual(why === undefined ? [] : [expect.stringContaining(why)])
  })

  test('survives a thousand mutations: what is read can be folded and read again', () => {
    const next = randomIntegers(15)
    for (let round = 0; round < 1000; round++) {
      const history = mutateJson([samplePoint({ stated }), samplePoint({ run: '7002' })], next)
      const { points } = readPoints(Buffer.from(JSON.stringify({ history })), now)
      const again = readPoints(reportOf(...foldHistory(points)), now)
      expect(again.refused.size).toBe(0)
      expect(again.points).toEqual(foldHistory(points))
    }
  })
})

describe('the fold', () => {
  /** Points of nights, some of them twice, in disorder, and with gaps. */
  const some = (next: (below: number) => number, count: number): HistoryPoint[] =>
    Array.from({ length: count }, () => {
      const day = next(2500)
      return samplePoint({
        run: String(9000 + day),
        attempt: 1 + next(2),
        startedAt: new Date(now - day * 86_400_000).toISOString(),
        // two reports that disagree about a run
        ...(next(10) === 0 ? { seconds: 1300 + next(3) } : {}),
      })
    })
  const shuffled = <T>(items: readonly T[], next: (below: number) => number): T[] => {
    const rest = [...items]
    return items.map(() => rest.splice(next(rest.length), 1)[0] as T)
  }

  test('is the same in whatever order, portions and how often, in 30 histories', () => {
    const next = randomIntegers(4711)
    for (let history = 0; history < 30; history++) {
      const points = some(next, 1 + next(300))
      const folded = foldHistory(points)
      expect(foldHistory(folded)).toEqual(folded)
      expect(foldHistory(shuffled(points, next))).toEqual(folded)
      expect(foldHistory(points, points)).toEqual(folded)
      // as the nights do it: each report holds what the one before it held, and one run more
      const at = next(points.length)
      const [before, after] = [points.slice(0, at), points.slice(at)]
      expect(foldHistory(foldHistory(before), after)).toEqual(folded)
      expect(foldHistory(foldHistory(before), foldHistory(after))).toEqual(folded)
    }
  })

  test('keeps each run once, the oldest first', () => {
    const points = ['03', '01', '02', '01'].map((day) =>
      samplePoint({ run: day, startedAt: `2026-11-${day}T01:00:00Z` }),
    )
    expect(foldHistory(points).map(({ run }) => run)).toEqual(['01', '02', '03'])
  })

  test('keeps every attempt, and every rehearsal of databases of their own', () => {
    const points = [
      samplePoint(),
      samplePoint({ attempt: 2 }),
      samplePoint({ databases: '00112233445566dd' }),
    ]
    expect(foldHistory(points)).toHaveLength(3)
  })

  test('does not depend on the order of the fields', () => {
    const reversed = Object.fromEntries(Object.entries(samplePoint()).reverse()) as never
    expect(foldHistory([samplePoint()], [reversed])).toHaveLength(1)
  })

  test('keeps the newest, and of older months the last night', () => {
    const nights = Array.from({ length: 4000 }, (_, day) =>
      samplePoint({ run: String(day), startedAt: new Date(now - day * 86_400_000).toISOString() }),
    )
    const folded = foldHistory(nights)
    expect(folded).toHaveLength(newestKept + monthsKept)
    expect(folded.at(-1)?.run).toBe('0')
    expect(folded.slice(-newestKept).map(({ run }) => Number(run))).toEqual(
      Array.from({ length: newestKept }, (_, index) => newestKept - 1 - index),
    )
    const days = folded.slice(0, -newestKept - 1).map(({ startedAt }) => startedAt.slice(8, 10))
    expect(days.every((day) => Number(day) >= 28)).toBe(true)
  })
})

describe('a directory of reports', () => {
  let scratch: Scratch
  const signal = new AbortController().signal
  beforeEach(() => {
    scratch = new Scratch()
  })
  afterEach(() => scratch[Symbol.dispose]())

  const readAll = async (path = scratch.path) => {
    const found: Record<string, string> = {}
    const notes = await readReports(
      path,
      (content, whose) => {
        found[whose] = Buffer.from(content).toString()
      },
      signal,
    )
    return { found, notes }
  }

  test('is read with those below it, as actions/download-artifact leaves them', async () => {
    scratch.write('report.json', 'a')
    scratch.write('run-1/polardb-report/report.json', 'b')
    scratch.write('run-1/polardb-report/report.html', 'page')
    scratch.write('polardb-report-rehearse-2/report.json', 'c')
    scratch.write('other.json', 'd')
    expect(await readAll()).toEqual({
      found: {
        'report.json': 'a',
        'run-1/polardb-report/report.json': 'b',
        'polardb-report-rehearse-2/report.json': 'c',
      },
      notes: [],
    })
  })

  test('that is missing, empty or a file is said, and no error', async () => {
    expect((await readAll(scratch.of('none'))).notes).toEqual([
      `There is no directory ${scratch.of('none')} (history), so no earlier run is known from there`,
    ])
    expect((await readAll()).notes).toEqual([
      `The directory ${scratch.path} (history) holds no report.json`,
    ])
    scratch.write('file', '')
    expect((await readAll(scratch.of('file'))).notes[0]).toContain('could not be read')
  })

  test('is not left by a link, nor does a pipe hold anybody up', async () => {
    using elsewhere = new Scratch()
    elsewhere.write('report.json', 'elsewhere')
    symlinkSync(elsewhere.of('report.json'), scratch.of('report.json'))
    symlinkSync(elsewhere.path, scratch.of('directory'))
    mkdirSync(scratch.of('piped'))
    execFileSync('mkfifo', [scratch.of('piped/report.json')])
    expect((await readAll()).found).toEqual({})
  })

  test('is not searched without end', async () => {
    scratch.write('1/2/3/4/report.json', 'deep')
    scratch.write('1/2/3/4/5/report.json', 'too deep')
    expect(Object.values((await readAll()).found)).toEqual(['deep'])
    for (let report = 0; report < 520; report++)
      scratch.write(`many/${report}/report.json`, `${report}`)
    const { found, notes } = await readAll()
    expect(Object.keys(found)).toHaveLength(500)
    expect(notes).toEqual([expect.stringContaining('was read no further than 500 reports')])
  })

  test('has its names made harmless', async () => {
    scratch.write('\n::error::x/report.json', 'a')
    expect(Object.keys((await readAll()).found)).toEqual(['\\n::error::x/report.json'])
  })
})

describe('a length of time', () => {
  test.each([
    ['90m', 5400],
    ['1h30m', 5400],
    ['5400s', 5400],
    ['7d', 604_800],
    ['1d2h3m4s', 93_784],
    [' 2h ', 7200],
  ])('%j is read', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds)
  })

  test.each(['', '90', 'm', '0m', '-1h', '1.5h', '30m1h', '1h 30m', '90 minutes', 'P1D', '1h1h'])(
    '%j is none',
    (text) => {
      expect(parseDuration(text)).toBeUndefined()
    },
  )
})
