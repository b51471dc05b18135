import * as v from 'valibot'
import { count, digits, fields, flag, list, measure, oneOf, text } from '../kept/schema.ts'
import { catalogFingerprint } from './catalog/model.ts'
import { isKnownForm } from './rows/digest.ts'
import { largeObjectsFingerprint } from './rows/large-objects.ts'
import { sequenceFields } from './rows/sequences.ts'
import { notRead } from './rows/tables.ts'

/** The values of the input `verify`. */
export const levels = ['none', 'counts', 'data'] as const
export type Level = (typeof levels)[number]

const tableFingerprint = fields({
  schema: text,
  name: text,
  /** Absent for ordinary tables and leaf partitions. */
  kind: v.exactOptional(oneOf(['materialized view'])),
  /** Only where false: a materialized view that holds nothing yet. */
  populated: v.exactOptional(oneOf([false])),
  rows: count,
  /** The sum over all rows of 64 bits a row, as a decimal number. */
  digest: v.exactOptional(digits),
  /** Which of the fingerprint's recipes gave the digest. */
  recipe: v.exactOptional(count),
  /** On the target: columns that the recipe names and that are missing here, or are of another type. */
  unlike: v.exactOptional(list(text)),
  /** The partitioned table among whose partitions its rows are shared out otherwise by every server (see scatteredTables). */
  scatteredIn: v.exactOptional(fields({ schema: text, name: text })),
  /** Why its rows could not be read: `rows` and `digest` then say nothing, and nothing is proven of it. */
  unreadable: v.exactOptional(text),
})
export type TableFingerprint = v.InferOutput<typeof tableFingerprint>

const standing = fields({ last: digits, called: flag })

/** A sequence at the dump's start and, where it moved meanwhile, at its end. */
const sequenceFingerprint = fields({
  ...sequenceFields,
  later: v.exactOptional(standing),
  /** Where it moved: as it is in the dump, in whose archives it may be more than once. */
  dumped: v.exactOptional(list(standing)),
})
export type SequenceFingerprint = v.InferOutput<typeof sequenceFingerprint>

const recipeColumn = v.strictTuple(
  [text, v.pipe(text, v.check(isKnownForm, 'is no form that this version knows'))],
  'is no pair of a column and its form',
)

/**
 * What a database holds, as plain data for the dump's manifest. It holds names and hashes, never a value of a row.
 */
export const databaseFingerprint = fields({
  /** The version of this structure. */
  format: v.literal(1, 'is of another version'),
  /** `server_version_num` of the server that it was taken from. */
  server: count,
  encoding: text,
  level: oneOf(levels),
  method: oneOf(['hash', 'md5']),
  /** `extra_float_digits` where floats are inside of something that only its output function reads. */
  floatDigits: oneOf([0, 3]),
  /** Null when everything is of one moment; else why it may not be. */
  moments: v.nullable(text),
  /** Where it is not of one moment: whether nothing was written meanwhile. */
  still: v.exactOptional(oneOf([true, false, 'unknown'])),
  recipes: list(list(recipeColumn)),
  tables: list(tableFingerprint),
  notRead: list(notRead),
  sequences: list(sequenceFingerprint),
  /** Null at level `none`. */
  largeObjects: v.nullable(largeObjectsFingerprint),
  /** Null but at level `data`. */
  catalog: v.nullable(catalogFingerprint),
  /** Rows read, and the seconds that took, of all jobs together. */
  rows: count,
  seconds: measure,
  rowsPerSecond: measure,
})
export type DatabaseFingerprint = v.InferOutput<typeof databaseFingerprint>
