import type { Queue } from '../pool.ts'
import type { PartAhead } from './sink.ts'
import { Streams } from './streams.ts'

/** How much longer than in the part before the catalogs may take: two parts share the link for that long at most. */
const caution = 1.5

/** Round trips that pg_dump makes for the rows of one table: COPY and its end, and with several jobs a lock before. */
const tripsOfTable = 3

/** One archive of a database: the definitions, or a data archive. */
export type PartTask = 'schema' | PartAhead

/** A data archive that is being made. Times are milliseconds of the queue's clock. */
interface Running {
  begun: number
  /** When its first row came. */
  flows?: number
  /** The share of its rows that had come when that was last seen. */
  seen?: { share: number; now: number }
  /** When it will have ended, as far as can be said. */
  ends?: number
  jobs: number
}

/** A part that is begun to see whether so many at once are worth it. */
interface Trial {
  part: PartAhead
  stop: AbortController
  kept: PromiseWithResolvers<void>
}

/** From such a share of its rows on a part on trial is better brought to its end than begun once more: less is left of it than would be dumped twice. */
const halfway = 0.5

export interface PartQueueOptions {
  parts: readonly PartAhead[]
  jobs: number
  /** Sessions that all pg_dumps together may have; one more than there are jobs at least, for the leader of several. */
  sessions: number
  /** Milliseconds that the shortest question to the source takes. */
  roundTrip: number
}

/**
 * Hands out the archives of a database: that of the definitions, and the parts in their order, as many at once as is worth it (see
 * Streams). Each is a pg_dump that reads the catalogs before its first row, and the link has little to do meanwhile: so the first part
 * begins beside the definitions, and every other one so early that its catalogs are read when one before it ends; the last one, whose
 * tables may be many and small, so early that it has made its round trips by then. Whether one more at the same time is worth it is tried
 * with the smallest: where it is not, it is given up for its turn, so that it does not hold up those before it until it ends.
 */
export class PartQueue implements Queue<PartTask> {
  /** Those that have not begun. */
  private readonly waiting: PartAhead[]
  /** All of them, in their order. */
  private readonly parts: readonly PartAhead[]
  private readonly jobs: number
  private readonly sessions: number
  private readonly roundTrip: number
  private readonly clock: () => number
  private readonly streams: Streams
  private readonly running = new Map<PartAhead, Running>()
  /** Until it is known whether it is kept; meanwhile no other one is begun that could be given up. */
  private trial: Trial | undefined
  private schemaBegun: number | undefined
  /** Milliseconds that the definitions took: they need all of the catalogs, as the last part does. */
  private schemaTook: number | undefined
  /** Milliseconds from the begin of a part to its first row, in the last one of which that is known. */
  private catalogsTook: number | undefined
  /** Bytes of storage that passed in a millisecond, in the last part that has ended. */
  private pace: number | undefined
  private closed = false
  private wake = Promise.withResolvers<void>()

  constructor(
    { parts, jobs, sessions, roundTrip }: PartQueueOptions,
    clock: () => number = () => performance.now(),
  ) {
    this.waiting = [...parts]
    this.parts = parts
    this.jobs = jobs
    this.sessions = Math.max(sessions, jobs + 1)
    this.roundTrip = roundTrip
    this.clock = clock
    this.streams = new Streams(jobs)
  }

  async next(signal: AbortSignal): Promise<PartTask | undefined> {
    const aborted = () => this.notify()
    signal.addEventListener('abort', aborted)
    try {
      while (!this.closed && !signal.aborted) {
        if (this.schemaBegun === undefined) {
          this.schemaBegun = this.clock()
          return 'schema'
        }
        const part = this.nextPart()
        if (!part) return undefined
        if (this.mayBegin(part)) return this.begin(part)
        await this.wake.promise
      }
      return undefined
    } finally {
      signal.removeEventListener('abort', aborted)
    }
  }

  close(): void {
    this.closed = true
    this.notify()
  }

  /** Archives that may be under way at once: the definitions, the parts, and one that is begun before another has ended. */
  get most(): number {
    return Math.min(this.jobs + 1, this.parts.length) + 1
  }

  /** With how many jobs a part that has begun is dumped: the last one has those that no other has. */
  jobsOf(part: PartAhead): number {
    return this.running.get(part)?.jobs ?? 1
  }

  /** Fires when a part that has begun is to be given up; undefined where it never will be. */
  givenUp(part: PartAhead): AbortSignal | undefined {
    return this.trialOf(part)?.stop.signal
  }

  /** Resolves when a part that has begun is given up no more. */
  async kept(part: PartAhead): Promise<void> {
    await this.trialOf(part)?.kept.promise
  }

  /** The definitions are dumped. */
  schemaDone(): void {
    if (this.schemaBegun !== undefined) this.schemaTook = this.clock() - this.schemaBegun
    this.notify()
  }

  /** The rows of a part are coming. */
  flows(part: PartAhead): void {
    const running = this.running.get(part)
    if (!running || running.flows !== undefined) return
    running.flows = this.clock()
    this.catalogsTook = running.flows - running.begun
    if (this.pace !== undefined) running.ends = running.flows + part.bytes / this.pace
  }

