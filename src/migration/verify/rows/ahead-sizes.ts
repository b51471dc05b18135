/** From which size on tables are read ahead, and how much at a time. */
export interface AheadSizes {
  /** Bytes of a table. */
  from: number
  /** Bytes that one session reads before it looks for other work. */
  piece: number
  /** Bytes of the largest table that is read at once, where ranges of blocks cannot be read. */
  whole: number
}

/**
 * Smaller tables are read when all is restored: together they take no time. A piece takes a second or less, so nothing that is
 * more important waits for long.
 */
export const aheadSizes: AheadSizes = {
  from: 16 * 1_048_576,
  piece: 64 * 1_048_576,
  whole: 512 * 1_048_576,
}
