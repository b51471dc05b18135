import { messageOf } from '../../failure.ts'
import { formatDuration } from '../../text/numbers.ts'
import { analyzeDatabase } from '../analyze.ts'
import { runPhase, skipPhase } from '../phases.ts'
import type { Run } from '../run.ts'
import { readSubstitutes, verifyDatabase } from '../verify/verify-database.ts'
import { expectedLimit } from './database/connection-limit.ts'
import { cannotResume } from './database/standing.ts'
import type { Destination } from './destinations.ts'
import type { RestoreOptions } from './options.ts'
import type { PlannedDatabase } from './plan-everything.ts'
import { beginRestore, type Restored } from './restore-database.ts'

/**
 * Restores a database by its plan, analyzes and verifies it.
 *
 * @param sourceIsLive the source can still be asked which rows differ
 * @throws Failure; what was found is in the report
 */
export async function restoreOne(
  database: PlannedDatabase,
  sourceIsLive: boolean,
  run: Run,
): Promise<void> {
  const restored = await carryOutOne(database, run)
  await concludeOne(database, restored, run, async () => {
    await analyzeRestored(database, restored, run)
    await verifyRestored(database, restored, sourceIsLive, run)
  })
}

/**
 * Restores a database by its plan, and no more: see concludeOne().
 *
 * @throws Failure; Cancelled
 */
export async function carryOutOne(
  { destination, options, plan }: PlannedDatabase,
  run: Run,
): Promise<Restored> {
  const { record, source } = destination
  const began = performance.now()
  return await runPhase(
    run,
    'restore',
    async () => {
      const restore = await beginRestore(options, plan, run)
      try {
        return await restore.carryOut()
      } finally {
        record.restored(restore.result)
      }
    },
    source,
  ).finally(() => {
    record.restoreTook((performance.now() - began) / 1000)
  })
}

/**
 * Does what comes after the restore of a database, and gives back what the account has lent itself for it, whatever comes of it.
 *
 * @param work analyzes and verifies it
 * @param release gives back, told whether all has succeeded
 * @throws Failure of the restore, where entries were refused, or else what `work` throws
 */
export async function concludeOne(
  { destination }: PlannedDatabase,
  restored: Restored,
  run: Run,
  work: () => Promise<void>,
  release = restored.release,
): Promise<void> {
  const { record, source } = destination
  let proven = false
  try {
    await work()
    proven = true
  } catch (error) {
    if (!restored.failure || run.signal.aborted) throw error
    // what was refused comes first: what differs follows from it, and is in the report
    run.log.warning(`${source}: ${messageOf(error)}`)
  } finally {
    // what the account needed to read what it gave away
    await release(proven)
  }
  if (restored.failure) {
    record.notVerified()
    throw restored.failure
  }
}

/** Analyzes a database that was restored, where that is asked for. @throws Failure where there is nothing to go on with */
export async function analyzeRestored(
  { destination, options }: PlannedDatabase,
  restored: Restored,
  run: Run,
): Promise<void> {
  const { record, source } = destination
  const { targetName: name } = options
  if (restored.owners === null && run.inputs.verify === 'none') {
    throw cannotResume(
      name,
      'Nothing in it says that a restore was interrupted, and with verify: none nothing would be done',
    )
  }
  run.log.info(`Restored ${source} into ${name} in ${formatDuration(record.result.restoreSeconds)}`)
  run.record.leftForCutover(restored.checklist)
  await analyzeOne(destination, options, restored, run)
}

/** Verifies a database that was restored, with its objects where they belong. @throws Failure; Cancelled */
export async function verifyRestored(
  { destination, options }: PlannedDatabase,
  restored: Restored,
  sourceIsLive: boolean,
  run: Run,
): Promise<void> {
  try {
    await restored.settle()
  } finally {
    destination.record.restored(restored.result)
  }
  await verifyOne(destination, options, restored, sourceIsLive, run)
}

async function analyzeOne(
  destination: Destination,
  options: RestoreOptions,
  restored: Restored,
  run: Run,
): Promise<void> {
  if (!run.inputs.analyze) return skipPhase(run, 'analyze')
  const { source } = destination
  const { target, targetName, jobs } = options
  await runPhase(
    run,
    'analyze',
    async () => {
      const as = restored.analyzeAs ?? target
      const { analyzed } = restored
      let { refused } = await analyzeDatabase({ target: as, targetName, jobs, but: analyzed }, run)
      if (as !== target && refused.length > 0) {
        const only = new Set(refused.map(({ table }) => table))
        refused = (await analyzeDatabase({ target, targetName, jobs, only }, run)).refused
      }
      for (const { table, reason } of refused) {
        run.warn(`${source}: no planner statistics for ${table}: ${reason}`)
      }
    },
    source,
  )
}

async function verifyOne(
  destination: Destination,
  options: RestoreOptions,
  restored: Restored,
  sourceIsLive: boolean,
  run: Run,
): Promise<void> {
  if (run.inputs.verify === 'none') return skipPhase(run, 'verify')
  const { source, dumped, properties, archives, record } = destination
  const { target: connection, targetName: name, jobs } = options
  const { fingerprint } = dumped
  const { owners } = restored
  const { roleNames } = run
  const substitutes = owners
    ? owners.map(({ role, owner, reason }) => ({
        role: roleNames.onSource(role),
        instead: roleNames.onSource(owner),
        reason,
      }))
    : await readSubstitutes(connection, run, roleNames)
  await runPhase(
    run,
    'verify',
    () =>
      verifyDatabase(
        {
          ...{ connection, name, fingerprint, jobs, roleNames, ahead: restored.ahead },
          // a database that was restored before may be in use
          mayAlter: owners !== null,
          schema: { properties, archives: async () => archives },
          source:
            sourceIsLive && run.inputs.source
              ? { connection: run.inputs.source, database: source }
              : undefined,
          expected: [
            ...run.report.losses.filter(({ database }) => database === source),
            ...restored.expected,
            ...expectedLimit(properties),
          ],
          substitutes,
        },
        record,
        run,
      ),
    source,
  )
}
