import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { entriesOfKind } from '../../postgres/archive/archive.ts'
import { mostTimedTables } from '../../report/model.ts'
import type { TimedTable } from '../timing.ts'

/**
 * Reads from the stderr of `pg_dump --verbose` when it dumped each table. A worker says which table it begins, by its schema
 * and name; with several jobs the leader says which item of the archive is finished (pg_dump.c, parallel.c). With one job the
 * next line of any kind says that a table is done.
 */
export class DumpTimes {
  /** By `schema.name`, as pg_dump prints it. */
  readonly #begun = new Map<string, number>()
  readonly #next = new Map<string, number>()
  /** By the id of its entry in the archive. */
  readonly #finished = new Map<number, number>()
  #current: string | undefined

  read(line: string, now: number): void {
    if (this.#current !== undefined) this.#next.set(this.#current, now)
    this.#current = undefined
    const begun = /dumping contents of table "(.*)"$/.exec(line)?.[1]
    const finished = /finished item (\d+) TABLE DATA /.exec(line)?.[1]
    if (begun !== undefined && this.#begun.size < mostTimedTables) {
      this.#begun.set(begun, now)
      this.#current = begun
    } else if (finished !== undefined && this.#finished.size < mostTimedTables)
      this.#finished.set(Number(finished), now)
  }

  /**
   * When each table was dumped.
   *
   * @param directory of the archive, complete
   * @param ended when pg_dump ended
   * @returns the tables of which both ends are known: not those whose printed names could be of two tables
   * @throws Failure where the archive has no table of contents
   */
  async of(directory: string, ended: number): Promise<TimedTable[]> {
    if (this.#begun.size === 0) return []
    const content = await readFile(join(directory, 'toc.dat'))
    const data = entriesOfKind(content, directory, 'TABLE DATA')
    const byName = Map.groupBy(data, ({ namespace, tag }) => `${namespace}.${tag}`)
    return data.flatMap(({ dumpId, namespace: schema, tag: name }) => {
      const printed = `${schema}.${name}`
      const from = this.#begun.get(printed)
      const to =
        this.#finished.size > 0
          ? this.#finished.get(dumpId)
          : (this.#next.get(printed) ?? (this.#current === printed ? ended : undefined))
      if (from === undefined || to === undefined || byName.get(printed)?.length !== 1) return []
      return [{ schema, name, from, to: Math.max(from, to) }]
    })
  }
}
