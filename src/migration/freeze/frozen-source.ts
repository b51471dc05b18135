import { randomUUID } from 'node:crypto'
import { Failure, messageOf } from '../../failure.ts'
import { type Opened, openConnection, withConnection } from '../../postgres/connection.ts'
import { quoteIdentifier } from '../../postgres/identifiers.ts'
import { counted, firstTen } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import { doStill } from '../cancellation.ts'
import type { Source } from '../checks/preflight.ts'
import { runPhase } from '../phases.ts'
import { inPool } from '../pool.ts'
import { retrying } from '../retry.ts'
import type { Run } from '../run.ts'
import { freezeDatabase, noteInMark, otherRun, thawDatabase } from './freeze-database.ts'
import {
  type FreezeState,
  type Frozen,
  freezeSchema,
  letsWrite,
  readFreezeMark,
  readOnlySetting,
  readReadOnlySettings,
  writingRoles,
} from './mark.ts'
import { endSessions, holderOf, isAlive } from './sessions.ts'

/** Databases that are frozen or thawed at a time. */
const workers = 4

/** Milliseconds that a thaw may take in a job that is not cancelled; docs/where.md has the time of one that is. */
const thawing = 60_000

/** The databases of a source that this run has frozen, until they are thawed or left so. */
export class FrozenSource {
  private readonly source: Source
  private readonly run: Run
  /** Of this run, in its marks. */
  private readonly id = randomUUID()
  /** A session that shows to other runs that this one lives. */
  private holder: Opened | undefined
  private readonly states = new Map<string, FreezeState>()
  /** Sessions that were ended. */
  ended = 0
  /** Transactions in which marks were changed since the freeze. */
  noted = 0

  constructor(source: Source, run: Run) {
    this.source = source
    this.run = run
  }

  /** When the first of them was frozen, ISO 8601. */
  get since(): string | null {
    const times = [...this.states.values()].flatMap(({ frozen }) => (frozen ? [frozen.at] : []))
    return times.sort()[0] ?? null
  }

  /** An earlier run froze them and sealed a dump of them, which can still be restored. */
  get hasEarlierDump(): boolean {
    return [...this.states.values()].some(({ frozen }) => frozen?.dump != null)
  }

  /**
   * Makes every database read-only by default, and ends the sessions that could go on writing.
   *
   * @throws Failure; Cancelled. What was frozen until then is for `thaw` to undo
   */
  async freeze(): Promise<void> {
    const { source, run } = this
    const { signal } = run
    const held = await openConnection(source.connection, {
      role: 'source',
      readOnly: true,
      patience: null,
      signal,
    })
    this.holder = held
    const by = { run: this.id, at: new Date().toISOString(), holder: await holderOf(held.client) }
    await this.each(run, async (database, client) => {
      const place = { database, oid: await oidOf(client), number: source.version.number }
      this.states.set(database, await freezeDatabase(client, place, by))
    })
    const names = source.databases.map((database) => database.source)
    this.ended = await endSessions(held.client, names, run.inputs.freezeExcept, run)
    const ended = `${counted(this.ended, 'session')} ended`
    run.log.info(`Read-only by default: ${firstTen(names.map(printable))}; ${ended}`)
  }

  /** Whether every database is still as this run has frozen it, and no role has been let out of it since. */
  async stillFrozen(): Promise<boolean> {
    let frozen = true
    await this.each(this.run, async (_, client) => {
      const state = (await readFreezeMark(client))?.state
      const settings = await readReadOnlySettings(client)
      frozen &&=
        state?.frozen?.run === this.id &&
        settings.database === 'on' &&
        writingRoles(settings).length === 0
    })
    return frozen
  }

  /** Notes something in the marks of all databases, or of one. @throws Failure where one is not frozen by this run any more */
  async note(
    change: (database: string) => Partial<Pick<Frozen, 'dump' | 'target'>>,
  ): Promise<void> {
    await this.each(this.run, async (database, client) => {
      if (await noteInMark(client, this.id, change(database))) {
        this.noted++
        return
      }
      throw new Failure(
        `"${printable(database)}" is not frozen any more`,
        'Somebody gave it back its writes while this run was at work',
        'Run again, and let nobody unfreeze the source meanwhile',
      )
    })
  }

