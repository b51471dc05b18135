import { Failure } from '../../../failure.ts'
import { mayPass, sqlstateOf } from '../../../postgres/errors.ts'
import type { Ledger } from '../database/ledger.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { analyzeTables } from './analyze-tasks.ts'
import { empty, hasAllRows, isLoaded, type Load, load, tableOf } from './load.ts'
import { LoadFailure, mayLackRows } from './load-errors.ts'
import { EntryFailed, PatientSession } from './patient-session.ts'
import type { Running } from './progress.ts'
import type { Schedule } from './schedule.ts'
import { isThere, runEntry, saysItExists, sqlOf } from './statements.ts'
import { loadInStreams, mayBeStreamed } from './streams.ts'
import { removeHalf, takeStep } from './take-step.ts'
import type { Login, TargetSession } from './target-session.ts'
import type { Task } from './task.ts'
import type { RestoreTimes } from './times.ts'

/** A load was put off, to be tried again when others are done. */
class PutOff extends Error {
  override readonly name = 'PutOff'
}

/** Characters of statements that go to the server in one message. */
const mostTogetherText = 1024 * 1024

/** Tries of a load that go through several sessions; what fails more often is left to pg_restore alone. */
const mostInStreams = 3

type Timing = ReturnType<RestoreTimes['load']>

/** What became of statements that went together: `failed` has no effect, `unknown` may have. */
type Outcome = 'done' | 'failed' | 'unknown'

/** Restores entries: statements together where that works, and loads. */
export class Worker extends PatientSession {
  /** What it builds is not to take processes beside its session. */
  private alone = false

  /** Does one load, or some statements together; false when it was put off. */
  async perform(tasks: readonly Task[], schedule: Schedule): Promise<boolean> {
    const [first] = tasks
    this.alone = first?.alone ?? false
    if (first?.load) return this.load(first, first.load, schedule)
    if (first?.kind === 'analyze') {
      await analyzeTables(this, this.run, tasks)
      return true
    }
    if (first?.kind === 'digest') return await this.run.ahead.perform(this, first, schedule)
    if (first?.step) {
      for (const item of first.items) await takeStep(this, this.run, item, first.step, this.alone)
      return true
    }
    const items = tasks.flatMap((task) => task.items)
    await this.statements(items, 'to the end')
    return true
  }

  /**
   * Restores entries by their statements, in one message and one transaction where that works: a server far away answers a
   * thousand statements no sooner than one. When one of them fails, each is tried on its own.
   *
   * @param kind whether the first that fails ends it, or is noted with what hangs on it (see collecting)
   */
  async statements(all: readonly PlannedEntry[], kind: 'in order' | 'to the end'): Promise<void> {
    for (const items of this.byLogin(all.filter(isWanted), kind)) await this.several(items, kind)
  }

  /** Entries that the same role restores; what goes in order stays in it. */
  private byLogin(
    items: readonly PlannedEntry[],
    kind: 'in order' | 'to the end',
  ): PlannedEntry[][] {
    const groups: { login: Login; items: PlannedEntry[] }[] = []
    for (const item of items) {
      const login = this.run.loginOf(item)
      const group =
        kind === 'in order' ? groups.at(-1) : groups.find((known) => known.login === login)
      if (group?.login === login) group.items.push(item)
      else groups.push({ login, items: [item] })
    }
    return groups.map((group) => group.items)
  }

  private async several(
    items: readonly PlannedEntry[],
    kind: 'in order' | 'to the end',
  ): Promise<void> {
    await this.as(this.run.loginOf(items[0]))
    let outcome: Outcome = 'failed'
    if (items.length > 1 && !this.run.resuming) outcome = await this.together(items)
    if (outcome === 'done') return
    for (const item of items) await this.statement(item, outcome === 'unknown', kind)
  }

