import type pg from 'pg'
import { sqlstateOf } from './errors.ts'

/**
 * Works in a transaction that is rolled back, whatever comes of it: what is tried there leaves nothing.
 *
 * @param client a session that is in no transaction
 * @throws what `work` throws
 */
export async function rolledBack<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN')
  try {
    return await work()
  } finally {
    // where the connection is lost the transaction is, too
    await client.query('ROLLBACK').catch(() => {})
  }
}

/**
 * Whether the server takes what `work` sends, tried in a transaction that is rolled back.
 *
 * @throws what is no answer of the server: a connection that is lost, say
 */
export async function isTaken(client: pg.Client, work: () => Promise<unknown>): Promise<boolean> {
  try {
    await rolledBack(client, work)
    return true
  } catch (error) {
    if (sqlstateOf(error) === undefined) throw error
    return false
  }
}
