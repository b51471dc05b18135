import type pg from 'pg'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { quoteIdentifier } from '../../postgres/identifiers.ts'
import { formatCount, timeLeft } from '../../report/text.ts'
import type { Context } from '../context.ts'
import type { DigestMethod } from './digest.ts'
import { begin, type Place, withSession } from './session.ts'

/** How one side is read. */
export interface ReadPlan {
  place: Place
  server: number
  /** The source's `server_encoding`. */
  encoding: string
  /** Imported by every session; null where the server could export none. */
  snapshot: string | null
  jobs: number
  /** `extra_float_digits` for floats inside of what only its output function can read. */
  floatDigits: 0 | 3
  /** Null: count only. */
  method: DigestMethod | null
}

/** A piece of work for one session: it begins and ends its own transaction. */
export interface Task {
  /** Predicts how long it takes; 0 where nothing is known. */
  bytes: number
  /** @returns how many rows were read, and how many tables are done with it */
  run(client: pg.Client): Promise<{ rows: number; tables: number }>
}

/**
 * Runs the tasks over `jobs` sessions, in their order. The first that fails ends all the others.
 *
 * @param tables how many there are in all, for the progress line
 * @throws what the first failing task threw; Cancelled
 */
export async function runTasks(
  plan: ReadPlan,
  tasks: readonly Task[],
  tables: number,
  context: Context,
): Promise<void> {
  const stop = new AbortController()
  const signal = AbortSignal.any([context.signal, stop.signal])
  const queue = [...tasks]
  const progress = new TaskProgress(plan, tasks, tables, context)
  let failed: unknown
  const worker = async () => {
    try {
      await withSession(plan.place, signal, async (client) => {
        await prepareReader(client, plan)
        for (let task = queue.shift(); task; task = queue.shift()) {
          signal.throwIfAborted()
          progress.done(task, await task.run(client))
        }
      })
    } catch (error) {
      failed ??= error
      stop.abort(new Cancelled())
    }
  }
  await Promise.all(Array.from({ length: Math.min(Math.max(1, plan.jobs), tasks.length) }, worker))
  if (context.signal.aborted) throw new Cancelled()
  if (failed !== undefined) throw failed
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
  // bytes of an encoding that nobody declared are compared as they are
  if (plan.encoding === 'SQL_ASCII') settings.push(`client_encoding = 'SQL_ASCII'`)
  await client.query(settings.map((setting) => `SET ${setting}`).join('; '))
}

/**
 * Runs `work` in a transaction of its own: what it locks it soon gives back. Refused for want of a privilege, it is run
 * once more as the owner, where the account may become that role: a restore gives tables to their owners, and from 16 on a
 * membership need not carry its rights along.
 *
 * @throws Failure that says what could not be read and what would mend it; without the server's error, what `work` threw
 */
export async function inTransaction<T>(
  client: pg.Client,
  plan: ReadPlan,
  object: { what: string; grant: string; owner: string },
  work: () => Promise<T>,
): Promise<T> {
  const attempt = async (owner?: string) => {
    try {
      await begin(client, plan.snapshot)
      if (owner !== undefined) await client.query(`SET LOCAL ROLE ${quoteIdentifier(owner)}`)
      const result = await work()
      await client.query('COMMIT')
      return result
    } catch (error) {
      if (sqlstateOf(error) !== undefined) await client.query('ROLLBACK')
      throw error
    }
  }
  try {
    return await attempt()
  } catch (first) {
    if (sqlstateOf(first) === undefined) throw first
    if (sqlstateOf(first) !== '42501') throw unreadable(plan, object, first)
    try {
      return await attempt(object.owner)
    } catch (second) {
      if (sqlstateOf(second) === undefined) throw second
      throw unreadable(plan, object, first)
    }
  }
}

function unreadable(
  plan: ReadPlan,
  { what, grant, owner }: { what: string; grant: string; owner: string },
  error: unknown,
): Failure {
  const { connection, role } = plan.place
  const why = messageOf(error)
  const sqlstate = sqlstateOf(error)
  const fail = (remedy: string) =>
    new Failure(`${what} on the ${role} cannot be verified`, why, remedy, {
      cause: error,
      sqlstate,
    })
  if (/row-level security/.test(why)) {
    return fail(
      `Row-level security would hide rows from "${connection.user}": give that account BYPASSRLS, or use a superuser`,
    )
  }
  if (sqlstate === '42501') {
    return fail(`Give "${connection.user}" ${grant}, or membership in the owner "${owner}"`)
  }
  return fail('Mend what the server complains of, then verify again')
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
