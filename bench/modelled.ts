import { PartQueue } from '../src/migration/dump/part-queue.ts'
import { planParts, type StoredTable } from '../src/migration/dump/parts.ts'
import type { PartAhead } from '../src/migration/dump/sink.ts'
import { inPool } from '../src/migration/pool.ts'
import type { ExpectedPart } from '../src/migration/restore/arriving.ts'
import type { PlannedEntry } from '../src/migration/restore/plan/planned-entry.ts'
import { withAnalyze } from '../src/migration/restore/run/analyze-tasks.ts'
import { type EarlyShare, IdleJobs } from '../src/migration/restore/run/idle-jobs.ts'
import { makeTasks } from '../src/migration/restore/run/make-tasks.ts'
import { Schedule } from '../src/migration/restore/run/schedule.ts'
import type { Task } from '../src/migration/restore/run/task.ts'
import { leftByProgress } from '../src/migration/restore/run/time-left.ts'
import { streamSizes } from '../src/migration/restore/stream-sizes.ts'
import type { Archive } from '../src/postgres/archive/archive.ts'
import { type ArchiveEntry, entryName } from '../src/postgres/archive/entry.ts'
import { type Flow, type Machine, Simulation, type Stage } from './fluid.ts'

/** Seconds of a processor that the work on one entry takes. */
export interface EntryCost {
  /** On the target: loading rows in one session, building in one process, or collecting statistics of a table. */
  target: number
  /** Where several processes can build it: what can be shared out among them, and what one of them does alone. */
  shared?: { parallel: number; alone: number }
  /** Of rows: what pg_restore takes for them, and this process where it sends them. */
  program?: number
  ours?: number
  /** Of rows: what reading them takes on the source, and pg_dump as the action calls it, and as documented (gzip). */
  source?: number
  dump?: number
  documentedDump?: number
  /** Of a table: collecting its statistics. */
  analyze?: number
}

/** A database with what each of its parts costs. */
export interface Costed {
  /** Of the whole archive, in its order. */
  entries: ArchiveEntry[]
  tables: StoredTable[]
  /** By entryName(). */
  costs: Record<string, EntryCost>
  /** Seconds of processors for what each pg_dump does before its first row. */
  catalogs: { source: number; program: number }
  /** For the definitions, before the first row is loaded. */
  definitions: number
}

/** Where it runs. The same machine may have several parts. */
export interface World {
  source: Machine
  runner: Machine
  target: Machine
  /** What is left of a link for bytes of rows, in bytes a second; none where there is no limit. */
  link?: number
}

/** A migration as it was reckoned, in seconds from its first byte. */
export interface Told {
  seconds: number
  /** The end of the dump. */
  dump: number
  /** All that was done. */
  events: { at: number; end: number; what: string }[]
}

/** Processes that build one b-tree, the session itself included (max_parallel_maintenance_workers is 2 by default). */
const builders = 3

interface Jobs {
  dump: number
  restore: number
}

class Model {
  readonly simulation = new Simulation()
  readonly events: Told['events'] = []
  readonly database: Costed
  readonly world: World
  /** What one process builds, or has built: the server says how far that is. */
  private readonly built = new Map<string, { flow: Flow; since: number }>()
  private readonly link: Machine | undefined

  constructor(database: Costed, world: World) {
    this.database = database
    this.world = world
    this.link = world.link === undefined ? undefined : { name: 'link', cores: 1 }
  }

  cost(name: string): EntryCost {
    return this.database.costs[name] ?? { target: 0 }
  }

  /** Seconds that something still takes, by how far it is. */
  leftOf(name: string): number | undefined {
    const { flow, since = 0 } = this.built.get(name) ?? {}
    return flow && leftByProgress({ seconds: this.simulation.now - since, fraction: flow.done })
  }

  async noted<T>(what: string, work: Promise<T>): Promise<T> {
    const at = this.simulation.now
    const result = await work
    this.events.push({ at, end: this.simulation.now, what })
    return result
  }

