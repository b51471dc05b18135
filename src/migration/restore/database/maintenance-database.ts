import type pg from 'pg'
import { Cancelled, Failure } from '../../../failure.ts'
import { closeSession, connect } from '../../../postgres/connection.ts'
import type { RestoreOptions } from '../options.ts'

/**
 * Runs `work` in a database of the target that is not the one to be restored, as the client programs do in what they call the
 * maintenance database: there it is created, looked at and dropped.
 *
 * When the signal fires the session is cut off at once, however long its statement would take, and the server ends that by
 * itself. It is not cancelled there: a DROP DATABASE that is interrupted may leave a database behind that lacks what was in
 * memory alone and does not look like it (before 15.4, 14.9, 13.12, 12.16 and 11.21; see their release notes).
 *
 * @throws Failure when no such database lets the account in; Cancelled; what `work` throws
 */
export async function inMaintenanceDatabase<T>(
  options: Pick<RestoreOptions, 'target' | 'targetName'>,
  signal: AbortSignal,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const candidates = [options.target.dbname, 'postgres', 'template1'].filter(
    (name, index, all) => name !== options.targetName && all.indexOf(name) === index,
  )
  let refused: unknown
  for (const database of candidates) {
    let client: pg.Client
    try {
      client = await connect(options.target, { database, role: 'target', signal })
    } catch (error) {
      const sqlstate = error instanceof Failure ? error.sqlstate : undefined
      if (sqlstate !== '3D000' && sqlstate !== '42501') throw error
      refused ??= error
      continue
    }
    const leave = () => void closeSession(client)
    signal.addEventListener('abort', leave, { once: true })
    try {
      signal.throwIfAborted()
      return await work(client)
    } catch (error) {
      if (signal.aborted) throw new Cancelled()
      throw error
    } finally {
      signal.removeEventListener('abort', leave)
      await closeSession(client)
    }
  }
  throw refused
}

/**
 * Whether the target has the database, by a try to connect to it: no other database need be open to the account. One that
 * may not be connected to exists as well.
 */
export async function databaseExists(
  options: Pick<RestoreOptions, 'target' | 'targetName'>,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const client = await connect(options.target, {
      database: options.targetName,
      role: 'target',
      signal,
    })
    await closeSession(client)
    return true
  } catch (error) {
    const sqlstate = error instanceof Failure ? error.sqlstate : undefined
    if (sqlstate === '3D000') return false
    // 55000: it is there, and lets nobody in
    if (sqlstate === '42501' || sqlstate === '55000') return true
    throw error
  }
}
