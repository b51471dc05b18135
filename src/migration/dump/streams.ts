/** Seconds of dumping that say how fast it is. */
const telling = 3

/** How much of what one stream reads alone another one must add to be worth its load on the source. */
const worth = 0.3

/**
 * How many parts of a dump are read at once. Where the link is the limit, one after the other is best: the first is complete, and
 * being restored, while the next is on its way. Where it is not, a further stream is tried once it is known how fast those before
 * are, and kept when all together are then faster by three tenths of what one alone is.
 */
export class Streams {
  private readonly most: number
  private readonly measured = new Map<number, { bytes: number; seconds: number }>()
  private last: { now: number; bytes: number; flowing: number } | undefined
  /** It is known how many are worth it. */
  isSettled = false
  /** Parts that may be read at once. */
  allowed = 1

  /** @param most of them, whatever is measured */
  constructor(most: number) {
    this.most = Math.max(1, most)
  }

  /**
   * Learns from a look at what is written.
   *
   * @param now in milliseconds
   * @param bytes of all parts so far
   * @param flowing parts that rows are being written of
   */
  look(now: number, bytes: number, flowing: number): void {
    const before = this.last
    this.last = { now, bytes, flowing }
    // where a part began or ended in between it is not known how many there were
    if (!before || before.flowing !== flowing || flowing === 0) return
    const sum = this.measured.get(flowing) ?? { bytes: 0, seconds: 0 }
    sum.bytes += Math.max(0, bytes - before.bytes)
    sum.seconds += (now - before.now) / 1000
    this.measured.set(flowing, sum)
    this.decide()
  }

  private decide(): void {
    if (this.isSettled) return
    const rate = this.rate(this.allowed)
    const [one, fewer] = [this.rate(1), this.rate(this.allowed - 1)]
    if (rate === undefined || one === undefined) return
    if (fewer !== undefined && rate < fewer + worth * one) {
      this.allowed--
      this.isSettled = true
    } else if (this.allowed < this.most) this.allowed++
    else this.isSettled = true
  }

  /** Bytes a second with so many streams, once that is known. */
  private rate(streams: number): number | undefined {
    const sum = this.measured.get(streams)
    return sum && sum.seconds >= telling ? sum.bytes / sum.seconds : undefined
  }
}
