import { Cancelled } from '../failure.ts'

/**
 * The ten seconds of a cancelled job. The runner sends SIGINT, SIGTERM after 7.5 s and SIGKILL after 2.5 s more
 * (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation). All that is still to be done
 * shares them; docs/where.md adds them up. Milliseconds after the cancellation at which each has ended:
 */
export const endsBy = {
  /** Lent rights, temporary roles and throw-away databases are gone, as far as the target answers. */
  rights: 6000,
  /** The report is uploaded; what is left is for removing the files of the run. */
  report: 9000,
} as const

/**
 * Milliseconds from now until a moment after the cancellation, at least one.
 *
 * @param signal one that has fired; where its reason does not say when, it counts as fired just now
 */
export function timeLeftUntil(moment: number, signal: AbortSignal): number {
  const { reason } = signal as { reason: unknown }
  const passed = reason instanceof Cancelled ? performance.now() - reason.at : 0
  return Math.max(1, moment - passed)
}

/**
 * Does what must be done after a cancellation, too: the signal handed on is not the run's own, which may have fired. It fires
 * after so long, or in time for the report when the job is or becomes cancelled.
 *
 * @param signal the run's own
 * @param otherwise milliseconds that it may take in a job that is not cancelled
 */
export async function doStill<T>(
  signal: AbortSignal,
  otherwise: number,
  work: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController()
  const after = (time: number) => setTimeout(() => limit.abort(), time)
  let timer = after(signal.aborted ? timeLeftUntil(endsBy.rights, signal) : otherwise)
  const hurry = () => {
    clearTimeout(timer)
    timer = after(timeLeftUntil(endsBy.rights, signal))
  }
  signal.addEventListener('abort', hurry, { once: true })
  try {
    return await work(limit.signal)
  } finally {
    signal.removeEventListener('abort', hurry)
    clearTimeout(timer)
  }
}
