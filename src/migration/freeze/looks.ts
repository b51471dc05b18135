import { Cancelled, messageOf } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import { together } from '../../postgres/together.ts'
import { firstTen } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import type { Source } from '../checks/preflight.ts'
import { isGivenUp, retrying } from '../retry.ts'
import type { Run } from '../run.ts'
import type { FrozenSource } from './frozen-source.ts'
import { namesOf } from './sessions.ts'
import {
  openWriters,
  readBypasses,
  readWrites,
  type Writer,
  type Writes,
  written,
} from './writes.ts'

/** What a look at a database says of the time since an earlier one. */
export interface Look {
  database: string
  /** `unknown` also where it could not be looked at; `why` says then what was in the way. */
  writes: boolean | 'unknown'
  what: string
  writers: Writer[]
  /** Of a frozen source: transactions that were prepared and can still be committed, by their identifier. */
  prepared: string[]
  why?: string
}

/** Whether a look has seen that somebody wrote, or is about to. */
export function isWritten({ writes, writers, prepared }: Look): boolean {
  return writes === true || writers.length > 0 || prepared.length > 0
}

/** A look as messages show it: which database, what was written, and by whom. */
export function sentenceOf({ database, what, writers, prepared }: Look): string {
  const who = writers.length > 0 ? `by ${namesOf(writers)}` : ''
  const pending =
    prepared.length > 0
      ? `prepared and not committed yet: ${firstTen(prepared.map(printable))}`
      : ''
  return `"${printable(database)}": ${[what, who, pending].filter(Boolean).join(', ')}`
}

/** Looks at the databases of a source, each time compared with an earlier one. */
export class Looks {
  private readonly source: Source
  private readonly run: Run
  /** The readings that later ones are compared with, by database. */
  private readonly before = new Map<string, Writes>()
  /** Transactions in which this run had noted something in its marks by the last look. */
  private noted = 0
  /** Once the source is frozen. */
  frozen: FrozenSource | undefined

  constructor(source: Source, run: Run) {
    this.source = source
    this.run = run
  }

  /** @throws Failure where a database cannot be looked at; Cancelled */
  async begin(): Promise<void> {
    await this.look(true)
  }

  /** When the earliest of the readings was made that later ones are compared with, on the clock of `performance.now()`. */
  get began(): number {
    return Math.min(...[...this.before.values()].map(({ at }) => at))
  }

  /** Looks at every database, and lets later looks count from this one. */
  async look(must = false): Promise<Look[]> {
    const looks: Look[] = []
    for (const { source: database } of this.source.databases) {
      const { look, now } = await this.lookAt(database, must)
      looks.push(look)
      if (now) this.before.set(database, now)
    }
    this.noted = this.frozen?.noted ?? 0
    return looks
  }

  /**
   * Looks at every database, and leaves where later looks count from.
   *
   * @param isLost a server was waited for in full already, and is not waited for again
   */
  async compare(isLost = false): Promise<Look[]> {
    const looks: Look[] = []
    for (const { source: database } of this.source.databases) {
      const found = await this.lookAt(database, false, isLost)
      looks.push(found.look)
      isLost ||= found.isLost === true
    }
    return looks
  }

  private async lookAt(
    database: string,
    must = false,
    once = false,
  ): Promise<{ look: Look; now?: Writes; isLost?: boolean }> {
    const { source, run } = this
    const { log, signal } = run
    const options = { database, readOnly: true, role: 'source', signal } as const
    const before = this.before.get(database)
    const own = (this.frozen?.noted ?? 0) - this.noted
    const look: Look = { database, writes: false, what: '', writers: [], prepared: [] }
    try {
      const { now, ...others } = await retrying(once ? { log, signal, pauses: [] } : run, () =>
        withConnection(source.connection, options, async (client) => {
          const [now, writers] = await together(client, [
            () => readWrites(client),
            () => openWriters(client),
          ])
          const prepared = this.frozen ? (await readBypasses(client)).prepared : []
          return { now, writers, prepared }
        }),
      )
      // whoever is at work is seen, whatever the counts say
      Object.assign(look, others)
      if (before) Object.assign(look, written(before, now, this.frozen !== undefined, own))
      return { look, now }
    } catch (error) {
      if (signal.aborted) throw new Cancelled()
      if (must) throw error
      return {
        look: { ...look, writes: 'unknown', why: messageOf(error) },
        isLost: isGivenUp(error),
      }
    }
  }
}
