import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import * as core from '@actions/core'
import { commands, runCommand, wordsOf } from '../commands/index.ts'
import { Cancelled, Failure, messageOf } from '../failure.ts'
import { endsBy, timeLeftUntil } from '../migration/cancellation.ts'
import { isFull, temporaryFull, writingTo } from '../migration/free-space.ts'
import { type Inputs, parseInputs, secretInputs } from '../migration/inputs.ts'
import type { Run } from '../migration/run.ts'
import { killAllPrograms } from '../postgres/programs/process.ts'
import { annotations } from '../report/annotations.ts'
import { brokenPhase } from '../report/findings.ts'
import { renderHtml } from '../report/html/html.ts'
import { renderJson } from '../report/json.ts'
import { renderMarkdown } from '../report/markdown.ts'
import { newReport, type Report, type ReportError } from '../report/model.ts'
import { verdict } from '../report/verdict.ts'
import { ReportWriter } from '../report/writer.ts'
import { visible } from '../text/text.ts'
import { GitHubArtifacts } from './artifacts.ts'
import { leaveToPost } from './clean-up.ts'
import { openDumpPlace } from './dump-place.ts'
import { maskedInputs } from './inputs.ts'
import { RunnerLog } from './log.ts'
import { PrivateDirectory, removeLeftovers } from './private-directory.ts'
import { isPublicRepository } from './repository.ts'
import { redact, redactedReport, registerConnectionString, registerSecret } from './secrets.ts'
import { RunnerToolCache } from './tool-cache.ts'

/** Runs the step: reads the inputs, runs the command, writes the evidence, and only then fails. */
export async function runAction(): Promise<void> {
  const log = new RunnerLog()
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => stop.abort(new Cancelled()))
  }
  process.on('exit', killAllPrograms)

  const command = core.getInput('command') || (commands[0]?.name ?? '')
  const record = new ReportWriter(newReport(command, wordsOf(command)))
  const { report } = record
  let run: Run | undefined
  let failure: unknown
  try {
    const get = maskedInputs(secretInputs)
    for (const name of ['source', 'target']) registerConnectionString(core.getInput(name))
    run = await openRun(log, stop.signal, record, get)
    await runCommand(run)
    record.end('succeeded')
  } catch (error) {
    failure = error
    const cancelled = stop.signal.aborted || error instanceof Cancelled
    if (cancelled) record.end('cancelled', cancellation(run, report))
    else record.end('failed', reportError(error))
    if (!(error instanceof Failure) && !cancelled) log.debug(String((error as Error)?.stack))
  }
  log.settle()
  try {
    await writeEvidence(report, run, log, stop.signal)
  } catch (error) {
    failure ??= error
  }
  try {
    await run?.close()
  } catch (error) {
    log.warning(`Not everything could be removed; the post step tries again: ${messageOf(error)}`)
  }
  if (report.error) {
    const { message, cause, remedy } = report.error
    core.setFailed(visible(redact(new Failure(message, cause, remedy).line)))
  } else if (failure) core.setFailed(visible(redact(messageOf(failure))))
}

function cancellation(run: Run | undefined, { freeze }: Report): ReportError {
  const way = run?.goOn?.now() ?? 'run again'
  const remedy = `${way[0]?.toUpperCase()}${way.slice(1)}`
  return {
    message: 'The job was cancelled',
    cause: 'The runner asked the action to stop',
    remedy: freeze ? `${remedy}. ${freeze.next}` : remedy,
  }
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
    artifacts: new GitHubArtifacts(log),
    canUpload: Boolean(process.env.ACTIONS_RUNTIME_TOKEN),
    repository: process.env.GITHUB_REPOSITORY,
    isPublicRepository: () => isPublicRepository(process.env),
    toolCache: new RunnerToolCache(),
    environment: process.env,
    secret: registerSecret,
    warn,
    setOutput(name, value) {
      core.setOutput(name, value)
    },
    close: () => own.remove(),
  }
}

/** Writes the report, and what GitHub shows of it; that is shown also where the files could not be written. */
async function writeEvidence(
  unredacted: Report,
  run: Run | undefined,
  log: RunnerLog,
  signal: AbortSignal,
): Promise<void> {
  const runnerTemporary = process.env.RUNNER_TEMP ?? tmpdir()
  const report = redactedReport(unredacted)
  const files = await writeFiles(report, run, runnerTemporary).catch((error: unknown) => {
    log.warning(`The report could not be written: ${messageOf(error)}`)
    return error instanceof Error ? error : new Error(messageOf(error))
  })
  await writingTo(runnerTemporary, temporaryFull, () => show(report, log))
  if (files instanceof Error) throw files
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

/** @returns the paths. @throws Failure where the disk is full, and what nobody needs any more has made no room */
async function writeFiles(
  report: Report,
  run: Run | undefined,
  runnerTemporary: string,
): Promise<{ json: string; html: string }> {
  const directory =
    run?.reportDirectory ?? (await mkdtemp(join(runnerTemporary, 'polardb-report-')))
  const [json, html] = [join(directory, 'report.json'), join(directory, 'report.html')]
  const write = () =>
    writingTo(directory, temporaryFull, async () => {
      await writeFile(json, renderJson(report), { mode: 0o600 })
      await writeFile(html, renderHtml(report), { mode: 0o600 })
    })
  try {
    await write()
  } catch {
    // a report that is empty keeps the directory with the programs' logs, and the unfinished dump goes
    await writeFile(json, '', { mode: 0o600 }).catch(() => {})
    await writeFile(html, '', { mode: 0o600 }).catch(() => {})
    await run?.close().catch(() => {})
    await write().catch(async (error: unknown) => {
      await rm(directory, { recursive: true, force: true }).catch(() => {})
      throw error
    })
  }
  return { json, html }
}

async function show(report: Report, log: RunnerLog): Promise<void> {
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
  log.info(verdict(report))
}

function reportError(thrown: unknown): ReportError {
  // all that is written elsewhere says so
  const error = isFull(thrown) ? temporaryFull(process.env.RUNNER_TEMP ?? tmpdir()) : thrown
  if (error instanceof Failure) {
    const { message, why, remedy } = error
    return { message, cause: why, remedy }
  }
  return {
    message: 'The action failed in a way that it does not know',
    cause: messageOf(error),
    remedy: 'Run the job again with debug logging (RUNNER_DEBUG=1) and report the message',
  }
}
