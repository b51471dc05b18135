import type pg from 'pg'
import { serverVersion } from '../../postgres/connection.ts'
import { sqlstateOf } from '../../postgres/errors.ts'

/** Some of a database's large objects, and the bytes that they hold. */
export interface LargeObjectSample {
  count: number
  bytes: number
}

/** Large objects that are looked at. */
const some = 64

/** Opened for reading (PostgreSQL, "Client Interfaces": INV_READ), and its end (SEEK_END). */
const [reading, toEnd] = [0x40000, 2]

/**
 * Asks some large objects how long they are: the server stores their pages compressed, and nothing else says what they hold.
 *
 * @param all how many there are
 * @param patience milliseconds
 * @returns undefined before version 9.3, and where the account may not open them
 */
export async function sampleLargeObjects(
  client: pg.Client,
  all: number,
  patience: number,
): Promise<LargeObjectSample | undefined> {
  const { number } = await serverVersion(client)
  if (number < 90_300) return undefined
  try {
    await client.query(`SET statement_timeout = ${patience}`)
    // they stay open until the statement, which is a transaction, has ended
    const { rows } = await client.query<{ count: string; bytes: string | null }>(
      `SELECT pg_catalog.count(*)::pg_catalog.text AS count,
              pg_catalog.sum(pg_catalog.lo_lseek64(pg_catalog.lo_open(o.oid, ${reading}), 0, ${toEnd}))::pg_catalog.text AS bytes
         FROM (SELECT m.oid FROM pg_catalog.pg_largeobject_metadata m
                WHERE m.oid::pg_catalog.int8 % $1 = 0 LIMIT ${some}) o`,
      [Math.max(1, Math.floor(all / some))],
    )
    const count = Number(rows[0]?.count ?? 0)
    return count > 0 ? { count, bytes: Number(rows[0]?.bytes ?? 0) } : undefined
  } catch (error) {
    if (sqlstateOf(error) === undefined) throw error
    return undefined
  }
}
