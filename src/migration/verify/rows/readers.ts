import type pg from 'pg'
import { Cancelled } from '../../../failure.ts'
import type { Opened } from '../../../postgres/connection.ts'
import { aboutLeft, counted, formatCount, formatDuration } from '../../../text/numbers.ts'
import type { Context } from '../../context.ts'
import type { LockWaits } from '../../lock-waits.ts'
import { Pace } from '../../pace.ts'
import { inPool } from '../../pool.ts'
import { nameOfWork, progressLine } from '../../progress-line.ts'
import { LastingSession, retrying } from '../../retry.ts'
import type { NoteStep } from '../../timing.ts'
import { openSession, type Reading } from '../read-session.ts'
import type { DigestMethod } from './digest.ts'

/** How one side is read. */
export interface ReadPlan extends Reading {
  server: number
  /** `server_version_num` of the source. */
  source: number
  /** The source's `server_encoding`. */
  encoding: string
  jobs: number
  /** Tables of at least twice this size are read in pieces. */
  pieceBytes: number
  /** `extra_float_digits` for floats inside of what only its output function can read. */
  floatDigits: 0 | 3
  /** Told when a table, or a piece of one, was read. */
  timed?: NoteStep | undefined
  /** Null: count only. */
  method: DigestMethod | null
  /** Rows that are expected, where the other side was read before. */
  rows?: number | undefined
}

/** A piece of work for one session: it begins and ends its own transaction. */
export interface Task {
  /** What is read, for people. */
  name: string
  /** Predicts how long it takes; 0 where nothing is known. */
  bytes: number
  /**
   * Reads, and only then writes down what it has read: it is run again when the session is lost on the way.
   *
   * @returns how many rows were read, and how many tables are done with it
   */
  run: (client: pg.Client) => Promise<{ rows: number; tables: number }>
}

/**
 * Runs the tasks over `jobs` sessions, in their order. A lost session is opened anew for the task that it was at; the first
 * task that fails for good ends all the others.
 *
 * @param tables how many there are in all, for the progress line
 * @param locks what the sessions wait for, where somebody looks
 * @returns `done`: the seconds it took, or what the first failing task threw, or Cancelled; `stop` ends it early and waits
 */
export function startTasks(
  plan: ReadPlan,
  tasks: readonly Task[],
  tables: number,
  context: Context,
  locks?: LockWaits,
): { done: Promise<number>; stop: () => Promise<void> } {
  const started = performance.now()
  const stop = new AbortController()
  const progress = new TaskProgress(plan, tasks, tables, context, locks)
  const pool = {
    workers: plan.jobs,
    signal: AbortSignal.any([context.signal, stop.signal]),
    open: (_: number, signal: AbortSignal) => new LastingSession(() => openReader(plan, signal)),
    close: (session: LastingSession) => session.drop(),
  }
  const ended = inPool(tasks, pool, async (task, session, _, signal) => {
    const read = async () => task.run(await session.client())
    const interrupted = () => session.drop()
    progress.begin(task)
    progress.done(task, await retrying({ ...context, signal }, read, { interrupted }))
  })
    .finally(() => progress.end())
    .then(() => (performance.now() - started) / 1000)
  // whoever waits for `done` hears of it; until then it is no unhandled rejection
  ended.catch(() => {})
  return {
    done: ended,
    stop: async () => {
      stop.abort(new Cancelled())
      await ended.catch(() => {})
    },
  }
}

/** A session that is prepared for reading. @throws Failure on a refused connection; Cancelled */
export async function openReader(plan: ReadPlan, signal: AbortSignal): Promise<Opened> {
  const opened = await openSession(plan.place, signal)
  try {
    await prepareReader(opened.client, plan)
    return opened
  } catch (error) {
    await opened.close()
    throw error
  }
}

