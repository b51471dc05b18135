import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import type { ExpectedPart } from '../arriving.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { Arrivals, tableKey } from './arrivals.ts'
import { Chains, Costs } from './costs.ts'
import { familiesOf, rowsOfTables } from './families.ts'
import { HeldTables } from './held-tables.ts'
import { type Load, makeLoads } from './load.ts'
import { ReadyTasks } from './ready-tasks.ts'
import { link, newTask, smallWeight, type Task, withOneMore } from './task.ts'
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
    expected.map((part) => Object.assign(add('arrival', [], null), { part })),
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

/** Statements that go to the server in one message, where their tables are small. */
export const mostTogether = 100

function isSmall(task: Task): boolean {
  return /^(statement|analyze)$/.test(task.kind) && task.step === null && task.weight < smallWeight
}

/** Hands out tasks whose needs are met and whose tables are free: the one with the longest chain of work behind it first. */
export class Schedule {
  private readonly waiting: Set<Task>
  /** Arrivals that have not come yet, and which of all of them brings which rows. */
  private readonly expected: Set<Task>
  private readonly arrivals: Arrivals
  private readonly running = new Set<Task>()
  private readonly tables = new HeldTables()
  private readonly ready = new ReadyTasks()
  private readonly costs: Costs
  private chains: Chains
  private readonly putOff: Task[] = []
  private doneCount = 0
  private closed = false
  private readonly workers: number
  private wake = Promise.withResolvers<void>()

  /** @param workers how many share the tasks; `costs` learn what they take */
  constructor(tasks: readonly Task[], workers = 1, costs = new Costs()) {
    this.costs = costs
    this.workers = Math.max(1, workers)
    this.waiting = new Set(tasks)
    this.expected = new Set(tasks.filter(({ kind }) => kind === 'arrival'))
    this.arrivals = new Arrivals([...this.expected])
    this.chains = new Chains(tasks)
    this.chains.measure(this.costs)
    this.offerFree(tasks)
  }

  /**
   * The next task, with others that are so small that the way to the server takes longer than they do; none when all are
   * done. Waits while everything that is left waits for others.
   */
  async next(signal: AbortSignal): Promise<Task[]> {
    for (;;) {
      signal.throwIfAborted()
      if (this.closed) return []
      const task = this.putOffAtLast() ?? this.take()
      if (task) return [task, ...this.company(task)]
      if (this.waiting.size === 0) return []
      if (this.running.size === 0 && this.expected.size === 0)
        throw new Error('entries of the archive wait for one another in a circle')
      const aborted = Promise.withResolvers<void>()
      const abort = () => aborted.resolve()
      signal.addEventListener('abort', abort, { once: true })
      await Promise.race([this.wake.promise, aborted.promise])
      signal.removeEventListener('abort', abort)
    }
  }

  /** What is not done yet. */
  left = () => [...this.waiting]

  /** Hands out nothing any more. */
  close(): void {
    this.closed = true
    this.notify()
  }

  /** @param seconds what it took, with so many others `together`: the order of the rest is corrected by it */
  done(task: Task, seconds?: number, together = 1): void {
    this.release(task)
    if (seconds !== undefined && this.costs.learn(task, seconds, together)) this.measure()
    this.free(task)
  }

  /**
   * An archive that was expected is there: its rows take the place of the arrival before everything that waited for them.
   *
   * @param part as makeTasks() was given it
   * @param tasks of makeTasks() for its entries; those of tables that are left out are not among them
   */
  arrive(part: ExpectedPart, tasks: readonly Task[]): void {
    const arrival = [...this.expected].find((one) => one.part === part)
    if (!arrival) throw new Error('an archive has come that was not expected, or a second time')
    const rows = new Map<string, { load: Task; bytes: number }>()
    for (const load of tasks) {
      this.waiting.add(load)
      for (const { name, entry } of load.items) {
        if (entry.desc !== 'TABLE DATA') continue
        const key = tableKey(entry)
        if (this.arrivals.of(key) !== arrival || rows.has(key))
          throw new Error(`${name} has come in another archive than the one that was to bring it`)
        rows.set(key, { load, bytes: entry.dataBytes })
      }
    }
    for (const waiting of arrival.neededBy) {
      for (const [key, presumed] of waiting.awaited ?? []) {
        const found = rows.get(key)
        if (!found) continue
        link(waiting, found.load)
        waiting.weight += found.bytes - presumed
        waiting.awaited?.delete(key)
      }
    }
    this.expected.delete(arrival)
    this.chains = new Chains([...this.waiting])
    this.measure()
    this.offerFree(tasks)
    this.free(arrival)
  }

