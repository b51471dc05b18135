import type pg from 'pg'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { qualifiedName, quoteIdentifier } from '../../../postgres/identifiers.ts'
import { isTable } from '../../../postgres/only-tables.ts'
import { counted, formatBytes } from '../../../text/numbers.ts'
import { printable } from '../../../text/text.ts'
import type { Answer, Check } from '../check.ts'
import { objectsOf, pastedName } from '../paste.ts'
import type { Question } from '../question.ts'

/** Values that are too large for a dump. */

interface Field {
  schema: string
  name: string
  column: string
  /** The longest value in bytes; null where the table was too large to be read for it. */
  bytes: number | null
}

/**
 * How large the largest values are, of tables that have much in their TOAST.
 *
 * @param toast bytes of TOAST from which on a table is looked at
 * @param heap bytes of the table itself up to which it is read: the values' lengths are in it
 * @param limit milliseconds for all of it; what is not read by then is not looked at
 */
export const largestFields = (toast: number, heap: number, limit = 30_000): Question<Field> => ({
  id: 'largest-fields',
  scope: 'database',
  alone: true,
  async read(client, { number }) {
    const { rows } = await client.query<Omit<Field, 'bytes'> & { readable: boolean }>(`
      SELECT n.nspname AS schema, c.relname AS name, a.attname AS column,
             c.relpages::pg_catalog.float8 * s.size <= ${heap} AS readable
        FROM (SELECT pg_catalog.current_setting('block_size')::int AS size) s, pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
       WHERE c.relkind = 'r' AND t.relpages::pg_catalog.float8 * s.size >= ${toast} AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
         AND a.attnum > 0 AND NOT a.attisdropped
         AND a.atttypid IN ('pg_catalog.bytea'::pg_catalog.regtype, 'pg_catalog.text'::pg_catalog.regtype, 'pg_catalog.varchar'::pg_catalog.regtype)
         AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
         ${number >= 90_500 ? 'AND NOT pg_catalog.row_security_active(c.oid)' : ''}
       ORDER BY 1, 2, 3 LIMIT 100`)
    const end = performance.now() + limit
    const found: Field[] = []
    for (const { readable, schema, name, column } of rows) {
      const left = Math.floor(end - performance.now())
      const bytes =
        readable && left > 0 ? await largest(client, { schema, name, column }, number, left) : null
      found.push({ schema, name, column, bytes })
    }
    return found
  },
})

/** The longest value of a column in bytes; null where reading it takes longer than so many milliseconds, or waits for a lock. */
async function largest(
  client: pg.Client,
  { schema, name, column }: Omit<Field, 'bytes'>,
  number: number,
  milliseconds: number,
): Promise<number | null> {
  const { rows: before } = await client.query<{ limit: string }>(
    `SELECT pg_catalog.current_setting('statement_timeout') AS limit`,
  )
  await client.query(`SET statement_timeout = ${milliseconds}`)
  try {
    const { rows } = await client.query<{ bytes: number | null }>(
      `SELECT pg_catalog.max(pg_catalog.octet_length(${quoteIdentifier(column)}))::pg_catalog.float8 AS bytes
         FROM ONLY ${qualifiedName(schema, name)} WHERE ${isTable(qualifiedName(schema, name), number)}`,
    )
    return rows[0]?.bytes ?? 0
  } catch (error) {
    if (!['57014', '55P03'].includes(sqlstateOf(error) ?? '')) throw error
    return null
  } finally {
    await client
      .query(`SELECT pg_catalog.set_config('statement_timeout', $1, false)`, [before[0]?.limit])
      // where the session is lost, that is what is thrown
      .catch(() => undefined)
  }
}

const fields = largestFields(2 ** 30, 2 ** 30)

/** Bytes of a value that may not go through COPY: bytea is written as two digits a byte, and no text is longer than 1 GB. */
const most = 500 * 2 ** 20

/** Whether values are too large for COPY (PostgreSQL, "bytea Hex Format"; "Limits", field size). */
export function judgeFields(rows: readonly (Field & { database: string })[]): Answer {
  const large = rows.filter(({ bytes }) => bytes !== null && bytes > most)
  const unread = rows.filter(({ bytes }) => bytes === null).length
  if (large.length === 0) {
    return {
      status: 'passed',
      message: `no value is known to be too large for a dump${unread > 0 ? `; ${counted(unread, 'column')} of large tables ${unread === 1 ? 'was' : 'were'} not looked at` : ''}`,
    }
  }
  return {
    status: 'failed',
    message: `${counted(large.length, 'column')} ${large.length === 1 ? 'holds' : 'hold'} values of more than ${formatBytes(most)}: pg_dump writes bytea as text of twice its length, and no text may be longer than 1 GB ("invalid memory alloc request size")`,
    objects: objectsOf(
      large,
      ({ column, bytes, ...row }) =>
        `${pastedName(row.schema, row.name)}: ${pastedName(column)}, ${formatBytes(bytes ?? 0)}`,
    ),
    remedy:
      'Move such values to large objects or to a store of files before the migration, or leave out the rows of the table and copy them by COPY … WITH (FORMAT binary)',
    paste: large
      .map(
        ({ schema, name }) =>
          `dump-options: --exclude-table-data=${printable(qualifiedName(schema, name))}`,
      )
      .join('\n'),
  }
}

export const largeFields: Check = {
  id: 'source-large-fields',
  severity: 'warning',
  why: 'a value whose text is longer than 1 GB ends a dump in its middle',
  needs: ['source'],
  questions: { source: [fields] },
  judge: ({ source }) => judgeFields(source.rows(fields)),
}
