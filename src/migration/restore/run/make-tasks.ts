import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import type { ExpectedPart } from '../arriving.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { Arrivals, tableKey } from './arrivals.ts'
import { familiesOf, rowsOfTables } from './families.ts'
import { type Load, makeLoads } from './load.ts'
import { link, newTask, type Task, withOneMore } from './task.ts'
import { inTwoSteps } from './two-steps.ts'

/** Kinds that lock their tables against each other (PostgreSQL, "Table-Level Locks"; pg_restore's identify_locking_dependencies). */
const locking =
  /^((CHECK |FK )?CONSTRAINT|RULE|TRIGGER|POLICY|ROW SECURITY|(INDEX|TABLE) ATTACH|DEFAULT|PUBLICATION TABLE)$/

/**
 * The data and post-data entries of a plan as tasks that wait for one another. What needs a table needs its rows, and those
 * of its partitions and heirs: a trigger or key made before they are in would act on every row.
 *
 * @param items what is to be done, in the order of the archives
 * @param expected archives that are still to come: what needs their rows waits for them (see Schedule.arrive)
 */
export function makeTasks(
  items: readonly PlannedEntry[],
  expected: readonly ExpectedPart[] = [],
): Task[] {
  const tasks: Task[] = []
  const byEntry = new Map<ArchiveEntry, Task>()
  const add = (kind: Task['kind'], members: PlannedEntry[], load: Load | null): Task => {
    const task = newTask(kind, members, load)
    tasks.push(task)
    for (const { entry } of members) byEntry.set(entry, task)
    return task
  }
  for (const load of makeLoads(items.filter(({ entry }) => entry.hasData))) {
    add('load', load.items, load)
  }
  for (const item of items) if (!item.entry.hasData) add('statement', [item], null)

  const rows = rowsOfTables(items)
  const arrivals = new Arrivals(
    expected.map((part) => {
      const weight = part.tables.reduce((sum, { bytes }) => sum + bytes, 0)
      return Object.assign(add('arrival', [], null), { part, weight })
    }),
  )
  for (const archive of new Set(items.map((item) => item.archive))) {
    const byId = new Map(archive.entries.map((entry) => [entry.dumpId, entry]))
    const family = familiesOf(archive, byId)
    const keys = new Map<number, string>()
    const keyOf = (id: number) => {
      const key = keys.get(id) ?? `${archive.directory}\0${id}`
      keys.set(id, key)
      return key
    }
    for (const item of items) {
      if (item.archive !== archive) continue
      const task = byEntry.get(item.entry)
      if (!task) continue
      for (const id of item.entry.dependencies) {
        const entry = byId.get(id)
        if (!entry) continue
        link(task, byEntry.get(entry))
        if (!/^(TABLE|FOREIGN TABLE|MATERIALIZED VIEW)$/.test(entry.desc)) continue
        const key = keyOf(id)
        if (item.entry.section === 'post-data') {
          const list = locking.test(item.entry.desc) ? 'exclusive' : 'sharing'
          task[list] = withOneMore(task[list], key)
          for (const member of family(entry)) {
            link(task, arrivals.await(task, member))
            for (const one of rows.get(tableKey(member)) ?? []) {
              link(task, byEntry.get(one.entry))
              task.weight += one.entry.dataBytes
            }
          }
        }
      }
    }
  }
  return inTwoSteps(tasks)
}
