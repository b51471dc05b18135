import { ofClient } from '../../postgres/portable-sql.ts'
import { counted, formatDuration } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import { autoJobs, autoReaders } from '../jobs.ts'
import type { Answer, Check } from './check.ts'
import type { Known } from './known.ts'
import { pastedName } from './paste.ts'
import type { SideName } from './probe.ts'
import type { Question } from './question.ts'

/** What a server lets the account open, and for how long. */
export interface Limits {
  /** Sessions that the server takes of this account, beyond those that are open: reserved ones do not count. */
  free: number
  /** Null where there is no limit. The account itself and the sessions that it has open. */
  account_limit: number | null
  account_open: number
  superuser: boolean
  /** Seconds until the account's VALID UNTIL; null where there is no end. */
  valid: number | null
}

/** SQL: a session `s` is a client's, before 10 every one is. Ours that ask now will be closed when a run begins. */
const clients = (number: number) =>
  `${number >= 100_000 ? ofClient('s.') : 'true'} AND ${number >= 90_000 ? `COALESCE(s.application_name, '') <> 'migrate-to-polardb'` : 'true'}`

/** Sessions that are open count for the server and for the account, those of the server's own workers do not. */
const limits: Question<Limits> = {
  id: 'connection-limits',
  scope: 'server',
  sql: ({ number }) => {
    const client = clients(number)
    const reserved =
      number >= 160_000
        ? `+ CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_roles u
                                 WHERE u.rolname = 'pg_use_reserved_connections' AND pg_catalog.pg_has_role(r.oid, u.oid, 'USAGE'))
                   THEN 0 ELSE COALESCE(pg_catalog.current_setting('reserved_connections', true), '0')::int END`
        : ''
    return `
      SELECT r.rolsuper AS superuser,
             (pg_catalog.current_setting('max_connections')::int
               - (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity s WHERE ${client})
               - CASE WHEN r.rolsuper THEN 0
                      ELSE pg_catalog.current_setting('superuser_reserved_connections')::int ${reserved} END)::int AS free,
             NULLIF(r.rolconnlimit, -1) AS account_limit,
             (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity s WHERE s.usesysid = r.oid AND ${client})::int AS account_open,
             CASE WHEN pg_catalog.isfinite(r.rolvaliduntil)
                  THEN pg_catalog.date_part('epoch', r.rolvaliduntil - pg_catalog.now()) END::pg_catalog.float8 AS valid
        FROM pg_catalog.pg_roles r WHERE r.rolname = session_user`
  },
}

interface DatabaseLimit {
  name: string
  /** Of the database; never none: those have no row. */
  most: number
  /** Sessions that are open in it. */
  open: number
}

const databaseLimits: Question<DatabaseLimit> = {
  id: 'database-connection-limits',
  scope: 'server',
  sql: ({ number }) => `
    SELECT d.datname AS name, d.datconnlimit AS most,
           (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity s WHERE s.datid = d.oid AND ${clients(number)})::int AS open
      FROM pg_catalog.pg_database d WHERE d.datconnlimit >= 0 AND d.datallowconn ORDER BY 1`,
}

/** What a run opens on one server at once: its work, those that read it for the comparison, and a few of its own. */
interface Need {
  least: number
  wished: number
}

/**
 * Sessions beside the jobs: the leader of pg_dump, the snapshot, what looks after locks, and a spare one to cancel with. On a target
 * the session that shows that the run lives is one of them.
 */
const beside = 4

function need(known: Known, side: SideName): Need {
  const { inputs, runner } = known
  const given = side === 'source' ? inputs.dumpJobs : inputs.restoreJobs
  const readers = inputs.verify === 'none' ? 0 : autoReaders(runner.processors)
  const jobs = given === 'auto' ? autoJobs(runner.processors) : given
  return { least: beside + readers + 1, wished: beside + readers + jobs }
}

/**
 * Whether enough sessions can be opened at once: what a run cannot do without, and what it would like to have. It takes fewer jobs
 * where it finds less than that.
 */
