import type pg from 'pg'
import { Cancelled } from '../../../failure.ts'
import type { Opened } from '../../../postgres/connection.ts'
import { formatCount, timeLeft } from '../../../text/numbers.ts'
import type { Context } from '../../context.ts'
import { inPool } from '../../pool.ts'
import { LastingSession, retrying } from '../../retry.ts'
import type { NoteStep } from '../../timing.ts'
import { openSession, type Place, type Reading } from '../read-session.ts'
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
}

/** A piece of work for one session: it begins and ends its own transaction. */
export interface Task {
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
 * @returns `done`: the seconds it took, or what the first failing task threw, or Cancelled; `stop` ends it early and waits
 */
export function startTasks(
  plan: ReadPlan,
  tasks: readonly Task[],
  tables: number,
  context: Context,
): { done: Promise<number>; stop: () => Promise<void> } {
  const started = performance.now()
  const stop = new AbortController()
  const progress = new TaskProgress(plan, tasks, tables, context)
  const pool = {
    workers: plan.jobs,
    signal: AbortSignal.any([context.signal, stop.signal]),
    open: (_: number, signal: AbortSignal) => new LastingSession(() => openReader(plan, signal)),
    close: (session: LastingSession) => session.drop(),
  }
  const ended = inPool(tasks, pool, async (task, session, _, signal) => {
    const read = async () => task.run(await session.client())
    const interrupted = () => session.drop()
    progress.done(task, await retrying({ ...context, signal }, read, { interrupted }))
  }).then(() => (performance.now() - started) / 1000)
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

async function openReader(plan: ReadPlan, signal: AbortSignal): Promise<Opened> {
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
  if (plan.server >= 90200) settings.push('enable_indexonlyscan = off')
  if (plan.server >= 90600) settings.push(`max_parallel_workers_per_gather = ${workers}`)
  // costs more than it gains on these plans
  if (plan.server >= 110000) settings.push('jit = off')
  settings.push(`extra_float_digits = ${plan.floatDigits}`)
  // inside of a row a source before 9.0 prints bytea as it always did (release notes of 9.0, bytea_output)
  if (plan.source < 90_000 && plan.server >= 90_000) settings.push(`bytea_output = 'escape'`)
  // bytes of an encoding that nobody declared are compared as they are
  if (plan.encoding === 'SQL_ASCII') settings.push(`client_encoding = 'SQL_ASCII'`)
  await client.query(settings.map((setting) => `SET ${setting}`).join('; '))
}

/** How far, how fast, how long still: by bytes, since rows are known only once they are read. */
class TaskProgress {
  private readonly started = performance.now()
  private readonly place: Place
  private readonly context: Context
  private readonly bytes: number
  private readonly tables: number
  private bytesDone = 0
  private tablesDone = 0
  private rows = 0

  constructor(plan: ReadPlan, tasks: readonly Task[], tables: number, context: Context) {
    this.place = plan.place
    this.context = context
    this.bytes = tasks.reduce((sum, { bytes }) => sum + bytes, 0)
    this.tables = tables
  }

  done(task: Task, { rows, tables }: { rows: number; tables: number }): void {
    this.bytesDone += task.bytes
    this.rows += rows
    this.tablesDone += tables
    const seconds = Math.max((performance.now() - this.started) / 1000, 0.001)
    const { database, role } = this.place
    const parts = [
      `${formatCount(this.tablesDone)} of ${formatCount(this.tables)} tables`,
      `${formatCount(this.rows)} rows`,
      `${formatCount(Math.round(this.rows / seconds))} rows/s`,
    ]
    const left = timeLeft(this.bytesDone, this.bytes, seconds)
    if (left) parts.push(left)
    this.context.progress.update(`Reading the ${role} ${database}: ${parts.join(', ')}`)
  }
}
