import type { PlannedEntry } from '../plan/planned-entry.ts'
import type { Load } from './load.ts'

/** One piece of the restore that a session can do on its own once what it needs is done. */
export interface Task {
  kind: 'statement' | 'load'
  items: PlannedEntry[]
  load: Load | null
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
