import type { Job } from './context.ts'
import { type Candidate, digest } from './ecs.ts'

/** The tag by which the policy of docs/runner.md tells our instances from all others; its value is the repository. */
export const ownTag = 'migrate-to-polardb'

/** The runner's name and only label: one run, one attempt, one name. No other job can ask for it by accident. */
export function labelOf(name: string, job: Job): string {
  return `${name}-${job.runId}-${job.attempt}`
}

/** Tags that find the instances of one run and name, of all attempts or of one. */
export function tagsOf(name: string, job: Job, attempt?: string): Record<string, string> {
  return {
    [ownTag]: job.repository,
    [`${ownTag}-run`]: job.runId,
    [`${ownTag}-name`]: name,
    ...(attempt === undefined ? {} : { [`${ownTag}-attempt`]: attempt }),
  }
}

/** The tag with the moment after which an instance is left over (ISO 8601, UTC). */
export const untilTag = `${ownTag}-until`

/**
 * The ClientToken of one attempt for one zone and type. It depends on nothing else, so that a start which is tried again can never
 * make a second instance: the API answers with the first, or says that the token was used.
 */
export function tokenOf(name: string, job: Job, { vswitch, instanceType }: Candidate): string {
  const where = digest(12, job.repository, vswitch, instanceType)
  return `${labelOf(name, job)}-${where}`
}

/** The name of our group in a cluster's whitelist: lower-case letters and digits are all that PolarDB allows. */
export function whitelistGroupOf(name: string, job: Job): string {
  return `${whitelistPrefix(job)}${job.runId}n${digest(6, name)}`
}

/** What the name of each of this repository's groups begins with, and no other's. */
export function whitelistPrefix(job: Job): string {
  return `gha${digest(8, job.repository)}r`
}

/** The run and name of an instance as they are in the names of its group; see whitelistGroupOf. */
export function groupOfInstance(job: Job, tags: Record<string, string>): string {
  const name = tags[`${ownTag}-name`] ?? ''
  return whitelistGroupOf(name, { ...job, runId: tags[`${ownTag}-run`] ?? '' })
}