export function judgeConnections(
  { free, account_limit, account_open, superuser }: Limits,
  databases: readonly DatabaseLimit[],
  { least, wished }: Need,
  account: string,
): Answer {
  const found: { room: number; what: string; paste?: string }[] = [
    { room: free, what: `the server has ${counted(Math.max(0, free), 'free connection')}` },
  ]
  // a superuser is bound by no limit of a role or a database (PostgreSQL, "CREATE ROLE", "CREATE DATABASE")
  if (!superuser && account_limit !== null) {
    found.push({
      room: account_limit - account_open,
      what: `the account is limited to ${counted(account_limit, 'connection')} and has ${account_open}`,
      paste: `ALTER ROLE ${pastedName(account)} CONNECTION LIMIT ${account_open + wished};`,
    })
  }
  for (const { name, most, open } of superuser ? [] : databases) {
    found.push({
      room: most - open,
      what: `the database "${printable(name)}" is limited to ${counted(most, 'connection')} and has ${open}`,
      paste: `ALTER DATABASE ${pastedName(name)} CONNECTION LIMIT ${open + wished};`,
    })
  }
  const short = found.filter(({ room }) => room < wished)
  if (short.length === 0)
    return { status: 'passed', message: `${counted(wished, 'session')} at once can be opened` }
  const blocks = short.some(({ room }) => room < least)
  const paste = short.flatMap(({ paste }) => (paste ? [paste] : [])).join('\n')
  return {
    status: 'failed',
    severity: blocks ? 'blocker' : 'warning',
    message: `${short.map(({ what }) => what).join('; ')}: ${blocks ? `a run needs ${least} more` : `a run that may open ${wished} more is faster`}`,
    remedy:
      'Close idle sessions, raise max_connections of the server or the limits of the account and the databases, or set fewer jobs',
    ...(paste ? { paste } : {}),
  }
}

const day = 24 * 3600

/** Seconds that the least migration takes with all that is around it. */
const shortest = 15 * 60

/** Whether the account's password is good for long enough. */
export function judgeExpiry({ valid }: Limits, account: string, side: SideName): Answer {
  if (valid === null) return { status: 'passed', message: 'the account has no end' }
  // it was let in: its login does not depend on a password
  if (valid <= 0)
    return { status: 'passed', message: 'VALID UNTIL is past, and the login does not depend on it' }
  if (valid > 7 * day)
    return { status: 'passed', message: `the password is good for ${formatDuration(valid)}` }
  return {
    status: 'failed',
    severity: valid < shortest ? 'blocker' : 'warning',
    message: `The password of "${printable(account)}" on the ${side} ends in ${formatDuration(valid)}: sessions that are opened after that are refused`,
    remedy: 'Put its end off until after the migration',
    paste: `ALTER ROLE ${pastedName(account)} VALID UNTIL 'infinity';`,
  }
}

/** The checks of what one side lets the account open. */
export function connectionChecks(side: SideName): Check[] {
  const account = (known: Known) => known[side].connection.user
  return [
    {
      id: `${side}-connections`,
      severity: 'blocker',
      why: 'too few connections end a dump or restore in its middle',
      needs: [side],
      questions: { [side]: [limits, databaseLimits] },
      judge: (known) => {
        const wanted = new Set(
          side === 'source'
            ? known.source.databases.map(({ source }) => source)
            : known.target.databases,
        )
        const rows = known[side].rows(databaseLimits).filter(({ name }) => wanted.has(name))
        return judgeConnections(known[side].row(limits), rows, need(known, side), account(known))
      },
    },
    {
      id: `${side}-account-expiry`,
      severity: 'warning',
      why: 'a password that ends meanwhile refuses the sessions that are opened last: restore and verification',
      needs: [side],
      questions: { [side]: [limits] },
      judge: (known) => judgeExpiry(known[side].row(limits), account(known), side),
    },
  ]
}
