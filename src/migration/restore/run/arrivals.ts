import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import type { Task } from './task.ts'

/** What tells a table from others, in the entry that makes it and in the one with its rows. */
export const tableKey = ({ namespace, tag }: Pick<ArchiveEntry, 'namespace' | 'tag'>) =>
  `${namespace}\0${tag}`

/** Which of the archives that are still to come holds the rows of which table. */
export class Arrivals {
  private readonly named = new Map<string, { arrival: Task; bytes: number }>()
  private readonly rest: Task | undefined

  /** @param arrivals one task for each archive */
  constructor(arrivals: readonly Task[]) {
    for (const arrival of arrivals) {
      for (const { schema, name, bytes } of arrival.part?.tables ?? []) {
        this.named.set(tableKey({ namespace: schema, tag: name }), { arrival, bytes })
      }
    }
    this.rest = arrivals.find(({ part }) => part?.isRest)
  }

  /** The arrival that brings the rows of a table, undefined where none does. */
  of(key: string): Task | undefined {
    return this.named.get(key)?.arrival ?? this.rest
  }

  /** Bytes on the source of a table whose rows are still to come; 0 where nobody has named it. */
  bytesOf(key: string): number {
    return this.named.get(key)?.bytes ?? 0
  }

  /**
   * Notes that a task needs the rows of a table, and weighs it by them.
   *
   * @returns the arrival that it waits for, undefined where none brings them
   */
  await(task: Task, table: ArchiveEntry): Task | undefined {
    const key = tableKey(table)
    const arrival = this.of(key)
    if (!arrival || task.awaited?.has(key)) return arrival
    const bytes = this.bytesOf(key)
    task.awaited ??= new Map()
    task.awaited.set(key, bytes)
    task.weight += bytes
    return arrival
  }
}
