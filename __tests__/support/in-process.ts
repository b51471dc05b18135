import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { commands, runCommand, wordsOf } from '../../src/commands/index.ts'
import { noEarlierRuns } from '../../src/migration/history/earlier-runs.ts'
import { parseInputs } from '../../src/migration/inputs.ts'
import type { Run } from '../../src/migration/run.ts'
import { sameRoleNames } from '../../src/postgres/roles/role-names.ts'
import { newReport, type Report } from '../../src/report/model.ts'
import { ReportWriter } from '../../src/report/writer.ts'
import { expectPublished } from './report-schema.ts'

/** What a command did: its report, what it said, and what it threw. */
export interface CommandResult {
  report: Report
  lines: string[]
  error: unknown
}

/**
 * Runs one of the action's commands in this process, without the bundle and without GitHub: nothing is uploaded.
 *
 * @param inputs as in a workflow; `client-path` must name client programs
 * @param changes of the run
 * @param work what is run instead of the command
 */
export async function runInProcess(
  inputs: Record<string, string>,
  changes: Partial<Run> = {},
  work: (run: Run) => Promise<void> = runCommand,
): Promise<CommandResult> {
  const directory = await mkdtemp(join(tmpdir(), 'in-process-'))
  const lines: string[] = []
  const say = (line: string) => void lines.push(line)
  const parsed = parseInputs((name) => inputs[name] ?? '', commands)
  const record = new ReportWriter(newReport(parsed.command, wordsOf(parsed.command)))
  const { report } = record
  const parts = {
    temporaryDirectory: join(directory, 'temporary'),
    dumpDirectory: parsed.dumpDirectory ?? join(directory, 'dump'),
    reportDirectory: join(directory, 'report'),
  }
  for (const path of Object.values(parts)) await mkdir(path, { recursive: true, mode: 0o700 })
  const noArtifacts = () => Promise.reject(new Error('there is no artifact service here'))
  const run: Run = {
    ...parts,
    inputs: parsed,
    record,
    report,
    signal: new AbortController().signal,
    log: { debug: say, info: say, warning: say },
    progress: { update: say },
    processors: 2,
    artifacts: {
      upload: noArtifacts,
      remove: noArtifacts,
      settle: () => {},
      find: noArtifacts,
      download: noArtifacts,
      uploadReport: noArtifacts,
    },
    earlierRuns: noEarlierRuns(),
    canUpload: false,
    repository: undefined,
    isPublicRepository: async () => false,
    roleNames: sameRoleNames,
    toolCache: { directory: undefined, find: () => [], store: noArtifacts },
    environment: process.env,
    warn: (message) => void record.warning(message),
    setOutput: () => {},
    close: async () => {},
    ...changes,
  }
  let error: unknown
  try {
    await work(run)
    record.end('succeeded')
  } catch (thrown) {
    error = thrown
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  expectPublished(report)
  return { report, lines, error }
}
