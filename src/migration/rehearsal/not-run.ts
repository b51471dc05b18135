import type pg from 'pg'
import { Failure, messageOf } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import { printable } from '../../text/text.ts'
import type { ReachedTarget, Source } from '../checks/preflight.ts'
import { readFreezeMark } from '../freeze/mark.ts'
import { databaseExists } from '../restore/database/maintenance-database.ts'
import { readMark } from '../restore/database/mark.ts'
import { retrying } from '../retry.ts'
import type { Run } from '../run.ts'
import { isPresent, migrationSign } from './presence.ts'

/**
 * Why there is nothing to rehearse now: a migration works on this target, or was interrupted there, or the source is frozen or has
 * moved. Nothing is changed.
 *
 * @param source with the names that its databases would have after a migration
 * @returns a sentence without its full stop; undefined where the rehearsal may begin
 * @throws Failure where a side cannot be asked; Cancelled
 */
export async function whyNotRun(
  source: Source,
  target: ReachedTarget,
  run: Run,
): Promise<string | undefined> {
  const { signal } = run
  const { connection } = target
  const there = { role: 'target', readOnly: true, signal } as const
  const isMigrating = await retrying(run, () =>
    withConnection(connection, there, (client) => isPresent(client, migrationSign)),
  )
  if (isMigrating) return 'a migration or a restore is under way on this target'
  for (const { source: database, target: targetName } of source.databases) {
    const here = { role: 'source', readOnly: true, signal, database } as const
    const frozen = await retrying(run, () =>
      withConnection(
        source.connection,
        here,
        async (client) => (await readFreezeMark(client))?.state,
      ),
    )
    const name = `"${printable(database)}"`
    if (frozen?.frozen) {
      const { at, target: arrived, dump } = frozen.frozen
      if (arrived)
        return `the source has moved: ${name} was frozen at ${at}, and arrived on a target`
      return dump === null
        ? `the source database ${name} is frozen since ${at} by a migration that is under way, or died; where it died, command: unfreeze gives it its writes back`
        : `the source database ${name} is frozen since ${at} for the dump ${dump}, which is still to be restored`
    }
    const place = { target: connection, targetName }
    if (!(await retrying(run, () => databaseExists(place, signal)))) continue
    if (await hasMark(place, run))
      return `a restore into the database "${printable(targetName)}" of this target is under way, or was interrupted and not gone on with`
  }
  return undefined
}

/** Whether a restore of this account is in a database, or was interrupted there. One that lets nobody look has none. */
async function hasMark(
  { target, targetName }: { target: ReachedTarget['connection']; targetName: string },
  run: Run,
): Promise<boolean> {
  const options = {
    database: targetName,
    role: 'target',
    readOnly: true,
    signal: run.signal,
  } as const
  const look = async (client: pg.Client) => {
    const mark = await readMark(client)
    return mark?.state != null && mark.state.complete !== true
  }
  try {
    return await retrying(run, () => withConnection(target, options, look))
  } catch (error) {
    if (run.signal.aborted || !(error instanceof Failure)) throw error
    run.log.debug(`whether a restore is in "${targetName}" is not known: ${messageOf(error)}`)
    return false
  }
}
