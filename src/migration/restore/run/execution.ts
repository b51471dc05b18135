import { Cancelled, Failure, messageOf } from '../../../failure.ts'
import { shortStatement } from '../../../postgres/archive/statement.ts'
import { mayPass, sqlstateOf } from '../../../postgres/errors.ts'
import { sameRoleNames } from '../../../postgres/roles/role-names.ts'
import { isServerError, shownMessage } from '../../../postgres/server-message.ts'
import { meaningOf, refusesAll } from '../../../postgres/sqlstates.ts'
import { majorOf } from '../../../postgres/version.ts'
import type { FailedEntry } from '../../../report/model.ts'
import { counted } from '../../../text/numbers.ts'
import { printable, shorten } from '../../../text/text.ts'
import type { Context } from '../../context.ts'
import { goOn } from '../../go-on.ts'
import { inPool } from '../../pool.ts'
import type { Ledger } from '../database/ledger.ts'
import type { RestoreOptions } from '../options.ts'
import type { Loader } from '../owners/loader.ts'
import { allowMissing, allowSurprise } from '../plan/allow-missing.ts'
import { lossesOf, type RestorePlan } from '../plan/plan.ts'
import { isLoss, leaveOut, lossOf, type PlannedEntry } from '../plan/planned-entry.ts'
import { remedyFor } from '../plan/remedies.ts'
import { Dependants } from '../plan/take-along.ts'
import { withAnalyze } from './analyze-tasks.ts'
import { EarlyLoads } from './early-loads.ts'
import { IdleJobs } from './idle-jobs.ts'
import { makeTasks } from './make-tasks.ts'
import { EntryFailed } from './patient-session.ts'
import { RestoreProgress } from './progress.ts'
import { ReadingAhead } from './reading-ahead.ts'
import { type Reception, receiving } from './reception.ts'
import { mostTogether, Schedule } from './schedule.ts'
import type { Login } from './target-session.ts'
import { sessionPrefix } from './target-session.ts'
import type { Task } from './task.ts'
import { RestoreTimes } from './times.ts'
import { Worker } from './worker.ts'

/**
 * One restore being carried out: the bookkeeping that its workers share. A failure that no retry can mend stops all of
 * them; every failure that was already there is kept.
 */
export class Execution {
  readonly options: RestoreOptions
  plan: RestorePlan
  readonly context: Context
  readonly failed: FailedEntry[] = []
  progress: RestoreProgress
  /** Notes what each table took. */
  readonly times: RestoreTimes
  /** Entries may have been restored by an earlier run. */
  readonly resuming: boolean
  /** 1, and one more for every interruption that was mended. */
  attempts = 1
  restored = 0
  /** Quoted names of the tables whose planner statistics are there. */
  readonly analyzed = new Set<string>()
  readonly idleJobs: IdleJobs
  /** Loads of tables that are still being dumped. */
  readonly early = new EarlyLoads(this, () => this.nextName())
  /** Tables that are read for the verification while others are restored. */
  readonly ahead = new ReadingAhead(this)
  /** Where tables are noted that several sessions load; null where nothing may be noted. */
  ledger: Ledger | null = null
  /** The role that loads; null where the account does all by itself. */
  loader: Loader | null = null
  /** Tells the sessions of this run from those of others, in application_name. */
  private readonly id = Math.random().toString(36).slice(2, 10)
  private readonly stopper = new AbortController()
  /** Fires when the job is cancelled or the restore has failed. */
  readonly signal: AbortSignal
  private workers = 0
  /** What hangs on what among so many entries of a plan. */
  private known:
    | { entries: readonly PlannedEntry[]; count: number; dependants: Dependants }
    | undefined
  private readonly mayBeMissing: (entry: string) => boolean

  constructor(options: RestoreOptions, plan: RestorePlan, context: Context, resuming: boolean) {
    this.options = options
    this.plan = plan
    this.context = context
    this.resuming = resuming
    this.idleJobs = new IdleJobs(options.streams?.from)
    this.signal = AbortSignal.any([context.signal, this.stopper.signal])
    this.progress = new RestoreProgress(plan, options, context)
    this.times = new RestoreTimes(options.timed)
    this.mayBeMissing = allowSurprise(options.allowMissing)
  }

  /** Goes on by another plan, before any entry but extensions is restored. */
  replan(plan: RestorePlan): void {
    this.plan = plan
    this.progress = new RestoreProgress(plan, this.options, this.context)
  }

  /** Who restores an entry. */
  loginOf(item: PlannedEntry | undefined): Login {
    return this.loader && !item?.byAccount ? 'loader' : 'account'
  }

  /** The options with which such a session, or pg_restore, connects. */
  optionsOf(login: Login): RestoreOptions {
    return login === 'loader' && this.loader
      ? { ...this.options, ...this.loader.connection }
      : this.options
  }

