import { counted } from '../../../text/numbers.ts'
import { printable } from '../../../text/text.ts'
import type { Answer, Check } from '../check.ts'
import { objectsOf, pastedName, statementsFor } from '../paste.ts'
import type { Question } from '../question.ts'

/** Objects that come back from a dump otherwise than they are, which no statement of the dump shows. */

interface Column {
  schema: string
  table: string
  column: string
}

const columnOf = ({ schema, table, column }: Column) => pastedName(schema, table, column)

/**
 * Before version 18 a child table may take NULL in a column that is NOT NULL in its parent. CREATE TABLE … INHERITS, by which
 * it is restored, merges both (PostgreSQL, "CREATE TABLE", INHERITS).
 */
export const lostNulls: Question<Column> = {
  id: 'inherited-not-null',
  scope: 'database',
  sql: ({ number }) =>
    number >= 180_000
      ? undefined
      : `
    SELECT DISTINCT n.nspname AS schema, c.relname AS table, a.attname AS column
      FROM pg_catalog.pg_inherits i
      JOIN pg_catalog.pg_attribute p ON p.attrelid = i.inhparent AND p.attnum > 0 AND p.attnotnull AND NOT p.attisdropped
      JOIN pg_catalog.pg_attribute a ON a.attrelid = i.inhrelid AND a.attname = p.attname AND NOT a.attnotnull AND NOT a.attisdropped
      JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f')
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_'
     ORDER BY 1, 2, 3`,
}

export const inheritedNotNull: Check = {
  id: 'source-inherited-not-null',
  severity: 'blocker',
  why: 'a child table is restored NOT NULL wherever its parent is, and refuses rows in which the source has NULL',
  needs: ['source'],
  questions: { source: [lostNulls] },
  judge({ source, inputs }): Answer {
    const rows = source.rows(lostNulls)
    if (rows.length === 0)
      return { status: 'passed', message: 'child tables are NOT NULL where their parents are' }
    // without a comparison the difference is none, unless there are such rows; what is left out of the dump is nobody's concern
    const isSure = inputs.verify === 'data' && inputs.dumpOptions.length === 0
    return {
      status: 'failed',
      severity: isSure ? 'blocker' : 'warning',
      message: `${counted(rows.length, 'column')} of child tables may be NULL where the parent is NOT NULL, which no restore can make`,
      objects: objectsOf(rows, columnOf),
      remedy:
        'Make them NOT NULL as in the parent, rows with NULL first; where the NULLs are meant, drop NOT NULL at the parent (ALTER TABLE ONLY … ALTER COLUMN … DROP NOT NULL)',
      paste: statementsFor(
        rows,
        ({ schema, table, column }) =>
          `ALTER TABLE ${pastedName(schema, table)} ALTER COLUMN ${pastedName(column)} SET NOT NULL;`,
      ),
    }
  },
}

/** The type was a text of any length before version 12, and is a name of 63 bytes since (release notes of 12). */
const sqlIdentifiers: Question<Column> = {
  id: 'sql-identifier-columns',
  scope: 'database',
  sql: ({ number }) =>
    number >= 120_000
      ? undefined
      : `
    SELECT n.nspname AS schema, c.relname AS table, a.attname AS column
      FROM pg_catalog.pg_attribute a
      JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typname = 'sql_identifier'
      JOIN pg_catalog.pg_namespace s ON s.oid = t.typnamespace AND s.nspname = 'information_schema'
      JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE a.attnum > 0 AND NOT a.attisdropped AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     ORDER BY 1, 2, 3`,
}

export const sqlIdentifiersOfSource: Check = {
  id: 'source-sql-identifiers',
  severity: 'warning',
  why: 'the type information_schema.sql_identifier holds any text before PostgreSQL 12 and cuts it at 63 bytes since',
  needs: ['source'],
  questions: { source: [sqlIdentifiers] },
  judge(known): Answer {
    const rows = known.source.rows(sqlIdentifiers)
    if (rows.length === 0 || (known.has('target') && known.target.major < 12))
      return { status: 'passed', message: 'no column is cut at 63 bytes' }
    return {
      status: 'failed',
      message: `${counted(rows.length, 'column')} of the type information_schema.sql_identifier would be cut at 63 bytes`,
      objects: objectsOf(rows, columnOf),
      remedy: 'Make them text',
      paste: statementsFor(
        rows,
        ({ schema, table, column }) =>
          `ALTER TABLE ${pastedName(schema, table)} ALTER COLUMN ${pastedName(column)} TYPE text;`,
      ),
    }
  },
}

interface ForeignServer {
  name: string
  wrapper: string
  options: string[] | null
}

