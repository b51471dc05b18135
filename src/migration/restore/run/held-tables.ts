import type { Task } from './task.ts'

/** Which tables the tasks that run have to themselves, or share with their like. */
export class HeldTables {
  private readonly exclusive = new Map<string, number>()
  private readonly sharing = new Map<string, number>()
  /** Of those that share a table, how many read it for the verification. */
  private readonly reading = new Map<string, number>()

  hold(task: Task): void {
    this.count(task, 1)
  }

  release(task: Task): void {
    this.count(task, -1)
  }

  private count({ kind, exclusive, sharing }: Task, change: 1 | -1): void {
    const add = (counts: Map<string, number>, keys: readonly string[]) => {
      for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + change)
    }
    add(this.exclusive, exclusive)
    add(this.sharing, sharing)
    if (kind === 'digest') add(this.reading, sharing)
  }

  /** Whether a task would wait for no table. */
  isFree({ exclusive, sharing }: Task): boolean {
    return (
      exclusive.every((key) => !this.exclusive.get(key) && !this.sharing.get(key)) &&
      sharing.every((key) => !this.exclusive.get(key))
    )
  }

  /** Whether it would wait for none but for those that are read for the verification. */
  isFreeButForReading({ exclusive, sharing }: Task): boolean {
    const isShared = (key: string) => (this.sharing.get(key) ?? 0) > (this.reading.get(key) ?? 0)
    return (
      exclusive.every((key) => !this.exclusive.get(key) && !isShared(key)) &&
      sharing.every((key) => !this.exclusive.get(key))
    )
  }
}
