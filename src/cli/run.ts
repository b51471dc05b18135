import { mkdtemp } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { wordsOf } from '../commands/index.ts'
import { Cancelled, messageOf } from '../failure.ts'
import { carryOut } from '../host/carry-out.ts'
import { openDumpPlace } from '../host/dump-place.ts'
import { makePath } from '../host/make-path.ts'
import { PrivateDirectory, removeLeftovers } from '../host/private-directory.ts'
import { type Rubbish, removeAtOnce } from '../host/rubbish.ts'
import { rememberSecret } from '../host/secrets.ts'
import { temporaryFull, writingTo } from '../migration/free-space.ts'
import { noEarlierRuns } from '../migration/history/earlier-runs.ts'
import type { Inputs } from '../migration/inputs.ts'
import { indexFile } from '../migration/kept/encryption.ts'
import type { Run } from '../migration/run.ts'
import { killAllPrograms } from '../postgres/programs/process.ts'
import { sameRoleNames } from '../postgres/roles/role-names.ts'
import { newReport } from '../report/model.ts'
import { verdict } from '../report/verdict.ts'
import { ReportWriter } from '../report/writer.ts'
import { explain } from './ending.ts'
import { cancelled, exitCode } from './exit-code.ts'
import { KeptDirectory } from './kept-directory.ts'
import type { Settings } from './settings.ts'
import { mayMove, TerminalLog } from './terminal.ts'

/** Milliseconds that a cancelled run has for giving back and removing, as on a runner. */
const patience = 10_000
/** Milliseconds within which a second signal is the first one, which npx has sent on. */
const echo = 500

/** What this process has made and must not leave behind. */
let left: readonly Rubbish[] = []

/**
 * Carries out a command, shows it, and says in the last line how it ended.
 *
 * @returns the status to exit with
 */
export async function runAtTerminal(inputs: Inputs, settings: Settings): Promise<number> {
  const { command } = inputs
  const { verbose, remarks, reportDirectory } = settings
  const log = new TerminalLog(process.stdout, {
    moves: mayMove(process.stdout, process.env),
    verbose,
  })
  const signal = endWithSignals(log)
  for (const remark of remarks) log.warning(remark)
  const record = new ReportWriter(newReport(command, wordsOf(command)))
  const { report } = record
  const failure = await carryOut({
    ...{ log, signal, record, reportDirectory },
    temporaryDirectory: tmpdir(),
    open: () => openRun(inputs, log, signal, record, reportDirectory),
    cancelled: ['The run was cancelled', 'It was asked to stop'],
    unknown: 'Run it again with --verbose, and report the message',
    later: 'the next run',
    show: async (redacted) => explain(redacted, log),
    keep: async ({ json, html }) => log.info(`The report is in ${html} and ${json}`),
  })
  // no report has it where it could not be written
  if (failure && !report.error) log.info(`Error: ${messageOf(failure)}`)
  log.info(verdict(report, failure))
  return exitCode(report, failure)
}

/**
 * A first signal cancels, a second one ends at once, and so does the end of the time for cleaning up. A terminal that goes away, as
 * with a connection of ssh, ends nothing: the migration goes on, and its report says how it ended.
 */
function endWithSignals(log: TerminalLog): AbortSignal {
  const stop = new AbortController()
  let first: number | undefined
  const atOnce = () => {
    log.info('Ended at once, without a report: what may still be there, the next run removes.')
    process.exit(cancelled)
  }
  process.on('SIGHUP', () => {})
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      if (first !== undefined) {
        if (Date.now() - first > echo) atOnce()
        return
      }
      first = Date.now()
      log.info(
        `Cancelled: what was begun is ended and removed, within ${patience / 1000} s. Another Ctrl-C ends at once`,
      )
      stop.abort(new Cancelled())
      setTimeout(atOnce, patience).unref()
    })
  process.on('exit', () => {
    killAllPrograms()
    log.settle()
    removeAtOnce([...left].reverse())
  })
  return stop.signal
}

async function openRun(
  inputs: Inputs,
  log: TerminalLog,
  signal: AbortSignal,
  record: ReportWriter,
  wantedReportDirectory: string | undefined,
): Promise<Run> {
  await removeLeftovers(tmpdir(), (message) => log.info(message))
  const own = await PrivateDirectory.make(tmpdir(), (rubbish) => {
    left = [...rubbish]
  })
  try {
    const warn = (message: string) => {
      if (record.warning(message)) log.warning(message)
    }
    const { dumpDirectory, kept } = await openDump(inputs, own, warn)
    const reportDirectory = await openReport(wantedReportDirectory, own)
    return {
      ...{ inputs, record, signal, log, dumpDirectory, reportDirectory, warn },
      report: record.report,
      temporaryDirectory: own.path,
      progress: log,
      processors: cpus().length,
      roleNames: sameRoleNames,
      artifacts: kept,
      earlierRuns: noEarlierRuns(),
      canUpload: true,
      repository: undefined,
      isPublicRepository: async () => false,
      toolCache: {
        directory: undefined,
        find: () => [],
        store: () => Promise.reject(new Error('there is no tool cache')),
      },
      environment: process.env,
      secret: (value) => void rememberSecret(value),
      setOutput: (name, value) => log.debug(`${name}: ${value}`),
      close: () => own.remove(),
    }
  } catch (error) {
    await own.remove().catch(() => {}) // the end of the process tries again
    throw error
  }
}

/** What is to be kept encrypted is made in the private directory, and only what is encrypted goes where the user wants the dump. */
async function openDump(
  inputs: Inputs,
  own: PrivateDirectory,
  warn: (message: string) => void,
): Promise<{ dumpDirectory: string; kept: KeptDirectory }> {
  if (!inputs.uploadDump || inputs.dump !== 'written') {
    const dumpDirectory = await openDumpPlace(inputs, tmpdir(), own, warn)
    return { dumpDirectory, kept: new KeptDirectory(dumpDirectory) }
  }
  const place = await openDumpPlace({ ...inputs, keepDump: true }, tmpdir(), own, warn, indexFile)
  const plain = await openDumpPlace(
    { ...inputs, dumpDirectory: undefined, keepDump: false },
    tmpdir(),
    own,
    warn,
  )
  return { dumpDirectory: plain, kept: new KeptDirectory(place) }
}

async function openReport(wanted: string | undefined, own: PrivateDirectory): Promise<string> {
  if (wanted !== undefined) {
    await writingTo(wanted, temporaryFull, () => makePath(wanted))
    return wanted
  }
  const made = await mkdtemp(join(tmpdir(), 'polardb-report-'))
  await own.note([{ path: made, contentsOnly: false, unless: 'report.json' }])
  return made
}
