/**
 * The result of a run as data: what `report.json` holds (docs/report.md lists its fields) and what every other face of
 * the report is drawn from.
 */
import type { EntryResult, ObjectResult, TableResult, TimedTable } from './compared.ts'
import type { Estimate, Forecast, HistoryPoint } from './outage.ts'

export {
  type DefinitionResult,
  type EntryResult,
  mostTimedTables,
  type ObjectResult,
  type Span,
  type TableResult,
  type TableStep,
  type TableTimeline,
  type TimedTable,
  tableSteps,
} from './compared.ts'

export {
  type DatabaseEstimate,
  type Estimate,
  type EstimatedPhase,
  type Forecast,
  type HeldUp,
  type HistoryPoint,
  type OutagePhase,
  outagePhases,
  type PhaseForecast,
  type Range,
  type StatedRange,
} from './outage.ts'

export type Status = 'succeeded' | 'failed' | 'skipped'
export type RunStatus = 'succeeded' | 'failed' | 'cancelled'
export type Severity = 'blocker' | 'warning' | 'info'

/** How the faces of the report speak of a command. */
export interface Wording {
  /** What it did: `Migrated`. */
  readonly did: string
  /** Its name as a thing that can fail: `Migration`. */
  readonly noun: string
  /** By comparing both sides, by checks that say whether a migration may begin, or when the work is done. */
  readonly ends: 'compared' | 'checked' | 'done'
  /** The title when everything compared equal; else what it did, "and verified". */
  readonly verified?: string
}

/** For a run whose command is none. */
export const wordsOfAnyRun: Wording = { did: 'Finished', noun: 'The run', ends: 'done' }

/** In the order in which they run. */
export const phaseNames = [
  'preflight',
  'client',
  'freeze',
  'dump-roles',
  'schema',
  'scratch-restore',
  'dump',
  'upload',
  'download',
  'restore-roles',
  'restore',
  'analyze',
  'verify',
  'swap',
  'unfreeze',
  'clean-up',
] as const
export type PhaseName = (typeof phaseNames)[number]

export interface PhaseResult {
  readonly name: PhaseName
  readonly status: Status
  readonly seconds: number
  /** Seconds from the run's start to the phase's start: phases may overlap. */
  readonly startedAt: number
  /** The database it worked on, where it works on one. */
  readonly database?: string
}

export interface CheckResult {
  readonly id: string
  readonly severity: Severity
  readonly status: 'passed' | 'failed' | 'skipped'
  readonly message: string
  readonly objects: readonly string[]
  readonly remedy: string
  /** Lines to paste that the remedy speaks of: SQL, a line of pg_hba.conf or of the workflow. */
  readonly paste?: string
  /** Why it matters, in a sentence. */
  readonly why?: string
}

export interface ServerResult {
  readonly version: string
  readonly major: number
}

export interface TargetResult extends ServerResult {
  /** `polar_version`, null where the target is no PolarDB. */
  readonly polardb: string | null
  readonly superuserOption: string
}

export interface ClientResult {
  readonly version: string
  readonly directory: string
  /** Where it was found, or what installed it. */
  readonly origin?: string
  /** Bytes downloaded and seconds taken when it had to be installed. */
  readonly bytes?: number
  readonly seconds?: number
}

export interface RoleDifference {
  readonly role: string
  /** What differs: an attribute, a membership, a setting, a comment. */
  readonly what: string
  /** Why, in a sentence; a difference with no known reason has `explained: false`. */
  readonly reason: string
  readonly explained: boolean
}

/** What `ALTER ROLE … IN DATABASE … SET …` has set on the source; its value is not in the report. */
export interface RoleDatabaseSetting {
  readonly role: string
  /** As the source calls it. */
  readonly database: string
  readonly parameter: string
}

/** A login that was tried on the target, as `test-logins` asks for it. */
export interface LoginResult {
  readonly role: string
  readonly status: 'succeeded' | 'failed'
  /** Where it was tried, as the target calls it; null where the role may connect nowhere. */
  readonly database: string | null
  /** Why it failed, without the secret; '' where it did not. */
  readonly reason: string
  /** The next step; '' where there is none. */
  readonly remedy: string
}

/** Where the roles were not migrated, `logins` is all that there is, and the numbers are 0. */
export interface RolesResult {
  readonly source: number
  readonly created: number
  readonly existing: number
  readonly updated?: number
  readonly differences: readonly RoleDifference[]
  readonly memberships: { readonly source: number; readonly restored: number }
  /**
   * Settings of roles in single databases that this run did not migrate: no loss, since a database has them in its own dump, and
   * whoever migrates it makes and compares them.
   */
  readonly inOtherDatabases?: readonly RoleDatabaseSetting[]
  /** Roles that must be given a password by hand. */
  readonly passwordsToSet?: readonly string[]
  /** What came of `test-logins`. */
  readonly logins?: readonly LoginResult[]
  readonly verified: boolean
}

/** What is lost on the target although the run goes on: accepted by name in `allow-missing`, or what no rehearsal can have. */
export interface Loss {
  /** As `allow-missing` names it: `EXTENSION x`, `TABLE s.t`, `DATABASE d`, `ROLE r REPLICATION`, `LOGIN r`. */
  readonly entry: string
  /** The source's database, null for what belongs to the whole server. */
  readonly database: string | null
  readonly reason: string
  /** What would keep it. */
  readonly remedy: string
}

