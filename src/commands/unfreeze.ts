import { checkTarget, findFrozen, unfreeze as thaw } from '../migration/freeze/unfreeze.ts'
import { required } from '../migration/inputs.ts'
import { runPhase } from '../migration/phases.ts'
import type { Run } from '../migration/run.ts'
import type { FreezeResult } from '../report/model.ts'
import type { Command } from './command.ts'

/** The way back after a frozen migration, and what is left to do after a run that was killed while it froze. */
export const unfreeze: Command = {
  name: 'unfreeze',
  needs: ['source'],
  dump: 'none',
  words: { did: 'Unfroze', noun: 'Unfreeze', ends: 'done' },
  steps,
}

async function steps(run: Run): Promise<void> {
  const { inputs, record } = run
  const source = required(inputs, 'source')
  const frozen = await runPhase(run, 'preflight', async () => {
    const found = await findFrozen(source, inputs.databases, run)
    await checkTarget(found, inputs.target, inputs.confirmUnfreeze, run)
    return found
  })
  const databases = frozen.map(({ database }) => database)
  const at = frozen.map((one) => one.frozen.at).sort()[0] ?? null
  const found: FreezeResult = {
    frozen: frozen.length > 0,
    since: at,
    databases,
    ended: 0,
    spared: [],
    written: 'unknown',
    next:
      frozen.length > 0
        ? 'The source is still frozen: run command: unfreeze again'
        : 'None of these databases is frozen by this action: there was nothing to undo',
  }
  record.freeze(found)
  if (frozen.length === 0) {
    run.log.info(found.next)
    return
  }
  for (const database of databases) {
    record.database({ source: database, target: database, bytes: 0 })
  }
  await runPhase(run, 'unfreeze', () => thaw(source, frozen, run))
  const next = 'The source takes writes again, with the settings that it had'
  record.freeze({ ...found, frozen: false, next })
}
