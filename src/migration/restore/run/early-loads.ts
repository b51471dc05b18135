import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { Cancelled, messageOf } from '../../../failure.ts'
import { GrowingData } from '../../../postgres/archive/growing-data.ts'
import type { Context } from '../../context.ts'
import type { ExpectedPart } from '../arriving.ts'
import type { Ledger } from '../database/ledger.ts'
import type { RestoreOptions } from '../options.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { streamSizes } from '../stream-sizes.ts'
import type { EarlyShare, IdleJobs } from './idle-jobs.ts'
import { CommitFailed } from './load-errors.ts'
import type { RestoreProgress, Running } from './progress.ts'
import type { Schedule } from './schedule.ts'
import { loadInStreams, mayBeStreamed, type StreamedLoad } from './streams.ts'
import type { Login } from './target-session.ts'
import type { Task } from './task.ts'
import type { RestoreTimes } from './times.ts'

/** Milliseconds between two looks at whether a table is large enough by now, or how far its load is behind the dump. */
const between = 200

/** An archive of a single table, whose rows pg_dump is writing. */
export interface GrowingPart {
  directory: string
  /** Its entry for the rows, once their file is there; undefined where they are not restored. @throws Failure */
  rows(): Promise<PlannedEntry | undefined>
}

/** What it shares with the workers of its restore: see Execution, which keeps it. */
interface Books {
  readonly progress: RestoreProgress
  readonly context: Context
  /** Entries may have been restored by an earlier run. */
  readonly resuming: boolean
  readonly signal: AbortSignal
  readonly ledger: Ledger | null
  readonly idleJobs: IdleJobs
  loginOf(item: PlannedEntry): Login
  optionsOf(login: Login): RestoreOptions
}

/**
 * The loads of tables whose rows are sent while pg_dump still writes them. As long as they keep up they take no job from those that are
 * handed out: they wait for the dump most of the time. One that falls behind works as much as a job does, and counts as one. Each is brought to its end by whoever is handed out the load of that table, when its archive is
 * complete, and has not committed anything before.
 */
export class EarlyLoads {
  private readonly run: Books
  private readonly nextName: () => string
  private readonly loads = new Map<ExpectedPart, EarlyLoad>()

  /** @param nextName a name for the sessions of one more load */
  constructor(run: Books, nextName: () => string) {
    this.run = run
    this.nextName = nextName
  }

  /** Rows of an archive begin to come. @param schedule that expects it */
  begin(part: ExpectedPart, growing: GrowingPart, schedule: Ranks): void {
    if (this.run.resuming || this.loads.has(part)) return
    const bytes = part.tables.reduce((sum, table) => sum + table.bytes, 0)
    const rank = {
      chain: () => schedule.chainOf(part),
      isLongest: () => schedule.isLongest(part),
      changed: () => schedule.notify(),
    }
    this.loads.set(part, new EarlyLoad({ ...growing, bytes }, this.nextName(), rank, this.run))
  }

  /** An archive is there: a load of what is not to be restored of it ends. @param items that are restored */
  arrived(part: ExpectedPart, items: readonly PlannedEntry[]): void {
    const load = this.loads.get(part)
    if (load && !items.some((item) => load.isOf(item))) void load.end()
  }

  /** The load of some entries that was begun: who takes it goes on with it, or ends it. */
  take(items: readonly PlannedEntry[]): EarlyLoad | undefined {
    for (const [part, load] of this.loads) {
      if (!items.some((item) => load.isOf(item))) continue
      this.loads.delete(part)
      return load
    }
    return undefined
  }

  /** Ends all that nobody has taken. */
  async close(): Promise<void> {
    await Promise.all([...this.loads.values()].map((load) => load.end()))
    this.loads.clear()
  }
}

/** What a schedule says of the parts that it expects. */
type Ranks = Pick<Schedule, 'chainOf' | 'isLongest' | 'notify'>

/** Where a load stands among the tasks. */
interface Rank {
  chain(): number
  /** Nothing that is under way has a longer chain. */
  isLongest(): boolean
  /** It uses a job from now on, or no longer. */
  changed(): void
}

/** The load of one table that is still being dumped. */
export class EarlyLoad implements EarlyShare {
  /** Of its sessions, which are streams of it (see streamsOf). */
  readonly name: string
  private readonly run: Books
  /** When its rows began to be sent, as performance.now() counts; undefined before. */
  private began: number | undefined
  /** With the bytes of its table on the source. */
  private readonly part: GrowingPart & { bytes: number }
  private readonly rank: Rank
  /** More of the rows is there, unread, than is worth a session. */
  isBehind = false
  /** The entry whose rows are sent, as it is in the archive that is not complete. */
  private item: PlannedEntry | undefined
  private share: Pick<StreamedLoad, 'allowed' | 'moved'>
  private running: Running | undefined
  private readonly data: GrowingData
  private readonly stopper = new AbortController()
  private readonly signal: AbortSignal
  private readonly loading: Promise<boolean>

  constructor(part: EarlyLoad['part'], name: string, rank: Rank, run: Books) {
    this.part = part
    this.rank = rank
    this.name = name
    this.run = run
    this.data = new GrowingData(part.directory)
    this.signal = AbortSignal.any([run.signal, this.stopper.signal])
    this.share = {
      allowed: () => Math.max(1, run.idleJobs.lentTo(this)),
      moved: (sessions, bytes) => this.running?.moved(sessions, bytes),
    }
    this.loading = this.load().finally(() => {
      this.running?.end(false)
      this.uses(false)
      run.idleJobs.giveBack(this)
    })
    // who goes on with it hears of it
    this.loading.catch(() => {})
  }

