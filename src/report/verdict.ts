import { messageOf } from '../failure.ts'
import { counted, formatCount, formatDuration } from '../text/numbers.ts'
import { shorten, visible } from '../text/text.ts'
import { brokenPhase, differencesOf, isOfRolesAlone, reasonsOf, rowsOf } from './findings.ts'
import { type FreezeResult, isReady, type Report } from './model.ts'

/** How a run ended, in the words that every face of the report begins with. Plain text: names in it are as they are. */
export interface Outcome {
  mark: 'good' | 'doubtful' | 'bad'
  title: string
  sentence: string
}

/** How the run ended. Says no more than the report knows: `verified` alone allows "every row and object". */
export function outcome(report: Report): Outcome {
  const { did, noun, ends, verified = `${did} and verified` } = report.words
  const took = elapsed(report) > 0 ? ` after ${formatDuration(elapsed(report))}` : ''
  if (report.status === 'cancelled')
    return {
      mark: 'bad',
      title: `${noun} cancelled`,
      sentence: `${noun} cancelled${where(report)}${took}.`,
    }
  if (ends === 'checked' && !(report.status === 'failed' && isReady(report)))
    return readiness(report)
  if (report.status === 'failed')
    return {
      mark: 'bad',
      title: `${noun} failed`,
      sentence: `${noun} failed${where(report)}${took}.`,
    }
  if (report.rehearsal?.outcome === 'not run')
    return {
      mark: 'doubtful',
      title: `${noun} not run`,
      sentence: `${noun} not run: ${report.rehearsal.note}`,
    }
  const done = `${did} ${amounts(report)} in ${formatDuration(elapsed(report))}`
  if (!compares(report)) return { mark: 'good', title: `${noun} succeeded`, sentence: `${done}.` }
  const found = differences(report)
  if (found.length > 0)
    return {
      mark: 'bad',
      title: `${did}, with differences`,
      sentence: `${done}, but ${listed(found)} compared different without a known reason.`,
    }
  if (report.verified)
    return {
      mark: 'good',
      title: `${verified}${exceptLosses(report)}`,
      sentence: `${done}: ${equality(report)}${leftToDatabases(report)}.`,
    }
  return { mark: 'doubtful', title: `${did}, not verified`, sentence: `${done}; ${doubt(report)}.` }
}

function exceptLosses({ losses }: Report): string {
  return losses.length === 0
    ? ''
    : `, except for ${counted(losses.length, 'accepted loss', 'accepted losses')}`
}

/** A preflight that is not ready: its title and its blockers say all that its error does. */
export function isRefusal(report: Report): boolean {
  return report.status === 'failed' && report.words.ends === 'checked' && !isReady(report)
}

/**
 * How the run ended, as one harmless line of the log: the last one, whatever happened. Of a failed run it says also with what.
 *
 * @param failure what the run ended with; it counts where the report has no error, as when the report itself could not be written
 */
export function verdict(report: Report, failure?: unknown): string {
  const { sentence: ended } = outcome(report)
  const { status, error } = report
  const begun = ended.replace(/\.$/, '')
  if (failure !== undefined && !error)
    return visible(`${begun}; but ${sentence(messageOf(failure))}`)
  return visible(
    status === 'failed' && error && !isRefusal(report)
      ? `${begun}: ${sentence(error.message)}`
      : ended,
  )
}

/** Whether the run's command compares the two sides, so that a database without a result is worth saying. */
export function compares(report: Report): boolean {
  return report.words.ends === 'compared'
}

/** Seconds from the run's start to the end of its last phase. */
export function elapsed(report: Report): number {
  return Math.max(0, ...report.phases.map((phase) => phase.startedAt + phase.seconds))
}

/** `PostgreSQL 15.20`, or of a PolarDB `PolarDB 11.9 (polar_version 1.1.20)`. */
export function serverName(server: { version: string; polardb?: string | null }): string {
  return server.polardb == null
    ? `PostgreSQL ${server.version}`
    : `PolarDB ${server.version} (polar_version ${server.polardb})`
}

/** Whether anything was written to a source that is frozen, as a sentence; empty where it is not frozen. */
export function writtenWords({ frozen, written }: FreezeResult): string {
  if (!frozen) return ''
  if (written === 'unknown') return 'Whether anything was written since could not be told.'
  return written ? 'It was written to since, all the same.' : 'No write was seen since.'
}

