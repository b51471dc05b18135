import { Failure, messageOf } from '../../failure.ts'
import { serverVersion, withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { counted, firstTen } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import { check } from '../checks/note.ts'
import { selectDatabases } from '../checks/preflight.ts'
import type { Context } from '../context.ts'
import type { Inputs } from '../inputs.ts'
import { sinceCutover } from './cutover.ts'
import { frozenDatabases, type LeftFrozen, thawOne } from './frozen-source.ts'
import { readFreezeMark } from './mark.ts'

/** The frozen databases among those that `databases` names. Changes nothing. */
export async function findFrozen(
  connection: ConnectionParameters,
  wanted: Inputs['databases'],
  context: Context,
): Promise<LeftFrozen[]> {
  const options = { role: 'source', readOnly: true, signal: context.signal } as const
  const databases = await withConnection(connection, options, async (client) => {
    const version = await serverVersion(client)
    context.record.source({ version: version.version, major: version.major })
    const { rows } = await client.query<{ name: string; connectable: boolean }>(`
      SELECT datname AS name, datallowconn AND datconnlimit <> -2 AS connectable
        FROM pg_catalog.pg_database WHERE datname NOT IN ('template0', 'template1') ORDER BY 1`)
    const { chosen, failure } = selectDatabases(wanted, connection.dbname, rows)
    if (failure) throw failure
    return chosen
  })
  const named = databases.map((database) => ({ ...database, bytes: 0 }))
  return await frozenDatabases({ connection, databases: named }, context)
}

/**
 * Says what was written to the target since the cutover, and stops where that would be lost by going back.
 *
 * @throws Failure where it was written to, or nobody can tell, and `confirm-unfreeze` is not true
 */
export async function checkTarget(
  frozen: readonly LeftFrozen[],
  target: ConnectionParameters | undefined,
  confirmed: boolean,
  context: Context,
): Promise<void> {
  const cutOver = frozen.filter(({ frozen: { dump } }) => dump !== null)
  if (cutOver.length === 0) return
  if (!target) {
    context.warn(
      'What was written to the target since the cutover was not looked at, because target is not given: it is not on the source',
    )
    return
  }
  const found = []
  for (const one of cutOver) {
    found.push(await sinceCutover(one.frozen.target, one.database, target, context))
  }
  for (const { database, written, what } of found) {
    const severity = confirmed ? 'warning' : 'blocker'
    check(context, 'target-written', severity, written === false, what, remedy, [database])
  }
  const lost = found.filter(({ written }) => written !== false)
  if (lost.length === 0) return
  const why = firstTen(lost.map(({ what }) => what))
  if (!confirmed) throw new Failure('The target may hold what the source does not', why, remedy)
  for (const { what } of lost) context.warn(`${what}; confirm-unfreeze accepts it`)
}

const remedy =
  'Copy what is needed from the target first; then unfreeze with confirm-unfreeze: true. None of it comes to the source by itself'

/**
 * Gives databases their writes back.
 *
 * @throws Failure that names those that are still frozen, when all were tried; Cancelled
 */
export async function unfreeze(
  connection: ConnectionParameters,
  frozen: readonly LeftFrozen[],
  context: Context,
): Promise<void> {
  const left: string[] = []
  for (const { database, frozen: mark } of frozen) {
    try {
      if (!(await thawOne({ connection }, database, context, context.signal, mark))) {
        left.push(`"${printable(database)}": another run has taken it over meanwhile`)
        continue
      }
      const dump = mark.dump === null ? '' : `; the dump ${mark.dump} is no longer the cutover`
      context.log.info(`"${printable(database)}" takes writes again, as before ${mark.at}${dump}`)
    } catch (error) {
      if (context.signal.aborted) throw error
      left.push(`"${printable(database)}": ${messageOf(error)}`)
    }
  }
  if (left.length === 0) return
  throw new Failure(
    left.length === 1
      ? 'A database is still frozen'
      : `${counted(left.length, 'database')} are still frozen`,
    left.join(' | '),
    'Unfreeze, once no other run is at work, with the account that froze it, or a superuser: what a freeze sets takes one of them to undo',
  )
}

/**
 * Says of a dump that is about to be restored whether the source is still frozen for it, where the source is given.
 *
 * @param names databases of the dump, by their names on the source
 */
export async function tellCutover(
  connection: ConnectionParameters | undefined,
  names: readonly string[],
  dump: string,
  context: Context,
): Promise<void> {
  if (!connection) return
  for (const database of names) {
    const name = printable(database)
    const options = { database, role: 'source', readOnly: true, signal: context.signal } as const
    let message: string
    let isCutover = false
    try {
      const mark = await withConnection(connection, options, readFreezeMark)
      const revoked = mark?.state?.revoked.find((one) => one.dump === dump)
      isCutover = mark?.state?.frozen?.dump === dump
      message = isCutover
        ? `"${name}" is frozen since this dump was made`
        : revoked
          ? `This dump is no longer the cutover: "${name}" was given its writes back at ${revoked.at}, and what was written there since is not in the dump`
          : `"${name}" is not frozen for this dump: what was written there since is not in it`
    } catch (error) {
      if (context.signal.aborted) throw error
      message = `Whether "${name}" is still frozen for this dump could not be seen: ${messageOf(error)}`
    }
    const remedy = 'Make a new dump of the frozen source, unless this one is wanted as it is'
    check(context, 'dump-cutover', 'warning', isCutover, message, remedy, [database])
    if (!isCutover) context.warn(message)
  }
}
