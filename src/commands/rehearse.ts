import { Cancelled, Failure } from '../failure.ts'
import { assess } from '../migration/checks/assess.ts'
import { refuseBlockers } from '../migration/checks/note.ts'
import type { ReachedTarget, Source, SourceDatabase } from '../migration/checks/preflight.ts'
import { watchingAge } from '../migration/dump/age-watch.ts'
import { openDumpSource } from '../migration/dump/source.ts'
import { forecastOutage, statedWindow } from '../migration/history/window.ts'
import { lookAhead } from '../migration/look-ahead.ts'
import { refuseUnaccepted } from '../migration/losses.ts'
import { runPhase } from '../migration/phases.ts'
import { whyNotRun } from '../migration/rehearsal/not-run.ts'
import { Rehearsal } from '../migration/rehearsal/rehearsal.ts'
import type { Run } from '../migration/run.ts'
import { transfer } from '../migration/transfer.ts'
import type { Command } from './command.ts'

/** The whole migration into databases of its own on the target, verified and timed, then removed with everything it made. */
export const rehearse: Command = {
  name: 'rehearse',
  needs: ['source', 'target'],
  dump: 'written',
  words: { did: 'Rehearsed', noun: 'Rehearsal', ends: 'compared' },
  steps,
}

async function steps(run: Run): Promise<void> {
  const rehearsal = new Rehearsal(run)
  const sides = await runPhase(run, 'preflight', () => beforehand(rehearsal, run))
  if (!sides) return
  const window = await runPhase(run, 'preflight', () =>
    statedWindow(sides.source, sides.target, run, { orEstimate: true }),
  )
  let failure: unknown
  try {
    if (await rehearsal.begin(sides.source, sides.target)) {
      await rehearsal.during((own) => rehearseIn(sides, own))
      forecastOutage(window, run)
    }
  } catch (error) {
    failure = error ?? new Error('the rehearsal failed without a word')
  }
  try {
    await rehearsal.end(!(failure instanceof Cancelled || run.signal.aborted))
  } catch (error) {
    if (failure === undefined) throw error
    // what came first is what is to be mended; and this is to be known, too
    if (error instanceof Failure) run.warn(error.line)
  }
  if (failure !== undefined) throw failure
}

interface Sides {
  source: Source
  target: ReachedTarget
}

/** @returns undefined where there is a reason not to rehearse now, which the report has */
async function beforehand(rehearsal: Rehearsal, run: Run): Promise<Sides | undefined> {
  let wanted: readonly SourceDatabase[] = []
  const { source, target } = await assess(['source', 'target'], run, (databases) => {
    wanted = databases
    return rehearsal.rename(databases)
  })
  const reason =
    source && target
      ? await whyNotRun({ ...source, databases: [...wanted] }, target, run)
      : undefined
  if (reason !== undefined) {
    rehearsal.notRun(reason)
    return undefined
  }
  refuseBlockers(run)
  if (!source || !target) throw new TypeError('a side was not reached, and no check says so')
  refuseUnaccepted(source.losses, run.inputs.allowMissing, 'the source', run)
  return { source, target }
}

async function rehearseIn({ source, target }: Sides, run: Run): Promise<void> {
  const dumpSource = await openDumpSource(source, run, target)
  await watchingAge(source, run, async (watched, dumped) => {
    // nobody writes to a copy of one moment, and the source may be written to as it likes
    const unwatched = { dumped, sealed: async () => {}, arrived: async () => {} }
    const ahead = await lookAhead(source, dumpSource, target, watched)
    await transfer(source, dumpSource, target, unwatched, watched, ahead)
  })
}
