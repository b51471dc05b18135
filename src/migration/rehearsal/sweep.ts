import type pg from 'pg'
import { Cancelled, messageOf } from '../../failure.ts'
import { openConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { formatDuration } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import type { Context } from '../context.ts'
import { inMaintenanceDatabase } from '../restore/database/maintenance-database.ts'
import { pause, retrying } from '../retry.ts'
import { dropMark, type FoundMark, readMarks } from './mark.ts'
import { lockNumber, rehearsalDatabase } from './names.ts'
import { isPresent, rehearsalSign, takeSign } from './presence.ts'
import { outside, removeRehearsal } from './remove.ts'

/** Times that sessions are looked for, half a second each, which a run that has lost its lock may still have. */
const looks = 60

/**
 * Removes what earlier rehearsals have left: those whose run is dead, and those that were kept, once they are older than that.
 * What cannot be removed is a warning: it does not keep this rehearsal from its work.
 *
 * @param target a database that stays: see firstConnection()
 * @param age seconds
 * @throws Failure where the target cannot be asked; Cancelled
 */
export async function sweepRehearsals(
  target: ConnectionParameters,
  age: number,
  context: Context,
): Promise<void> {
  const found = await retrying(context, () =>
    inMaintenanceDatabase(outside(target), context.signal, readMarks),
  )
  for (const mark of found) {
    const { rehearsal, state } = mark
    if (state === 'unknown') {
      context.warn(
        `The database ${rehearsalDatabase(rehearsal, 0)} is the mark of a rehearsal and says something that is not read as one: it stays, and so does what that rehearsal has left. docs/rehearsal.md has the lines that remove it`,
      )
      continue
    }
    if (state !== 'nothing' && state.kept && mark.age < age) continue
    try {
      await removeLeft(mark, target, context)
    } catch (error) {
      if (error instanceof Cancelled || context.signal.aborted) throw error
      context.warn(`An earlier rehearsal could not be removed: ${printable(messageOf(error))}`)
    }
  }
}

/** Removes one that nobody works in, under its own sign, so that nobody else does the same meanwhile. */
async function removeLeft(
  { rehearsal, state, age }: FoundMark,
  target: ConnectionParameters,
  context: Context,
): Promise<void> {
  const sign = rehearsalSign(lockNumber(rehearsal))
  const { client, close } = await openConnection(target, {
    ...{ role: 'target', patience: null, signal: context.signal },
  })
  try {
    for (let look = 0; look < looks; look++) {
      if (await isPresent(client, sign)) return
      if (state === 'nothing' || !(await isWorkedIn(client, rehearsal))) break
      await pause(0.5, context.signal)
    }
    if (!(await takeSign(client, sign))) return
    if (state === 'nothing' || state === 'unknown')
      await inMaintenanceDatabase(outside(target), context.signal, (other) =>
        dropMark(other, rehearsal),
      )
    else await removeRehearsal(state, target, context)
    const why = typeof state === 'object' && state.kept ? 'kept for a look' : 'left by a dead run'
    context.log.info(
      `Removed the rehearsal ${rehearsal}, which was ${why}${age > 0 ? ` ${formatDuration(age)} ago` : ''}`,
    )
  } finally {
    await close()
  }
}

/** Whether a session of ours is in one of its databases: its run may have lost its lock a moment ago and not be dead. */
async function isWorkedIn(client: pg.Client, rehearsal: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT 1 FROM pg_catalog.pg_stat_activity
      WHERE pg_catalog.left(datname::pg_catalog.text, pg_catalog.length($1)) OPERATOR(pg_catalog.=) $1
        AND application_name OPERATOR(pg_catalog.~~) 'migrate-to-polardb%'`,
    [`${rehearsal}_`],
  )
  return rowCount !== 0
}
