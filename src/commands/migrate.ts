import { Failure, messageOf } from '../failure.ts'
import { checkDestination } from '../migration/checks/destination.ts'
import { checkTogether, inspectSource, inspectTarget } from '../migration/checks/preflight.ts'
import { refuseSameServer } from '../migration/checks/same-server.ts'
import { checkReadable } from '../migration/checks/source-readable.ts'
import { checkTexts } from '../migration/checks/source-texts.ts'
import {
  dumpDatabases,
  dumpTheRoles,
  openDumpSource,
  sealEverything,
} from '../migration/dump/everything.ts'
import { withSchemas } from '../migration/dump/schemas.ts'
import { watchWrites } from '../migration/freeze/watch-writes.ts'
import { goOnAfterMigrate } from '../migration/go-on.ts'
import { required } from '../migration/inputs.ts'
import { startUpload } from '../migration/kept/keep.ts'
import { refuseUnaccepted } from '../migration/losses.ts'
import { runPhase } from '../migration/phases.ts'
import { restoreDatabases, restoreTheRoles } from '../migration/restore/everything.ts'
import { planEverything } from '../migration/restore/plan-everything.ts'
import type { Session } from '../migration/run.ts'
import type { Command } from './command.ts'

/** Both halves in one job: everything of the source is dumped, kept, restored and compared. */
export const migrate: Command = {
  name: 'migrate',
  needs: ['source', 'target'],
  dump: 'written',
  words: { did: 'Migrated', noun: 'Migration', ends: 'compared' },
  run,
}

async function run(session: Session): Promise<void> {
  const { inputs } = session
  const { source, target } = await runPhase(session, 'preflight', async () => {
    const named = required(inputs, 'target')
    const target = await inspectTarget(named, inputs, session)
    const source = await inspectSource(required(inputs, 'source'), inputs.databases, session)
    checkDestination(target.named ? named.dbname : undefined, source.databases)
    const { ifTargetNotEmpty, sameServer } = inputs
    await refuseSameServer(
      {
        source: source.connection,
        target: target.connection,
        databases: source.databases,
        writes: true,
        ifTargetNotEmpty,
        sameServer,
      },
      session,
    )
    await checkReadable(source, inputs, session)
    await checkTexts(source, inputs, session)
    await checkTogether(source, target, session.dumpDirectory, session)
    refuseUnaccepted(source.losses, inputs.allowMissing, 'the source', session)
    return { source, target }
  })
  session.setOutput('source-version', source.version.version)
  session.setOutput('target-version', target.version)
  const reportWrites = await watchWrites(source, session)
  const dumpSource = await openDumpSource(source, session, target)
  const { client } = dumpSource
  const began = Date.now()
  const roles = await dumpTheRoles(source, dumpSource, session)
  const common = { client, roles, losses: source.losses, proven: true }
  // what the target cannot take is told before the first row is dumped
  await runPhase(session, 'schema', () =>
    withSchemas(source, dumpSource, session, (schemas) =>
      planEverything({ ...common, ...schemas, isSchema: true }, target.connection, session),
    ),
  )
  const databases = await dumpDatabases(source, dumpSource, session, target)

  session.goOn = goOnAfterMigrate(session, true)
  const failures: unknown[] = []
  const directory = session.dumpDirectory
  const planned = await unlessFailed(failures, () =>
    runPhase(session, 'schema', () =>
      planEverything(
        { ...common, databases, directory, isSchema: false },
        target.connection,
        session,
      ),
    ),
  )
  await unlessFailed(failures, async () => planned && restoreTheRoles(planned, session))
  // the roles as they were sent belong to the dump, so it is sealed when they are there, or have failed
  const sent = planned?.roles?.script
  const upload = await evenIfFailed(failures, session, async () =>
    startUpload(await sealEverything({ client, databases, roles }, source, session, sent), session),
  )
  await unlessFailed(failures, async () => planned && restoreDatabases(planned, began, session))
  await upload?.done
  if (!session.signal.aborted) await reportWrites()
  if (failures.length > 0) throw goingOn(failures[0], session)
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
  session: Session,
  step: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await step()
  } catch (error) {
    if (failures.length > 0 && !session.signal.aborted)
      session.warn(`The dump could not be sealed: ${messageOf(error)}`)
    failures.push(error)
    return undefined
  }
}

/**
 * The failure of a restore with how it goes on: by now it is known whether the dump is kept as an artifact. A comparison that
 * found differences has its own next step.
 */
function goingOn(failure: unknown, session: Session): unknown {
  const { databases, artifact } = session.report
  if (!(failure instanceof Failure) || session.goOn === undefined) return failure
  const way = goOnAfterMigrate(session, artifact !== undefined)
  const { message, why, sqlstate, cause } = failure
  const remedy = failure.remedy.replaceAll(session.goOn, way)
  const begun = databases.some(({ restore, tables }) => restore && tables.length === 0)
  const more = begun && !remedy.includes(way) ? `${remedy}. Then ${way}` : remedy
  return new Failure(message, why, more, { cause, sqlstate })
}
