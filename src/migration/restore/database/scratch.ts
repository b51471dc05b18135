import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { messageOf } from '../../../failure.ts'
import { serverVersion } from '../../../postgres/connection.ts'
import type { ConnectionParameters } from '../../../postgres/connection-string.ts'
import { mayPass } from '../../../postgres/errors.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { doStill } from '../../cancellation.ts'
import type { Context } from '../../context.ts'
import { pause, retrying } from '../../retry.ts'
import { endSessions, sessionPrefix } from '../run/target-session.ts'
import { inMaintenanceDatabase } from './maintenance-database.ts'
import { createDatabase } from './prepare.ts'
import type { DatabaseProperties } from './properties.ts'

/** Throw-away databases are called this, then the time of the server in seconds, then something of this run alone. */
const prefix = 'migrate_to_polardb_scratch_'

/**
 * The throw-away databases of a rehearsal have its eight digits, so that they are removed with it.
 *
 * @returns a regular expression of the server
 */
export function scratchPattern(rehearsal: string): string {
  return `^${prefix}[0-9]{10}_${rehearsal.slice(-8)}[0-9a-f]{4}$`
}

/** What makes the name of a throw-away database one that no other has: 12 hexadecimal digits. */
function digits(rehearsal: string | undefined): string {
  return rehearsal === undefined
    ? randomBytes(6).toString('hex')
    : `${rehearsal.slice(-8)}${randomBytes(2).toString('hex')}`
}

/** Seconds after which a throw-away database that nobody is connected to was left by a run that died. */
const deadAfter = 900

/** Milliseconds for dropping a throw-away database, also when the job is being cancelled. */
const dropTimeout = 30_000

/**
 * Makes a throw-away database with the source's encoding and locale on the target, hands its name to `work`, and drops it
 * whatever comes of that. Nobody but the account may connect to it. Those that earlier runs left are dropped first.
 *
 * @param targetName the database that is being verified
 * @returns what `work` returns
 * @throws Failure when the database cannot be created; Cancelled; what `work` throws
 */
export async function withScratchDatabase<T>(
  target: ConnectionParameters,
  targetName: string,
  properties: DatabaseProperties,
  context: Context,
  work: (name: string) => Promise<T>,
): Promise<T> {
  const place = { target, targetName }
  /** A lost connection may leave one behind whose creation was never confirmed. */
  const names: string[] = []
  const creator = `${sessionPrefix}scratch ${randomBytes(6).toString('hex')}`
  try {
    const create = async (client: pg.Client) => {
      await client.query('SELECT pg_catalog.set_config($1, $2, false)', [
        'application_name',
        creator,
      ])
      await dropAbandoned(client, context)
      const { rows } = await client.query<{ time: string }>(
        'SELECT pg_catalog.floor(pg_catalog.date_part($1, pg_catalog.now()))::pg_catalog.int8::pg_catalog.text AS time',
        ['epoch'],
      )
      const name = `${prefix}${rows[0]?.time}_${digits(context.rehearsal)}`
      names.push(name)
      await createDatabase(client, name, properties, { creation: false })
      await client.query(`REVOKE ALL ON DATABASE ${quoteIdentifier(name)} FROM PUBLIC`)
      return name
    }
    return await work(
      await retrying(context, () => inMaintenanceDatabase(place, context.signal, create)),
    )
  } finally {
    for (const name of names) {
      try {
        // a signal that has fired must not keep the database
        await doStill(context.signal, dropTimeout, (signal) =>
          retrying({ ...context, signal }, () =>
            inMaintenanceDatabase(place, signal, async (client) => {
              // the server may still be creating it for a session that was cut off
              await endSessions(client, creator, signal)
              await dropScratch(client, name, signal)
            }),
          ),
        )
      } catch (error) {
        context.warn(
          `The throw-away database ${name} could not be dropped (${messageOf(error)}): the next run drops it, or run on the target: DROP DATABASE ${quoteIdentifier(name)}`,
        )
      }
    }
  }
}

async function dropScratch(client: pg.Client, name: string, signal: AbortSignal): Promise<void> {
  const { major } = await serverVersion(client)
  const force = major >= 13 ? ' WITH (FORCE)' : ''
  for (let attempt = 0; ; attempt++) {
    try {
      await client.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)}${force}`)
      return
    } catch (error) {
      if (!mayPass(error) || attempt >= 5) throw error
      await pause(0.5, signal)
    }
  }
}

/** Drops throw-away databases that runs that died have left: by name, of this account, old, and with nobody in it. */
export async function dropAbandoned(client: pg.Client, context: Context): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT d.datname AS name FROM pg_catalog.pg_database d
      WHERE d.datname ~ $1 AND pg_catalog.pg_get_userbyid(d.datdba) = session_user
        AND pg_catalog.split_part(pg_catalog.substr(d.datname, $2), '_', 1)::pg_catalog.int8
              < pg_catalog.date_part('epoch', pg_catalog.now()) - $3
        AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity a WHERE a.datname = d.datname)`,
    [`^${prefix}[0-9]{10}_[0-9a-f]{12}$`, prefix.length + 1, deadAfter],
  )
  for (const { name } of rows) {
    try {
      await client.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)}`)
      context.log.info(`Dropped the throw-away database ${name}, which an earlier run left`)
    } catch (error) {
      context.log.warning(`The throw-away database ${name} stays: ${messageOf(error)}`)
    }
  }
}
