import type { Archive } from '../../../postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import type { EntryResult } from '../../../report/model.ts'
import type { ExpectedDifference } from '../../verify/compare/expected-differences.ts'

/** What is lost with an entry that is left out. */
export type Loss =
  /** Nothing that rows or behaviour depend on. */
  'nothing' | 'behaviour' | 'rows'

export type Decision =
  | { kind: 'restore' }
  /** Restored by another statement than the archive's. */
  | {
      kind: 'otherwise'
      definition: string
      reason: string
      /** What of its fingerprint differs for that (see ExpectedDifference). */
      facets: readonly string[]
    }
  | {
      kind: 'leave-out'
      reason: string
      remedy: string
      loss: Loss
      /** The entry that takes this one along. */
      along?: PlannedEntry
      /** It is not lost: the target has it. */
      there?: true
      /** No rehearsal can have it: it goes among the losses without being named in `allow-missing`. */
      ofRehearsal?: true
      /** The target refused it, or what it hangs on, after the rows were in: nothing that was expected. */
      failed?: true
    }

export interface PlannedEntry {
  archive: Archive
  entry: ArchiveEntry
  /** As `allow-missing` and the report name it. */
  name: string
  decision: Decision
  /** It takes the account itself: the role that loads must not be able to make it, or does not own what it is about. */
  byAccount?: boolean
  /** Entries that it needs although pg_dump notes no dependency (see Needs). */
  needs?: ArchiveEntry[]
  /** It holds no row, as the dump says. */
  empty?: boolean
}

/** For an entry that the target cannot take, or does not need. */
export function leaveOut(
  reason: string,
  remedy: string,
  loss: Loss,
): Decision & { kind: 'leave-out' } {
  return { kind: 'leave-out', reason, remedy, loss }
}

/** Whether rows or behaviour go with an entry that is left out. */
export function isLoss(
  item: PlannedEntry,
): item is PlannedEntry & { decision: Decision & { kind: 'leave-out' } } {
  return item.decision.kind === 'leave-out' && item.decision.loss !== 'nothing'
}

/** What leaving an entry out loses by its kind. */
export function lossOf(entry: ArchiveEntry): Loss {
  switch (entry.desc) {
    case 'ACL':
    case 'COMMENT':
    case 'DEFAULT ACL':
    case 'SEQUENCE SET':
    case 'SEQUENCE OWNED BY':
    case 'STATISTICS':
    case 'STATISTICS DATA':
      return 'nothing'
    case 'TABLE':
    case 'TABLE DATA':
    case 'BLOB':
    case 'BLOBS':
    case 'BLOB METADATA':
      return 'rows'
    default:
      return 'behaviour'
  }
}

/**
 * The differences that the comparison has to expect, because entries were left out or changed.
 *
 * @param skipped what the report says of it
 */
export function expectedDifferences(
  skipped: readonly EntryResult[],
  entries: readonly PlannedEntry[],
): ExpectedDifference[] {
  const known = new Map(
    entries.flatMap(({ name, decision }) =>
      decision.kind === 'restore' ? [] : [[name, decision] as const],
    ),
  )
  return skipped.map((one) => {
    const decision = known.get(one.entry)
    if (decision?.reason !== one.reason) return one
    if (decision.kind === 'otherwise') return { ...one, facets: decision.facets }
    return decision.ofRehearsal ? { ...one, notCompared: true } : one
  })
}
