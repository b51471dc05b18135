import type { CheckResult, Estimate, Severity } from '../../report/model.ts'
import { counted, formatBytes, formatDuration, formatRange } from '../../text/numbers.ts'
import { defaultLimits, mostParts } from '../kept/upload-limits.ts'

/** Where the migration will run, and what it may use. */
export interface Place {
  /** Bytes that are free for the dump, and where. */
  free: number
  directory: string
  /** `RUNNER_ENVIRONMENT`: `github-hosted` or `self-hosted`; undefined outside of a runner. */
  runner: string | undefined
  /** The dump is kept as an artifact, for so many days where the inputs say so. */
  upload: boolean
  retentionDays: number | undefined
  /** The dump holds less than the databases that were estimated; see leavesOut(). */
  partial: boolean
}

/**
 * Whether options of pg_dump leave tables or rows out, so that the dump may be much smaller than the databases (PostgreSQL,
 * "pg_dump").
 */
export function leavesOut(dumpOptions: readonly string[]): boolean {
  return dumpOptions.some((option) =>
    /^(-[tTnNes]|--(table|schema|exclude-|extension|filter|section|no-data|no-large-objects|no-blobs|statistics-only))/.test(
      option,
    ),
  )
}

/** Seconds after which a job is cancelled that says nothing else, on a runner of GitHub's in any case (GitHub, "Workflow syntax": timeout-minutes). */
const jobLimit = 360 * 60

/** The checks that an estimate answers. */
export const estimateAnswers = [
  {
    id: 'estimate-time',
    severity: 'warning',
    why: 'a job that outlives its time is cancelled in the middle of the migration',
    needs: ['source'],
  },
  {
    id: 'estimate-disk',
    severity: 'warning',
    why: "the dump is written to the runner's disk before it is restored, and a sample says how large it will be",
    needs: ['source'],
  },
  {
    id: 'estimate-artifacts',
    severity: 'warning',
    why: 'a job may have 500 artifacts, each is uploaded within an hour, and they are kept for so many days',
    needs: ['source'],
  },
] as const

/** What the estimate means for the job, the disk and the artifacts: a check each. */
export function estimateChecks(estimate: Estimate, place: Place): CheckResult[] {
  return [timeCheck(estimate, place), diskCheck(estimate, place), artifactCheck(estimate, place)]
}

function timeCheck({ seconds, phases }: Estimate, { runner }: Place): CheckResult {
  const parts = phases.map((one) => `${one.name} ${formatRange(one.seconds, formatDuration)}`)
  const message = `the migration will take ${formatRange(seconds, formatDuration)} (${parts.join(', ')})`
  // outside of GitHub nothing ends it
  if (seconds.high <= jobLimit || runner === undefined)
    return result('estimate-time', 'warning', message)
  const hosted = runner === 'github-hosted'
  return result(
    'estimate-time',
    // whoever runs the machine may have given the job more time, which the runner does not tell
    hosted && seconds.low > jobLimit ? 'blocker' : 'warning',
    `${message}; a job ends after ${formatDuration(jobLimit)}${hosted ? '' : ' unless timeout-minutes says otherwise'}`,
    hosted
      ? 'Migrate the databases in jobs of their own (a matrix over the output databases-json), or on a runner of your own, where timeout-minutes may be more than 360 (docs/runner.md)'
      : `Set timeout-minutes: ${Math.ceil(seconds.high / 60)} or more in the job, or migrate the databases in jobs of their own (a matrix over the output databases-json)`,
  )
}

function diskCheck({ dumpBytes }: Estimate, { free, directory, partial }: Place): CheckResult {
  const message = `the dump will hold ${formatRange(dumpBytes, formatBytes)}, and ${formatBytes(free)} are free in ${directory}`
  if (dumpBytes.high <= free) return result('estimate-disk', 'warning', message)
  return result(
    'estimate-disk',
    dumpBytes.low > free && !partial ? 'blocker' : 'warning',
    partial ? `${message}; without what dump-options leave out it holds less` : message,
    'Set dump-directory to a larger disk, or use a runner with a larger one (disk-gib of runner/start)',
  )
}

function artifactCheck(
  { dumpBytes, artifacts }: Estimate,
  { upload, retentionDays }: Place,
): CheckResult {
  const id = 'estimate-artifacts'
  if (!upload) return result(id, 'warning', 'the dump is not uploaded (upload-dump: false)')
  const days =
    retentionDays === undefined
      ? "as long as the repository's setting says"
      : counted(retentionDays, 'day')
  const message = `the dump will need up to ${counted(artifacts, 'artifact')} of the 500 that a job may have, ${formatRange(dumpBytes, formatBytes)} kept ${days}`
  if (dumpBytes.high <= mostParts * defaultLimits.bytes) return result(id, 'warning', message)
  return result(
    id,
    'warning',
    `${message}; each of them is larger than ${formatBytes(defaultLimits.bytes)}, and must be uploaded within an hour`,
    'Migrate the databases in jobs of their own, or set upload-dump: false and keep the dump elsewhere by a step of your own (dump-directory and keep-dump: true)',
  )
}

/** Failed where there is something to be done about it. */
function result(
  id: (typeof estimateAnswers)[number]['id'],
  severity: Severity,
  message: string,
  remedy = '',
): CheckResult {
  const why = estimateAnswers.find((check) => check.id === id)?.why ?? ''
  const status = remedy === '' ? 'passed' : 'failed'
  return { id, severity, status, message, objects: [], remedy, why }
}