  /** So large a share of a part's rows has come: from 0 to 1, and more where there are more than were known of. */
  came(part: PartAhead, share: number): void {
    const running = this.running.get(part)
    if (running?.flows === undefined) return
    const now = this.clock()
    const before = running.seen ?? { share: 0, now: running.flows }
    const pace = (share - before.share) / (now - before.now)
    if (pace > 0) running.ends = now + Math.max(0, 1 - share) / pace
    running.seen = { share, now }
  }

  done(part: PartAhead): void {
    const flows = this.running.get(part)?.flows
    this.running.delete(part)
    // with one less there is none too many, and what has ended is kept whatever was decided meanwhile
    if (this.trialOf(part) || !this.trial?.stop.signal.aborted) this.keep()
    if (flows !== undefined) this.pace = part.bytes / Math.max(1, this.clock() - flows)
    this.notify()
  }

  /** Nothing goes on any more of a part that was given up, and nothing is left of it: it waits in its place. */
  giveBack(part: PartAhead): void {
    this.running.delete(part)
    this.trial = undefined
    const later = this.parts.slice(this.parts.indexOf(part))
    const place = this.waiting.findIndex((one) => later.includes(one))
    this.waiting.splice(place < 0 ? this.waiting.length : place, 0, part)
    this.notify()
  }

  /** @param bytes of all parts, written so far */
  look(now: number, bytes: number): void {
    // with the last part all are begun, and there is nothing left to decide
    if (this.waiting.length === 0 && !this.trial) return
    const flowing = [...this.running.values()].filter(({ flows }) => flows !== undefined).length
    const { allowed } = this.streams
    // what passes while one more is under way than is to be measured says nothing
    this.streams.look(now, bytes, this.running.size > allowed ? 0 : flowing)
    if (this.streams.isSettled || this.streams.allowed !== allowed) this.judge()
    this.notify()
  }

  /** Decides about the part on trial, now that it is known how many at once are worth it. */
  private judge(): void {
    const { trial } = this
    if (!trial || trial.stop.signal.aborted) return
    const share = this.running.get(trial.part)?.seen?.share ?? 0
    if (this.running.size > this.streams.allowed && share < halfway) trial.stop.abort()
    else this.keep()
  }

  private keep(): void {
    this.trial?.kept.resolve()
    this.trial = undefined
  }

  private trialOf(part: PartAhead): Trial | undefined {
    return this.trial?.part === part ? this.trial : undefined
  }

  private nextPart(): PartAhead | undefined {
    const [first] = this.waiting
    if (!first || this.streams.isSettled || this.staying(first, [...this.running]) === 0)
      return first
    const [smallest = first] = this.waiting
      .filter(({ isRest }) => !isRest)
      .sort((one, other) => one.bytes - other.bytes)
    return smallest
  }

  private mayBegin(part: PartAhead): boolean {
    const others = [...this.running]
    const { allowed, isSettled } = this.streams
    // a stream that is only tried may end with its part
    const proven = isSettled ? allowed : Math.max(1, allowed - 1)
    // one that was to have ended by now may go on for hours: beside those that are worth it there is one more at most
    const isFree =
      others.length < allowed || (others.length === allowed && this.staying(part, others) < proven)
    return isFree && this.sessionsOf(others) < this.sessions
  }

  private begin(part: PartAhead): PartAhead {
    const others = [...this.running]
    const left = this.jobs - this.staying(part, others)
    // several jobs have a leader beside them
    const room = this.sessions - this.sessionsOf(others) - 1
    const jobs = part.isRest ? Math.max(1, Math.min(left, room)) : 1
    const { allowed, isSettled } = this.streams
    this.running.set(part, { begun: this.clock(), jobs })
    if (!isSettled && allowed > 1 && this.running.size === allowed)
      this.trial = { part, stop: new AbortController(), kept: Promise.withResolvers<void>() }
    this.waiting.splice(this.waiting.indexOf(part), 1)
    return part
  }

  /** Those of the others that will not have ended when a part that begins now has done what leaves the link idle. */
  private staying(part: PartAhead, others: readonly [PartAhead, Running][]): number {
    const { catalogsTook, schemaTook = 0 } = this
    if (catalogsTook === undefined) return others.length
    const trips = (part.tables.length * tripsOfTable * this.roundTrip) / this.jobs
    const took = part.isRest ? Math.max(catalogsTook, schemaTook) + trips : catalogsTook
    const soon = this.clock() + caution * took
    return others.filter(([, { ends = Number.POSITIVE_INFINITY }]) => ends > soon).length
  }

  private sessionsOf(others: readonly [PartAhead, Running][]): number {
    const ofSchema = this.schemaBegun !== undefined && this.schemaTook === undefined ? 1 : 0
    return others.reduce((sum, [, { jobs }]) => sum + (jobs > 1 ? jobs + 1 : 1), ofSchema)
  }

  private notify(): void {
    this.wake.resolve()
    this.wake = Promise.withResolvers<void>()
  }
}
