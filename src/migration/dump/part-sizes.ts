/** From which sizes on a database is dumped in parts. */
export interface PartSizes {
  /** Bytes of the tables of a database, below which it is dumped into one archive. */
  database: number
  /** Bytes from which on a table is in a part of its own, where it is also that share of all tables. */
  table: number
  share: number
  /** Data archives of a database at most: each is a run of pg_dump, which reads the catalogs again. */
  parts: number
}

const MiB = 1024 * 1024
export const partSizes: PartSizes = {
  database: 128 * MiB,
  table: 64 * MiB,
  share: 1 / 16,
  parts: 8,
}
