import {
  type Estimate,
  type Forecast,
  type HistoryPoint,
  type OutagePhase,
  outagePhases,
  type PhaseForecast,
  type Range,
} from '../../report/model.ts'
import { counted, formatBytes, formatDuration, formatRange } from '../../text/numbers.ts'
import { partSizes } from '../dump/part-sizes.ts'
import { overlapOf } from './outage.ts'
import { nextSize, predict, provenConfidence, slopeOf } from './statistics.ts'

/** What a run's times depend on beside the data: only runs that share it foretell each other. */
export interface Settings
  extends Pick<HistoryPoint, 'versions' | 'processors' | 'jobs' | 'compression' | 'verify'> {
  /** Nothing is restored before the dump is complete, whatever its size: a run in which it was foretells nothing. */
  waitsForDump?: boolean
  /** Whether the inputs want a phase: a run that had it foretells nothing of one that has not, nor the other way round. */
  takes?: Readonly<Partial<Record<OutagePhase, boolean>>>
}

/** What a forecast is made for. */
export interface Wanted {
  settings: Settings
  /** Of the databases on the source's disk. */
  bytes: number
  /** Whether it is made for the next time, when the data will have grown, or for data that are there now. */
  ahead: boolean
}

const gigabyte = 1024 ** 3

/**
 * A freeze ends sessions for up to 20 s and looks for writes, twice at most, for 2 s each (src/migration/freeze); the rest is
 * for servers that answer slowly.
 */
const usualFreeze: Range = { low: 2, high: 30 }

/**
 * The outage to announce, from what earlier runs took.
 *
 * @param points of this source, this target and these databases, the oldest first
 * @returns null where none of them can be used
 */
export function forecastFromRuns(
  points: readonly HistoryPoint[],
  { settings, bytes, ahead }: Wanted,
): Forecast | null {
  const { used, aside } = comparable(points, settings)
  const newest = used.at(-1)
  if (newest === undefined) return null
  const size: Range = ahead
    ? nextSize(used.map((point) => point.bytes))
    : { low: bytes, high: bytes }
  const range = (seconds: (point: HistoryPoint) => number): Range => {
    const runs = used.map((point) => ({
      size: Math.max(1, point.bytes),
      // a phase of less than a millisecond is none, and has no logarithm
      seconds: Math.max(0.001, seconds(point)),
    }))
    return { low: predict(runs, size.low).low, high: predict(runs, size.high).high }
  }
  const freeze = freezeOf(points)
  const all = range((point) => point.seconds)
  const phases = outagePhases
    .filter((name) => name !== 'freeze' && secondsOf(newest, name) !== undefined)
    .map((name): PhaseForecast => {
      const seconds = (point: HistoryPoint) => secondsOf(point, name) ?? 0
      const grown = used.map((point) => ({
        size: point.bytes / gigabyte,
        seconds: seconds(point),
      }))
      return { name, seconds: range(seconds), perGigabyte: slopeOf(grown) }
    })
  return {
    low: all.low + freeze.low,
    high: all.high + freeze.high,
    confidence: provenConfidence(used.length),
    from: 'runs',
    points: used.length,
    bytes: size,
    freeze,
    phases: [{ name: 'freeze', seconds: freeze, perGigabyte: null }, ...phases],
    heldUp: [],
    basis: [
      `${usedWords(used)}; the last took ${formatDuration(newest.seconds)}`,
      confidenceWords(used.length),
      sizeWords(size, ahead, used.length),
      ...asideWords(aside),
      ...recordWords(used),
      freezeWords(freeze),
    ],
  }
}

/**
 * The outage to announce before anything was rehearsed with these settings.
 *
 * @param points of earlier runs, none of which can be used
 */
export function forecastFromEstimate(
  estimate: Estimate,
  { settings, bytes }: Pick<Wanted, 'settings' | 'bytes'>,
  points: readonly HistoryPoint[] = [],
): Forecast {
  const names: Record<string, OutagePhase | undefined> = {
    ...{ dump: 'dump', restore: 'restore', indexes: 'restore', analyze: 'analyze' },
    verify: 'verify',
  }
  const phases = new Map<OutagePhase, Range>([['freeze', usualFreeze]])
  for (const { name, seconds } of estimate.phases) {
    // nobody waits for the upload
    const phase = names[name]
    if (phase) phases.set(phase, sum(phases.get(phase) ?? { low: 0, high: 0 }, seconds))
  }
  const all = [...phases.values()].reduce(sum)
  const isEarly = !settings.waitsForDump && bytes >= partSizes.database
  const low = (name: OutagePhase) => phases.get(name)?.low ?? 0
  return {
    low: all.low - (isEarly ? Math.min(low('dump'), low('restore')) : 0),
    high: all.high,
    confidence: null,
    from: 'estimate',
    points: 0,
    bytes: { low: bytes, high: bytes },
    freeze: usualFreeze,
    phases: [...phases].map(([name, seconds]) => ({ name, seconds, perGigabyte: null })),
    heldUp: [],
    basis: [
      `From an estimate, no ${points.length === 0 ? 'rehearsal' : 'verified rehearsal with these settings'} yet: nobody knows how sure it is, so no confidence is given`,
      ...estimate.basis,
      ...asideWords(comparable(points, settings).aside),
      freezeWords(usualFreeze),
    ],
  }
}

