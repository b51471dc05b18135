import type pg from 'pg'
import { messageOf } from '../../../failure.ts'
import { closeSession, connect, serverVersion } from '../../../postgres/connection.ts'
import { formatBytes, formatCount, formatRate, timeLeft } from '../../../text/numbers.ts'
import { shorten } from '../../../text/text.ts'
import type { Context } from '../../context.ts'
import type { RestoreOptions } from '../options.ts'
import type { RestorePlan } from '../plan/plan.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import type { Load } from './load.ts'
import { tableOf } from './load.ts'
import { sessionPrefix } from './target-session.ts'

/** What a worker is busy with. */
export interface Running {
  /** A load has come to an entry; those before it are done. */
  at(item: PlannedEntry | null): void
  /** @param done false when it is not, and comes again */
  end(done?: boolean): void
}

interface Work {
  name: string
  /** What the server says of it, `45 %` say. */
  detail: string
  /** Bytes of the dump that a load has behind it. */
  bytes: number
  item: PlannedEntry | null
}

/** Milliseconds between two looks at what the server itself says of its progress. */
const interval = 5000

/** Counts entries and bytes that are done, and says so in one line. */
export class RestoreProgress {
  private readonly options: RestoreOptions
  private readonly context: Context
  private readonly total: { entries: number; bytes: number }
  private entries = 0
  private bytes = 0
  private readonly began = performance.now()
  /** By the name of the session that does it. */
  private readonly running = new Map<string, Work>()

  constructor(plan: RestorePlan, options: RestoreOptions, context: Context) {
    const restored = plan.entries.filter(({ decision }) => decision.kind !== 'leave-out')
    this.options = options
    this.context = context
    this.total = {
      entries: restored.length,
      bytes: restored.reduce((sum, { entry }) => sum + entry.dataBytes, 0),
    }
  }

  /** Statements begin; `name` is the first entry's, `session` who does them. */
  begin(name: string, session: string, entries = 1): Running {
    this.running.set(session, { name, detail: '', bytes: 0, item: null })
    return {
      at: () => {},
      end: (done = true) => {
        this.running.delete(session)
        if (done) this.entries += entries
        this.show()
      },
    }
  }

  /** A load begins. */
  beginLoad(load: Load, session: string): Running {
    const work: Work = { name: '', detail: '', bytes: 0, item: null }
    this.running.set(session, work)
    const at = (item: PlannedEntry | null) => {
      const before = item ? load.items.indexOf(item) : 0
      work.bytes = load.items.slice(0, before).reduce((sum, { entry }) => sum + entry.dataBytes, 0)
      work.item = item
      work.name = item?.name ?? ''
      work.detail = ''
      this.show()
    }
    at(load.items[0] ?? null)
    return {
      at,
      end: (done = true) => {
        this.running.delete(session)
        if (done) this.entries += load.items.length
        if (done) this.bytes += load.bytes
        this.show()
      },
    }
  }

  /**
   * Asks the server from time to time how far its COPY and CREATE INDEX commands are (PostgreSQL, "Progress Reporting";
   * versions 14 and 12 brought these two).
   *
   * @returns a handle that ends it
   */
  watch(signal: AbortSignal): { end(): Promise<void> } {
    let client: pg.Client | undefined
    let major = 0
    let asking: Promise<void> | undefined
    const ask = async () => {
      try {
        if (!client) {
          client = await connect(this.options.target, {
            database: this.options.targetName,
            role: 'target',
            signal,
          })
          major = (await serverVersion(client)).major
        }
        await this.look(client, major)
      } catch (error) {
        // the workers find out by themselves what has become of the server
        this.context.log.debug(`progress cannot be read: ${messageOf(error)}`)
        if (client) await closeSession(client)
        client = undefined
      }
    }
    const timer = setInterval(() => {
      asking ??= ask().finally(() => {
        asking = undefined
      })
    }, interval)
    return {
      end: async () => {
        clearInterval(timer)
        await asking
        if (client) await closeSession(client)
      },
    }
  }

  private async look(client: pg.Client, major: number): Promise<void> {
    if (major < 12) return
    const copies =
      major >= 14
        ? `SELECT pid, tuples_processed AS done, 0 AS total FROM pg_catalog.pg_stat_progress_copy UNION ALL `
        : ''
    const { rows } = await client.query<{ session: string; done: string; total: string }>(`
      SELECT a.application_name AS session, p.done, p.total
        FROM (${copies}SELECT pid, blocks_done + tuples_done, blocks_total + tuples_total
                FROM pg_catalog.pg_stat_progress_create_index) p(pid, done, total)
        JOIN pg_catalog.pg_stat_activity a ON a.pid = p.pid
       WHERE a.application_name LIKE '${sessionPrefix}%' AND a.datname = pg_catalog.current_database()`)
    for (const { session, done, total } of rows) {
      const work = this.running.get(session)
      if (work) this.note(work, Number(done), Number(total))
    }
    this.show()
  }

  private note(work: Work, done: number, total: number): void {
    const { item } = work
    if (!item?.entry.hasData) {
      work.detail = total > 0 ? `${Math.floor((100 * done) / total)} %` : ''
      return
    }
    const expected = this.options.expectedRows?.get(tableOf(item)) ?? 0
    work.detail = `${formatCount(done)}${expected > 0 ? ` of ${formatCount(expected)}` : ''} rows`
  }

  private show(): void {
    this.context.progress.update(this.line())
  }

  /** Entries and bytes done of all, rate, time left, and what is running now. */
  line(): string {
    const seconds = (performance.now() - this.began) / 1000
    const works = [...this.running.values()]
    const bytes = works.reduce((sum, work) => sum + work.bytes, this.bytes)
    const parts = [
      `${formatCount(this.entries)} of ${formatCount(this.total.entries)} entries`,
      `${formatBytes(bytes)} of ${formatBytes(this.total.bytes)}`,
    ]
    if (seconds >= 1 && bytes > 0) parts.push(formatRate(bytes / seconds))
    const left = timeLeft(bytes, this.total.bytes, seconds)
    if (left) parts.push(left)
    const now = works
      .slice(0, 3)
      .map(({ name, detail }) => `${shorten(name, 60)}${detail ? ` (${detail})` : ''}`)
    if (now.length > 0) parts.push(`now ${now.join('; ')}`)
    return `restore ${this.options.targetName}: ${parts.join(', ')}`
  }
}
