import { counted } from '../../../text/numbers.ts'
import { printable } from '../../../text/text.ts'
import type { Answer, Check } from '../check.ts'
import type { Known } from '../known.ts'
import { objectsOf, pastedName, statementsFor } from '../paste.ts'
import type { Question } from '../question.ts'

/** Indexes and constraints that do not hold what they promise, and what sorts otherwise than they were built with. */

interface Named {
  schema: string
  name: string
}

const userSchemas = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`

/** Indexes that a failed CREATE INDEX CONCURRENTLY or REINDEX left: pg_dump leaves them out (pg_dump.c, getIndexes). */
const invalid: Question<Named & { constraint: boolean }> = {
  id: 'invalid-indexes',
  scope: 'database',
  sql: ({ number }) => `
    SELECT n.nspname AS schema, c.relname AS name,
           EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'i'
                      AND d.refclassid = 'pg_catalog.pg_constraint'::pg_catalog.regclass) AS constraint
      FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'i' AND (NOT i.indisvalid OR NOT i.indisready${number >= 90_300 ? ' OR NOT i.indislive' : ''}) AND ${userSchemas}
     ORDER BY 1, 2`,
}

function judgeInvalid({ source }: Known): Answer {
  const rows = source.rows(invalid)
  if (rows.length === 0) return { status: 'passed', message: 'every index is valid' }
  const isLeftover = ({ name, constraint }: Named & { constraint: boolean }) =>
    !constraint && /_cc(new|old)\d*$/.test(name)
  return {
    status: 'failed',
    message: `${counted(rows.length, 'index is', 'indexes are')} invalid: pg_dump leaves ${rows.length === 1 ? 'it' : 'them'} out`,
    objects: objectsOf(rows, ({ schema, name }) => pastedName(schema, name)),
    remedy:
      'Build them anew, which fails where a unique one has duplicates, or drop what nobody needs (with CONCURRENTLY, from 12 on, nobody has to wait)',
    paste: statementsFor(rows, (row) =>
      isLeftover(row)
        ? `DROP INDEX ${pastedName(row.schema, row.name)};`
        : `REINDEX INDEX ${pastedName(row.schema, row.name)};`,
    ),
  }
}

interface OfTable extends Named {
  table: string
}

/** Constraints that nobody has held the rows against, those that are not to be enforced aside. */
const unvalidated: Question<OfTable & { domain: boolean }> = {
  id: 'unvalidated-constraints',
  scope: 'database',
  sql: ({ number }) =>
    number >= 90_100
      ? `SELECT n.nspname AS schema, COALESCE(c.relname, t.typname) AS table, o.conname AS name, c.oid IS NULL AS domain
           FROM pg_catalog.pg_constraint o
           LEFT JOIN pg_catalog.pg_class c ON c.oid = o.conrelid
           LEFT JOIN pg_catalog.pg_type t ON t.oid = o.contypid
           JOIN pg_catalog.pg_namespace n ON n.oid = COALESCE(c.relnamespace, t.typnamespace)
          WHERE NOT o.convalidated ${number >= 180_000 ? 'AND o.conenforced' : ''} AND o.contype IN ('c', 'f', 'n') AND ${userSchemas}
          ORDER BY 1, 2, 3`
      : undefined,
}

function judgeUnvalidated({ source }: Known): Answer {
  const rows = source.rows(unvalidated)
  if (rows.length === 0)
    return { status: 'passed', message: 'the rows were held against every constraint' }
  return {
    status: 'failed',
    message: `${counted(rows.length, 'constraint is', 'constraints are')} NOT VALID, and will be on the target: rows may be there that break ${rows.length === 1 ? 'it' : 'them'}`,
    objects: objectsOf(
      rows,
      ({ schema, table, name }) => `${pastedName(schema, table)}: ${pastedName(name)}`,
    ),
    remedy: 'Nothing has to be done. Where the rows are to be held against them',
    paste: statementsFor(
      rows,
      ({ schema, table, name, domain }) =>
        `ALTER ${domain ? 'DOMAIN' : 'TABLE'} ${pastedName(schema, table)} VALIDATE CONSTRAINT ${pastedName(name)};`,
    ),
  }
}

interface DisabledKey extends OfTable {
  /** The trigger that is off, and its table: the one that refers, or the one that is referred to. */
  trigger: string
  trigger_schema: string
  trigger_table: string
}

/** Foreign keys whose triggers are off: rows without their counterpart may have come in, and the target holds all against them. */
const disabledKeys: Question<DisabledKey> = {
  id: 'disabled-foreign-keys',
  scope: 'database',
  sql: ({ number }) =>
    number >= 90_100
      ? `SELECT n.nspname AS schema, c.relname AS table, o.conname AS name,
                t.tgname AS trigger, tn.nspname AS trigger_schema, tc.relname AS trigger_table
           FROM pg_catalog.pg_constraint o
           JOIN pg_catalog.pg_class c ON c.oid = o.conrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_catalog.pg_trigger t ON t.tgconstraint = o.oid AND t.tgisinternal AND t.tgenabled NOT IN ('O', 'A')
           JOIN pg_catalog.pg_class tc ON tc.oid = t.tgrelid
           JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace
          WHERE o.contype = 'f' AND o.convalidated AND ${userSchemas}
          ORDER BY 1, 2, 3, 4`
      : undefined,
}

function judgeDisabledKeys({ source }: Known): Answer {
  const rows = source.rows(disabledKeys)
  if (rows.length === 0) return { status: 'passed', message: 'every foreign key is enforced' }
  const keys = objectsOf(
    rows,
    ({ schema, table, name }) => `${pastedName(schema, table)}: ${pastedName(name)}`,
  )
  const objects = [...new Set(keys)]
  return {
    status: 'failed',
    message: `The triggers of ${counted(objects.length, 'foreign key')} are off: rows may have come in that break ${objects.length === 1 ? 'it' : 'them'}, and the restore holds all rows against ${objects.length === 1 ? 'it' : 'them'}`,
    objects,
    remedy:
      'Let them be enforced again, as a superuser, and look for rows that break them: dropping and adding the constraint finds the first one',
    paste: statementsFor(
      rows,
      ({ trigger_schema, trigger_table, trigger }) =>
        `ALTER TABLE ${pastedName(trigger_schema, trigger_table)} ENABLE TRIGGER ${pastedName(trigger)};`,
    ),
  }
}

interface Sorting {
  /** Null for what the database sorts by itself. */
  schema: string | null
  name: string
  recorded: string
  actual: string
  of: string
}

/** Collations in use whose library is of another version than what indexes were built with. */
const collations: Question<Sorting> = {
  id: 'collation-versions',
  scope: 'database',
  sql: ({ number }) => {
    if (number < 100_000) return undefined
    const used = `EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attcollation = o.oid AND a.attrelid >= 16384)`
    const parts = [
      `SELECT n.nspname, o.collname, o.collversion, pg_catalog.pg_collation_actual_version(o.oid)
         FROM pg_catalog.pg_collation o JOIN pg_catalog.pg_namespace n ON n.oid = o.collnamespace
        WHERE o.collversion IS NOT NULL AND ${used}`,
      ...(number >= 150_000
        ? [
            `SELECT NULL, d.datname, d.datcollversion, pg_catalog.pg_database_collation_actual_version(d.oid)
               FROM pg_catalog.pg_database d
              WHERE d.datname = pg_catalog.current_database() AND d.datcollversion IS NOT NULL`,
          ]
        : []),
    ]
    return `SELECT c.schema, c.name, c.recorded, c.actual, pg_catalog.current_database() AS of
              FROM (${parts.join(' UNION ALL ')}) c (schema, name, recorded, actual)
             WHERE c.recorded <> c.actual ORDER BY 1, 2`
  },
}

function judgeCollations({ source }: Known): Answer {
  const rows = source.rows(collations)
  if (rows.length === 0)
    return { status: 'passed', message: 'text is sorted as it was when the indexes were built' }
  const named = ({ schema, name }: Sorting) =>
    schema === null
      ? `the database ${pastedName(name)}`
      : `the collation ${pastedName(schema, name)}`
  return {
    status: 'failed',
    message: `${counted(rows.length, 'collation')} ${rows.length === 1 ? 'is' : 'are'} sorted by another version of the library than when ${rows.length === 1 ? 'its' : 'their'} indexes were built: a unique index may hold duplicates, which the restore refuses`,
    objects: objectsOf(
      rows,
      (row) => `${named(row)}: ${printable(row.recorded)}, now ${printable(row.actual)}`,
    ),
    remedy:
      'Build the indexes on text anew before the dump, which finds duplicates, and note the version (amcheck looks without building)',
    paste: statementsFor(
      rows.flatMap((row) => [
        { ...row, statement: `REINDEX DATABASE ${pastedName(row.of)};` },
        {
          ...row,
          statement:
            row.schema === null
              ? `ALTER DATABASE ${pastedName(row.name)} REFRESH COLLATION VERSION;`
              : `ALTER COLLATION ${pastedName(row.schema, row.name)} REFRESH VERSION;`,
        },
      ]),
      ({ statement }) => statement,
    ),
  }
}

export const indexChecks: readonly Check[] = [
  {
    id: 'source-invalid-indexes',
    severity: 'warning',
    why: 'pg_dump leaves invalid indexes out, and what was unique by one of them may not be',
    needs: ['source'],
    questions: { source: [invalid] },
    judge: judgeInvalid,
  },
  {
    id: 'source-unvalidated-constraints',
    severity: 'info',
    why: 'a constraint that is NOT VALID arrives as it is',
    needs: ['source'],
    questions: { source: [unvalidated] },
    judge: judgeUnvalidated,
  },
  {
    id: 'source-disabled-foreign-keys',
    severity: 'warning',
    why: 'a restore adds foreign keys with all rows held against them, and fails at the first orphan',
    needs: ['source'],
    questions: { source: [disabledKeys] },
    judge: judgeDisabledKeys,
  },
  {
    id: 'source-collations',
    severity: 'warning',
    why: 'a new version of the C library or ICU sorts otherwise, and indexes that were built before are then corrupt',
    needs: ['source'],
    questions: { source: [collations] },
    judge: judgeCollations,
  },
]