/** Settings for a session that reads whole tables. */
export async function prepareReader(client: pg.Client, plan: ReadPlan): Promise<void> {
  // Pieces keep all jobs busy where the server can read ranges of blocks; elsewhere one large table may use idle cores.
  const workers = plan.server >= 140000 || plan.jobs < 2 ? 0 : Math.min(plan.jobs - 1, 2)
  // a count that an index answers proves nothing of the table
  const settings = ['enable_indexscan = off', 'enable_bitmapscan = off']
  // without it each range of blocks would be looked for in the whole table
  if (plan.server >= 140000) settings.push('enable_tidscan = on')
  if (plan.server >= 90200) settings.push('enable_indexonlyscan = off')
  if (plan.server >= 90300 && plan.lockWait !== undefined)
    settings.push(`lock_timeout = ${plan.lockWait}`)
  if (plan.server >= 90600) settings.push(`max_parallel_workers_per_gather = ${workers}`)
  // costs more than it gains on these plans
  if (plan.server >= 110000) settings.push('jit = off')
  settings.push(...valueSettings(plan))
  await client.query(settings.map((setting) => `SET ${setting}`).join('; '))
}

/** What the two sides must have in common, on top of what openSession() pins, since values read otherwise without it. */
export function valueSettings(
  plan: Pick<ReadPlan, 'floatDigits' | 'source' | 'server' | 'encoding'>,
): string[] {
  const settings = [`extra_float_digits = ${plan.floatDigits}`]
  // inside of a row a source before 9.0 prints bytea as it always did (release notes of 9.0, bytea_output)
  if (plan.source < 90_000 && plan.server >= 90_000) settings.push(`bytea_output = 'escape'`)
  // bytes of an encoding that nobody declared are compared as they are
  if (plan.encoding === 'SQL_ASCII') settings.push(`client_encoding = 'SQL_ASCII'`)
  return settings
}

/** Milliseconds between two lines while nothing ends. */
const pause = 2000

/** How far, how fast, how long still: by bytes, since rows are known only once they are read. */
class TaskProgress {
  private readonly started = performance.now()
  private readonly plan: ReadPlan
  private readonly context: Context
  private readonly locks: LockWaits | undefined
  private readonly pace: Pace<Task>
  private readonly tables: number
  private readonly timer: NodeJS.Timeout
  private tablesDone = 0
  private rows = 0

  constructor(
    plan: ReadPlan,
    tasks: readonly Task[],
    tables: number,
    context: Context,
    locks: LockWaits | undefined,
  ) {
    this.plan = plan
    this.pace = new Pace(
      tasks.reduce((sum, { bytes }) => sum + bytes, 0),
      plan.jobs,
    )
    this.tables = tables
    this.context = context
    this.locks = locks
    this.timer = setInterval(() => this.show(), pause)
    this.timer.unref()
  }

  begin(task: Task): void {
    this.pace.begin(task, task.bytes)
  }

  done(task: Task, { rows, tables }: { rows: number; tables: number }): void {
    this.pace.end(task)
    this.rows += rows
    this.tablesDone += tables
    this.show()
  }

  end(): void {
    clearInterval(this.timer)
  }

  private show(): void {
    const seconds = Math.max((performance.now() - this.started) / 1000, 0.001)
    const { place, rows: expected } = this.plan
    const rows = formatCount(this.rows)
    const parts =
      expected === undefined
        ? [`${formatCount(this.tablesDone)} of ${counted(this.tables, 'table')}`, `${rows} rows`]
        : [`${rows} of ${counted(expected, 'row')}`]
    parts.push(`${formatCount(Math.round(this.rows / seconds))} rows/s`)
    const left = this.pace.secondsLeft()
    if (left !== undefined && left >= 1) parts.push(aboutLeft(left))
    const running = this.pace.now()
    if (this.locks?.brief !== undefined && running.length > 0) parts.push(this.locks.brief)
    const now = running.map(({ piece, seconds: runs }) => ({
      name: piece.name,
      detail: runs < 5 ? '' : `for ${formatDuration(runs)}`,
    }))
    this.context.progress.update(
      progressLine(nameOfWork(`Reading the ${place.role}`, place.database), parts, now),
    )
  }
}
