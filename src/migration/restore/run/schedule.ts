import type { ExpectedPart } from '../arriving.ts'
import { Arrivals, tableKey } from './arrivals.ts'
import { Chains, Costs } from './costs.ts'
import { HeldTables } from './held-tables.ts'
import type { IdleJobs } from './idle-jobs.ts'
import { ReadyTasks } from './ready-tasks.ts'
import { link, smallWeight, type Task } from './task.ts'

/** Statements that go to the server in one message, where their tables are small. */
export const mostTogether = 100

function isSmall(task: Task): boolean {
  return /^(statement|analyze)$/.test(task.kind) && task.step === null && task.weight < smallWeight
}

/** What is known of tasks under way. */
interface Look {
  /** Seconds of a clock. */
  now(): number
  /** Seconds that a task still takes; undefined where it does not show. */
  leftOf(task: Task): number | undefined
}

/** Hands out tasks whose needs are met and whose tables are free: the one with the longest chain of work behind it first. */
export class Schedule {
  private readonly waiting: Set<Task>
  /** Arrivals that have not come yet, and which of all of them brings which rows. */
  private readonly expected: Set<Task>
  private readonly arrivals: Arrivals
  /** When each was begun, in seconds of the clock. */
  private readonly running = new Map<Task, number>()
  private readonly tables = new HeldTables()
  private readonly ready = new ReadyTasks()
  private readonly costs: Costs
  private chains: Chains
  private readonly putOff: Task[] = []
  private doneCount = 0
  private closed = false
  private readonly workers: number
  private readonly jobs: IdleJobs | undefined
  private readonly look: Look
  /** What brings the rows of each part: its arrival, and from then on its load. */
  private readonly bringers = new Map<ExpectedPart, Task>()
  /** What all that is not done takes together. */
  private work = 0
  private wake = Promise.withResolvers<void>()

  /**
   * @param workers how many share the tasks; `costs` learn what they take
   * @param jobs who of them is idle, and which loads use that; without it every task is handed out as soon as it can be
   * @param look what is known of tasks under way
   */
  constructor(
    tasks: readonly Task[],
    workers = 1,
    costs = new Costs(),
    jobs?: IdleJobs,
    look: Look = { now: () => performance.now() / 1000, leftOf: () => undefined },
  ) {
    this.look = look
    this.costs = costs
    this.jobs = jobs
    if (jobs) jobs.changed = () => this.notify()
    for (const task of tasks) if (task.part) this.bringers.set(task.part, task)
    this.workers = Math.max(1, workers)
    this.waiting = new Set(tasks)
    this.expected = new Set(tasks.filter(({ kind }) => kind === 'arrival'))
    this.arrivals = new Arrivals([...this.expected])
    this.chains = new Chains(tasks)
    this.measure()
    this.offerFree(tasks)
  }

  /**
   * The next task, with others that are so small that the way to the server takes longer than they do; none when all are
   * done. Waits while everything that is left waits for others.
   */
  async next(signal: AbortSignal): Promise<Task[]> {
    this.jobs?.waits()
    try {
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
    } finally {
      this.jobs?.works()
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
    const [load] = tasks.filter((task) => task.load)
    if (load) this.bringers.set(part, load)
    this.chains = new Chains([...this.waiting])
    this.measure()
    this.offerFree(tasks)
    this.free(arrival)
  }

  private measure(): void {
    this.chains.measure(this.costs)
    this.work = 0
    for (const task of this.waiting) this.work += this.costs.of(task)
    this.ready.sort()
  }

  /** Whoever waited for nothing but this can be begun now. */
  private free(task: Task): void {
    this.waiting.delete(task)
    this.work -= this.costs.of(task)
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
    if (!this.ready.tasks.every(isReading) || ![...this.running.keys()].every(isReading))
      return null
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
      if (!this.mayBegin(task)) return null
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

  private mayBegin(task: Task): boolean {
    // nothing is under way for which it would wait
    if (!this.jobs || (this.running.size === 0 && this.expected.size === 0)) return true
    return this.jobs.mayBegin(task, (chain) => this.decides(chain))
  }

  /**
   * Whether another task is under way for which the end will wait, so that this one may take longer, but must not take its
   * processors.
   */
  private isBesideLonger(task: Task): boolean {
    const [longest, left] = this.longestRunning()
    return left > task.chain && this.decides(longest, left)
  }

  /** Of what is under way the longest chain, and what is left of it. */
  private longestRunning(): [chain: number, left: number] {
    const now = this.look.now()
    let [longest, left] = [0, 0]
    for (const [task, begun] of this.running) {
      const still = this.leftOf(task, now - begun)
      if (still > left) [longest, left] = [task.chain, still]
    }
    return [longest, left]
  }

  private leftOf(task: Task, passed: number): number {
    // before anything is measured a chain is in no unit of time
    if (!this.costs.inSeconds) return task.chain
    // how far the many small ones are that go together nobody sees
    const own = isSmall(task) ? undefined : this.look.leftOf(task)
    return own === undefined ? task.chain - passed : task.chain - this.costs.of(task) + own
  }

  /**
   * Whether a chain is longer than all the rest shared out over the other workers: then it alone says when the end is.
   *
   * @param left of it
   */
  private decides(chain: number, left = chain): boolean {
    return this.workers > 1 && left >= (this.work - chain) / (this.workers - 1)
  }

  private hold(task: Task): Task {
    if (task.load) this.jobs?.begins(task)
    // a small table has no processes beside the session, and there may be a hundred thousand of them
    task.alone = task.kind === 'statement' && !isSmall(task) && this.isBesideLonger(task)
    this.running.set(task, this.look.now())
    this.tables.hold(task)
    return task
  }

  private release(task: Task): void {
    this.running.delete(task)
    this.tables.release(task)
  }

  /** What the load of a part and the longest chain of those that wait for it take. */
  chainOf(part: ExpectedPart): number {
    return this.bringers.get(part)?.chain ?? 0
  }

  /** Whether nothing that is under way has a longer chain than the rows of a part. */
  isLongest(part: ExpectedPart): boolean {
    const [, left] = this.longestRunning()
    return this.chainOf(part) >= left
  }

  /** A load needs no job beside its own. @returns how many sessions it had on an average (see IdleJobs) */
  giveBack(load: Task): number {
    return this.jobs?.giveBack(load) ?? 1
  }

  /** Whoever waits looks again whether there is something to do: jobs have become free, or are not any more. */
  notify(): void {
    this.wake.resolve()
    this.wake = Promise.withResolvers<void>()
  }
}
