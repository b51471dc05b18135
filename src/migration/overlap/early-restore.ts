import { Cancelled, messageOf } from '../../failure.ts'
import type { Progress } from '../context.ts'
import type { DumpSink } from '../dump/sink.ts'
import { goOnAfterMigrate } from '../go-on.ts'
import { halvesOf } from '../halves.ts'
import type { DumpedDatabase } from '../kept/manifest.ts'
import { runPhase } from '../phases.ts'
import { type Destination, describe, type Refused } from '../restore/destinations.ts'
import {
  eachDatabase,
  endRestore,
  restoreTheRoles,
  sweepTarget,
  tellMadeRoles,
} from '../restore/everything.ts'
import {
  type PlannedAhead,
  type PlannedDatabase,
  type PlannedRestore,
  planDatabase,
  type RestorableDump,
} from '../restore/plan-everything.ts'
import { restoreOne } from '../restore/restore-one.ts'
import type { Swap } from '../restore/swap/exchange.ts'
import { lookAtSwap } from '../restore/swap/plan-swap.ts'
import type { Run } from '../run.ts'
import { ArrivingDatabase } from './arriving-database.ts'
import { EarlyDatabase } from './early-database.ts'

/**
 * The restore of databases while their dump is still being made: what is complete is restored, one database after the other, and
 * verified when the dump is sealed. A database that is not dumped in parts is restored as ever, when the whole dump is there.
 */
export class EarlyRestore {
  private readonly dump: Omit<RestorableDump, 'databases' | 'directory' | 'isSchema'>
  private readonly ahead: PlannedAhead
  private readonly run: Run
  /** The run of the half that restores, and the one of the half that dumps. */
  private readonly own: Run
  private readonly other: Run
  private readonly stopper = new AbortController()
  private readonly arriving = new Map<string, ArrivingDatabase>()
  private readonly early = new Map<string, EarlyDatabase>()
  private readonly failures: Refused[] = []
  private readonly swaps = new Map<Destination, Swap>()
  private beginning: Promise<PlannedRestore> | undefined
  private restoring: Promise<void> | undefined

  /**
   * @param dump what is known of the dump before it is made
   * @param ahead what is to be restored, as decided before the dump
   * @param progress of both halves
   */
  constructor(
    dump: Omit<RestorableDump, 'databases' | 'directory' | 'isSchema'>,
    ahead: PlannedAhead,
    run: Run,
    progress: Progress = run.progress,
  ) {
    this.dump = dump
    this.ahead = ahead
    this.run = run
    const [dumping, restoring] = halvesOf(progress)
    const signal = AbortSignal.any([run.signal, this.stopper.signal])
    const goOn = goOnAfterMigrate(run, run.inputs.ifTargetNotEmpty === 'swap')
    this.own = { ...run, signal, progress: restoring, goOn }
    this.other = { ...run, progress: dumping }
    for (const { source } of ahead.destinations)
      this.arriving.set(source, new ArrivingDatabase(run.dumpDirectory))
  }

  /**
   * Makes the dump, and restores meanwhile what is complete of it. Where the dump fails, what was restored is removed again.
   *
   * @throws what the dump throws
   */
  async beside<T>(dump: (run: Run, sink: DumpSink) => Promise<T>): Promise<T> {
    this.restoring = this.restoreAll().finally(() => this.own.progress.update(''))
    try {
      return await dump(this.other, this.sink())
    } catch (error) {
      await this.giveUp(false)
      throw error
    } finally {
      this.other.progress.update('')
    }
  }

  private sink(): DumpSink {
    const of = (name: string) => this.arriving.get(name)
    return {
      schema: (database, ahead) => of(database.name)?.tellSchema(database, ahead),
      flows: (database, path) => of(database)?.tellFlows(path),
      data: (database, path) => of(database)?.tellData(path),
      lost: (database) => of(database)?.tellLost(),
      dumped: (database) => of(database.name)?.tellDumped(database),
    }
  }

  /**
   * The roles, which are restored before the first database.
   *
   * @returns undefined where nothing is restored early: then all of it is still to be planned
   * @throws what kept them from being restored
   */
  async roles(): Promise<PlannedRestore | undefined> {
    return await this.beginning
  }

  /**
   * Restores what is not restored yet, verifies every database, and does what must come last. To be called when the dump is sealed.
   *
   * @param planned what roles() has given
   * @param dumped everything
   * @param began as for restoreDatabases()
   * @throws Failure; Cancelled
   */
  async finish(
    planned: PlannedRestore,
    dumped: readonly DumpedDatabase[],
    began: number,
  ): Promise<void> {
    const { run } = this
    await this.restoring
    run.signal.throwIfAborted()
    const known = new Set(planned.databases.map(({ destination }) => destination.source))
    for (const destination of this.ahead.destinations) {
      const whole = dumped.find(({ name }) => name === destination.source)
      if (!whole || known.has(destination.source) || destination.record.result.error) continue
      await this.collect(destination, () => this.plan(destination, whole, run))
    }
    const order = new Map(this.ahead.destinations.map(({ source }, index) => [source, index]))
    const at = ({ destination }: PlannedDatabase) => order.get(destination.source) ?? 0
    planned.databases.sort((one, other) => at(one) - at(other))
    const conclude = (database: PlannedDatabase) => this.conclude(database)
    try {
      this.failures.push(...(await eachDatabase(planned.databases, run, conclude)))
    } finally {
      await this.release()
    }
    await endRestore(planned, this.failures, began, run)
  }

  private async conclude(database: PlannedDatabase): Promise<void> {
    const { source, record } = database.destination
    const early = this.early.get(source)
    // of one that has failed while it was being dumped all is said
    if (record.result.error) return
    if (early) await early.conclude(this.run)
    else await restoreOne(database, true, this.run)
  }

