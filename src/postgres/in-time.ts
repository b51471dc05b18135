import type pg from 'pg'
import type { ConnectionParameters } from './connection-string.ts'

/**
 * What a server answers at once, unless it or something between stalls: then the session is cut off.
 *
 * @param limit.connectTimeout seconds
 */
export async function inTime<T>(
  client: pg.Client,
  { connectTimeout }: Pick<ConnectionParameters, 'connectTimeout'>,
  work: Promise<T>,
): Promise<T> {
  const { stream } = client.connection
  // the words of `pg` for a connection that did not come about in time
  const cut = () => void stream.destroy(new Error('timeout expired'))
  const timer = setTimeout(cut, connectTimeout * 1000)
  try {
    return await work
  } finally {
    clearTimeout(timer)
  }
}
