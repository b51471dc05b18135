import type { HistoryPoint } from '../../report/model.ts'

/** Points that are kept whole: three months of nights. */
export const newestKept = 100
/** Of those before them the last of each month, for so many months. */
export const monthsKept = 60

/**
 * Puts points of any number of reports together: that of each run and attempt once, the oldest first. A report so carries what those before it
 * knew, and outlives them. It does not grow without end: the newest hundred are kept, and of what is older the last of each
 * calendar month, for five years. In whatever order, how often and in what portions points are folded, the same are left.
 */
export function foldHistory(...lists: (readonly HistoryPoint[])[]): HistoryPoint[] {
  const byRun = new Map<string, { point: HistoryPoint; text: string }>()
  for (const point of lists.flat()) {
    const { run, attempt, startedAt, command, source, target, databases } = point
    const key = JSON.stringify([run, attempt, startedAt, command, source, target, databases])
    const text = canonical(point)
    const known = byRun.get(key)
    // two that say otherwise of one run: neither is better, but it is always the same
    if (!known || text < known.text) byRun.set(key, { point, text })
  }
  const ordered = [...byRun.values()]
    .sort((one, other) => compare(moment(other), moment(one)) || compare(one.text, other.text))
    .map(({ point }) => point)
  const months = new Map<string, HistoryPoint>()
  for (const point of ordered.slice(newestKept)) {
    const month = point.startedAt.slice(0, 7)
    if (!months.has(month)) months.set(month, point)
  }
  const older = [...months.values()].slice(0, monthsKept)
  return [...ordered.slice(0, newestKept), ...older].reverse()
}

const moment = ({ point }: { point: HistoryPoint }) => Date.parse(point.startedAt)

const compare = <T>(one: T, other: T) => (one < other ? -1 : one > other ? 1 : 0)

/** The same text for equal points, in whatever order their fields came. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => compare(a, b)))
      : inner,
  )
}
