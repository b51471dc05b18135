/** Where the reports of earlier runs come from: GitHub, as the engine sees it. */
export interface EarlierRuns {
  /** This run: its id, and which attempt at it. */
  readonly run: string
  readonly attempt: number
  /** How to make a history known where none was looked for, as the end of a sentence. */
  readonly ways: string
  /**
   * Hands over the reports of earlier runs of the same workflow, the newest first, until that is enough. What is missing,
   * expired or refused is said and never an error: nothing depends on a history.
   *
   * @param token may read the runs and artifacts of this repository (`actions: read`)
   * @param take told the content of a `report.json` and whose it is, as a sentence shows it; returns whether more are wanted
   * @param scratch a private directory for what is downloaded
   * @returns what should be known of it, a sentence each without its end
   * @throws Cancelled
   */
  read(
    token: string,
    take: (report: Uint8Array, whose: string) => boolean,
    scratch: string,
    signal: AbortSignal,
  ): Promise<string[]>
}

/** Where there is no service that keeps reports: each run is known by the moment that it began, and `history` alone tells of others. */
export function noEarlierRuns(): EarlierRuns {
  return {
    run: `local-${new Date().toISOString()}`,
    attempt: 1,
    ways: 'name a directory with their reports as history',
    read: async () => [],
  }
}
