import { Cancelled } from '../failure.ts'

/** Where workers get their tasks. Tasks may be added while others run. */
export interface Queue<T> {
  /** The next task; waits while it cannot be said yet whether there is one; undefined when there will be none. */
  next(signal: AbortSignal): T | undefined | Promise<T | undefined>
  /** Wakes all who wait in `next`: a task has failed, and no other is to be begun. */
  close?(): void
}

/** How tasks are shared out among workers. */
export interface Pool<R = undefined> {
  /** How many tasks run at once; a list of tasks never gets more workers than it has tasks. */
  workers: number
  /** Cancels the whole. */
  signal: AbortSignal
  /** Makes what a worker keeps from task to task, as a session or a buffer. @param worker its number, from 0 */
  open?: (worker: number, signal: AbortSignal) => R | Promise<R>
  /** Ends it, whether the worker's tasks succeeded or not. */
  close?: (resource: R) => Promise<void>
  /** What is done when a task fails, besides beginning no other; by default the signal of the tasks is aborted. */
  stop?: () => void
  /** Chooses what is thrown, from all errors in the order in which they happened; by default the first. */
  choose?: (errors: readonly unknown[]) => unknown
}

/**
 * Runs tasks, several at once, and always waits for all that were begun. The first one that fails keeps others from being
 * begun, and aborts the signal that each of them gets: a task that does not look at it is finished.
 *
 * @param tasks a list, which is worked through in its order, or a queue
 * @param run gets the task, the worker's resource, the task's number in the order in which they were begun, and the signal
 * @returns what the tasks returned, in the order in which they were begun
 * @throws Cancelled once the pool's signal is aborted; otherwise the first error
 */
export async function inPool<T, R = undefined, O = void>(
  tasks: readonly T[] | Queue<T>,
  pool: Pool<R>,
  run: (task: T, resource: R, index: number, signal: AbortSignal) => Promise<O>,
): Promise<O[]> {
  const queue = 'next' in tasks ? tasks : queueOf(tasks)
  const stopper = new AbortController()
  const signal = AbortSignal.any([pool.signal, stopper.signal])
  const results: O[] = []
  const errors: unknown[] = []
  let begun = 0

  const next = async () => {
    const task = await queue.next(signal)
    if (signal.aborted) throw new Cancelled()
    return errors.length > 0 ? undefined : task
  }
  const work = async (worker: number) => {
    const resource = (await pool.open?.(worker, signal)) as R
    try {
      for (let task = await next(); task !== undefined; task = await next()) {
        const index = begun++
        results[index] = await run(task, resource, index, signal)
      }
    } catch (error) {
      // noted before the resource is closed, so that the others hear of it at once
      fail(error)
    } finally {
      await pool.close?.(resource)
    }
  }
  const fail = (error: unknown) => {
    errors.push(error)
    queue.close?.()
    if (pool.stop) pool.stop()
    else stopper.abort(new Cancelled())
  }

  const most = Math.max(1, pool.workers)
  const workers = 'next' in tasks ? most : Math.min(most, tasks.length)
  await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker).catch(fail)))
  if (pool.signal.aborted) throw new Cancelled()
  if (errors.length > 0) throw pool.choose ? pool.choose(errors) : errors[0]
  return results
}

function queueOf<T>(tasks: readonly T[]): Queue<T> {
  let at = 0
  return { next: () => tasks[at++] }
}
