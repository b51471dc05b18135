import type pg from 'pg'
import { Failure, messageOf } from '../../../failure.ts'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { keepQuiet } from '../../../postgres/safe-session.ts'
import { printable } from '../../../text/text.ts'

/**
 * Drops the subscriptions of the database that the session is connected to: the server drops no database with one. The slot on the
 * publisher is not ours to drop, and the publisher may be out of reach.
 *
 * @throws Failure where the target refuses, as it does to all but the owner
 */
export async function dropSubscriptions(client: pg.Client): Promise<void> {
  await keepQuiet(client)
  const { rows } = await client.query<{ name: string; owner: string; of: string }>(`
    SELECT subname AS name, pg_catalog.pg_get_userbyid(subowner) AS owner, pg_catalog.current_database() AS of FROM pg_catalog.pg_subscription
     WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`)
  for (const { name, owner, of } of rows) {
    const subscription = quoteIdentifier(name)
    const statements = [
      `ALTER SUBSCRIPTION ${subscription} DISABLE`,
      `ALTER SUBSCRIPTION ${subscription} SET (slot_name = NONE)`,
      `DROP SUBSCRIPTION ${subscription}`,
    ]
    try {
      for (const sql of statements) await client.query(sql)
    } catch (error) {
      // the session is lost: whoever wants it tries again
      if (sqlstateOf(error) === undefined) throw error
      const lines = statements.map((sql) => `${printable(sql)};`)
      throw new Failure(
        `The database "${of}" cannot be dropped as long as it has the subscription "${name}"`,
        `${messageOf(error)}; it belongs to ${printable(owner)}`,
        `Have its owner drop it there, without its slot: ${lines.join(' ')}`,
        { cause: error, sqlstate: sqlstateOf(error), paste: lines.join('\n') },
      )
    }
  }
}
