import type pg from 'pg'
import { Failure, messageOf } from '../../failure.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { mayPass } from '../../postgres/errors.ts'
import { printable } from '../../text/text.ts'
import type { Context } from '../context.ts'
import { inPool } from '../pool.ts'
import { dropOwnDatabase } from '../restore/database/drop.ts'
import { inMaintenanceDatabase } from '../restore/database/maintenance-database.ts'
import { scratchPattern } from '../restore/database/scratch.ts'
import { retrying } from '../retry.ts'
import { removeStandIns } from '../roles/remove-stand-ins.ts'
import { dropMark, type RehearsalState } from './mark.ts'
import { rehearsalDatabase } from './names.ts'

/** Databases that are dropped at a time. */
const workers = 4

/** Where work is done that belongs to no database of a rehearsal. */
export const outside = (target: ConnectionParameters) => ({ target, targetName: '' })

/**
 * Removes everything that a rehearsal has made: its databases, then its roles, the mark last, which stays while anything else
 * does. What is not proven to be the rehearsal's stays: a database is known by its OID, or, where the run ended before it was
 * noted, by its name and by belonging to the account still.
 *
 * @param context its signal bounds it
 * @throws NotRemoved naming what is left; Failure where the target cannot be asked; Cancelled
 */
export async function removeRehearsal(
  state: RehearsalState,
  target: ConnectionParameters,
  context: Context,
): Promise<void> {
  const { rehearsal } = state
  const left: string[] = []
  const names = await retrying(context, () =>
    inMaintenanceDatabase(outside(target), context.signal, (client) => databasesOf(client, state)),
  )
  await inPool(names, { workers, signal: context.signal }, async (targetName) => {
    try {
      await retrying(context, () => dropOwnDatabase({ target, targetName }, context), {
        // who does not leave a database within the attempts of the drop itself stays for longer
        again: (error) =>
          mayPass(error) && !(error instanceof Failure && error.sqlstate === '55006'),
      })
      context.log.info(`Dropped the database ${targetName}`)
    } catch (error) {
      if (context.signal.aborted) throw error
      left.push(`the database ${targetName} (${messageOf(error)})`)
    }
  })
  const hasData = left.length > 0
  // a role that owns something is not dropped
  if (!hasData)
    for (const { name, reason } of await retrying(context, () =>
      inMaintenanceDatabase(outside(target), context.signal, (client) =>
        removeStandIns(client, rehearsal),
      ),
    ))
      left.push(`the role ${name} (${reason})`)
  if (left.length === 0)
    await retrying(context, () =>
      inMaintenanceDatabase(outside(target), context.signal, (client) =>
        dropMark(client, rehearsal),
      ),
    )
  if (left.length > 0) throw new NotRemoved(rehearsal, left, hasData)
}

/** A rehearsal that is still there, in part. */
export class NotRemoved extends Failure {
  /** A database of it may be there, and so a copy of data. */
  readonly hasData: boolean

  constructor(rehearsal: string, left: readonly string[], hasData: boolean) {
    super(
      `The rehearsal ${rehearsal} could not be removed from the target`,
      `Still there: ${printable(left.join('; '))}`,
      'The next rehearsal tries it again before it begins; docs/rehearsal.md has the lines that do it by hand',
    )
    this.hasData = hasData
  }
}

/** The databases of a rehearsal that are there, those included that its comparison has built something in. */
async function databasesOf(
  client: pg.Client,
  { rehearsal, databases }: RehearsalState,
): Promise<string[]> {
  const oids = new Map(
    databases.map(({ number, oid }) => [rehearsalDatabase(rehearsal, number), oid]),
  )
  const { rows } = await client.query<{ name: string; oid: string; isOwn: boolean }>(
    `SELECT datname AS name, oid::pg_catalog.text AS oid,
            pg_catalog.pg_get_userbyid(datdba) OPERATOR(pg_catalog.=) session_user AS "isOwn"
       FROM pg_catalog.pg_database
      WHERE datname::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])
         OR datname::pg_catalog.text OPERATOR(pg_catalog.~) $2
      ORDER BY datname`,
    [[...oids.keys()], scratchPattern(rehearsal)],
  )
  return rows.flatMap(({ name, oid, isOwn }) => {
    const known = oids.get(name) ?? null
    return known === oid || (known === null && isOwn) ? [name] : []
  })
}
