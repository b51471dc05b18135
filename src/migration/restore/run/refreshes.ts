import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { newTask, type Task } from './task.ts'

/**
 * The materialized views that are filled when everything else is done. What each weighs are the rows of the tables that it
 * reads, directly or by other views.
 *
 * @param items all entries of a plan that are restored
 */
export function refreshTasks(items: readonly PlannedEntry[]): Task[] {
  const bytes = new Map<string, number>()
  for (const { entry } of items) {
    if (entry.desc !== 'TABLE DATA') continue
    const key = keyOf(entry)
    bytes.set(key, (bytes.get(key) ?? 0) + entry.dataBytes)
  }
  const views = items.filter(({ entry }) => entry.desc === 'MATERIALIZED VIEW DATA')
  const known = new Map<readonly ArchiveEntry[], Map<number, ArchiveEntry>>()
  return views.map((item) => {
    const { entries } = item.archive
    const byId = known.get(entries) ?? new Map(entries.map((entry) => [entry.dumpId, entry]))
    known.set(entries, byId)
    const read = new Set([item.entry])
    for (const entry of read) {
      for (const id of entry.dependencies) {
        const needed = byId.get(id)
        if (needed && /^(TABLE|VIEW|MATERIALIZED VIEW)$/.test(needed.desc)) read.add(needed)
      }
    }
    return Object.assign(newTask('statement', [item]), {
      weight: [...read].reduce(
        (sum, entry) => sum + (entry.desc === 'TABLE' ? (bytes.get(keyOf(entry)) ?? 0) : 0),
        0,
      ),
    })
  })
}

const keyOf = ({ namespace, tag }: ArchiveEntry) => `${namespace}\0${tag}`
