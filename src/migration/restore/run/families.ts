import type { Archive } from '../../../postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { tableKey } from './arrivals.ts'

/** The data entries of each table, whichever archive they are in. */
export function rowsOfTables(items: readonly PlannedEntry[]): Map<string, PlannedEntry[]> {
  const rows = new Map<string, PlannedEntry[]>()
  for (const item of items) {
    if (item.entry.desc !== 'TABLE DATA') continue
    const key = tableKey(item.entry)
    const list = rows.get(key)
    if (list) list.push(item)
    else rows.set(key, [item])
  }
  return rows
}

/** For each table itself and all that inherit from it or are attached to it, at any depth. */
export function familiesOf(
  archive: Archive,
  byId: ReadonlyMap<number, ArchiveEntry>,
): (entry: ArchiveEntry) => ArchiveEntry[] {
  const children = new Map<number, ArchiveEntry[]>()
  const child = (parent: number, entry: ArchiveEntry) => {
    const list = children.get(parent)
    if (list) list.push(entry)
    else children.set(parent, [entry])
  }
  for (const entry of archive.entries) {
    const tables = entry.dependencies
      .map((id) => byId.get(id))
      .filter((one): one is ArchiveEntry => one?.desc === 'TABLE')
    if (entry.desc === 'TABLE') for (const parent of tables) child(parent.dumpId, entry)
    // it names the partition by its own tag, the parent is the other one
    if (entry.desc === 'TABLE ATTACH') {
      const self = tables.find((one) => one.tag === entry.tag && one.namespace === entry.namespace)
      for (const parent of tables) if (self && parent !== self) child(parent.dumpId, self)
    }
  }
  return (entry) => {
    const found = new Set([entry])
    for (const member of found) {
      for (const one of children.get(member.dumpId) ?? []) found.add(one)
    }
    return [...found]
  }
}
