import type { Range } from '../../report/model.ts'

/** One run as a point: how much there was, and how long it took. Both above 0, in whatever units. */
export interface Measured {
  size: number
  seconds: number
}

/*
 * What is taken for known before the first run, worth as much as `worth` runs: how far the times of equal runs lie apart, as
 * the standard deviation of their logarithms, and how times grow with the data: not at all is 0, in proportion is 1. The
 * pieces of a migration that grow are its most, and it begins with seconds that do not.
 */
const prior = { spread: 0.2, worth: 3, growth: 0.8, growthSpread: 0.35 }
/** Times grow no faster than sorting does, and never shrink while the data grow. */
const growthLimits = { least: 0, most: 1.15 }
/** The newest runs say what the next one takes; older ones say what a server was once. */
const mostRuns = 40
/** What a range is made for. It is stated where so many runs allow it. */
const aim = 0.9

/**
 * The quantile of Student's t distribution that leaves 5 % above it, by degrees of freedom from 1 to 30 (NIST/SEMATECH
 * e-Handbook of Statistical Methods, 1.3.6.7.2), and for more of them by its expansion around the normal distribution's.
 */
const t95 = [
  6.314, 2.92, 2.353, 2.132, 2.015, 1.943, 1.895, 1.86, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761,
  1.753, 1.746, 1.74, 1.734, 1.729, 1.725, 1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701,
  1.699, 1.697,
]

function tQuantile(freedom: number): number {
  return t95[freedom - 1] ?? 1.645 + 1.523 / freedom
}

/**
 * How sure a range can be that reaches from the smallest to the largest of `runs` values, whatever their distribution is: the
 * next value of the same kind falls beside all of them with a probability of 2 in runs + 1 (order statistics; the same that
 * conformal prediction rests on). No more is ever stated, however wide a range is.
 *
 * @returns to whole hundredths, rounded down; null for fewer than two, which show nothing of how far runs lie apart
 */
export function provenConfidence(runs: number): number | null {
  if (runs < 2) return null
  return Math.min(aim, Math.floor((100 * (runs - 1)) / (runs + 1)) / 100)
}

/**
 * The range in which the next run's time lies, for so much data. It is the wider of two: what a linear regression of the
 * logarithms foretells for nine of ten (Bayesian, with the prior above, so that it can be asked from the first run on: a
 * Student t distribution), and from the least to the most that the runs took, each brought to the size asked for.
 *
 * @param runs the oldest first, at least one
 * @param size asked for
 */
export function predict(runs: readonly Measured[], size: number): Range {
  const points = runs
    .slice(-mostRuns)
    .map((run) => ({ z: Math.log(run.size / size), y: Math.log(run.seconds) }))
  const n = points.length
  if (n === 0) throw new RangeError('nothing can be foretold from no runs')
  const { spread, worth, growth, growthSpread } = prior
  // precision and moments of the regression y = a + b z, the variance of the noise taken out
  const trust = (spread / growthSpread) ** 2
  let [sz, szz, sy, szy, syy] = [0, trust, 0, trust * growth, trust * growth ** 2]
  for (const { z, y } of points) {
    sz += z
    szz += z * z
    sy += y
    szy += z * y
    syy += y * y
  }
  const determinant = n * szz - sz * sz
  const a = (szz * sy - sz * szy) / determinant
  const b = (n * szy - sz * sy) / determinant
  const residual = Math.max(0, syy - a * sy - b * szy)
  const freedom = worth + n - 1
  const variance = (worth * spread ** 2 + residual) / freedom
  const t = tQuantile(freedom)
  const reach = t * Math.sqrt(variance * (1 + szz / determinant))
  // how fast they grow is known by and by: each run is brought to this size by the slowest and by the fastest
  const doubt = t * Math.sqrt((variance * n) / determinant)
  const limited = (value: number) =>
    Math.min(growthLimits.most, Math.max(growthLimits.least, value))
  const [slow, fast] = [limited(b - doubt), limited(b + doubt)]
  const brought = points.flatMap(({ z, y }) => [y - slow * z, y - fast * z])
  return {
    low: Math.exp(Math.min(a - reach, ...brought)),
    high: Math.exp(Math.max(a + reach, ...brought)),
  }
}

/**
 * How many seconds each further unit of size adds: the median of the slopes between all pairs (Theil and Sen), which a few
 * odd runs do not bend, and never less than nothing.
 *
 * @returns null where the runs do not tell: fewer than three, or sizes that hardly differ
 */
export function slopeOf(runs: readonly Measured[]): number | null {
  const points = runs.slice(-mostRuns)
  const sizes = points.map(({ size }) => size)
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)]
  if (points.length < 3 || most < 1.1 * least) return null
  const slopes = points.flatMap((one, index) =>
    points
      .slice(index + 1)
      // runs of nearly one size say how far runs lie apart, not how they grow
      .filter((other) => Math.abs(other.size - one.size) > 0.02 * most)
      .map((other) => (other.seconds - one.seconds) / (other.size - one.size)),
  )
  return slopes.length < 2 ? null : Math.max(0, median(slopes))
}

/** The middle value; of an even number of them the mean of both. @param values at least one */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)] ?? Number.NaN
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? Number.NaN) + upper) / 2 : upper
}

/**
 * What the size may be at the next run, by the newest eight steps between those before: it shrinks or grows as it has done, or
 * twice as much as it usually does. Of four steps and more the greatest and the least are left out: a load of old rows, say.
 *
 * @param sizes the oldest first, the last the present one; at least one
 */
export function nextSize(sizes: readonly number[]): Range {
  const newest = sizes.slice(-9)
  const present = newest.at(-1) ?? Number.NaN
  const steps = newest
    .slice(1)
    .map((size, index) => Math.log(size / (newest[index] ?? Number.NaN)))
    .sort((a, b) => a - b)
  if (steps.length === 0) return { low: present, high: present }
  const twice = 2 * median(steps)
  const usual = steps.length < 4 ? steps : steps.slice(1, -1)
  return {
    low: present * Math.exp(Math.min(0, twice, ...usual)),
    high: present * Math.exp(Math.max(0, twice, ...usual)),
  }
}
