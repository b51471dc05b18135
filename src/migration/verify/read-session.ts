import type pg from 'pg'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { type Opened, openConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { mayPass, sqlstateOf } from '../../postgres/errors.ts'
import { qualifiedName, quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts'
import { restriction } from '../../postgres/only-tables.ts'
import { endsSession } from '../../postgres/sqlstates.ts'
import { printable } from '../../text/text.ts'

/** Where a fingerprint is taken, and how its messages call the place. */
export interface Place {
  connection: ConnectionParameters
  database: string
  role: 'source' | 'target'
}

/** Where and at which moment: null is now. */
export interface Reading {
  place: Place
  snapshot: string | null
  /**
   * Milliseconds to wait for a lock while the session of the moment holds every table: whoever has asked for one waits for that
   * session, so the moment is given up then.
   */
  lockWait?: number | undefined
  /** Tables may be made readable in transactions that are rolled back (see inTransaction); default false. */
  mayAlter?: boolean
}

/**
 * Whether tables of a target may be altered in transactions that are rolled back: only where nobody is kept waiting by it.
 * A restore knows that nobody else uses the database; elsewhere the server is asked.
 */
export type MayAlter = boolean | 'if unused'

/** Whether no session but our own is in this database. Autovacuum, which gives way, belongs to no user. */
export async function isUnused(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ others: string }>(`
    SELECT pg_catalog.count(*)::pg_catalog.text AS others FROM pg_catalog.pg_stat_activity
     WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid() AND usesysid IS NOT NULL
       AND application_name NOT LIKE 'migrate-to-polardb%'`)
  return rows[0]?.others === '0'
}

/** What is read, as a failure would name it. */
export interface ReadObject {
  /** `The table public.orders`. */
  what: string
  /** What an account needs to read it: `SELECT on the table`. */
  grant: string
  owner: string
  /** The table that neither the account nor its owner may read whole as things are. */
  barred?: { schema: string; name: string }
}

/** Everything that changes how a value or a definition reads, pinned (on top of what `connect` sets). */
const pinned: Record<string, string> = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  // the most that there is: 3, and 2 before 9.0
  extra_float_digits: '',
  lc_monetary: 'C',
  lc_numeric: 'C',
  xmlbinary: 'base64',
  xmloption: 'content',
  quote_all_identifiers: 'off',
  client_min_messages: 'error',
  // a sequence may have become a view since it was listed, and what that calls would run with our rights
  [restriction[0]]: restriction[1],
}

/** The session that held a moment for others is gone, and the moment with it: all that is of one moment is to be read again. */
export class MomentGone extends Failure {}

/** Somebody waits for a table that the session of a moment holds: one of the two must give way. */
export class TableAwaited extends MomentGone {
  /** @param cause of waiting behind him */
  constructor(cause: unknown) {
    super(
      'Somebody waits for a table that is held until the dump ends',
      messageOf(cause),
      'Keep TRUNCATE, ALTER TABLE and the like away from the source until the dump has ended, then run again',
      { cause },
    )
  }
}

/** What a table held in a moment is gone: nobody can read it any more. */
export class TableReplaced extends MomentGone {
  constructor(table: string, role: Place['role']) {
    super(
      `The table ${printable(table)} was emptied, rewritten or exchanged for another one while its moment was being read`,
      'Whoever looks at an earlier moment sees none of its rows from then on (PostgreSQL, "Caveats" of concurrency control)',
      `Keep TRUNCATE, ALTER TABLE and the like away from the ${role} meanwhile, then run again`,
    )
  }
}

/**
 * SQL: what has become of a table since the moment of the transaction, in which it must be locked by now. `file` where its rows are in
 * another file: CLUSTER and VACUUM FULL take along who may see a row, TRUNCATE and ALTER TABLE do not. `name` where another table has
 * its name; null where nothing has. Functions and names are looked up as they are now. No catalog is read for it: a session that
 * reads rows does without indexes, and would read all of pg_class for each table.
 *
 * @param oid a number, or an expression
 * @param name its qualified and quoted name in that moment, as an expression of the type regclass
 * @param file its `relfilenode` in that moment: a number, or an expression
 */
