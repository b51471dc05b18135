import type pg from 'pg'
import {
  aboutLeft,
  counted,
  formatBytes,
  formatCount,
  formatDuration,
} from '../../../text/numbers.ts'
import type { Context } from '../../context.ts'
import { LockWaits } from '../../lock-waits.ts'
import { Onlooker } from '../../onlooker.ts'
import { bytesAtRate, nameOfWork, progressLine } from '../../progress-line.ts'
import type { RestoreOptions } from '../options.ts'
import type { RestorePlan } from '../plan/plan.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { Costs } from './costs.ts'
import type { Load } from './load.ts'
import { tableOf } from './load.ts'
import { refreshTasks } from './refreshes.ts'
import { readServerProgress } from './server-progress.ts'
import { sessionPrefix, workerOf } from './target-session.ts'
import type { Task } from './task.ts'
import { leftByProgress, secondsLeft } from './time-left.ts'

/** What a worker is busy with. */
export interface Running {
  /** A load has come to an entry; those before it are done. */
  at(item: PlannedEntry | null): void
  /** So many sessions have been sent so many bytes of the entry's rows. */
  moved(sessions: number, bytes: number): void
  /** @param done false when it is not, and comes again */
  end(done?: boolean): void
}

interface Work {
  name: string
  items: readonly PlannedEntry[]
  /** Milliseconds, as performance.now() counts them. */
  since: number
  /** How far it is, from 0 to 1, where that is known. */
  fraction: number | undefined
  /** Rows of the table that a load is at; null where nobody says. */
  rows: number | null
  /** Bytes of the dump that a load has behind it. */
  bytes: number
  /** The table that a load is at. */
  item: PlannedEntry | null
  /** Sessions that its rows go through, and the bytes of rows that they were sent; null where pg_restore sends them. */
  through: { sessions: number; bytes: number } | null
}

/** Seconds after which it is said how long something runs of which nothing else is known. */
const tellingSeconds = 5

/** Counts entries and bytes that are done, and says in one line how far the restore is and how long it still takes. */
export class RestoreProgress {
  /** What the tasks take, as far as it is known. */
  readonly costs = new Costs()
  /** What its sessions wait for. */
  readonly locks: LockWaits
  private readonly options: RestoreOptions
  private readonly context: Context
  private readonly total = { entries: 0, bytes: 0 }
  private entries = 0
  private bytes = 0
  /** When the first load began. */
  private loading: number | undefined
  /** By the name of the session that does it. */
  private readonly running = new Map<string, Work>()
  private unfinished = nothing
  private readonly refreshes = new Set<Task>()
  private readonly left = {
    at: Number.NEGATIVE_INFINITY,
    took: 0,
    seconds: undefined as number | undefined,
  }

  constructor(plan: RestorePlan, options: RestoreOptions, context: Context) {
    this.options = options
    this.context = context
    this.count(plan.entries)
    const ours = [`${sessionPrefix}%`]
    this.locks = new LockWaits(
      { who: 'the restore', database: options.targetName, sessions: ours, ours },
      context.log,
    )
  }

  /** From now on these are what is left to do, but for the materialized views. */
  expect(unfinished = nothing): void {
    this.unfinished = unfinished
  }

  /** Counts entries among those that are to be restored. */
  count(entries: readonly PlannedEntry[]): void {
    const restored = entries.filter(({ decision }) => decision.kind !== 'leave-out')
    this.total.entries += restored.length
    this.total.bytes += restored.reduce((sum, { entry }) => sum + entry.dataBytes, 0)
    for (const task of refreshTasks(restored)) this.refreshes.add(task)
  }

  /** Statements begin; `name` is the first entry's, `session` who does them. */
  begin(name: string, session: string, entries = 1, items: readonly PlannedEntry[] = []): Running {
    const work = newWork(name, items)
    this.running.set(session, work)
    this.show()
    return {
      at: () => {},
      moved: (sessions, bytes) => {
        work.through = { sessions, bytes }
      },
      end: (done = true) => {
        this.running.delete(session)
        if (done) this.entries += entries
        if (done) this.refreshed(work)
        this.show()
      },
    }
  }

  /** A load begins. */
  beginLoad(load: Load, session: string): Running {
    const work = newWork('', load.items)
    this.loading ??= work.since
    this.running.set(session, work)
    const at = (item: PlannedEntry | null) => {
      const before = item ? load.items.indexOf(item) : 0
      work.bytes = load.items.slice(0, before).reduce((sum, { entry }) => sum + entry.dataBytes, 0)
      work.item = item
      work.name = item?.name ?? ''
      work.rows = null
      work.through = null
      work.fraction = before > 0 ? work.bytes / load.bytes : undefined
      this.show()
    }
    at(load.items[0] ?? null)
    return {
      at,
      moved: (sessions, bytes) => {
        work.through = { sessions, bytes }
      },
      end: (done = true) => {
        this.running.delete(session)
        if (done) this.entries += load.items.length
        if (done) this.bytes += load.bytes
        this.show()
      },
    }
  }

