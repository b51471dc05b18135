import type { Archive } from '../../postgres/archive/archive.ts'

/** An archive with rows that is still being dumped. */
export interface ExpectedPart {
  /** The tables whose rows it will hold, with their bytes on the source: work on them is weighed by those until it is there. */
  readonly tables: readonly {
    readonly schema: string
    readonly name: string
    readonly bytes: number
  }[]
  /** It holds the rows of every table that no other one names, too. */
  readonly isRest: boolean
}

/** An archive with rows, where it will lie. */
export interface ArrivingPart extends ExpectedPart {
  readonly directory: string
}

/** The archives with the rows of one database, whose dump is still being made, as they become complete. */
export interface ArrivingParts {
  /** All of them, in the order in which they are dumped. */
  readonly parts: readonly ArrivingPart[]
  /**
   * Waits for the next one of a single table whose rows begin to come.
   *
   * @throws Cancelled as soon as the signal fires
   */
  flowing(signal: AbortSignal): Promise<ArrivingPart>
  /**
   * Waits for the next one that is complete.
   *
   * @returns undefined when all have come
   * @throws Cancelled as soon as the signal fires
   */
  next(signal: AbortSignal): Promise<ArrivingPart | undefined>
  /**
   * Waits until the whole database is dumped, with the number of its rows.
   *
   * @returns of each table by quoted name; undefined where nobody counted them
   * @throws Cancelled as soon as the signal fires
   */
  expectedRows(signal: AbortSignal): Promise<ReadonlyMap<string, number> | undefined>
  /** Looks at what is in an archive before it is used. @throws Failure when something that it needs is not on the target */
  check(archive: Archive): Promise<void>
}
