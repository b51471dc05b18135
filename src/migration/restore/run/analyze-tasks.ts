import { messageOf } from '../../../failure.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { mayPass, sqlstateOf } from '../../../postgres/errors.ts'
import { printable } from '../../../text/text.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { Arrivals, tableKey } from './arrivals.ts'
import { tableOf } from './load.ts'
import type { Books, PatientSession } from './patient-session.ts'
import { link, newTask, type Task } from './task.ts'

/** What statistics are collected of or for beside a table's columns: of expressions in an index, and by CREATE STATISTICS. */
const described = /^(INDEX|CONSTRAINT|STATISTICS)$/

/**
 * Adds the collecting of planner statistics, table by table, as soon as a table's rows, indexes and extended statistics are
 * there. Nothing waits for it, so it fills the time in which a worker would have nothing else to do. Tables with partitions or
 * heirs are not among them: their statistics are of all their rows together.
 *
 * @param tasks of makeTasks()
 * @param items all entries that are restored, those that are done included
 */
export function withAnalyze(tasks: readonly Task[], items: readonly PlannedEntry[]): Task[] {
  const loads = new Map<string, Task[]>()
  const builders = new Map<string, Task[]>()
  const add = (map: Map<string, Task[]>, key: string, task: Task) => {
    const list = map.get(key)
    if (list) list.push(task)
    else map.set(key, [task])
  }
  for (const task of tasks) {
    for (const { entry } of task.items) {
      if (entry.desc === 'TABLE DATA') add(loads, tableKey(entry), task)
      if (!described.test(entry.desc)) continue
      for (const key of [...task.exclusive, ...task.sharing]) add(builders, key, task)
    }
  }
  const arrivals = new Arrivals(tasks.filter(({ kind }) => kind === 'arrival'))
  const parents = parentsAmong(items)
  const added = items.flatMap((item) => {
    const { entry, archive, byAccount } = item
    if (entry.desc !== 'TABLE' || parents.has(entry) || byAccount) return []
    const task = newTask('analyze', [item])
    link(task, arrivals.await(task, entry))
    for (const load of loads.get(tableKey(entry)) ?? []) {
      link(task, load)
      // one load may hold the rows of hundreds of tables
      for (const { entry: one } of load.items) {
        if (one.tag === entry.tag && one.namespace === entry.namespace) task.weight += one.dataBytes
      }
    }
    if (task.needs.size === 0) return []
    const key = `${archive.directory}\0${entry.dumpId}`
    for (const builder of builders.get(key) ?? []) link(task, builder)
    task.sharing = [key]
    return [task]
  })
  return [...tasks, ...added]
}

/** Tables that are partitioned or that others inherit from. */
function parentsAmong(items: readonly PlannedEntry[]): Set<ArchiveEntry> {
  const parents = new Set<ArchiveEntry>()
  for (const archive of new Set(items.map((item) => item.archive))) {
    const byId = new Map(archive.entries.map((entry) => [entry.dumpId, entry]))
    for (const entry of archive.entries) {
      if (entry.relationKind === 'p') parents.add(entry)
      if (!/^(TABLE|FOREIGN TABLE|TABLE ATTACH)$/.test(entry.desc)) continue
      for (const id of entry.dependencies) {
        const needed = byId.get(id)
        if (needed?.desc === 'TABLE' && tableKey(needed) !== tableKey(entry)) parents.add(needed)
      }
    }
  }
  return parents
}

/**
 * Collects the statistics of some tables, and notes of which (see Books.analyzed). What the target refuses here is left to the
 * phase that comes after the restore, which says so.
 *
 * @throws EntryFailed when the target cannot be reached any more; Cancelled
 */
export async function analyzeTables(
  worker: PatientSession,
  run: Books,
  tasks: readonly Task[],
): Promise<void> {
  const items = tasks
    .flatMap((task) => task.items)
    .filter(({ decision }) => decision.kind !== 'leave-out')
  const [first] = items
  if (!first) return
  const running = worker.begin(`ANALYZE ${printable(tableOf(first))}`, 0)
  try {
    await worker.retrying(
      'planner statistics',
      'ANALYZE',
      async (session) => {
        // without the right ANALYZE passes over a table with no more than a warning
        const { rows } = await session.query<{ table: string }>(
          `SELECT t.name AS table FROM pg_catalog.unnest($1::pg_catalog.text[]) t(name)
             JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(t.name)
            WHERE c.relkind = 'r' AND NOT c.relhassubclass AND pg_catalog.pg_has_role(session_user, c.relowner, 'USAGE')`,
          [items.map(tableOf)],
        )
        const tables = rows.map(({ table }) => table)
        try {
          const client = await session.foreign(first.archive, '')
          await client.query(tables.map((table) => `ANALYZE ${table};`).join('\n'))
          for (const table of tables) run.analyzed.add(table)
        } catch (error) {
          if (sqlstateOf(error) === undefined || mayPass(error)) throw error
          run.context.log.debug(`statistics are collected later: ${messageOf(error)}`)
        }
      },
      run.loginOf(first),
    )
  } finally {
    running.end()
  }
}
