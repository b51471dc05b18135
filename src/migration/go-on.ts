import type { Context } from './context.ts'
import type { Run } from './run.ts'

/** How a restore that did not end well goes on, as the end of a remedy's sentence. */
export function goOn(context: Pick<Context, 'goOn'>): string {
  return context.goOn ?? 'run again with if-target-not-empty: resume'
}

/**
 * How a migration goes on whose restore failed. To run it again would make another dump, which cannot go on with what the
 * first one began: it takes `restore` with the dump that is kept.
 *
 * @param uploaded false when the dump could not be kept as an artifact
 */
export function goOnAfterMigrate(run: Run, uploaded: boolean): string {
  const { inputs, environment } = run
  const more = inputs.passphrase === undefined ? '' : ', the same passphrase'
  const runId = environment.GITHUB_RUN_ID
  if (inputs.uploadDump && uploaded && runId) {
    return `go on with the dump that is kept: command: restore, run-id: ${runId}, artifact-name: ${inputs.artifactName}, github-token${more} and if-target-not-empty: resume`
  }
  if (inputs.keepDump) {
    return `go on with the dump that is kept: command: restore, dump-directory: ${run.dumpDirectory}${more} and if-target-not-empty: resume`
  }
  return 'the dump is not kept, so another migration begins anew, with if-target-not-empty: replace; with upload-dump or keep-dump it could be gone on with'
}