export function fateOf(oid: number | string, name: string, file: string): string {
  return `CASE WHEN ${oid} <> ${name} THEN 'name'
               WHEN ${file} IS DISTINCT FROM pg_catalog.pg_relation_filenode(${oid}) THEN 'file' END`
}

/**
 * Opens a session whose texts depend on no setting of the account, the database or the server. The signal ends what it runs.
 *
 * @throws Failure on a refused connection; Cancelled
 */
export async function openSession(place: Place, signal: AbortSignal): Promise<Opened> {
  const { connection, database, role } = place
  const opened = await openConnection(connection, { database, role, signal, readOnly: true })
  try {
    await pin(opened.client)
    return opened
  } catch (error) {
    await opened.close()
    throw error
  }
}

/**
 * Runs `work` in such a session.
 *
 * @throws as openSession, and whatever `work` throws
 */
export async function withSession<T>(
  place: Place,
  signal: AbortSignal,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const { client, close } = await openSession(place, signal)
  try {
    return await work(client)
  } catch (error) {
    if (signal.aborted) throw new Cancelled()
    throw error
  } finally {
    await close()
  }
}

/**
 * Begins a transaction, of the snapshot's moment where one is given.
 *
 * @param writable only for what is rolled back: everything else is read-only
 * @throws MomentGone where nobody holds the snapshot any more
 */