const foreignServers: Question<ForeignServer> = {
  id: 'foreign-servers',
  scope: 'database',
  sql: () => `
    SELECT s.srvname AS name, w.fdwname AS wrapper, s.srvoptions AS options
      FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw ORDER BY 1`,
}

/** Where a foreign server is, as far as its options say so; '' for the machine of the database itself. */
export function placeOf({ wrapper, options }: ForeignServer): string | undefined {
  const own = /^(postgres_fdw|dblink_fdw|file_fdw)$/.test(wrapper)
  const given = new Map((options ?? []).map((one) => one.split(/=(.*)/s, 2) as [string, string]))
  const host = ['hostaddr', 'host', 'servername', 'svr_name', 'server', 'address']
    .map((name) => given.get(name))
    .find((value) => value !== undefined)
  if (host === undefined) return own ? '' : undefined
  return host
    .split(',')
    .some((one) => /^(localhost|127\.|::1$|0\.0\.0\.0$|\/|@|$)/i.test(one.trim()))
    ? ''
    : host
}

export const foreignServersOfSource: Check = {
  id: 'source-foreign-servers',
  severity: 'warning',
  why: 'a foreign server is restored with its address, and the cluster is in another network than the source',
  needs: ['source'],
  questions: { source: [foreignServers] },
  judge({ source }): Answer {
    const rows = source.rows(foreignServers)
    const local = rows.filter((row) => placeOf(row) === '')
    if (local.length === 0) {
      const hosts = [...new Set(rows.map(placeOf).filter((host) => host !== undefined))]
      const named = hosts.length > 0 ? ` (${hosts.map(printable).join(', ')})` : ''
      return {
        status: 'passed',
        message:
          rows.length === 0
            ? 'there are no foreign servers'
            : `no foreign server is on the machine of the source; the cluster must reach those there are${named}`,
      }
    }
    return {
      status: 'failed',
      message: `${counted(local.length, 'foreign server')} of the source ${local.length === 1 ? 'is' : 'are'} reached on its own machine, where the cluster looks at itself`,
      objects: objectsOf(
        local,
        ({ name, wrapper }) => `${pastedName(name)} (${printable(wrapper)})`,
      ),
      remedy:
        'Give them an address that both sides reach, on the source now or on the target after the migration (ALTER SERVER … OPTIONS (SET host …)); files of the machine cannot be read from a cluster',
    }
  },
}

interface Mapping {
  server: string
  account: string
}

/** Whose options pg_user_mappings does not show to the account, and so not to pg_dump (PostgreSQL, "pg_user_mappings"). */
const hiddenMappings: Question<Mapping> = {
  id: 'hidden-user-mappings',
  scope: 'database',
  sql: ({ superuser }) =>
    superuser
      ? undefined
      : `
    SELECT m.srvname AS server, m.usename AS account
      FROM pg_catalog.pg_user_mappings m JOIN pg_catalog.pg_foreign_server s ON s.oid = m.srvid
     WHERE m.umoptions IS NULL
       AND NOT (m.umuser <> 0 AND m.usename = session_user
                AND (pg_catalog.pg_has_role(s.srvowner, 'USAGE') OR pg_catalog.has_server_privilege(s.oid, 'USAGE')))
       AND NOT (m.umuser = 0 AND pg_catalog.pg_has_role(s.srvowner, 'USAGE'))
     ORDER BY 1, 2`,
}

export const userMappingsOfSource: Check = {
  id: 'source-user-mappings',
  severity: 'warning',
  why: 'pg_dump writes a user mapping without the user name and password that its account may not see',
  needs: ['source'],
  questions: { source: [hiddenMappings] },
  judge({ source }): Answer {
    const rows = source.rows(hiddenMappings)
    if (rows.length === 0)
      return { status: 'passed', message: 'the account may see the options of every user mapping' }
    const { user } = source.connection
    return {
      status: 'failed',
      message: `"${printable(user)}" may not see the options of ${counted(rows.length, 'user mapping')}: they are dumped without any`,
      objects: objectsOf(
        rows,
        ({ server, account }) =>
          `USER MAPPING FOR ${account === 'public' ? 'PUBLIC' : pastedName(account)} SERVER ${pastedName(server)}`,
      ),
      remedy:
        'Dump as a superuser, or set the options again on the target after the migration (ALTER USER MAPPING … OPTIONS (ADD user …, ADD password …))',
    }
  },
}

export const sourceObjects: readonly Check[] = [
  ...[inheritedNotNull, sqlIdentifiersOfSource, foreignServersOfSource, userMappingsOfSource],
]
