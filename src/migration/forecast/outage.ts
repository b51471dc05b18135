import {
  type HistoryPoint,
  type OutagePhase,
  outagePhases,
  type PhaseResult,
} from '../../report/model.ts'

/** From when to when, in seconds after a run's start. */
interface Span {
  from: number
  to: number
}

/**
 * How long nobody could have worked, from the phases of a rehearsal or a migration: from the moment the roles and the first
 * row are read, after which a source that is still written to would be left behind, to the proof of the last row (and the
 * exchange of names). It counts what lies in between and belongs to no phase, such as sealing the dump. It does not count
 * what comes before and is done while people may work (checks, the client programs, the look at the definitions), what nobody
 * waits for (the upload), what only a rehearsal does (its clean-up), nor the freeze, which a rehearsal leaves out: that is a
 * phase of its own.
 *
 * The same of both, so that a migration's time can be held against what was said of it. It is the migration's
 * `cutoverSeconds` in all but what the run did beside its phases.
 *
 * @returns null where the run did not come so far, or a phase of it failed
 */
export function outageOf(
  phases: readonly PhaseResult[],
): Pick<HistoryPoint, 'seconds' | 'phases'> | null {
  const counts = (name: string): name is OutagePhase =>
    (outagePhases as readonly string[]).includes(name)
  const done = phases.filter(({ name, status }) => counts(name) && status !== 'skipped')
  // the definitions are looked at while people work, so that this is no part of it
  const begun = Math.min(
    ...done
      .filter(({ name }) => name === 'dump-roles' || name === 'dump')
      .map(({ startedAt }) => startedAt),
  )
  const counted = done.filter(({ name, startedAt }) => name !== 'schema' || startedAt >= begun)
  const has = (name: OutagePhase) => counted.some((phase) => phase.name === name)
  const isWhole = counted.every(({ status, seconds }) => status === 'succeeded' && seconds >= 0)
  if (!isWhole || !has('dump') || !has('restore')) return null
  const spans = counted.filter(({ name }) => name !== 'freeze').map(spanOf)
  const whole = {
    from: Math.min(...spans.map(({ from }) => from)),
    to: Math.max(...spans.map(({ to }) => to)),
  }
  const uncounted = phases
    .filter(({ name }) => (!counts(name) && name !== 'upload') || name === 'freeze')
    .map(spanOf)
  const within = (all: readonly Span[]) =>
    all.map(({ from, to }) => ({
      from: Math.max(from, whole.from),
      to: Math.min(to, whole.to),
    }))
  const busy = lengthOf(spans)
  // what everything else waited for, and is not to be counted
  const aside = lengthOf([...spans, ...within(uncounted)]) - busy
  const seconds = whole.to - whole.from - aside
  if (!(seconds > 0)) return null
  const lengths = outagePhases.map((name) => ({
    name,
    seconds:
      name === 'other'
        ? seconds - busy
        : lengthOf(counted.filter((phase) => phase.name === name).map(spanOf)),
  }))
  return {
    seconds: rounded(seconds),
    phases: lengths
      .filter(({ name }) => name === 'other' || has(name))
      .map((phase) => ({ ...phase, seconds: rounded(phase.seconds) })),
  }
}

/**
 * How many seconds of a run's phases went on beside others: its restore had begun before its dump was complete. None of them
 * otherwise do, but for the freeze, which is not counted.
 */
export function overlapOf({ seconds, phases }: Pick<HistoryPoint, 'seconds' | 'phases'>): number {
  const all = phases
    .filter(({ name }) => name !== 'freeze')
    .reduce((sum, phase) => sum + phase.seconds, 0)
  // each is rounded by itself
  return all - seconds > phases.length / 100 ? all - seconds : 0
}

const spanOf = ({ startedAt, seconds }: PhaseResult): Span => ({
  from: startedAt,
  to: startedAt + seconds,
})

/** Seconds that at least one of the spans covers. */
function lengthOf(spans: readonly Span[]): number {
  let [length, end] = [0, Number.NEGATIVE_INFINITY]
  for (const { from, to } of [...spans].sort((a, b) => a.from - b.from)) {
    length += Math.max(0, to - Math.max(from, end))
    end = Math.max(end, to)
  }
  return length
}

function rounded(seconds: number): number {
  return Math.round(Math.max(0, seconds) * 1000) / 1000
}