  /** A session's work, alone or among others. */
  worker(): Worker {
    return new Worker(this, this.nextName())
  }

  private nextName(): string {
    return `${sessionPrefix}${this.id} ${++this.workers}`
  }

  /** Restores entries one after the other in one session, to the first that fails or all of them. */
  async inOrder(
    items: readonly PlannedEntry[],
    kind: 'in order' | 'to the end' = 'in order',
  ): Promise<void> {
    const worker = this.worker()
    try {
      for (let from = 0; from < items.length; from += mostTogether) {
        await worker.statements(items.slice(from, from + mostTogether), kind)
      }
    } finally {
      await worker.close()
    }
  }

  /**
   * Restores data and post-data entries with as many sessions as there are jobs.
   *
   * @param reception of archives whose entries come while others are restored
   */
  async inParallel(items: readonly PlannedEntry[], reception?: Reception): Promise<void> {
    const made = makeTasks(items, reception?.parts)
    const wanted = this.plan.entries.filter(({ decision }) => decision.kind !== 'leave-out')
    const analyzed = this.options.analyze ? withAnalyze(made, wanted) : made
    // a single job has always something else to do, but while it waits for the dump
    const { readAhead, jobs } = this.options
    const isIdle = readAhead && (jobs > 1 || reception)
    const tasks = isIdle ? this.ahead.withTasks(analyzed, wanted) : analyzed
    const look = {
      now: () => performance.now() / 1000,
      leftOf: (task: Task) => this.progress.leftOf(task),
    }
    const { costs } = this.progress
    const schedule = new Schedule(tasks, jobs, costs, this.idleJobs, look)
    this.progress.expect(() => schedule.left())
    const queue = {
      next: async () => {
        const tasks = await schedule.next(this.signal)
        return tasks.length > 0 ? tasks : undefined
      },
      close: () => schedule.close(),
    }
    const pool = {
      workers: this.options.jobs,
      signal: this.context.signal,
      open: () => this.worker(),
      close: (worker: Worker) => worker.close(),
      // what is about to fail as well may say so before all is ended
      stop: () => void setTimeout(() => this.stopper.abort(), lastWords).unref(),
      choose: (errors: readonly unknown[]) => errors.find(isDefect) ?? this.failure(),
    }
    const work = async () => {
      await inPool(queue, pool, async (tasks, worker) => {
        const began = performance.now()
        if (!(await worker.perform(tasks, schedule))) return
        const seconds = (performance.now() - began) / 1000
        for (const task of tasks)
          schedule.done(task, task.wasBegun ? undefined : seconds * task.sessions, tasks.length)
      })
    }
    const stop = () => this.stopper.abort()
    const { early, signal } = this
    const { log } = this.context
    try {
      if (reception) await receiving(reception, schedule, early, { log, signal }, stop, work)
      else await work()
    } finally {
      // the tasks are as large as the plan, which is needed until the comparison is done, and they are not. A function that is made
      // here would hold them as well
      this.progress.expect()
      this.idleJobs.close()
    }
  }

  /**
   * Leaves out an entry that turned out not to be restorable, and what hangs on it, if the user has named it: `*` stands for
   * what was known before the first byte, not for what comes as a surprise.
   */
  leaveOut(item: PlannedEntry, said: string, sqlstate: string | null): boolean {
    const message = this.inText(said)
    if (!this.mayBeMissing(item.name)) return false
    const reason = `the target refuses it${sqlstate ? ` [${sqlstate}]` : ''}: ${shorten(printable(message), 1000)}`
    item.decision = leaveOut(reason, this.remedy(item.name, sqlstate, message), lossOf(item.entry))
    const lost = [item, ...this.takeAlong(item)].filter(isLoss)
    this.context.record.acceptedLosses(lossesOf(lost, this.plan.database.name))
    this.context.log.warning(`${item.name} is left out, as allow-missing allows: ${reason}`)
    return true
  }

  /** The same for what a statement threw. @returns false for anything but a refusal, too */
  leaveOutRefused(item: PlannedEntry, error: unknown): boolean {
    const sqlstate = sqlstateOf(error)
    return (
      sqlstate !== undefined && !mayPass(error) && this.leaveOut(item, messageOf(error), sqlstate)
    )
  }

  /**
   * Notes a loss of behaviour that need not stop what comes after it: accepted in `allow-missing`, it is one of the report's
   * losses; otherwise the entry has failed, and the run fails when everything else is done.
   *
   * @returns the reason, where the loss is accepted
   */
  lose(name: string, said: string, sqlstate: string | null, statement: string): string | undefined {
    const message = this.inText(said)
    const reason = `the target refuses: ${shorten(printable(message), 1000)}`
    if (!allowMissing(this.options.allowMissing)(name)) {
      this.note(name, message, sqlstate, statement)
      return undefined
    }
    const database = this.plan.database.name
    const remedy = this.remedy(name, sqlstate, message)
    this.context.record.acceptedLosses([{ entry: name, database, reason, remedy }])
    this.context.log.warning(`${name} is lost, as allow-missing allows: ${reason}`)
    return reason
  }

