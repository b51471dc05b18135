import type { EntryResult, ObjectResult } from '../../../report/model.ts'
import { counted } from '../../../text/numbers.ts'
import { describeAcl, granteeOf } from '../catalog/acl.ts'
import type {
  LargeObjectGroup,
  LargeObjectRange,
  LargeObjectsFingerprint,
} from '../rows/large-objects.ts'
import type { ExpectedDifferences } from './expected-differences.ts'
import type { RoleSubstitute } from './sides.ts'

/**
 * Compares large objects: their contents, and apart from that their owners, grants and comments.
 *
 * Digests are compared where both sides have them: at level `data` both always do.
 *
 * @returns no result where neither side has any
 */
export function compareLargeObjects(
  source: LargeObjectsFingerprint | null,
  target: LargeObjectsFingerprint | null,
  expected: ExpectedDifferences,
  substitutes: readonly RoleSubstitute[],
): ObjectResult[] {
  if (!source || !target || source.count + target.count === 0) return []
  const missing: string[] = []
  const different: string[] = []
  const extra: string[] = []
  const explained: EntryResult[] = []
  source.ranges.forEach((range, index) => {
    const other = target.ranges[index]
    const blind = range.unreadable ?? other?.unreadable
    if (blind !== undefined && other?.count === range.count) {
      different.push(`${nameOf(range, other)}: cannot be read: ${blind}`)
      return
    }
    const same =
      other?.digest === undefined || range.digest === undefined || other.digest === range.digest
    if (other && other.count === range.count && same) return
    const name = nameOf(range, other)
    if ((other?.count ?? 0) < range.count) {
      const reason = expected.find((entry) => isLeftOut(entry, range))
      if (reason === undefined) missing.push(name)
      else explained.push({ entry: name, reason })
    } else if ((other?.count ?? 0) > range.count) extra.push(name)
    else different.push(name)
  })
  const attributes = differingGroups(source.groups, target.groups, substitutes, expected)
  different.push(...attributes.different)
  explained.push(...attributes.explained)
  if (
    source.comments.count !== target.comments.count ||
    source.comments.digest !== target.comments.digest
  ) {
    const reason = expected.find((entry) => entry.startsWith('COMMENT LARGE OBJECT'))
    if (reason === undefined) different.push('comments')
    else explained.push({ entry: 'comments', reason })
  }
  return [
    {
      kind: 'large object',
      source: source.count,
      target: target.count,
      missing,
      different,
      ...(extra.length > 0 ? { extra } : {}),
      ...(explained.length > 0 ? { explained } : {}),
    },
  ]
}

/** The owner of the large objects of a source before 9.0. */
const nobody = ''

const reasonForNobody =
  'before PostgreSQL 9.0 a large object belonged to nobody, and everybody could read and write it; on the target it belongs to the account that restored it: GRANT SELECT, UPDATE ON LARGE OBJECT … where others need it'

/** Whether an archive entry holds objects of the range: `BLOB 16400`, `BLOB METADATA 16400..16500`, or all with `BLOBS`. */
function isLeftOut(entry: string, { from, to }: LargeObjectRange): boolean {
  if (!/^BLOB(?:S| METADATA)?\b/.test(entry)) return false
  const oids = entry.match(/\d+/g)?.map(Number) ?? []
  const [first, last = first] = oids
  return first === undefined || last === undefined || (first <= to && last >= from)
}

function nameOf(
  { from, to, count }: LargeObjectRange,
  other: LargeObjectRange | undefined,
): string {
  const there = other?.count ?? 0
  if (count === 1 && there <= 1) return String(from)
  const counts = count === there ? '' : `: ${count} on the source, ${there} on the target`
  return `${from} to ${to}${counts}`
}

function differingGroups(
  source: LargeObjectGroup[],
  target: LargeObjectGroup[],
  substitutes: readonly RoleSubstitute[],
  expected: ExpectedDifferences,
): { different: string[]; explained: EntryResult[] } {
  const different: string[] = []
  const explained: EntryResult[] = []
  const keyOf = ({ owner, acl }: LargeObjectGroup) => JSON.stringify([owner, acl])
  const there = new Map(target.map((group) => [keyOf(group), group]))
  for (const group of source) {
    const other = there.get(keyOf(group))
    if (other && other.count === group.count && other.which === group.which) continue
    const grants = group.acl.map(describeAcl).join(', ')
    const what = `${counted(group.count, 'object')} of "${group.owner}"${grants ? ` with ${grants}` : ''}: owner or grants`
    const roles = [group.owner, ...group.acl.map(granteeOf)]
    const reason =
      (group.owner === nobody ? reasonForNobody : undefined) ??
      substitutes.find(({ role }) => roles.includes(role))?.reason ??
      expected.find((entry) => /^(OWNER|ACL) (BLOB|LARGE OBJECT)/.test(entry))
    if (reason === undefined) different.push(what)
    else explained.push({ entry: what, reason })
  }
  return { different, explained }
}
