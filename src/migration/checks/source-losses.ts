import type pg from 'pg'
import { serverVersion, withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { qualifiedName, quoteIdentifier } from '../../postgres/identifiers.ts'
import { isTable } from '../../postgres/only-tables.ts'
import { together } from '../../postgres/together.ts'
import type { Loss } from '../../report/model.ts'
import { printable } from '../../text/text.ts'
import type { Context } from '../context.ts'
import { jobsLoss } from '../restore/plan/asleep.ts'
import { lookingAgain } from '../retry.ts'

/** A table that belongs to an extension, as the catalog tells of it. */
interface MemberTable {
  oid: string
  schema: string
  name: string
  extension: string
  extension_oid: string
  /** The extension's script made it: the same command made its columns and its membership. */
  scripted: boolean
  bytes: string
}

/**
 * Finds the rows of a database that no dump carries: those of tables that belong to an extension and are not marked for
 * dumping (PostgreSQL, "Extension Configuration Tables"). What the extension's own script wrote is not among them: the
 * target's CREATE EXTENSION writes it again.
 *
 * @returns losses by what `allow-missing` calls them, `TABLE jobs.queue`
 */
export async function findMemberRows(
  connection: ConnectionParameters,
  database: string,
  context: Pick<Context, 'log' | 'pauses' | 'signal'>,
): Promise<Loss[]> {
  const options = { database, readOnly: true, role: 'source', signal: context.signal } as const
  const look = async (client: pg.Client) => {
    const { number } = await serverVersion(client)
    if (number < 90_100) return []
    const [jobs, tables] = await together(client, [
      () => hasJobs(client, number),
      () => memberTables(client),
    ])
    const losses: Loss[] = jobs ? [{ ...jobsLoss, database }] : []
    for (const table of tables) {
      if (!(await holdsRows(client, table, number))) continue
      const [full, extension] = [`${table.schema}.${table.name}`, table.extension].map(printable)
      losses.push({
        entry: `TABLE ${full}`,
        database,
        reason: `it belongs to the extension ${extension}, which does not mark it for dumping: no dump carries its rows`,
        remedy: table.scripted
          ? 'Copy the rows by hand after the migration, where they are needed'
          : `Take it out of the extension on the source: ALTER EXTENSION ${printable(quoteIdentifier(table.extension))} DROP TABLE ${printable(qualifiedName(table.schema, table.name))}`,
      })
    }
    return losses
  }
  return await lookingAgain(context, () => withConnection(connection, options, look))
}

/** Whether pg_cron has jobs in this database. What cannot be read may hold some. */
async function hasJobs(client: pg.Client, number: number): Promise<boolean> {
  const { rowCount } = await client.query(`
    SELECT 1 FROM pg_catalog.pg_extension e
      JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
       AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e'
      JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'r' AND c.relname = 'job'
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'cron'
     WHERE e.extname = 'pg_cron'`)
  if (rowCount === 0) return false
  try {
    const { rows } = await client.query<{ some: boolean }>(
      `SELECT EXISTS (SELECT 1 FROM ONLY cron.job WHERE ${isTable('cron.job', number)}) AS some`,
    )
    return rows[0]?.some ?? false
  } catch (error) {
    if (sqlstateOf(error) === undefined) throw error
    return true
  }
}

/** Tables of extensions whose rows a dump leaves out. */
async function memberTables(client: pg.Client): Promise<MemberTable[]> {
  const { rows } = await client.query<MemberTable>(`
    SELECT c.oid::pg_catalog.text AS oid, n.nspname AS schema, c.relname AS name, e.extname AS extension, e.oid::pg_catalog.text AS extension_oid,
           COALESCE(a.xmin = d.xmin AND a.cmin = d.cmin, false) AS scripted,
           pg_catalog.pg_relation_size(c.oid)::pg_catalog.text AS bytes
      FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
      JOIN pg_catalog.pg_class c ON c.oid = d.objid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      -- a system column's row, which nothing ever changes
      LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tableoid'
     WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid = 0 AND d.deptype = 'e'
       AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
       AND c.relkind = 'r' AND c.relpersistence <> 't' AND pg_catalog.pg_relation_size(c.oid) > 0
       AND NOT COALESCE(c.oid = ANY (e.extconfig), false)
     ORDER BY n.nspname, c.relname`)
  return rows
}

/** Whether a table holds rows that CREATE or ALTER EXTENSION did not write. One that cannot be read may hold some. */
async function holdsRows(client: pg.Client, table: MemberTable, number: number): Promise<boolean> {
  const name = qualifiedName(table.schema, table.name)
  const written = table.scripted
    ? `AND t.xmin::pg_catalog.text NOT IN (
         SELECT d.xmin::pg_catalog.text FROM pg_catalog.pg_depend d
          WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = ${table.extension_oid} AND d.deptype = 'e'
         UNION SELECT e.xmin::pg_catalog.text FROM pg_catalog.pg_extension e WHERE e.oid = ${table.extension_oid})`
    : ''
  try {
    const { rows } = await client.query<{ some: boolean }>(
      `SELECT EXISTS (SELECT 1 FROM ONLY ${name} AS t WHERE ${isTable(name, number)} ${written}) AS some`,
    )
    return rows[0]?.some ?? false
  } catch (error) {
    if (sqlstateOf(error) === undefined) throw error
    return true
  }
}

/** What somebody put into a database that new ones are made from, by name; extensions, and what they brought, aside. */
export async function ownObjects(client: pg.Client): Promise<string[]> {
  const notOfExtension = (catalog: string) => `x.oid >= 16384 AND NOT EXISTS (
    SELECT 1 FROM pg_catalog.pg_depend d
     WHERE d.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND d.objid = x.oid AND d.deptype = 'e')`
  const { rows } = await client.query<{ name: string }>(`
    SELECT n.nspname || '.' || x.relname AS name
      FROM pg_catalog.pg_class x JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace
     WHERE x.relkind IN ('r', 'v', 'm', 'S', 'f', 'p') AND n.nspname !~ '^pg_' AND ${notOfExtension('pg_class')}
     UNION ALL
    SELECT n.nspname || '.' || x.proname FROM pg_catalog.pg_proc x JOIN pg_catalog.pg_namespace n ON n.oid = x.pronamespace
     WHERE n.nspname !~ '^pg_' AND ${notOfExtension('pg_proc')}
     UNION ALL
    SELECT x.nspname FROM pg_catalog.pg_namespace x WHERE x.nspname !~ '^pg_' AND ${notOfExtension('pg_namespace')}
     ORDER BY 1 LIMIT 1000`)
  return rows.map(({ name }) => name)
}
