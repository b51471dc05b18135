import type { Failure } from '../../failure.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import type { ChecklistItem, EntryResult, RestoreResult } from '../../report/model.ts'
import type { Context } from '../context.ts'
import type { ExpectedDifference } from '../verify/compare/expected-differences.ts'
import { Ledger } from './database/ledger.ts'
import { leftOutBy } from './left-out.ts'
import type { RestoreOptions } from './options.ts'
import { GivingBack } from './owners/giving-back.ts'
import { Grants } from './owners/grants.ts'
import { newLoaderName } from './owners/loader.ts'
import { Ownership } from './owners/ownership.ts'
import { TemporaryRights } from './owners/temporary-rights.ts'
import { wakeUp } from './plan/asleep.ts'
import type { RestorePlan } from './plan/plan.ts'
import { expectedDifferences, type PlannedEntry } from './plan/planned-entry.ts'
import { PlanRefused } from './plan-restore.ts'
import { Execution } from './run/execution.ts'
import { EntryFailed } from './run/patient-session.ts'
import type { Worker } from './run/worker.ts'

/**
 * One restore while it runs: what its steps (restore/steps/) share. The steps are taken in the order in which
 * restore-database.ts has them.
 */
export class RunningRestore {
  plan: RestorePlan
  readonly execution: Execution
  readonly options: RestoreOptions
  readonly context: Context
  /** An interrupted restore may have left entries, rights and sessions. */
  readonly resuming: boolean
  readonly rights: TemporaryRights
  readonly givingBack: GivingBack
  /** Properties of tables and of the database that the target refused. */
  readonly refused: EntryResult[] = []
  readonly worker: Worker
  /** Extensions that were created. */
  extensions = 0
  /** Attempts when unlogged tables were last looked after; the first one needs nothing, unless it resumes another. */
  refilledAt: number
  /** Entries that were restored after all the others. */
  later = 0
  ownership: Ownership
  grants: Grants

  constructor(
    options: RestoreOptions,
    plan: RestorePlan,
    context: Context,
    dump: string,
    resuming: boolean,
  ) {
    this.options = options
    this.plan = plan
    this.context = context
    this.resuming = resuming
    this.refilledAt = resuming ? 0 : 1
    this.execution = new Execution(options, plan, context, resuming)
    this.worker = this.execution.worker()
    this.rights = new TemporaryRights(plan.facts, options.targetName, {
      dump,
      memberships: [],
      schemaGrants: [],
      databaseGrants: [],
      loader: newLoaderName(),
      owners: false,
    })
    this.execution.ledger = new Ledger(this.rights.marked, () => this.saveMark())
    this.givingBack = new GivingBack(options, this.rights, context)
    this.ownership = new Ownership(plan, this.rights, this.worker)
    this.grants = this.grantsOf(plan)
  }

  /** Goes on by a plan that is made again, since the target is not what it was thought to be. */
  replan(plan: RestorePlan): void {
    this.plan = plan
    this.execution.replan(plan)
    this.ownership = new Ownership(plan, this.rights, this.worker)
    this.grants = this.grantsOf(plan)
  }

  /** Writes the mark by a worker of its own: others load at the same time, and archives that arrive ask by `worker`. */
  private async saveMark(): Promise<void> {
    const worker = this.execution.worker()
    try {
      await worker.retrying('the mark of the restore', '', (session) => this.rights.save(session))
    } finally {
      await worker.close()
    }
  }

  private grantsOf(plan: RestorePlan): Grants {
    const { ownership } = this
    return new Grants(plan, this.rights, this.worker, (item) => ownership.ownerOf(item))
  }

  /** Entries that are restored. */
  select(which: (item: PlannedEntry) => boolean): PlannedEntry[] {
    return this.plan.entries.filter((item) => item.decision.kind !== 'leave-out' && which(item))
  }

  /** What else code of the database runs for, statistics say, is done as the loader: how it connects. Null without one. */
  get analyzeAs(): ConnectionParameters | null {
    return this.execution.loader?.connection.target ?? null
  }

  /** The failure of what could not be restored although the restore went on to its end; undefined when all is there. */
  get failure(): Failure | undefined {
    return this.execution.failed.length > 0 ? this.execution.failure() : undefined
  }

  /** What ends the run: an entry that failed is known here with its statement and remedy. */
  explain(error: unknown): unknown {
    if (error instanceof PlanRefused) return error.failure
    return error instanceof EntryFailed ? this.execution.failure() : error
  }

  /** See Restored. */
  expected(): ExpectedDifference[] {
    return expectedDifferences(this.result().skipped, this.plan.entries)
  }

  /** See Restored. */
  checklist(): ChecklistItem[] {
    return wakeUp(this.plan.entries, this.options.targetName, this.plan.database.name)
  }

  /** What was restored so far, and what was not. */
  result(): RestoreResult {
    return {
      entries: this.plan.entries.length,
      restored: this.extensions + this.execution.restored + this.later,
      skipped: [
        ...leftOutBy(this.plan),
        ...this.ownership.report(),
        ...this.grants.changed,
        ...this.refused,
      ],
      failed: this.execution.allFailed,
      attempts: this.execution.attempts,
    }
  }
}
