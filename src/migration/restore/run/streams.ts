import type pg from 'pg'
import { Cancelled, Failure, messageOf } from '../../../failure.ts'
import { CopyScript, type Rows, UnknownScript } from '../../../postgres/archive/copy-script.ts'
import { decoder } from '../../../postgres/archive/encoding.ts'
import { CopyIn } from '../../../postgres/copy.ts'
import { mayPass, sqlstateOf } from '../../../postgres/errors.ts'
import { quoteLiteral } from '../../../postgres/identifiers.ts'
import { isRaised, isServerError, shownMessage } from '../../../postgres/server-message.ts'
import { isTransient } from '../../../postgres/sqlstates.ts'
import type { Logger } from '../../context.ts'
import type { Ledger } from '../database/ledger.ts'
import { fitsMark } from '../database/mark.ts'
import type { RestoreOptions } from '../options.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { streamSizes } from '../stream-sizes.ts'
import { rootOf, scriptArguments, tableOf } from './load.ts'
import { CommitFailed, LoadFailure } from './load-errors.ts'
import { runPgRestore } from './pg-restore.ts'
import { streamsOf, TargetSession } from './target-session.ts'

/**
 * So many times the size from which on it may have several is a table before whose end other jobs are expected to have nothing to do. What goes through this process costs
 * a tenth more than what pg_restore sends itself (bench/streams.ts), so smaller ones are streamed only where a job waits already.
 */
const surely = 8

/** The load of one table's rows through several sessions. */
export interface StreamedLoad {
  options: RestoreOptions
  item: PlannedEntry
  /** Of the worker, whose sessions these are as well (see streamsOf). */
  name: string
  /** For files of a moment. */
  directory: string
  signal: AbortSignal
  log: Logger
  ledger: Ledger
  /**
   * Brings the bytes of the data file, where not pg_restore does. It may take hours over that, so there is no further session before
   * those that are there have enough to do.
   */
  follow?: (take: (chunk: Buffer) => Promise<void>, signal: AbortSignal) => Promise<void>
  /** How many sessions may work now, at least one: asked again and again. */
  allowed(): number
  /** Told so many bytes of rows have gone to so many sessions. */
  moved(sessions: number, bytes: number): void
}

/**
 * Whether the rows of an entry may go through several sessions: it is a large table with a COPY statement that can be said in our
 * own session, and nothing of the user's changes what pg_restore does. What the target must be like, loadInStreams asks.
 *
 * @param idle jobs that the load may use now beside its own
 */
export function mayBeStreamed(item: PlannedEntry, options: RestoreOptions, idle: number): boolean {
  const { entry, archive } = item
  const { from } = options.streams ?? streamSizes
  return (
    options.jobs > 1 &&
    options.extraOptions.length === 0 &&
    entry.desc === 'TABLE DATA' &&
    entry.dataBytes >= (idle > 0 ? from : surely * from) &&
    entry.copyStatement !== null &&
    !/\) WITH OIDS FROM stdin;\n?$/.test(entry.copyStatement) &&
    // names that are no text in our encoding, or a search_path for each schema, are pg_restore's
    entry.bytes === null &&
    archive.searchPath !== null &&
    rootOf(item) === null &&
    fitsMark(entry.namespace) &&
    fitsMark(entry.tag)
  )
}

/**
 * Loads the rows of one table through as many sessions as may work, each in a transaction of its own, out of what pg_restore
 * writes, or what is brought instead. None commits before every COPY and what brings the rows have ended well; see Ledger for what stands in the mark meanwhile.
 *
 * @returns false where nothing was loaded and pg_restore has to do it: the table is not as bare as one that was just made, or
 *   something came that is not known
 * @throws LoadFailure with what the server or pg_restore said: nothing is loaded then, unless the ledger has the table; Failure; Cancelled
 */
export async function loadInStreams(load: StreamedLoad): Promise<boolean> {
  const streams = new Streams(load)
  try {
    if (!(await streams.begin())) return false
    const rows = await streams.fill()
    const expected = load.options.expectedRows?.get(tableOf(load.item))
    if (expected !== undefined && rows !== expected) {
      load.log.warning(
        `${load.item.name}: the server took ${rows} rows where the dump says ${expected}: they are loaded again, in one session`,
      )
      return false
    }
    await streams.commit()
    return true
  } catch (error) {
    if (load.signal.aborted) throw new Cancelled()
    if (error instanceof UnknownScript && !load.follow) {
      load.log.info(`${load.item.name} is loaded in one session: ${error.message}`)
      return false
    }
    throw explained(error, load.item)
  } finally {
    await streams.close()
  }
}

