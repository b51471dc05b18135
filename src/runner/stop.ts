import { Failure } from '../failure.ts'
import { pause } from '../migration/retry.ts'
import type { Job, World } from './context.ts'
import type { Instance } from './ecs.ts'
import type { StopInputs } from './inputs.ts'
import {
  groupOfInstance,
  ownTag,
  tagsOf,
  untilTag,
  whitelistGroupOf,
  whitelistPrefix,
} from './names.ts'
import { openServices, removeLeftovers, type Services } from './remove.ts'
import type { Credentials } from './signature.ts'

/**
 * Removes what `start` has made under this run and name, in all attempts: by tag, since outputs are empty when start was cancelled.
 * What is gone already is no mistake.
 *
 * @throws Failure when something could not be removed
 */
export async function stopRunner(
  world: World,
  inputs: StopInputs,
  job: Job,
  credentials: Credentials,
): Promise<void> {
  const services = openServices(world, inputs, job, credentials)
  const attempts = new RegExp(`^${inputs.name}-${job.runId}-\\d+$`)
  const problems = await removeLeftovers(world, services, {
    instances: (ecs) => ecs.find(tagsOf(inputs.name, job)),
    group: (name) => name === whitelistGroupOf(inputs.name, job),
    runner: (name) => attempts.test(name),
    looks: 3,
  })
  refuse(problems)
}

/**
 * Removes what runs of this repository have left over: instances past their time; whitelist groups and registrations that are
 * offline and belong to no instance. What seems to belong to none is looked at twice: an instance may just be being made.
 *
 * @throws Failure when something could not be removed
 */
export async function sweepRunners(
  world: World,
  inputs: StopInputs,
  job: Job,
  credentials: Credentials,
): Promise<void> {
  const services = openServices(world, inputs, job, credentials)
  const all = () => services.ecs.find({ [ownTag]: job.repository })
  const none = () => false
  const problems = await removeLeftovers(
    world,
    { ...services, whitelist: undefined, registry: undefined },
    {
      instances: async () => (await all()).filter((instance) => isOver(instance, world.now())),
      group: none,
      runner: none,
    },
  )
  const first = await orphans(services, job, await all())
  if (first.size > 0) {
    await pause(world.pace, world.signal)
    const second = await orphans(services, job, await all())
    const both = (name: string) => first.has(name) && second.has(name)
    problems.push(...(await removeLeftovers(world, services, { group: both, runner: both })))
  }
  refuse(problems)
}

/** Names of groups and of offline runners that none of these instances has. */
async function orphans(
  { whitelist, registry }: Services,
  job: Job,
  instances: Instance[],
): Promise<Set<string>> {
  const groups = new Set(instances.map(({ tags }) => groupOfInstance(job, tags)))
  const runners = new Set(
    instances.map(
      ({ tags }) =>
        `${tags[`${ownTag}-name`]}-${tags[`${ownTag}-run`]}-${tags[`${ownTag}-attempt`]}`,
    ),
  )
  const ours = new RegExp(`^${whitelistPrefix(job)}\\d+n[0-9a-f]{6}$`)
  const found = new Set<string>()
  for (const { name } of (await whitelist?.groups()) ?? [])
    if (ours.test(name) && !groups.has(name)) found.add(name)
  for (const { name, online, busy, labels } of (await registry?.list()) ?? []) {
    // start gives a runner its name as a label; no runner that was made otherwise is touched, whatever it is called
    const isStarted = /^[a-z][a-z0-9-]{0,23}-\d+-\d+$/.test(name) && labels.includes(name)
    if (isStarted && !online && !busy && !runners.has(name)) found.add(name)
  }
  return found
}

/** Past the time that start wrote into its tag; without a readable one, older than a job can be. */
function isOver({ tags, createdAt }: Instance, now: number): boolean {
  const until = Date.parse(tags[untilTag] ?? '')
  return now > (Number.isNaN(until) ? createdAt + 6 * 24 * 3_600_000 : until)
}

function refuse(problems: string[]): void {
  if (problems.length === 0) return
  throw new Failure(
    'Not everything could be removed, and an instance costs until it is released',
    problems.join(' | '),
    `Correct that and run again, or look in the console for instances with the tag ${ownTag}; Alibaba Cloud releases them at their release time`,
  )
}
