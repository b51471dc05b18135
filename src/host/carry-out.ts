import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runCommand } from '../commands/index.ts'
import { Cancelled, Failure, messageOf } from '../failure.ts'
import { tidyHeap } from '../heap.ts'
import type { Logger } from '../migration/context.ts'
import { isFull, temporaryFull, writingTo } from '../migration/free-space.ts'
import type { Run } from '../migration/run.ts'
import { renderHtml } from '../report/html/html.ts'
import { jsonPieces } from '../report/json.ts'
import type { Report, ReportError } from '../report/model.ts'
import type { ReportWriter } from '../report/writer.ts'
import { beginJunit, writeJunit } from './junit-file.ts'
import { redactedReport } from './secrets.ts'

/** Who asks for a run and is shown what comes of it: GitHub, or somebody at a terminal. */
export interface Face {
  log: Logger & { settle(): void }
  /** Aborted with Cancelled when the run is to end. */
  signal: AbortSignal
  record: ReportWriter
  /** Where a run that could not be opened leaves its report. */
  temporaryDirectory: string
  /** Where the user wants the report: of this directory nothing is removed that the run has not made. */
  reportDirectory?: string | undefined
  /** Reads the inputs and opens the run. @throws Failure */
  open(): Promise<Run>
  /** What is said of a cancelled run, and who cancelled it. */
  cancelled: readonly [message: string, cause: string]
  /** The next step after an error that the engine does not know. */
  unknown: string
  /** Who removes what this run could not remove. */
  later: string
  /** Shows the report; also where its files could not be written. */
  show(report: Report): Promise<void>
  /** Says where the files of the report are, and keeps them. */
  keep(files: ReportFiles, run: Run | undefined): Promise<void>
}

/** Paths. */
export interface ReportFiles {
  json: string
  html: string
}

/**
 * Carries out a run from its opening to its end: the command, then the evidence, and only then is everything removed that must
 * not outlive the run. Never throws: what went wrong is in the report.
 *
 * @returns what was thrown, by the command or else by the evidence; undefined for a run that succeeded
 */
export async function carryOut(face: Face): Promise<unknown> {
  const { log, record, signal, later } = face
  let run: Run | undefined
  let failure: unknown
  try {
    run = await face.open()
    if (run.inputs.junit) await beginJunit(record.report, run.inputs.junit)
    await runCommand(run)
    record.end('succeeded')
  } catch (error) {
    failure = error
    const cancelled = signal.aborted || error instanceof Cancelled
    if (cancelled) record.end('cancelled', cancellation(run, face))
    else record.end('failed', reportError(error, face))
    if (!(error instanceof Failure) && !cancelled) log.debug(String((error as Error)?.stack))
  }
  log.settle()
  try {
    await writeEvidence(face, run)
  } catch (error) {
    failure ??= error
  }
  try {
    await run?.close()
  } catch (error) {
    log.warning(`Not everything could be removed; ${later} tries again: ${messageOf(error)}`)
  }
  return failure
}

/** Writes the report, and shows it; it is shown also where the files could not be written. */
async function writeEvidence(face: Face, run: Run | undefined): Promise<void> {
  const { log, record, temporaryDirectory } = face
  const report = redactedReport(record.report)
  const files = await writeFiles(report, run, face).catch((error: unknown) => {
    log.warning(`The report could not be written: ${messageOf(error)}`)
    return error instanceof Error ? error : new Error(messageOf(error))
  })
  await writingTo(temporaryDirectory, temporaryFull, () => face.show(report))
  if (files instanceof Error) throw files
  await face.keep(files, run)
  if (run?.inputs.junit) await writeJunit(report, run.inputs.junit, log)
}

/** @throws Failure where the disk is full, and what nobody needs any more has made no room */
async function writeFiles(
  report: Report,
  run: Run | undefined,
  { temporaryDirectory, reportDirectory }: Face,
): Promise<ReportFiles> {
  const directory =
    run?.reportDirectory ??
    reportDirectory ??
    (await mkdtemp(join(temporaryDirectory, 'polardb-report-')))
  const [json, html] = [join(directory, 'report.json'), join(directory, 'report.html')]
  const write = () =>
    writingTo(directory, temporaryFull, async () => {
      tidyHeap()
      await writeFile(json, jsonPieces(report), { mode: 0o600 })
      tidyHeap()
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
      for (const file of directory === reportDirectory ? [json, html] : [directory])
        await rm(file, { recursive: true, force: true }).catch(() => {})
      throw error
    })
  }
  return { json, html }
}

function cancellation(run: Run | undefined, { cancelled, record }: Face): ReportError {
  const [message, cause] = cancelled
  const { freeze } = record.report
  const way = run?.goOn?.now() ?? 'run again'
  const remedy = `${way[0]?.toUpperCase()}${way.slice(1)}`
  return { message, cause, remedy: freeze ? `${remedy}. ${freeze.next}` : remedy }
}

function reportError(thrown: unknown, { temporaryDirectory, unknown }: Face): ReportError {
  // all that is written elsewhere says so
  const error = isFull(thrown) ? temporaryFull(temporaryDirectory) : thrown
  if (error instanceof Failure) {
    const { message, why, remedy } = error
    return { message, cause: why, remedy }
  }
  return {
    message: 'The run failed in a way that is not known',
    cause: messageOf(error),
    remedy: unknown,
  }
}
