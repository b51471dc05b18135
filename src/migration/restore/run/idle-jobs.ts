import type { Task } from './task.ts'

/** Jobs for which there is nothing to do just now, and the load that may use them meanwhile. */
export class IdleJobs {
  private idle = 0
  private readonly borrowers = new Set<Task>()

  /** Counts a job as idle while it waits for its next task. */
  async waiting<T>(next: () => Promise<T>): Promise<T> {
    this.idle++
    try {
      return await next()
    } finally {
      this.idle--
    }
  }

  /** How many a load may use now, beside its own: all of them, if the longest chain of work hangs on it. To be asked again and again. */
  lentTo(task: Task): number {
    this.borrowers.add(task)
    for (const other of this.borrowers) if (other.chain > task.chain) return 0
    // of two that are as long the one that came first
    const [first] = [...this.borrowers].filter(({ chain }) => chain === task.chain)
    return first === task ? this.idle : 0
  }

  /** How many no load uses: for what takes no job, and so must not take one from those that do. */
  get spare(): number {
    return this.borrowers.size === 0 ? this.idle : 0
  }

  /** The load is done with. */
  giveBack(task: Task): void {
    this.borrowers.delete(task)
  }
}
