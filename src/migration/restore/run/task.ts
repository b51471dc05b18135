import type { ExpectedPart } from '../arriving.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import type { Load } from './load.ts'

/** One piece of the restore that a session can do on its own once what it needs is done; an arrival nobody does. */
export interface Task {
  kind: 'statement' | 'load' | 'arrival' | 'analyze' | 'digest'
  items: PlannedEntry[]
  load: Load | null
  /** What an arrival stands for. */
  part: ExpectedPart | null
  /**
   * Tables whose rows it waits for and that are still to come, by tableKey, with the bytes that `weight` counts for each. Null where
   * there was none: of a hundred thousand tasks most wait for none, and a map of its own is a fifth of a task.
   */
  awaited: Map<string, number> | null
  /** Bytes of the tables that it works on. */
  weight: number
  /** What it and the longest chain of those that wait for it take (see Chains): the longest goes first. */
  chain: number
  needs: Set<Task>
  neededBy: Task[]
  /** Tables that it must have to itself, or shares with its like, by archive and id: others would only wait for its locks. */
  exclusive: string[]
  sharing: string[]
  /** It is one of two that make its entry together; null where it does all of its entries. */
  step: Step | null
  /** How many tasks were done when it was last put off, or null. */
  putOffAt: number | null
  /** It was begun before it was handed out, so that the time since then says nothing of what it takes. */
  wasBegun: boolean
  /** Sessions that share it, on an average. */
  sessions: number
  /** The end waits for another one that is under way: this one is not to take processes beside its session. */
  alone: boolean
}

/** A task that waits for nothing yet. */
export function newTask(kind: Task['kind'], items: PlannedEntry[], load: Load | null = null): Task {
  return {
    kind,
    items,
    load,
    part: null,
    awaited: null,
    weight: load?.bytes ?? 0,
    chain: 0,
    needs: new Set(),
    neededBy: [],
    exclusive: [],
    sharing: [],
    step: null,
    putOffAt: null,
    wasBegun: false,
    sessions: 1,
    alone: false,
  }
}

/** Lets a task wait for another one, where there is one. */
export function link(task: Task, needed: Task | undefined): void {
  if (!needed || needed === task || task.needs.has(needed)) return
  task.needs.add(needed)
  needed.neededBy = withOneMore(needed.neededBy, task)
}

/**
 * A list with one more item. What push() makes of an empty one has room for seventeen, and most of the lists of a task hold one
 * or two.
 */
export function withOneMore<T>(list: T[], item: T): T[] {
  if (list.length < 4) return list.concat([item])
  list.push(item)
  return list
}

/**
 * A constraint that is made by two statements instead of the archive's one, with the same result: the first does not keep
 * others away from the table while it works, or the second does not.
 */
export interface TwoSteps {
  /**
   * `index`: CREATE UNIQUE INDEX, which lets other indexes be built beside it, then ADD CONSTRAINT … USING INDEX, which takes
   * no time. `reference`: ADD FOREIGN KEY … NOT VALID, which takes no time, then VALIDATE CONSTRAINT, which leaves the table
   * referred to free for others (PostgreSQL, "ALTER TABLE").
   */
  kind: 'index' | 'reference'
  /** The constraint's table. */
  schema: string
  table: string
  /** The constraint's name, which is its index's as well. */
  name: string
  first: string
  /** The second, and what else the entry says: CLUSTER and REPLICA IDENTITY. */
  second: string
}

/** One of the two statements as a task of its own. */
export interface Step {
  steps: TwoSteps
  /** It is the second, with which the entry is done. */
  isLast: boolean
}

/** Bytes of a table's rows below which the way to the server says more of a statement's time than the rows do. */
export const smallWeight = 1024 * 1024
