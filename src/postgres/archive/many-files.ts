import { type Stats, statSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'

/** Milliseconds after which others have their turn. */
const turn = 10
/** An answer that takes longer than this (milliseconds) so many times in a row is one of a file system that is slow. */
const slow = 3
const slowAnswers = 3
/** Questions after which a slow file system may show that it is no longer. */
const patience = 200

/**
 * Asks for something small of each of many files. A question that goes through Node's threads takes ten times the processor time
 * of one that this thread asks itself, which is more than all else that is done for a small table. So this thread asks, in
 * turns short enough that nobody waits for it, as long as the file system answers at once; one that does not (across a network) is
 * asked through the threads.
 */
export class ManyFiles {
  private turnBegan = performance.now()
  private slowInARow = 0
  private patient = 0

  /** What the system knows of a file; undefined where it is not there, or cannot be asked for. */
  async stat(path: string): Promise<Stats | undefined> {
    return await this.ask(
      () => {
        try {
          return statSync(path, { throwIfNoEntry: false })
        } catch {
          return undefined
        }
      },
      () => stat(path).catch(() => undefined),
    )
  }

  /**
   * @param now asks, and waits for the answer
   * @param later asks the same through Node's threads
   * @returns the answer of one of the two
   * @throws what that one throws
   */
  async ask<T>(now: () => T, later: () => Promise<T>): Promise<T> {
    if (this.patient > 0) {
      this.patient--
      return await later()
    }
    let began = performance.now()
    if (began - this.turnBegan > turn) {
      await nextTurn()
      began = performance.now()
      this.turnBegan = began
    }
    try {
      return now()
    } finally {
      const isSlow = performance.now() - began > slow
      this.slowInARow = isSlow ? this.slowInARow + 1 : 0
      // from then on a single slow answer is enough, until one is quick
      if (this.slowInARow >= slowAnswers) this.patient = patience
    }
  }
}