/** Something to be done by hand when the target takes over, which nothing may do before. */
export interface ChecklistItem {
  /** In one sentence: what to do, and why it is left to be done. */
  readonly what: string
  /** Where `lines` are run; null where there is nothing to run. */
  readonly side: 'source' | 'target' | null
  /** The database to be connected to, as that side calls it; null where any will do. */
  readonly database: string | null
  /** To be pasted, a statement each. */
  readonly lines: readonly string[]
  /** Whom or what it concerns. */
  readonly objects?: readonly string[]
}

export interface FailedEntry extends EntryResult {
  readonly sqlstate: string | null
  readonly statement: string
  readonly remedy: string
}

export interface RestoreResult {
  readonly entries: number
  readonly restored: number
  readonly skipped: readonly EntryResult[]
  readonly failed: readonly FailedEntry[]
  readonly attempts: number
}

export interface DatabaseResult {
  readonly name: string
  readonly target: string
  /** Size of the source database on its server. */
  readonly bytes: number
  readonly dumpBytes: number
  readonly dumpSeconds: number
  readonly restoreSeconds: number
  readonly restore?: RestoreResult
  readonly tables: readonly TableResult[]
  readonly objects: readonly ObjectResult[]
  /** Where nothing was compared: the tables that were worked on all the same. */
  readonly timedTables?: readonly TimedTable[]
  readonly verified: boolean
  /** Rows digested per second, source and target side. */
  readonly verifyRowsPerSecond?: { readonly source: number; readonly target: number }
  /** What the comparison of this database does not see, a sentence each. */
  readonly notCompared?: readonly string[]
  /** After an exchange: the name that the old database has now, unless it was dropped. */
  readonly swapped?: { readonly kept: string | null }
  readonly error?: ReportError | null
}

export interface ReportError {
  readonly message: string
  readonly cause: string
  readonly remedy: string
}

/** What became of the source's writes. */
export interface FreezeResult {
  /** The source is read-only by default now. */
  readonly frozen: boolean
  /** When it was frozen (ISO 8601, UTC); null where it never was. */
  readonly since: string | null
  readonly databases: readonly string[]
  /** Sessions that were ended. */
  readonly ended: number
  /** Names of roles or applications whose sessions were left alone. */
  readonly spared: readonly string[]
  /** Whether anything was written after the freeze. */
  readonly written: boolean | 'unknown'
  /** How the source is left and what can be done, in sentences. */
  readonly next: string
}

/** What became of a rehearsal, beside what it measured and compared. */
export interface RehearsalResult {
  /** What the names of everything begin with that it makes on the target. */
  readonly name: string
  /** `left`: it could not be removed, or not in time. `not run`: there was a reason not to begin. */
  readonly outcome: 'begun' | 'removed' | 'kept' | 'left' | 'not run'
  /** What is to be known of that, in sentences. */
  readonly note: string
}

export interface Report {
  readonly command: string
  /** Not in report.json: it follows from the command. */
  readonly words: Wording
  readonly status: RunStatus
  readonly startedAt: string
  readonly source?: ServerResult
  readonly target?: TargetResult
  readonly client?: ClientResult
  readonly phases: readonly PhaseResult[]
  readonly checks: readonly CheckResult[]
  readonly estimate?: Estimate
  readonly forecast?: Forecast
  /** What this run and those before it took, the oldest first. */
  readonly history?: readonly HistoryPoint[]
  readonly roles?: RolesResult
  readonly databases: readonly DatabaseResult[]
  /** The dump that was made or restored: its random id, and when it was sealed (ISO 8601, UTC). */
  readonly dump?: { readonly id: string; readonly createdAt: string }
  readonly artifact?: {
    readonly id: number | null
    readonly name: string
    readonly digest: string | null
    readonly bytes: number
  }
  /** Everything that the target lacks and that is accepted, see Loss. */
  readonly losses: readonly Loss[]
  /** What is left to be done at the cutover. */
  readonly checklist: readonly ChecklistItem[]
  /** Whether the source stood still while it was dumped: a dump proves its own moment, no later one. */
  readonly sourceStill: boolean | 'unknown'
  /** Where a freeze was asked for, or one was found. */
  readonly freeze?: FreezeResult
  /** Of `rehearse`. */
  readonly rehearsal?: RehearsalResult
  readonly verified: boolean
  readonly cutoverSeconds: number | null
  readonly warnings: readonly string[]
  readonly error: ReportError | null
}

/** A check that stops a migration. */
export function isBlocker(check: CheckResult): boolean {
  return check.status === 'failed' && check.severity === 'blocker'
}

/** A check that would stop a migration if it failed, and that nobody could ask. */
export function isUnknown(check: CheckResult): boolean {
  return check.status === 'skipped' && check.severity === 'blocker'
}

/** Whether no blocker was found, and each could be asked. */
export function isReady({ checks }: Pick<Report, 'checks'>): boolean {
  return !checks.some((check) => isBlocker(check) || isUnknown(check))
}

/** Reasons for entries that are left out because there is nothing to restore: no exception worth a word in the verdict. */
export const needless = {
  there: 'the target has it already',
  comment: 'the comment on an extension comes with the extension',
}

/** The report of a run that has done nothing yet. */
export function newReport(command: string, words: Wording): Report {
  return {
    command,
    words,
    status: 'failed',
    startedAt: new Date().toISOString(),
    phases: [],
    checks: [],
    databases: [],
    verified: false,
    cutoverSeconds: null,
    losses: [],
    checklist: [],
    sourceStill: 'unknown',
    warnings: [],
    error: null,
  }
}
