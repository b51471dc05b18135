import { describe, expect, test } from '@jest/globals'
import {
  comparable,
  forecastFromEstimate,
  forecastFromRuns,
  type Settings,
} from '../../src/migration/forecast/forecast.ts'
import { heldUpBy } from '../../src/migration/forecast/held-up.ts'
import { outageOf, overlapOf } from '../../src/migration/forecast/outage.ts'
import type {
  Estimate,
  HistoryPoint,
  PhaseName,
  PhaseResult,
  Report,
} from '../../src/report/model.ts'
import { samplePoint } from '../support/sample-history.ts'

const GiB = 1024 ** 3

const phase = (
  name: PhaseName,
  startedAt: number,
  seconds: number,
  status: PhaseResult['status'] = 'succeeded',
): PhaseResult => ({ name, status, startedAt, seconds })

/** Of a migration that was frozen, and whose upload goes on after everything. */
const migration = [
  phase('preflight', 0, 5),
  phase('client', 5, 60),
  phase('freeze', 70, 8),
  phase('dump-roles', 80, 2),
  phase('schema', 82, 3),
  phase('dump', 85, 100),
  phase('schema', 186, 2),
  phase('restore-roles', 188, 1),
  phase('upload', 190, 900),
  phase('restore', 195, 200),
  phase('analyze', 395, 20),
  phase('verify', 416, 84),
]

describe('the outage of a run', () => {
  test('lasts from the first thing that is read to the last row proven, with what lies in between', () => {
    const outage = outageOf(migration)
    expect(outage?.seconds).toBe(420)
    expect(outage?.phases).toEqual([
      { name: 'freeze', seconds: 8 },
      { name: 'dump-roles', seconds: 2 },
      { name: 'schema', seconds: 5 },
      { name: 'dump', seconds: 100 },
      { name: 'restore-roles', seconds: 1 },
      { name: 'restore', seconds: 200 },
      { name: 'analyze', seconds: 20 },
      { name: 'verify', seconds: 84 },
      { name: 'other', seconds: 8 },
    ])
  })

  test('does not count the definitions that are looked at while people work', () => {
    const looked = [...migration, phase('schema', 66, 3)]
    expect(outageOf(looked)).toEqual(outageOf(migration))
    expect(outageOf([...migration, phase('schema', 66, 3, 'failed')])?.seconds).toBe(420)
  })

  test('is the same of a rehearsal, which does not freeze and cleans up', () => {
    const rehearsed = migration
      .filter(({ name }) => name !== 'freeze' && name !== 'upload')
      .concat(phase('freeze', 70, 0, 'skipped'), phase('clean-up' as PhaseName, 500, 50))
    expect(outageOf(rehearsed)?.seconds).toBe(420)
    expect(outageOf(rehearsed)?.phases.map(({ name }) => name)).not.toContain('freeze')
  })

  test('leaves out what is not counted, where nothing else went on meanwhile', () => {
    const waited = [phase('dump', 0, 10), phase('preflight', 5, 35), phase('restore', 40, 10)]
    expect(outageOf(waited)?.seconds).toBe(20)
    // nobody waits for an upload: what is done meanwhile belongs to no phase
    const beside = [phase('dump', 0, 10), phase('upload', 5, 40), phase('restore', 20, 10)]
    expect(outageOf(beside)?.seconds).toBe(30)
  })

  test('counts phases of several databases that overlap once', () => {
    const two = [phase('dump', 0, 10), phase('dump', 5, 10), phase('restore', 10, 20)]
    const outage = outageOf(two)
    expect(outage?.seconds).toBe(30)
    expect(outage?.phases).toContainEqual({ name: 'dump', seconds: 15 })
    expect(outage?.phases).toContainEqual({ name: 'other', seconds: 0 })
  })

  test('counts once what is restored while the dump goes on, and says how much that is', () => {
    const early = outageOf([
      phase('dump-roles', 0, 1),
      phase('dump', 1, 100),
      phase('restore-roles', 3, 1),
      phase('restore', 4, 116),
      phase('verify', 121, 9),
    ])
    expect(early).toMatchObject({ seconds: 130 })
    // from the roles on to the end of the dump
    expect(early && overlapOf(early)).toBe(98)
    const whole = outageOf(migration)
    expect(whole && overlapOf(whole)).toBe(0)
  })

  test('of a run that did not come to its end is unknown', () => {
    expect(outageOf([])).toBeNull()
    expect(outageOf([phase('dump', 0, 10)])).toBeNull()
    expect(outageOf([phase('dump', 0, 10), phase('restore', 10, 5, 'failed')])).toBeNull()
    expect(outageOf([phase('dump', 0, 10), phase('restore', 10, 0, 'skipped')])).toBeNull()
    // a clock that was set back
    expect(outageOf([phase('dump', 3600, 10), phase('restore', 3500, -200)])).toBeNull()
  })
})

