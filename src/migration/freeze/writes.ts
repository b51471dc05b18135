import type pg from 'pg'
import { serverVersion } from '../../postgres/connection.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { counted, firstTen, formatCount } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'

/** What a server has counted of writes to one database since its statistics were reset, and its transactions. */
export interface Writes {
  /** The oldest transaction that was writing, and the next one's number: equal where nobody was. */
  oldest: bigint
  next: bigint
  /** Rows in tables of users, temporary ones aside. */
  inserted: number
  updated: number
  deleted: number
  /** Pages of large objects written, and rows of catalogs, which every change of a definition but a comment writes. */
  largeObjects: number
  definitions: number
  /** Where each sequence stands, by its quoted name; null where the server cannot tell. */
  sequences: ReadonlyMap<string, string> | null
  /** When it was read, on the clock of `performance.now()`. */
  at: number
}

/** What became of a database between two readings. */
export interface Written {
  /** `unknown`: transactions of the server may have written, and nothing that is counted for this database says so. */
  writes: boolean | 'unknown'
  /** What was counted, in words; empty where nothing was. */
  what: string
}

/** Schemas of temporary tables, which a session that is read-only may write to. */
const temporary = `'^pg_(toast_)?temp_'`

/** Rows of catalogs written, without those that comments, and vacuum and analyze of themselves, write. */
export const definitionsWritten = `(SELECT COALESCE(pg_catalog.sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_catalog.pg_stat_sys_tables y
             WHERE schemaname = 'pg_catalog' AND relname NOT IN ('pg_largeobject', 'pg_description', 'pg_statistic', 'pg_statistic_ext', 'pg_statistic_ext_data')
               AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid = y.relid AND c.relisshared))`

/**
 * Reads what has been written to the database that a session is in. What vacuum, analyze and checkpoints write of themselves
 * is not counted. A session that is at work hands in its counts a little later: up to half a second before version 15, up to a
 * second from then on, and up to ten when it idles (PostgreSQL, "The Cumulative Statistics System").
 *
 * @param client a session on any server from 8.4 on
 */
export async function readWrites(client: pg.Client): Promise<Writes> {
  const sequences = await readSequences(client)
  const { rows } = await client.query<Record<keyof Omit<Writes, 'at' | 'sequences'>, string>>(`
    SELECT pg_catalog.txid_snapshot_xmin(t.snapshot)::pg_catalog.text AS oldest,
           pg_catalog.txid_snapshot_xmax(t.snapshot)::pg_catalog.text AS next, s.inserted, s.updated, s.deleted,
           (SELECT COALESCE(pg_catalog.sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_catalog.pg_stat_sys_tables
             WHERE relname = 'pg_largeobject' AND schemaname = 'pg_catalog') AS "largeObjects",
           ${definitionsWritten} AS definitions
      FROM (SELECT pg_catalog.txid_current_snapshot() AS snapshot) t,
           (SELECT COALESCE(pg_catalog.sum(n_tup_ins), 0) AS inserted, COALESCE(pg_catalog.sum(n_tup_upd), 0) AS updated,
                   COALESCE(pg_catalog.sum(n_tup_del), 0) AS deleted
              FROM pg_catalog.pg_stat_user_tables WHERE schemaname !~ ${temporary}) s`)
  const [row] = rows
  if (!row) throw new Error('the server did not tell its transactions')
  return {
    oldest: BigInt(row.oldest),
    next: BigInt(row.next),
    inserted: Number(row.inserted),
    updated: Number(row.updated),
    deleted: Number(row.deleted),
    largeObjects: Number(row.largeObjects),
    definitions: Number(row.definitions),
    sequences,
    at: performance.now(),
  }
}

