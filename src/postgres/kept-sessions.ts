import { AsyncLocalStorage } from 'node:async_hooks'
import { isDeepStrictEqual } from 'node:util'
import type pg from 'pg'
import type { ConnectionParameters } from './connection-string.ts'

/** Idle sessions of one server at most: an account may have a limit of few. */
const most = 2

/**
 * Milliseconds after which an idle session is closed: who drops, renames or copies a database waits five seconds for sessions in
 * it (PostgreSQL source, CountOtherDBBackends).
 */
const longest = 3000

/** A session that can be used again. */
export interface Reusable {
  client: pg.Client
  /** The server, the account and the way to it, with the session's own database. */
  place: ConnectionParameters
  /** Makes it like one that has just begun. @throws where it is none any more */
  renew(): Promise<void>
  /** Never throws, and never waits long. */
  close(): Promise<void>
}

interface Idle extends Reusable {
  timer: NodeJS.Timeout
  forget(): void
}

/**
 * Sessions that nobody uses at the moment, kept for whoever asks the same server next: to open one takes up to seven round trips.
 * Whoever keeps them owns them, and closes them at the end.
 */
export class KeptSessions {
  private readonly idle: Idle[] = []
  private isOver = false

  /**
   * An idle session for this place, like a new one, which is the caller's from now on.
   *
   * @returns undefined where there is none, or none any more: what is wrong with the server shows when one is opened
   */
  async take(
    place: ConnectionParameters,
    signal: AbortSignal | undefined,
  ): Promise<pg.Client | undefined> {
    const found = this.idle.find((one) => isDeepStrictEqual(one.place, place))
    if (!found) return undefined
    this.drop(found)
    const cut = () => void found.close()
    signal?.addEventListener('abort', cut, { once: true })
    try {
      await found.renew()
      return found.client
    } catch {
      await found.close()
      return undefined
    } finally {
      signal?.removeEventListener('abort', cut)
    }
  }

  /**
   * Keeps a session whose work has succeeded. It is closed instead when it is in a transaction, or when nothing is kept any more;
   * and where there are too many of its server, the one that was idle for longest is.
   */
  async give(session: Reusable): Promise<void> {
    const { client, place } = session
    const isUsable = client.getTransactionStatus() === 'I' && client.connection.stream.writable
    if (this.isOver || !isUsable) return await session.close()
    const forget = () => this.drop(one)
    const end = () => {
      forget()
      void session.close()
    }
    const one: Idle = { ...session, timer: setTimeout(end, longest), forget }
    one.timer.unref()
    client.once('end', forget)
    this.idle.push(one)
    const { host, port } = place
    const here = this.idle.filter((other) => other.place.host === host && other.place.port === port)
    const [oldest] = here
    if (!oldest || here.length <= most) return
    this.drop(oldest)
    await oldest.close()
  }

  /** Closes the idle ones, so that another session finds room on the server. @returns whether there were any */
  async closeIdle(): Promise<boolean> {
    const idle = [...this.idle]
    for (const one of idle) this.drop(one)
    await Promise.all(idle.map((one) => one.close()))
    return idle.length > 0
  }

  /** Closes the idle ones, and keeps no other. Never throws, and takes no longer than one goodbye. */
  async end(): Promise<void> {
    this.isOver = true
    await this.closeIdle()
  }

  private drop(one: Idle): void {
    clearTimeout(one.timer)
    one.client.off('end', one.forget)
    const at = this.idle.indexOf(one)
    if (at >= 0) this.idle.splice(at, 1)
  }
}

const kept = new AsyncLocalStorage<KeptSessions>()

/** What the work under way keeps; undefined where it keeps none. */
export function keptHere(): KeptSessions | undefined {
  return kept.getStore()
}

/** Does what must find no session of ours in a database: nothing is kept meanwhile. @throws whatever `work` throws */
export async function keepingNone<T>(work: () => Promise<T>): Promise<T> {
  await keptHere()?.closeIdle()
  return await kept.exit(work)
}

/**
 * Keeps the read-only sessions that withConnection() opens in `work`, and closes them when it is over or the signal fires. Within
 * work that keeps its own already it is that which goes on doing so.
 *
 * @throws whatever `work` throws
 */
export async function keepingSessions<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  if (keptHere()) return await work()
  const sessions = new KeptSessions()
  const abort = () => void sessions.end()
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await kept.run(sessions, work)
  } finally {
    signal.removeEventListener('abort', abort)
    await sessions.end()
  }
}
