import type pg from 'pg'
import { messageOf } from '../../failure.ts'
import { qualifiedName } from '../../postgres/identifiers.ts'
import type { Context } from '../context.ts'
import { fateOf, MomentGone, TableReplaced } from '../verify/read-session.ts'
import type { ExportedSnapshot } from '../verify/snapshot.ts'
import type { StoredTable } from './parts.ts'

/**
 * Milliseconds to wait for whoever has a table for himself. A single pg_dump waits longer, and says for whom; one of several waits no
 * longer, since while the tables are held it waits for somebody who waits for them.
 */
export const lockWait = 10_000

interface Listed {
  oid: string
  schema: string
  name: string
  /** It has rows of its own. */
  stores: boolean
}

/**
 * Locks every table of a database as pg_dump does, until the snapshot's transaction ends: the parts of a dump are one pg_dump
 * after the other, and a TRUNCATE or a rewriting ALTER TABLE between two of them would leave the later one without rows (PostgreSQL,
 * "Caveats" of concurrency control). What is locked can be measured without waiting.
 *
 * @param wait milliseconds for somebody else's lock
 * @returns the tables with rows of their own; null where they cannot be had now, which is logged, and nothing is locked then
 * @throws TableReplaced where one was emptied or rewritten since the moment: the dump would have no row of it, and its fingerprint neither;
 *   the error of a session that was lost
 */
export async function holdTables(
  { client, server }: Pick<ExportedSnapshot, 'client' | 'server'>,
  { log }: Pick<Context, 'log'>,
  wait = lockWait,
): Promise<StoredTable[] | null> {
  const { rows } = await client.query<Listed>(listedQuery(server))
  await client.query('SAVEPOINT tables')
  try {
    const setting = server >= 90_300 ? 'lock_timeout' : 'statement_timeout'
    await client.query(`SET LOCAL ${setting} = ${wait}`)
    const names = rows.map(({ schema, name }) => `ONLY ${qualifiedName(schema, name)}`)
    if (names.length > 0) await client.query(`LOCK TABLE ${names.join(', ')} IN ACCESS SHARE MODE`)
    await client.query(`SET LOCAL ${setting} = 0`)
    const stored = await client.query<StoredTable & { fate: string | null }>(storedQuery(server), [
      rows.filter(({ stores }) => stores).map(({ oid }) => oid),
    ])
    return stored.rows.map(({ fate, ...table }) => {
      if (fate !== null) throw new TableReplaced(`${table.schema}.${table.name}`, 'source')
      return { ...table, bytes: Number(table.bytes) }
    })
  } catch (error) {
    if (error instanceof TableReplaced) throw error
    // where the session is gone, this fails as well
    await releaseTables(client).catch(() => {
      throw error
    })
    log.info(`The tables cannot be held, so they are dumped into one archive: ${messageOf(error)}`)
    return null
  }
}

/** Gives the tables up again: one pg_dump locks them by itself. */
export async function releaseTables(client: pg.Client): Promise<void> {
  await client.query('ROLLBACK TO SAVEPOINT tables')
}

/**
 * Whether the session of the snapshot has lived until now, and so held its tables.
 *
 * @throws MomentGone where it has not: then rows may be missing
 */
export async function stillHeld(client: pg.Client): Promise<void> {
  try {
    await client.query('SELECT 1')
  } catch (error) {
    throw new MomentGone(
      'The moment that is being dumped is gone',
      messageOf(error),
      'The session that held it was ended: keep poolers, restarts and idle timeouts away from it, and run again',
      { cause: error },
    )
  }
}

/** Tables that pg_dump locks, as far as the account may. */
function listedQuery(server: number): string {
  const kinds = server >= 100_000 ? `'r', 'p'` : `'r'`
  return `
    SELECT c.oid::pg_catalog.text AS oid, n.nspname AS schema, c.relname AS name, c.relkind = 'r' AS stores
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN (${kinds}) AND c.relpersistence <> 't'
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
     ORDER BY c.oid`
}

/** What the parts are planned by. A name travels to pg_dump as UTF-8, and from there in the encoding of the database. */
function storedQuery(server: number): string {
  const hashed =
    server >= 110_000
      ? `EXISTS (
          WITH RECURSIVE above (oid) AS (
            SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid
            UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN above a ON i.inhrelid = a.oid)
          SELECT 1 FROM above a JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.oid WHERE p.partstrat = 'h')`
      : 'false'
  return `
    SELECT n.nspname AS schema, c.relname AS name, pg_catalog.pg_table_size(c.oid)::pg_catalog.text AS bytes,
           ARRAY(SELECT m.amname::pg_catalog.text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
                   JOIN pg_catalog.pg_am m ON m.oid = x.relam WHERE i.indrelid = c.oid) AS methods,
           CASE WHEN c.reltuples > 0 AND c.relpages > 0
                THEN c.reltuples::pg_catalog.float8 * pg_catalog.pg_relation_size(c.oid) / c.relpages
                     / pg_catalog.current_setting('block_size')::pg_catalog.int4 END AS rows,
           ${fateOf('c.oid', `(pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname))::pg_catalog.regclass`, 'c.relfilenode')} AS fate,
           (pg_catalog.current_setting('server_encoding') = 'UTF8' OR (n.nspname || c.relname) ~ '^[ -~]*$')
             AND NOT ${hashed}
             AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())
             AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
               WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e') AS "mayStandAlone"
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = ANY ($1::pg_catalog.oid[])`
}
