import { messageOf } from '../failure.ts'
import { pause } from '../migration/retry.ts'
import { Alibaba } from './alibaba.ts'
import type { Job, World } from './context.ts'
import { Ecs, type Instance } from './ecs.ts'
import { ecsApi, polardbApi } from './endpoints.ts'
import { RunnerRegistry } from './github.ts'
import type { CommonInputs } from './inputs.ts'
import type { Credentials } from './signature.ts'
import { Whitelist } from './whitelist.ts'

/** The three places where a runner leaves something. */
export interface Services {
  ecs: Ecs
  /** Only with `cluster`. */
  whitelist: Whitelist | undefined
  /** Only with `github-token`. */
  registry: RunnerRegistry | undefined
}

export function openServices(
  world: World,
  inputs: CommonInputs,
  job: Job,
  credentials: Credentials,
): Services {
  const { region, network, cluster, githubToken } = inputs
  const alibaba = new Alibaba(world, credentials)
  const polardb = polardbApi(region, network, inputs.polardbEndpoint)
  return {
    ecs: new Ecs(alibaba, ecsApi(region, network, inputs.ecsEndpoint), region),
    whitelist: cluster ? new Whitelist(alibaba, polardb, cluster) : undefined,
    registry: githubToken ? new RunnerRegistry(world, job, githubToken) : undefined,
  }
}

/** What is to be removed, told by its names and never by what an earlier step gave as output. */
export interface Leftovers {
  instances?: (ecs: Ecs) => Promise<Instance[]>
  group: (name: string) => boolean
  runner: (name: string) => boolean
  /** How often is looked for instances while there are none: one may just be being made. */
  looks?: number
}

/**
 * Removes instances, whitelist groups and registrations. One that fails does not keep the others from being removed.
 *
 * @returns what went wrong, each as a message
 */
export async function removeLeftovers(
  world: World,
  { ecs, whitelist, registry }: Services,
  { instances, group, runner, looks = 1 }: Leftovers,
): Promise<string[]> {
  const problems: string[] = []
  const attempt = async (work: () => Promise<void>) => {
    try {
      await work()
    } catch (error) {
      problems.push(messageOf(error))
    }
  }
  if (instances)
    await attempt(async () => {
      for (let look = 1; look <= looks; look++) {
        const found = await instances(ecs)
        for (const instance of found) await attempt(() => release(world, ecs, instance))
        if (found.length > 0) return
        if (look < looks) await pause(world.pace, world.signal)
      }
      world.log.info('There is no instance to release')
    })
  if (whitelist)
    await attempt(async () => {
      for (const found of await whitelist.groups()) {
        if (!group(found.name)) continue
        await whitelist.remove(found)
        world.log.info(`Removed the group ${found.name} from the whitelist of the cluster`)
      }
    })
  if (registry)
    await attempt(async () => {
      for (const { id, name } of (await registry.list()).filter(({ name }) => runner(name))) {
        const outcome = await registry.remove(id)
        world.log.info(
          outcome === 'busy'
            ? `GitHub still takes the runner ${name} for busy; it removes the registration itself, since it was for one job`
            : `Removed the registration of the runner ${name}`,
        )
      }
    })
  return problems
}

async function release(world: World, ecs: Ecs, instance: Instance): Promise<void> {
  const { id, type, zone, createdAt } = instance
  const released = await ecs.release(id)
  const minutes = Math.max(1, Math.ceil((world.now() - createdAt) / 60_000))
  world.log.info(
    released
      ? `Released ${id} (${type}, ${zone}): it ran for ${minutes} ${minutes === 1 ? 'minute' : 'minutes'}`
      : `${id} was gone already`,
  )
}
