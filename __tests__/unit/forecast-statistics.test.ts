import { describe, expect, test } from '@jest/globals'
import {
  type Measured,
  median,
  nextSize,
  predict,
  provenConfidence,
  slopeOf,
} from '../../src/migration/forecast/statistics.ts'
import { randomNumbers } from '../support/random.ts'

/** Runs that take two minutes and a second for each GB, the same every time. */
const steady = (...sizes: number[]): Measured[] =>
  sizes.map((size) => ({ size, seconds: 120 + size }))
const width = ({ low, high }: { low: number; high: number }) => high / low

describe('the confidence', () => {
  test('is what so few runs can prove at all, and never more than what the range is made for', () => {
    expect([0, 1].map(provenConfidence)).toEqual([null, null])
    expect([2, 3, 4, 9].map(provenConfidence)).toEqual([0.33, 0.5, 0.6, 0.8])
    expect([18, 19, 20, 1000].map(provenConfidence)).toEqual([0.89, 0.9, 0.9, 0.9])
  })
})

describe('the range', () => {
  test('of one run is its time, wide', () => {
    const { low, high } = predict([{ size: 40, seconds: 600 }], 40)
    expect(low).toBeGreaterThan(250)
    expect(low).toBeLessThan(400)
    expect(high).toBeGreaterThan(900)
    expect(high).toBeLessThan(1400)
  })

  test('becomes narrower with each run that is like those before', () => {
    const widths = [1, 2, 3, 5, 10, 30].map((runs) =>
      width(predict(steady(...Array.from({ length: runs }, () => 40)), 40)),
    )
    expect([...widths].sort((a, b) => b - a)).toEqual(widths)
    expect(new Set(widths).size).toBe(widths.length)
  })

  test('holds every run of the same size that there was', () => {
    const runs = [600, 630, 2400, 580, 610].map((seconds) => ({ size: 40, seconds }))
    const { low, high } = predict(runs, 40)
    expect(low).toBeLessThanOrEqual(580)
    expect(high).toBeGreaterThanOrEqual(2400)
  })

  test('says more for more data, and what it says holds', () => {
    const runs = steady(100, 130, 180, 240, 300, 380, 450)
    for (const size of [100, 450, 600]) {
      const { low, high } = predict(runs, size)
      expect(low).toBeLessThan(120 + size)
      expect(high).toBeGreaterThan(120 + size)
    }
    expect(predict(runs, 600).high).toBeGreaterThan(predict(runs, 450).high)
  })

  test('does not depend on the units of the sizes', () => {
    const runs = steady(100, 130, 180)
    const inBytes = runs.map(({ size, seconds }) => ({ size: size * 1e9, seconds }))
    const [gb, bytes] = [predict(runs, 200), predict(inBytes, 200e9)]
    expect(bytes.low).toBeCloseTo(gb.low, 6)
    expect(bytes.high).toBeCloseTo(gb.high, 6)
  })

  test('of nothing is an error', () => {
    expect(() => predict([], 40)).toThrow(RangeError)
  })

  test('holds at least as often as its confidence says, in 300 histories of each length, with outliers', () => {
    const next = randomNumbers(20261129)
    const noise = () => {
      const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
      return Math.exp(0.12 * normal + (next() < 0.05 ? Math.log(2.5) : 0))
    }
    for (const runs of [2, 3, 5, 10, 20]) {
      let held = 0
      for (let history = 0; history < 300; history++) {
        const growth = 1 + 0.2 * next()
        const all = Array.from({ length: runs + 1 }, (_, run) => {
          const size = 50 * growth ** run
          return { size, seconds: (100 + 2 * size) * noise() }
        })
        const truth = all.pop()
        if (!truth) continue
        const { low, high } = predict(all, truth.size)
        if (truth.seconds >= low && truth.seconds <= high) held++
      }
      expect(held / 300).toBeGreaterThanOrEqual(provenConfidence(runs) ?? 0)
    }
  })
})

describe('the growth', () => {
  test('is what each further unit adds, and an odd night does not bend it', () => {
    const runs = steady(100, 120, 140, 160, 180, 200)
    expect(slopeOf(runs)).toBeCloseTo(1, 9)
    expect(
      slopeOf(runs.map((run, at) => (at === 2 ? { ...run, seconds: 3000 } : run))),
    ).toBeCloseTo(1, 9)
  })

  test('is unknown from two runs, or from sizes that hardly differ', () => {
    expect(slopeOf(steady(100, 200))).toBeNull()
    expect(slopeOf(steady(100, 101, 102, 103))).toBeNull()
    expect(slopeOf([])).toBeNull()
  })

  test('is never less than nothing', () => {
    expect(slopeOf([100, 150, 200].map((size) => ({ size, seconds: 500 - size })))).toBe(0)
  })
})

describe('the size at the next run', () => {
  test('is the present one where no step is known', () => {
    expect(nextSize([40])).toEqual({ low: 40, high: 40 })
  })

  test('grows up to twice as much as it usually does', () => {
    const { low, high } = nextSize([100, 110, 121])
    expect(low).toBe(121)
    expect(high).toBeCloseTo(121 * 1.21, 6)
  })

  test('does not follow a single leap, and not one back either', () => {
    const { low, high } = nextSize([100, 101, 102, 510, 515, 100, 101])
    expect(high).toBeLessThan(110)
    expect(low).toBeGreaterThan(90)
  })

  test('may shrink where it does', () => {
    const { low, high } = nextSize([100, 90, 81])
    expect(high).toBe(81)
    expect(low).toBeCloseTo(81 * 0.81, 6)
  })
})

test('the middle value', () => {
  expect(median([3])).toBe(3)
  expect(median([9, 1, 2])).toBe(2)
  expect(median([4, 1, 2, 9])).toBe(3)
})