  /** What pg_dump does before its first row. */
  catalogs(): Stage[] {
    const { source, program } = this.database.catalogs
    return [
      { machine: this.world.source, seconds: source },
      { machine: this.world.runner, seconds: program },
    ]
  }

  /** The rows of some tables dumped. */
  dumping(entries: readonly ArchiveEntry[], documented: boolean, jobs = 1): Stage[] {
    const costs = entries.map((entry) => this.cost(entryName(entry)))
    const sum = (of: (cost: EntryCost) => number | undefined) =>
      costs.reduce((all, cost) => all + (of(cost) ?? 0), 0)
    const bytes = entries.reduce((all, { dataBytes }) => all + dataBytes, 0)
    const processes = () => jobs
    return [
      { machine: this.world.source, seconds: sum(({ source }) => source), processes },
      {
        machine: this.world.runner,
        seconds: sum((cost) => (documented ? cost.documentedDump : cost.dump)),
        processes,
      },
      ...(this.link
        ? [{ machine: this.link, seconds: bytes / (this.world.link ?? 1), processes }]
        : []),
    ]
  }

  /** What builds something. */
  async building(name: string, workers: () => number): Promise<void> {
    const { target: machine } = this.world
    const { target, shared } = this.cost(name)
    const processes = 1 + workers()
    if (!shared || processes === 1) {
      const flow = this.simulation.begin([{ machine, seconds: target }])
      this.built.set(name, { flow, since: this.simulation.now })
      return await flow.ended
    }
    await this.simulation.run([{ machine, seconds: shared.parallel, processes: () => processes }])
    await this.simulation.run([{ machine, seconds: shared.alone }])
  }
}

/** The same database so many times as large: what each part of it takes grows with it, and so do the definitions. */
export function multiplied(database: Costed, times: number): Costed {
  const all = <T>(value: T): T =>
    (typeof value === 'number'
      ? value * times
      : value && typeof value === 'object'
        ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, all(one)]))
        : value) as T
  return {
    ...database,
    entries: database.entries.map((one) => ({ ...one, dataBytes: one.dataBytes * times })),
    tables: database.tables.map((one) => ({ ...one, bytes: one.bytes * times })),
    costs: all(database.costs),
  }
}

/**
 * Seconds that no order of a restore's work can go below: all of it shared out over the processors of the target, and of each table the
 * rows, through as many sessions as there may be, and then the index that takes longest.
 */
export function leastOf({ entries, costs }: Costed, processors: number): number {
  const alone = ({ target, shared }: EntryCost) =>
    shared ? shared.alone + shared.parallel / Math.min(processors, builders) : target
  let [sum, longest] = [0, 0]
  for (const { target, shared } of Object.values(costs))
    sum += Math.min(target, shared ? shared.alone + shared.parallel : target)
  for (const rows of entries.filter(isRows)) {
    const built = entries
      .filter(
        ({ section, dependencies }) =>
          section === 'post-data' && rows.dependencies.some((id) => dependencies.includes(id)),
      )
      .map((entry) => alone(costs[entryName(entry)] ?? { target: 0 }))
    const load = (costs[entryName(rows)]?.target ?? 0) / Math.min(processors, streamSizes.most)
    longest = Math.max(longest, load + Math.max(0, ...built))
  }
  return Math.max(sum / processors, longest)
}

const isRows = ({ section, hasData }: ArchiveEntry) => section === 'data' && hasData
const signal = new AbortController().signal

