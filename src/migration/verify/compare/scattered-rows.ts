import { printable } from '../../../text/text.ts'
import type { DatabaseFingerprint, TableFingerprint } from '../model.ts'
import { keyOf } from '../rows/tables.ts'

/** Why the rows of a partition differ although nothing is wrong. */
const reason = (name: string) =>
  `It is partitioned by the hash of an enum, as every server computes it for itself: all partitions of ${printable(name)} together hold the same rows`

/**
 * Finds partitions whose rows were shared out otherwise on the target, but are the same together. The digest of a table is a sum over
 * its rows, so those of several add up.
 *
 * @param there the target's tables, by keyOf()
 * @returns why each may differ, by keyOf()
 */
export function scatteredRows(
  source: DatabaseFingerprint,
  there: ReadonlyMap<string, TableFingerprint>,
  digests: boolean,
): ReadonlyMap<string, string> {
  const groups = Map.groupBy(
    source.tables.filter(({ scatteredIn }) => scatteredIn !== undefined),
    ({ scatteredIn }) => scatteredIn && keyOf(scatteredIn),
  )
  const explained = new Map<string, string>()
  for (const tables of groups.values()) {
    const [first] = tables
    if (!first?.scatteredIn) continue
    const others = tables.map((table) => there.get(keyOf(table)))
    if (!isSameTogether(tables, others, digests)) continue
    const { schema, name } = first.scatteredIn
    for (const table of tables) explained.set(keyOf(table), reason(`${schema}.${name}`))
  }
  return explained
}

function isSameTogether(
  tables: readonly TableFingerprint[],
  others: readonly (TableFingerprint | undefined)[],
  digests: boolean,
): boolean {
  const [first] = tables
  const found = others.filter((other) => other !== undefined)
  const isOf = ({ scatteredIn, recipe, kind, unlike, unreadable }: TableFingerprint) =>
    unreadable === undefined &&
    unlike === undefined &&
    kind === undefined &&
    recipe === first?.recipe &&
    scatteredIn !== undefined &&
    first?.scatteredIn !== undefined &&
    keyOf(scatteredIn) === keyOf(first.scatteredIn)
  if (found.length !== tables.length || ![...tables, ...found].every(isOf)) return false
  if (!digests) return rowsIn(tables) === rowsIn(found)
  const [before, now] = [digestOf(tables), digestOf(found)]
  return rowsIn(tables) === rowsIn(found) && before !== undefined && before === now
}

const rowsIn = (tables: readonly TableFingerprint[]) =>
  tables.reduce((sum, { rows }) => sum + rows, 0)

/** Of all rows; undefined where a table has none, since its rows were not read. */
function digestOf(tables: readonly TableFingerprint[]): bigint | undefined {
  let sum = 0n
  for (const { digest } of tables) {
    if (digest === undefined) return undefined
    sum += BigInt(digest)
  }
  return sum
}
