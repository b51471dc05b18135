import { quoteLiteral } from '../../../postgres/identifiers.ts'
import { ofClient } from '../../../postgres/portable-sql.ts'
import { counted } from '../../../text/numbers.ts'
import { printable } from '../../../text/text.ts'
import type { Answer, Check } from '../check.ts'
import { objectsOf, pastedName, statementsFor } from '../paste.ts'
import type { Question } from '../question.ts'

/** Who uses the source, and has to use the target after the cutover. */

interface Client {
  of: string
  account: string
  application: string | null
  address: string | null
  sessions: number
}

/** Sessions that are none of the server's own. What an account may not see of others is null. */
const clients: Question<Client> = {
  id: 'clients',
  scope: 'server',
  sql: ({ number }) => {
    const application = number >= 90_000 ? 'application_name' : 'NULL::pg_catalog.text'
    const own = number >= 90_200 ? 'pid' : 'procpid'
    const isClient =
      number >= 100_000
        ? ofClient()
        : `${number >= 90_200 ? 'query' : 'current_query'} NOT LIKE 'autovacuum:%'`
    return `
      SELECT datname AS of, usename AS account, ${application} AS application,
             pg_catalog.host(client_addr) AS address, pg_catalog.count(*)::pg_catalog.int4 AS sessions
        FROM pg_catalog.pg_stat_activity
       WHERE ${own} <> pg_catalog.pg_backend_pid() AND datname IS NOT NULL AND usename IS NOT NULL AND ${isClient}
         AND COALESCE(${application}, '') NOT LIKE 'migrate-to-polardb%'
       GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`
  },
}

/** `app` (web 2.1) from 10.0.0.3, 12 sessions */
function clientText({ account, application, address, sessions }: Client): string {
  const name = application ? ` (${printable(application)})` : ''
  const from = address === null ? '' : ` from ${address}`
  return `${pastedName(account)}${name}${from}, ${counted(sessions, 'session')}`
}

export const clientsOfSource: Check = {
  id: 'source-clients',
  severity: 'info',
  why: 'whoever is connected to the source now has a connection string that must be changed at the cutover',
  needs: ['source'],
  questions: { source: [clients] },
  judge({ source }): Answer {
    const migrated = new Set(source.databases.map((database) => database.source))
    const rows = source
      .rows(clients)
      .filter(({ of }) => migrated.has(of))
      .map((row) => ({ ...row, database: row.of }))
    if (rows.length === 0)
      return { status: 'passed', message: 'nobody else is connected to the databases now' }
    const sessions = rows.reduce((sum, row) => sum + row.sessions, 0)
    return {
      status: 'failed',
      message: `${counted(sessions, 'session')} of others in the databases now: whose connection strings are to be changed at the cutover`,
      objects: objectsOf(rows, clientText),
      atCutover: `Change the connection strings of those who use the source: ${counted(sessions, 'session')} of others when it was looked at`,
      remedy: 'Change these connection strings at the cutover, and stop the writers before',
    }
  },
}

interface Consumer {
  name: string
  kind: string
  of: string | null
  active: boolean
}

/** Slots, and those that stream without one. */
const consumers: Question<Consumer> = {
  id: 'replication-consumers',
  scope: 'server',
  sql: ({ number }) => {
    if (number < 90_100) return undefined
    const streams = (where: string) => `
      SELECT COALESCE(r.application_name, '') AS name,
             'stream to ' || COALESCE(pg_catalog.host(r.client_addr), 'a local client') AS kind,
             NULL::pg_catalog.text AS of, true AS active
        FROM pg_catalog.pg_stat_replication r WHERE ${where}`
    if (number < 90_400) return streams('true')
    // before 9.5 nobody knows who uses a slot
    const slotless =
      number < 90_500
        ? 'false'
        : 'NOT EXISTS (SELECT 1 FROM pg_catalog.pg_replication_slots s WHERE s.active_pid = r.pid)'
    return `
      SELECT slot_name::pg_catalog.text AS name, slot_type || ' slot' AS kind, database::pg_catalog.text AS of, active
        FROM pg_catalog.pg_replication_slots ${number >= 100_000 ? 'WHERE NOT temporary' : ''}
       UNION ALL ${streams(slotless)} ORDER BY 1, 2`
  },
}

export const consumersOfSource: Check = {
  id: 'source-consumers',
  severity: 'warning',
  why: 'standbys, subscribers and change data capture follow the source and see nothing of what is written to the target',
  needs: ['source'],
  questions: { source: [consumers] },
  judge({ source }): Answer {
    const migrated = new Set(source.databases.map((database) => database.source))
    const rows = source.rows(consumers).filter(({ of }) => of === null || migrated.has(of))
    if (rows.length === 0)
      return { status: 'passed', message: 'nothing follows the source by replication' }
    const slots = rows.filter(({ kind }) => kind.endsWith(' slot'))
    return {
      status: 'failed',
      message: `${counted(rows.length, 'consumer')} ${rows.length === 1 ? 'follows' : 'follow'} the source by replication: slots are not migrated`,
      objects: objectsOf(
        rows,
        ({ name, kind, of, active }) =>
          `${pastedName(name)}, ${printable(kind)}${of === null ? '' : ` of the database ${pastedName(of)}`}${active ? '' : ', not connected'}`,
      ),
      remedy:
        'Point each of them to the target after the migration, beginning with a new slot there; the slots of those that are no longer needed are dropped by',
      paste: statementsFor(
        slots,
        ({ name }) => `SELECT pg_catalog.pg_drop_replication_slot(${quoteLiteral(name).trim()});`,
      ),
    }
  },
}

interface Publication {
  name: string
}

const publications: Question<Publication> = {
  id: 'publications',
  scope: 'database',
  sql: ({ number }) =>
    number < 100_000
      ? undefined
      : 'SELECT pubname AS name FROM pg_catalog.pg_publication ORDER BY 1',
}

const walLevel: Question<{ level: string }> = {
  id: 'wal-level',
  scope: 'server',
  sql: () => `SELECT pg_catalog.current_setting('wal_level') AS level`,
}

export const publicationsOfSource: Check = {
  id: 'target-publications',
  severity: 'warning',
  why: 'a publication is restored on any server, but only one with wal_level logical can serve its subscribers',
  needs: ['source', 'target'],
  questions: { source: [publications], target: [walLevel] },
  judge({ source, target }): Answer {
    const rows = source.rows(publications)
    if (rows.length === 0) return { status: 'passed', message: 'there are no publications' }
    const { level } = target.row(walLevel)
    if (level === 'logical')
      return {
        status: 'passed',
        message: 'the target can serve subscribers (wal_level is logical)',
      }
    return {
      status: 'failed',
      message: `The target has wal_level ${printable(level)}: nobody can subscribe to ${counted(rows.length, 'publication')}`,
      objects: objectsOf(rows, ({ name }) => pastedName(name)),
      remedy:
        'Set wal_level to logical in the parameters of the cluster before its subscribers move, which restarts it; or drop what nobody subscribes to',
    }
  },
}

export const sourceClients: readonly Check[] = [
  clientsOfSource,
  consumersOfSource,
  publicationsOfSource,
]
