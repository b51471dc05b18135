import type pg from 'pg'
import * as v from 'valibot'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { qualifiedName } from '../../../postgres/identifiers.ts'
import { digits, fields, flag, text } from '../../kept/schema.ts'
import { inTransaction, isUnreadable, type Place, reasonOf, withSession } from '../read-session.ts'

/** What a sequence hands out next. Numbers as text: they may exceed what JSON's numbers hold exactly. */
export const sequenceFields = {
  schema: text,
  name: text,
  last: digits,
  called: flag,
  /** Why it could not be read: the rest then says nothing. */
  unreadable: v.exactOptional(text),
}
const sequenceState = fields(sequenceFields)
export type SequenceState = v.InferOutput<typeof sequenceState>

type Sequence = Pick<SequenceState, 'schema' | 'name'> & { owner: string }

/** Sequences read in one statement: each is a table of its own, and a far server costs a round trip each. */
const batch = 200

/**
 * Reads the state of every sequence of the database, those of extensions left out. Not transactional: a snapshot does
 * not hold sequences still (PostgreSQL, "Sequence Manipulation Functions").
 *
 * @returns with a reason in it, a sequence that the account may read neither itself nor as its owner
 * @throws Failure when the server cannot be reached; Cancelled
 */
export async function readSequences(place: Place, signal: AbortSignal): Promise<SequenceState[]> {
  return withSession(place, signal, async (client) => {
    const { rows } = await client.query<Sequence>(`
      SELECT n.nspname AS schema, c.relname AS name, pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text AS owner
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind = 'S' AND c.oid >= 16384
         AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
         AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                          WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
       ORDER BY n.nspname, c.relname`)
    const states: SequenceState[] = []
    for (let at = 0; at < rows.length; at += batch) {
      states.push(...(await readBatch(client, place, rows.slice(at, at + batch))))
    }
    return states
  })
}

async function readBatch(
  client: pg.Client,
  place: Place,
  sequences: Sequence[],
): Promise<SequenceState[]> {
  try {
    return await readStates(client, sequences)
  } catch (error) {
    if (sqlstateOf(error) === undefined) throw error
  }
  const states: SequenceState[] = []
  for (const sequence of sequences) {
    const { schema, name, owner } = sequence
    const what = `The sequence ${schema}.${name}`
    const grant = `USAGE on the schema "${schema}" and SELECT on the sequence`
    const object = { what, grant, owner }
    const read = () => readStates(client, [sequence])
    try {
      states.push(...(await inTransaction(client, { place, snapshot: null }, object, read)))
    } catch (error) {
      if (!isUnreadable(error)) throw error
      states.push({ schema, name, last: '0', called: false, unreadable: reasonOf(error) })
    }
  }
  return states
}

async function readStates(client: pg.Client, sequences: Sequence[]): Promise<SequenceState[]> {
  const parts = sequences.map(
    ({ schema, name }, index) =>
      `SELECT ${index} AS i, last_value::pg_catalog.text AS last, is_called AS called FROM ${qualifiedName(schema, name)}`,
  )
  const { rows } = await client.query<{ i: number; last: string; called: boolean }>(
    parts.join(' UNION ALL '),
  )
  if (rows.length !== sequences.length)
    throw new Error('the server left out the state of a sequence')
  return rows.map(({ i, last, called }) => {
    const { schema = '', name = '' } = sequences[i] ?? {}
    return { schema, name, last, called }
  })
}
