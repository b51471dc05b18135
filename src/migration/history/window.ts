import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import type { Forecast, HistoryPoint, StatedRange } from '../../report/model.ts'
import { counted, formatDuration, formatRange } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import type { ReachedTarget, Source } from '../checks/preflight.ts'
import { estimateMigration } from '../estimate/estimate.ts'
import { forecastFromEstimate, forecastFromRuns, type Settings } from '../forecast/forecast.ts'
import { heldUpBy } from '../forecast/held-up.ts'
import { outageOf } from '../forecast/outage.ts'
import { autoJobs } from '../jobs.ts'
import type { Run } from '../run.ts'
import { readReports } from './directory.ts'
import { foldHistory } from './fold.ts'
import { type Identity, identify } from './identity.ts'
import { readPoints } from './point.ts'

/** What is known of the outage before a run; for forecastOutage(). */
export interface OutageWindow {
  settings: Settings
  /** Null where a side did not say who it is: the run then belongs to no history. */
  identity: Identity | null
  /** Of earlier runs of the same source, target and databases, the oldest first. */
  earlier: HistoryPoint[]
  /** What was said of this run beforehand, without the freeze. */
  stated: StatedRange | null
  /** What should be known of the history, a sentence each. */
  notes: string[]
  /** When it was stated, by the clock that tells the time and by one that nobody sets, in milliseconds. */
  at: { clock: number; steady: number }
}

/** Reports with points of these databases after which no more are fetched: each holds what was known before it. */
const enoughReports = 3

/**
 * Reads what earlier runs took and says how long this one will take, before its first byte. Put it before the dump, when both
 * sides were reached; it reads both servers and changes nothing. Whatever is wrong with the history is said, and never an error.
 * Points go into the report at once, so that the report of a run that fails carries them on.
 *
 * @param orEstimate where no run is known, an estimate is made: some seconds of reading on both sides
 * @returns for forecastOutage()
 * @throws Cancelled
 */
export async function statedWindow(
  source: Source,
  target: ReachedTarget,
  run: Run,
  { orEstimate }: { orEstimate: boolean },
): Promise<OutageWindow> {
  const { record, report } = run
  const settings = settingsOf(source, target, run)
  const window: OutageWindow = {
    ...{ settings, identity: null, earlier: [], stated: null, notes: [] },
    at: { clock: Date.now(), steady: performance.now() },
  }
  try {
    window.identity = await identify(source, target, run)
    await readHistory(window, run)
  } catch (error) {
    if (error instanceof Cancelled || run.signal.aborted) throw error
    window.notes.push(`Earlier runs could not be read: ${printable(messageOf(error))}`)
  }
  const { earlier, notes } = window
  if (earlier.length > 0) record.history(earlier)
  const bytes = source.databases.reduce((sum, database) => sum + database.bytes, 0)
  let forecast = forecastFromRuns(earlier, { settings, bytes, ahead: false })
  if (!forecast && orEstimate) {
    const estimate =
      report.estimate ??
      (await estimateMigration(source, target, run).catch((error: unknown) => {
        if (error instanceof Cancelled || run.signal.aborted) throw error
        notes.push(`No estimate could be made: ${printable(messageOf(error))}`)
        return null
      }))
    if (estimate) forecast = forecastFromEstimate(estimate, { settings, bytes }, earlier)
  }
  if (forecast) {
    window.stated = withoutFreeze(forecast)
    say({ ...forecast, basis: [...forecast.basis, ...notes] }, 'Outage to expect', run)
  } else for (const note of notes) run.log.info(note)
  return window
}

/**
 * Call it at the end of a rehearsal, once the run is verified. Notes what it took, as rememberOutage() does, forecasts the outage
 * to announce from that and from what earlier runs took, says it, and gives the output `forecast` (seconds, upper end).
 *
 * @param window of statedWindow()
 * @throws Failure where the upper end does not fit `max-outage`, or there is nothing to hold that against
 */
export function forecastOutage(window: OutageWindow, run: Run): void {
  const point = rememberOutage(window, run)
  const { settings, notes } = window
  const { history = [], databases } = run.report
  const forecast = point?.verified
    ? forecastFromRuns(history, { settings, bytes: point.bytes, ahead: true })
    : null
  if (!point || !forecast) {
    refuseUnknown(point, run)
    return
  }
  const whole = {
    ...forecast,
    heldUp: heldUpBy(point, settings, databases),
    basis: [took(point), ...forecast.basis, ...notes],
  }
  say(whole, 'Outage to announce', run)
  refuseTooLong(whole, run)
}

