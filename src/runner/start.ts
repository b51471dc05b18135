import { Cancelled, Failure, messageOf } from '../failure.ts'
import { pause } from '../migration/retry.ts'
import { formatDuration } from '../text/numbers.ts'
import { AlibabaError } from './alibaba.ts'
import type { Job, World } from './context.ts'
import { type Instance, isNoStock, type Machine } from './ecs.ts'
import type { RunnerRegistry } from './github.ts'
import type { StartInputs } from './inputs.ts'
import { labelOf, tagsOf, tokenOf, untilTag, whitelistGroupOf } from './names.ts'
import { openServices, removeLeftovers, type Services } from './remove.ts'
import type { Credentials } from './signature.ts'
import { githubDownloads, userData } from './user-data.ts'

/** Minutes that an instance outlives its limit before Alibaba Cloud releases it: `stop` comes first. */
const margin = 30

/** Lines of the console that are shown when a runner did not come online. */
const consoleLines = 200

/**
 * Makes an instance whose runner takes one job of this run, and waits until it is online. Whatever fails, or a cancelled job, leaves
 * nothing behind; what could not be removed any more is removed by `stop`, and by Alibaba Cloud itself at the release time.
 *
 * @throws Failure, Cancelled
 */
export async function startRunner(
  world: World,
  inputs: StartInputs,
  job: Job,
  credentials: Credentials,
): Promise<void> {
  const start = new Start(world, inputs, job, openServices(world, inputs, job, credentials))
  try {
    await start.run()
  } catch (error) {
    const cancelled = world.signal.aborted
    // a cancelled job has ten seconds in all
    const rescue: World = {
      ...world,
      signal: AbortSignal.timeout(cancelled ? 6000 : 180_000),
      ...(cancelled ? { pauses: [0.5, 1, 1], pace: 1 } : {}),
    }
    if (start.mayHaveMade) await start.takeBack(rescue, credentials, !cancelled)
    throw cancelled ? new Cancelled() : error
  }
}

class Start {
  /** From here on something may exist that costs or that lets somebody in. */
  mayHaveMade = false
  private readonly world: World
  private readonly inputs: StartInputs
  private readonly job: Job
  private readonly services: Services
  private readonly label: string
  private readonly tags: Record<string, string>
  private instanceId: string | undefined

  constructor(world: World, inputs: StartInputs, job: Job, services: Services) {
    this.world = world
    this.inputs = inputs
    this.job = job
    this.services = services
    this.label = labelOf(inputs.name, job)
    this.tags = tagsOf(inputs.name, job, job.attempt)
  }

  async run(): Promise<void> {
    const { world, services, label } = this
    const [existing] = await services.ecs.find(this.tags)
    if (existing) world.log.info(`${existing.id} was made by an earlier try of this attempt`)
    const id = existing?.id ?? (await this.make())
    this.mayHaveMade = true
    this.instanceId = id
    world.setOutput('instance-id', id)
    world.setOutput('label', label)
    const { zone, address } = await this.described()
    world.setOutput('zone', zone)
    if (services.whitelist) {
      const group = whitelistGroupOf(this.inputs.name, this.job)
      await services.whitelist.allow(group, address)
      world.log.info(`${address} may connect to ${this.inputs.cluster} (whitelist group ${group})`)
    }
    await this.waitUntilOnline()
    world.log.info(`${id} in ${zone} is online as a runner: runs-on: ${label}`)
  }

  /** Removes what was made, and before that shows what the instance said. Warns and never throws. */
  async takeBack(world: World, credentials: Credentials, explain: boolean): Promise<void> {
    const services = openServices(world, this.inputs, this.job, credentials)
    try {
      if (explain && this.instanceId) await this.showConsole(services, this.instanceId)
    } catch (error) {
      world.log.warning(`The console's output could not be had: ${messageOf(error)}`)
    }
    const problems = await removeLeftovers(world, services, {
      instances: (ecs) => ecs.find(this.tags),
      group: (name) => name === whitelistGroupOf(this.inputs.name, this.job),
      runner: (name) => name === this.label,
      looks: this.instanceId ? 1 : 2,
    })
    for (const problem of problems)
      world.log.warning(`Not everything was removed, runner/stop tries again: ${problem}`)
  }

