import { quoteLiteral } from '../../../postgres/identifiers.ts'
import { ofClient } from '../../../postgres/portable-sql.ts'
import { counted, formatBytes } from '../../../text/numbers.ts'
import { printable } from '../../../text/text.ts'
import { markSchema } from '../../restore/database/mark.ts'
import { temporaryRole } from '../../restore/owners/login-role.ts'
import type { Answer, Check } from '../check.ts'
import { objectsOf, pastedName } from '../paste.ts'
import type { Question } from '../question.ts'

/** Whether the target has room for what comes, and who or what is there already. */

/** The least that storage of a class may grow to (Alibaba Cloud, "Storage capacity" of PolarDB for PostgreSQL): 50 TB. */
const leastStorage = 50 * 1000 ** 4

/** Indexes are built anew and rows packed, yet the write-ahead log comes on top. */
const growth = 1.25

export const storage: Check = {
  id: 'target-storage',
  severity: 'warning',
  why: 'the storage of a PolarDB cluster ends at a limit that its class sets, 50 TB for the smallest',
  needs: ['source', 'target'],
  judge({ source, target, inputs }): Answer {
    const bytes = source.databases.reduce((sum, database) => sum + database.bytes, 0)
    const twice = inputs.ifTargetNotEmpty === 'swap' ? 2 : 1
    const needed = bytes * growth * twice
    const message = `${formatBytes(needed)} are needed on the target`
    if (target.polardb === null || needed < leastStorage) return { status: 'passed', message }
    return {
      status: 'failed',
      message: `${message}, more than the smallest classes of PolarDB can hold (${formatBytes(leastStorage)})`,
      remedy:
        'Compare with the limit of the class of the cluster in the console, and choose a larger class where it is less',
    }
  },
}

interface Sessions {
  limit: number
  used: number
}

/** What may connect, and what does. */
const sessionCounts: Question<Sessions> = {
  id: 'session-counts',
  scope: 'server',
  sql: ({ number }) => `
    SELECT pg_catalog.current_setting('max_connections')::pg_catalog.int4 AS limit,
           pg_catalog.count(*)::pg_catalog.int4 AS used
      FROM pg_catalog.pg_stat_activity
     WHERE datname IS NOT NULL AND ${number >= 100_000 ? ofClient() : 'usename IS NOT NULL'}`,
}
const targetSessionCounts = { ...sessionCounts, id: 'target-session-counts' }

export const connectionLimit: Check = {
  id: 'target-max-connections',
  severity: 'warning',
  why: 'the class of a cluster sets how many may connect, and applications that are refused stop',
  needs: ['source', 'target'],
  questions: { source: [sessionCounts], target: [targetSessionCounts] },
  judge({ source, target }): Answer {
    const here = source.row(sessionCounts)
    const there = target.row(targetSessionCounts)
    if (there.limit >= here.limit)
      return { status: 'passed', message: `the target lets in as many (${there.limit})` }
    // what is there already stays
    const isShort = here.used + there.used > there.limit
    return {
      status: 'failed',
      severity: isShort ? 'warning' : 'info',
      message: `The target lets in ${there.limit} sessions, the source ${here.limit}, of which ${here.used} are in use now`,
      remedy: isShort
        ? 'Choose a larger class for the cluster, or put a pooler before it, before the applications move'
        : 'Compare with the busiest hour of the source: where more than the target lets in are connected then, choose a larger class',
    }
  },
}

interface Guest {
  account: string
  application: string | null
  sessions: number
}

const guests: Question<Guest> = {
  id: 'target-sessions',
  scope: 'database',
  sql: () => `
    SELECT usename AS account, application_name AS application, pg_catalog.count(*)::pg_catalog.int4 AS sessions
      FROM pg_catalog.pg_stat_activity
     WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid() AND ${ofClient()}
       AND COALESCE(application_name, '') NOT LIKE 'migrate-to-polardb%'
     GROUP BY 1, 2 ORDER BY 1, 2`,
}

