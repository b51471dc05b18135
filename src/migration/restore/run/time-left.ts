import type { PlannedEntry } from '../plan/planned-entry.ts'
import type { Costs } from './costs.ts'
import type { Task } from './task.ts'

/** A task that is running: since when, and how far it is (0 to 1) where that is known. */
export interface Begun {
  items: readonly PlannedEntry[]
  seconds: number
  fraction: number | undefined
}

/** Of a task whose progress is known, what must be done (and for how many seconds) before the rest is reckoned from it. */
const telling = { fraction: 0.02, seconds: 1 }

/**
 * Seconds that the tasks of a restore still take: all that is left, shared out over the workers, and no less than the longest
 * chain of tasks that wait for one another.
 *
 * @param tasks those that are not done, running ones included
 * @param begun what is running
 * @param workers who share them, at least 1
 * @returns undefined while too little is known
 */
export function secondsLeft(
  tasks: readonly Task[],
  begun: readonly Begun[],
  costs: Costs,
  workers: number,
): number | undefined {
  // nobody knows when the dump is that far
  if (tasks.some(({ kind }) => kind === 'arrival')) return undefined
  const running = new Map(begun.flatMap((one) => one.items.map((item) => [item, one] as const)))
  // of two that make one entry together, the second still waits for the first
  const runningOf = (task: Task) =>
    task.items[0] && task.needs.size === 0 ? running.get(task.items[0]) : undefined
  const shown = tasks.flatMap((task) => {
    const now = runningOf(task)
    if (!now || !isTelling(now)) return []
    return costs.loadByte(task, now.seconds, now.fraction ?? 0) ?? []
  })
  const loadByte =
    shown.length > 0 ? shown.reduce((sum, one) => sum + one, 0) / shown.length : undefined

  // nobody knows here when an archive comes that is still being dumped
  if (tasks.some(({ kind }) => kind === 'arrival')) return undefined
  const left = new Map<Task, number>()
  let sum = 0
  for (const task of tasks) {
    const seconds = leftOf(runningOf(task), costs.seconds(task, loadByte))
    if (seconds === undefined) return undefined
    left.set(task, seconds)
    sum += seconds
  }
  return Math.max(sum / workers, longestChain(left))
}

/** Seconds that something still takes by how far it is; undefined where too little of it is done. */
export function leftByProgress(begun: Pick<Begun, 'seconds' | 'fraction'>): number | undefined {
  const { seconds, fraction = 0 } = begun
  return isTelling(begun) ? (seconds * (1 - fraction)) / fraction : undefined
}

function isTelling({ fraction, seconds }: Pick<Begun, 'seconds' | 'fraction'>): boolean {
  return fraction !== undefined && fraction >= telling.fraction && seconds >= telling.seconds
}

/** @param cost seconds that it takes in all, as far as that is known */
function leftOf(begun: Begun | undefined, cost: number | undefined): number | undefined {
  if (!begun) return cost
  const { seconds } = begun
  const left = leftByProgress(begun)
  if (left !== undefined) return left
  // one that has outlived what was expected of it is believed to be near its end, and the nearer the shorter it runs
  return cost === undefined ? undefined : Math.max(cost - seconds, seconds / 10)
}

/** The longest way through tasks that wait for one another, each as long as it still takes. */
function longestChain(left: ReadonlyMap<Task, number>): number {
  const open = new Map<Task, number>()
  const from = new Map<Task, number>()
  const order: Task[] = []
  for (const task of left.keys()) {
    const waits = [...task.needs].filter((needed) => left.has(needed)).length
    open.set(task, waits)
    if (waits === 0) order.push(task)
  }
  let longest = 0
  for (const task of order) {
    const end = (from.get(task) ?? 0) + (left.get(task) ?? 0)
    longest = Math.max(longest, end)
    for (const next of task.neededBy) {
      const waits = open.get(next)
      if (waits === undefined) continue
      from.set(next, Math.max(from.get(next) ?? 0, end))
      open.set(next, waits - 1)
      if (waits === 1) order.push(next)
    }
  }
  return longest
}
