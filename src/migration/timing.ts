import type { TableStep } from '../report/model.ts'

/** A step of a table that is done; moments are those of performance.now(). */
export interface TimedTable {
  schema: string
  name: string
  from: number
  to: number
}

/** Told of every step of a table that is done; see DatabaseRecord.ran. `busy` in seconds, all of it where it is left out. */
export type NoteStep = (
  step: TableStep,
  table: { schema: string; name: string },
  time: { from: number; to: number; busy?: number },
) => void