  /** The first zone and type that have stock. @returns the instance's id */
  private async make(): Promise<string> {
    const { inputs, job, services, world } = this
    const releaseAt = world.now() + (inputs.limitMinutes + margin) * 60_000
    const machine: Machine = {
      ...inputs,
      name: this.label,
      releaseAt,
      tags: { ...this.tags, [untilTag]: new Date(releaseAt).toISOString() },
    }
    const script = (configuration: string) =>
      userData({
        label: this.label,
        version: inputs.runnerVersion,
        sha256: inputs.runnerSha256,
        downloads: [...inputs.runnerMirrors, githubDownloads],
        configuration,
      })
    const refused: string[] = []
    let configuration: string | undefined
    for (const candidate of inputs.candidates) {
      const where = `${candidate.instanceType} in ${candidate.vswitch}`
      try {
        // everything is tried before GitHub is asked for a runner, so that a missing right leaves nothing
        await services.ecs.check(machine, candidate, script('x'.repeat(8000)))
        configuration ??= await this.register(services.registry as RunnerRegistry)
        const token = tokenOf(inputs.name, job, candidate)
        const id = await services.ecs.run(machine, candidate, script(configuration), token)
        world.log.info(
          `Made ${id} (${where}); Alibaba Cloud releases it at ${new Date(releaseAt).toISOString().slice(0, 16)}Z if nobody does before`,
        )
        return id
      } catch (error) {
        if (error instanceof AlibabaError && error.code === 'IdempotentParameterMismatch')
          throw new Failure(
            'An earlier try of this attempt has made an instance that is gone or not to be found',
            error.message,
            'Re-run all jobs: a new attempt makes a new instance',
          )
        if (!isNoStock(error)) throw described(error)
        refused.push(`${where}: ${error.code}`)
        world.log.info(`Not ${where}: ${error.code}`)
      }
    }
    throw new Failure(
      'No instance could be made in any of the zones and of any of the types',
      refused.join('; '),
      'Name more instance-types, or vSwitches of other zones of the same VPC in vswitch',
    )
  }

  private async register(registry: RunnerRegistry): Promise<string> {
    this.mayHaveMade = true
    const made = await registry.register(this.label, [this.label])
    if (made) return made.configuration
    // an earlier try of this attempt got so far, and no further: its configuration is lost
    const stale = await registry.named(this.label)
    if (stale) await registry.remove(stale.id)
    const again = await registry.register(this.label, [this.label])
    if (again) return again.configuration
    throw new Failure(
      `A runner named ${this.label} is registered already`,
      'GitHub answered 409 twice, and its registration could not be removed',
      'Remove it in the settings of the repository, Actions, Runners, and re-run all jobs',
    )
  }

  /** The instance as soon as it has an address. */
  private async described(): Promise<Instance & { address: string }> {
    const deadline = this.deadline()
    for (;;) {
      const instance = (await this.services.ecs.find(this.tags)).find(
        ({ id }) => id === this.instanceId,
      )
      if (instance?.address) return { ...instance, address: instance.address }
      if (this.world.now() > deadline)
        throw new Failure(
          `${this.instanceId} has no address after ${this.inputs.waitMinutes} minutes`,
          `its state is ${instance?.status ?? 'unknown'}`,
          'Look at the instance in the console, and re-run all jobs',
        )
      this.world.progress.update(`waiting for ${this.instanceId} to get an address`)
      await pause(this.world.pace, this.world.signal)
    }
  }

  private async waitUntilOnline(): Promise<void> {
    const { world, label, services, inputs } = this
    const began = world.now()
    const deadline = this.deadline()
    for (;;) {
      const runner = await services.registry?.named(label)
      if (runner?.online) return
      const instance = (await services.ecs.find(this.tags)).find(({ id }) => id === this.instanceId)
      const status = instance?.status ?? 'gone'
      if (/^(gone|Stopp(ed|ing))$/.test(status))
        throw new Failure(
          `${this.instanceId} ended before its runner came online`,
          `its state is ${status}`,
          'What its console said is above; somebody or something in the account may have stopped it',
        )
      if (world.now() > deadline)
        throw new Failure(
          `The runner ${label} did not come online within ${inputs.waitMinutes} minutes`,
          runner
            ? `GitHub has it as offline, and ${this.instanceId} is ${status}`
            : 'GitHub does not know it any more',
          'What its console said is above; mostly the instance has no way to GitHub on port 443 (docs/runner.md, Network)',
        )
      world.progress.update(
        `waiting for the runner to come online: ${this.instanceId} is ${status}, ${formatDuration((world.now() - began) / 1000)}`,
      )
      await pause(world.pace, world.signal)
    }
  }

  private deadline(): number {
    return this.world.now() + this.inputs.waitMinutes * 60_000
  }

  private async showConsole({ ecs }: Services, id: string): Promise<void> {
    const lines = (await ecs.console(id)).split(/\r?\n/).filter((line) => line.trim() !== '')
    this.world.log.info(
      lines.length === 0
        ? `${id} has written nothing to its console`
        : `What ${id} has written to its console (the last ${Math.min(lines.length, consoleLines)} lines):`,
    )
    for (const line of lines.slice(-consoleLines)) this.world.log.info(`  ${line}`)
  }
}

/** What RunInstances is refused for, beyond stock and rights, with the next step. */
function described(error: unknown): unknown {
  if (!(error instanceof AlibabaError)) return error
  const input = /Image/.test(error.code)
    ? 'image'
    : /SecurityGroup/.test(error.code)
      ? 'security-group'
      : /VSwitch|Vpc/i.test(error.code)
        ? 'vswitch'
        : /InstanceType/.test(error.code)
          ? 'instance-types'
          : /Region/.test(error.code)
            ? 'region'
            : undefined
  return new Failure(
    'Alibaba Cloud refused to make the instance',
    error.message,
    input
      ? `Check ${input}: it must exist in this region, and vSwitch and security group belong to one VPC`
      : 'Look the code up in the API reference of RunInstances, and correct the inputs',
    { cause: error },
  )
}