  /** Of roles the user knows the names that they have on the source. */
  private inText(text: string): string {
    return (this.options.roleNames ?? sameRoleNames).inText(text)
  }

  private remedy(name: string, sqlstate: string | null, message: string): string {
    const source = majorOf(this.plan.archives[0]?.serverVersion ?? '')
    const target = this.plan.facts.target.major
    return remedyFor(name, sqlstate, message, { source, target })
  }

  /** Notes that an entry cannot be restored. */
  fail(name: string, error: unknown, statement: string): EntryFailed {
    const sqlstate =
      error instanceof Failure ? (error.sqlstate ?? null) : (sqlstateOf(error) ?? null)
    const said = isServerError(error) ? shownMessage(error, statement) : messageOf(error)
    this.note(name, said, sqlstate, statement)
    const refused = sqlstate !== null && !mayPass(error) && !refusesAll(sqlstate)
    return new EntryFailed(said, !refused)
  }

  /** Counts an entry that the target refused, and what hangs on it, as not restored. */
  giveUp(item: PlannedEntry): void {
    const remedy = 'Put the cause right, then go on with the restore'
    const decision = leaveOut('it could not be restored', remedy, lossOf(item.entry))
    item.decision = { ...decision, failed: true }
    this.takeAlong(item)
  }

  /** Leaves out what hangs on an entry that was just left out, and tells what. */
  private takeAlong(item: PlannedEntry): PlannedEntry[] {
    const { entries } = this.plan
    // thousands of entries may fail; archives that arrive, and a new plan, bring others
    const { known } = this
    const isKnown = known?.entries === entries && known.count === entries.length
    const { dependants } = isKnown ? known : { dependants: new Dependants(entries) }
    this.known = { entries, count: entries.length, dependants }
    return dependants.takeAlong([item])
  }

  /** What was refused, and then what could not be tried for want of that. */
  get allFailed(): FailedEntry[] {
    const along = this.plan.entries.flatMap(({ name, entry, decision }): FailedEntry[] => {
      if (decision.kind !== 'leave-out' || !decision.failed || !decision.along) return []
      const { reason, remedy } = decision
      return [
        {
          entry: name,
          reason,
          sqlstate: null,
          statement: shortStatement(entry.definition),
          remedy,
        },
      ]
    })
    return [...this.failed, ...along]
  }

  note(name: string, said: string, sqlstate: string | null, statement: string): void {
    const message = this.inText(said)
    const meaning = sqlstate ? meaningOf(sqlstate) : ''
    const waited = this.progress.locks.told(sqlstate)
    const reason = `${shorten(printable(message), 1000)}${meaning ? ` (${meaning})` : ''}${waited ? `; ${waited}` : ''}`
    const failed: FailedEntry = {
      entry: name,
      reason,
      sqlstate,
      statement: this.inText(shortStatement(statement)),
      remedy: this.remedy(name, sqlstate, message),
    }
    this.failed.push(failed)
    this.context.log.warning(
      `${failed.entry} cannot be restored: ${failed.reason}${sqlstate ? ` [${sqlstate}]` : ''}: ${failed.statement}`,
    )
  }

  /** The failures as the one that ends the run. */
  failure(): Failure {
    const [first, ...rest] = this.allFailed
    if (!first) return new Failure('The restore stopped', 'It was interrupted', 'Run it again')
    const code = first.sqlstate ? ` [${first.sqlstate}]` : ''
    const others = rest.slice(0, mostNamed - 1).map(({ entry }) => shorten(entry, 200))
    const untold = rest.length - others.length
    const more = others.length > 0 ? `; also ${others.join(', ')}` : ''
    const and =
      rest.length > 0 ? ` and ${counted(rest.length, 'other entry', 'other entries')} ` : ' '
    return new Failure(
      `${first.entry}${and}cannot be restored into the database "${this.options.targetName}"`,
      shorten(
        `${first.reason}${code} in: ${first.statement}${more}${untold > 0 ? `, and ${untold} more, all in the report` : ''}`,
        3000,
      ),
      `${first.remedy}. ${this.options.isRehearsal ? 'Then' : 'What is restored stays:'} ${goOn(this.context)}`,
      { sqlstate: first.sqlstate ?? undefined },
    )
  }
}

/** Entries that one line names at most. */
const mostNamed = 10

/** Milliseconds that other sessions have when one has failed for good. */
const lastWords = 1000

/** An error that is no refusal of an entry, nor the end of a session that was stopped for one. */
function isDefect(error: unknown): boolean {
  const aborted = (error as { name?: string } | null)?.name === 'AbortError'
  return !(aborted || error instanceof EntryFailed || error instanceof Cancelled)
}
