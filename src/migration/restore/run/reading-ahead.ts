import { messageOf } from '../../../failure.ts'
import { parseVersion } from '../../../postgres/version.ts'
import { printable } from '../../../text/text.ts'
import type { Context } from '../../context.ts'
import {
  type Ahead,
  AheadReading,
  type DigestFacts,
  type TableAhead,
} from '../../verify/rows/ahead.ts'
import { aheadSizes } from '../../verify/rows/ahead-sizes.ts'
import { floatDigitsFor, methodFor } from '../../verify/rows/digest.ts'
import { keyOf } from '../../verify/rows/tables.ts'
import type { RestoreOptions } from '../options.ts'
import type { RestorePlan } from '../plan/plan.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { Arrivals, tableKey } from './arrivals.ts'
import { tableOf } from './load.ts'
import type { RestoreProgress } from './progress.ts'
import type { Schedule } from './schedule.ts'
import type { Login } from './target-session.ts'
import { link, newTask, type Task } from './task.ts'

/** What it needs of a restore. */
interface Books {
  readonly options: RestoreOptions
  readonly plan: RestorePlan
  readonly context: Context
  readonly signal: AbortSignal
  loginOf(item: PlannedEntry | undefined): Login
  optionsOf(login: Login): RestoreOptions
}

/** Whose time it is, and what he does is said. */
interface Idler {
  begin(name: string, entries: number): ReturnType<RestoreProgress['begin']>
  /** Closes his session until the next work: a job takes one connection, not two. */
  drop(): Promise<void>
}

/**
 * Large tables are read for the verification as soon as their rows are there, by workers that have nothing else to do: while the
 * last index is built the others' processors would be idle. What fails here is read when all is restored, as everything else.
 */
export class ReadingAhead {
  private readonly run: Books
  private readonly readings = new Map<string, AheadReading>()

  constructor(run: Books) {
    this.run = run
  }

  /**
   * Adds a task for each table that is worth it, for which nothing waits.
   *
   * @param tasks of makeTasks()
   * @param items all entries that are restored, those that are done included
   */
  withTasks(tasks: readonly Task[], items: readonly PlannedEntry[]): Task[] {
    const { from } = this.sizes
    const loads = new Map<string, Task>()
    for (const task of tasks) {
      for (const { entry } of task.items)
        if (entry.desc === 'TABLE DATA' && entry.dataBytes >= from) loads.set(tableKey(entry), task)
    }
    const arrivals = new Arrivals(tasks.filter(({ kind }) => kind === 'arrival'))
    const added = items.flatMap((item) => {
      const key = tableKey(item.entry)
      if (item.entry.desc !== 'TABLE') return []
      if (!loads.has(key) && arrivals.bytesOf(key) < from) return []
      const task = taskFor(item)
      link(task, arrivals.await(task, item.entry))
      link(task, loads.get(key))
      return [task]
    })
    return [...tasks, ...added]
  }

  /**
   * Reads a table piece by piece, until something else is to be done.
   *
   * @returns false where the task is put back, to be gone on with later
   */
  async perform(worker: Idler, task: Task, schedule: Schedule): Promise<boolean> {
    const [item] = task.items
    if (!item || item.decision.kind === 'leave-out') return true
    const { run } = this
    const reading = this.readingOf(item)
    if (!reading || reading.isOver) return true
    const running = worker.begin(`digest of ${printable(tableOf(item))}`, 0)
    try {
      await worker.drop()
      const { client, close } = await reading.open(run.signal)
      try {
        if (!reading.isBegun) {
          const others = Math.min(await reading.begin(client), run.options.jobs) - 1
          schedule.add(Array.from({ length: Math.max(0, others) }, () => taskFor(item)))
        }
        while (await reading.next(client)) {
          if (!schedule.isMoreUrgent(task)) continue
          schedule.putBack(task)
          return false
        }
      } finally {
        await close()
      }
    } catch (error) {
      run.signal.throwIfAborted()
      reading.giveUp()
      run.context.log.debug(`${item.name} is read when all is restored: ${messageOf(error)}`)
    } finally {
      running.end()
    }
    return true
  }

  /** What was read. */
  get tables(): Ahead {
    const read = new Map<string, TableAhead>()
    for (const [key, { result }] of this.readings) if (result) read.set(key, result)
    return read
  }

  private get sizes() {
    return this.run.context.aheadSizes ?? aheadSizes
  }

  private readingOf(item: PlannedEntry): AheadReading | undefined {
    const { options, plan } = this.run
    const { namespace: schema, tag: name } = item.entry
    const key = keyOf({ schema, name })
    const known = this.readings.get(key)
    const facts = options.readAhead?.facts ?? this.presumed()
    if (known || !facts) return known
    const connection = this.run.optionsOf(this.run.loginOf(item)).target
    const place = { connection, database: options.targetName, role: 'target' } as const
    const { number } = plan.facts.target
    const table = { schema, name }
    const made = new AheadReading(place, number, facts, table, this.sizes, options.timed)
    this.readings.set(key, made)
    return made
  }

  /** While the source is still being read nobody knows its fingerprint, only what that will be like. */
  private presumed(): DigestFacts | undefined {
    const { plan, options } = this.run
    const version = parseVersion(plan.archives[0]?.serverVersion ?? '')
    if (!version) return undefined
    return {
      server: version.number,
      encoding: options.database.encoding,
      method: methodFor(version.number),
      floatDigits: floatDigitsFor(version.number, plan.facts.target.major),
    }
  }
}

/** It shares the table with those that build indexes on it. */
function taskFor(item: PlannedEntry): Task {
  const task = newTask('digest', [item])
  task.sharing = [`${item.archive.directory}\0${item.entry.dumpId}`]
  return task
}