/** A session with its COPY. */
interface Stream {
  client: pg.Client
  copy: CopyIn
  /** Bytes that it was sent. */
  sent: number
}

/** The sessions of one load. */
class Streams {
  private readonly load: StreamedLoad
  private readonly statement: string
  private readonly script: CopyScript
  private readonly piece: number
  private readonly sessions: TargetSession[] = []
  private readonly streams: Stream[] = []
  /** Sessions at most: less than was wished where the server gives no more. */
  private most: number
  private opening: Promise<void> | undefined
  private opened = 0
  /** Where the rows go now, since it has not had a piece to its end yet. */
  private current: Stream | undefined
  private inPiece = 0
  private bytes = 0
  private failed: { error: unknown } | undefined
  private readonly stopper = new AbortController()
  private readonly stopped = Promise.withResolvers<void>()
  private readonly signal: AbortSignal
  private readonly cancel = () => void this.sessions.map((session) => session.cancel())

  constructor(load: StreamedLoad) {
    const { entry, archive } = load.item
    const { most, piece } = load.options.streams ?? streamSizes
    this.load = load
    this.most = most
    this.piece = piece
    this.signal = AbortSignal.any([load.signal, this.stopper.signal])
    this.signal.addEventListener('abort', () => this.stopped.resolve(), { once: true })
    load.signal.addEventListener('abort', this.cancel, { once: true })
    // as pg_restore says it, in the encoding that it says, while ours is that of our statements
    const copy = entry.copyStatement ?? ''
    this.statement = `${copy.replace(/;\n?$/, '')} WITH (ENCODING ${quoteLiteral(archive.encoding)})`
    const decode = decoder(archive.encoding)
    const isCopy = (bytes: Buffer) => {
      const { text, exact } = decode(bytes)
      return exact && text.trimEnd() === copy.trimEnd()
    }
    this.script = new CopyScript(load.follow ? undefined : isCopy)
  }

  /** Opens the sessions that may work from the start. @returns false where the table has what others would meet in, or must not be loaded at once */
  async begin(): Promise<boolean> {
    const session = await this.newSession()
    const { rows } = await session.query<{ bare: boolean; free: number }>(
      `SELECT relkind = 'r' AND NOT relhasindex AND NOT relhastriggers AND NOT relrowsecurity AS bare,
              (pg_catalog.current_setting('max_connections')::pg_catalog.int4
                - pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int4
                - (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity))::pg_catalog.int4 AS free
         FROM pg_catalog.pg_class WHERE oid = $1::pg_catalog.regclass`,
      [tableOf(this.load.item)],
    )
    const [found] = rows
    if (!found?.bare) return false
    // a load that has no job of its own must not take the connection of one that has
    if (this.load.follow && found.free < this.load.options.jobs)
      throw new Error('the target has few connections left')
    // others need connections, too: as many stay free as are taken
    this.most = Math.min(this.most, 1 + Math.max(0, Math.floor(found.free / 2)))
    await this.copyIn(session)
    const others = this.load.follow ? 0 : this.allowed() - 1
    await Promise.all(Array.from({ length: others }, () => this.grow()))
    return true
  }

