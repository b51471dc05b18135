import { assess } from '../migration/checks/assess.ts'
import { refuseBlockers } from '../migration/checks/note.ts'
import { dumpDatabases, dumpTheRoles, sealEverything } from '../migration/dump/everything.ts'
import { openDumpSource } from '../migration/dump/source.ts'
import { SourceWatch } from '../migration/freeze/watch-writes.ts'
import { goOnAfterDump } from '../migration/go-on.ts'
import { keepingDump } from '../migration/kept/keep.ts'
import { tellLosses } from '../migration/losses.ts'
import { runPhase } from '../migration/phases.ts'
import type { Run } from '../migration/run.ts'
import type { Command } from './command.ts'

/** The source's half: roles, databases and the fingerprint of both, into the dump directory and the artifact. */
export const dump: Command = {
  name: 'dump',
  needs: ['source'],
  dump: 'result',
  words: { did: 'Dumped', noun: 'Dump', ends: 'done' },
  steps,
}

async function steps(run: Run): Promise<void> {
  const source = await runPhase(run, 'preflight', async () => {
    const { source } = await assess(['source'], run)
    refuseBlockers(run)
    if (!source) throw new TypeError('the source was not reached, and no check says so')
    tellLosses(source.losses, run)
    return source
  })
  const watch = await SourceWatch.begin(source, run)
  const dumpSource = await openDumpSource(source, run)
  await watch.during('warning', (watched) =>
    keepingDump(source.databases, run, async (keeper) => {
      const roles = await dumpTheRoles(source, dumpSource, run)
      const dumping = { ...run, progress: keeper.progress }
      const sink = keeper.sink()
      const databases = await dumpDatabases(source, dumpSource, dumping, undefined, sink)
      await watched.dumped()
      const dumped = { client: dumpSource.client, databases, roles }
      const manifest = await sealEverything(dumped, source, run)
      run.goOn = goOnAfterDump(run)
      await watched.sealed(manifest)
      const upload = keeper.start(manifest)
      await upload.done
      upload.check()
    }),
  )
}
