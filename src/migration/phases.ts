import { Cancelled } from '../failure.ts'
import type { PhaseName } from '../report/model.ts'
import type { Context } from './context.ts'

/**
 * Runs one phase and keeps its name, times and outcome in the report, whatever happens. `cutover-seconds` and the timeline
 * are drawn from these.
 */
export async function runPhase<T>(
  context: Context,
  name: PhaseName,
  work: () => Promise<T>,
  database?: string,
): Promise<T> {
  context.signal.throwIfAborted()
  const { phases, startedAt } = context.report
  const began = Date.now()
  const entry = {
    name,
    status: 'failed' as 'failed' | 'succeeded',
    seconds: 0,
    startedAt: (began - Date.parse(startedAt)) / 1000,
    ...(database === undefined ? {} : { database }),
  }
  phases.push(entry)
  context.log.info(`▶ ${name}${database === undefined ? '' : ` ${database}`}`)
  try {
    const result = await work()
    entry.status = 'succeeded'
    return result
  } catch (error) {
    // whatever failed because the job was cancelled is the cancellation's doing
    if (context.signal.aborted) throw new Cancelled()
    throw error
  } finally {
    entry.seconds = round((Date.now() - began) / 1000)
    entry.startedAt = round(entry.startedAt)
  }
}

/** Notes a phase that the inputs leave out. */
export function skipPhase(context: Context, name: PhaseName): void {
  const startedAt = round((Date.now() - Date.parse(context.report.startedAt)) / 1000)
  context.report.phases.push({ name, status: 'skipped', seconds: 0, startedAt })
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000
}
