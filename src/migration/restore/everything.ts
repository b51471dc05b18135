import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { printable } from '../../text/text.ts'
import { runPhase, skipPhase } from '../phases.ts'
import { retrying } from '../retry.ts'
import { refuseFailedLogins, tryLogins } from '../roles/logins.ts'
import type { Run } from '../run.ts'
import { limitConnections } from './database/connection-limit.ts'
import { inMaintenanceDatabase } from './database/maintenance-database.ts'
import { dropAbandoned } from './database/scratch.ts'
import { describe, type Refused, throwAll } from './destinations.ts'
import type { PlannedDatabase, PlannedRestore } from './plan-everything.ts'
import { restoreOne } from './restore-one.ts'
import { exchangeAll, finishSwaps } from './swap/swaps.ts'

/** Restores the roles. @throws Failure; Cancelled; the report has what was found all the same */
export async function restoreTheRoles(
  { roles }: Pick<PlannedRestore, 'roles'>,
  run: Run,
): Promise<void> {
  if (!roles) return skipPhase(run, 'restore-roles')
  await runPhase(run, 'restore-roles', async () => {
    try {
      await roles.restore(run)
    } finally {
      if (roles.isCompared) run.record.roles(roles.result)
    }
  })
}

/**
 * Restores every database by its plan, each with its own verdict: one that fails does not lose the results of the others; when
 * all have been tried, the run fails with what failed. What must come last comes last: names are exchanged, the settings of
 * roles in single databases, and limits of connections.
 *
 * @param began when the outage began (milliseconds), where this job dumped the source, which can still be asked then
 * @returns nothing; everything is in the run's report
 * @throws Failure; Cancelled
 */
export async function restoreDatabases(
  planned: PlannedRestore,
  began: number | undefined,
  run: Run,
): Promise<void> {
  await sweepTarget(planned.target, run)
  const failures = await eachDatabase(planned.databases, run, (database) =>
    restoreOne(database, began !== undefined, run),
  )
  await endRestore(planned, failures, began, run)
}

/** Removes what runs that died have left on a target and that belongs to no database of this one. */
export async function sweepTarget(target: PlannedRestore['target'], run: Run): Promise<void> {
  await retrying(run, () =>
    inMaintenanceDatabase({ target, targetName: '' }, run.signal, (client) =>
      dropAbandoned(client, run),
    ),
  )
}

/** Does what concerns one database, for each of them: one that fails does not keep the others from it. @returns what failed */
export async function eachDatabase(
  databases: readonly PlannedDatabase[],
  run: Run,
  work: (database: PlannedDatabase) => Promise<void>,
): Promise<Refused[]> {
  const failures: Refused[] = []
  for (const database of databases) {
    const { record, source } = database.destination
    try {
      await work(database)
    } catch (error) {
      if (error instanceof Cancelled || run.signal.aborted) throw error
      record.failed(describe(error))
      failures.push({ what: `the database "${source}"`, error })
      run.log.warning(`${source}: ${messageOf(error)}`)
    }
  }
  return failures
}

/**
 * Does what must come last, when every database is restored and verified or has failed: see restoreDatabases().
 *
 * @param failures of databases
 * @throws Failure with all that has failed; Cancelled
 */
export async function endRestore(
  planned: PlannedRestore,
  failures: Refused[],
  began: number | undefined,
  run: Run,
): Promise<void> {
  const { databases, swaps } = planned
  let { roles } = planned
  if (swaps.size > 0 && failures.length === 0) {
    if (run.inputs.existingRoles === 'update') {
      roles = await planned.planRoles('update')
      await restoreTheRoles({ roles }, run)
    }
    failures.push(...(await exchangeAll(databases, swaps, run)))
  }
  for (const [{ source }, { name, building }] of failures.length > 0 ? swaps : []) {
    run.log.info(
      `The old database ${printable(name)} answers as before unless the report says that it was exchanged; the new one of ${printable(source)} is ${printable(building)}: restore with the kept dump and if-target-not-empty: swap goes on with it, the next migration drops it`,
    )
  }
  if (roles) run.record.roles(await roles.applyDeferred(run))
  failures.push(...(await limitAll(databases, run)))
  if (failures.length === 0) failures.push(...(await finishSwaps(databases, swaps, run)))
  if (failures.length === 0) {
    const names = databases.map(({ destination }) => destination.target)
    await tryLogins(planned.target, names, run)
  }
  const { report } = run
  // of the roles alone there is no outage
  if (began !== undefined && failures.length === 0 && databases.length > 0) {
    run.record.cutover(Math.round((performance.now() - began) / 100) / 10)
  }
  run.record.verified(
    (report.databases.length > 0 || report.roles !== undefined) &&
      report.databases.every(({ verified }) => verified) &&
      (report.roles?.verified ?? true),
  )
  tellMadeRoles(planned, run)
  throwAll(failures, 'failed')
  refuseDifferentRoles(run)
  refuseFailedLogins(run)
}

/** Limits the connections of the databases, now that nobody of this run needs one. */
async function limitAll(databases: readonly PlannedDatabase[], run: Run): Promise<Refused[]> {
  const failures: Refused[] = []
  for (const { destination, options } of databases) {
    const { record, source } = destination
    if (record.result.error) continue
    try {
      await limitConnections(options, run)
    } catch (error) {
      if (error instanceof Cancelled || run.signal.aborted) throw error
      record.failed(describe(error))
      failures.push({ what: `the database "${source}"`, error })
    }
  }
  return failures
}

/** Names the roles that a run has made whose databases have all failed. */
export function tellMadeRoles({ roles, databases }: PlannedRestore, run: Run): void {
  const created = roles?.createdRoles ?? []
  if (
    run.rehearsal !== undefined ||
    created.length === 0 ||
    !databases.every(({ destination }) => destination.record.result.error)
  )
    return
  const more =
    created.length > 20 ? ` and ${created.length - 20} more (roles.polardb.sql names them)` : ''
  run.warn(
    `Roles that this run created stay on the target, and the next run finds them: ${created.slice(0, 20).map(printable).join(', ')}${more}`,
  )
}

/** @throws Failure when the roles compared different for no known reason */
function refuseDifferentRoles({ report: { roles, databases } }: Run): void {
  if (!roles || roles.verified) return
  const unexplained = roles.differences.filter(({ explained }) => !explained)
  // they have a failure of their own
  const hasFailedLogins = roles.logins?.some(({ status }) => status === 'failed')
  if (hasFailedLogins && unexplained.length === 0) return
  throw new Failure(
    'The roles of the target differ from those of the source',
    unexplained
      .map(({ role, what }) => `"${role}": ${what}`)
      .slice(0, 10)
      .join('; '),
    `The report lists every difference; correct the roles on the target, then ${databases.length === 0 ? 'run again: what is equal is not sent a second time' : 'run verify'}`,
    { isDifference: true },
  )
}
