import { Failure, messageOf } from '../../failure.ts'
import type { FreezeResult } from '../../report/model.ts'
import { firstTen } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import { check } from '../checks/note.ts'
import type { Source } from '../checks/preflight.ts'
import { runPhase, skipPhase } from '../phases.ts'
import { isGivenUp } from '../retry.ts'
import type { Run } from '../run.ts'
import { type ArrivedDatabase, readTargets } from './cutover.ts'
import { meetEarlierFreeze, nothingFrozen } from './earlier-freeze.ts'
import { FrozenSource } from './frozen-source.ts'
import { isWritten, type Look, Looks, sentenceOf } from './looks.ts'
import { wait } from './sessions.ts'
import { sampleOf, seeWriters } from './writers.ts'

/** What the steps of a migration say to whoever watches the source meanwhile. */
export interface Watched {
  /** Every row is dumped. @throws Failure where a frozen source was written to */
  dumped(): Promise<void>
  /** The dump is sealed: from now on it can be restored, as far as it is kept. */
  sealed(dump: { id: string }): Promise<void>
  /** Everything is on the target, and what was to be compared is equal. @param databases where it is */
  arrived(databases?: ArrivedDatabase[]): Promise<void>
}

/** Watches the databases of a source for writes, and keeps them away where `freeze-source` says so. */
export class SourceWatch {
  /** An earlier run has frozen the source, and nobody but this one will thaw it, whatever becomes of this one. */
  takesOver = false
  private readonly source: Source
  private readonly run: Run
  private readonly looks: Looks
  private frozen: FrozenSource | undefined
  /** The freeze is complete, so that it can be undone while the steps are still being given up. */
  private isFrozen = false
  /** What is noted in the marks just now: a thaw waits for it. */
  private noting: Promise<void> = Promise.resolve()
  /** What a thaw that has begun leaves frozen. */
  private thawing: Promise<string[]> | undefined
  private isSealed = false
  /** The dump that is sealed and not noted in the marks: it must not push out an earlier one that is kept while it may be lost. */
  private unnoted: string | undefined
  private hasArrived = false
  private wasWritten: boolean | 'unknown' = false
  /** Milliseconds. */
  private readonly sample: number

  private constructor(source: Source, run: Run) {
    this.source = source
    this.run = run
    this.sample = sampleOf(run)
    this.looks = new Looks(source, run)
  }

  /**
   * Begins to watch. A freeze that a killed run has left is undone, unless this one freezes as well.
   *
   * @throws Failure where another run has frozen the source and is at work; Cancelled
   */
  static async begin(source: Source, run: Run): Promise<SourceWatch> {
    const watch = new SourceWatch(source, run)
    watch.takesOver = await meetEarlierFreeze(source, run)
    await watch.looks.begin()
    return watch
  }

  /**
   * Freezes the source where that is asked for, runs the steps, and decides how the source is left: thawed where nothing can be
   * resumed, otherwise frozen.
   *
   * @param writers what it means without a freeze that somebody writes before the dump begins
   * @throws what the steps throw, with how it goes on; Failure where somebody writes; Cancelled
   */
  async during(
    writers: 'blocker' | 'warning',
    steps: (watched: Watched) => Promise<void>,
  ): Promise<void> {
    const { run } = this
    // at once, beside the work that is being given up: the target may take all of the ten seconds
    const hurry = () => {
      if (this.isFrozen && !this.stays()) void this.thaw()
    }
    run.signal.addEventListener('abort', hurry, { once: true })
    try {
      if (run.inputs.freezeSource) await runPhase(run, 'freeze', () => this.freeze())
      else {
        skipPhase(run, 'freeze')
        await this.refuseWriters(writers)
      }
      await steps({
        dumped: async () => this.dumped(),
        sealed: async (dump) => this.sealed(dump),
        arrived: async (databases) => this.arrived(databases),
      })
      await this.noteDump()
      await this.lastLook(false)
    } catch (error) {
      if (!run.signal.aborted) await this.lastLook(true, isGivenUp(error))
      throw await this.afterFailure(error)
    } finally {
      run.signal.removeEventListener('abort', hurry)
      await this.frozen?.close()
    }
    if (this.frozen) {
      this.tell(
        true,
        this.hasArrived
          ? 'The source stays frozen: that is the cutover. The way back is command: unfreeze with the same source and databases, which gives the source its writes back; with target it says first what was written there'
          : 'The source stays frozen until the dump is restored. command: unfreeze with the same source and databases gives it its writes back; this dump is no longer the cutover then',
      )
    }
  }

