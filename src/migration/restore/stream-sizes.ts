/** When the rows of one table go through several sessions at once. */
export interface StreamSizes {
  /** Bytes of the table's data file from which on it may have more than one. */
  from: number
  /** Sessions at most. */
  most: number
  /** Bytes of rows after which another session takes over. */
  piece: number
}

/**
 * Below 64 MiB a table is loaded before another session would have begun. A piece is so large that a session is not changed with
 * every packet, and so small that eight of them are no matter of memory.
 */
export const streamSizes: StreamSizes = { from: 64 * 1024 * 1024, most: 8, piece: 512 * 1024 }