  private async together(items: readonly PlannedEntry[]): Promise<Outcome> {
    const { run } = this
    const [first] = items
    const texts = items.map((item) =>
      item.archive === first?.archive ? sqlOf(item, run.plan) : null,
    )
    if (!first || texts.includes(null)) return 'failed'
    if (texts.reduce((sum, text) => sum + (text?.length ?? 0), 0) > mostTogetherText)
      return 'failed'
    const running = run.progress.begin(first.name, this.name, items.length, items)
    const message: { outcome: Outcome } = { outcome: 'unknown' }
    try {
      await this.persist(
        async (uncertain) => {
          // what became of a message whose answer was lost shows for each statement on its own
          if (uncertain) return
          const session = await this.session()
          const client = await session.foreign(first.archive, '')
          const from = performance.now()
          await client.query(texts.join('\n;\n'))
          message.outcome = 'done'
          run.times.statements(items, from)
          run.restored += items.length
        },
        mayPass,
        (error) => error,
      )
    } catch (error) {
      if (sqlstateOf(error) === undefined) throw error
      message.outcome = 'failed'
    } finally {
      running.end(message.outcome === 'done')
    }
    return message.outcome
  }

  /**
   * Restores one entry by its statements.
   *
   * @param unknown an earlier message may have done it
   */
  private async statement(
    item: PlannedEntry,
    unknown: boolean,
    kind: 'in order' | 'to the end',
  ): Promise<void> {
    // one before it may have taken it along
    if (!isWanted(item)) return
    const { run } = this
    const running = run.progress.begin(item.name, this.name, 1, [item])
    try {
      const work = async (session: TargetSession, again: boolean) => {
        const uncertain = again || unknown
        if (uncertain) await removeHalf(session, item)
        if (uncertain && (await isThere(session, item))) return
        try {
          const from = performance.now()
          await runEntry(session, item, run.plan, this.alone)
          run.times.statements([item], from)
        } catch (error) {
          if (uncertain && saysItExists(error)) return
          if (!run.leaveOutRefused(item, error)) throw error
        }
      }
      const { definition } = item.entry
      if (kind === 'to the end')
        await this.collecting(item.name, definition, work, item, this.login)
      else await this.retrying(item.name, definition, work, this.login)
      if (isWanted(item)) run.restored++
    } finally {
      running.end()
    }
  }

  /** Loads rows; false when the load was put off because a check may need rows of other tables. */
  private async load(task: Task, what: Load, schedule: Schedule): Promise<boolean> {
    const { run } = this
    const running = run.progress.beginLoad(what, this.name)
    const timing = run.times.load()
    const giveBack = () => schedule.giveBack(task)
    let left = what.items.filter(isWanted)
    await this.as(run.loginOf(what.items[0]))
    let loaded = false
    const early = run.early.take(what.items)
    if (early) this.predecessors.push(early.name)
    // a check that reads other rows of its table finds them in one session only
    let tries = task.putOffAt === null ? 0 : mostInStreams
    try {
      await this.persist(
        async (uncertain) => {
          // whoever empties the table would wait for it
          if (uncertain) await early?.end()
          if (uncertain || task.putOffAt !== null) left = await this.unloaded(what, left)
          if (left.length === 0) return
          timing.end(false)
          // pg_restore has a connection of its own: a job takes one, not two
          await this.drop()
          if (!(await early?.goOn(left[0], task, { running, timing }))) {
            // one of its sessions that was lost may hold the table on the server, and whoever builds an index would wait for it
            if (early?.isBegun) await this.endLost()
            const inStreams = tries++ < mostInStreams
            await this.rows(task, left, giveBack, { running, timing, inStreams })
          }
          timing.end(true)
        },
        (error) => {
          // until it is tried again others may go on
          giveBack()
          if (error instanceof LoadFailure) {
            if (error.transient) return true
            if (mayLackRows(error) && schedule.postpone(task)) throw new PutOff()
            if (this.leaveOut(error, left)) {
              left = left.filter(isWanted)
              return true
            }
            throw this.failLoad(error, left)
          }
          if (mayPass(error)) return true
          if (error instanceof Failure) return false
          throw run.fail(nameOf(left), error, '')
        },
        (error) =>
          error instanceof LoadFailure
            ? this.failLoad(error, left)
            : run.fail(nameOf(left), error, ''),
      )
      loaded = true
      run.restored += what.items.filter(isWanted).length
    } catch (error) {
      if (!(error instanceof PutOff)) throw error
    } finally {
      await early?.end()
      task.sessions = giveBack()
      running.end(loaded)
    }
    return loaded
  }