  private measure(): void {
    this.chains.measure(this.costs)
    this.ready.sort()
  }

  /** Whoever waited for nothing but this can be begun now. */
  private free(task: Task): void {
    this.waiting.delete(task)
    // what was read brings no rows to those that were put off
    if (task.kind !== 'digest') this.doneCount++
    for (const next of task.neededBy) {
      next.needs.delete(task)
      if (next.needs.size === 0) this.ready.offer(next)
    }
    this.notify()
  }

  private offerFree(tasks: readonly Task[]): void {
    for (const task of tasks) {
      if (task.needs.size === 0 && task.kind !== 'arrival') this.ready.offer(task)
    }
  }

  /**
   * Puts a task back until everything that does not wait for it is done: what it looked for may be there then.
   *
   * @returns false when nothing was done since the last time, so that another try would end in the same way
   */
  postpone(task: Task): boolean {
    if (task.putOffAt === this.doneCount) return false
    this.release(task)
    task.putOffAt = this.doneCount
    this.putOff.push(task)
    this.notify()
    return true
  }

  /** Adds tasks that wait for nothing, and for which nothing waits. */
  add(tasks: readonly Task[]): void {
    for (const task of tasks) this.waiting.add(task)
    this.offerFree(tasks)
    this.notify()
  }

  /** Puts a task back that has done some of its work, for others to go first. */
  putBack(task: Task): void {
    this.release(task)
    this.ready.offer(task)
    this.notify()
  }

  /** Whether something goes before what reads rows for the verification: it can be begun, or as soon as the task lets its table go. */
  isMoreUrgent(task: Task): boolean {
    return this.ready.tasks.some(
      (one) =>
        one.kind !== 'digest' &&
        (this.tables.isFree(one) ||
          (this.tables.isFreeButForReading(one) &&
            one.exclusive.some((key) => task.sharing.includes(key)))),
    )
  }

  /** One that was put off, once everything is done that does not wait for it; nobody waits for what is read for the verification. */
  private putOffAtLast(): Task | null {
    const isReading = ({ kind }: Task) => kind === 'digest'
    if (this.putOff.length === 0 || this.expected.size > 0) return null
    if (!this.ready.tasks.every(isReading) || ![...this.running].every(isReading)) return null
    const task = this.putOff.shift()
    return task ? this.hold(task) : null
  }

  private take(): Task | null {
    let awaited: Set<string> | undefined
    for (const [index, task] of this.ready.tasks.entries()) {
      if (!this.tables.isFree(task)) continue
      if (task.kind === 'digest') {
        awaited ??= this.awaited()
        if (task.sharing.some((key) => awaited?.has(key))) continue
      }
      this.ready.tasks.splice(index, 1)
      return this.hold(task)
    }
    return null
  }

  /** Tables that somebody is to have to himself as soon as those who read them for the verification let them go. */
  private awaited(): Set<string> {
    const waiting = this.ready.tasks.filter(
      (one) => one.kind !== 'digest' && this.tables.isFreeButForReading(one),
    )
    return new Set(waiting.flatMap(({ exclusive }) => exclusive))
  }

  /** Small statements that may go along with a small one of the same kind; each worker gets its share. */
  private company(task: Task): Task[] {
    if (!isSmall(task)) return []
    const ready = this.ready.tasks
    const most = Math.min(mostTogether, Math.ceil(ready.length / this.workers)) - 1
    const [found, passed]: [Task[], Task[]] = [[], []]
    let seen = 0
    for (; seen < ready.length && found.length < most; seen++) {
      const other = ready[seen]
      if (!other) continue
      if (other.kind === task.kind && isSmall(other) && this.tables.isFree(other))
        found.push(this.hold(other))
      else passed.push(other)
    }
    // in one go: one by one each would move all that are ready
    if (found.length > 0) this.ready.tasks = passed.concat(ready.slice(seen))
    return found
  }

  private hold(task: Task): Task {
    this.running.add(task)
    this.tables.hold(task)
    return task
  }

  private release(task: Task): void {
    this.running.delete(task)
    this.tables.release(task)
  }

  private notify(): void {
    this.wake.resolve()
    this.wake = Promise.withResolvers<void>()
  }
}
