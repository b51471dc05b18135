import type { Archive } from '../../../postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import type { NoteStep } from '../../timing.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'

/** What is built on a table once its rows are in, and takes time that grows with them. */
const built = /^(INDEX|(FK |CHECK )?CONSTRAINT)$/

/** Notes when the rows of each table were loaded, and when its indexes and constraints were built. */
export class RestoreTimes {
  private readonly note: NoteStep | undefined
  private readonly tables = new WeakMap<Archive, Map<number, ArchiveEntry>>()

  /** @param note told of every step that is done; without it nothing is noted */
  constructor(note: NoteStep | undefined) {
    this.note = note
  }

  /** Statements that went to the server together are done: each is taken for an equal part of the time. */
  statements(items: readonly PlannedEntry[], from: number, to = performance.now()): void {
    if (!this.note) return
    const busy = (to - from) / 1000 / Math.max(1, items.length)
    for (const item of items) {
      const { desc, namespace: schema, tag: name } = item.entry
      const isView = desc === 'MATERIALIZED VIEW DATA'
      const table = isView ? { schema, name } : this.tableOf(item)
      if (table) this.note(isView ? 'load' : 'indexes', table, { from, to, busy })
    }
  }

  /** A load begins, of one entry after the other: now, or when that has begun before. */
  load(): { at(item: PlannedEntry | null, from?: number): void; end(done: boolean): void } {
    let current: { entry: ArchiveEntry; from: number } | null = null
    const done = (to: number) => {
      if (current?.entry.desc !== 'TABLE DATA') return
      const { namespace: schema, tag: name } = current.entry
      this.note?.('load', { schema, name }, { from: current.from, to })
    }
    return {
      at: (item, from) => {
        const now = performance.now()
        done(now)
        current = item && { entry: item.entry, from: from ?? now }
      },
      end: (isDone) => {
        if (isDone) done(performance.now())
        current = null
      },
    }
  }

  /** The table that an index or a constraint is built on. */
  private tableOf({ archive, entry }: PlannedEntry): { schema: string; name: string } | undefined {
    if (!built.test(entry.desc)) return undefined
    let tables = this.tables.get(archive)
    if (!tables) {
      const all = archive.entries.filter(({ desc }) => /^(TABLE|MATERIALIZED VIEW)$/.test(desc))
      tables = new Map(all.map((one) => [one.dumpId, one]))
      this.tables.set(archive, tables)
    }
    const needed = entry.dependencies.flatMap((id) => tables.get(id) ?? [])
    // a foreign key needs two tables, and names its own before itself
    const own = needed.find(
      ({ namespace, tag }) => namespace === entry.namespace && entry.tag.startsWith(`${tag} `),
    )
    const table = own ?? needed[0]
    return table && { schema: table.namespace, name: table.tag }
  }
}
