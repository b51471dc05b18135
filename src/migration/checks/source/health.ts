import { recoveryOf } from '../../../postgres/startup.ts'
import { counted } from '../../../text/numbers.ts'
import { printable } from '../../../text/text.ts'
import type { Answer, Check } from '../check.ts'
import type { Known } from '../known.ts'
import { objectsOf, pastedName, statementsFor } from '../paste.ts'
import type { Question } from '../question.ts'

/** Whether a server is well enough to be read whole. */

export interface Age {
  name: string
  /** Transactions since the oldest row that is not frozen. */
  age: number
  /** The same of row locks by several transactions; null before 9.5. */
  members: number | null
}

const ages: Question<Age> = {
  id: 'database-ages',
  scope: 'server',
  sql: ({ number }) => agesQuery(number),
}

/** How old the rows of each database may be. @param number `server_version_num` */
export function agesQuery(number: number): string {
  return `
    SELECT datname AS name, pg_catalog.age(datfrozenxid)::pg_catalog.float8 AS age,
           ${number >= 90_500 ? 'pg_catalog.mxid_age(datminmxid)::pg_catalog.float8' : 'NULL::pg_catalog.float8'} AS members
      FROM pg_catalog.pg_database WHERE datallowconn ORDER BY 1`
}

/** Transactions after which no new one can begin (PostgreSQL, "Preventing Transaction ID Wraparound Failures"). */
const wraparound = 2 ** 31

/** How much of the way to the wraparound is gone: a dump keeps vacuum from freezing rows for as long as it runs. */
export function judgeAges(rows: readonly Age[]): Answer {
  const parts = rows.map(({ name, age, members }) => ({
    name,
    part: Math.max(age, members ?? 0) / wraparound,
  }))
  const old = parts.filter(({ part }) => part >= 0.75)
  const worst = Math.max(0, ...parts.map(({ part }) => part))
  const percent = (part: number) => `${Math.floor(part * 100)} %`
  if (old.length === 0)
    return { status: 'passed', message: `${percent(worst)} of the way to a wraparound are gone` }
  return {
    status: 'failed',
    severity: worst >= 0.95 ? 'blocker' : 'warning',
    message: `${percent(worst)} of the way to a wraparound of transaction ids are gone, and no row can be frozen while a dump runs`,
    objects: old.map(({ name, part }) => `${pastedName(name)}: ${percent(part)}`),
    remedy: 'Freeze the rows of these databases before, each in a session of its own',
    paste: old.map(({ name }) => `VACUUM FREEZE; -- in the database ${printable(name)}`).join('\n'),
  }
}

interface Failures {
  /** Null for what all databases share. */
  name: string | null
  failures: number
}

const checksums: Question<Failures> = {
  id: 'checksum-failures',
  scope: 'server',
  sql: ({ number }) =>
    number >= 120_000
      ? `SELECT datname AS name, checksum_failures::pg_catalog.float8 AS failures
           FROM pg_catalog.pg_stat_database WHERE checksum_failures > 0 ORDER BY 1`
      : undefined,
}

/** Whether pages are known to be damaged, in the databases of these names or in what they share. */
export function judgeChecksums(rows: readonly Failures[], names: ReadonlySet<string>): Answer {
  const found = rows.filter(({ name }) => name === null || names.has(name))
  if (found.length === 0) return { status: 'passed', message: 'no page is known to be damaged' }
  return {
    status: 'failed',
    message: `${counted(found.length, 'database')} had pages whose checksum was wrong since the server began to count: where they still are, a dump ends at such a page`,
    objects: found.map(
      ({ name, failures }) =>
        `${name === null ? 'the catalogs that all databases share' : pastedName(name)}: ${counted(failures, 'failure')}`,
    ),
    remedy:
      'If they were not mended since, find the pages before the migration (pg_amcheck, pg_checksums --check on a stopped copy) and bring them back from a backup. When all is well again, let the server count anew, in each of the databases',
    paste: found
      .flatMap(({ name }) =>
        name === null
          ? []
          : [`SELECT pg_catalog.pg_stat_reset(); -- in the database ${printable(name)}`],
      )
      .join('\n'),
  }
}

interface Standby {
  standby: boolean
  feedback: string
  streaming: string
  archive: string
}

const standby: Question<Standby> = {
  id: 'standby-settings',
  scope: 'server',
  sql: ({ number }) =>
    number >= 90_100
      ? `SELECT ${recoveryOf(number)} AS standby, pg_catalog.current_setting('hot_standby_feedback') AS feedback,
                pg_catalog.current_setting('max_standby_streaming_delay') AS streaming,
                pg_catalog.current_setting('max_standby_archive_delay') AS archive`
      : undefined,
}

/** Whether a standby lets a long query end before it replays what is in its way. */
export function judgeStandby(found: Standby | undefined, number: number): Answer {
  if (!found?.standby) return { status: 'passed', message: 'the source is no standby' }
  const waits = found.streaming === '-1' && found.archive === '-1'
  if (waits) return { status: 'passed', message: 'the standby lets a dump end before it replays' }
  const settings = ['max_standby_streaming_delay', 'max_standby_archive_delay']
  return {
    status: 'failed',
    message: `The source is a standby that cancels long queries: max_standby_streaming_delay is ${found.streaming}, max_standby_archive_delay ${found.archive}, hot_standby_feedback ${found.feedback}`,
    remedy:
      'Let the standby wait for the dump, and set it back afterwards, or dump from the primary. hot_standby_feedback alone keeps vacuum off the rows, and no DDL off the tables',
    paste:
      number >= 90_400
        ? `${settings.map((name) => `ALTER SYSTEM SET ${name} = -1;`).join('\n')}\nSELECT pg_catalog.pg_reload_conf();`
        : `${settings.map((name) => `${name} = -1`).join('\n')}\n# in postgresql.conf of the standby, then: pg_ctl reload`,
  }
}