  get chain(): number {
    return this.rank.chain()
  }

  /** It has opened sessions, or tried to. */
  get isBegun(): boolean {
    return this.began !== undefined
  }

  /** Whether it loads the rows of an entry. */
  isOf({ archive, entry }: PlannedEntry): boolean {
    return archive.directory === this.part.directory && entry.desc === 'TABLE DATA'
  }

  /**
   * Loads what is left of the rows, now that their archive is complete and may be used, and commits.
   *
   * @param item its entry for them
   * @param task that is handed out for it, whose share of the jobs it has from now on
   * @param told how far it is, and from when on it was at work
   * @returns false where nothing is loaded, and all is to be done as ever: no session of it is left then
   * @throws CommitFailed; Cancelled; what the ledger throws
   */
  async goOn(
    item: PlannedEntry | undefined,
    task: Task,
    told: { running: Running; timing: ReturnType<RestoreTimes['load']> },
  ): Promise<boolean> {
    const { run, began } = this
    if (!item || began === undefined || this.signal.aborted || !this.fits(item)) {
      await this.end()
      return false
    }
    this.running?.end(false)
    run.idleJobs.giveBack(this)
    told.running.at(item)
    told.timing.at(item, began)
    this.share = {
      allowed: () => 1 + run.idleJobs.lentTo(task),
      moved: (sessions, bytes) => told.running.moved(sessions, bytes),
    }
    this.data.complete(item.entry.dataBytes)
    task.wasBegun = await this.loading
    if (run.signal.aborted) throw new Cancelled()
    if (!task.wasBegun) {
      told.timing.end(false)
      return false
    }
    await run.ledger?.leave({ schema: item.entry.namespace, name: item.entry.tag })
    run.context.log.info(`${item.name} was loaded while it was dumped`)
    return true
  }

  /** Ends it, and waits until its sessions are closed. What was not committed is not there. Never throws. */
  async end(): Promise<void> {
    this.stopper.abort()
    await this.loading.catch(() => {})
  }

  /** Whether the complete archive says the same of its rows as before: they are sent by what was said then. */
  private fits(item: PlannedEntry): boolean {
    const { run } = this
    const [before, now] = [this.item, item].map(
      (one) =>
        one && {
          login: run.loginOf(one),
          ...{ encoding: one.archive.encoding, path: one.archive.searchPath },
          ...{ strings: one.archive.standardStrings, entry: { ...one.entry, dataBytes: 0 } },
        },
    )
    if (isDeepStrictEqual(before, now)) return true
    run.context.log.info(
      `${item.name} is loaded again from the beginning: its archive says something else now than when its rows began to come`,
    )
    return false
  }

  /** @returns whether the rows are committed @throws CommitFailed */
  private async load(): Promise<boolean> {
    const { run, signal, name, part } = this
    const { log, temporaryDirectory: directory } = run.context
    const { ledger } = run
    try {
      const item = await this.large()
      if (!ledger || !item) return false
      this.item = item
      this.began = performance.now()
      this.running = run.progress.begin(`${item.name}, as it is dumped,`, name, 0)
      log.info(`${item.name} is loaded while it is dumped`)
      void this.watch()
      const isLoaded = await loadInStreams({
        ...{ options: this.optionsFor(item), item, name, directory, signal, log, ledger },
        follow: (take, until) => this.data.read(take, until),
        allowed: () => this.share.allowed(),
        moved: (sessions, bytes) => this.share.moved(sessions, bytes),
      })
      if (!isLoaded) throw new Error('the table on the target is not as bare as it was made')
      return isLoaded
    } catch (error) {
      if (error instanceof CommitFailed) throw error
      const what = this.item?.name ?? `The table in ${basename(part.directory)}`
      if (!signal.aborted)
        log.info(`${what} is loaded when its dump is complete: ${messageOf(error)}`)
      return false
    }
  }

  /**
   * Waits until so much is written that the load would go through several sessions; or for the first byte of it where the table is
   * as large on the source, whatever its file is compressed to.
   *
   * @returns undefined where it never would
   */
  private async large(): Promise<PlannedEntry | undefined> {
    const { run, signal } = this
    let item: PlannedEntry | undefined
    for (; ; await sleep(between, undefined, { signal })) {
      const written = await this.data.size()
      if (written === 0) continue
      const dataBytes = Math.max(written, this.part.bytes)
      item ??= await this.part.rows()
      if (!item) return undefined
      const may = (bytes: number) =>
        item !== undefined &&
        mayBeStreamed(
          { ...item, entry: { ...item.entry, dataBytes: bytes } },
          this.optionsFor(item),
          1,
        )
      // one that no size would change that for is not waited for
      if (!may(Number.POSITIVE_INFINITY)) return undefined
      if (may(dataBytes) && run.idleJobs.mayBeginEarly(this, this.rank.isLongest)) return item
    }
  }

  /** Looks from time to time whether it keeps up with the dump, until it ends or is taken over. Never throws. */
  private async watch(): Promise<void> {
    const { signal } = this
    const from = (this.item && this.optionsFor(this.item).streams?.from) ?? streamSizes.from
    const over = this.loading.catch(() => {})
    let isOver = false
    void over.then(() => {
      isOver = true
    })
    while (!isOver && !signal.aborted) {
      await Promise.race([over, sleep(between)])
      this.uses(!isOver && (await this.data.unread().catch(() => 0)) >= from)
    }
  }

  private uses(isBehind: boolean): void {
    if (isBehind === this.isBehind) return
    this.isBehind = isBehind
    this.rank.changed()
  }

  private optionsFor(item: PlannedEntry): RestoreOptions {
    return this.run.optionsOf(this.run.loginOf(item))
  }
}