/** The documented commands, one after the other: pg_dump -Fd -j, then pg_restore -j (pg_backup_archiver.c). */
export async function documented(database: Costed, world: World, jobs: Jobs): Promise<Told> {
  const model = new Model(database, world)
  const { simulation } = model
  const all = async () => {
    const rows = database.entries.filter(isRows)
    await simulation.run(model.catalogs())
    const largest = rows.toSorted((one, other) => other.dataBytes - one.dataBytes)
    await inPool(largest, { workers: jobs.dump, signal }, (entry) =>
      model.noted(`dump ${entry.tag}`, simulation.run(model.dumping([entry], true))),
    )
    const dump = simulation.now
    await simulation.run([{ machine: world.target, seconds: database.definitions }])
    const queue = new DocumentedOrder(database.entries)
    await inPool(queue, { workers: jobs.restore, signal }, async (entry) => {
      const name = entryName(entry)
      await model.noted(name, restoreDocumented(model, entry))
      queue.done(entry)
    })
    return dump
  }
  const dump = await simulation.until(all())
  return { seconds: simulation.now, dump, events: model.events }
}

async function restoreDocumented(model: Model, entry: ArchiveEntry): Promise<void> {
  const { world, simulation } = model
  const cost = model.cost(entryName(entry))
  if (!isRows(entry)) return await model.building(entryName(entry), () => builders - 1)
  await simulation.run([
    { machine: world.runner, seconds: cost.program ?? 0 },
    { machine: world.target, seconds: cost.target },
  ])
}

/**
 * The order of pg_restore with several jobs: of what waits for nothing the one with most bytes of rows first, then as in the
 * archive, and what needs a table for itself not beside what needs the table (restore_toc_entries_parallel,
 * repoint_table_dependencies and has_lock_conflicts in pg_backup_archiver.c).
 */
class DocumentedOrder {
  private readonly waiting: Waiting[]
  private readonly running = new Set<Waiting>()
  private wake = Promise.withResolvers<void>()

  constructor(entries: readonly ArchiveEntry[]) {
    const left = new Map(
      entries
        .filter(({ section }) => section === 'data' || section === 'post-data')
        .map((entry) => [entry.dumpId, entry]),
    )
    /** Of each table its rows. */
    const data = new Map<number, number>()
    for (const { desc, dependencies, dumpId } of entries)
      if (desc === 'TABLE DATA') for (const id of dependencies) data.set(id, dumpId)
    this.waiting = [...left.values()].map((entry) => {
      const all = entry.dependencies.map((id) =>
        entry.section === 'post-data' ? (data.get(id) ?? id) : id,
      )
      const rows = all.map((id) => left.get(id)?.dataBytes ?? 0)
      const isLocking = /^((CHECK |FK )?CONSTRAINT|RULE|TRIGGER)$/.test(entry.desc)
      return {
        entry,
        all: new Set(all),
        needs: new Set(all.filter((id) => left.has(id))),
        bytes: Math.max(entry.dataBytes, ...rows),
        locks: all.filter((id) => isLocking && left.get(id)?.desc === 'TABLE DATA'),
      }
    })
    const { waiting } = this
    waiting.sort((a, b) => b.bytes - a.bytes || a.entry.dumpId - b.entry.dumpId)
  }

  async next(): Promise<ArchiveEntry | undefined> {
    for (; this.waiting.length > 0; await this.wake.promise) {
      const index = this.waiting.findIndex((one) => one.needs.size === 0 && !this.isHeldUp(one))
      const [found] = index < 0 ? [] : this.waiting.splice(index, 1)
      if (!found) continue
      this.running.add(found)
      return found.entry
    }
    return undefined
  }

  done(entry: ArchiveEntry): void {
    for (const one of this.running) if (one.entry === entry) this.running.delete(one)
    for (const { needs } of this.waiting) needs.delete(entry.dumpId)
    this.wake.resolve()
    this.wake = Promise.withResolvers()
  }

  private isHeldUp(one: Waiting): boolean {
    const locks = (some: Waiting, other: Waiting) => some.locks.some((id) => other.all.has(id))
    return [...this.running].some((other) => locks(one, other) || locks(other, one))
  }
}

