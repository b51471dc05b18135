import { streamSizes } from '../stream-sizes.ts'
import type { Task } from './task.ts'

/** Sessions that a load keeps busy at most, its first one included: with more of them reading holds it up (bench/streams.ts). */
const useful = 4

/** A load that was handed out to no job, since it goes on beside the dump of its table. */
export interface EarlyShare {
  /** What it and the longest chain of tasks that wait for it take, as for a task. */
  readonly chain: number
  /** It does not keep up with the dump, and so is as busy as a job. */
  readonly isBehind: boolean
}

type Share = Pick<Task, 'chain' | 'load'> | EarlyShare

/**
 * Jobs for which there is nothing to do just now, and the loads that may use them meanwhile. Where the longest chain of work is longer
 * than all the rest shared out over the other jobs, it alone says when the restore ends: the load that it begins with has all jobs
 * that it can use, and other tasks wait for that (by the levels of Muntz and Coffman, "Optimal preemptive scheduling on two-processor
 * systems", 1969, as far as work goes that is not interrupted).
 */
export class IdleJobs {
  /** Told that another load may have jobs now, or none: those that were left to the one before may do something else. */
  changed: () => void = nobody
  private idle = 0
  private readonly from: number
  /** Loads in the order in which they came, and the sessions of each, summed up over so many looks. */
  private readonly borrowers = new Map<Share, { sessions: number; looks: number }>()

  /** @param from bytes of a load from which on it can have several sessions */
  constructor(from = streamSizes.from) {
    this.from = from
  }

  /** There is nothing to do any more: whoever was told is let go. */
  close(): void {
    this.changed = nobody
  }

  /** A job waits for its next task, and is idle until works(). */
  waits(): void {
    this.idle++
  }

  /** A job has a task, or there is none any more. Whoever else looks for one must not count it: it is to be told at once. */
  works(): void {
    this.idle--
  }

  /** A load has begun: until giveBack() it may have jobs beside its own. */
  begins(share: Share): void {
    if (this.borrowers.has(share)) return
    this.borrowers.set(share, { sessions: 0, looks: 0 })
    this.changed()
  }

  /** How many a load may use now, beside its own: all of them, if the longest chain of work hangs on it. To be asked again and again. */
  lentTo(share: Share): number {
    this.begins(share)
    const lent = this.longest === share ? this.idle - this.usedEarly((one) => one !== share) : 0
    const had = this.borrowers.get(share)
    if (had) {
      had.sessions += Math.min(useful, 1 + Math.max(0, lent))
      had.looks++
    }
    return Math.max(0, lent)
  }

  /**
   * Whether a load may begin that no job does: one is idle that no other load uses, or nothing is more urgent.
   *
   * @param isLongest whether no task that is under way has a longer chain
   */
  mayBeginEarly(share: EarlyShare, isLongest: () => boolean): boolean {
    const { longest } = this
    if (isLongest() && (longest?.chain ?? 0) <= share.chain) return true
    if (longest && (isEarly(longest) ? longest.isBehind : true)) return false
    return this.idle > this.usedEarly(() => true)
  }

  /**
   * Whether a job that waits may begin a task, and is not to be left to loads that are more urgent.
   *
   * @param decides whether a chain of that length alone says when the restore ends
   */
  mayBegin(task: Task, decides: (chain: number) => boolean): boolean {
    const isBefore = (share: Share) => share !== task && share.chain > task.chain
    const { longest } = this
    const isLent = longest && isBefore(longest) && this.canUse(longest) && decides(longest.chain)
    return this.idle > this.usedEarly(isBefore) + (isLent ? useful - 1 : 0)
  }

  /**
   * The load has ended, or needs no other job.
   *
   * @returns how many sessions it could use, its own included, on an average of the times at which it asked
   */
  giveBack(share: Share): number {
    const { sessions, looks } = this.borrowers.get(share) ?? { sessions: 0, looks: 0 }
    if (this.borrowers.delete(share)) this.changed()
    return looks === 0 ? 1 : sessions / looks
  }

  /** The one with the longest chain, of two that are as long the one that came first. */
  private get longest(): Share | undefined {
    let found: Share | undefined
    for (const one of this.borrowers.keys()) if (!found || one.chain > found.chain) found = one
    return found
  }

  /** Whether it would have more sessions if there were more jobs. */
  private canUse(share: Share): boolean {
    if (isEarly(share)) return share.isBehind
    return share.load?.items.length === 1 && share.load.bytes >= this.from
  }

  /** Jobs that are as good as used, since loads that have none are busy. */
  private usedEarly(which: (share: Share) => boolean): number {
    let sum = 0
    for (const one of this.borrowers.keys()) if (isEarly(one) && one.isBehind && which(one)) sum++
    return sum
  }
}

function nobody(): void {}

function isEarly(share: Share): share is EarlyShare {
  return 'isBehind' in share
}
