import type { PlannedEntry } from '../plan/planned-entry.ts'
import type { Load } from './load.ts'

/** An archive with rows that is still being dumped. */
export interface ExpectedPart {
  /** The tables whose rows it will hold, with their bytes on the source: work on them is weighed by those until it is there. */
  readonly tables: readonly {
    readonly schema: string
    readonly name: string
    readonly bytes: number
  }[]
  /** It holds the rows of every table that no other one names, too. */
  readonly isRest: boolean
}

/** One piece of the restore that a session can do on its own once what it needs is done; an arrival nobody does. */
export interface Task {
  kind: 'statement' | 'load' | 'arrival'
  items: PlannedEntry[]
  load: Load | null
  /** What an arrival stands for. */
  part: ExpectedPart | null
  /** Tables whose rows it waits for and that are still to come, by tableKey, with the bytes that `weight` counts for each. */
  awaited: Map<string, number>
  /** Bytes of the tables that it works on. */
  weight: number
  /** What it and the longest chain of those that wait for it take (see Chains): the longest goes first. */
  chain: number
  needs: Set<Task>
  neededBy: Task[]
  /** Tables that it must have to itself, or shares with its like, by archive and id: others would only wait for its locks. */
  exclusive: string[]
  sharing: string[]
  /** How many tasks were done when it was last put off, or null. */
  putOffAt: number | null
}
