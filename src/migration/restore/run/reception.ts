import { Cancelled, messageOf } from '../../../failure.ts'
import type { Context } from '../../context.ts'
import type { ExpectedPart } from '../arriving.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import type { EarlyLoads, GrowingPart } from './early-loads.ts'
import { makeTasks } from './make-tasks.ts'
import type { Schedule } from './schedule.ts'

/** Archives that arrive while entries of others are being restored. */
export interface Reception {
  /** All that are to come. */
  readonly parts: readonly ExpectedPart[]
  /** Hands on each of a single table whose rows begin to come. @throws Cancelled */
  watch(
    flows: (part: ExpectedPart, growing: GrowingPart) => void,
    signal: AbortSignal,
  ): Promise<void>
  /** Hands on what is to be done of each when it is there; returns when all have come. @throws what keeps one from being used */
  receive(
    arrived: (part: ExpectedPart, items: readonly PlannedEntry[]) => void,
    signal: AbortSignal,
  ): Promise<void>
}

/**
 * Takes archives that arrive into a schedule while it is worked through.
 *
 * @param early begins the loads of tables whose rows begin to come
 * @param signal of the work
 * @param stop ends the work
 * @param work resolves when everything in the schedule is done
 * @throws what keeps an archive from being used, once the work has ended for it; what the work throws
 */
export async function receiving(
  reception: Reception,
  schedule: Schedule,
  early: EarlyLoads,
  { log, signal }: Pick<Context, 'log' | 'signal'>,
  stop: () => void,
  work: () => Promise<void>,
): Promise<void> {
  const over = new AbortController()
  const until = AbortSignal.any([signal, over.signal])
  let refused: { error: unknown } | undefined
  const arrived = (part: ExpectedPart, items: readonly PlannedEntry[]) => {
    early.arrived(part, items)
    schedule.arrive(part, makeTasks(items))
  }
  const flows = (part: ExpectedPart, growing: GrowingPart) => early.begin(part, growing, schedule)
  const watched = reception.watch(flows, until).catch((error: unknown) => {
    if (!until.aborted) log.info(`No table is loaded while it is dumped: ${messageOf(error)}`)
  })
  const received = reception.receive(arrived, until).catch((error: unknown) => {
    if (until.aborted) return
    refused = { error }
    schedule.close()
    stop()
  })
  try {
    await work()
  } catch (error) {
    if (!refused) throw error
  } finally {
    over.abort(new Cancelled())
    await Promise.all([received, watched, early.close()])
  }
  if (refused) throw refused.error
}
