import { checkTogether, inspectSource } from '../migration/checks/preflight.ts'
import { checkReadable } from '../migration/checks/source-readable.ts'
import { checkTexts } from '../migration/checks/source-texts.ts'
import {
  dumpDatabases,
  dumpTheRoles,
  openDumpSource,
  sealEverything,
} from '../migration/dump/everything.ts'
import { watchWrites } from '../migration/freeze/watch-writes.ts'
import { required } from '../migration/inputs.ts'
import { startUpload } from '../migration/kept/keep.ts'
import { tellLosses } from '../migration/losses.ts'
import { runPhase } from '../migration/phases.ts'
import type { Session } from '../migration/run.ts'
import type { Command } from './command.ts'

/** The source's half: roles, databases and the fingerprint of both, into the dump directory and the artifact. */
export const dump: Command = {
  name: 'dump',
  needs: ['source'],
  dump: 'result',
  words: { did: 'Dumped', noun: 'Dump', ends: 'done' },
  run,
}

async function run(session: Session): Promise<void> {
  const source = await runPhase(session, 'preflight', async () => {
    const source = await inspectSource(
      required(session.inputs, 'source'),
      session.inputs.databases,
      session,
    )
    await checkReadable(source, session.inputs, session)
    await checkTexts(source, session.inputs, session)
    await checkTogether(source, undefined, session.dumpDirectory, session)
    tellLosses(source.losses, session)
    return source
  })
  session.setOutput('source-version', source.version.version)
  const reportWrites = await watchWrites(source, session)
  const dumpSource = await openDumpSource(source, session)
  const roles = await dumpTheRoles(source, dumpSource, session)
  const databases = await dumpDatabases(source, dumpSource, session)
  const dumped = { client: dumpSource.client, databases, roles }
  const upload = startUpload(await sealEverything(dumped, source, session), session)
  await upload.done
  await reportWrites()
  upload.check()
}
