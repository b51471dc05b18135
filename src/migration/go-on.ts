import type { Report } from '../report/model.ts'
import type { Context, WayOn } from './context.ts'
import { artifactName } from './kept/artifact-name.ts'
import type { Run } from './run.ts'

/** How a restore that did not end well goes on, as the end of a remedy's sentence. */
export function goOn(context: Pick<Context, 'goOn'>): string {
  return context.goOn?.hoped ?? 'run again with if-target-not-empty: resume'
}

/**
 * How a restore goes on: with the same dump.
 *
 * @param swaps databases are built beside those whose names they are to have, where only another swap finds them
 */
export function goOnAfterRestore({ report }: Pick<Run, 'report'>, swaps: boolean): WayOn {
  const hoped = `run again with ${met(swaps ? 'swap' : 'resume')}`
  return { hoped, now: () => (hasBegun(report) ? hoped : 'run again') }
}

/**
 * How a migration goes on. To run it again would make another dump, which cannot go on with what the first one began: it takes
 * `restore` with the dump that is kept.
 *
 * @param swaps as for goOnAfterRestore()
 */
export function goOnAfterMigrate(run: Run, swaps: boolean): WayOn {
  const { inputs, report, rehearsal } = run
  // nothing of it is there to go on with
  if (rehearsal !== undefined) return { hoped: rehearseAgain, now: () => rehearseAgain }
  const begun = swaps ? 'swap' : 'resume'
  const way = (place: string | undefined, mode: Mode) =>
    place === undefined
      ? anew(mode)
      : `go on with the dump that is kept: command: restore, ${place}${mode === 'fail' ? '' : ` and ${met(mode)}`}`
  return {
    hoped: way(placeOf(run, inputs.uploadDump, inputs.keepDump), begun),
    // what nothing was restored into is met as it was to be met
    now: () => way(keptPlace(run), hasBegun(report) ? begun : inputs.ifTargetNotEmpty),
  }
}

const rehearseAgain = 'run the rehearsal again'

/** How a dump goes on that is sealed: it is restored where it is kept, and made again where it is not. */
export function goOnAfterDump(run: Run): WayOn {
  const now = () => {
    const place = keptPlace(run)
    return place === undefined
      ? 'run again'
      : `the dump is whole and kept, and can be restored: command: restore, ${place}`
  }
  return { hoped: 'run again', now }
}

type Mode = Run['inputs']['ifTargetNotEmpty']

function met(mode: Mode): string {
  return `if-target-not-empty: ${mode}`
}

/** Another dump goes on with nothing: what this run has restored is in its way, unless it was built beside. */
function anew(mode: Mode): string {
  const how = mode === 'fail' ? '' : `, with ${met(mode === 'resume' ? 'replace' : mode)}`
  return `the dump is not kept, so another migration begins anew${how}; with upload-dump or keep-dump (on a command line: dump-directory) it could be gone on with`
}

/** The inputs by which the sealed dump of a run is found; undefined where it is not kept. */
function keptPlace(run: Run): string | undefined {
  const { inputs, report } = run
  return placeOf(run, report.artifact !== undefined, inputs.keepDump && report.dump !== undefined)
}

function placeOf(run: Run, isUploaded: boolean, isOnDisk: boolean): string | undefined {
  const { inputs, environment, dumpDirectory, artifacts } = run
  const more = inputs.passphrase === undefined ? '' : ', the same passphrase'
  const runId = environment.GITHUB_RUN_ID
  if (isUploaded && artifacts.keptIn !== undefined)
    return `dump-directory: ${artifacts.keptIn}${more}`
  if (isUploaded && runId)
    return `run-id: ${runId}, artifact-name: ${artifactName(inputs)}, github-token${more}`
  return isOnDisk ? `dump-directory: ${dumpDirectory}${more}` : undefined
}

function hasBegun({ databases }: Report): boolean {
  return databases.some(({ restore }) => restore !== undefined)
}