  private async freeze(): Promise<void> {
    const { source, run } = this
    const frozen = new FrozenSource(source, run)
    this.frozen = frozen
    this.looks.frozen = frozen
    await frozen.freeze()
    this.tell(true, 'The source is frozen while the migration is under way')
    // what was still under way when sessions were ended comes in late: the second sample shows who goes on
    await this.looks.look()
    let looks: Look[] = []
    for (let samples = 0; samples < 2; samples++) {
      await wait(this.sample, run.signal)
      looks = await this.looks.look()
      if (!looks.some(isWritten)) break
    }
    this.judge(looks, `within the ${this.sample / 1000} s after the freeze`)
    this.isFrozen = true
  }

  /** Notes what a look has found on a frozen source. @throws Failure where it was written to, unless `allow-writes` */
  private judge(looks: readonly Look[], when: string): void {
    const { run } = this
    const found = looks.filter(isWritten)
    if (found.length > 0) this.wasWritten = true
    else if (looks.some(({ writes }) => writes === 'unknown') && this.wasWritten !== true)
      this.wasWritten = 'unknown'
    const message =
      found.length > 0
        ? `The source was written to ${when}, although it is frozen: ${found.map(sentenceOf).join('; ')}`
        : this.wasWritten === 'unknown'
          ? `no write was counted ${when}; transactions ran on the server that may belong to other databases`
          : `no write came through ${when}`
    const remedy =
      'Find who writes: a session that sets default_transaction_read_only to off itself, or a process of the server; end it and run again, or accept it with allow-writes: true. REINDEX, CLUSTER and VACUUM FULL, which a read-only session may run, count as well'
    const { allowWrites } = run.inputs
    const severity = allowWrites ? 'warning' : 'blocker'
    const names = found.map(({ database }) => database)
    check(run, 'source-frozen', severity, found.length === 0, message, remedy, names)
    if (run.report.freeze) run.record.freeze({ ...run.report.freeze, written: this.wasWritten })
    if (found.length === 0) return
    if (!allowWrites) throw new Failure('The frozen source was written to', message, remedy)
    run.warn(message)
  }

  /** Without a freeze: whether somebody writes while nothing is dumped yet. */
  private async refuseWriters(severity: 'blocker' | 'warning'): Promise<void> {
    const { run, looks } = this
    const isAllowed = run.inputs.allowWrites || severity === 'warning'
    const found = await seeWriters(looks, run, isAllowed ? 'warning' : 'blocker')
    // what is said at the end counts from here on
    await looks.look()
    if (!found) return
    if (!isAllowed) throw new Failure('The source is being written to', found.message, found.remedy)
    run.warn(found.message)
  }

  private async dumped(): Promise<void> {
    if (!this.frozen) return
    await this.judgeAgain('between the freeze and the end of the dump')
  }

  /** Compares with the readings after the freeze, and makes sure that it still holds. */
  private async judgeAgain(when: string): Promise<void> {
    const looks = await this.looks.compare()
    if (this.frozen && !(await this.frozen.stillFrozen())) {
      this.wasWritten = 'unknown'
      const why = `Somebody gave the source back its writes ${when}, so nobody can tell what was written`
      if (!this.run.inputs.allowWrites)
        throw new Failure(
          'The source is not frozen any more',
          why,
          'Run again, and let nobody unfreeze the source meanwhile',
        )
      this.run.warn(why)
    }
    this.judge(looks, when)
  }

  private async sealed({ id }: { id: string }): Promise<void> {
    if (!this.frozen) return
    this.unnoted = id
    if (this.isKept() || !this.frozen.hasEarlierDump) await this.noteDump()
    this.isSealed = true
  }

  private async noteDump(): Promise<void> {
    const dump = this.unnoted
    if (dump === undefined) return
    await this.note(() => ({ dump, target: null }))
    this.unnoted = undefined
  }

  private async arrived(databases: ArrivedDatabase[] = []): Promise<void> {
    const { run } = this
    this.hasArrived = true
    if (!this.frozen || databases.length === 0) return
    try {
      await this.noteDump()
      const targets = await readTargets(databases, run)
      await this.note((database) => ({ target: targets.get(database) ?? null }))
    } catch (error) {
      if (run.signal.aborted) throw error
      run.warn(
        `What is on the target at the cutover could not be noted, so unfreeze will not know whether anything was written there: ${messageOf(error)}`,
      )
    }
  }

