import { required } from '../migration/inputs.ts'
import { startUpload, type Upload } from '../migration/keep-dump.ts'
import { runPhase } from '../migration/phases.ts'
import { checkTogether, inspectSource, inspectTarget } from '../migration/preflight.ts'
import type { Session } from '../migration/session.ts'
import { dumpEverything, sealEverything } from '../migration/source-side.ts'
import { watchWrites } from '../migration/source-writes.ts'
import { restoreEverything } from '../migration/target-side.ts'

/** Both halves in one job: everything of the source is dumped, kept, restored and compared. */
export async function migrate(session: Session): Promise<void> {
  const { inputs } = session
  const connection = required(inputs, 'target')
  const { source, target } = await runPhase(session, 'preflight', async () => {
    const target = await inspectTarget(connection, inputs, session)
    const source = await inspectSource(required(inputs, 'source'), inputs.databases, session)
    await checkTogether(source, target, session.dumpDirectory, session)
    return { source, target }
  })
  session.setOutput('source-version', source.version.version)
  session.setOutput('target-version', target.version)
  const reportWrites = await watchWrites(source, session)
  const dump = await dumpEverything(source, session, target)
  let upload: Upload | undefined
  // the role script of the target belongs to the dump, so the dump is sealed when the roles are there, or have failed
  const keep = async () => {
    upload ??= startUpload(await sealEverything(dump, source, session), session)
  }
  try {
    await restoreEverything(
      { ...dump, directory: session.dumpDirectory },
      connection,
      session,
      keep,
    )
  } finally {
    await keep()
    await upload?.done
  }
  await reportWrites()
  upload?.check()
}