/**
 * Call it at the end of a run that is to be remembered: a migration, whose time can so be held against what was said of it. What
 * is not verified is remembered, too, and foretells nothing.
 *
 * @param window of statedWindow()
 * @returns what the run took; null where it did not come to its end, or its times are not to be trusted
 */
export function rememberOutage(window: OutageWindow, run: Run): HistoryPoint | null {
  const { identity, earlier, at } = window
  const elapsed = performance.now() - at.steady
  const jump = (Date.now() - at.clock - elapsed) / 1000
  // a clock that is put right in small steps is out by less
  if (Math.abs(jump) > 2 + elapsed / 1e6) {
    run.warn(
      `The clock of the runner was set ${jump > 0 ? 'forward' : 'back'} by ${formatDuration(Math.abs(jump))} during this run, so its times are not used for the forecast of an outage`,
    )
    return null
  }
  const point = identity && pointOf(window, identity, run)
  if (!point) {
    if (run.inputs.maxOutage !== undefined)
      run.warn(
        identity
          ? 'A phase that counts for the outage was left out or did not end, so this run is not remembered'
          : 'A side did not say who it is, so this run belongs to no history',
      )
    return null
  }
  run.record.history(foldHistory(earlier, [point]))
  run.log.info(took(point))
  return point
}

/** What a run took, and whether that was foretold. */
function took({ command, seconds, stated }: HistoryPoint): string {
  const words = `The outage of this ${command === 'migrate' ? 'migration' : 'rehearsal'} ${command === 'migrate' ? 'was' : 'would have been'} ${formatDuration(seconds)}, without the freeze`
  return stated
    ? `${words}; ${formatRange(stated, formatDuration)} had been stated before it${isWithin(seconds, stated) ? '' : ', and did not hold'}`
    : words
}

function isWithin(seconds: number, { low, high }: StatedRange): boolean {
  return seconds >= low && seconds <= high
}

/** Records a forecast, and says it. */
function say(forecast: Forecast, what: string, run: Run): void {
  run.record.forecast(forecast)
  run.setOutput('forecast', Math.ceil(forecast.high))
  run.log.info(`${what}: ${windowWords(forecast)}. ${forecast.basis.join('. ')}`)
  for (const { what: cause, remedy } of forecast.heldUp) run.log.info(`${cause}. ${remedy}`)
}

/** `18 min to 25 min (at least 60 % sure, from 4 runs)` */
function windowWords(forecast: Forecast): string {
  const { confidence, from, points } = forecast
  const sure =
    from === 'estimate'
      ? 'from an estimate'
      : `${confidence === null ? 'no confidence yet' : `at least ${Math.round(100 * confidence)} % sure`}, from ${counted(points, 'run')}`
  return `${formatRange(forecast, formatDuration)} (${sure})`
}

/** @throws Failure where there is a limit: what could not be held against it has not been met */
function refuseUnknown(point: HistoryPoint | null, { inputs: { maxOutage } }: Run): void {
  if (maxOutage === undefined) return
  let why = 'no run with these settings is known'
  if (!point) why = 'what this run took is not known: a warning says why'
  else if (!point.verified) why = 'a run that is not verified foretells none'
  throw new Failure(
    `Whether the outage fits max-outage: ${formatDuration(maxOutage)} is not known`,
    `Nothing was forecast, since ${why}`,
    'Put that right and rehearse again, or leave max-outage out',
  )
}

/** @throws Failure */
function refuseTooLong(forecast: Forecast, run: Run): void {
  const { maxOutage } = run.inputs
  if (maxOutage === undefined || forecast.high <= maxOutage) return
  const [worst] = forecast.heldUp
  const fewer =
    forecast.points < 5 ? 'Rehearse more often: the range becomes narrower with each run; or ' : ''
  throw new Failure(
    'The outage does not fit max-outage',
    `It is forecast to take ${windowWords(forecast)}, and max-outage is ${formatDuration(maxOutage)}`,
    `${worst ? `${worst.what}: ${worst.remedy}. ` : ''}${fewer === '' ? 'Or announce' : `${fewer}announce`} a longer outage and raise max-outage`,
  )
}

function withoutFreeze({ low, high, confidence, freeze }: Forecast): StatedRange {
  return { low: low - freeze.low, high: high - freeze.high, confidence }
}