/** `text` as a sentence that ends. */
export function sentence(text: string): string {
  return /[.!?…]$/.test(text.trim()) ? text.trim() : `${text.trim()}.`
}

function where(report: Report): string {
  const phase = brokenPhase(report)
  if (!phase) return ''
  return ` in phase ${phase.name}${phase.database === undefined ? '' : ` of database "${phase.database}"`}`
}

/** `a`, `a and b`, `a, b and c`. */
function listed(parts: string[]): string {
  return [parts.slice(0, -1).join(', '), ...parts.slice(-1)].filter(Boolean).join(' and ')
}

function amounts(report: Report): string {
  const tables = report.databases.flatMap((database) => database.tables)
  const { databases, roles, phases } = report
  // a dump says nothing of roles but that they were dumped
  if (databases.length === 0 && !roles && phases.some(({ name }) => name === 'dump-roles'))
    return 'the roles'
  return [
    ...(isOfRolesAlone(report) ? [] : [counted(databases.length, 'database')]),
    ...(roles && roles.source > 0 ? [counted(roles.source, 'role')] : []),
    ...(tables.length > 0 ? [counted(tables.length, 'table'), counted(rowsOf(tables), 'row')] : []),
  ].join(', ')
}

function readiness(report: Report): Outcome {
  const count = (status: string, severity?: string) =>
    report.checks.filter((c) => c.status === status && (severity ?? c.severity) === c.severity)
      .length
  const [passed, blockers, unknown] = [
    count('passed'),
    count('failed', 'blocker'),
    count('skipped', 'blocker'),
  ]
  const warnings = count('failed', 'warning')
  const all = `${formatCount(passed)} of ${counted(report.checks.length, 'check')} passed`
  const found = listed([
    ...(blockers > 0 ? [counted(blockers, 'blocker')] : []),
    ...(unknown > 0 ? [`${counted(unknown, 'blocker')} that could not be asked`] : []),
    ...(warnings > 0 ? [counted(warnings, 'warning')] : []),
  ])
  return isReady(report)
    ? {
        mark: warnings > 0 ? 'doubtful' : 'good',
        title: `${warnings > 0 ? 'Ready, with warnings' : 'Ready'}${exceptLosses(report)}`,
        sentence: `Ready to migrate: ${all}, no blocker${found ? `, ${found}` : ''}.`,
      }
    : {
        mark: 'bad',
        title: 'Not ready',
        sentence: `Not ready to migrate: ${found}; ${all}. Nothing was touched.`,
      }
}

function differences(report: Report): string[] {
  const found = differencesOf(report)
  const tables = found.filter(({ kind }) => kind === 'table').length
  const roles = report.roles?.differences.filter(({ explained }) => !explained).length ?? 0
  return [
    ...(tables > 0 ? [counted(tables, 'table')] : []),
    ...(found.length > tables ? [counted(found.length - tables, 'object')] : []),
    ...(roles > 0 ? [counted(roles, 'role attribute')] : []),
  ]
}

/** What roles have beside themselves, and a run that migrated them alone did not: no loss, but to be known. */
function leftToDatabases(report: Report): string {
  const { inOtherDatabases = [] } = report.roles ?? {}
  return isOfRolesAlone(report) && inOtherDatabases.length > 0
    ? `; ${counted(inOtherDatabases.length, 'setting')} of roles in single databases come with these databases`
    : ''
}

/** What `verified` proves, less the accepted losses, and how many reasons there are for what is otherwise. */
function equality(report: Report): string {
  const reasons = reasonsOf(report)
  const [only] = reasons
  const losses = report.losses.length
  const what = isOfRolesAlone(report) ? 'every role' : 'every row and object'
  const equal = `${what} compared equal${losses > 0 ? `, except for ${counted(losses, 'accepted loss', 'accepted losses')}` : ''}`
  if (only === undefined) return equal
  return reasons.length === 1
    ? `${equal}; one kind of difference is known: ${shorten(only, 300)}`
    : `${equal}; ${formatCount(reasons.length)} kinds of difference are known, and the report explains them`
}

function doubt(report: Report): string {
  const tables = report.databases.flatMap((database) => database.tables)
  if (tables.length === 0 || tables.every((table) => table.targetRows === null))
    return 'nothing was compared'
  return report.databases.every((database) => database.objects.length === 0)
    ? 'the row counts are equal, but contents and objects were not compared'
    : 'no difference was found, but not everything could be compared'
}
