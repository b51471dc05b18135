import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import type { Estimate } from '../../report/model.ts'
import { estimateAnswers, estimateChecks, leavesOut } from '../estimate/answers.ts'
import { estimateMigration } from '../estimate/estimate.ts'
import { freeSpace, nearestExisting } from '../free-space.ts'
import { runPhase } from '../phases.ts'
import type { Run } from '../run.ts'
import type { Assessed } from './assess.ts'
import { note } from './note.ts'
import type { Ahead } from './plan-ahead.ts'

/**
 * Estimates the migration and says what that means for the job, the disk and the artifacts. What could not be estimated is
 * skipped, and never stands in the way.
 *
 * @returns the estimate, which is in the report; undefined where there is no source, or none could be made
 * @throws Cancelled
 */
export async function estimateAhead(
  { source, target }: Assessed,
  known: Ahead,
  run: Run,
): Promise<Estimate | undefined> {
  if (!source) return undefined
  return await runPhase(run, 'preflight', async () => {
    const { inputs, environment, dumpDirectory: directory } = run
    try {
      const estimate = await estimateMigration(source, target, run, known)
      const { uploadDump, retentionDays } = inputs
      // on a disk of one's own nobody counts them
      const upload = uploadDump && run.artifacts.keptIn === undefined
      const place = {
        ...{ directory, upload, retentionDays, runner: environment.RUNNER_ENVIRONMENT },
        partial: leavesOut(inputs.dumpOptions),
      }
      const free = await freeSpace(await nearestExisting(directory))
      for (const result of estimateChecks(estimate, { ...place, free })) note(run, result)
      return estimate
    } catch (error) {
      if (run.signal.aborted || error instanceof Cancelled) throw error
      // whatever is wrong with an estimate, the migration is not
      if (!(error instanceof Failure || sqlstateOf(error)))
        run.log.debug(String((error as Error)?.stack))
      const message = `nothing could be estimated: ${messageOf(error)}`
      for (const check of estimateAnswers)
        note(run, { ...check, status: 'skipped', message, objects: [], remedy: '' })
      return undefined
    }
  })
}
