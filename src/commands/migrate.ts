import { assess } from '../migration/checks/assess.ts'
import { refuseBlockers } from '../migration/checks/note.ts'
import { openDumpSource } from '../migration/dump/source.ts'
import { SourceWatch } from '../migration/freeze/watch-writes.ts'
import { rememberOutage, statedWindow } from '../migration/history/window.ts'
import { lookAhead } from '../migration/look-ahead.ts'
import { refuseUnaccepted } from '../migration/losses.ts'
import { runPhase } from '../migration/phases.ts'
import { warnOfOthers, whileMigrating } from '../migration/rehearsal/presence.ts'
import type { Run } from '../migration/run.ts'
import { transfer } from '../migration/transfer.ts'
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
  // nobody has to wait for roles, so they say nothing of an outage
  const window =
    inputs.roles === 'only'
      ? undefined
      : await statedWindow(source, target, run, { orEstimate: false })
  const watch = await SourceWatch.begin(source, run)
  const dumpSource = await openDumpSource(source, run, target)
  if (inputs.roles !== 'only') await warnOfOthers(target, run)
  await whileMigrating(target.connection, run, async () => {
    // one that is frozen already is in nobody's use, and a failure decides how it is left
    const ahead = watch.takesOver ? undefined : await lookAhead(source, dumpSource, target, run)
    await watch.during('blocker', (watched) =>
      transfer(source, dumpSource, target, watched, run, ahead),
    )
  })
  if (window) rememberOutage(window, run)
}
