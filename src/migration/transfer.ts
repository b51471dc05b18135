import { Failure, messageOf } from '../failure.ts'
import type { ReachedTarget, Source } from './checks/preflight.ts'
import { dumpDatabases, dumpTheRoles, sealEverything } from './dump/everything.ts'
import type { DumpSource } from './dump/programs.ts'
import type { DumpSink } from './dump/sink.ts'
import type { Watched } from './freeze/watch-writes.ts'
import { goOnAfterMigrate } from './go-on.ts'
import { type DumpKeeper, keepingDump } from './kept/keep.ts'
import { type Decided, decidedFor } from './look-ahead.ts'
import { EarlyRestore } from './overlap/early-restore.ts'
import { runPhase } from './phases.ts'
import { restoreDatabases, restoreTheRoles } from './restore/everything.ts'
import { planEverything } from './restore/plan-everything.ts'
import type { Run } from './run.ts'

/**
 * Dumps, keeps and restores everything, and compares it, while the source is watched.
 *
 * @param looked what lookAhead() has decided
 * @throws the first failure, with how it goes on; Cancelled
 */
export async function transfer(
  source: Source,
  dumpSource: DumpSource,
  target: ReachedTarget,
  watched: Watched,
  run: Run,
  looked?: Decided,
): Promise<void> {
  await keepingDump(source.databases, run, (keeper) =>
    transferKept(source, dumpSource, target, watched, keeper, run, looked),
  )
}

async function transferKept(
  source: Source,
  dumpSource: DumpSource,
  target: ReachedTarget,
  watched: Watched,
  keeper: DumpKeeper,
  run: Run,
  looked: Decided | undefined,
): Promise<void> {
  const { client } = dumpSource
  const { inputs } = run
  const began = performance.now()
  const { progress } = keeper
  const roles = await dumpTheRoles(source, dumpSource, run)
  const decided = await decidedFor(looked, roles, source, dumpSource, target, run)
  const { known, ahead, whyAfter } = decided
  if (whyAfter !== undefined)
    run.log.info(`The restore begins when the dump is complete: ${whyAfter}`)
  // where nothing is restored early, the plan is made anew when the dump is complete
  const early = whyAfter === undefined ? new EarlyRestore(known, ahead, run, progress) : undefined
  const dump = async (dumping: Run, restoring?: DumpSink) => {
    const sink = keeper.sink(restoring)
    const databases = await dumpDatabases(source, dumpSource, dumping, target, sink)
    await watched.dumped()
    return databases
  }
  const databases = await (early ? early.beside(dump) : dump({ ...run, progress }))

  run.goOn = goOnAfterMigrate(run, inputs.ifTargetNotEmpty === 'swap')
  const failures: unknown[] = []
  const directory = run.dumpDirectory
  const begun = await unlessFailed(failures, async () => early?.roles())
  const planned =
    begun ??
    (await unlessFailed(failures, () =>
      runPhase(run, 'schema', () =>
        planEverything({ ...known, databases, directory, isSchema: false }, target.connection, run),
      ),
    ))
  if (planned) run.goOn = goOnAfterMigrate(run, planned.swaps.size > 0)
  await unlessFailed(failures, async () => planned && !begun && restoreTheRoles(planned, run))
  // the roles as they were sent belong to the dump, so it is sealed when they are there, or have failed
  const sent = planned?.roles?.script
  const upload = await evenIfFailed(failures, run, async () => {
    const manifest = await sealEverything({ client, databases, roles }, source, run, sent)
    await watched.sealed(manifest)
    return keeper.start(manifest)
  })
  await unlessFailed(failures, async () => {
    if (!planned) return
    if (early && begun) await early.finish(begun, databases, began)
    else await restoreDatabases(planned, began, run)
    const { connection } = target
    await watched.arrived(
      run.report.databases.map(({ name, target }) => ({ source: name, target, connection })),
    )
  })
  await early?.giveUp(upload !== undefined)
  await upload?.done
  if (failures.length > 0) throw goingOn(failures[0], run)
  upload?.check()
}

/** A step that is not taken when one before it has failed. What it throws is kept. */
async function unlessFailed<T>(
  failures: unknown[],
  step: () => Promise<T>,
): Promise<T | undefined> {
  if (failures.length > 0) return undefined
  try {
    return await step()
  } catch (error) {
    failures.push(error)
    return undefined
  }
}

/** Seals and keeps the dump, whatever has failed: the first failure is the one to report. */
async function evenIfFailed<T>(
  failures: unknown[],
  run: Run,
  step: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await step()
  } catch (error) {
    if (failures.length > 0 && !run.signal.aborted)
      run.warn(`The dump could not be sealed: ${messageOf(error)}`)
    failures.push(error)
    return undefined
  }
}

/**
 * The failure of a restore with how it goes on: by now it is known whether the dump is kept as an artifact. A comparison that
 * found differences has its own next step.
 */
function goingOn(failure: unknown, run: Run): unknown {
  const { databases } = run.report
  if (!(failure instanceof Failure) || run.goOn === undefined) return failure
  const way = run.goOn.now()
  const remedy = failure.remedy.replaceAll(run.goOn.hoped, way)
  const begun = databases.some(({ restore, tables }) => restore && tables.length === 0)
  const more = begun && !remedy.includes(way) ? `${remedy}. Then ${way}` : remedy
  return failure.withRemedy(more)
}
