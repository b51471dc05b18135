import type pg from 'pg'
import { Failure, messageOf } from '../../../failure.ts'
import { serverVersion } from '../../../postgres/connection.ts'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import type { EntryResult } from '../../../report/model.ts'
import type { Context } from '../../context.ts'
import type { RestoreOptions } from '../options.ts'
import { allowMissing } from '../plan/allow-missing.ts'
import { inMaintenanceDatabase } from './maintenance-database.ts'
import type { DatabaseProperties } from './properties.ts'

/** The entries by which the verification after a restore expects a limit that is set only later; none without such a limit. */
export function expectedLimit({ connectionLimit }: DatabaseProperties): EntryResult[] {
  if (connectionLimit === -1) return []
  return [
    {
      entry: 'DATABASE CONNECTION LIMIT',
      reason: `CONNECTION LIMIT ${connectionLimit} is set last of all: it could lock the migration itself out`,
    },
  ]
}

/**
 * Sets the connection limit of a database, from another one, when nothing else is left to do: a limit of 0 is how many close
 * a database before they move it, and it binds the account as well.
 *
 * @throws Failure when the target refuses it; Cancelled
 */
export async function limitConnections(options: RestoreOptions, context: Context): Promise<void> {
  const { database, targetName } = options
  const { connectionLimit, owner } = database
  if (connectionLimit === -1) return
  const sql = `ALTER DATABASE ${quoteIdentifier(targetName)} CONNECTION LIMIT ${connectionLimit}`
  try {
    await inMaintenanceDatabase(options, context.signal, async (client) => {
      try {
        await client.query(sql)
      } catch (error) {
        if (sqlstateOf(error) !== '42501') throw error
        await asMember(client, owner, sql)
      }
    })
  } catch (error) {
    if (context.signal.aborted) throw error
    const entry = 'DATABASE CONNECTION LIMIT'
    if (sqlstateOf(error) === '42501' && allowMissing(options.allowMissing)(entry)) {
      const reason = `the target refuses: ${messageOf(error)}`
      const remedy = `Have its owner run: ${sql}`
      context.record.acceptedLosses([{ entry, database: database.name, reason, remedy }])
      context.log.warning(`${entry} is lost, as allow-missing allows: ${reason}`)
      return
    }
    throw new Failure(
      `The connection limit of the database "${targetName}" could not be set`,
      messageOf(error),
      `Everything else is done. Have its owner run: ${sql}, or accept the loss in allow-missing: DATABASE CONNECTION LIMIT`,
      { cause: error },
    )
  }
  context.log.info(`${targetName}: CONNECTION LIMIT ${connectionLimit}, as on the source`)
}

/** The database belongs to its owner by now: a membership for the time of one transaction. */
async function asMember(client: pg.Client, owner: string, sql: string): Promise<void> {
  const { major } = await serverVersion(client)
  const role = quoteIdentifier(owner)
  await client.query('BEGIN')
  try {
    await client.query(
      `GRANT ${role} TO CURRENT_USER${major >= 16 ? ' WITH INHERIT TRUE, SET TRUE' : ''}`,
    )
    await client.query(sql)
    await client.query(`REVOKE ${role} FROM CURRENT_USER`)
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  }
}