export const otherSessions: Check = {
  id: 'target-sessions',
  severity: 'warning',
  why: 'others in a database that is restored into see it half full, write into it, or hold locks that the restore waits for',
  needs: ['target'],
  questions: { target: [guests] },
  judge({ target }): Answer {
    const rows = target.rows(guests)
    if (rows.length === 0)
      return {
        status: 'passed',
        message: 'nobody else is connected to the databases of the target',
      }
    const sessions = rows.reduce((sum, row) => sum + row.sessions, 0)
    return {
      status: 'failed',
      message: `${counted(sessions, 'session')} of others in databases that are restored into`,
      objects: objectsOf(
        rows,
        ({ account, application, sessions }) =>
          `${pastedName(account)}${application ? ` (${printable(application)})` : ''}, ${counted(sessions, 'session')}`,
      ),
      remedy: 'Stop these applications until the migration is done, or restore under another name',
      paste: [...new Set(rows.map(({ database }) => database))]
        .map(
          (database) =>
            `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE pid <> pg_catalog.pg_backend_pid() AND datname = ${printable(quoteLiteral(database).trim())};`,
        )
        .join('\n'),
    }
  },
}

interface Leftover {
  kind: 'database' | 'role'
  name: string
}

/** What a run makes for itself and removes at its end, by name, unless somebody is connected to it, or as it. */
const leftovers: Question<Leftover> = {
  id: 'leftovers',
  scope: 'server',
  sql: () => `
    SELECT 'database' AS kind, datname::pg_catalog.text AS name FROM pg_catalog.pg_database d
     WHERE datname ~ '^migrate_to_polardb_scratch_[0-9]+_[0-9a-f]{12}$'
       AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)
     UNION ALL
    SELECT 'role', rolname FROM pg_catalog.pg_roles r
     WHERE rolname ~ '^(${temporaryRole}[0-9a-f]{16}|migration_(login_test|trial)_[0-9a-f]{12})$'
       AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid)
     ORDER BY 1, 2`,
}

/** An interrupted restore has left its notes. */
const marks: Question<{ schema: string }> = {
  id: 'marks',
  scope: 'database',
  sql: () =>
    `SELECT nspname AS schema FROM pg_catalog.pg_namespace WHERE nspname = '${markSchema}'`,
}

export const leftBehind: Check = {
  id: 'target-leftovers',
  severity: 'info',
  why: 'what a run that died has left on the target takes room, or lets a later run go on where it ended',
  needs: ['target'],
  questions: { target: [leftovers, marks] },
  judge({ target }): Answer {
    const left = target.rows(leftovers)
    const marked = target.rows(marks)
    if (left.length + marked.length === 0)
      return { status: 'passed', message: 'no earlier run has left anything' }
    const begun = marked.length > 0
    return {
      status: 'failed',
      message: begun
        ? `An interrupted restore is in ${counted(marked.length, 'database')} of the target`
        : `${counted(left.length, 'object')} of an earlier run ${left.length === 1 ? 'is' : 'are'} still on the target`,
      objects: [
        ...marked.map(({ database }) => `database ${pastedName(database)}`),
        ...left.map(({ kind, name }) => `${kind} ${pastedName(name)}`),
      ],
      remedy: begun
        ? 'Go on with it by if-target-not-empty: resume and the same dump, or begin anew by replace'
        : 'Where no other run is under way remove them, or leave that to the next run',
      // a role that loads owns what an interrupted restore has made
      ...(begun
        ? {}
        : {
            paste: left
              .map(({ kind, name }) => `DROP ${kind.toUpperCase()} ${pastedName(name)};`)
              .join('\n'),
          }),
    }
  },
}

export const targetRoom: readonly Check[] = [
  ...[storage, connectionLimit, otherSessions, leftBehind],
]
