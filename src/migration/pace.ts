/**
 * Reckons how long pieces of work still take that several do at once: each piece is taken to need time by its weight, as those
 * did that are done.
 */
export class Pace<T> {
  private readonly running = new Map<T, { weight: number; since: number }>()
  private readonly done = { weight: 0, seconds: 0 }
  private readonly total: number
  private readonly workers: number

  /** @param total weight of all pieces */
  constructor(total: number, workers: number) {
    this.total = total
    this.workers = Math.max(1, workers)
  }

  begin(piece: T, weight: number): void {
    this.running.set(piece, { weight, since: performance.now() })
  }

  end(piece: T): void {
    const work = this.running.get(piece)
    if (!work) return
    this.running.delete(piece)
    this.done.weight += work.weight
    this.done.seconds += secondsSince(work.since)
  }

  /** What is being worked on and for how many seconds, what has taken longest first. */
  now(): { piece: T; seconds: number }[] {
    return [...this.running].map(([piece, { since }]) => ({ piece, seconds: secondsSince(since) }))
  }

  /** Seconds until all is done; undefined while nothing is. */
  secondsLeft(): number | undefined {
    const { weight, seconds } = this.done
    if (weight === 0 || seconds === 0) return undefined
    const each = seconds / weight
    let waiting = this.total - weight
    let [sum, longest] = [0, 0]
    for (const work of this.running.values()) {
      waiting -= work.weight
      const runs = secondsSince(work.since)
      // one that outlives what was expected of it is not said to be over
      const left = Math.max(work.weight * each - runs, runs / 10)
      sum += left
      longest = Math.max(longest, left)
    }
    return Math.max((Math.max(0, waiting) * each + sum) / this.workers, longest)
  }
}

const secondsSince = (moment: number) => (performance.now() - moment) / 1000
