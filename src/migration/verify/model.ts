import type { Stillness } from '../freeze/stillness.ts'
import type { CatalogFingerprint } from './catalog/model.ts'
import type { DigestMethod, Recipe } from './rows/digest.ts'
import type { LargeObjectsFingerprint } from './rows/large-objects.ts'
import type { SequenceState } from './rows/sequences.ts'
import type { NotRead } from './rows/tables.ts'

/** The values of the input `verify`. */
export const levels = ['none', 'counts', 'data'] as const
export type Level = (typeof levels)[number]

export interface TableFingerprint {
  schema: string
  name: string
  /** Absent for ordinary tables and leaf partitions. */
  kind?: 'materialized view'
  /** Only where false: a materialized view that holds nothing yet. */
  populated?: false
  rows: number
  /** The sum over all rows of 64 bits a row, as a decimal number. */
  digest?: string
  /** Which of the fingerprint's recipes gave the digest. */
  recipe?: number
  /** On the target: columns that the recipe names and that are missing here, or are of another type. */
  unlike?: string[]
  /** Why its rows could not be read: `rows` and `digest` then say nothing, and nothing is proven of it. */
  unreadable?: string
}

/** A sequence at the dump's start and, where it moved meanwhile, at its end. */
export interface SequenceFingerprint extends SequenceState {
  later?: { last: string; called: boolean }
}

/**
 * What a database holds, as plain data for the dump's manifest. It holds names and hashes, never a value of a row.
 */
export interface DatabaseFingerprint {
  /** The version of this structure. */
  format: 1
  /** `server_version_num` of the server that it was taken from. */
  server: number
  encoding: string
  level: Level
  method: DigestMethod
  /** `extra_float_digits` where floats are inside of something that only its output function reads. */
  floatDigits: 0 | 3
  /** Null when everything is of one moment; else why it may not be. */
  moments: string | null
  /** Where it is not of one moment: whether nothing was written meanwhile. */
  still?: Stillness
  recipes: Recipe[]
  tables: TableFingerprint[]
  notRead: NotRead[]
  sequences: SequenceFingerprint[]
  /** Null at level `none`. */
  largeObjects: LargeObjectsFingerprint | null
  /** Null but at level `data`. */
  catalog: CatalogFingerprint | null
  /** Rows read, and the seconds that took, of all jobs together. */
  rows: number
  seconds: number
  rowsPerSecond: number
}
