import { quoteLiteral } from '../../../postgres/identifiers.ts'
import { ofClient } from '../../../postgres/portable-sql.ts'
import { counted, formatDuration } from '../../../text/numbers.ts'
import { printable } from '../../../text/text.ts'
import type { Answer, Check } from '../check.ts'
import type { Known } from '../known.ts'
import { objectsOf, pastedName, statementsFor } from '../paste.ts'
import { NotAsked, type Question } from '../question.ts'

/** What goes on in a server that a dump would wait for, or would not see. */

interface Prepared {
  gid: string
  of: string
  owner: string
  /** Seconds. */
  age: number
}

const prepared: Question<Prepared> = {
  id: 'prepared-transactions',
  scope: 'server',
  sql: () => `
    SELECT gid, database AS of, owner, pg_catalog.date_part('epoch', pg_catalog.now() - prepared)::pg_catalog.float8 AS age
      FROM pg_catalog.pg_prepared_xacts ORDER BY prepared`,
}

/** The names on the source of the databases that are migrated. */
const migrated = ({ source }: Known) => new Set(source.databases.map(({ source }) => source))

function judgePrepared(known: Known): Answer {
  const names = migrated(known)
  const rows = known.source
    .rows(prepared)
    .filter(({ of }) => names.has(of))
    .map((row) => ({ ...row, database: row.of }))
  if (rows.length === 0)
    return { status: 'passed', message: 'no transaction is prepared and left open' }
  return {
    status: 'failed',
    message: `${counted(rows.length, 'transaction is', 'transactions are')} prepared and left open: the dump does not see what they wrote, and waits for the tables that they have locked`,
    objects: objectsOf(
      rows,
      ({ gid, owner, age }) =>
        `${printable(quoteLiteral(gid).trim())} of ${pastedName(owner)}, ${formatDuration(age)} old`,
    ),
    remedy:
      'End each of them in its own database, by COMMIT PREPARED where its work is to be kept, else by',
    paste: statementsFor(
      rows,
      ({ gid }) => `ROLLBACK PREPARED ${printable(quoteLiteral(gid).trim())};`,
    ),
  }
}

interface Transaction {
  pid: number
  of: string
  account: string | null
  application: string | null
  /** Seconds since it began; null where the account may not see it. */
  age: number | null
  /** It has written; null where the server does not say (before 9.4). */
  writes: boolean | null
  hidden: boolean
}

/** Transactions of clients that are open; what another account does shows to few (PostgreSQL, "pg_stat_activity"). */
const transactions: Question<Transaction> = {
  id: 'open-transactions',
  scope: 'server',
  sql: ({ number }) => {
    const [pid, query] = number >= 90_200 ? ['pid', 'query'] : ['procpid', 'current_query']
    return `
      SELECT ${pid} AS pid, datname AS of, usename AS account, ${number >= 90_000 ? 'application_name' : 'NULL::pg_catalog.text'} AS application,
             pg_catalog.date_part('epoch', pg_catalog.now() - xact_start)::pg_catalog.float8 AS age,
             ${number >= 90_400 ? 'backend_xid IS NOT NULL' : 'NULL::pg_catalog.bool'} AS writes,
             ${query} = '<insufficient privilege>' AS hidden
        FROM pg_catalog.pg_stat_activity
       WHERE ${pid} <> pg_catalog.pg_backend_pid() AND datname IS NOT NULL
         AND ${number >= 100_000 ? ofClient() : `${query} NOT LIKE 'autovacuum:%'`}
         AND (xact_start IS NOT NULL OR ${query} = '<insufficient privilege>')
       ORDER BY xact_start`
  },
}

/** Seconds after which a transaction is no longer a statement's own. */
const long = 3600

/** Lets a hidden session make the answer uncertain, not wrong. */
function whoSees({ source }: Known, what: string, hidden: number): NotAsked {
  const { user } = source.connection
  return new NotAsked(
    `${what} could not be found out: "${user}" does not see what ${counted(hidden, 'session')} of other accounts ${hidden === 1 ? 'does' : 'do'} (GRANT pg_read_all_stats TO ${pastedName(user)}, from version 10 on)`,
  )
}

const sessionName = ({ pid, account, application, age }: Transaction) =>
  `process ${pid} of ${pastedName(account ?? '?')}${application ? ` (${printable(application)})` : ''}, ${age === null ? 'of unknown age' : `${formatDuration(age)} old`}`

function judgeTransactions(known: Known): Answer {
  const names = migrated(known)
  const rows = known.source.rows(transactions).filter(({ of }) => names.has(of))
  // one that has written nothing leaves the dump alone
  const old = rows
    .filter(({ age, writes }) => age !== null && age >= long && writes !== false)
    .map((row) => ({ ...row, database: row.of }))
  const hidden = rows.filter((row) => row.hidden).length
  if (old.length === 0 && hidden > 0)
    throw whoSees(known, 'Whether transactions are open for long', hidden)
  if (old.length === 0)
    return { status: 'passed', message: 'no transaction that writes is open for an hour or longer' }
  return {
    status: 'failed',
    message: `${counted(old.length, 'transaction')} that may have written ${old.length === 1 ? 'is' : 'are'} open for an hour or longer: the dump does not see ${old.length === 1 ? 'its' : 'their'} work`,
    objects: objectsOf(old, sessionName),
    remedy: 'Let the application end them, or end the sessions, which rolls their work back',
    paste: old.map(({ pid }) => `SELECT pg_catalog.pg_terminate_backend(${pid});`).join('\n'),
  }
}

