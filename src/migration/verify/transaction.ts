import type pg from 'pg'
import { Failure, messageOf } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts'

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
}

/** What is read, as a failure would name it. */
export interface ReadObject {
  /** `The table public.orders`. */
  what: string
  /** What an account needs to read it: `SELECT on the table`. */
  grant: string
  owner: string
}

/** Everything that changes how a value or a definition reads, pinned (on top of what `connect` sets). */
const pinned: Record<string, string> = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '3',
  lc_monetary: 'C',
  lc_numeric: 'C',
  xmlbinary: 'base64',
  xmloption: 'content',
  quote_all_identifiers: 'off',
  client_min_messages: 'error',
}

/**
 * Runs `work` in a session whose texts depend on no setting of the account, the database or the server, inside a
 * read-only transaction that sees one moment: that of the snapshot, where one is given.
 *
 * @throws Failure on a refused connection or a snapshot that is gone; Cancelled; whatever `work` throws
 */
export async function withSession<T>(
  place: Place,
  signal: AbortSignal,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const { connection, database, role } = place
  return withConnection(connection, { database, role, signal, readOnly: true }, async (client) => {
    await pin(client)
    return work(client)
  })
}

/** Begins a read-only transaction, of the snapshot's moment where one is given. */
export async function begin(client: pg.Client, snapshot: string | null): Promise<void> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  if (snapshot === null) return
  try {
    await client.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot)}`)
  } catch (error) {
    throw new Failure(
      'The moment that was to be verified is gone',
      messageOf(error),
      'The session that held it was ended: keep poolers, restarts and idle timeouts away from it, and run again',
      { cause: error, sqlstate: sqlstateOf(error) },
    )
  }
}

async function pin(client: pg.Client): Promise<void> {
  const names = Object.keys(pinned)
  const values = names.map((name) => `(${quoteLiteral(name)}, ${quoteLiteral(pinned[name] ?? '')})`)
  // joined with pg_settings: one statement for every major, whichever of these it knows
  await client.query(`
    SELECT pg_catalog.set_config(s.name, p.value, false)
      FROM pg_catalog.pg_settings s
      JOIN (VALUES ${values.join(', ')}) AS p(name, value) ON pg_catalog.lower(s.name) = pg_catalog.lower(p.name)`)
}

/**
 * Runs `work` in a transaction of its own: what it locks it soon gives back. Refused for want of a privilege, it is run
 * once more as the owner, where the account may become that role: a restore gives tables to their owners, and from 16 on a
 * membership need not carry its rights along.
 *
 * @throws Failure that says what could not be read and what would mend it; without the server's error, what `work` threw
 */
export async function inTransaction<T>(
  client: pg.Client,
  reading: Reading,
  object: ReadObject,
  work: () => Promise<T>,
): Promise<T> {
  const attempt = async (owner?: string) => {
    try {
      await begin(client, reading.snapshot)
      if (owner !== undefined) await client.query(`SET LOCAL ROLE ${quoteIdentifier(owner)}`)
      const result = await work()
      await client.query('COMMIT')
      return result
    } catch (error) {
      if (sqlstateOf(error) !== undefined) await client.query('ROLLBACK')
      throw error
    }
  }
  try {
    return await attempt()
  } catch (first) {
    if (sqlstateOf(first) === undefined) throw first
    if (sqlstateOf(first) !== '42501') throw unreadable(reading.place, object, first)
    try {
      return await attempt(object.owner)
    } catch (second) {
      if (sqlstateOf(second) === undefined) throw second
      throw unreadable(reading.place, object, first)
    }
  }
}

/** What the server said, as a failure that names the object. */
function unreadable(
  { connection, role }: Place,
  { what, grant, owner }: ReadObject,
  error: unknown,
): Failure {
  const why = messageOf(error)
  const sqlstate = sqlstateOf(error)
  const fail = (remedy: string) =>
    new Failure(`${what} on the ${role} cannot be verified`, why, remedy, {
      cause: error,
      sqlstate,
    })
  if (/row-level security/.test(why)) {
    return fail(
      `Row-level security would hide rows from "${connection.user}": give that account BYPASSRLS, or use a superuser`,
    )
  }
  if (sqlstate === '42501') {
    return fail(`Give "${connection.user}" ${grant}, or membership in the owner "${owner}"`)
  }
  return fail('Mend what the server complains of, then verify again')
}