const settings: Settings = samplePoint()
const wanted = (bytes = 40 * GiB, ahead = false) => ({ settings, bytes, ahead })
/** Rehearsals a day apart, of databases that grow by 2 GiB from one to the next. */
const nights = (count: number, of: (night: number) => Partial<HistoryPoint> = () => ({})) =>
  Array.from({ length: count }, (_, night) =>
    samplePoint({
      run: String(7000 + night),
      startedAt: `2026-10-${String(night + 1).padStart(2, '0')}T01:17:00Z`,
      bytes: (40 + 2 * night) * GiB,
      seconds: 1200 + 40 * night,
      phases: samplePoint().phases.map((one) =>
        one.name === 'restore' ? { ...one, seconds: one.seconds + 30 * night } : one,
      ),
      ...of(night),
    }),
  )

describe('the runs that foretell one', () => {
  test.each<[Partial<HistoryPoint>, string]>([
    [{ verified: false }, 'that was not verified'],
    [{ verify: 'counts' }, 'with verify: counts'],
    [{ jobs: { dump: 8, restore: 4 } }, 'with dump-jobs: 8'],
    [{ jobs: { dump: 4, restore: 8 } }, 'with restore-jobs: 8'],
    [{ compression: 'gzip:6' }, 'with compression: gzip:6'],
    [{ processors: 16 }, 'on a runner of 16 processors'],
    [{ versions: { source: '14.9', target: '11.9' } }, 'with version 14.9 of the source'],
    [{ versions: { source: '15.20', target: '14.2' } }, 'with version 14.2 of the target'],
  ])('are none with %j', (changes, why) => {
    const points = [samplePoint(), samplePoint({ run: '7002', ...changes })]
    const { used, aside } = comparable(points, settings)
    expect(used).toEqual([samplePoint()])
    expect(aside).toEqual([{ count: 1, why }])
    const forecast = forecastFromRuns(points, wanted())
    expect(forecast?.points).toBe(1)
    expect(forecast?.basis.join('\n')).toContain(`Not used: 1 run ${why}`)
    expect(forecastFromRuns(points.slice(1), wanted())).toBeNull()
  })

  test('are those of another minor version, too', () => {
    const minor = samplePoint({ versions: { source: '15.21', target: '11.10' } })
    const { phases } = samplePoint()
    expect(phases.map(({ name }) => name)).not.toContain('swap')
    expect(comparable([minor], { ...settings, takes: { swap: false } }).used).toEqual([minor])
    expect(comparable([minor], { ...settings, takes: { swap: true } }).aside).toEqual([
      { count: 1, why: 'without swap' },
    ])
    expect(comparable([minor], { ...settings, takes: { restore: false } }).aside).toEqual([
      { count: 1, why: 'with restore' },
    ])
    expect(comparable([minor], settings).used).toEqual([minor])
    const old = (source: string) => ({ ...settings, versions: { source, target: '11.9' } })
    expect(comparable([{ ...minor, ...old('9.5.3') }], old('9.6.1')).used).toEqual([])
  })
})

test('a run whose restore began before the end of its dump foretells none that waits for it', () => {
  const early = samplePoint({
    seconds: 300,
    phases: [
      { name: 'dump', seconds: 200 },
      { name: 'restore', seconds: 250 },
    ],
  })
  const without = { ...settings, takes: {} }
  expect(comparable([early], without).used).toEqual([early])
  const waiting = comparable([early], { ...without, waitsForDump: true })
  expect(waiting.used).toEqual([])
  expect(waiting.aside[0]?.why).toContain('whose restore began before the end of the dump')
  const late = samplePoint({ seconds: 450, phases: early.phases })
  expect(comparable([late], { ...without, waitsForDump: true }).used).toEqual([late])
})

