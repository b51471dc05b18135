import { mayPass } from '../../../postgres/errors.ts'
import type { Context } from '../../context.ts'
import { isFull, temporaryFull } from '../../free-space.ts'
import { retrying } from '../../retry.ts'
import type { Ledger } from '../database/ledger.ts'
import type { RestoreOptions } from '../options.ts'
import type { RestorePlan } from '../plan/plan.ts'
import { lossOf, type PlannedEntry } from '../plan/planned-entry.ts'
import type { EarlyLoads } from './early-loads.ts'
import type { IdleJobs } from './idle-jobs.ts'
import type { RestoreProgress, Running } from './progress.ts'
import type { ReadingAhead } from './reading-ahead.ts'
import { endSessions, type Login, streamsOf, TargetSession } from './target-session.ts'
import type { RestoreTimes } from './times.ts'

/** An entry could not be restored; the execution has noted it. */
export class EntryFailed extends Error {
  override readonly name = 'EntryFailed'
  /** To go on with others would be pointless: it was not this entry that the server refused. */
  readonly stops: boolean

  constructor(message: string, stops: boolean) {
    super(message)
    this.stops = stops
  }
}

/** What a worker shares with the others of its restore: see Execution, which keeps them. */
export interface Books {
  readonly options: RestoreOptions
  readonly plan: RestorePlan
  readonly progress: RestoreProgress
  readonly times: RestoreTimes
  readonly context: Context
  /** Entries may have been restored by an earlier run. */
  readonly resuming: boolean
  readonly signal: AbortSignal
  readonly ledger: Ledger | null
  readonly idleJobs: IdleJobs
  readonly early: EarlyLoads
  readonly ahead: ReadingAhead
  /** 1, and one more for every interruption that was mended. */
  attempts: number
  restored: number
  /** Quoted names of the tables whose planner statistics are there. */
  readonly analyzed: Set<string>
  loginOf(item: PlannedEntry | undefined): Login
  optionsOf(login: Login): RestoreOptions
  leaveOut(item: PlannedEntry, message: string, sqlstate: string | null): boolean
  leaveOutRefused(item: PlannedEntry, error: unknown): boolean
  lose(
    name: string,
    message: string,
    sqlstate: string | null,
    statement: string,
  ): string | undefined
  fail(name: string, error: unknown, statement: string): EntryFailed
  giveUp(item: PlannedEntry): void
  note(name: string, message: string, sqlstate: string | null, statement: string): void
}

/** A session on the target that is opened anew when it is lost, and works until what it does is done. */
export class PatientSession {
  protected readonly run: Books
  protected readonly name: string
  private current: TargetSession | null = null
  /** Names of those whose work it has taken over. */
  protected readonly predecessors: string[] = []
  /** Who works now. */
  protected login: Login = 'account'
  private readonly abort = () => void this.current?.cancel()

  constructor(run: Books, name: string) {
    this.run = run
    this.name = name
    run.signal.addEventListener('abort', this.abort, { once: true })
  }

  async close(): Promise<void> {
    this.run.signal.removeEventListener('abort', this.abort)
    await this.drop()
  }

  protected async session(): Promise<TargetSession> {
    this.run.signal.throwIfAborted()
    this.current ??= await TargetSession.open(
      this.run.optionsOf(this.login),
      this.name,
      this.run.signal,
    )
    return this.current
  }

  /** Works as somebody from now on. */
  protected async as(login: Login): Promise<void> {
    if (this.login !== login) await this.drop()
    this.login = login
  }

  /** Closes the session until the next work. */
  async drop(): Promise<void> {
    const session = this.current
    this.current = null
    await session?.close()
  }

  /** Says in the progress what is being done, which is so many of the plan's entries. */
  begin(name: string, entries: number, items: readonly PlannedEntry[] = []): Running {
    return this.run.progress.begin(name, this.name, entries, items)
  }

  /** Notes what the target refuses without the restore ending there (see Execution.lose). */
  lose(
    name: string,
    message: string,
    sqlstate: string | null,
    statement: string,
  ): string | undefined {
    return this.run.lose(name, message, sqlstate, statement)
  }

  /**
   * Works in this worker's session until it is done, again and again while what fails may pass.
   *
   * @param name of what is worked on, and its statement, for people
   * @param login as whom
   * @param work told whether an earlier try may have done it
   * @throws EntryFailed when it cannot be mended; Cancelled
   */
  async retrying(
    name: string,
    statement: string,
    work: (session: TargetSession, uncertain: boolean) => Promise<void>,
    login: Login = 'account',
  ): Promise<void> {
    await this.as(login)
    await this.persist(
      async (uncertain) => work(await this.session(), uncertain),
      (error) => {
        if (mayPass(error)) return true
        throw this.run.fail(name, error, statement)
      },
      (error) => this.run.fail(name, error, statement),
    )
  }

  /**
   * The same of what comes once the rows are in: what the server refuses is noted, with what hangs on it, and the restore goes
   * on. The run fails when everything else is done, so that one night shows all of it.
   *
   * @param item the plan's own entry, where it is about one
   * @param login as whom
   * @returns false when the server refused it
   * @throws EntryFailed when it would refuse everything else as well, or rows are lost with it; Cancelled
   */
  async collecting(
    name: string,
    statement: string,
    work: (session: TargetSession, uncertain: boolean) => Promise<void>,
    item?: PlannedEntry,
    login: Login = 'account',
  ): Promise<boolean> {
    try {
      await this.retrying(name, statement, work, login)
      return true
    } catch (error) {
      if (!(error instanceof EntryFailed) || error.stops) throw error
      if (item && lossOf(item.entry) === 'rows') throw error
      if (item) this.run.giveUp(item)
      return false
    }
  }

  /** Works until it is done, in a session of its own for each try; see retrying. */
  protected async persist(
    work: (uncertain: boolean) => Promise<void>,
    again: (error: unknown) => boolean,
    exhausted: (error: unknown) => unknown,
  ): Promise<void> {
    const { run } = this
    await retrying(
      { ...run.context, signal: run.signal },
      async (attempt) => {
        if (attempt > 0) await this.endLost()
        await work(run.resuming || attempt > 0)
      },
      {
        again: (error) => {
          // a list for pg_restore, a password file: nothing of the archive is to blame
          if (isFull(error)) throw temporaryFull(run.context.temporaryDirectory)
          return !(error instanceof EntryFailed) && again(error)
        },
        exhausted,
        interrupted: async () => {
          run.attempts++
          await this.drop()
        },
      },
    )
  }

  /** Ends what the server may still be doing for a session that was lost, of this worker or of one whose work it does. */
  protected async endLost(): Promise<void> {
    const session = await TargetSession.open(
      this.run.optionsOf(this.login),
      `${this.name} check`,
      this.run.signal,
    )
    try {
      const client = await session.own()
      for (const name of [this.name, ...this.predecessors])
        for (const one of [name, streamsOf(name)]) await endSessions(client, one, this.run.signal)
    } finally {
      await session.close()
    }
  }
}
