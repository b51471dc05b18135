/** Processors that share out their time evenly, as an operating system does, or a link that shares out its bytes. */
export interface Machine {
  name: string
  /** Seconds that it gives in a second. */
  cores: number
}

/** What one piece of work takes of one machine. */
export interface Stage {
  machine: Machine
  /** Of a processor, for all of the work. */
  seconds: number
  /** Processes that share them, each on one processor at most; asked again whenever something begins or ends. */
  processes?: () => number
}

/** Work under way. All of its stages go on together, and no faster than the slowest. */
export interface Flow {
  /** From 0 to 1. */
  readonly done: number
  readonly ended: Promise<void>
}

class OneFlow implements Flow {
  readonly stages: readonly Stage[]
  readonly behind: Flow | undefined
  readonly resolvers = Promise.withResolvers<void>()
  done = 0
  /** Of all of it in a second. */
  rate = 0
  /** Processor seconds for all of it by stage are asked of so many processes now. */
  counts: number[] = []

  constructor(stages: readonly Stage[], behind: Flow | undefined) {
    this.stages = stages.filter(({ seconds }) => seconds > 0)
    this.behind = behind
  }

  get ended(): Promise<void> {
    return this.resolvers.promise
  }

  get isBehind(): boolean {
    return this.behind !== undefined && this.behind.done < 1 && this.done >= this.behind.done - near
  }
}

const near = 1e-9

/**
 * Time that passes only in reckoning: code that waits for promises is carried on as far as it comes, then the clock goes to the
 * moment at which the next work ends. What is under way shares the machines evenly, process by process, and what a stage cannot use
 * because another one of its work holds it up goes to the others.
 */
export class Simulation {
  /** Seconds since its begin. */
  now = 0
  private readonly flows = new Set<OneFlow>()
  private readonly sleepers = new Set<{ at: number; wake: () => void }>()

  /** Begins work. @param behind other work that it cannot overtake */
  begin(stages: readonly Stage[], behind?: Flow): Flow {
    const flow = new OneFlow(stages, behind)
    if (flow.stages.length === 0 && !behind) {
      flow.done = 1
      flow.resolvers.resolve()
    } else this.flows.add(flow)
    return flow
  }

  /** Begins work, and waits for its end. */
  async run(stages: readonly Stage[]): Promise<void> {
    await this.begin(stages).ended
  }

  /** Ends work before it is done. */
  giveUp(flow: Flow): void {
    if (!(flow instanceof OneFlow)) return
    this.flows.delete(flow)
    flow.resolvers.resolve()
  }

  async sleep(seconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.sleepers.add({ at: this.now + seconds, wake: resolve })
    await promise
  }

  /** Lets the time pass until `work` has ended. @throws what it throws; Error where it waits for nothing that will end */
  async until<T>(work: Promise<T>): Promise<T> {
    let over = false
    const watched = work.finally(() => {
      over = true
    })
    watched.catch(() => {})
    for (;;) {
      // all that waits for promises goes on before this
      await new Promise(setImmediate)
      if (over) return await watched
      if (this.flows.size === 0 && this.sleepers.size === 0)
        throw new Error(`nothing is under way after ${this.now.toFixed(1)} s`)
      this.pass()
    }
  }

  private pass(): void {
    this.share()
    let step = Number.POSITIVE_INFINITY
    for (const { at } of this.sleepers) step = Math.min(step, at - this.now)
    for (const flow of this.flows) {
      if (flow.rate > 0) step = Math.min(step, (1 - flow.done) / flow.rate)
      const { behind } = flow
      const closing = behind instanceof OneFlow ? flow.rate - behind.rate : 0
      if (behind && behind.done < 1 && !flow.isBehind && closing > near)
        step = Math.min(step, (behind.done - flow.done) / closing)
    }
    if (!Number.isFinite(step)) throw new Error(`nothing goes on after ${this.now.toFixed(1)} s`)
    step = Math.max(0, step)
    this.now += step
    for (const flow of this.flows) flow.done += flow.rate * step
    for (const flow of this.flows) {
      if (flow.done < 1 - near) continue
      flow.done = 1
      this.flows.delete(flow)
      flow.resolvers.resolve()
    }
    for (const sleeper of this.sleepers) {
      if (sleeper.at > this.now + near) continue
      this.sleepers.delete(sleeper)
      sleeper.wake()
    }
  }

  /** Sets the rate of everything under way. */
  private share(): void {
    const flows = [...this.flows]
    for (const flow of flows)
      flow.counts = flow.stages.map(({ processes }) => Math.max(0, processes?.() ?? 1))
    const levels = new Map<Machine, number>()
    // what a stage leaves to others raises their share, and that of the stages which wait for those: it settles soon
    for (let round = 0; round < 60; round++) {
      const demands = new Map<Machine, { count: number; wanted: number }[]>()
      for (const flow of flows) {
        for (const [index, { machine, seconds }] of flow.stages.entries()) {
          const count = flow.counts[index] ?? 1
          const wanted = Math.min(count, this.most(flow, levels, index) * seconds)
          demands.set(machine, [...(demands.get(machine) ?? []), { count, wanted }])
        }
      }
      for (const [machine, all] of demands) levels.set(machine, levelOf(machine.cores, all))
      for (const flow of flows) flow.rate = this.most(flow, levels)
    }
  }

  /** How fast work can go, with what its machines give each process; @param but a stage that is left out of it */
  private most(flow: OneFlow, levels: ReadonlyMap<Machine, number>, but = -1): number {
    let most = Number.POSITIVE_INFINITY
    for (const [index, { machine, seconds }] of flow.stages.entries()) {
      if (index === but) continue
      const level = Math.min(1, levels.get(machine) ?? 1)
      most = Math.min(most, (level * (flow.counts[index] ?? 1)) / seconds)
    }
    if (flow.isBehind && flow.behind instanceof OneFlow) most = Math.min(most, flow.behind.rate)
    // work that takes nothing keeps up with what it is behind of
    return Number.isFinite(most) ? most : 1e6
  }
}

/** What each process gets, where those that want less leave the rest to the others. */
function levelOf(cores: number, all: readonly { count: number; wanted: number }[]): number {
  let [left, count] = [cores, all.reduce((sum, one) => sum + one.count, 0)]
  const sorted = all
    .filter((one) => one.count > 0)
    .toSorted((one, other) => one.wanted / one.count - other.wanted / other.count)
  for (const one of sorted) {
    if (one.wanted > (left / count) * one.count) return left / count
    left -= one.wanted
    count -= one.count
  }
  return 1
}
