/**
 * How long things take: said before a migration from samples (`Estimate`), measured by earlier runs (`HistoryPoint`), and
 * forecast from those (`Forecast`). Parts of the report; model.ts hands them on. Times are in seconds, sizes in bytes.
 */

/** From the low end to the high end, both meant. */
export interface Range {
  readonly low: number
  readonly high: number
}

/** The indexes, and what else is built once the rows are in, are a part of the restore, and so of its phase in `phases`. */
export interface EstimatedPhase {
  readonly name: 'dump' | 'restore' | 'indexes' | 'analyze' | 'verify' | 'upload'
  readonly seconds: Range
}

export interface DatabaseEstimate {
  readonly name: string
  /** Size on the source. */
  readonly bytes: number
  readonly dumpBytes: Range
  /** Of all its phases. */
  readonly seconds: Range
  readonly phases: readonly EstimatedPhase[]
}

/** What a migration will take, before it: from sizes and measured samples. */
export interface Estimate {
  readonly seconds: Range
  readonly dumpBytes: Range
  readonly phases: readonly EstimatedPhase[]
  /** That the dump will need at most; 0 where it is not uploaded. */
  readonly artifacts: number
  readonly databases: readonly DatabaseEstimate[]
  /** What was measured and what was not, a sentence each. */
  readonly basis: readonly string[]
}

/** Phases during which nobody can work, in the order in which they run; `other` is what lies between them. */
export const outagePhases = [
  'freeze',
  'dump-roles',
  'schema',
  'dump',
  'restore-roles',
  'restore',
  'analyze',
  'verify',
  'swap',
  'other',
] as const
export type OutagePhase = (typeof outagePhases)[number]

/** A range with what stands behind it: null where too few runs are known for any confidence. */
export interface StatedRange extends Range {
  /** From 0 to 1: at least so often a run lies within the range. */
  readonly confidence: number | null
}

/** What one run took, for the forecasts of later ones. Holds no name of a server or of anything on it. */
export interface HistoryPoint {
  /** The run's id on GitHub, elsewhere the moment it began; with `attempt` it says which points are the same. */
  readonly run: string
  readonly attempt: number
  readonly command: 'rehearse' | 'migrate'
  /** ISO 8601, UTC. */
  readonly startedAt: string
  /** 16 hexadecimal digits each, of a digest: the same server, the same databases have the same. */
  readonly source: string
  readonly target: string
  readonly databases: string
  readonly versions: { readonly source: string; readonly target: string }
  /** Of the databases on the source's disk, and of the dump. */
  readonly bytes: number
  readonly dumpBytes: number
  readonly tables: number
  /** Null where nobody counted them. */
  readonly rows: number | null
  /** Of the runner. */
  readonly processors: number
  readonly jobs: { readonly dump: number; readonly restore: number }
  readonly compression: string
  readonly verify: 'none' | 'counts' | 'data'
  /** Of the whole outage without the freeze, and of its parts. */
  readonly seconds: number
  readonly phases: readonly { readonly name: OutagePhase; readonly seconds: number }[]
  readonly verified: boolean
  /** What was said of these seconds before they were measured. */
  readonly stated: StatedRange | null
}

/** How one phase grows with the data. */
export interface PhaseForecast {
  readonly name: OutagePhase
  /** For the data of the forecast. */
  readonly seconds: Range
  /** Seconds that each further GB (1024³ bytes) adds; null where the runs do not tell. */
  readonly perGigabyte: number | null
}

/** Something that holds the outage up. */
export interface HeldUp {
  /** In a sentence, without its end. */
  readonly what: string
  /** The most that its remedy can save. */
  readonly seconds: number
  readonly remedy: string
}

/** The outage to announce. */
export interface Forecast extends StatedRange {
  readonly from: 'runs' | 'estimate'
  /** Runs that it rests on. */
  readonly points: number
  /** The data on the source's disk for which it holds. */
  readonly bytes: Range
  /** What of it is for the freeze of the source, which a rehearsal does not do. */
  readonly freeze: Range
  readonly phases: readonly PhaseForecast[]
  /** What holds it up, the worst first. */
  readonly heldUp: readonly HeldUp[]
  /** What it rests on and what it leaves out, a sentence each. */
  readonly basis: readonly string[]
}