/**
 * The runs that foretell one with these settings: verified, with the same settings, the oldest first.
 *
 * @returns with them how many are left aside, by why
 */
export function comparable(
  points: readonly HistoryPoint[],
  settings: Settings,
): { used: HistoryPoint[]; aside: { count: number; why: string }[] } {
  const used: HistoryPoint[] = []
  const aside = new Map<string, number>()
  for (const point of points) {
    const why = otherwise(point, settings)
    if (why === null) used.push(point)
    else aside.set(why, (aside.get(why) ?? 0) + 1)
  }
  return { used, aside: [...aside].map(([why, count]) => ({ count, why })) }
}

/** What is otherwise than in these settings; null where nothing is. */
function otherwise(point: HistoryPoint, settings: Settings): string | null {
  const major = (version: string) => /^9\.\d+|^\d+/.exec(version)?.[0]
  if (!point.verified) return 'that was not verified'
  if (point.verify !== settings.verify) return `with verify: ${point.verify}`
  if (point.jobs.dump !== settings.jobs.dump) return `with dump-jobs: ${point.jobs.dump}`
  if (point.jobs.restore !== settings.jobs.restore)
    return `with restore-jobs: ${point.jobs.restore}`
  if (point.compression !== settings.compression) return `with compression: ${point.compression}`
  if (point.processors !== settings.processors)
    return `on a runner of ${counted(point.processors, 'processor')}`
  for (const side of ['source', 'target'] as const)
    if (major(point.versions[side]) !== major(settings.versions[side]))
      return `with version ${point.versions[side]} of the ${side}`
  if (settings.waitsForDump && overlapOf(point) > 0)
    return 'whose restore began before the end of the dump, for which if-target-not-empty: replace waits'
  for (const name of outagePhases) {
    const has = secondsOf(point, name) !== undefined
    const wanted = settings.takes?.[name]
    if (wanted !== undefined && wanted !== has) return `${has ? 'with' : 'without'} ${name}`
  }
  return null
}

function secondsOf({ phases }: HistoryPoint, name: OutagePhase): number | undefined {
  return phases.find((phase) => phase.name === name)?.seconds
}

/** Migrations of this source have measured it, or nobody has. */
function freezeOf(points: readonly HistoryPoint[]): Range {
  const seconds = points
    .map((point) => secondsOf(point, 'freeze'))
    .filter((value) => value !== undefined)
  if (seconds.length === 0) return usualFreeze
  // sessions that are ended may be more the next time
  return { low: Math.min(usualFreeze.low, ...seconds), high: 2 * Math.max(...seconds) }
}

function usedWords(used: readonly HistoryPoint[]): string {
  const sizes = used.map(({ bytes }) => bytes)
  const of = formatRange({ low: Math.min(...sizes), high: Math.max(...sizes) }, formatBytes)
  const migrations = used.filter(({ command }) => command === 'migrate').length
  const what =
    migrations === 0
      ? counted(used.length, 'verified rehearsal')
      : `${counted(used.length, 'verified run')} (${counted(migrations, 'migration')} among them)`
  const [first] = used
  return `From ${what} with the same settings since ${first?.startedAt.slice(0, 10)}, of ${of}`
}

function confidenceWords(runs: number): string {
  const confidence = provenConfidence(runs)
  if (confidence === null)
    return 'One run does not show how far runs lie apart, so no confidence is given: the range is as wide as runs on shared machines mostly need'
  const percent = `${Math.round(100 * confidence)} %`
  return confidence < 0.9
    ? `At least ${percent} sure: more cannot be proven by ${counted(runs, 'run')}, although the range is made as wide as nine of ten mostly need`
    : `At least ${percent} sure`
}

function sizeWords(size: Range, ahead: boolean, runs: number): string {
  if (!ahead) return `For the ${formatBytes(size.high)} that are there now`
  return runs === 1
    ? `For data as now, ${formatBytes(size.high)}: how they grow is not known from one run`
    : `For ${formatRange(size, formatBytes)}, as the data may have changed by the next run; rehearse again where they have grown further`
}

function asideWords(aside: readonly { count: number; why: string }[]): string[] {
  if (aside.length === 0) return []
  return [
    `Not used: ${aside.map(({ count, why }) => `${counted(count, 'run')} ${why}`).join(', ')}`,
  ]
}

/** How often what was said beforehand came true. */
function recordWords(used: readonly HistoryPoint[]): string[] {
  const judged = used.filter(({ stated }) => stated !== null)
  if (judged.length === 0) return []
  const held = judged.filter(
    ({ stated, seconds }) => stated && seconds >= stated.low && seconds <= stated.high,
  )
  return [
    `Of ${counted(judged.length, 'range')} stated before these runs ${judged.length === held.length && held.length > 1 ? `all ${held.length}` : held.length} held`,
  ]
}

function freezeWords(freeze: Range): string {
  return `It counts from the freeze of the source, which no rehearsal does (${formatRange(freeze, formatDuration)}), to the last row proven; not the checks before, the upload, or what a rehearsal removes`
}

const sum = (one: Range, other: Range): Range => ({
  low: one.low + other.low,
  high: one.high + other.high,
})
