import type { CommandFacts } from '../migration/inputs.ts'
import type { Run } from '../migration/run.ts'
import type { Wording } from '../report/model.ts'

/** A command of the action: all that is particular to it. A new one is a file with such a record, and a line in index.ts. */
export interface Command extends CommandFacts {
  /** How the report speaks of it. */
  words: Wording
  /** Its phases, in their order; what they find goes into the run's report and outputs. */
  steps(run: Run): Promise<void>
}
