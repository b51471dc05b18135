import type { Range } from '../../report/model.ts'
import type { TargetSample } from './target-sample.ts'

/*
 * Where nothing was measured, or what is measured is not what is asked for. Each is what bench/estimate.ts has shown on
 * servers of this machine, low and high wide enough for its five databases.
 */

/** A target that nobody has measured: seconds for a row and a byte, slow disks and far servers included. */
export const unmeasured: TargetSample = {
  load: { row: 5e-7, byte: 1.5e-8 },
  read: { row: 4e-7, byte: 8e-9 },
  index: { seconds: 0.04, rows: 60_000, bytes: 1_200_000 },
  analyze: 8e-7,
  definition: 0.001,
  roundTrip: 0.002,
}
/** An index of another kind takes so many times as long as a b-tree of the same bytes. */
export const slowness: Readonly<Record<string, Range>> = {
  gin: { low: 3, high: 10 },
  gist: { low: 2, high: 6 },
  spgist: { low: 2, high: 5 },
  brin: { low: 10, high: 30 },
  hash: { low: 0.8, high: 1.5 },
}
export const otherKind: Range = { low: 1, high: 6 }
/** Beside what was measured: simpler types and a processor that was busy then; the log, other work, sorting on disk. */
export const loading: Range = { low: 0.5, high: 2 }
/** A digest of a row takes so many times as long as its text. */
export const digest: Range = { low: 0.5, high: 2.2 }
/** Checking a foreign key takes a row so long as a part of sorting it. */
export const foreignKey = 0.5
/** Seconds that ANALYZE takes for a table, beside what its rows take. */
export const analyzing: Range = { low: 0.001, high: 0.006 }
/** Seconds that pg_dump and the catalogs' fingerprint take for an object. */
export const described: Range = { low: 0.0001, high: 0.002 }
/** Seconds of each phase of a database that no size explains: sessions, the mark, programs that start. */
export const start: Record<'dump' | 'restore' | 'analyze' | 'verify', Range> = {
  dump: { low: 0.3, high: 1 },
  restore: { low: 0.5, high: 3 },
  analyze: { low: 0, high: 0.8 },
  verify: { low: 0.2, high: 1.5 },
}
/** The client programs answer quicker than we do, and a processor that is busy answers later. */
export const answering: Range = { low: 0.2, high: 1.5 }
/** Questions to the server for each large object, by pg_dump, by pg_restore, and for its digest. */
export const askedForObject = { dump: 4, restore: 5, verify: 1 }
/** Bytes that a message of a large object holds at most (pg_dump's LOBBUFSIZE). */
export const objectMessage = 16 * 1024
/** Bytes a second to the artifact store, and through encryption on one core (measured; docs/artifacts.md). */
export const uploading: Range = { low: 100e6, high: 10e6 }
export const encrypting: Range = { low: 90e6, high: 50e6 }
/** Bytes. */
export const halfPage = 4096
/** How far off a table is that was looked into, and one that is taken for the average of the others. */
export const counted: Range = { low: 0.75, high: 1.3 }
export const guessed: Range = { low: 0.5, high: 2 }
/** A query that fills a materialized view is nobody's knowledge: loading its rows, once and five times. */
export const filling: Range = { low: 1, high: 5 }