/**
 * Reads where the sequences stand, which are moved without a row being counted, and for 32 numbers of each with one transaction's
 * number at most (PostgreSQL source, sequence.c, SEQ_LOG_VALS). Those that the account may not read are left out, and so are
 * temporary ones, which a session that is read-only may move, and unlogged ones, which a standby cannot read.
 *
 * @returns null before version 10, where each would have to be asked by itself, and where one is locked or was just dropped
 */
async function readSequences(client: pg.Client): Promise<Map<string, string> | null> {
  const { number } = await serverVersion(client)
  if (number < 100_000) return null
  try {
    await client.query(`SET lock_timeout = ${sequencePatience}`)
    const { rows } = await client.query<{ name: string; last: string | null }>(
      `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
              CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT,USAGE')
                   THEN pg_catalog.pg_sequence_last_value(c.oid) END::pg_catalog.text AS last
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'S' AND c.relpersistence = 'p'`,
    )
    return new Map(rows.map(({ name, last }) => [name, last ?? '']))
  } catch (error) {
    if (sqlstateOf(error) === undefined) throw error
    return null
  }
}

/** Milliseconds that whoever alters a sequence is waited for: a look is to be short. */
const sequencePatience = 500

/** The sequences that stand elsewhere, or have begun. */
function movedBetween(before: Writes, after: Writes): string[] {
  return [...(after.sequences ?? [])]
    .filter(([name, last]) => (before.sequences?.get(name) ?? last) !== last)
    .map(([name]) => name)
}

/**
 * Compares two readings of one database.
 *
 * @param definitions whether changes of catalogs count: on a server that is in use, temporary tables change them as well
 * @param own how many transactions of our own have written in between: comments, which are not counted
 * @throws Error where the server began to count anew in between
 */
export function written(before: Writes, after: Writes, definitions: boolean, own = 0): Written {
  const moved = movedBetween(before, after).map(printable)
  const sequences =
    moved.length > 0 ? [`${counted(moved.length, 'sequence')} moved (${firstTen(moved)})`] : []
  // whoever writes rows needs a number: none was running, and none was given since; what is counted now was written earlier
  if (before.oldest === before.next && before.next + BigInt(own) === after.next)
    return { writes: moved.length > 0, what: sequences.join() }
  const found = (
    [
      ['row', 'inserted'],
      ['row', 'updated'],
      ['row', 'deleted'],
      ['page of large objects', 'largeObjects'],
      ...(definitions ? ([['row of the catalogs', 'definitions']] as const) : []),
    ] as const
  )
    .map(([noun, field]) => ({ noun, field, more: after[field] - before[field] }))
    .filter(({ more }) => more !== 0)
  const fewer = found.filter(({ more }) => more < 0)
  // what was counted for a table goes with it; where the server counts anew, the rows of the catalogs are fewer as well
  const areDropped =
    after.definitions > before.definitions && fewer.every(({ field }) => field !== 'largeObjects')
  if (fewer.length > 0 && !areDropped) {
    throw new Error('the server began to count anew meanwhile, as it does after a crash')
  }
  if (found.length === 0)
    return { writes: moved.length > 0 ? true : 'unknown', what: sequences.join() }
  const more = found.filter((one) => one.more > 0)
  const what = more.map(({ noun, field, more }) => {
    if (field === 'largeObjects')
      return `${formatCount(more)} ${more === 1 ? 'page' : 'pages'} of large objects written`
    if (field === 'definitions')
      return `definitions changed (${counted(more, noun, 'rows of the catalogs')})`
    return `${counted(more, noun)} ${field}`
  })
  if (fewer.length > 0) what.push('tables dropped')
  return { writes: true, what: [...what, ...sequences].join(', ') }
}

/** A session that has a transaction open in which it has written. */
export interface Writer {
  pid: number
  role: string
  application: string
}

/**
 * The sessions that have written to the database that a session is in, and have not ended their transaction yet: each holds its
 * transaction's number and a lock on what it has written to. One that is idle, reads, or fills a temporary table is none.
 */
