import { smallWeight, type Task } from './task.ts'

/**
 * What work takes for each byte of its tables' rows, as a multiple of loading them. Where between its two ends a kind lies
 * depends on the rows: bench/indexes.ts measures it for some. Only the order of the work hangs on it, and what is measured on
 * the way takes its place.
 */
const presumed = {
  load: 1,
  gin: 3,
  gist: 1.5,
  spgist: 0.5,
  hash: 0.3,
  btree: 0.3,
  brin: 0.1,
  reference: 0.3,
  view: 1,
  other: 0,
}
type Kind = keyof typeof presumed

function kindOf({ kind, items: [first], step }: Task): Kind {
  // an archive that is to come will have to be loaded
  if (kind === 'load' || kind === 'arrival') return 'load'
  // the other one of the two has the work
  if (step && step.isLast === (step.steps.kind === 'index')) return 'other'
  switch (first?.entry.desc) {
    case 'INDEX':
      return methodOf(first.entry.definition)
    case 'CONSTRAINT':
      return /\bEXCLUDE USING gist\b/.test(first.entry.definition) ? 'gist' : 'btree'
    case 'FK CONSTRAINT':
      return 'reference'
    case 'MATERIALIZED VIEW DATA':
      return 'view'
    default:
      return 'other'
  }
}

/** The access method of an index as pg_get_indexdef prints it. */
function methodOf(definition: string): Kind {
  return kindOfMethod(/ USING (\w+) \(/.exec(definition)?.[1] ?? '')
}

/** An access method of an extension is taken for a b-tree. */
function kindOfMethod(method: string): Kind {
  return /^(gin|gist|spgist|hash|brin)$/.test(method) ? (method as Kind) : 'btree'
}

/**
 * What loading a table and then building the costliest of its indexes takes, before anything is measured.
 *
 * @param bytes of its rows
 * @param methods the access methods of its indexes
 * @returns bytes that are loaded in the same time
 */
export function presumedChain(bytes: number, methods: readonly string[]): number {
  return bytes * (presumed.load + costliestOf(methods))
}

/** Of loading a table, where that goes on beside its dump, what is presumed to be left when the dump of it ends. */
const unloaded = 0.25

/** The same of a table that is loaded while it is dumped, from the end of its dump on. */
export function presumedLeft(bytes: number, methods: readonly string[]): number {
  return bytes * (unloaded * presumed.load + costliestOf(methods))
}

function costliestOf(methods: readonly string[]): number {
  return Math.max(0, ...methods.map((method) => presumed[kindOfMethod(method)]))
}

/** How long the tasks of a restore take, presumed from their kind and bytes, and corrected by what they took. */
export class Costs {
  private readonly measured = new Map<Kind, { seconds: number; bytes: number }>()
  private readonly used = new Map<Kind, number>()
  /** What tasks took whose rows say little of it. */
  private readonly small = { seconds: 0, tasks: 0 }

  /** What it takes, in a unit that all tasks share. */
  of(task: Task): number {
    const kind = kindOf(task)
    const rate = this.rate(kind)
    this.used.set(kind, rate)
    return rate * task.weight
  }

  /**
   * Seconds that a task takes by itself.
   *
   * @param loadByte seconds for loading a byte, as tasks that are running show it; it counts while none is done
   * @returns undefined while neither is known
   */
  seconds(task: Task, loadByte?: number): number | undefined {
    const each = this.small.tasks > 0 ? this.small.seconds / this.small.tasks : 0
    const kind = kindOf(task)
    if (task.weight < smallWeight || presumed[kind] === 0) return each
    if (this.measured.size > 0) return each + this.rate(kind) * task.weight
    return loadByte === undefined ? undefined : each + presumed[kind] * loadByte * task.weight
  }

  /** Seconds for loading a byte, as a task shows that has done a fraction (0 to 1) of itself; undefined where it shows nothing. */
  loadByte(task: Task, seconds: number, fraction: number): number | undefined {
    const done = fraction * presumed[kindOf(task)] * task.weight
    return done >= smallWeight ? seconds / done : undefined
  }

  /**
   * Learns from tasks that are done; of those that read rows for the verification nothing, since no other is like them.
   *
   * @param together how many of them took the seconds: what each of several took is not known, and they are small
   * @returns whether what `of` has said no longer holds, by a quarter or more
   */
  learn(task: Task, seconds: number, together = 1): boolean {
    if (task.kind === 'digest') return false
    const kind = kindOf(task)
    if (together > 1 || task.weight < smallWeight) {
      this.small.seconds += seconds / together
      this.small.tasks++
      return false
    }
    if (kind === 'other') return false
    const known = this.measured.get(kind) ?? { seconds: 0, bytes: 0 }
    known.seconds += seconds
    known.bytes += task.weight
    this.measured.set(kind, known)
    return [...this.used].some(([used, rate]) => Math.abs(this.rate(used) - rate) > rate / 4)
  }

  /** What `of` says is in seconds: something was measured. */
  get inSeconds(): boolean {
    return this.measured.size > 0
  }

  /** Seconds for a byte where something was measured, else multiples of loading it. */
  private rate(kind: Kind): number {
    const own = this.measured.get(kind)
    if (own) return own.seconds / own.bytes
    if (kind === 'load') return this.fromOthers()
    return presumed[kind] * this.rate('load')
  }

  /** What loading a byte takes, told from the other kinds as long as no load has ended. */
  private fromOthers(): number {
    let [seconds, bytes] = [0, 0]
    for (const [kind, known] of this.measured) {
      seconds += known.seconds
      bytes += known.bytes * presumed[kind]
    }
    return bytes > 0 ? seconds / bytes : 1
  }
}

/**
 * The longest chain of work that begins with each task, itself included: who takes the largest first ends soonest, as far as
 * that can be known (list scheduling by level: Coffman and Graham, "Optimal scheduling for two-processor systems", 1972).
 *
 * @param tasks all of them; those that wait for one another in a circle count for themselves
 */
export class Chains {
  private readonly tasks: readonly Task[]
  /** Each before all that need it. */
  private readonly order: Task[]

  constructor(tasks: readonly Task[]) {
    this.tasks = tasks
    const open = new Map(tasks.map((task) => [task, task.needs.size]))
    this.order = tasks.filter((task) => task.needs.size === 0)
    for (const task of this.order) {
      for (const next of task.neededBy) {
        const left = (open.get(next) ?? 0) - 1
        open.set(next, left)
        if (left === 0) this.order.push(next)
      }
    }
  }

  /** Sets the `chain` of every task. */
  measure(costs: Costs): void {
    for (const task of this.tasks) task.chain = costs.of(task)
    for (const task of this.order.toReversed()) {
      task.chain += task.neededBy.reduce((most, { chain }) => Math.max(most, chain), 0)
    }
  }
}
