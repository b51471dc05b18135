import { Cancelled, type Failure } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { qualifiedName } from '../../postgres/identifiers.ts'
import type { ChecklistItem, RestoreResult } from '../../report/model.ts'
import type { Context } from '../context.ts'
import { retrying } from '../retry.ts'
import type { ExpectedDifference } from '../verify/compare/expected-differences.ts'
import type { Ahead } from '../verify/rows/ahead.ts'
import { dumpIdentity } from './database/mark.ts'
import { prepareDatabase } from './database/prepare.ts'
import { cannotResume } from './database/standing.ts'
import type { RestoreOptions } from './options.ts'
import type { KeptOwner } from './owners/ownership.ts'
import type { RestorePlan } from './plan/plan.ts'
import { expectedDifferences } from './plan/planned-entry.ts'
import { PlanRefused } from './plan-restore.ts'
import { tableOf } from './run/load.ts'
import { RunningRestore } from './running-restore.ts'
import { begin, lookAgain } from './steps/begin.ts'
import { dropAgain, finish, giveBackRights, release, settle } from './steps/end.ts'
import { restoreEntries } from './steps/entries.ts'
import { createExtensions } from './steps/extensions.ts'

export interface Restored {
  result: RestoreResult
  /** What the comparison is to expect of what was left out or changed. */
  expected: ExpectedDifference[]
  /** What is to be done at the cutover. */
  checklist: ChecklistItem[]
  /** Roles of the source whose objects belong to the account now, with the reason. Null where an earlier run restored. */
  owners: KeptOwner[] | null
  /**
   * What ends the run once everything else is done: entries that the target refused, none of them rows, which a resume tries
   * again. Undefined when nothing failed.
   */
  failure: Failure | undefined
  /** Quoted names of the tables whose planner statistics were collected on the way. */
  analyzed: ReadonlySet<string>
  /** Tables that were read for the verification on the way. */
  ahead: Ahead
  /** How the role connects that statistics are collected as, since code of the database runs then. Null for the account. */
  analyzeAs: ConnectionParameters | null
  /**
   * Gives the account what belongs to no other role, and drops the role that loaded: before owners and grants are compared.
   * `release` does it otherwise.
   *
   * @throws Failure; Cancelled
   */
  settle(): Promise<void>
  /**
   * Ends the memberships by which the account may still read and analyze what it gave away, and takes the mark off the
   * database. To be called once that is no longer needed, whatever came of it; the next run does so otherwise. It never
   * throws: what could not be given back is a warning.
   *
   * @param proven false leaves the mark: a resume then goes on with what comes after the restore
   */
  release(proven?: boolean): Promise<void>
}

/** A restore whose database is there. */
export interface BegunRestore {
  /** What was restored so far and what was not, whether carrying it out has failed or not. */
  readonly result: RestoreResult
  /**
   * Restores every entry that the plan restores, gives objects back to their owners, applies grants, and sets the database's
   * own properties.
   *
   * @throws Failure at the first error that no retry can mend; what is restored stays for `resume`. Cancelled
   */
  carryOut(): Promise<Restored>
}

/**
 * Makes or finds the database of a plan that is to be carried out.
 *
 * @throws Failure when it cannot be had, or is not what `ifNotEmpty` allows; Cancelled
 */
export async function beginRestore(
  options: RestoreOptions,
  plan: RestorePlan,
  context: Context,
): Promise<BegunRestore> {
  const dump = await dumpIdentity(options.archives)
  const { standing, created } = await prepareDatabase(options, dump, context)
  options.prepared?.(created)
  const restore = new RunningRestore(options, plan, context, dump, standing !== 'empty')
  if (standing === 'complete') {
    return {
      result: resultBefore(plan),
      carryOut: () => restoredBefore(options, plan, context, restore),
    }
  }
  return {
    get result() {
      return restore.result()
    },
    carryOut: () => carryOut(restore, created, context),
  }
}

async function carryOut(
  restore: RunningRestore,
  created: boolean,
  context: Context,
): Promise<Restored> {
  try {
    await begin(restore)
    try {
      await createExtensions(restore)
    } catch (error) {
      // nothing but extensions is in it, and no second run has to wonder why it is there
      if (created && error instanceof PlanRefused) await dropAgain(restore)
      throw error
    }
    await restoreEntries(restore)
    await finish(restore)
    return {
      get result() {
        return restore.result()
      },
      get expected() {
        return restore.expected()
      },
      checklist: restore.checklist(),
      owners: [...restore.ownership.kept.values()],
      get failure() {
        return restore.failure
      },
      analyzed: restore.execution.analyzed,
      ahead: restore.execution.ahead.tables,
      analyzeAs: restore.analyzeAs,
      settle: async () => {
        try {
          await settle(restore)
        } catch (error) {
          if (context.signal.aborted) throw new Cancelled()
          throw restore.explain(error)
        }
      },
      release: (proven = true) => release(restore, proven),
    }
  } catch (error) {
    await giveBackRights(restore)
    if (context.signal.aborted) throw new Cancelled()
    throw restore.explain(error)
  }
}

/**
 * What a resume finds that has nothing to go on with: the restore came to its end, and its mark is off. Nothing of it is
 * touched, since the database may be in use by now; whether it is what the dump holds, the verification says.
 *
 * @throws Failure when it lacks a table of the dump: then it is something else
 */
async function restoredBefore(
  options: RestoreOptions,
  plan: RestorePlan,
  context: Context,
  restore: RunningRestore,
): Promise<Restored> {
  const there = await retrying(context, () =>
    withConnection(
      options.target,
      { database: options.targetName, role: 'target', readOnly: true, signal: context.signal },
      async (client) => {
        const { rows } = await client.query<{ schema: string; name: string }>(
          `SELECT n.nspname AS schema, c.relname AS name
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::pg_catalog."char"[])`,
        )
        return new Set(rows.map(({ schema, name }) => qualifiedName(schema, name)))
      },
    ),
  )
  const tables = plan.entries.filter(
    ({ entry, decision }) => entry.desc === 'TABLE' && decision.kind !== 'leave-out',
  )
  if (tables.length === 0 || !tables.every((table) => there.has(tableOf(table)))) {
    throw cannotResume(
      options.targetName,
      'Nothing in it says that a restore was interrupted: the mark that a restore leaves until it is done is missing, and so are tables of the dump',
    )
  }
  context.log.info(
    `The database ${options.targetName} was restored by an earlier run: nothing is restored again`,
  )
  const result = resultBefore(plan)
  try {
    await lookAgain(restore)
  } catch (error) {
    await giveBackRights(restore)
    throw error
  }
  return {
    result,
    expected: expectedDifferences(result.skipped, plan.entries),
    checklist: restore.checklist(),
    owners: null,
    failure: undefined,
    analyzed: new Set(),
    ahead: new Map(),
    analyzeAs: null,
    settle: async () => {},
    // whatever came of it: there is nothing that a resume would go on with
    release: () => release(restore, true),
  }
}

/** The result of a restore that has nothing to do. */
function resultBefore(plan: RestorePlan): RestoreResult {
  const skipped = plan.entries.flatMap(({ name, decision }) =>
    decision.kind === 'restore' ? [] : [{ entry: name, reason: decision.reason }],
  )
  return { entries: plan.entries.length, restored: 0, skipped, failed: [], attempts: 1 }
}