describe('the forecast', () => {
  test('of one run is wide, and says that nothing is known of how sure it is', () => {
    const forecast = forecastFromRuns(nights(1), wanted())
    expect(forecast).toMatchObject({ confidence: null, from: 'runs', points: 1 })
    expect(forecast?.low).toBeLessThan(800)
    expect(forecast?.high).toBeGreaterThan(1800)
    expect(forecast?.basis.join('\n')).toContain('no confidence is given')
  })

  test('of several runs says no more than they prove, in the range and in words', () => {
    const forecast = forecastFromRuns(nights(4), wanted(46 * GiB))
    expect(forecast?.confidence).toBe(0.6)
    expect(forecast?.basis[0]).toBe(
      'From 4 verified rehearsals with the same settings since 2026-10-01, of 40 GB to 46 GB; the last took 22 min',
    )
    expect(forecast?.basis[1]).toContain('At least 60 % sure: more cannot be proven by 4 runs')
    const many = forecastFromRuns(nights(20), wanted(78 * GiB))
    expect(many?.confidence).toBe(0.9)
    expect(many?.basis[1]).toBe('At least 90 % sure')
  })

  test('for the next time reckons with data that grow', () => {
    const now = forecastFromRuns(nights(8), wanted(54 * GiB))
    const next = forecastFromRuns(nights(8), wanted(54 * GiB, true))
    expect(now?.bytes).toEqual({ low: 54 * GiB, high: 54 * GiB })
    expect(next?.bytes.low).toBe(54 * GiB)
    expect((next?.bytes.high ?? 0) / GiB).toBeGreaterThan(56)
    expect(next?.high).toBeGreaterThan(now?.high ?? 0)
  })

  test('says how each phase grows with the data, where that can be told', () => {
    const grown = forecastFromRuns(nights(6), wanted(50 * GiB))
    const restore = grown?.phases.find(({ name }) => name === 'restore')
    const dump = grown?.phases.find(({ name }) => name === 'dump')
    // thirty seconds for two gigabytes
    expect(restore?.perGigabyte).toBeCloseTo(15, 6)
    expect(dump?.perGigabyte).toBe(0)
    const alike = forecastFromRuns(
      nights(6, () => ({ bytes: 40 * GiB })),
      wanted(),
    )
    expect(alike?.phases.every(({ perGigabyte }) => perGigabyte === null)).toBe(true)
  })

  test('includes the freeze, which no rehearsal does, as long as migrations of this source took', () => {
    const presumed = forecastFromRuns(nights(3), wanted())
    expect(presumed?.freeze).toEqual({ low: 2, high: 30 })
    const frozen = samplePoint({
      run: '6000',
      command: 'migrate',
      startedAt: '2026-09-01T00:00:00Z',
      phases: [...samplePoint().phases, { name: 'freeze', seconds: 6 }],
    })
    const measured = forecastFromRuns([frozen, ...nights(2)], wanted())
    expect(measured?.freeze).toEqual({ low: 2, high: 12 })
    const last = forecastFromRuns(
      [...nights(2), { ...frozen, startedAt: '2026-12-01T00:00:00Z' }],
      wanted(),
    )
    const names = last?.phases.map(({ name }) => name) ?? []
    expect(names.filter((name) => name === 'freeze')).toHaveLength(1)
    // the same runs, but for how long the freeze takes
    expect(
      (presumed?.high ?? 0) -
        (forecastFromRuns(
          nights(3, (night) => (night === 0 ? { phases: frozen.phases } : {})),
          wanted(),
        )?.high ?? 0),
    ).toBeCloseTo(18, 6)
    expect(measured?.phases[0]).toEqual({
      name: 'freeze',
      seconds: { low: 2, high: 12 },
      perGigabyte: null,
    })
    expect(measured?.basis[0]).toContain('3 verified runs (1 migration among them)')
  })

  test('tells how often what was stated beforehand held', () => {
    const stated = { low: 1000, high: 1300, confidence: null }
    const forecast = forecastFromRuns(
      nights(4, (night) => (night > 0 ? { stated } : {})),
      wanted(),
    )
    // 1240 and 1280 s, not 1320
    expect(forecast?.basis).toContain('Of 3 ranges stated before these runs 2 held')
  })

  test('of an estimate says that it is one', () => {
    const estimate = {
      seconds: { low: 100, high: 900 },
      dumpBytes: { low: 1, high: 2 },
      phases: [
        { name: 'dump', seconds: { low: 10, high: 20 } },
        { name: 'restore', seconds: { low: 20, high: 40 } },
        { name: 'indexes', seconds: { low: 5, high: 50 } },
        { name: 'verify', seconds: { low: 1, high: 5 } },
        { name: 'upload', seconds: { low: 64, high: 785 } },
      ],
      artifacts: 1,
      databases: [],
      basis: ['The target was not measured'],
    } satisfies Estimate
    const forecast = forecastFromEstimate(estimate, wanted())
    // without the upload, with the freeze; at the low end all of the dump goes on beside the restore
    expect(forecast).toMatchObject({ low: 28, high: 145, confidence: null, from: 'estimate' })
    const waiting = { ...wanted(), settings: { ...settings, waitsForDump: true } }
    expect(forecastFromEstimate(estimate, waiting)).toMatchObject({ low: 38, high: 145 })
    expect(forecastFromEstimate(estimate, wanted(1000))).toMatchObject({ low: 38, high: 145 })
    expect(forecast.phases).toContainEqual({
      name: 'restore',
      seconds: { low: 25, high: 90 },
      perGigabyte: null,
    })
    expect(forecast.basis[0]).toContain('From an estimate, no rehearsal yet')
    expect(forecast.basis).toContain('The target was not measured')
    const others = forecastFromEstimate(
      estimate,
      wanted(),
      nights(2, () => ({ verify: 'counts' })),
    )
    expect(others.basis[0]).toContain('no verified rehearsal with these settings yet')
    expect(others.basis).toContain('Not used: 2 runs with verify: counts')
  })
})