  /** Gives back what was lent for the databases that were restored early; they stay. */
  private async release(): Promise<void> {
    const left = [...this.early.values()]
    this.early.clear()
    await Promise.all(left.map((one) => one.release()))
  }

  /**
   * Ends the restore where it is not finished. What is restored by then stays where there is a dump to go on with, and is removed
   * where there is none.
   *
   * @param isSealed there is one
   */
  async giveUp(isSealed: boolean): Promise<void> {
    const { run } = this
    this.stopper.abort(new Cancelled())
    await this.restoring
    // a cancelled job has seconds: the next run finds what is there by its mark
    if (isSealed || run.signal.aborted) return await this.release()
    const left = [...this.early.values()]
    // all before any is removed: what one has lent itself, those after it have found
    await this.release()
    const planned = await this.beginning?.catch(() => undefined)
    if (planned) tellMadeRoles({ ...planned, databases: [] }, run)
    for (const one of left) {
      const { source } = one.database.destination
      try {
        await one.undo(run)
      } catch (error) {
        if (run.signal.aborted) return
        run.warn(
          `What was restored of ${source} while it was being dumped could not be removed from the target: ${messageOf(error)}`,
        )
      }
    }
  }

  /** Restores one database after the other while they are dumped. Never throws: what has failed is kept. */
  private async restoreAll(): Promise<void> {
    for (const destination of this.ahead.destinations) {
      const arriving = this.arriving.get(destination.source)
      if (!arriving) continue
      let schema: DumpedDatabase | undefined
      try {
        schema = await arriving.begun(this.own.signal)
        if (!schema) continue
        this.beginning ??= this.begin()
        await this.beginning
      } catch {
        // whoever asks for the roles hears of it
        return
      }
      const definitions = schema
      await this.collect(destination, () => this.restoreEarly(destination, definitions, arriving))
    }
  }

  /** Does what concerns one database, and keeps its failure: the others are none the worse for it. */
  private async collect(destination: Destination, work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (this.own.signal.aborted) return
      destination.record.failed(describe(error))
      this.failures.push({ what: whatOf(destination), error })
      this.run.log.warning(`${destination.source}: ${messageOf(error)}`)
    }
  }

  /** Restores the roles, before the first database. */
  private async begin(): Promise<PlannedRestore> {
    const { own, ahead } = this
    const { inputs } = own
    own.log.info('The restore begins while the dump goes on')
    const roles = await runPhase(own, 'schema', async () => {
      // as long as the old databases answer, the roles that use them stay as they are
      const existing = (await this.willSwap()) ? 'keep' : inputs.existingRoles
      return await ahead.planRoles(existing)
    })
    if (roles?.refusal) throw roles.refusal
    const { target, planRoles } = ahead
    await restoreTheRoles({ roles }, own)
    await sweepTarget(target, own)
    return { target, databases: [], swaps: this.swaps, roles, planRoles }
  }

  private async willSwap(): Promise<boolean> {
    const { target, destinations } = this.ahead
    if (this.own.inputs.ifTargetNotEmpty !== 'swap') return false
    for (const destination of destinations) {
      if (await lookAtSwap({ target, targetName: destination.target }, this.own)) return true
    }
    return false
  }

  /** Decides about a database by what is there of its dump. */
  private async plan(
    ahead: Destination,
    dumped: DumpedDatabase,
    run: Run,
  ): Promise<PlannedDatabase> {
    const planned = await this.beginning
    if (!planned) throw new TypeError('the roles come first')
    const dump = { ...this.dump, directory: run.dumpDirectory, isSchema: false }
    const { source } = ahead
    const { database, swap } = await runPhase(
      run,
      'schema',
      () => planDatabase(ahead, dumped, dump, planned, run),
      source,
    )
    planned.databases.push(database)
    if (swap) this.swaps.set(database.destination, swap)
    return database
  }

  /** Restores a database while it is being dumped, and waits for the end of its dump. */
  private async restoreEarly(
    destination: Destination,
    schema: DumpedDatabase,
    arriving: ArrivingDatabase,
  ): Promise<void> {
    const { source } = destination
    const run = { ...this.own, signal: AbortSignal.any([this.own.signal, arriving.lost]) }
    let early: EarlyDatabase | undefined
    let failure: { error: unknown } | undefined
    try {
      const database = await this.plan(destination, schema, run)
      early = await EarlyDatabase.of(database, arriving, run)
      this.early.set(source, early)
      await early.restore(run)
    } catch (error) {
      if (this.own.signal.aborted) throw error
      if (!arriving.lost.aborted) failure = { error }
    }
    // what has failed with a moment that is lost afterwards has not failed
    const whole = await arriving.whole(this.own.signal)
    if (!whole) return await this.beginAnew(source, early)
    if (failure) throw failure.error
    early?.complete(whole, run)
  }

  /** The moment of a dump is lost: what was restored of it goes, and the database is restored when it is dumped anew. */
  private async beginAnew(source: string, early: EarlyDatabase | undefined): Promise<void> {
    const planned = await this.beginning
    const at =
      planned?.databases.findIndex(({ destination }) => destination.source === source) ?? -1
    const [gone] = at < 0 ? [] : (planned?.databases.splice(at, 1) ?? [])
    if (gone) this.swaps.delete(gone.destination)
    if (!early) return
    this.run.warn(
      `${source}: what was restored while it was being dumped is removed from the target, and restored again when the whole dump is there`,
    )
    await early.undo(this.own)
    this.early.delete(source)
  }
}

const whatOf = ({ source }: Destination) => `the database "${source}"`
