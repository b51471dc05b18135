import type { Socket } from 'node:net'
import type pg from 'pg'
import { formatDuration } from '../text/numbers.ts'
import { sqlstateOf } from './errors.ts'

/**
 * What a peer may be silent for, in milliseconds. A query, a COPY or the building of an index may take hours without a byte on
 * the wire, so silence alone proves nothing: after some of it the server is asked over another connection whether it still
 * works for us. Keepalives do not see a peer whose kernel answers while its program, or a proxy between, does not.
 */
export interface Patience {
  /** Silence after which the server is asked. */
  silence: number
  /** Between two looks. */
  between: number
  /** Looks in a row that find nobody working before the connection is given up. */
  looks: number
}

/** A connection that nobody serves is given up after about four minutes; nobody waits for the job's own timeout. */
export const patience: Patience = { silence: 120_000, between: 30_000, looks: 4 }

/**
 * What a look finds: the server works for us; it does not, or waits for us while we wait for it; it cannot be reached; or
 * nothing can be said.
 */
export type Standing = 'works' | 'idle' | 'unreachable' | 'unknown'

/** A peer that was silent too long; its code is that of a network that gave up, and so of a lost connection. */
export class SilentPeer extends Error {
  override readonly name = 'SilentPeer'
  readonly code = 'ETIMEDOUT'
}

/** Counts silence and looks, whoever it is that is silent. */
export class Watchdog {
  private moved = Date.now()
  private strikes = 0
  private looking = false
  private readonly timer: NodeJS.Timeout
  private readonly options: WatchdogOptions

  constructor(options: WatchdogOptions) {
    this.options = options
    this.timer = setInterval(() => void this.tick(), (options.patience ?? patience).between)
    this.timer.unref()
  }

  /** Something came. */
  move(): void {
    this.moved = Date.now()
    this.strikes = 0
  }

  end(): void {
    clearInterval(this.timer)
  }

  private async tick(): Promise<void> {
    const { silence, looks } = this.options.patience ?? patience
    if (this.looking) return
    this.looking = true
    try {
      if (await this.options.isMoving()) this.move()
      const quiet = Date.now() - this.moved
      if (quiet < silence) return
      const before = this.moved
      const standing = await this.options.look()
      if (this.moved !== before) return
      if (standing === 'works') this.strikes = 0
      else if (standing !== 'unknown') this.strikes++
      if (this.strikes < looks) return
      this.end()
      const why =
        standing === 'idle'
          ? 'the server, asked over another connection, does not work for it'
          : 'the server does not answer over another connection either'
      this.options.giveUp(
        new SilentPeer(
          `no byte came for ${formatDuration(quiet / 1000)}, and ${why}: the connection was given up`,
        ),
      )
    } finally {
      this.looking = false
    }
  }
}

export interface WatchdogOptions {
  patience?: Patience
  /** Whether something has moved since it was asked last, or nothing is waited for. */
  isMoving(): boolean | Promise<boolean>
  /** Asks the server. Never throws. */
  look(): Promise<Standing>
  giveUp(error: SilentPeer): void
}

/** Which sessions of the server are asked about. */
export type Asked = { pid: number } | { application: string }

/**
 * What sessions do for us, as the server tells it in a session of its own. A session that is active and waits for its client
 * waits for us: where we wait as well, bytes were lost between.
 *
 * @param open opens a session that is not watched itself; closed afterwards
 * @returns never throws
 */
export async function standingOf(
  asked: Asked,
  open: () => Promise<{ client: pg.Client; close(): Promise<void> }>,
): Promise<Standing> {
  try {
    const { client, close } = await open()
    try {
      const { processID } = client as unknown as { processID: number | null }
      const { rows: own } = await client.query<{ pid: number; number: string }>(
        `SELECT pg_catalog.pg_backend_pid() AS pid, pg_catalog.current_setting('server_version_num') AS number`,
      )
      const number = Number(own[0]?.number)
      // before 9.2 the state stands in the text of the query, and before 9.0 nobody tells its name
      if (number < 90_200) return 'unknown'
      const { rows } = await client.query<{ works: boolean | null }>(
        `SELECT state OPERATOR(pg_catalog.=) 'active'
                ${number >= 90_600 ? `AND wait_event_type IS DISTINCT FROM 'Client'` : ''} AS works
           FROM pg_catalog.pg_stat_activity
          WHERE pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
            AND ${'pid' in asked ? 'pid OPERATOR(pg_catalog.=) $1' : 'application_name OPERATOR(pg_catalog.=) $1'}`,
        ['pid' in asked ? asked.pid : asked.application],
      )
      if (rows.some(({ works }) => works === null)) return 'unknown'
      if (rows.some(({ works }) => works)) return 'works'
      // behind a pooler the number that a client is told is no process of the server
      if (rows.length === 0 && 'pid' in asked && own[0]?.pid !== processID) return 'unknown'
      return 'idle'
    } finally {
      await close()
    }
  } catch (error) {
    const cause = (error as { cause?: unknown } | null)?.cause
    // a server that refuses is there
    return sqlstateOf(error) === undefined && sqlstateOf(cause) === undefined
      ? 'unreachable'
      : 'unknown'
  }
}

/** A query of `pg` that may say that the server waits for us, and not we for it (see CopyIn). */
interface Waiting {
  readonly awaitsUs?: boolean
}

/** Watches a session of `pg` until it ends: what it waits for when its peer is silent too long fails as lost. */
export function watchSession(
  client: pg.Client,
  look: () => Promise<Standing>,
  given?: Patience,
): Watchdog {
  const { stream } = client.connection as unknown as { stream: Socket }
  let seen = 0
  const watchdog = new Watchdog({
    ...(given ? { patience: given } : {}),
    isMoving: () => {
      const { _activeQuery: active } = client as unknown as { _activeQuery: Waiting | null }
      const busy = active != null && active.awaitsUs !== true
      // what is sent to a COPY leaves only as fast as the server takes it
      const bytes = stream.bytesRead + stream.bytesWritten
      const moved = bytes !== seen
      seen = bytes
      return moved || !busy
    },
    look,
    giveUp: (error) => stream.destroy(error),
  })
  client.once('end', () => watchdog.end())
  return watchdog
}