/** An entry that pg_restore has not begun. */
interface Waiting {
  entry: ArchiveEntry
  /** What it depends on: rows where the archive says their table. */
  all: ReadonlySet<number>
  /** Those of it that are not done. */
  needs: Set<number>
  /** Of rows that it has, or needs. */
  bytes: number
  /** Rows whose table it needs for itself. */
  locks: readonly number[]
}

export interface ActionOptions {
  jobs: Jobs
  /** Restored while it is dumped. */
  overlap: boolean
  analyze: boolean
}

/** The action: the schedule, the queue of the parts and the sharing of jobs are the real ones, only what they hand out is reckoned. */
export async function action(
  database: Costed,
  world: World,
  options: ActionOptions,
): Promise<Told> {
  const model = new Model(database, world)
  const run = new ModelledRun(model, options)
  await model.simulation.until(run.all())
  return { seconds: model.simulation.now, dump: run.dumped, events: model.events }
}

interface EarlyFlow extends EarlyShare {
  flow: Flow
  /** Jobs lent to it by the task that has taken it over. */
  task?: Task
}

class ModelledRun {
  dumped = 0
  private readonly model: Model
  private readonly options: ActionOptions
  private readonly idle = new IdleJobs()
  /** This process: all rows that it sends go through one thread. */
  private readonly node: Machine = { name: 'action', cores: 1 }
  private readonly early = new Map<PartAhead, EarlyFlow>()
  private readonly parts: PartAhead[]
  private readonly inParts: boolean
  private readonly schema: Archive
  private readonly archives = new Map<PartAhead, Archive>()
  private schedule: Schedule | undefined
  private readonly restoring = Promise.withResolvers<void>()
  /** Parts that have come before the schedule could take them. */
  private readonly arrived: PartAhead[] = []

  constructor(model: Model, options: ActionOptions) {
    this.model = model
    this.options = options
    const { entries, tables } = model.database
    const planned = planParts('db', tables)
    this.inParts = planned !== null
    this.parts = planned ?? [
      {
        path: '/2',
        tables,
        isRest: true,
        bytes: tables.reduce((sum, { bytes }) => sum + bytes, 0),
      },
    ]
    const archiveOf = (directory: string, of: ArchiveEntry[]) =>
      ({
        directory,
        entries: of,
        searchPath: '',
        standardStrings: true,
        encoding: 'UTF8',
      }) as unknown as Archive
    const alone = new Map(
      this.parts
        .filter(({ isRest }) => !isRest)
        .flatMap((part) => part.tables.map(({ name }) => [name, part] as const)),
    )
    this.schema = archiveOf(
      '/1',
      entries.filter(({ section }) => section !== 'data'),
    )
    for (const part of this.parts)
      this.archives.set(
        part,
        archiveOf(
          part.path,
          entries.filter(
            (entry) =>
              entry.section === 'data' &&
              (part.isRest ? !alone.has(entry.tag) : alone.get(entry.tag) === part),
          ),
        ),
      )
  }

  async all(): Promise<void> {
    const restore = this.options.overlap ? this.restore() : undefined
    await this.dump()
    this.dumped = this.model.simulation.now
    await (restore ?? this.restore())
  }