  /**
   * Gives the source back its writes. A cancelled job has its share of the ten seconds for it.
   *
   * @returns what is still frozen, each with why; whoever comes next finds its mark
   */
  async thaw(): Promise<string[]> {
    const left: string[] = []
    await doStill(this.run.signal, thawing, async (signal) => {
      const names = this.source.databases.map((database) => database.source)
      const work = (database: string) =>
        thawOne(this.source, database, this.run, signal, {
          run: this.id,
          setting: this.states.get(database)?.frozen?.setting,
        }).then(
          (isDone) => {
            if (!isDone) left.push(notOurs(database))
          },
          (error: unknown) => {
            left.push(`"${printable(database)}": ${messageOf(error)}`)
          },
        )
      // on the clock of what must still be done, whatever became of the run
      const undo = async () => {
        await inPool(names, { workers, signal: new AbortController().signal }, work)
        if (left.length > 0) throw new Error('not everything could be thawed')
      }
      await runPhase({ ...this.run, signal }, 'unfreeze', undo).catch(() => {})
    })
    return left
  }

  /** Lets go of the session that shows that this run lives. Never throws. */
  async close(): Promise<void> {
    await this.holder?.close()
    this.holder = undefined
  }

  private async each(
    run: Pick<Run, 'log' | 'pauses' | 'signal'>,
    work: (database: string, client: Opened['client']) => Promise<void>,
  ): Promise<void> {
    const { connection, databases } = this.source
    const names = databases.map((database) => database.source)
    const options = { role: 'source', signal: run.signal } as const
    // each is one transaction that finds what an earlier try may have done: it bears repetition
    await inPool(names, { workers, signal: run.signal }, (database) =>
      retrying(run, () =>
        withConnection(connection, { ...options, database }, (client) => work(database, client)),
      ),
    )
  }
}

/** Says of a database that it is still read-only, and that no mark of this run says so any more. */
function notOurs(database: string): string {
  const statement = `ALTER DATABASE ${printable(quoteIdentifier(database))} RESET ${readOnlySetting}`
  return `"${printable(database)}": its mark is gone or another run's, and it is read-only; if no run is at work: ${statement}`
}

/**
 * Undoes the freeze of a database, with new tries while the connection is lost.
 *
 * @param mark of which run, and what the setting was before it; undefined where that run froze nothing there that is known of
 * @returns false where no freeze of that run is there any more, and the database is read-only although it was not before
 */
export async function thawOne(
  { connection }: Pick<Source, 'connection'>,
  database: string,
  context: Pick<Run, 'log' | 'pauses'>,
  signal: AbortSignal,
  { run, setting }: { run: string; setting: Frozen['setting'] | undefined },
): Promise<boolean> {
  const options = { database, role: 'source', signal } as const
  return await retrying({ ...context, signal }, () =>
    withConnection(connection, options, async (client) => {
      if (await thawDatabase(client, database, run)) return true
      if (setting === undefined || (setting !== null && !letsWrite(setting))) return true
      // an earlier try may have undone it before its connection was lost, or somebody else has
      const { database: now } = await readReadOnlySettings(client)
      return now === null || letsWrite(now)
    }),
  )
}

async function oidOf(client: Opened['client']): Promise<string> {
  const { rows } = await client.query<{ oid: string }>(
    `SELECT oid::pg_catalog.text AS oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`,
  )
  return rows[0]?.oid ?? ''
}

/** A database that is frozen by a run that is over. */
export interface LeftFrozen {
  database: string
  frozen: Frozen
}

/**
 * The databases of a source that are frozen.
 *
 * @throws Failure where the run that froze one of them is still at work; Cancelled
 */
export async function frozenDatabases(
  source: Pick<Source, 'connection' | 'databases'>,
  run: Pick<Run, 'log' | 'pauses' | 'signal' | 'warn'>,
): Promise<LeftFrozen[]> {
  const found: LeftFrozen[] = []
  const options = { role: 'source', readOnly: true, signal: run.signal } as const
  await inPool(source.databases, { workers, signal: run.signal }, ({ source: database }) =>
    retrying(run, () =>
      withConnection(source.connection, { ...options, database }, async (client) => {
        const mark = await readFreezeMark(client)
        const { database: setting } = await readReadOnlySettings(client)
        if (mark && !mark.state && setting !== null && !letsWrite(setting)) {
          const [name, owner] = [printable(database), printable(mark.owner)]
          run.warn(
            `"${name}" is read-only by default, and its schema "${freezeSchema}" of "${owner}" is not read as a mark: if "${owner}" froze it, run command: unfreeze with that account`,
          )
        }
        const frozen = mark?.state?.frozen
        if (!frozen) return
        if (await isAlive(client, frozen.holder)) throw otherRun(database, frozen)
        found.push({ database, frozen })
      }),
    ),
  )
  return found
}
