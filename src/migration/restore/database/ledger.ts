import type { RestoreState } from './mark.ts'

/** A table by its own names. */
export interface LoadedTable {
  schema: string
  name: string
}

/**
 * Tables whose rows several sessions load, each in a transaction of its own: these do not commit as one. So a table stands in
 * the target's mark from before the first commit until after the last, and one that stands there is emptied and loaded again,
 * whatever it holds. Only one process writes the mark, and one thing at a time.
 */
export class Ledger {
  private readonly marked: RestoreState
  private readonly save: () => Promise<void>
  private last: Promise<void> = Promise.resolve()

  /**
   * @param marked what the mark holds
   * @param save writes that into the target
   */
  constructor(marked: RestoreState, save: () => Promise<void>) {
    this.marked = marked
    this.save = save
  }

  /** Tables that an interrupted load may have filled in part. */
  get tables(): readonly LoadedTable[] {
    return this.marked.loading ?? []
  }

  has(table: LoadedTable): boolean {
    return this.tables.some((one) => isSame(one, table))
  }

  /** Enters a table before the first commit. @throws what `save` throws: then it may be written down, or not */
  async enter(table: LoadedTable): Promise<void> {
    // written again even where it is known: what an earlier try has written may not have arrived
    if (!this.has(table)) this.marked.loading = [...this.tables, table]
    await this.write()
  }

  /** Takes a table out that is loaded, or empty. @throws what `save` throws: then it may still be written down */
  async leave(table: LoadedTable): Promise<void> {
    if (!this.has(table)) return
    const others = this.tables.filter((one) => !isSame(one, table))
    if (others.length > 0) this.marked.loading = others
    else delete this.marked.loading
    await this.write()
  }

  /** One after the other: what was written last is what was noted last. */
  private async write(): Promise<void> {
    const before = this.last
    const done = Promise.withResolvers<void>()
    this.last = done.promise
    await before
    try {
      await this.save()
    } finally {
      done.resolve()
    }
  }
}

const isSame = (one: LoadedTable, other: LoadedTable) =>
  one.schema === other.schema && one.name === other.name
