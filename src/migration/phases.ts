import { Cancelled } from '../failure.ts'
import { tidyHeap } from '../heap.ts'
import type { PhaseName } from '../report/model.ts'
import type { Context } from './context.ts'

/** What the line of the log begins with that says which phase begins. */
export const phaseMark = '▶ '

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
  tidyHeap()
  const end = context.record.phase(name, database)
  let succeeded = false
  context.log.info(`${phaseMark}${name}${database === undefined ? '' : ` ${database}`}`)
  try {
    const result = await work()
    succeeded = true
    return result
  } catch (error) {
    // whatever failed because the job was cancelled is the cancellation's doing
    if (context.signal.aborted) throw new Cancelled()
    throw error
  } finally {
    end(succeeded)
    tidyHeap()
  }
}

/** Notes a phase that the inputs leave out. */
export function skipPhase(context: Context, name: PhaseName): void {
  context.record.skippedPhase(name)
}