interface Relation {
  schema: string
  name: string
}

/** UNLOGGED tables, which a standby has without their rows. Before 9.1 there were none. */
const unlogged: Question<Relation> = {
  id: 'unlogged-tables',
  scope: 'database',
  sql: ({ number }) =>
    number >= 90_100
      ? `SELECT n.nspname AS schema, c.relname AS name
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relpersistence = 'u' AND c.relkind = 'r' AND n.nspname !~ '^pg_' AND ${recoveryOf(number)}
          ORDER BY 1, 2`
      : undefined,
}

function judgeUnlogged(known: Known): Answer {
  const rows = known.source.rows(unlogged)
  if (rows.length === 0)
    return { status: 'passed', message: 'no table is without its rows on a standby' }
  return {
    status: 'failed',
    message: `The source is a standby, which has ${counted(rows.length, 'unlogged table')} without rows: nothing can read or dump them`,
    objects: objectsOf(rows, ({ schema, name }) => pastedName(schema, name)),
    remedy: `Dump from the primary, or give these tables a log there${known.source.version.number >= 90_500 ? '' : ' (from 9.5 on)'}`,
    paste: statementsFor(
      rows,
      ({ schema, name }) => `ALTER TABLE ${pastedName(schema, name)} SET LOGGED;`,
    ),
  }
}

interface LockTable {
  each: number
  sessions: number
  prepared: number
}

const lockTable = (side: string): Question<LockTable> => ({
  id: `${side}-lock-table`,
  scope: 'server',
  sql: () => `
    SELECT pg_catalog.current_setting('max_locks_per_transaction')::int AS each,
           pg_catalog.current_setting('max_connections')::int AS sessions,
           pg_catalog.current_setting('max_prepared_transactions')::int AS prepared`,
})

/** Relations that a dump and its comparison lock in one transaction: tables, sequences, and the indexes of what is read. */
const relations: Question<{ count: number }> = {
  id: 'relation-count',
  scope: 'database',
  sql: () => `
    SELECT pg_catalog.count(*)::pg_catalog.float8 AS count
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'm', 'S', 'i', 'I') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`,
}

/** Whether the server can hold so many locks at once (PostgreSQL, "Lock Management", max_locks_per_transaction). */
export function judgeLockTable(
  { each, sessions, prepared }: LockTable,
  count: number,
  side: 'source' | 'target',
): Answer {
  const room = each * (sessions + prepared)
  if (count <= room)
    return {
      status: 'passed',
      message: `there is room for ${room} locks, and ${count} may be needed`,
    }
  const wanted = 2 ** Math.ceil(Math.log2((count * 1.2) / (sessions + prepared)))
  return {
    status: 'failed',
    message: `The largest database has ${count} tables, sequences and indexes, and the lock table of the ${side} has room for ${room}: pg_dump and the comparison lock them in one transaction ("out of shared memory")`,
    remedy:
      side === 'source'
        ? 'Raise max_locks_per_transaction, which takes a restart of the source'
        : 'Raise max_locks_per_transaction among the parameters of the cluster (console: Settings and Management, Parameters), which restarts it',
    paste:
      side === 'source'
        ? `ALTER SYSTEM SET max_locks_per_transaction = ${wanted};`
        : `max_locks_per_transaction = ${wanted}`,
  }
}

function lockTableCheck(side: 'source' | 'target'): Check {
  const question = lockTable(side)
  return {
    id: `${side}-lock-table`,
    severity: 'warning',
    why: 'a dump locks every table in one transaction, and so does the comparison that proves it',
    needs: side === 'source' ? ['source'] : ['source', 'target'],
    questions: {
      source: [relations],
      [side]: side === 'source' ? [relations, question] : [question],
    },
    judge: (known) => {
      const counts = known.source.rows(relations).map(({ count }) => count)
      return judgeLockTable(known[side].row(question), Math.max(0, ...counts), side)
    },
  }
}

export const healthChecks: readonly Check[] = [
  {
    id: 'source-wraparound',
    severity: 'warning',
    why: 'a dump keeps vacuum from freezing rows, and a server that runs out of transaction ids stops',
    needs: ['source'],
    questions: { source: [ages] },
    judge: ({ source }) => judgeAges(source.rows(ages)),
  },
  {
    id: 'source-checksums',
    // the server counts what was wrong at any time, and mended since
    severity: 'warning',
    why: 'a damaged page ends a dump where it is met, or travels',
    needs: ['source'],
    questions: { source: [checksums] },
    judge: ({ source }) =>
      judgeChecksums(source.rows(checksums), new Set(source.databases.map(({ source }) => source))),
  },
  {
    id: 'source-standby',
    severity: 'warning',
    why: 'a standby cancels a query that what it replays has to wait for',
    needs: ['source'],
    questions: { source: [standby] },
    judge: ({ source }) => judgeStandby(source.rows(standby)[0], source.version.number),
  },
  {
    id: 'source-unlogged-on-standby',
    severity: 'blocker',
    why: 'unlogged tables have their rows on the primary only',
    needs: ['source'],
    questions: { source: [unlogged] },
    judge: judgeUnlogged,
  },
  lockTableCheck('source'),
  lockTableCheck('target'),
]