export async function openWriters(client: pg.Client): Promise<Writer[]> {
  const { number } = await serverVersion(client)
  const { pid, application, isClient } = activityColumns(number)
  const { rows } = await client.query<Writer>(`
    SELECT a.${pid} AS pid, a.usename AS role, ${application} AS application
      FROM pg_catalog.pg_stat_activity a
     WHERE a.datname = pg_catalog.current_database() AND a.${pid} <> pg_catalog.pg_backend_pid() AND a.usesysid IS NOT NULL AND ${isClient}
       AND EXISTS (SELECT 1 FROM pg_catalog.pg_locks l WHERE l.pid = a.${pid} AND l.locktype = 'transactionid'
                      AND l.mode = 'ExclusiveLock' AND l.granted)
       AND EXISTS (SELECT 1 FROM pg_catalog.pg_locks l
                     JOIN pg_catalog.pg_class c ON c.oid = l.relation
                     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                    WHERE l.pid = a.${pid} AND l.locktype = 'relation' AND l.granted
                      AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
                      AND (c.relkind IN ('r', 'p', 'S', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                           OR c.relname = 'pg_largeobject' AND n.nspname = 'pg_catalog'))
     ORDER BY 1 LIMIT 20`)
  return rows
}

/** How pg_stat_activity calls its columns, and whether a row of it, `a`, is a client's. */
export function activityColumns(number: number): {
  pid: string
  application: string
  isClient: string
} {
  const pid = number >= 90_200 ? 'pid' : 'procpid'
  const query = number >= 90_200 ? 'query' : 'current_query'
  return {
    pid,
    application: number >= 90_000 ? 'a.application_name' : `''`,
    isClient: [
      // hidden from who may not see it, and before 10 nothing but the text of its query tells autovacuum from a client's session
      number >= 100_000
        ? `COALESCE(a.backend_type, 'client backend') = 'client backend'`
        : `COALESCE(a.${query}, '') NOT LIKE 'autovacuum:%'`,
      // what sends changes to a standby or a subscriber writes nothing
      ...(number >= 90_100
        ? [`NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_replication w WHERE w.${pid} = a.${pid})`]
        : []),
    ].join(' AND '),
  }
}

/** What would write to a database although it is read-only by default. */
export interface Bypass {
  /** Transactions that were prepared for a two-phase commit, by their identifier: COMMIT PREPARED is no write. */
  prepared: string[]
  /** Enabled subscriptions: the worker that applies them does not ask. Null where the account may not see them. */
  subscriptions: string[] | null
}

/** Looks for what a freeze cannot stop in the database that a session is in. */
export async function readBypasses(client: pg.Client): Promise<Bypass> {
  const { number } = await serverVersion(client)
  const { rows: prepared } = await client.query<{ name: string }>(
    'SELECT gid AS name FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database() ORDER BY 1',
  )
  const names = (rows: { name: string }[]) => rows.map(({ name }) => name)
  if (number < 100_000) return { prepared: names(prepared), subscriptions: [] }
  // a managed server may keep the catalog to itself
  const { rows: may } = await client.query<{ may: boolean }>(
    `SELECT pg_catalog.has_column_privilege('pg_catalog.pg_subscription', 'subenabled', 'SELECT')
        AND pg_catalog.has_column_privilege('pg_catalog.pg_subscription', 'subname', 'SELECT')
        AND pg_catalog.has_column_privilege('pg_catalog.pg_subscription', 'subdbid', 'SELECT') AS may`,
  )
  if (!may[0]?.may) return { prepared: names(prepared), subscriptions: null }
  const { rows: subscriptions } = await client.query<{ name: string }>(
    `SELECT s.subname AS name FROM pg_catalog.pg_subscription s
       JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
      WHERE s.subenabled AND d.datname = pg_catalog.current_database() ORDER BY 1`,
  )
  return { prepared: names(prepared), subscriptions: names(subscriptions) }
}
