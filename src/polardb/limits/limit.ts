/**
 * What an account that is no superuser cannot restore, what PolarDB forbids, what a server older than the source does not
 * know, and what a newer one has removed: a rule each, with what it rests on at the
 * head of its group. The rules are data; the restore's plan asks them (src/migration/restore/plan/plan.ts).
 */
export type Power =
  /** Only a real superuser. */
  | 'superuser'
  /** A superuser, or a polar_superuser of PolarDB. */
  | 'polar-superuser'

export interface Limit {
  /** Kinds of archive entries that the rule is about. */
  kinds: readonly string[]
  /** Must be found in the statement, whose names and strings are masked; without it every entry of the kinds. */
  syntax?: RegExp | ((masked: string, kind: string) => boolean)
  /** The power that restoring it takes. */
  needs?: Power
  /** The first major version that knows it. */
  since?: number
  /** The last major version that knows it. */
  until?: number
  /** The source is of this version or newer: before, such a name was a user's own. */
  from?: number
  /** It counts on names without a schema being the system's, which they are in archives that set an empty search_path. */
  qualified?: true
  /** Why it cannot be restored as it is, as the end of "it is left out: …". */
  reason: string
  remedy: string
  /**
   * What takes it out of the statement, so that the rest can be restored; what is lost then is `reason`, and what differs of the
   * object these facets of its fingerprint (`compression of` stands for every column's).
   */
  without?: { words: RegExp; facets: readonly string[] }
  /** Nothing is lost that rows or behaviour depend on. */
  trifle?: true
}

/** Whether a statement, with its literals and comments masked, has what the limit is about. */
export function concerns({ syntax }: Limit, masked: string, kind: string): boolean {
  if (syntax === undefined) return true
  return typeof syntax === 'function' ? syntax(masked, kind) : syntax.test(masked)
}

/** Two servers, as the rules look at them. */
export interface Pair {
  /** Majors; that of the source is NaN where it cannot be read, and then it may have what newer ones have. */
  source: number
  target: number
  /** Names without a schema are the system's in the source's archive. */
  isQualified: boolean
  /** Whether the account has a power on the target. */
  has(power: Power): boolean
}

/** Whether a rule says something of entries of an archive between two servers. */
export function concernsPair(
  { needs, since, until, from, qualified }: Limit,
  { source, target, isQualified, has }: Pair,
): boolean {
  const isAble =
    (needs === undefined || has(needs)) &&
    (since === undefined || target >= since) &&
    (until === undefined || target <= until)
  if (isAble || (from !== undefined && source < from)) return false
  return !qualified || isQualified
}
