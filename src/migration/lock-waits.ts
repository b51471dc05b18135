import type pg from 'pg'
import { Failure } from '../failure.ts'
import type { ConnectionParameters } from '../postgres/connection-string.ts'
import { endsWait } from '../postgres/sqlstates.ts'
import { formatDuration } from '../text/numbers.ts'
import { printable, shorten } from '../text/text.ts'
import type { Context } from './context.ts'
import { Onlooker } from './onlooker.ts'

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
  /** `autovacuum worker` and the like; null for a session of a client, and before 10. */
  kind: string | null
}

/**
 * What sessions of ours are called, as patterns of LIKE: those that `connect` opens, and programs by the name that the user's
 * connection string gives them.
 */
export function ownSessions({ others }: ConnectionParameters): string[] {
  const { application_name: given } = others
  return ['migrate-to-polardb', ...(given === undefined ? [] : [literal(given)])]
}

/** A text as a pattern of LIKE that nothing else matches. */
const literal = (text: string) => text.replace(/[\\%_]/g, '\\$&')

/** Whose waits are told. */
export interface Waiting {
  /** How a sentence calls them, `the dump` say. */
  who: string
  database: string
  /** The application_name of each as a pattern of LIKE. */
  sessions: readonly string[]
  /** The same of those that are never told as holders: others of the same run, whose work ends by itself. */
  ours?: readonly string[]
}

/**
 * Knows what sessions of ours wait for, and who holds it: as the server says it in each look (Onlooker). A wait that lasts from
 * one look to the next is a warning in the log, once.
 */
export class LockWaits {
  /** What is waited for now, in a sentence. */
  line: string | undefined
  /** The same for a progress line, in which it must be short. */
  brief: string | undefined
  /** The last wait that there was, in a sentence. */
  private last: string | undefined
  private before: Wait[] = []
  private readonly waiting: Waiting
  private readonly log: Context['log']

  constructor(waiting: Waiting, log: Context['log']) {
    this.waiting = waiting
    this.log = log
  }

  /** Asks once. @param number `server_version_num` */
  async look(client: pg.Client, number: number): Promise<void> {
    const { rows: now } = await client.query<Wait>(waitsQuery(number), [
      this.waiting.sessions,
      this.waiting.ours ?? [],
    ])
    this.tell(now.filter((wait) => this.before.some((other) => isSame(wait, other))))
    this.before = now
  }

  /** The server could not be asked. */
  blind(): void {
    this.before = []
    this.line = undefined
    this.brief = undefined
  }

  /** The failure of a wait that took too long, with who was waited for; every other one as it is. */
  explain(error: unknown): unknown {
    if (!(error instanceof Failure)) return error
    const told = this.told(error.sqlstate)
    if (told === undefined) return error
    return new Failure(error.message, `${error.why}; ${told}`, error.remedy, {
      cause: error,
      sqlstate: error.sqlstate,
    })
  }

  /** Who was waited for, in a sentence, where an error says that a wait took too long. */
  told(sqlstate: string | null | undefined): string | undefined {
    return endsWait(sqlstate ?? '') ? this.last : undefined
  }

  private tell(waits: readonly Wait[]): void {
    const [first] = waits
    if (!first) {
      this.line = undefined
      this.brief = undefined
      return
    }
    const others = waits.filter((wait) => wait.waiting === first.waiting && wait !== first)
    const more = others.length > 0 ? `, and ${others.slice(0, 3).map(holder).join(', and ')}` : ''
    const on = first.relation === null ? '' : ` on ${printable(first.relation)}`
    const { who, database } = this.waiting
    const line = `${who} waits for a lock${on}, which is held or was asked for before by ${holder(first)}${more}`
    const isNews = this.line === undefined
    this.line = line
    this.brief = `waits for a lock of ${briefHolder(first)}${on}`
    this.last = line.replace('waits', 'waited')
    if (isNews) this.log.warning(`${printable(database)}: ${line}`)
  }
}

/** Such knowledge of a server at which nobody of ours looks already, in a session of its own. */
export class LockWatch extends LockWaits {
  private readonly onlooker: Onlooker

  /**
   * @param also done after each look, in its session: to show a wait even if nothing goes on, or to ask something else
   */
  constructor(
    place: { connection: ConnectionParameters; role: 'source' | 'target' },
    waiting: Waiting,
    context: Pick<Context, 'log' | 'signal'>,
    also: (client: pg.Client, number: number) => Promise<void> | void = () => {},
  ) {
    super(waiting, context.log)
    const view = {
      ...{ connection: place.connection, role: place.role, database: waiting.database },
      look: async (client: pg.Client, number: number) => {
        await this.look(client, number)
        await also(client, number)
      },
      blind: () => this.blind(),
    }
    this.onlooker = new Onlooker(view, context)
  }

  /** Ends the watch and its session. */
  async end(): Promise<void> {
    await this.onlooker.end()
  }
}

/**
 * Sessions that wait and who blocks them, but for those that are ours. `pg_blocking_pids` came with 9.6; before, whoever holds or awaits
 * the one mode that keeps readers out.
 *
 * @param number `server_version_num`; 9.2 renamed the columns of pg_stat_activity
 */
function waitsQuery(number: number): string {
  const pid = number >= 90_200 ? 'pid' : 'procpid'
  const state = number >= 90_200 ? 'a.state' : 'NULL::pg_catalog.text'
  const kind =
    number >= 100_000 ? `NULLIF(a.backend_type, 'client backend')` : 'NULL::pg_catalog.text'
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
       WHERE NOT l.granted AND s.datname = pg_catalog.current_database() AND s.application_name LIKE ANY ($1)),
    blocking (pid, waiting, oid, database, relation) AS (${blocking})
    SELECT DISTINCT b.waiting, b.relation, b.pid, a.usename::pg_catalog.text AS "user",
           NULLIF(a.application_name, '') AS application, ${state} AS state, ${kind} AS kind,
           pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.xact_start)::int AS seconds
      FROM blocking b LEFT JOIN pg_catalog.pg_stat_activity a ON a.${pid} = b.pid
     WHERE a.application_name IS NULL OR NOT a.application_name LIKE ANY ($2)
     ORDER BY b.waiting, b.pid`
}

function isSame(one: Wait, other: Wait): boolean {
  return one.waiting === other.waiting && one.relation === other.relation && one.pid === other.pid
}

function holder({ pid, user, application, state, seconds, kind }: Wait): string {
  if (pid === 0) return 'a prepared transaction (pg_prepared_xacts)'
  const parts = [
    ...(kind === null ? [] : [kind]),
    ...(user === null ? [] : [`user ${printable(user)}`]),
    ...(application === null ? [] : [`application ${printable(application)}`]),
    ...(state === null ? [] : [state]),
    ...(seconds === null ? [] : [`in a transaction for ${formatDuration(seconds)}`]),
  ]
  return `process ${pid}${parts.length > 0 ? ` (${parts.join(', ')})` : ''}`
}

function briefHolder({ pid, user, application, kind }: Wait): string {
  if (pid === 0) return 'a prepared transaction'
  const name = kind ?? application ?? user
  return `process ${pid}${name === null ? '' : ` (${shorten(printable(name), 24)})`}`
}
