import type { ToolCache } from '../postgres/programs/clients/provide.ts'
import type { RoleNames } from '../postgres/roles/role-names.ts'
import type { Context } from './context.ts'
import type { EarlierRuns } from './history/earlier-runs.ts'
import type { Inputs } from './inputs.ts'
import type { ArtifactStore } from './kept/artifact-store.ts'

/** Everything that a command works with. The action opens it; a test can open its own. */
export interface Run extends Context {
  inputs: Inputs
  /** What the roles of the source are called on the target: under other names they are stand-ins, which nobody can log in as. */
  roleNames: RoleNames
  /** Where the dump is written or read. */
  dumpDirectory: string
  /** Where report.json, report.html and the raw logs of the programs are kept. */
  reportDirectory: string
  /** Processors of the runner, for `auto` jobs. */
  processors: number
  artifacts: ArtifactStore
  /** What earlier runs of the same workflow left. */
  earlierRuns: EarlierRuns
  /** The runner offers its artifact service to this step. */
  canUpload: boolean
  /** `owner/name` on GitHub. */
  repository: string | undefined
  /** Whether everybody can read the repository and so download its artifacts; true when that cannot be found out. */
  isPublicRepository(): Promise<boolean>
  toolCache: ToolCache
  /** The runner's environment, for what must be looked up there: PATH, proxies. */
  environment: Record<string, string | undefined>
  setOutput(name: string, value: string | number | boolean): void
  /** Removes what must not outlive the run. */
  close(): Promise<void>
}
