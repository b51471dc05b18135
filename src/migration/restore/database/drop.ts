import type pg from 'pg'
import { Failure, messageOf } from '../../../failure.ts'
import { systemDatabases } from '../../../polardb/limits/limits.ts'
import { serverVersion, withConnection } from '../../../postgres/connection.ts'
import { mayPass, sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { inTime } from '../../../postgres/in-time.ts'
import { keepQuiet } from '../../../postgres/safe-session.ts'
import { counted, formatBytes, formatCount } from '../../../text/numbers.ts'
import { printable } from '../../../text/text.ts'
import type { Context } from '../../context.ts'
import type { RestoreOptions } from '../options.ts'
import { retireLoginRole, sweepLoginRoles } from '../owners/login-role.ts'
import { endSessions, sessionPrefix } from '../run/target-session.ts'
import { existingObjects, mostObjects } from './existing-objects.ts'
import { assertNonePrepared, whoUses } from './in-use.ts'
import { inMaintenanceDatabase } from './maintenance-database.ts'
import { borneOut, type RestoreState, readMark } from './mark.ts'
import { dropSubscriptions } from './subscriptions.ts'

/** Which database, and of which server. */
type Place = Pick<RestoreOptions, 'target' | 'targetName'>

/**
 * Drops the target database, never one of the system's: its subscriptions first, which would block it, and our own sessions
 * of an interrupted run.
 */
export async function dropDatabase(options: Place, context: Context): Promise<void> {
  const { targetName } = options
  if (systemDatabases.has(targetName)) {
    throw new Failure(
      `The database "${targetName}" is never dropped`,
      'It belongs to the server itself',
      'Empty it by hand, or restore under another name (databases: name=other-name)',
    )
  }
  await inMaintenanceDatabase(options, context.signal, (client) =>
    assertNonePrepared(client, targetName),
  )
  const loader = await clearDatabase(options, context, (client) =>
    tellWhatIsDropped(client, targetName, context),
  )
  await inMaintenanceDatabase(options, context.signal, async (client) => {
    try {
      // the account may have been its owner by what was just given back
      await becomeOwner(client, targetName)
      await unmarkTemplate(client, targetName)
      // the server itself waits five seconds for sessions that are about to end
      await client.query(`DROP DATABASE ${quoteIdentifier(targetName)}`)
    } catch (error) {
      throw await cannotDrop(client, targetName, error)
    }
    await dropLoader(client, loader)
  })
}

/** How often a database of our own is dropped while others connect to it: each time the server waits five seconds for them. */
const attempts = 3

/**
 * Drops a database that a run has made for itself, with who is connected to it.
 *
 * @throws Failure; what is in the database may be gone in part then
 */
export async function dropOwnDatabase(place: Place, context: Context): Promise<void> {
  const { targetName } = place
  const quoted = quoteIdentifier(targetName)
  await inMaintenanceDatabase(place, context.signal, async (client) => {
    await becomeOwner(client, targetName)
    // a limit that came from the source may keep the account out
    await client.query(`ALTER DATABASE ${quoted} CONNECTION LIMIT -1`).catch(unlessRefused)
  })
  const loader = await clearDatabase(place, context)
  await inMaintenanceDatabase(place, context.signal, async (client) => {
    try {
      await becomeOwner(client, targetName)
      await unmarkTemplate(client, targetName)
      for (let attempt = 1; ; attempt++) {
        await endEverySession(client, targetName)
        try {
          await client.query(`DROP DATABASE IF EXISTS ${quoted}`)
          break
        } catch (error) {
          if (!mayPass(error) || sqlstateOf(error) === undefined || attempt === attempts)
            throw error
        }
      }
    } catch (error) {
      throw await cannotDrop(client, targetName, error)
    }
    await dropLoader(client, loader)
  })
}

/** What the server refuses is met again at the drop. */
function unlessRefused(error: unknown): void {
  if (sqlstateOf(error) === undefined) throw error
}

/** Ends the sessions of others on a database, as far as the account may. */
async function endEverySession(client: pg.Client, database: string): Promise<void> {
  const { rows } = await client.query<{ pid: number }>(
    `SELECT pid FROM pg_catalog.pg_stat_activity
      WHERE datname OPERATOR(pg_catalog.=) $1 AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()`,
    [database],
  )
  for (const { pid } of rows)
    await client.query('SELECT pg_catalog.pg_terminate_backend($1)', [pid]).catch(unlessRefused)
}

/**
 * Takes out of a database what would block its drop or outlive it: our own sessions, rights that were lent, subscriptions.
 *
 * @returns the role that loaded
 */
async function clearDatabase(
  { target, targetName }: Place,
  context: Context,
  tell?: (client: pg.Client) => Promise<void>,
): Promise<string | null> {
  let loader: string | null = null
  const clear = withConnection(
    target,
    { database: targetName, role: 'target', signal: context.signal },
    async (client) => {
      await keepQuiet(client)
      await tell?.(client)
      const marked = (await readMark(client))?.state
      loader = marked?.loader ?? null
      await endSessions(client, `${sessionPrefix}%`, context.signal, loader)
      if (marked) await giveBack(client, marked, context)
      await dropSubscriptions(client)
    },
  )
  await clear.catch((error: unknown) => {
    // an earlier try may have dropped it
    const isGone = error instanceof Failure && error.sqlstate === '3D000'
    if (!isGone && !isInvalid(error)) throw error
  })
  return loader
}

async function cannotDrop(client: pg.Client, name: string, error: unknown): Promise<unknown> {
  const sqlstate = sqlstateOf(error)
  // the session that it came from is gone: whoever wants it tries again
  if (sqlstate === undefined) return error
  const who = await whoUses(client, name)
  return new Failure(
    `The database "${name}" cannot be dropped`,
    `${messageOf(error)}${who ? `; it is used by ${who}` : ''}`,
    sqlstate === '42501'
      ? 'Drop it as its owner, or make the account a member of the owner'
      : 'End what uses it, then run again',
    { cause: error, sqlstate },
  )
}

/** The role that loaded owned nothing but what was in the database. */
async function dropLoader(client: pg.Client, loader: string | null): Promise<void> {
  if (loader !== null) await retireLoginRole(client, loader)
  await sweepLoginRoles(client)
}

/** Says in the log and in the report what is about to be lost, as far as the server tells. */
export async function tellWhatIsDropped(
  client: pg.Client,
  name: string,
  context: Context,
): Promise<void> {
  const { rows } = await client.query<{
    bytes: string
    written: string
    since: string | null
    others: string
  }>(`
    SELECT pg_catalog.pg_database_size(d.oid) AS bytes, s.tup_inserted + s.tup_updated + s.tup_deleted AS written,
           s.stats_reset::pg_catalog.timestamptz(0)::pg_catalog.text AS since,
           (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a
             WHERE a.datid = d.oid AND a.pid <> pg_catalog.pg_backend_pid()) AS others
      FROM pg_catalog.pg_database d JOIN pg_catalog.pg_stat_database s ON s.datid = d.oid
     WHERE d.datname = pg_catalog.current_database()`)
  const objects = await existingObjects(client)
  const [row] = rows
  const many = objects.length === mostObjects ? 'at least ' : ''
  const message = `replace drops the database "${printable(name)}": ${formatBytes(Number(row?.bytes ?? 0))}, ${many}${counted(objects.length, 'object')} (${objects.slice(0, 10).map(printable).join(', ')}${objects.length > 10 ? ', …' : ''}), ${formatCount(Number(row?.written ?? 0))} rows written since ${row?.since ?? 'its statistics began'}, ${counted(Number(row?.others ?? 0), 'other session')} connected`
  context.log.warning(message)
  context.record.check({
    id: 'database-replaced',
    severity: 'info',
    status: 'passed',
    message,
    objects: objects.slice(0, 100),
    remedy:
      'None needed: if-target-not-empty: replace asks for it. swap keeps the old database until the new one is verified',
  })
}

/** Seconds for all of it: the server does each in an instant, unless somebody holds a lock on its list of members. */
const giveBackTime = 60

/**
 * Ends what an interrupted run had lent itself: with the database its list would be gone. Where the server refuses, a warning
 * says so.
 *
 * @param seconds after which the session is cut off
 * @throws Failure when the server does not answer in time: the database is still there, and so is the list
 */
export async function giveBack(
  client: pg.Client,
  marked: RestoreState,
  context: Context,
  seconds = giveBackTime,
): Promise<void> {
  const began = performance.now()
  try {
    await inTime(client, { connectTimeout: seconds }, endMemberships(client, marked, context))
  } catch (error) {
    if (performance.now() - began < seconds * 1000) throw error
    throw new Failure(
      'The rights that an interrupted restore has left cannot be given back',
      `The target did not answer within ${seconds} s`,
      'Look on the target for who holds a lock on pg_auth_members, then run again: nothing was dropped',
      { cause: error },
    )
  }
}

async function endMemberships(
  client: pg.Client,
  marked: RestoreState,
  context: Context,
): Promise<void> {
  const { major } = await serverVersion(client)
  const { memberships } = await borneOut(client, marked, major)
  const { rows } = await client.query<{ account: string }>('SELECT session_user AS account')
  const account = rows[0]?.account ?? ''
  for (const role of new Set(memberships)) {
    try {
      await client.query(`REVOKE ${quoteIdentifier(role)} FROM ${quoteIdentifier(account)}`)
    } catch (error) {
      if (sqlstateOf(error) === undefined) throw error
      context.warn(
        `The account is still a member of ${printable(role)} on the target, as an interrupted restore has left it (${messageOf(error)}): end that by hand`,
      )
    }
  }
}

/** Whether nobody can connect to a database because dropping it was interrupted (PostgreSQL 15.4 and newer). */
export function isInvalid(error: unknown): boolean {
  return (
    error instanceof Failure && error.sqlstate === '55000' && error.why.includes('invalid database')
  )
}

/** Takes the mark off a database that an earlier migration made a template, as its source was: it could not be dropped. */
export async function unmarkTemplate(client: pg.Client, name: string): Promise<void> {
  const { rowCount } = await client.query(
    'SELECT FROM pg_catalog.pg_database WHERE datname = $1 AND datistemplate',
    [name],
  )
  if (rowCount) {
    await client.query(`ALTER DATABASE ${quoteIdentifier(name)} WITH IS_TEMPLATE false`)
  }
}

/**
 * Makes the account the owner of a database whose owner it may become a member of: an earlier migration gave it away. The
 * membership lasts no longer than the transaction.
 */
export async function becomeOwner(client: pg.Client, name: string): Promise<void> {
  const { rows } = await client.query<{ owner: string; account: string }>(
    `SELECT pg_catalog.pg_get_userbyid(datdba) AS owner, session_user AS account FROM pg_catalog.pg_database
      WHERE datname = $1 AND NOT pg_catalog.pg_has_role(session_user, datdba, 'USAGE')`,
    [name],
  )
  const [row] = rows
  if (!row) return
  const { major } = await serverVersion(client)
  const [owner, account] = [quoteIdentifier(row.owner), quoteIdentifier(row.account)]
  try {
    await client.query('BEGIN')
    await client.query(
      `GRANT ${owner} TO ${account}${major >= 16 ? ' WITH SET TRUE, INHERIT TRUE' : ''}`,
    )
    await client.query(`ALTER DATABASE ${quoteIdentifier(name)} OWNER TO ${account}`)
    await client.query(`REVOKE ${owner} FROM ${account}`)
    await client.query('COMMIT')
  } catch (error) {
    // then the DROP says that it takes the owner
    await client.query('ROLLBACK')
    if (sqlstateOf(error) === undefined) throw error
  }
}
