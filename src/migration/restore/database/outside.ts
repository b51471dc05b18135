import type pg from 'pg'
import { Failure } from '../../../failure.ts'
import { closeSession, connect } from '../../../postgres/connection.ts'
import type { RestoreOptions } from '../options.ts'

/**
 * Runs `work` in a database of the target that is not the one to be restored: there it is created, looked at and dropped.
 */
export async function elsewhere<T>(
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
    try {
      return await work(client)
    } finally {
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
