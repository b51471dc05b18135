import { counted } from '../../../text/text.ts'
import type { Answer, Check } from '../check.ts'
import type { Known } from '../known.ts'
import { objectsOf, pastedName, statementsFor } from '../paste.ts'
import type { Question } from '../question.ts'

/** A table or sequence that pg_dump would refuse to read. */
interface Unreadable {
  schema: string
  name: string
  kind: string
  /** Row-level security would hide rows. */
  hidden: boolean
  /** USAGE on its schema is missing. */
  closed: boolean
  /** SELECT is missing. */
  denied: boolean
}

/** pg_dump locks every table first, and reads with row_security off (pg_dump, --enable-row-security). */
const unreadable: Question<Unreadable> = {
  id: 'unreadable-tables',
  scope: 'database',
  sql: ({ number }) => {
    // row-level security came with 9.5; who owns a table and is not forced, or may bypass it, sees every row
    const hidden =
      number >= 90_500 ? `c.relkind = 'r' AND pg_catalog.row_security_active(c.oid)` : 'false'
    return `
      SELECT * FROM (
        SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, ${hidden} AS hidden,
               NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS closed,
               NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') AS denied
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'S') AND c.oid >= 16384
           AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
           AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')) t
       WHERE t.hidden OR t.closed OR t.denied ORDER BY 1, 2`
  },
}

/** With dump-options, which may leave such tables out, what cannot be read is a warning. */
const severityOf = ({ inputs }: Known) => (inputs.dumpOptions.length > 0 ? 'warning' : 'blocker')

export const rowSecurity: Check = {
  id: 'source-row-security',
  severity: 'blocker',
  why: 'pg_dump stops at the first table of which row-level security hides rows from its account',
  needs: ['source'],
  questions: { source: [unreadable] },
  judge(known): Answer {
    const rows = known.source.rows(unreadable).filter(({ hidden }) => hidden)
    if (rows.length === 0)
      return {
        status: 'passed',
        message: 'row-level security hides no rows from the account',
      }
    const { user } = known.source.connection
    return {
      status: 'failed',
      severity: severityOf(known),
      message: `Row-level security would hide rows of ${counted(rows.length, 'table')} from "${user}"`,
      objects: objectsOf(rows, ({ schema, name }) => pastedName(schema, name)),
      remedy: `Give "${user}" BYPASSRLS as a superuser, dump as a superuser, or as the owner of these tables where they are without FORCE ROW LEVEL SECURITY`,
      paste: `ALTER ROLE ${pastedName(user)} BYPASSRLS;`,
    }
  },
}

export const privileges: Check = {
  id: 'source-privileges',
  severity: 'blocker',
  why: 'pg_dump locks every table before it reads the first, and stops at one that its account may not read',
  needs: ['source'],
  questions: { source: [unreadable] },
  judge(known): Answer {
    const rows = known.source.rows(unreadable).filter(({ closed, denied }) => closed || denied)
    if (rows.length === 0)
      return { status: 'passed', message: 'the account may read every table and sequence' }
    const { user } = known.source.connection
    const grantee = pastedName(user)
    const grants = (row: Unreadable) => [
      ...(row.closed ? [`GRANT USAGE ON SCHEMA ${pastedName(row.schema)} TO ${grantee};`] : []),
      ...(row.denied
        ? [
            `GRANT SELECT ON ${row.kind === 'S' ? 'SEQUENCE' : 'TABLE'} ${pastedName(row.schema, row.name)} TO ${grantee};`,
          ]
        : []),
    ]
    return {
      status: 'failed',
      severity: severityOf(known),
      message: `"${user}" may not read ${counted(rows.length, 'table or sequence', 'tables or sequences')}`,
      objects: objectsOf(rows, ({ schema, name }) => pastedName(schema, name)),
      remedy: `Give "${user}" USAGE on the schemas and SELECT on what is in them (pg_read_all_data gives both from version 14 on)`,
      paste: statementsFor(
        rows.flatMap((row) => grants(row).map((grant) => ({ database: row.database, grant }))),
        ({ grant }) => grant,
      ),
    }
  },
}
