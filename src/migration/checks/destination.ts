import { Failure } from '../../failure.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import type { DatabaseName } from '../database-names.ts'

/** Where every server lets accounts connect to create a database. */
const maintenance = 'postgres'

/** How the target is connected to first. */
export interface FirstConnection {
  connection: ConnectionParameters
  /** The database that the input names exists. */
  named: boolean
}

/**
 * Looks where to connect first: in the database that the input `target` names; in `postgres` where that one does not exist, since
 * it may be the one to be created.
 *
 * @param look connects, and throws what connect() does
 * @throws as `look` does
 */
export async function firstConnection<T extends object>(
  target: ConnectionParameters,
  look: (connection: ConnectionParameters) => Promise<T>,
): Promise<T & FirstConnection> {
  try {
    return { ...(await look(target)), connection: target, named: true }
  } catch (error) {
    if (!(error instanceof Failure) || error.sqlstate !== '3D000' || target.dbname === maintenance)
      throw error
    const connection = { ...target, dbname: maintenance }
    return { ...(await look(connection)), connection, named: false }
  }
}

/**
 * Refuses a target that names a database where nothing would go: whoever wrote it may have meant that its rows go there, and
 * whoever reads it cannot tell.
 *
 * @param named the database that the input `target` names, where it exists
 * @param databases what is migrated or compared, with its names on both sides
 * @throws Failure with both readings and how to write each
 */
export function checkDestination(
  named: string | undefined,
  databases: readonly DatabaseName[],
): void {
  const [only, ...others] = databases
  if (!only || others.length > 0 || named === undefined) return
  if (named === maintenance || named === only.target) return
  throw new Failure(
    `The target names the database "${named}", and the data would go to "${only.target}"`,
    `One database is migrated, "${only.source}", and only databases says under which name; the database in target is where the account connects first`,
    `If the data are to go to "${named}", set databases: ${written(only.source)}=${written(named)}. If they are to go to "${only.target}", let target end in /${maintenance}${only.source === only.target ? '' : `, and keep databases: ${written(only.source)}=${written(only.target)}`}`,
  )
}

/** A name as the input `databases` wants it. */
function written(name: string): string {
  return /[",=\n]|^\s|\s$|^all$/.test(name) ? `"${name.replaceAll('"', '""')}"` : name
}