  /** Sends all rows. @returns how many the server has taken, in transactions that are still open */
  async fill(): Promise<number> {
    const { options, item, name, directory, follow } = this.load
    const take = (chunk: Buffer) => this.take(chunk)
    try {
      if (follow) await follow(take, this.signal)
      else
        await runPgRestore(options, [item], directory, this.signal, {
          name,
          arguments: (list) => scriptArguments(options, list, item.archive.directory),
          onOutput: take,
        })
      await this.opening
    } catch (error) {
      this.fail(error)
    }
    this.throwFailure()
    if (!this.script.isComplete) {
      throw new Failure(
        `${item.name} is not complete in the dump`,
        'Its data file ends before its rows do',
        'Fetch the dump again, or dump again',
      )
    }
    for (const { copy } of this.streams) copy.end()
    const counts = await Promise.all(this.streams.map(({ copy }) => copy.done))
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /** @throws CommitFailed when one of the commits failed or had no answer: the ledger has the table then */
  async commit(): Promise<void> {
    const { ledger, signal, item } = this.load
    const { namespace: schema, tag: name } = item.entry
    signal.throwIfAborted()
    const [first, ...others] = this.streams
    // one transaction is all or nothing without any help
    if (first && others.length > 0) await ledger.enter({ schema, name })
    signal.throwIfAborted()
    const commits = await Promise.allSettled(
      this.streams.map(async ({ client }) => {
        const { command } = await client.query('COMMIT')
        if (command !== 'COMMIT') throw new Error(`the server answered ${command} to COMMIT`)
      }),
    )
    const failed = commits.find((commit) => commit.status === 'rejected')
    if (!failed) return
    const message = `the rows may be there in part: ${messageOf(failed.reason)}`
    const sqlstate = sqlstateOf(failed.reason) ?? null
    // whatever it was, another try begins with an empty table
    throw new CommitFailed(message, [{ dumpId: item.entry.dumpId, message, sqlstate }], true)
  }

  async close(): Promise<void> {
    this.stopper.abort()
    this.load.signal.removeEventListener('abort', this.cancel)
    const closeAll = () => Promise.all(this.sessions.map((session) => session.close()))
    // one that is being opened may wait for a lock, and ends with its session
    await closeAll()
    await this.opening
    await closeAll()
  }

  private async newSession(): Promise<TargetSession> {
    const { options, name } = this.load
    const session = await TargetSession.open(options, streamsOf(name, ++this.opened), this.signal)
    this.sessions.push(session)
    return session
  }

  private async copyIn(session: TargetSession): Promise<void> {
    const { archive, entry } = this.load.item
    const client = await session.foreign(archive, entry.namespace)
    await client.query('BEGIN')
    const copy = new CopyIn(this.statement)
    client.query(copy)
    await copy.begun
    copy.done.catch((error) => this.fail(error))
    this.streams.push({ client, copy, sent: 0 })
  }

  /** One more session, where the server has one: without it those that are there go on. */
  private async grow(): Promise<void> {
    try {
      await this.copyIn(await this.newSession())
    } catch (error) {
      if (this.signal.aborted) return
      if (!(error instanceof Failure || mayPass(error))) return this.fail(error)
      this.most = this.streams.length
      this.load.log.info(
        `${this.load.item.name} goes on with ${this.most} sessions: ${messageOf(error)}`,
      )
    } finally {
      this.opening = undefined
    }
  }

  /** Takes what comes, and lets it wait while no session takes any. Never rejects. */
  private async take(chunk: Buffer): Promise<void> {
    try {
      for (let from = 0; from < chunk.length; from += this.piece) {
        const rows = this.script.read(chunk.subarray(from, from + this.piece))
        for (const part of rows) await this.give(part)
      }
    } catch (error) {
      this.fail(error)
    }
  }

  private async give({ bytes, whole }: Rows): Promise<void> {
    // a row that has no end yet stays where it has begun
    if (this.current && this.inPiece >= this.piece) {
      await Promise.race([this.stopped.promise, this.current.copy.drained()])
    }
    this.current ??= await this.free()
    this.signal.throwIfAborted()
    this.current.copy.send(bytes)
    this.current.sent += bytes.length
    this.inPiece += bytes.length
    this.bytes += bytes.length
    if (!whole || this.inPiece < this.piece) return
    this.current = undefined
    this.inPiece = 0
  }

  private allowed(): number {
    return Math.max(1, Math.min(this.load.allowed(), this.most))
  }

  /** The session that has least to do, of those that may work now. */
  private async free(): Promise<Stream> {
    for (;;) {
      this.signal.throwIfAborted()
      const allowed = this.allowed()
      const usable = this.streams.slice(0, allowed)
      this.load.moved(usable.length, this.bytes)
      const [free] = usable
        .filter(({ copy }) => !copy.isFull)
        .sort((one, other) => one.copy.queued - other.copy.queued || one.sent - other.sent)
      const isWanted = !free || !this.load.follow
      if (isWanted && allowed > this.streams.length) this.opening ??= this.grow()
      if (free) return free
      const { opening } = this
      await Promise.race([
        this.stopped.promise,
        ...usable.map(({ copy }) => copy.drained()),
        ...(opening === undefined ? [] : [opening]),
      ])
    }
  }

  private fail(error: unknown): void {
    this.failed ??= { error }
    this.stopper.abort()
  }

  private throwFailure(): void {
    if (this.failed) throw this.failed.error
  }
}

/** A server's error as that of a load; others stay what they are. */
function explained(error: unknown, { entry }: PlannedEntry): unknown {
  if (!isServerError(error)) return error
  const { code: sqlstate } = error
  const message = shownMessage(error)
  const told = { dumpId: entry.dumpId, message, sqlstate, raised: isRaised(error) }
  return new LoadFailure(message, [told], isTransient(sqlstate, error.message))
}
