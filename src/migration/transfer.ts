import { Failure, messageOf } from '../failure.ts'
import type { ReachedTarget, Source } from './checks/preflight.ts'
import type { Progress } from './context.ts'
import { dumpDatabases, dumpTheRoles, sealEverything } from './dump/everything.ts'
import type { DumpSource } from './dump/programs.ts'
import { withSchemas } from './dump/schemas.ts'
import type { DumpSink } from './dump/sink.ts'
import type { Watched } from './freeze/watch-writes.ts'
import { goOnAfterMigrate } from './go-on.ts'
import { type DumpKeeper, keepingDump } from './kept/keep.ts'
import { EarlyRestore } from './overlap/early-restore.ts'
import { whyAfterDump } from './overlap/whether.ts'
import { runPhase } from './phases.ts'
import { restoreDatabases, restoreTheRoles } from './restore/everything.ts'
import { planEverything } from './restore/plan-everything.ts'
import type { Run } from './run.ts'

/**
 * Dumps, keeps and restores everything, and compares it, while the source is watched.
 *
 * @throws the first failure, with how it goes on; Cancelled
 */
export async function transfer(
  source: Source,
  dumpSource: DumpSource,
  target: ReachedTarget,
  watched: Watched,
  run: Run,
): Promise<void> {
  await keepingDump(source.databases, run, (keeper) =>
    transferKept(source, dumpSource, target, watched, keeper, run),
  )
}

async function transferKept(
  source: Source,
  dumpSource: DumpSource,
  target: ReachedTarget,
  watched: Watched,
  keeper: DumpKeeper,
  run: Run,
): Promise<void> {
  const { client } = dumpSource
  const { inputs } = run
  const began = performance.now()
  const { progress } = keeper
  const { roles, common, early } = await planAhead(source, dumpSource, target, progress, run)
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
        planEverything(
          { ...common, databases, directory, isSchema: false },
          target.connection,
          run,
        ),
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

/**
 * Dumps the roles, and tells what the target cannot take before the first row is dumped.
 *
 * @returns `common`: what is known of the dump before it is made; `early`: what restores while it is made. Where nothing does, the
 * plan is made anew when the dump is complete, and nobody keeps this one meanwhile
 */
async function planAhead(
  source: Source,
  dumpSource: DumpSource,
  target: ReachedTarget,
  progress: Progress,
  run: Run,
) {
  const { client } = dumpSource
  const { roles, common, ahead } = await withSchemas(source, dumpSource, run, async (dumping) => {
    const roles = await dumpTheRoles(source, dumpSource, run)
    const common = { client, roles, losses: source.losses, proven: true }
    const ahead = await runPhase(run, 'schema', async () => {
      const schemas = { ...(await dumping), isSchema: true }
      return await planEverything({ ...common, ...schemas }, target.connection, run)
    })
    return { roles, common, ahead }
  })
  const why = await whyAfterDump(ahead, run)
  if (why !== undefined) run.log.info(`The restore begins when the dump is complete: ${why}`)
  const early = why === undefined ? new EarlyRestore(common, ahead, run, progress) : undefined
  return { roles, common, early }
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
