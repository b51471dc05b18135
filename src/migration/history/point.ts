import * as v from 'valibot'
import { type HistoryPoint, outagePhases } from '../../report/model.ts'
import {
  count,
  fields,
  flag,
  list,
  matching,
  measure,
  oneOf,
  readBy,
  wholeFrom,
} from '../kept/schema.ts'

/** Bytes; above it a report is refused unread. One of 100,000 tables has a quarter of it. */
export const mostReportBytes = 128 * 1024 * 1024
/** More than a report ever keeps; see fold.ts. */
const mostPoints = 1000
/** No job lives longer (GitHub, "Usage limits": 5 days on self-hosted runners), and no outage. Seconds. */
const longest = 31 * 86_400
/** Before it there was no such action; a clock that says so was not set. */
const earliest = Date.parse('2025-01-01T00:00:00Z')
/** Milliseconds that the clock of another runner may be ahead of ours. */
const ahead = 86_400_000

const digest = matching(/^[0-9a-f]{16}$/)
const version = matching(/^[\w.~+() -]{1,100}$/)
const jobs = wholeFrom(1)
const duration = v.pipe(measure, v.maxValue(longest, 'is longer than any run'))
const moment = v.pipe(
  matching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/),
  v.check((text) => Date.parse(text) >= earliest, 'was taken by a clock that was not set'),
)

const stated = v.pipe(
  fields({
    low: duration,
    high: duration,
    confidence: v.nullable(v.pipe(measure, v.maxValue(1, 'is above 1'))),
  }),
  v.check(({ low, high }) => low <= high, 'is no range'),
)

const point = v.pipe(
  fields({
    run: matching(/^\w[\w.:-]{0,60}$/),
    attempt: wholeFrom(1),
    command: oneOf(['rehearse', 'migrate']),
    startedAt: moment,
    source: digest,
    target: digest,
    databases: digest,
    versions: fields({ source: version, target: version }),
    bytes: wholeFrom(1),
    dumpBytes: count,
    tables: count,
    rows: v.nullable(count),
    processors: wholeFrom(1),
    jobs: fields({ dump: jobs, restore: jobs }),
    compression: matching(/^[a-z0-9:]{1,20}$/),
    verify: oneOf(['none', 'counts', 'data']),
    seconds: v.pipe(
      duration,
      v.check((value) => value > 0, 'is no time'),
    ),
    phases: list(fields({ name: oneOf(outagePhases), seconds: duration }), outagePhases.length),
    verified: flag,
    stated: v.nullable(stated),
  }),
  v.check(
    ({ phases }) => new Set(phases.map(({ name }) => name)).size === phases.length,
    'names a phase twice',
  ),
  v.check(
    // a thousandth for each rounding
    ({ phases, seconds }) =>
      phases.every((phase) => phase.name === 'freeze' || phase.seconds <= seconds + 0.01),
    'has a phase that is longer than the whole',
  ),
)

/** What is in a report of an earlier run. */
export interface ReadPoints {
  points: HistoryPoint[]
  /** Why points were refused, or the whole report, each end of the sentence with how many there are. */
  refused: ReadonlyMap<string, number>
}

/**
 * Reads the points in a `report.json` that anybody may have written. Each is judged by itself: one that is malformed costs
 * nothing but itself. Nothing of what was read is ever shown.
 *
 * @param now milliseconds, for points that come from the future
 */
export function readPoints(report: Uint8Array, now = Date.now()): ReadPoints {
  const refused = new Map<string, number>()
  const refuse = (why: string) => void refused.set(why, (refused.get(why) ?? 0) + 1)
  const points: HistoryPoint[] = []
  const found = { points, refused }
  if (report.length > mostReportBytes) {
    refuse('the report is larger than any that this action writes')
    return found
  }
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(report))
  } catch {
    // an error of the parser would quote the text
    refuse('the report is no JSON, or cut off')
    return found
  }
  // a report of another command, or of an earlier version, holds none
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'history')) return found
  const { history } = value as { history: unknown }
  if (!Array.isArray(history) || history.length > mostPoints) {
    refuse('its history is no list, or a longer one than this action writes')
    return found
  }
  for (const item of history) {
    try {
      const read: HistoryPoint = readBy(point, item, { whole: 'a point' }, (flaw) => new Flaw(flaw))
      if (Date.parse(read.startedAt) > now + ahead) refuse('it was taken by a clock that is ahead')
      else points.push(read)
    } catch (error) {
      if (!(error instanceof Flaw)) throw error
      refuse(error.message)
    }
  }
  return found
}

class Flaw extends Error {}