describe('what holds an outage up', () => {
  const point = samplePoint()
  const database = (...tables: Report['databases'][number]['tables']): Report['databases'] => [
    {
      ...{
        name: 'shop',
        target: 'shop',
        bytes: 1,
        dumpBytes: 1,
        dumpSeconds: 1,
        restoreSeconds: 1,
      },
      ...{ tables, objects: [], verified: true },
    },
  ]
  const table = (
    name: string,
    timeline: Record<string, [start: number, end: number]>,
  ): Report['databases'][number]['tables'][number] => ({
    ...{ schema: 'public', name, sourceRows: 1, targetRows: 1, match: true },
    timeline: Object.fromEntries(
      Object.entries(timeline).map(([step, [start, end]]) => [
        step,
        { start, end, busy: end - start },
      ]),
    ),
  })

  test('is what its phases take, where nothing is known of the tables', () => {
    const [worst, second] = heldUpBy(point, settings)
    expect(worst).toMatchObject({
      seconds: 310,
      remedy: expect.stringContaining('restore-jobs: 8'),
    })
    expect(second).toMatchObject({ seconds: 165, remedy: expect.stringContaining('dump-jobs: 8') })
  })

  test('is of the restore what goes on when the dump is complete', () => {
    const early = {
      seconds: 300,
      phases: [
        { name: 'dump' as const, seconds: 200 },
        { name: 'restore' as const, seconds: 290 },
      ],
    }
    const found = heldUpBy(early, settings)
    expect(found.map(({ what }) => what)).toEqual([
      expect.stringContaining('The dump takes 3 min 20 s of 5 min'),
      expect.stringMatching(/^The restore takes 1 min 40 s of 5 min.* beyond the end of the dump/),
    ])
  })

  test('is the table whose indexes everything waits for', () => {
    const found = heldUpBy(
      point,
      settings,
      database(
        table('small\n', { dump: [10, 300], load: [340, 400], indexes: [400, 460] }),
        table('events', { dump: [10, 310], load: [340, 500], indexes: [500, 960] }),
      ),
    )
    expect(found[0]).toMatchObject({
      what: 'The restore waits 7 min 40 s for the indexes of "public"."events" alone, with everything else in place',
      seconds: 460,
      remedy: expect.stringContaining('CREATE INDEX CONCURRENTLY'),
    })
    expect(found.map(({ what }) => what).join()).not.toContain('The dump waits')
  })

  test('is the dump of a table that is loaded meanwhile, and of its load what comes after', () => {
    const found = heldUpBy(
      point,
      settings,
      database(
        table('small\n', { dump: [10, 100], load: [105, 110] }),
        table('events', { dump: [10, 600], load: [12, 700] }),
      ),
    )
    const words = found.map(({ what }) => what).join('\n')
    expect(words).toContain('The dump waits 8 min 20 s for "public"."events" alone')
    expect(words).toContain('The restore waits 1 min 40 s for the rows of "public"."events" alone')
  })

  test('is the table whose rows everything waits for, and whose dump', () => {
    const found = heldUpBy(
      point,
      settings,
      database(
        table('small\n', { dump: [10, 100], load: [340, 400], indexes: [400, 460] }),
        table('events', { dump: [10, 310], load: [340, 960], indexes: [960, 961] }),
        table('o', { load: [340, 341], indexes: [341, 962] }),
      ),
    )
    const words = found.map(({ what }) => what).join('\n')
    expect(words).toContain('The dump waits 3 min 30 s for "public"."events" alone')
    expect(words).not.toContain('The restore waits')
    expect(
      heldUpBy(
        point,
        settings,
        database(table('small\n', { load: [340, 400] }), table('big\n', { load: [340, 960] })),
      )[0]?.what,
    ).toBe(
      'The restore waits 9 min 20 s for the rows of "public"."big\\n" alone, with everything else in place',
    )
  })

  test('is no table that merely came last: one session had its hands full with the others', () => {
    const found = heldUpBy(
      point,
      settings,
      database(table('a', { dump: [0, 100] }), table('b', { dump: [100, 300] })),
    )
    expect(found.map(({ what }) => what).join('\n')).not.toContain('alone')
    // where there is no other, everything waits for it
    expect(heldUpBy(point, settings, database(table('a', { dump: [0, 300] })))[1]?.what).toContain(
      'The dump waits 5 min for "public"."a" alone',
    )
  })

  test('is nothing that is hardly worth a word', () => {
    const short = { seconds: 1000, phases: [{ name: 'dump', seconds: 90 }] } as const
    expect(heldUpBy(short, settings)).toEqual([])
  })
})
