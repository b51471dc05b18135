import type { Patience } from '../postgres/watchdog.ts'
import type { Report } from '../report/model.ts'
import type { ReportWriter } from '../report/writer.ts'
import type { PartSizes } from './dump/part-sizes.ts'
import type { Limits } from './kept/upload-limits.ts'
import type { StreamSizes } from './restore/stream-sizes.ts'
import type { AheadSizes } from './verify/rows/ahead-sizes.ts'

/**
 * What the engine needs from the world around it. The action hands in the runner's (src/action/); a test hands in its
 * own. Every text given to it may hold hostile names from a database: the implementation makes it harmless.
 */
export interface Logger {
  debug(message: string): void
  info(message: string): void
  /** Shows a line now. Annotations come from the report's `warnings` (see Context.warn). */
  warning(message: string): void
}

/** A line about long work: what, how far, how fast, how long still. Shown at most every few seconds. */
export interface Progress {
  update(line: string): void
}

/** How a run goes on that was to restore and did not end well, as the end of a remedy's sentence; see go-on.ts. */
export interface WayOn {
  /** While it is not known yet whether the dump can be kept: as if it could. */
  hoped: string
  /** By what is known when it is asked: whether the dump is kept, and whether anything of it is on the target. */
  now(): string
}

export interface Context {
  log: Logger
  progress: Progress
  /** Aborted when the job is cancelled: pass it to whatever waits, connects or runs a program. */
  signal: AbortSignal
  /** Seconds to wait before the first, second, … new try of what a lost connection or the like interrupted; see retry.ts. */
  pauses?: readonly number[]
  /** What the peer of a program may be silent for; see watchdog.ts. */
  patience?: Patience
  /** Milliseconds between two looks that show whether the source is written to; see freeze/writers.ts. */
  sample?: number
  /** From which sizes on a database is dumped in parts; see dump/part-sizes.ts. */
  partSizes?: PartSizes
  /** How large the parts of an upload are; see kept/upload.ts. */
  uploadLimits?: Partial<Limits>
  /** When the rows of one table go through several sessions; see restore/stream-sizes.ts. */
  streamSizes?: StreamSizes
  /** From which size on a table is read while others are restored; see verify/rows/ahead.ts. */
  aheadSizes?: AheadSizes
  goOn?: WayOn
  /** The name of the rehearsal that this run is: all that it makes on the target begins with it. */
  rehearsal?: string
  /** A private directory (0700) under the runner's temporary one, removed by the post step. */
  temporaryDirectory: string
  /** Where phases record their results as soon as they have them. */
  record: ReportWriter
  /** What is recorded so far. */
  report: Report
  /** Registers a secret that was made during the run, so that it is masked wherever it may turn up. */
  secret?(value: string): void
  /** A warning for the user: kept in the report (once), logged, and annotated at the end. */
  warn(message: string): void
}
