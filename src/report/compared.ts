/** What the comparison of a database found, of its tables and of its other objects. */

/** One archive entry that was not restored as it stands in the archive, or failed. */
export interface EntryResult {
  /** `DESC schema.name`, as patterns of `allow-missing` name it. */
  readonly entry: string
  readonly reason: string
}

/** What is timed of each table: its dump, the loading of its rows, what is built on it, and the reading that verifies it. */
export const tableSteps = ['dump', 'load', 'indexes', 'check'] as const
export type TableStep = (typeof tableSteps)[number]

/** Tables of a database of which times are kept, the first that were worked on: work begins with the largest. */
export const mostTimedTables = 20_000

/** When a step of a table ran: seconds from the run's start. */
export interface Span {
  readonly start: number
  readonly end: number
  /**
   * Seconds at work within it, of all sessions: less than from start to end where one thing waited for another, more where
   * several sessions worked. Of what went to the server together each has an equal part.
   */
  readonly busy: number
}

/** What is not known is left out. */
export type TableTimeline = { readonly [Step in TableStep]?: Span }

/** When a table was worked on. */
export interface TimedTable {
  readonly schema: string
  readonly name: string
  readonly timeline: TableTimeline
}

export interface TableResult {
  readonly schema: string
  readonly name: string
  /** Null where they could not be read. */
  readonly sourceRows: number | null
  /** Null where the target does not have the table, or it could not be read. */
  readonly targetRows: number | null
  readonly match: boolean
  /** Why the rows of a side could not be read, each side named: nothing is proven of the table. */
  readonly unreadable?: string
  /** Why the two may differ, where the restore announced it. */
  readonly explained?: string
  /** Keys of rows that differ, masked unless `show-keys`; never values. */
  readonly differingKeys?: readonly string[]
  readonly missingRows?: number
  readonly extraRows?: number
  readonly changedRows?: number
  readonly timeline?: TableTimeline
}

export interface ObjectResult {
  readonly kind: string
  readonly source: number
  readonly target: number
  readonly missing: readonly string[]
  readonly different: readonly string[]
  readonly extra?: readonly string[]
  /** Differences that the restore announced, each with its reason. */
  readonly explained?: readonly EntryResult[]
  /** Definitions of which could not be found out whether they are the dump's, each with its reason. */
  readonly undecided?: readonly EntryResult[]
  /** Both sides of what differs, where `show-definitions` allows it. */
  readonly definitions?: readonly DefinitionResult[]
}

/** A definition that differs: what the dump says, as the target prints it, and what the target has. */
export interface DefinitionResult {
  /** As in `different`. */
  readonly name: string
  readonly what: string
  readonly source: string | null
  readonly target: string | null
}
