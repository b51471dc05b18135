import { Failure } from '../failure.ts'
import { brokenPhase } from '../report/findings.ts'
import { isReady, type Report } from '../report/model.ts'

/** How a process ends whose inputs are wrong. */
export const wrongInputs = 2
/** As a shell has it after Ctrl-C: 128 and the number of SIGINT. */
export const cancelled = 130

/**
 * The status with which the process ends, for scripts: 0 done, and verified as asked; 1 failed; 3 differences were found, and
 * nothing else went wrong; 4 a check stops the migration, and nothing was touched; 130 cancelled.
 *
 * @param failure what the run ended with
 */
export function exitCode(report: Report, failure: unknown): number {
  if (report.status === 'succeeded') return 0
  if (report.status === 'cancelled') return cancelled
  if (!isReady(report) && (brokenPhase(report)?.name ?? 'preflight') === 'preflight') return 4
  return failure instanceof Failure && failure.isDifference ? 3 : 1
}
