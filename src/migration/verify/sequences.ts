import type pg from 'pg'
import { qualifiedName } from '../../postgres/identifiers.ts'

/** What a sequence hands out next. Numbers as text: they may exceed what JSON's numbers hold exactly. */
export interface SequenceState {
  schema: string
  name: string
  last: string
  called: boolean
}

/** Sequences read in one statement: each is a table of its own, and a far server costs a round trip each. */
const batch = 200

/**
 * Reads the state of every sequence of the database, those of extensions left out. Not transactional: a snapshot does
 * not hold sequences still (PostgreSQL, "Sequence Manipulation Functions").
 *
 * @param client a session with an empty search_path, outside a transaction: each statement locks what it reads
 * @throws the server's error where the account may not read a sequence
 */
export async function readSequences(client: pg.Client): Promise<SequenceState[]> {
  const { rows } = await client.query<{ schema: string; name: string }>(`
    SELECT n.nspname AS schema, c.relname AS name
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND c.oid >= 16384
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
     ORDER BY n.nspname, c.relname`)
  const states: SequenceState[] = []
  for (let at = 0; at < rows.length; at += batch) {
    const some = rows.slice(at, at + batch)
    const parts = some.map(
      ({ schema, name }, index) =>
        `SELECT ${index} AS i, last_value::text AS last, is_called AS called FROM ${qualifiedName(schema, name)}`,
    )
    const values = await client.query<{ i: number; last: string; called: boolean }>(
      parts.join(' UNION ALL '),
    )
    for (const { i, last, called } of values.rows) {
      const sequence = some[i]
      if (sequence) states.push({ ...sequence, last, called })
    }
  }
  if (states.length !== rows.length) {
    throw new Error(`${rows.length} sequences, but ${states.length} values`)
  }
  return states
}