  private async dump(): Promise<void> {
    const { model, parts } = this
    const { simulation } = model
    const { dump: jobs } = this.options.jobs
    const [whole] = parts
    if (whole && !this.inParts) {
      const rows = [...this.archives.values()].flatMap(({ entries }) => entries.filter(isRows))
      await simulation.run(model.catalogs())
      await model.noted('dump', simulation.run(model.dumping(rows, false, jobs)))
      this.arrive(whole)
      this.restoring.resolve()
      return
    }
    const queue = new PartQueue(
      { parts, jobs, sessions: 2 * jobs + 1, roundTrip: 0 },
      () => simulation.now * 1000,
    )
    const flows = new Map<PartAhead, Flow>()
    let over = false
    const watch = async () => {
      for (; !over; await simulation.sleep(1)) {
        let bytes = 0
        for (const part of parts) bytes += (flows.get(part)?.done ?? 0) * part.bytes
        queue.look(simulation.now * 1000, bytes)
        for (const [part, { done }] of flows) if (!part.isRest && done < 1) queue.came(part, done)
      }
    }
    void watch()
    await inPool(queue, { workers: queue.most, signal }, async (task) => {
      await model.noted(
        `catalogs ${task === 'schema' ? task : task.path}`,
        simulation.run(model.catalogs()),
      )
      if (task === 'schema') {
        queue.schemaDone()
        this.restoring.resolve()
        return
      }
      queue.flows(task)
      const entries = this.archives.get(task)?.entries.filter(isRows) ?? []
      const flow = simulation.begin(model.dumping(entries, false, queue.jobsOf(task)))
      flows.set(task, flow)
      const givenUp = queue.givenUp(task)
      givenUp?.addEventListener('abort', () => simulation.giveUp(flow))
      if (!task.isRest && this.options.overlap)
        void queue.kept(task).then(() => this.follow(task, flow))
      await model.noted(`dump ${task.isRest ? 'rest' : task.tables[0]?.name}`, flow.ended)
      if (givenUp?.aborted && flow.done < 1) {
        flows.delete(task)
        queue.giveBack(task)
        return
      }
      queue.done(task)
      this.arrive(task)
    })
    over = true
  }

  /** Loads the rows of a part while they come, once there are so many that it is worth it. */
  private async follow(part: PartAhead, dump: Flow): Promise<void> {
    const { simulation } = this.model
    const [entry] = this.archives.get(part)?.entries.filter(isRows) ?? []
    if (!entry) return
    await this.restoring.promise
    const { restore: jobs } = this.options.jobs
    const rank = part as ExpectedPart
    const run = this
    const early: EarlyFlow = {
      flow: dump,
      get chain() {
        return run.schedule?.chainOf(rank) ?? 0
      },
      get isBehind() {
        return (dump.done - early.flow.done) * entry.dataBytes >= streamSizes.from
      },
    }
    const { idle } = this
    for (; ; await simulation.sleep(0.2)) {
      if (dump.done >= 1) return
      if (!this.schedule || jobs === 1) continue
      if (Math.max(dump.done * entry.dataBytes, part.bytes) < streamSizes.from) continue
      if (idle.mayBeginEarly(early, () => this.schedule?.isLongest(rank) ?? false)) break
    }
    const sessions = () =>
      early.task ? 1 + idle.lentTo(early.task) : Math.max(1, idle.lentTo(early))
    idle.begins(early)
    early.flow = simulation.begin(this.sending(entry, sessions, false), dump)
    this.early.set(part, early)
    void this.model.noted(`load ${entry.tag} early`, early.flow.ended)
    for (let before = false; early.flow.done < 1; await simulation.sleep(0.2)) {
      if (early.isBehind !== before) this.schedule?.notify()
      before = early.isBehind
    }
    idle.giveBack(early)
    this.schedule?.notify()
  }

  /** Rows sent by this process. */
  private sending(entry: ArchiveEntry, sessions: () => number, unpacked: boolean): Stage[] {
    const { world } = this.model
    const cost = this.model.cost(entryName(entry))
    const ours = cost.ours ?? 0
    return [
      { machine: world.runner, seconds: ours },
      { machine: this.node, seconds: ours },
      ...(unpacked ? [{ machine: world.runner, seconds: cost.program ?? 0 }] : []),
      {
        machine: world.target,
        seconds: cost.target,
        processes: () => Math.min(streamSizes.most, sessions()),
      },
    ]
  }

  private arrive(part: PartAhead): void {
    this.arrived.push(part)
    this.takeArrived()
  }

  private takeArrived(): void {
    const { schedule } = this
    if (!schedule) return
    for (const part of this.arrived.splice(0))
      schedule.arrive(part as ExpectedPart, makeTasks(this.itemsOf(part)))
  }