interface Lock {
  pid: number | null
  schema: string
  name: string
}

/** Locks that a dump has to wait for: it wants ACCESS SHARE, which only ACCESS EXCLUSIVE excludes. */
const locks: Question<Lock> = {
  id: 'exclusive-locks',
  scope: 'database',
  sql: () => `
    SELECT l.pid, n.nspname AS schema, c.relname AS name
      FROM pg_catalog.pg_locks l
      JOIN pg_catalog.pg_class c ON c.oid = l.relation
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.granted
       AND c.relkind IN ('r', 'p', 'm', 'S', 'v') AND c.oid >= 16384 AND n.nspname !~ '^pg_(toast|temp)'
       AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
     ORDER BY 2, 3`,
}

/** Seconds that a lock may be held without a word: TRUNCATE and ALTER TABLE hold one for a moment. */
const brief = 60

function judgeLocks(known: Known): Answer {
  const rows = known.source.rows(locks)
  const holders = new Map(known.source.rows(transactions).map((row) => [row.pid, row]))
  const ageOf = ({ pid }: Lock) => {
    // a prepared transaction has no process, and is not brief
    if (pid === null) return Number.POSITIVE_INFINITY
    return holders.get(pid)?.age ?? null
  }
  const held = rows.filter((row) => (ageOf(row) ?? 0) >= brief)
  const unknown = rows.filter(({ pid }) => pid !== null && holders.get(pid)?.hidden)
  const found = held.length > 0 ? held : unknown
  if (found.length === 0)
    return { status: 'passed', message: 'nobody keeps a table locked against a dump' }
  return {
    status: 'failed',
    severity: held.length > 0 ? 'blocker' : 'warning',
    message: `${counted(found.length, 'relation is', 'relations are')} locked (ACCESS EXCLUSIVE)${held.length > 0 ? ' for a minute or longer' : ', for how long the account may not see'}: pg_dump would wait, and give up in the end`,
    objects: objectsOf(
      found,
      ({ schema, name, pid }) =>
        `${pastedName(schema, name)}, by ${pid === null ? 'a prepared transaction' : `process ${pid}`}`,
    ),
    remedy: 'Wait until they have ended, or end what holds them',
    paste: [...new Set(found.flatMap(({ pid }) => pid ?? []))]
      .map((pid) => `SELECT pg_catalog.pg_terminate_backend(${pid});`)
      .join('\n'),
  }
}

interface Work {
  pid: number
  of: string
  work: string
}

/** Work of the server that a dump stands in the way of, or that slows it; vacuum and analyze run all the time. */
const maintenance: Question<Work> = {
  id: 'running-maintenance',
  scope: 'server',
  sql: ({ number }) => {
    const parts = [
      ...(number >= 120_000
        ? [
            `SELECT pid, datname, command FROM pg_catalog.pg_stat_progress_cluster`,
            `SELECT pid, datname, command FROM pg_catalog.pg_stat_progress_create_index`,
          ]
        : []),
      ...(number >= 130_000
        ? [
            `SELECT pid, NULL::pg_catalog.name, 'base backup' FROM pg_catalog.pg_stat_progress_basebackup`,
          ]
        : []),
    ]
    return parts.length === 0
      ? undefined
      : `SELECT w.pid, COALESCE(w.datname, '') AS of, COALESCE(w.command, 'hidden') AS work
           FROM (${parts.join(' UNION ALL ')}) w (pid, datname, command) ORDER BY 1`
  },
}

function judgeMaintenance(known: Known): Answer {
  const names = migrated(known)
  const rows = known.source.rows(maintenance).filter(({ of }) => of === '' || names.has(of))
  if (rows.length === 0)
    return { status: 'passed', message: 'no index is being built and no table rewritten' }
  return {
    status: 'failed',
    message: `${counted(rows.length, 'piece')} of maintenance ${rows.length === 1 ? 'is' : 'are'} running`,
    objects: rows.map(
      ({ pid, of, work }) =>
        `${printable(work)}, process ${pid}${of ? ` in ${pastedName(of)}` : ''}`,
    ),
    remedy:
      'Let it end before the dump, and keep maintenance out of its hours: CREATE INDEX CONCURRENTLY waits for the end of a dump, a dump waits for VACUUM FULL and CLUSTER, and a base backup takes the same disk',
  }
}

export const activityChecks: readonly Check[] = [
  {
    id: 'source-prepared-transactions',
    severity: 'warning',
    why: 'a prepared transaction that nobody ends keeps its rows out of the dump and its locks in its way',
    needs: ['source'],
    questions: { source: [prepared] },
    judge: judgePrepared,
  },
  {
    id: 'source-long-transactions',
    severity: 'warning',
    why: 'what a transaction has written and not committed is not in the dump',
    needs: ['source'],
    questions: { source: [transactions] },
    judge: judgeTransactions,
  },
  {
    id: 'source-locks',
    severity: 'blocker',
    why: 'pg_dump locks all tables at its start, and waits for who has one of them locked',
    needs: ['source'],
    questions: { source: [locks, transactions] },
    judge: judgeLocks,
  },
  {
    id: 'source-maintenance',
    severity: 'warning',
    why: 'maintenance and a dump wait for each other, or share one disk',
    needs: ['source'],
    questions: { source: [maintenance] },
    judge: judgeMaintenance,
  },
]
