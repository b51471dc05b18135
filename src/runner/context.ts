import type { Logger, Progress } from '../migration/context.ts'
import type { Send } from './http.ts'

/** What starting and stopping need of the world: the face of GitHub hands in the runner's, a test its own. */
export interface World {
  log: Logger
  progress: Progress
  send: Send
  signal: AbortSignal
  /** Registers a secret that was made during the run. */
  secret(value: string): void
  setOutput(name: string, value: string): void
  /** Milliseconds since 1970. */
  now(): number
  /** Seconds before each new try of what may pass; default `defaultPauses` of retry.ts. */
  pauses?: readonly number[]
  /** Seconds between two looks at what is being waited for. */
  pace: number
}

/** The job that acts, as GitHub names it. */
export interface Job {
  /** `owner/name`. */
  repository: string
  runId: string
  attempt: string
  /** The REST API, without a slash at its end. */
  apiUrl: string
}
