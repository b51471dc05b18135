import { Failure, messageOf } from '../failure.ts'
import { assess } from '../migration/checks/assess.ts'
import { refuseBlockers } from '../migration/checks/note.ts'
import type { ReachedTarget, Source } from '../migration/checks/preflight.ts'
import { dumpDatabases, dumpTheRoles, sealEverything } from '../migration/dump/everything.ts'
import type { DumpSource } from '../migration/dump/programs.ts'
import { withSchemas } from '../migration/dump/schemas.ts'
import { openDumpSource } from '../migration/dump/source.ts'
import { SourceWatch, type Watched } from '../migration/freeze/watch-writes.ts'
import { goOnAfterMigrate } from '../migration/go-on.ts'
import { startUpload } from '../migration/kept/keep.ts'
import { refuseUnaccepted } from '../migration/losses.ts'
import { runPhase } from '../migration/phases.ts'
import { restoreDatabases, restoreTheRoles } from '../migration/restore/everything.ts'
import { planEverything } from '../migration/restore/plan-everything.ts'
import type { Run } from '../migration/run.ts'
import type { Command } from './command.ts'

/** Both halves in one job: everything of the source is dumped, kept, restored and compared. */
export const migrate: Command = {
  name: 'migrate',
  needs: ['source', 'target'],
  dump: 'written',
  words: { did: 'Migrated', noun: 'Migration', ends: 'compared' },
  steps,
}

async function steps(run: Run): Promise<void> {
  const { inputs } = run
  const { source, target } = await runPhase(run, 'preflight', async () => {
    const { source, target } = await assess(['source', 'target'], run)
    refuseBlockers(run)
    if (!source || !target) throw new TypeError('a side was not reached, and no check says so')
    refuseUnaccepted(source.losses, inputs.allowMissing, 'the source', run)
    return { source, target }
  })
  const watch = await SourceWatch.begin(source, run)
  const dumpSource = await openDumpSource(source, run, target)
  await watch.during('blocker', (watched) => transfer(source, dumpSource, target, watched, run))
}

/** Dumps, keeps and restores, while the source is watched. */
async function transfer(
  source: Source,
  dumpSource: DumpSource,
  target: ReachedTarget,
  watched: Watched,
  run: Run,
): Promise<void> {
  const { client } = dumpSource
  const { inputs } = run
  const began = Date.now()
  const roles = await dumpTheRoles(source, dumpSource, run)
  const common = { client, roles, losses: source.losses, proven: true }
  // what the target cannot take is told before the first row is dumped
  await runPhase(run, 'schema', () =>
    withSchemas(source, dumpSource, run, (schemas) =>
      planEverything({ ...common, ...schemas, isSchema: true }, target.connection, run),
    ),
  )
  const databases = await dumpDatabases(source, dumpSource, run, target)
  await watched.dumped()

  run.goOn = goOnAfterMigrate(run, inputs.ifTargetNotEmpty === 'swap')
  const failures: unknown[] = []
  const directory = run.dumpDirectory
  const planned = await unlessFailed(failures, () =>
    runPhase(run, 'schema', () =>
      planEverything({ ...common, databases, directory, isSchema: false }, target.connection, run),
    ),
  )
  if (planned) run.goOn = goOnAfterMigrate(run, planned.swaps.size > 0)
  await unlessFailed(failures, async () => planned && restoreTheRoles(planned, run))
  // the roles as they were sent belong to the dump, so it is sealed when they are there, or have failed
  const sent = planned?.roles?.script
  const upload = await evenIfFailed(failures, run, async () => {
    const manifest = await sealEverything({ client, databases, roles }, source, run, sent)
    await watched.sealed(manifest)
    return startUpload(manifest, run)
  })
  await unlessFailed(failures, async () => {
    if (!planned) return
    await restoreDatabases(planned, began, run)
    const { connection } = target
    await watched.arrived(
      run.report.databases.map(({ name, target }) => ({ source: name, target, connection })),
    )
  })
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
  const { message, why, sqlstate, cause } = failure
  const remedy = failure.remedy.replaceAll(run.goOn.hoped, way)
  const begun = databases.some(({ restore, tables }) => restore && tables.length === 0)
  const more = begun && !remedy.includes(way) ? `${remedy}. Then ${way}` : remedy
  return new Failure(message, why, more, { cause, sqlstate })
}
