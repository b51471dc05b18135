import type { Context } from '../context.ts'
import type { Inputs } from '../inputs.ts'
import type { ReachedTarget, Source } from './preflight.ts'

/** What is known of the machine that the run is on. */
export interface RunnerFacts {
  /** Where a dump would be written. */
  dumpDirectory: string
  /** Bytes free there; undefined where the file system does not say. */
  free: number | undefined
  processors: number
  /** The runner offers its artifact service to this step. */
  canUpload: boolean
  /** The runner's environment. */
  environment: Record<string, string | undefined>
}

/** What the checks begin with: both sides as far as they were reached. */
export interface Sides {
  source?: Source
  target?: ReachedTarget
  inputs: Inputs
  runner: RunnerFacts
}

export type SideName = 'source' | 'target'

/** What SQL of one session cannot find out: names and ports, several sessions, both servers at once, files. */
export interface Probe<Result> {
  id: string
  needs: readonly SideName[]
  /** Changes nothing. What it throws is thrown to whoever asks for its result. */
  run(sides: Sides, context: Context): Promise<Result>
}
