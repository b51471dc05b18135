import { required } from '../migration/inputs.ts'
import { startUpload } from '../migration/keep-dump.ts'
import { tellLosses } from '../migration/losses.ts'
import { runPhase } from '../migration/phases.ts'
import { checkTogether, inspectSource } from '../migration/preflight.ts'
import type { Session } from '../migration/session.ts'
import { checkReadable } from '../migration/source-readable.ts'
import { dumpEverything, sealEverything } from '../migration/source-side.ts'
import { watchWrites } from '../migration/source-writes.ts'

/** The source's half: roles, databases and the fingerprint of both, into the dump directory and the artifact. */
export async function dump(session: Session): Promise<void> {
  const source = await runPhase(session, 'preflight', async () => {
    const source = await inspectSource(
      required(session.inputs, 'source'),
      session.inputs.databases,
      session,
    )
    await checkReadable(source, session.inputs, session)
    await checkTogether(source, undefined, session.dumpDirectory, session)
    tellLosses(source.losses, session)
    return source
  })
  session.setOutput('source-version', source.version.version)
  const reportWrites = await watchWrites(source, session)
  const dumped = await dumpEverything(source, session)
  const upload = startUpload(await sealEverything(dumped, source, session), session)
  await upload.done
  await reportWrites()
  upload.check()
}
