import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { Cancelled, Failure, messageOf } from '../failure.ts'
import type { Opened } from '../postgres/connection.ts'
import { mayPass, sqlstateOf } from '../postgres/errors.ts'
import type { Context } from './context.ts'

/** Three and a half minutes in all (seconds): a cluster that restarts or fails over is back by then. */
export const defaultPauses: readonly number[] = [1, 2, 4, 8, 15, 30, 30, 60, 60]

export interface RetryOptions {
  /** Whether what failed is worth another try; default `mayPass`. What it throws ends the work. */
  again?: (error: unknown) => boolean
  /** What is thrown when the tries are used up; default a failure that says what was the last. */
  exhausted?: (error: unknown) => unknown
  /** Called with what failed before the pause: to count, and to close what is no longer of use. */
  interrupted?: (error: unknown) => Promise<void> | void
  /** Tries after the first at most; default as many as there are pauses. */
  most?: number
}

/** What was tried until the tries were used up: whoever waits for a part does not try that part again. */
const givenUp = new WeakSet<object>()

/**
 * Works until it is done: what fails and is known to pass is tried again, with growing pauses and a bounded number of times.
 * The one mechanism by which lost connections and restarts of a server heal.
 *
 * @param work called with the number of tries before it; a try that failed may have done its part, so the work must bear repetition
 * @returns what `work` returned
 * @throws what `work` threw, once it cannot pass or the tries are used up; Cancelled as soon as the signal has fired
 */
export async function retrying<T>(
  context: Pick<Context, 'log' | 'pauses' | 'signal'>,
  work: (attempt: number) => Promise<T>,
  options: RetryOptions = {},
): Promise<T> {
  const { again = mayPass, exhausted = stayedLost, interrupted } = options
  const pauses = context.pauses ?? defaultPauses
  const most = Math.min(options.most ?? pauses.length, pauses.length)
  for (let attempt = 0; ; attempt++) {
    try {
      return await work(attempt)
    } catch (error) {
      if (context.signal.aborted || error instanceof Cancelled) throw new Cancelled()
      if (isGivenUp(error) || !again(error)) throw error
      const wait = pauses[attempt]
      if (wait === undefined || attempt >= most) {
        const last = exhausted(error)
        if (typeof last === 'object' && last !== null) givenUp.add(last)
        throw last
      }
      await interrupted?.(error)
      context.log.info(`${messageOf(error)}; trying again in ${wait} s`)
      await pause(wait, context.signal)
    }
  }
}

/**
 * The same for a look at a server that may be the first: one that cannot be reached at all, or not with these inputs, is told
 * at once; what is lost on the way is tried again.
 *
 * @param work must bear repetition
 * @throws as `retrying`
 */
export async function lookingAgain<T>(
  context: Pick<Context, 'log' | 'pauses' | 'signal'>,
  work: () => Promise<T>,
): Promise<T> {
  let reached = false
  return await retrying(context, work, {
    again: (error) => {
      // what fails in connecting is a Failure, what fails in a session is what the driver threw
      reached ||= !(error instanceof Failure)
      return reached && mayPass(error)
    },
  })
}

function stayedLost(error: unknown): Failure {
  if (error instanceof Failure) return error
  return new Failure(
    'The connection was lost, and every new try ended in the same way',
    messageOf(error),
    'Look into the log of the server and at the network between, then run again',
    { cause: error, sqlstate: sqlstateOf(error) },
  )
}

export function isGivenUp(error: unknown): boolean {
  return typeof error === 'object' && error !== null && givenUp.has(error)
}

/** A session that is opened when it is first needed, and anew after it was dropped. */
export class LastingSession {
  private readonly open: () => Promise<Opened>
  private current: Opened | undefined

  constructor(open: () => Promise<Opened>) {
    this.open = open
  }

  async client(): Promise<pg.Client> {
    this.current ??= await this.open()
    return this.current.client
  }

  /** Closes it; never throws. */
  async drop(): Promise<void> {
    const { current } = this
    this.current = undefined
    await current?.close()
  }
}

/** Waits so many seconds. @throws Cancelled as soon as the signal fires */
export async function pause(seconds: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(seconds * 1000, undefined, { signal })
  } catch {
    throw new Cancelled()
  }
}