function settingsOf(source: Source, target: ReachedTarget, run: Run): Settings {
  const { inputs, processors } = run
  const jobs = (given: number | 'auto') => (given === 'auto' ? autoJobs(processors) : given)
  const { compression } = inputs
  return {
    versions: { source: source.version.version, target: target.version },
    processors,
    jobs: { dump: jobs(inputs.dumpJobs), restore: jobs(inputs.restoreJobs) },
    compression:
      'level' in compression ? `${compression.method}:${compression.level}` : compression.method,
    verify: inputs.verify,
    waitsForDump: inputs.ifTargetNotEmpty === 'replace',
    takes: {
      'restore-roles': inputs.roles !== 'skip',
      analyze: inputs.analyze,
      swap: inputs.ifTargetNotEmpty === 'swap',
    },
  }
}

/** What this run took; null where it did not come to its end. */
function pointOf(window: OutageWindow, identity: Identity, run: Run): HistoryPoint | null {
  // the phases of the point say what it took
  const { takes: _, waitsForDump: __, ...settings } = window.settings
  const { report, earlierRuns } = run
  const outage = outageOf(report.phases)
  if (!outage) return null
  const sum = (of: (database: (typeof report.databases)[number]) => number) =>
    report.databases.reduce((all, database) => all + of(database), 0)
  const tables = report.databases.flatMap((database) => database.tables)
  const rows = tables.map(({ targetRows }) => targetRows)
  return {
    run: earlierRuns.run,
    attempt: earlierRuns.attempt,
    command: run.inputs.command === 'migrate' ? 'migrate' : 'rehearse',
    startedAt: report.startedAt,
    ...identity,
    ...settings,
    bytes: Math.max(1, Math.round(sum(({ bytes }) => bytes))),
    dumpBytes: Math.round(sum(({ dumpBytes }) => dumpBytes)),
    tables: tables.length,
    rows:
      window.settings.verify !== 'none' && rows.every((count) => count !== null)
        ? rows.reduce((all, count) => all + count, 0)
        : null,
    ...outage,
    verified: report.verified,
    stated: window.stated,
  }
}

const sides = ['source', 'target', 'databases'] as const

/** Reads the history from where it is, and keeps what is of the same source, target and databases. */
async function readHistory(window: OutageWindow, run: Run): Promise<void> {
  const { identity, notes } = window
  const { inputs, earlierRuns, signal } = run
  const refused = new Map<string, number>()
  const foreign = { source: new Set(), target: new Set(), databases: new Set() }
  let useful = 0
  const take = (content: Uint8Array, whose: string) => {
    const read = readPoints(content)
    for (const [why, count] of read.refused) refused.set(why, (refused.get(why) ?? 0) + count)
    const mine = read.points.filter((point) => {
      const other = sides.find((side) => point[side] !== identity?.[side])
      if (other) foreign[other].add(`${point.run} ${point.attempt} ${point[other]}`)
      return !other
    })
    run.log.debug(
      `${whose}: ${counted(mine.length, 'point')} of ${counted(read.points.length, 'run')}`,
    )
    if (mine.length > 0) useful++
    window.earlier = foldHistory(window.earlier, mine)
    return useful < enoughReports
  }
  if (inputs.history !== undefined) {
    notes.push(
      ...(await readReports(inputs.history, (content, whose) => void take(content, whose), signal)),
    )
  }
  if (inputs.githubToken !== undefined) {
    const scratch = await mkdtemp(join(run.temporaryDirectory, 'history-'))
    useful = 0
    try {
      notes.push(...(await earlierRuns.read(inputs.githubToken, take, scratch, signal)))
    } finally {
      await rm(scratch, { recursive: true, force: true })
    }
  }
  if (inputs.history === undefined && inputs.githubToken === undefined)
    notes.push(`Earlier runs were not looked for: ${earlierRuns.ways}`)
  const words = { source: 'another source', target: 'another target', databases: 'other databases' }
  for (const side of sides) {
    const { size } = foreign[side]
    if (size > 0)
      notes.push(
        `${counted(size, 'run')} of ${words[side]} ${size === 1 ? 'was' : 'were'} passed over`,
      )
  }
  for (const [why, count] of refused)
    notes.push(
      `Of earlier reports ${counted(count, 'point')} ${count === 1 ? 'was' : 'were'} refused: ${why}`,
    )
}
