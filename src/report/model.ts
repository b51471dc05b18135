/**
 * The result of a run as data: what `report.json` holds (docs/report.md lists its fields) and what every other face of
 * the report is drawn from.
 */
export type Status = 'succeeded' | 'failed' | 'skipped'
export type RunStatus = 'succeeded' | 'failed' | 'cancelled'
export type Severity = 'blocker' | 'warning' | 'info'

/** How the faces of the report speak of a command. */
export interface Wording {
  /** What it did: `Migrated`. */
  did: string
  /** Its name as a thing that can fail: `Migration`. */
  noun: string
  /** By comparing both sides, by checks that say whether a migration may begin, or when the work is done. */
  ends: 'compared' | 'checked' | 'done'
  /** The title when everything compared equal; else what it did, "and verified". */
  verified?: string
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
  'dump',
  'upload',
  'download',
  'restore-roles',
  'restore',
  'analyze',
  'verify',
  'swap',
] as const
export type PhaseName = (typeof phaseNames)[number]

export interface PhaseResult {
  name: PhaseName
  status: Status
  seconds: number
  /** Seconds from the run's start to the phase's start: phases may overlap. */
  startedAt: number
  /** The database it worked on, where it works on one. */
  database?: string
}

export interface CheckResult {
  id: string
  severity: Severity
  status: 'passed' | 'failed' | 'skipped'
  message: string
  objects: string[]
  remedy: string
}

export interface ServerResult {
  version: string
  major: number
}

export interface TargetResult extends ServerResult {
  /** `polar_version`, null where the target is no PolarDB. */
  polardb: string | null
  superuserOption: string
}

export interface ClientResult {
  version: string
  directory: string
  /** Where it was found, or what installed it. */
  origin?: string
  /** Bytes downloaded and seconds taken when it had to be installed. */
  bytes?: number
  seconds?: number
}

export interface RoleDifference {
  role: string
  /** What differs: an attribute, a membership, a setting, a comment. */
  what: string
  /** Why, in a sentence; a difference with no known reason has `explained: false`. */
  reason: string
  explained: boolean
}

export interface RolesResult {
  source: number
  created: number
  existing: number
  updated?: number
  differences: RoleDifference[]
  memberships: { source: number; restored: number }
  /** Roles that must be given a password by hand. */
  passwordsToSet?: string[]
  verified: boolean
}

/** One archive entry that was not restored as it stands in the archive, or failed. */
export interface EntryResult {
  /** `DESC schema.name`, as patterns of `allow-missing` name it. */
  entry: string
  reason: string
}

/** What is lost on the target although the run goes on: accepted by name in `allow-missing`. */
export interface Loss {
  /** As `allow-missing` names it: `EXTENSION x`, `TABLE s.t`, `DATABASE d`, `ROLE r REPLICATION`, `LOGIN r`. */
  entry: string
  /** The source's database, null for what belongs to the whole server. */
  database: string | null
  reason: string
  /** What would keep it. */
  remedy: string
}

export interface FailedEntry extends EntryResult {
  sqlstate: string | null
  statement: string
  remedy: string
}

export interface RestoreResult {
  entries: number
  restored: number
  skipped: EntryResult[]
  failed: FailedEntry[]
  attempts: number
}

export interface TableResult {
  schema: string
  name: string
  /** Null where they could not be read. */
  sourceRows: number | null
  /** Null where the target does not have the table, or it could not be read. */
  targetRows: number | null
  match: boolean
  /** Why the rows of a side could not be read, each side named: nothing is proven of the table. */
  unreadable?: string
  /** Why the two may differ, where the restore announced it. */
  explained?: string
  /** Keys of rows that differ, masked unless `show-keys`; never values. */
  differingKeys?: string[]
  missingRows?: number
  extraRows?: number
  changedRows?: number
}

export interface ObjectResult {
  kind: string
  source: number
  target: number
  missing: string[]
  different: string[]
  extra?: string[]
  /** Differences that the restore announced, each with its reason. */
  explained?: EntryResult[]
  /** Definitions of which could not be found out whether they are the dump's, each with its reason. */
  undecided?: EntryResult[]
  /** Both sides of what differs, where `show-definitions` allows it. */
  definitions?: DefinitionResult[]
}

/** A definition that differs: what the dump says, as the target prints it, and what the target has. */
export interface DefinitionResult {
  /** As in `different`. */
  name: string
  what: string
  source: string | null
  target: string | null
}

export interface DatabaseResult {
  name: string
  target: string
  /** Size of the source database on its server. */
  bytes: number
  dumpBytes: number
  dumpSeconds: number
  restoreSeconds: number
  restore?: RestoreResult
  tables: TableResult[]
  objects: ObjectResult[]
  verified: boolean
  /** Rows digested per second, source and target side. */
  verifyRowsPerSecond?: { source: number; target: number }
  /** What the comparison of this database does not see, a sentence each. */
  notCompared?: string[]
  /** After an exchange: the name that the old database has now, unless it was dropped. */
  swapped?: { kept: string | null }
  error?: ReportError | null
}

export interface ReportError {
  message: string
  cause: string
  remedy: string
}

export interface Report {
  command: string
  /** Not in report.json: it follows from the command. */
  words: Wording
  status: RunStatus
  startedAt: string
  source?: ServerResult
  target?: TargetResult
  client?: ClientResult
  phases: PhaseResult[]
  checks: CheckResult[]
  roles?: RolesResult
  databases: DatabaseResult[]
  /** The dump that was made or restored: its random id, and when it was sealed (ISO 8601, UTC). */
  dump?: { id: string; createdAt: string }
  artifact?: { id: number | null; name: string; digest: string | null; bytes: number }
  /** Everything that the target lacks and `allow-missing` accepts. */
  losses: Loss[]
  /** Whether the source stood still while it was dumped: a dump proves its own moment, no later one. */
  sourceStill: boolean | 'unknown'
  verified: boolean
  cutoverSeconds: number | null
  warnings: string[]
  error: ReportError | null
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
    sourceStill: 'unknown',
    warnings: [],
    error: null,
  }
}