  /**
   * Says at the end what was written since the dump began.
   *
   * @param failed the run has failed already, and keeps its failure
   * @param isLost that was because a server stayed lost
   */
  private async lastLook(failed: boolean, isLost = false): Promise<void> {
    const { run } = this
    if (this.frozen) {
      if (failed) return
      await this.judgeAgain('between the freeze and the end of the run')
      run.record.sourceStill(this.wasWritten === 'unknown' ? 'unknown' : !this.wasWritten)
      return
    }
    if (!run.report.phases.some(({ name }) => name === 'dump')) return
    const looks = await this.looks.compare(isLost).catch((error: unknown): Look[] => {
      if (run.signal.aborted || !failed) throw error
      return []
    })
    for (const { database, writes, what, why } of looks) {
      const name = printable(database)
      const message =
        why !== undefined
          ? `Whether "${name}" was written to during the migration could not be found out: ${why}`
          : writes === true
            ? `The source database "${name}" was written to after its dump began, and none of that is on the target: ${what}`
            : `nothing was written to "${name}" after its dump began`
      const isQuiet = writes !== true && why === undefined
      const remedy =
        why === undefined
          ? 'Stop the writes and migrate again'
          : 'Make sure that the writes are stopped'
      check(run, 'source-writes', 'warning', isQuiet, message, remedy, [database])
      if (!isQuiet) run.warn(message)
    }
    const found = looks.map(({ writes }) => writes)
    const isUnknown = looks.length === 0 || found.includes('unknown')
    run.record.sourceStill(found.includes(true) ? false : isUnknown ? 'unknown' : true)
  }

  /** Leaves the source as the failure demands. @returns the failure, with how it goes on */
  private async afterFailure(error: unknown): Promise<unknown> {
    const { frozen, run } = this
    if (!frozen) return error
    if (this.thawing === undefined && this.stays()) {
      const isKept = this.isSealed && this.isKept()
      if (isKept && !run.signal.aborted) await this.noteDump().catch(() => {})
      const way = this.hasArrived
        ? 'The source stays frozen, because everything has arrived on the target'
        : isKept
          ? 'The source stays frozen, because the dump that is kept can still be restored (command: restore)'
          : 'The source stays frozen, as it was before this run, because the dump of an earlier one can still be restored'
      const next = `${way}; or give it its writes back with command: unfreeze`
      this.tell(true, next)
      return amended(error, next)
    }
    const left = await this.thaw()
    if (left.length === 0) {
      this.tell(false, 'The source takes writes again, with the settings that it had')
      return error
    }
    const next = `The source is still frozen (${firstTen(left)}): command: unfreeze, or the next run, gives it its writes back`
    this.tell(true, next)
    run.warn(next)
    return amended(error, next)
  }

  /** Whether the source is left frozen after a failure: while there is something to go on with. */
  private stays(): boolean {
    if (this.hasArrived || this.frozen?.hasEarlierDump) return true
    return this.isSealed && this.isKept()
  }

  /** Whether the dump of this run outlives it. */
  private isKept(): boolean {
    const { inputs, report } = this.run
    return inputs.keepDump || report.artifact !== undefined
  }

  private thaw(): Promise<string[]> {
    const { frozen } = this
    this.thawing ??= this.noting.then(async () => (await frozen?.thaw()) ?? [])
    return this.thawing
  }

  private async note(change: Parameters<FrozenSource['note']>[0]): Promise<void> {
    const done = this.frozen?.note(change)
    this.noting = (done ?? Promise.resolve()).catch(() => {})
    await done
  }

  private result(): FreezeResult {
    const { source, run, frozen } = this
    return {
      ...nothingFrozen(source, run),
      since: frozen?.since ?? null,
      ended: frozen?.ended ?? 0,
      written: this.wasWritten,
    }
  }

  private tell(isFrozen: boolean, next: string): void {
    this.run.record.freeze({ ...this.result(), frozen: isFrozen, next })
    this.run.log.info(next)
  }
}

/** A failure that also says what becomes of the source. */
function amended(error: unknown, next: string): unknown {
  if (!(error instanceof Failure)) return error
  const { remedy } = error
  const more = /[.!?]$/.test(remedy) || remedy === '' ? remedy : `${remedy}.`
  return error.withRemedy(`${more} ${next}`.trim())
}