export async function begin(
  client: pg.Client,
  snapshot: string | null,
  writable = false,
): Promise<void> {
  await client.query(
    `BEGIN ISOLATION LEVEL REPEATABLE READ ${writable ? 'READ WRITE' : 'READ ONLY'}`,
  )
  if (snapshot === null) return
  try {
    await client.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot)}`)
  } catch (error) {
    if (mayPass(error)) throw error
    throw new MomentGone(
      'The moment that was to be verified is gone',
      messageOf(error),
      'The session that held it was ended: keep poolers, restarts and idle timeouts away from it, and run again',
      { cause: error, sqlstate: sqlstateOf(error) },
    )
  }
}

/** Pins what changes how a value or a definition reads. */
export async function pin(client: pg.Client): Promise<void> {
  const names = Object.keys(pinned)
  const values = names.map((name) => `(${quoteLiteral(name)}, ${quoteLiteral(pinned[name] ?? '')})`)
  // joined with pg_settings: one statement for every major, whichever of these it knows
  await client.query(`
    SELECT pg_catalog.set_config(s.name, CASE s.name WHEN 'extra_float_digits' THEN s.max_val ELSE p.value END, false)
      FROM pg_catalog.pg_settings s
      JOIN (VALUES ${values.join(', ')}) AS p(name, value) ON pg_catalog.lower(s.name) = pg_catalog.lower(p.name)`)
}

/** Milliseconds to wait for the lock that changing a table takes: whoever asks for the table meanwhile waits as well. */
const shortLockWait = 5000

/** How a session may come to read something. */
interface Way {
  /** As the owner instead of the account. */
  owner: boolean
  /** With the rights that are lacking, for the time of the transaction. */
  alters: boolean
}

/**
 * Runs `work` in a transaction of its own: what it locks it soon gives back. Refused for want of a privilege, it is run
 * once more as the owner, where the account may become that role: a restore gives tables to their owners, and from 16 on a
 * membership need not carry its rights along.
 *
 * What even the owner may not read whole (FORCE ROW LEVEL SECURITY binds him, and he may have revoked his own SELECT) is
 * read without that, where the reading allows it: in a transaction that is rolled back, so that nobody else ever sees the
 * change (docs/polardb.md, "Row security"). It takes an exclusive lock on the table, for which it does not wait long.
 *
 * @throws Failure that says what could not be read and what would mend it; without the server's error, what `work` threw;
 *   as it is, the error of a session that ended; TableAwaited
 */
export async function inTransaction<T>(
  client: pg.Client,
  reading: Reading,
  object: ReadObject,
  work: () => Promise<T>,
): Promise<T> {
  const { barred } = object
  const ways: Way[] = [
    { owner: false, alters: false },
    { owner: true, alters: false },
  ]
  if (barred && reading.mayAlter) {
    ways.push({ owner: false, alters: true }, { owner: true, alters: true })
  }
  let refused: unknown
  for (const way of ways) {
    try {
      return await attempt(client, reading, object, way, work)
    } catch (error) {
      const sqlstate = sqlstateOf(error)
      if (sqlstate === undefined || endsSession(sqlstate)) throw error
      if (sqlstate === '55P03' && reading.lockWait !== undefined) throw new TableAwaited(error)
      // to become the owner, and then to be refused as he, says less than the first refusal
      if (refused === undefined || sqlstate !== '42501') refused = error
      if (sqlstate !== '42501') break
    }
  }
  throw unreadable(reading.place, object, refused)
}

async function attempt<T>(
  client: pg.Client,
  reading: Reading,
  { owner, barred }: ReadObject,
  way: Way,
  work: () => Promise<T>,
): Promise<T> {
  const alters = way.alters && barred !== undefined
  try {
    await begin(client, reading.snapshot, alters)
    if (alters) await client.query(`SET LOCAL lock_timeout = ${shortLockWait}`)
    if (way.owner) await client.query(`SET LOCAL ROLE ${quoteIdentifier(owner)}`)
    if (alters) await unbar(client, barred)
    const result = await work()
    await client.query(alters ? 'ROLLBACK' : 'COMMIT')
    return result
  } catch (error) {
    if (sqlstateOf(error) !== undefined) await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}

/** Makes a table readable for the current role: to be rolled back. */
async function unbar(
  client: pg.Client,
  { schema, name }: { schema: string; name: string },
): Promise<void> {
  const { rows } = await client.query<{ usage: boolean; select: boolean; forced: boolean }>(
    `SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS usage, pg_catalog.has_table_privilege(c.oid, 'SELECT') AS select,
            c.relrowsecurity AND c.relforcerowsecurity AS forced
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relname = $2`,
    [schema, name],
  )
  const [found] = rows
  if (!found) return
  const table = qualifiedName(schema, name)
  if (!found.usage) {
    await client.query(`GRANT USAGE ON SCHEMA ${quoteIdentifier(schema)} TO CURRENT_USER`)
  }
  if (!found.select) await client.query(`GRANT SELECT ON TABLE ${table} TO CURRENT_USER`)
  if (found.forced) await client.query(`ALTER TABLE ${table} NO FORCE ROW LEVEL SECURITY`)
}

/** Whether it was the thing itself that could not be read, while the session can go on with others. */
export function isUnreadable(error: unknown): error is Failure {
  if (!(error instanceof Failure) || error instanceof MomentGone || !error.sqlstate) return false
  // whoever holds a lock for as long as we wait may hold it for longer; all else that may pass is tried again
  return error.sqlstate === '55P03' || !(endsSession(error.sqlstate) || mayPass(error))
}

/** Why something cannot be read and what would mend it, in one line without the thing's name. */
export function reasonOf({ why, remedy, sqlstate }: Failure): string {
  return printable(
    `${why.replace(/\.$/, '')}${sqlstate && !why.includes(`[${sqlstate}]`) ? ` [${sqlstate}]` : ''}. ${remedy}`,
  )
}

/** What the server said, as a failure that names the object. */
function unreadable(
  { connection, role }: Place,
  { what, grant, owner, barred }: ReadObject,
  error: unknown,
): Failure {
  const why = messageOf(error)
  const sqlstate = sqlstateOf(error)
  const fail = (remedy: string) =>
    new Failure(`${what} on the ${role} cannot be read`, why, remedy, {
      cause: error,
      sqlstate,
    })
  if (sqlstate === '55P03') {
    return fail('Another session holds a lock on it: end that one, then verify again')
  }
  if (/row-level security/.test(why)) {
    const idle =
      barred && role === 'target' ? ', or verify while nobody else uses the database' : ''
    return fail(
      `Row-level security would hide rows from "${connection.user}": give that account BYPASSRLS, or use a superuser${idle}`,
    )
  }
  if (sqlstate === '42501') {
    const lend = role === 'target' ? '; verify does so by itself with lend-rights: true' : ''
    return fail(`Give "${connection.user}" ${grant}, or membership in the owner "${owner}"${lend}`)
  }
  return fail('Mend what the server complains of, then verify again')
}
