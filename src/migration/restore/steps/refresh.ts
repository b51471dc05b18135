import { sqlstateOf } from '../../../postgres/errors.ts'
import { qualifiedName } from '../../../postgres/identifiers.ts'
import { inPool } from '../../pool.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { refreshTasks } from '../run/refreshes.ts'
import { Schedule } from '../run/schedule.ts'
import type { Login } from '../run/target-session.ts'
import { link, type Task } from '../run/task.ts'
import type { Worker } from '../run/worker.ts'
import type { RunningRestore } from '../running-restore.ts'

/** SQLSTATE of reading a materialized view that is not filled yet (object_not_in_prerequisite_state). */
const notFilled = '55000'

/**
 * Fills the materialized views, several at once, each after those that it reads: directly or by other views, as pg_dump says
 * (pg_dump.c, buildMatViewRefreshDependencies). One that reads another by a function, of which pg_dump knows nothing, finds it
 * empty at first, and is tried again when others are done.
 *
 * @throws EntryFailed when the restore cannot go on; Cancelled
 */
export async function refreshViews(restore: RunningRestore): Promise<void> {
  const { execution, options, context } = restore
  const tasks = refreshTasks(restore.select(() => true))
  if (tasks.length === 0) return
  const byId = new Map(tasks.map((task) => [idOf(task.items[0]), task]))
  for (const task of tasks) {
    for (const item of task.items) {
      for (const id of item.entry.dependencies) {
        link(task, byId.get(`${item.archive.directory}\0${id}`))
      }
      await letRead(restore, item)
      // what the account lends itself for it is written down by one after the other
      if (loginOf(restore, item) === 'account') task.exclusive.push('the account')
    }
  }
  await restore.worker.drop()
  // shared among so many that each goes on its own: what a view takes, its tables do not say
  const schedule = new Schedule(tasks, tasks.length, execution.progress.costs)
  const queue = {
    next: async () => (await schedule.next(execution.signal))[0],
    close: () => schedule.close(),
  }
  const pool = {
    workers: Math.min(options.jobs, tasks.length),
    signal: context.signal,
    open: () => execution.worker(),
    close: (worker: Worker) => worker.close(),
  }
  await inPool(queue, pool, async (task, worker) => {
    if (await refresh(restore, task, worker, schedule)) schedule.done(task)
  })
}

const idOf = (item: PlannedEntry | undefined) => `${item?.archive.directory}\0${item?.entry.dumpId}`

/** Who may work on what an entry is about, now that objects have their owners. */
export function loginOf(restore: RunningRestore, item: PlannedEntry): Login {
  return restore.execution.loader?.loginFor(restore.ownership.ownerOf(item)) ?? 'account'
}

async function letRead(restore: RunningRestore, item: PlannedEntry): Promise<void> {
  const { loader } = restore.execution
  if (!loader || restore.ownership.ownerOf(item) !== undefined) return
  const view = qualifiedName(item.entry.namespace, item.entry.tag)
  await restore.worker.retrying(item.name, '', (session) => loader.letRead(session, view))
}

/**
 * The code of a materialized view runs as its owner, and must not find the account behind him.
 *
 * @returns false when it was put off
 */
async function refresh(
  restore: RunningRestore,
  task: Task,
  worker: Worker,
  schedule: Schedule,
): Promise<boolean> {
  const { execution } = restore
  for (const item of task.items) {
    // one that it reads may have taken it along
    if (item.decision.kind === 'leave-out') continue
    const { name, entry, archive } = item
    const login = loginOf(restore, item)
    const running = worker.begin(name, 1, [item])
    const from = performance.now()
    let isPutOff = false
    let isLeftOut = false
    let isDone = false
    try {
      isDone = await worker.collecting(
        name,
        entry.definition,
        async (session) => {
          try {
            if (login === 'account') {
              await restore.rights.as(session, entry.owner, entry.definition, item)
              return
            }
            const client = await session.foreign(archive, entry.namespace)
            await client.query(entry.definition)
          } catch (error) {
            isPutOff = sqlstateOf(error) === notFilled && schedule.postpone(task)
            isLeftOut = !isPutOff && execution.leaveOutRefused(item, error)
            if (!isPutOff && !isLeftOut) throw error
          }
        },
        item,
        login,
      )
    } finally {
      running.end(!isPutOff)
    }
    if (isPutOff) return false
    if (!isDone || isLeftOut) continue
    restore.later++
    restore.execution.times.statements([item], from)
  }
  return true
}
