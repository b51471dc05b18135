import { Failure, messageOf } from '../failure.ts'
import { checkDestination } from '../migration/checks/destination.ts'
import { checkTogether, inspectSource, inspectTarget } from '../migration/checks/preflight.ts'
import { refuseSameServer } from '../migration/checks/same-server.ts'
import { checkReadable } from '../migration/checks/source-readable.ts'
import { dumpEverything, sealEverything } from '../migration/dump/everything.ts'
import { watchWrites } from '../migration/freeze/watch-writes.ts'
import { goOnAfterMigrate } from '../migration/go-on.ts'
import { required } from '../migration/inputs.ts'
import { startUpload, type Upload } from '../migration/kept/keep.ts'
import { refuseUnaccepted } from '../migration/losses.ts'
import { runPhase } from '../migration/phases.ts'
import { restoreEverything } from '../migration/restore/everything.ts'
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
    await checkTogether(source, target, session.dumpDirectory, session)
    refuseUnaccepted(source.losses, inputs.allowMissing, 'the source', session)
    return { source, target }
  })
  session.setOutput('source-version', source.version.version)
  session.setOutput('target-version', target.version)
  const { connection } = target
  const reportWrites = await watchWrites(source, session)
  const dump = await dumpEverything(source, session, target)
  let upload: Upload | undefined
  let sealed: Promise<void> | undefined
  // the role script of the target belongs to the dump, so the dump is sealed when the roles are there, or have failed
  const keep = () => {
    sealed ??= (async () => {
      upload = startUpload(await sealEverything(dump, source, session), session)
    })()
    return sealed
  }
  let failure: unknown
  session.goOn = goOnAfterMigrate(session, true)
  try {
    await restoreEverything(
      { ...dump, losses: source.losses, directory: session.dumpDirectory, proven: true },
      connection,
      session,
      keep,
    )
  } catch (error) {
    failure = error
  }
  try {
    await keep()
    await upload?.done
  } catch (error) {
    // the restore's own failure is the one to report
    if (failure === undefined) failure = error
    else if (failure !== error && !session.signal.aborted) {
      session.warn(`The dump could not be sealed: ${messageOf(error)}`)
    }
  }
  if (!session.signal.aborted) await reportWrites()
  if (failure !== undefined) {
    throw goingOn(failure, session)
  }
  upload?.check()
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
