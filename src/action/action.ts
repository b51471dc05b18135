import { mkdtemp } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import * as core from '@actions/core'
import { commands, wordsOf } from '../commands/index.ts'
import { Cancelled, Failure, messageOf } from '../failure.ts'
import { carryOut, type ReportFiles } from '../host/carry-out.ts'
import { openDumpPlace } from '../host/dump-place.ts'
import { PrivateDirectory, removeLeftovers } from '../host/private-directory.ts'
import { redact } from '../host/secrets.ts'
import { endsBy, timeLeftUntil } from '../migration/cancellation.ts'
import { type Inputs, parseInputs, secretInputs, secretsOfInput } from '../migration/inputs.ts'
import type { Run } from '../migration/run.ts'
import { killAllPrograms } from '../postgres/programs/process.ts'
import { sameRoleNames } from '../postgres/roles/role-names.ts'
import { annotations } from '../report/annotations.ts'
import { brokenPhase } from '../report/findings.ts'
import { renderMarkdown } from '../report/markdown.ts'
import { newReport, type Report } from '../report/model.ts'
import { verdict } from '../report/verdict.ts'
import { ReportWriter } from '../report/writer.ts'
import { visible } from '../text/text.ts'
import { GitHubArtifacts } from './artifacts.ts'
import { leavePartsToPost, leaveToPost } from './clean-up.ts'
import { GitHubEarlierRuns } from './earlier-runs.ts'
import { maskedInputs } from './inputs.ts'
import { RunnerLog } from './log.ts'
import { isPublicRepository } from './repository.ts'
import { registerConnectionString, registerSecret } from './secrets.ts'
import { RunnerToolCache } from './tool-cache.ts'

/** Runs the step: reads the inputs, runs the command, writes the evidence, and only then fails. */
export async function runAction(): Promise<void> {
  const log = new RunnerLog()
  const temporaryDirectory = process.env.RUNNER_TEMP ?? tmpdir()
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => stop.abort(new Cancelled()))
  }
  process.on('exit', killAllPrograms)

  const command = core.getInput('command') || (commands[0]?.name ?? '')
  const record = new ReportWriter(newReport(command, wordsOf(command)))
  const failure = await carryOut({
    log,
    record,
    signal: stop.signal,
    temporaryDirectory,
    open: () => {
      const get = maskedInputs(secretInputs, secretsOfInput)
      for (const name of ['source', 'target']) registerConnectionString(core.getInput(name))
      return openRun(log, stop.signal, record, get)
    },
    cancelled: ['The job was cancelled', 'The runner asked the action to stop'],
    unknown: 'Run the job again with debug logging (RUNNER_DEBUG=1) and report the message',
    later: 'the post step',
    show,
    keep: (files, run) => keep(files, run, log, stop.signal),
  })
  const { error } = record.report
  if (error) {
    const { message, cause, remedy } = error
    core.setFailed(visible(redact(new Failure(message, cause, remedy).line)))
  } else if (failure) core.setFailed(visible(redact(messageOf(failure))))
  log.info(verdict(record.report, failure))
}

async function openRun(
  log: RunnerLog,
  signal: AbortSignal,
  record: ReportWriter,
  get: (name: string) => string,
): Promise<Run> {
  const inputs = parseInputs(get, commands)
  const runnerTemporary = process.env.RUNNER_TEMP ?? tmpdir()
  await removeLeftovers(runnerTemporary, (message) => log.info(message))
  const own = await PrivateDirectory.make(runnerTemporary, leaveToPost)
  try {
    return await runIn(own, inputs, runnerTemporary, log, signal, record)
  } catch (error) {
    await own.remove().catch(() => {}) // the post step tries again
    throw error
  }
}

async function runIn(
  own: PrivateDirectory,
  inputs: Inputs,
  runnerTemporary: string,
  log: RunnerLog,
  signal: AbortSignal,
  record: ReportWriter,
): Promise<Run> {
  const warn = (message: string) => {
    if (record.warning(message)) log.warning(message)
  }
  const dumpDirectory = await openDumpPlace(inputs, runnerTemporary, own, warn)
  core.setOutput('dump-directory', dumpDirectory)
  const reportDirectory = await mkdtemp(join(runnerTemporary, 'polardb-report-'))
  await own.note([{ path: reportDirectory, contentsOnly: false, unless: 'report.json' }])

  const artifacts = new GitHubArtifacts(log)
  artifacts.leave = leavePartsToPost

  return {
    inputs,
    record,
    report: record.report,
    signal,
    temporaryDirectory: own.path,
    dumpDirectory,
    reportDirectory,
    log,
    progress: log,
    processors: cpus().length,
    artifacts,
    earlierRuns: new GitHubEarlierRuns(log),
    canUpload: Boolean(process.env.ACTIONS_RUNTIME_TOKEN),
    repository: process.env.GITHUB_REPOSITORY,
    isPublicRepository: () => isPublicRepository(process.env),
    toolCache: new RunnerToolCache(),
    roleNames: sameRoleNames,
    environment: process.env,
    secret: registerSecret,
    warn,
    setOutput(name, value) {
      core.setOutput(name, value)
    },
    close: () => own.remove(),
  }
}

/** Names the files of the report, and uploads them. */
async function keep(
  files: ReportFiles,
  run: Run | undefined,
  log: RunnerLog,
  signal: AbortSignal,
): Promise<void> {
  core.setOutput('report', files.json)
  log.info(`The report is in ${files.json} and ${files.html}`)
  if (!run) return
  // without the runner's artifact service (another CI, a test) the files are all there is
  if (!process.env.ACTIONS_RUNTIME_TOKEN) return
  const limit = signal.aborted
    ? AbortSignal.timeout(timeLeftUntil(endsBy.report, signal))
    : new AbortController().signal
  try {
    await run.artifacts.uploadReport([files.json, files.html], run.reportDirectory, limit)
  } catch (error) {
    log.warning(`The report was not kept as an artifact: ${messageOf(error)}`)
  }
}

async function show(report: Report): Promise<void> {
  core.setOutput('verified', report.verified)
  if (report.freeze) core.setOutput('source-frozen', report.freeze.frozen)
  const broken = report.status === 'succeeded' ? undefined : brokenPhase(report)
  if (broken) core.setOutput('failed-phase', broken.name)
  if (report.cutoverSeconds !== null) core.setOutput('cutover-seconds', report.cutoverSeconds)
  if (process.env.GITHUB_STEP_SUMMARY) {
    await core.summary.addRaw(renderMarkdown(report)).write()
  }
  for (const { level, title, message } of annotations(report)) {
    const annotate = { error: core.error, warning: core.warning, notice: core.notice }[level]
    annotate(visible(redact(message)), { title: visible(redact(title)) })
  }
}
