import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { Failure } from '../../failure.ts'
import { closeSession, connect, serverVersion } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { endsWait } from '../../postgres/sqlstates.ts'
import { formatDuration } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import type { Context } from '../context.ts'

/** Milliseconds between two looks: what waits in two of them waits for some seconds. */
const pause = 2000

/** A session of ours that waits for a lock, and one that holds it or asked for it before. */
interface Wait {
  waiting: number
  /** The table, `schema.name`; null where the lock is none on a relation. */
  relation: string | null
  /** 0 for a prepared transaction. */
  pid: number
  user: string | null
  application: string | null
  /** `idle in transaction` and the like; null where the account may not see it, and before 9.2. */
  state: string | null
  /** Seconds since its transaction began; null where the account may not see it. */
  seconds: number | null
}

/** Programs and sessions of ours begin so; what the user's connection string says instead is one of the parameters. */
const ownName = 'migrate-to-polardb'

/** What pg_dump and pg_dumpall tell the server that they are. */
export const dumpName = 'migrate-to-polardb dump'

/**
 * Looks, in a session of its own, at what the sessions of a dump wait for, and says who holds it: while it lasts, and in the
 * failure that a lock timeout ends in. That it cannot look costs nothing but the hint.
 */
export class LockWatch {
  /** What is waited for now, in a sentence. */
  line: string | undefined
  /** The last that was. */
  private last: string | undefined
  private readonly stop = new AbortController()
  private readonly running: Promise<void>
  private readonly connection: ConnectionParameters
  private readonly database: string
  private readonly context: Context

  constructor(connection: ConnectionParameters, database: string, context: Context) {
    this.connection = connection
    this.database = database
    this.context = context
    this.running = this.watch()
  }

  /** Ends the watch and its session. */
  async end(): Promise<void> {
    this.stop.abort()
    await this.running
  }

  /** The failure of a wait that took too long, with who was waited for; every other one as it is. */
  explain(error: unknown): unknown {
    const waited = error instanceof Failure && endsWait(error.sqlstate ?? '')
    if (!waited || this.last === undefined) return error
    return new Failure(error.message, `${error.why}; ${this.last}`, error.remedy, {
      cause: error,
      sqlstate: error.sqlstate,
    })
  }

  private async watch(): Promise<void> {
    const signal = AbortSignal.any([this.stop.signal, this.context.signal])
    let client: pg.Client | undefined
    let number = 0
    let before: Wait[] = []
    while (!signal.aborted) {
      try {
        await sleep(pause, undefined, { signal })
        if (!client) {
          const options = { database: this.database, readOnly: true, role: 'source' } as const
          client = await connect(this.connection, { ...options, signal })
          number = (await serverVersion(client)).number
        }
        const now = await this.look(client, number)
        this.tell(now.filter((wait) => before.some((other) => isSame(wait, other))))
        before = now
      } catch (error) {
        if (!signal.aborted) this.context.log.debug(`Locks cannot be looked at: ${error}`)
        this.line = undefined
        if (client) await closeSession(client)
        client = undefined
      }
    }
    this.line = undefined
    if (client) await closeSession(client)
  }

  private tell(waits: readonly Wait[]): void {
    const [first] = waits
    if (!first) {
      this.line = undefined
      return
    }
    const others = waits.filter((wait) => wait.waiting === first.waiting && wait !== first)
    const more = others.length > 0 ? `, and ${others.slice(0, 3).map(holder).join(', and ')}` : ''
    const what = first.relation === null ? 'a lock' : `a lock on ${printable(first.relation)}`
    const line = `the dump waits for ${what}, which is held or was asked for before by ${holder(first)}${more}`
    const isNews = this.line === undefined
    this.line = line
    this.last = line.replace('waits', 'waited')
    if (isNews) this.context.log.warning(`${printable(this.database)}: ${line}`)
  }

  private async look(client: pg.Client, number: number): Promise<Wait[]> {
    const names = [ownName, dumpName, this.connection.others.application_name ?? ownName]
    const { rows } = await client.query<Wait>(waits(number), [names])
    return rows
  }
}

/**
 * Sessions that wait and who blocks them. `pg_blocking_pids` came with 9.6; before, whoever holds or awaits the one mode that
 * keeps readers out.
 *
 * @param number `server_version_num`; 9.2 renamed the columns of pg_stat_activity
 */
function waits(number: number): string {
  const pid = number >= 90_200 ? 'pid' : 'procpid'
  const state = number >= 90_200 ? 'a.state' : 'NULL::pg_catalog.text'
  const blocking =
    number >= 90_600
      ? 'SELECT pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS pid, w.* FROM waiting w'
      : `SELECT o.pid AS pid, w.* FROM waiting w
           JOIN pg_catalog.pg_locks o ON o.relation = w.oid AND o.database = w.database AND o.pid <> w.pid
            AND o.mode = 'AccessExclusiveLock'`
  return `
    WITH waiting AS (
      SELECT l.pid, l.relation AS oid, l.database, n.nspname || '.' || c.relname AS relation
        FROM pg_catalog.pg_locks l
        JOIN pg_catalog.pg_stat_activity s ON s.${pid} = l.pid
        LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
        LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE NOT l.granted AND s.datname = pg_catalog.current_database() AND s.application_name = ANY ($1)),
    blocking (pid, waiting, oid, database, relation) AS (${blocking})
    SELECT DISTINCT b.waiting, b.relation, b.pid, a.usename::pg_catalog.text AS "user",
           NULLIF(a.application_name, '') AS application, ${state} AS state,
           pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.xact_start)::int AS seconds
      FROM blocking b LEFT JOIN pg_catalog.pg_stat_activity a ON a.${pid} = b.pid
     ORDER BY b.waiting, b.pid`
}

function isSame(one: Wait, other: Wait): boolean {
  return one.waiting === other.waiting && one.relation === other.relation && one.pid === other.pid
}

function holder({ pid, user, application, state, seconds }: Wait): string {
  if (pid === 0) return 'a prepared transaction (pg_prepared_xacts)'
  const parts = [
    ...(user === null ? [] : [`user ${printable(user)}`]),
    ...(application === null ? [] : [`application ${printable(application)}`]),
    ...(state === null ? [] : [state]),
    ...(seconds === null ? [] : [`in a transaction for ${formatDuration(seconds)}`]),
  ]
  return `process ${pid}${parts.length > 0 ? ` (${parts.join(', ')})` : ''}`
}