  private itemsOf(part: PartAhead): PlannedEntry[] {
    const archive = this.archives.get(part)
    return archive ? archive.entries.map((entry) => plannedOf(archive, entry)) : []
  }

  private async restore(): Promise<void> {
    const { model, schema, options } = this
    await this.restoring.promise
    const { simulation, world } = model
    await simulation.run([{ machine: world.target, seconds: model.database.definitions }])
    const planned = schema.entries.map((entry) => plannedOf(schema, entry))
    const items = planned.filter(({ entry }) => entry.section === 'post-data')
    const made = makeTasks(items, this.parts)
    const tasks = options.analyze ? withAnalyze(made, planned) : made
    const { restore: jobs } = options.jobs
    const look = {
      now: () => simulation.now,
      leftOf: ({ items: [item] }: Task) => item && model.leftOf(item.name),
    }
    const schedule = new Schedule(tasks, jobs, undefined, this.idle, look)
    this.schedule = schedule
    this.takeArrived()
    const queue = {
      next: async () => {
        const found = await schedule.next(signal)
        return found.length > 0 ? found : undefined
      },
    }
    await inPool(queue, { workers: jobs, signal }, async (tasks) => {
      const began = simulation.now
      const name = `${tasks[0]?.kind === 'analyze' ? 'ANALYZE ' : ''}${tasks[0]?.items[0]?.name}${tasks.length > 1 ? ` and ${tasks.length - 1} more` : ''}`
      await model.noted(name, this.perform(tasks))
      const seconds = simulation.now - began
      for (const task of tasks)
        schedule.done(task, task.wasBegun ? undefined : seconds * task.sessions, tasks.length)
    })
  }

  private async perform(tasks: readonly Task[]): Promise<void> {
    const { model } = this
    const { simulation, world } = model
    const [first] = tasks
    if (first?.load) return await this.load(first)
    for (const task of tasks) {
      const [item] = task.items
      if (!item) continue
      if (task.kind === 'analyze') {
        const { analyze = 0 } = model.cost(item.name.replace(/^TABLE /, 'TABLE DATA '))
        await simulation.run([{ machine: world.target, seconds: analyze }])
      } else if (!task.step || task.step.isLast === (task.step.steps.kind === 'reference'))
        await model.building(item.name, () => (task.alone ? 0 : builders - 1))
    }
  }

  private async load(task: Task): Promise<void> {
    const { model, idle } = this
    const { simulation, world } = model
    const items = task.load?.items ?? []
    const [first] = items
    const early = [...this.early].find(([part]) => this.archives.get(part) === first?.archive)
    if (early) {
      const [part, load] = early
      load.task = task
      idle.giveBack(load)
      task.wasBegun = true
      await load.flow.ended
      this.early.delete(part)
    } else if (
      first &&
      items.length === 1 &&
      this.options.jobs.restore > 1 &&
      first.entry.dataBytes >= (idle.lentTo(task) > 0 ? 1 : 8) * streamSizes.from
    ) {
      let [sum, count, last] = [0, 1, simulation.now]
      const began = last
      const sessions = () => {
        sum += count * (simulation.now - last)
        last = simulation.now
        count = Math.min(streamSizes.most, 1 + idle.lentTo(task))
        return count
      }
      await simulation.run(this.sending(first.entry, sessions, true))
      sessions()
      task.sessions = sum / (simulation.now - began)
    } else {
      const costs = items.map(({ name }) => model.cost(name))
      await simulation.run([
        {
          machine: world.runner,
          seconds: costs.reduce((sum, { program = 0 }) => sum + program, 0),
        },
        { machine: world.target, seconds: costs.reduce((sum, { target }) => sum + target, 0) },
      ])
    }
    idle.giveBack(task)
  }
}

function plannedOf(archive: Archive, entry: ArchiveEntry): PlannedEntry {
  return { archive, entry, name: entryName(entry), decision: { kind: 'restore' } }
}