  /**
   * Looks from time to time at how far the server is with what it does for our sessions, and what they wait for.
   *
   * @returns a handle that ends it
   */
  watch(signal: AbortSignal): { end(): Promise<void> } {
    const { target: connection, targetName: database } = this.options
    const view = {
      ...{ connection, database, role: 'target' as const },
      look: async (client: pg.Client, number: number) => {
        await this.look(client, number)
        this.show()
      },
      blind: () => this.locks.blind(),
    }
    return new Onlooker(view, { log: this.context.log, signal })
  }

  /** Seconds that a task under way still takes, by what the server says of it; undefined where that says too little. */
  leftOf({ items: [item] }: Task): number | undefined {
    for (const { items, since, fraction } of this.running.values())
      if (item && items.includes(item))
        return leftByProgress({ seconds: secondsSince(since), fraction })
    return undefined
  }

  private async look(client: pg.Client, number: number): Promise<void> {
    await this.locks.look(client, number)
    const loaded = new Map<Work, number>()
    for (const { session, rows, fraction } of await readServerProgress(client, number)) {
      const work = this.running.get(workerOf(session))
      if (work?.item && rows !== null) loaded.set(work, (loaded.get(work) ?? 0) + rows)
      else if (work && !work.item && fraction !== null) work.fraction = fraction
    }
    for (const [work, rows] of loaded) if (work.item) this.noteRows(work, work.item, rows)
  }

  private noteRows(work: Work, item: PlannedEntry, rows: number): void {
    work.rows = rows
    const expected = this.options.expectedRows?.get(tableOf(item)) ?? 0
    const all = bytesOf(work.items)
    if (expected === 0 || all === 0) return
    const here = Math.min(1, rows / expected) * item.entry.dataBytes
    work.fraction = (work.bytes + here) / all
  }

  /** A materialized view that is filled says what the next one takes. */
  private refreshed(work: Work): void {
    for (const task of this.refreshes) {
      if (!task.items.some((item) => work.items.includes(item))) continue
      this.refreshes.delete(task)
      this.costs.learn(task, secondsSince(work.since))
    }
  }

  private show(): void {
    this.context.progress.update(this.line())
  }

  /** Bytes of rows while there are any to load, then entries, done of all; rate, time left, what is waited for, and what is running now. */
  line(): string {
    const works = [...this.running.values()]
    const all = this.total.bytes
    const bytes = works.reduce((sum, { fraction, bytes, items, item }) => {
      const within = item && fraction !== undefined ? fraction * bytesOf(items) : bytes
      return sum + within
    }, this.bytes)
    const parts: string[] = []
    if (this.loading !== undefined && bytes < all)
      parts.push(...bytesAtRate(bytes, all, secondsSince(this.loading)))
    else
      parts.push(
        `${formatCount(this.entries)} of ${counted(this.total.entries, 'entry', 'entries')}`,
      )
    const left = this.entries < this.total.entries ? this.secondsLeft() : undefined
    if (left !== undefined && left >= 1) parts.push(aboutLeft(left))
    if (this.locks.brief !== undefined && works.length > 0) parts.push(this.locks.brief)
    const now = works
      .map((work) => ({ work, runs: secondsSince(work.since) }))
      .sort((one, other) => other.runs - one.runs)
      .map(({ work, runs }) => ({ name: work.name, detail: this.detail(work, runs) }))
    return progressLine(nameOfWork('restore', this.options.targetName), parts, now)
  }

  private detail(work: Work, runs: number): string {
    const { through } = work
    const told = this.howFar(work, runs)
    return through && through.sessions > 1 ? `${told} in ${through.sessions} sessions` : told
  }

  private howFar({ item, rows, fraction, through }: Work, runs: number): string {
    if (item && rows !== null) {
      const expected = this.options.expectedRows?.get(tableOf(item)) ?? 0
      if (expected === 0) return `${formatCount(rows)} rows`
      return `${Math.floor(100 * Math.min(1, rows / expected))} %`
    }
    if (through) return `${formatBytes(through.bytes)} of rows`
    if (!item && fraction !== undefined) return `${Math.floor(100 * fraction)} %`
    return runs >= tellingSeconds ? `for ${formatDuration(runs)}` : ''
  }

  /** Reckoned anew every second, or more rarely where that takes long: there may be a hundred thousand tasks. */
  private secondsLeft(): number | undefined {
    const now = performance.now()
    const { left } = this
    if (now - left.at >= Math.max(1000, 20 * left.took)) {
      const begun = [...this.running.values()].map(({ items, since, fraction }) => ({
        ...{ items, fraction },
        seconds: secondsSince(since),
      }))
      const { costs } = this
      const { jobs } = this.options
      const tasks = secondsLeft(this.unfinished(), begun, costs, jobs)
      const views = secondsLeft([...this.refreshes], begun, costs, jobs)
      left.seconds = tasks === undefined || views === undefined ? undefined : tasks + views
      left.at = now
      left.took = performance.now() - now
    }
    return left.seconds === undefined ? undefined : left.seconds - (now - left.at) / 1000
  }
}

const nothing = (): readonly Task[] => []

function newWork(name: string, items: readonly PlannedEntry[]): Work {
  return {
    ...{ name, items, since: performance.now() },
    ...{ fraction: undefined, rows: null, bytes: 0, item: null, through: null },
  }
}

const bytesOf = (items: readonly PlannedEntry[]) =>
  items.reduce((sum, { entry }) => sum + entry.dataBytes, 0)

const secondsSince = (moment: number) => (performance.now() - moment) / 1000
