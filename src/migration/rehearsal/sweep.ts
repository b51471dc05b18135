import type pg from 'pg'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
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
import { NotRemoved, outside, removeRehearsal } from './remove.ts'

/** A run that has lost its lock may still have sessions. */
const defaultLooks = 60

/**
 * Removes what earlier rehearsals have left: those whose run is dead, and those that were kept, once they are older than that.
 * A role that cannot be removed is a warning. A database is a failure: it is a copy of data, and there is to be no other beside it.
 *
 * @param target a database that stays: see firstConnection()
 * @param age seconds
 * @param looks times that sessions are looked for which still work in one, half a second each
 * @throws Failure where the target cannot be asked, or a copy of data cannot be removed; Cancelled
 */
export async function sweepRehearsals(
  target: ConnectionParameters,
  age: number,
  context: Context,
  looks = defaultLooks,
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
      await removeLeft(mark, target, context, looks)
    } catch (error) {
      if (error instanceof Cancelled || context.signal.aborted) throw error
      if (!(error instanceof NotRemoved) || error.hasData) throw inTheWay(rehearsal, error)
      context.warn(`An earlier rehearsal could not be removed: ${printable(messageOf(error))}`)
    }
  }
}

function inTheWay(rehearsal: string, error: unknown): Failure {
  const why = error instanceof Failure ? error.why : messageOf(error)
  return new Failure(
    'No rehearsal begins while what an earlier one has left cannot be removed from the target',
    `${rehearsal}: ${printable(why)}`,
    'Put right what is in the way and run again, or remove it with the lines of docs/rehearsal.md: it is a copy of the source',
    { cause: error },
  )
}

/** Removes one that nobody works in, under its own sign, so that nobody else does the same meanwhile. */
async function removeLeft(
  { rehearsal, state, age }: FoundMark,
  target: ConnectionParameters,
  context: Context,
  looks: number,
): Promise<void> {
  const sign = rehearsalSign(lockNumber(rehearsal))
  const { client, close } = await openConnection(target, {
    ...{ role: 'target', patience: null, signal: context.signal },
  })
  try {
    for (let look = 1; ; look++) {
      if (await isPresent(client, sign)) return
      if (state === 'nothing' || !(await isWorkedIn(client, rehearsal))) break
      if (look === looks) {
        context.warn(
          `The rehearsal ${rehearsal} stays: no session has its lock, and sessions of a run still work in it. The first rehearsal after they have ended removes it`,
        )
        return
      }
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