  /** Loads the rows of tables that are empty: large ones through several sessions, the others by one run of pg_restore. */
  private async rows(
    task: Task,
    items: readonly PlannedEntry[],
    giveBack: () => void,
    { running, timing, inStreams }: { running: Running; timing: Timing; inStreams: boolean },
  ): Promise<void> {
    const { run } = this
    const { ledger, signal } = run
    const { log, temporaryDirectory: directory } = run.context
    const options = run.optionsOf(this.login)
    const at = (item: PlannedEntry | undefined) => {
      running.at(item ?? null)
      timing.at(item ?? null)
    }
    const others: PlannedEntry[] = []
    for (const item of items) {
      const streamed = async (books: Ledger) => {
        at(item)
        return await loadInStreams({
          ...{ options, item, name: this.name, directory, signal, log, ledger: books },
          allowed: () => 1 + run.idleJobs.lentTo(task),
          moved: (sessions, bytes) => running.moved(sessions, bytes),
        })
      }
      if (ledger && inStreams && mayBeStreamed(item, options, run.idleJobs.lentTo(task))) {
        if (await streamed(ledger)) continue
        timing.end(false)
      }
      others.push(item)
    }
    // one session it is, and nobody need wait for more
    if (others.length > 0) giveBack()
    await load(options, others, this.name, directory, signal, (begun) => at(others[begun - 1]))
    for (const { entry } of items) {
      await ledger?.leave({ schema: entry.namespace, name: entry.tag })
    }
  }

  /** Leaves out the tables whose rows the target refuses, if the user has named each of them. */
  private leaveOut({ errors }: LoadFailure, items: readonly PlannedEntry[]): boolean {
    return (
      errors.length > 0 &&
      errors.every(({ dumpId, message, sqlstate }) => {
        const item = items.find(({ entry }) => entry.dumpId === dumpId)
        return item !== undefined && this.run.leaveOut(item, message, sqlstate)
      })
    )
  }

  /** Loads the rows of one table again unless they are all there; what else the table has is the caller's concern. */
  async loadAgain(item: PlannedEntry, login: Login): Promise<void> {
    const { context, signal } = this.run
    const options = this.run.optionsOf(login)
    await this.as(login)
    const running = this.run.progress.begin(item.name, this.name, 0)
    try {
      await this.persist(
        async () => {
          const session = await this.session()
          const expected = options.expectedRows?.get(tableOf(item))
          if (await hasAllRows(session, item, expected)) return
          // INSERT statements may have come half the way, a COPY has not
          if (item.entry.copyStatement === null) {
            await session.query(`TRUNCATE ONLY ${tableOf(item)}`)
          }
          await this.drop()
          await load(options, [item], this.name, context.temporaryDirectory, signal, () => {})
        },
        (error) => (error instanceof LoadFailure ? error.transient : mayPass(error)),
        (error) => error,
      )
    } catch (error) {
      if (error instanceof LoadFailure) throw this.failLoad(error, [item])
      throw sqlstateOf(error) === undefined ? error : this.run.fail(item.name, error, '')
    } finally {
      running.end()
    }
  }

  private failLoad(failure: LoadFailure, items: readonly PlannedEntry[]): EntryFailed {
    const { message } = failure
    const errors =
      failure.errors.length > 0 ? failure.errors : [{ dumpId: null, message, sqlstate: null }]
    const seen = new Set<number | null>()
    for (const error of errors) {
      if (seen.has(error.dumpId)) continue
      seen.add(error.dumpId)
      const item = items.find(({ entry }) => entry.dumpId === error.dumpId) ?? items[0]
      const statement = item?.entry.copyStatement ?? ''
      this.run.note(item?.name ?? '', error.message, error.sqlstate, statement)
    }
    return new EntryFailed(message, true)
  }

  /** Which of the entries are not loaded yet; their tables are empty afterwards. */
  private async unloaded(what: Load, items: readonly PlannedEntry[]): Promise<PlannedEntry[]> {
    const session = await this.session()
    const { expectedRows } = this.run.options
    const missing: PlannedEntry[] = []
    for (const item of items) {
      const { namespace: schema, tag: name } = item.entry
      const isDoubtful = this.run.ledger?.has({ schema, name }) ?? false
      const expected = expectedRows?.get(tableOf(item))
      if (isDoubtful || !(await isLoaded(session, item, expected))) missing.push(item)
    }
    // rows that went through a partition root may lie in any partition
    const again = what.root !== null && missing.length > 0 ? what.items : missing
    if (again.length > 0) await empty(session, what, again)
    return again
  }
}

const isWanted = ({ decision }: PlannedEntry) => decision.kind !== 'leave-out'

const nameOf = (items: readonly PlannedEntry[]) => items[0]?.name ?? ''
