import { Failure } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import { counted, firstTen, printable } from '../../text/text.ts'
import type { Context } from '../context.ts'
import type { Inputs } from '../inputs.ts'
import { check, type Source } from './preflight.ts'

interface Unreadable {
  schema: string
  name: string
  /** Row-level security would hide rows, or a privilege is missing. */
  hidden: boolean
}

/**
 * Looks for what pg_dump will refuse to read: tables whose rows row-level security would hide from the account, tables and
 * sequences that it has no SELECT on (pg_dump, "Notes" on --enable-row-security; it locks every table first). Known now it
 * costs nothing; pg_dump finds it when it gets there. Changes nothing.
 *
 * @throws Failure that names them; with dump-options, which may leave such tables out, they are a warning
 */
export async function checkReadable(
  source: Source,
  { dumpOptions }: Pick<Inputs, 'dumpOptions'>,
  context: Context,
): Promise<void> {
  const hidden: string[] = []
  const denied: string[] = []
  for (const { source: database } of source.databases) {
    for (const { schema, name, hidden: isHidden } of await unreadable(source, database, context)) {
      const list = isHidden ? hidden : denied
      list.push(printable(`${source.databases.length > 1 ? `${database}: ` : ''}${schema}.${name}`))
    }
  }
  const { user } = source.connection
  const severity = dumpOptions.length > 0 ? 'warning' : 'blocker'
  const found = [
    {
      id: 'source-row-security',
      objects: hidden,
      passed: 'row-level security hides no rows from the account',
      message: `Row-level security would hide rows of ${counted(hidden.length, 'table')} from "${user}"`,
      remedy: `Give "${user}" BYPASSRLS, dump as a superuser, or as the owner of these tables where they are without FORCE ROW LEVEL SECURITY`,
    },
    {
      id: 'source-privileges',
      objects: denied,
      passed: 'the account may read every table and sequence',
      message: `"${user}" may not read ${counted(denied.length, 'table or sequence', 'tables or sequences')}`,
      remedy: `Give "${user}" USAGE on the schemas and SELECT on what is in them (pg_read_all_data gives both from version 14 on)`,
    },
  ]
  const failed = found.filter(({ objects }) => objects.length > 0)
  for (const { id, objects, passed, message, remedy } of found) {
    const isPassed = objects.length === 0
    check(context, id, severity, isPassed, isPassed ? passed : message, remedy, objects)
    if (!isPassed && severity === 'warning')
      context.warn(
        `${message}: ${firstTen(objects)}. ${remedy}, unless dump-options leave them out`,
      )
  }
  if (failed.length === 0 || severity === 'warning') return
  throw new Failure(
    'pg_dump cannot read everything on the source; nothing was dumped',
    failed.map(({ message, objects }) => `${message}: ${firstTen(objects)}`).join('; '),
    failed.map(({ remedy }) => remedy).join('; '),
    { sqlstate: '42501' },
  )
}

async function unreadable(
  { connection, version }: Source,
  database: string,
  context: Context,
): Promise<Unreadable[]> {
  // row-level security came with 9.5; who owns a table and is not forced, or may bypass it, sees every row
  const hidden =
    version.number >= 90_500 ? `c.relkind = 'r' AND pg_catalog.row_security_active(c.oid)` : 'false'
  const options = { role: 'source', readOnly: true, database, signal: context.signal } as const
  return await withConnection(connection, options, async (client) => {
    const { rows } = await client.query<Unreadable>(`
      SELECT * FROM (
        SELECT n.nspname AS schema, c.relname AS name, ${hidden} AS hidden,
               NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
               OR NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') AS denied
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'S') AND c.oid >= 16384
           AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
           AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')) t
       WHERE t.hidden OR t.denied ORDER BY 1, 2`)
    return rows
  })
}
