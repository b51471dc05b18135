import { counted } from '../../../text/numbers.ts'
import { printable } from '../../../text/text.ts'
import type { Answer, Check } from '../check.ts'
import type { Known } from '../known.ts'
import { objectsOf, pastedName, statementsFor } from '../paste.ts'
import type { Question } from '../question.ts'

/** Expressions in tables whose value depends on more than the row: a restore works them out at another time, in another order. */

interface CheckConstraint {
  schema: string
  table: string
  name: string
  /** As pg_get_constraintdef() prints it. */
  definition: string
}

const clock =
  'now\\(\\)|current_(?:date|time|timestamp)|local(?:time|timestamp)|(?:clock|statement|transaction)_timestamp\\(\\)|timeofday\\(\\)'

/** CHECK constraints that look at the clock: coarsely here, for sure in dependsOnClock(). */
const clockChecks: Question<CheckConstraint> = {
  id: 'check-constraints-with-a-clock',
  scope: 'database',
  sql: ({ number }) => `
    SELECT n.nspname AS schema, c.relname AS table, o.conname AS name, pg_catalog.pg_get_constraintdef(o.oid) AS definition
      FROM pg_catalog.pg_constraint o
      JOIN pg_catalog.pg_class c ON c.oid = o.conrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE o.contype = 'c' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND ${number >= 90_200 ? 'o.conislocal' : 'true'}
       ${number >= 90_200 ? 'AND o.convalidated' : ''}
       AND pg_catalog.pg_get_constraintdef(o.oid) ~* '${clock.replaceAll('(?:', '(')}|''now'''
     ORDER BY 1, 2, 3`,
}

/**
 * Whether a row that passed a CHECK may fail it later, as far as its text tells. A row that was held to be in the past stays
 * there: `created <= now()` can only become truer.
 *
 * @param definition as pg_get_constraintdef() prints it
 */
export function dependsOnClock(definition: string): boolean {
  // what 'now' means is worked out when the row is checked, other strings are only text
  const masked = definition.replace(/'(?:[^']|'')*'/g, (text) =>
    text === "'now'" ? 'now()' : "''",
  )
  const moment = `\\(*(?:${clock})(?:::[a-z ]+(?:\\(\\d\\))?|\\)+)*(?:\\s*[+-]\\s*''::interval)?`
  const operand = '(?:"(?:[^"]|"")*"|[a-z_][\\w$]*)(?:::[a-z ]+)?'
  const past = new RegExp(
    `\\(${operand}\\)?\\s*<=?\\s*${moment}|${moment}\\s*>=?\\s*\\(?${operand}`,
    'gi',
  )
  // … unless the comparison is turned round, as in NOT (a <= now()); IS NOT NULL turns nothing
  const rest = /(?<!\bIS )\bNOT\b|\bCASE\b|=\s*(?:true|false)\b/i.test(masked)
    ? masked
    : masked.replace(past, '')
  return new RegExp(`\\b(?:${clock})`, 'i').test(rest)
}

interface Caller extends CheckConstraint {
  /** `check`, `generated column` or `index` */
  kind: string
  function_schema: string
  function_name: string
  arguments: string
  source: string
  /** It brings a search_path of its own. */
  has_path: boolean
  /** Relations whose names stand somewhere in its source. */
  relations: string[]
  /** The schemas of these. */
  schemas: string[]
}

/**
 * Functions of the database's own, in SQL or PL/pgSQL, that CHECK constraints, generated columns and indexes call, with the
 * relations that their sources may name.
 */
const callers: Question<Caller> = {
  id: 'functions-in-expressions',
  scope: 'database',
  sql: ({ number }) => {
    const generated =
      number >= 120_000
        ? `UNION ALL
           SELECT 'generated column', a.attrelid, a.attname::pg_catalog.text, '', x.refobjid
             FROM pg_catalog.pg_attribute a
             JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
             JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND x.objid = f.oid
            WHERE a.attgenerated <> '' AND x.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass`
        : ''
    const member =
      number >= 90_100
        ? `AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
                            WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = p.oid AND e.deptype = 'e')`
        : ''
    // the source of a function in BEGIN ATOMIC is no text: it names what it means for good
    const atomic = number >= 140_000 ? 'AND p.prosqlbody IS NULL' : ''
    const named = (what: string) => `ARRAY(
             SELECT ${what} FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
              WHERE r.relkind IN ('r', 'v', 'm', 'f', 'p') AND r.oid >= 16384 AND rn.nspname !~ '^pg_'
                AND pg_catalog.strpos(pg_catalog.lower(p.prosrc), pg_catalog.lower(r.relname)) > 0 ORDER BY r.oid LIMIT 50)`
    return `
      SELECT u.kind, n.nspname AS schema, c.relname AS table, u.name, u.definition,
             pn.nspname AS function_schema, p.proname AS function_name,
             pg_catalog.pg_get_function_identity_arguments(p.oid) AS arguments, p.prosrc AS source,
             COALESCE(pg_catalog.array_to_string(p.proconfig, ' ') ~ 'search_path=', false) AS has_path,
             ${named('r.relname::pg_catalog.text')} AS relations, ${named('rn.nspname::pg_catalog.text')} AS schemas
        FROM (SELECT 'check' AS kind, o.conrelid AS relation, o.conname::pg_catalog.text AS name,
                     pg_catalog.pg_get_constraintdef(o.oid) AS definition, x.refobjid AS function
                FROM pg_catalog.pg_constraint o
                JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND x.objid = o.oid
               WHERE o.contype = 'c' AND o.conrelid <> 0 AND x.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                     ${number >= 90_200 ? 'AND o.convalidated AND o.conislocal' : ''}
              UNION ALL
              SELECT 'index', i.indrelid, ic.relname::pg_catalog.text, '', x.refobjid
                FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
                JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND x.objid = i.indexrelid
               WHERE x.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
              ${generated}) u
        JOIN pg_catalog.pg_class c ON c.oid = u.relation
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_proc p ON p.oid = u.function
        JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
        JOIN pg_catalog.pg_language l ON l.oid = p.prolang
       WHERE p.oid >= 16384 AND l.lanname IN ('sql', 'plpgsql') ${atomic} ${member}
       ORDER BY 1, 2, 3, 4`
  },
}

/** How a function names relations in its source: those without a schema, and any. Comments and strings are no names. */
export function tablesNamed(
  source: string,
  relations: readonly string[],
): { any: string[]; bare: string[] } {
  const text = source.replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, ' ').replace(/'(?:[^']|'')*'/g, "''")
  const found = { any: new Set<string>(), bare: new Set<string>() }
  const part = '("(?:[^"]|"")+"|[A-Za-z_\\u0080-\\uffff][\\w$\\u0080-\\uffff]*)'
  const named = new RegExp(
    `\\b(?:from|join|into|update|only|table)\\s+${part}(?:\\s*\\.\\s*${part})?`,
    'gi',
  )
  const plain = (name: string) =>
    name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase()
  for (const [, first = '', second] of text.matchAll(named)) {
    const name = plain(second ?? first)
    if (!relations.includes(name)) continue
    found.any.add(name)
    if (second === undefined) found.bare.add(name)
  }
  return { any: [...found.any], bare: [...found.bare] }
}

const constraintName = ({ schema, table, name }: CheckConstraint) =>
  `${pastedName(schema, table)}: ${pastedName(name)}`

/** CHECK constraints that may refuse in a restore the rows that they have let in: by the clock, or by other tables. */
function judgeChecks({ source }: Known): Answer {
  const clocks = source.rows(clockChecks).filter(({ definition }) => dependsOnClock(definition))
  const readers = source
    .rows(callers)
    .filter(
      ({ kind, ...row }) =>
        kind === 'check' && tablesNamed(row.source, row.relations).any.length > 0,
    )
  const rows = [...clocks, ...readers].map(({ database, schema, table, name, definition }) => ({
    ...{ database, schema, table, name, definition },
  }))
  const distinct = [
    ...new Map(rows.map((row) => [`${row.database}\0${constraintName(row)}`, row])).values(),
  ]
  if (distinct.length === 0)
    return { status: 'passed', message: 'every CHECK constraint looks at its row alone' }
  const what = [
    ...(clocks.length > 0 ? ['at the clock'] : []),
    ...(readers.length > 0 ? ['at tables, which may have no rows yet when theirs come'] : []),
  ].join(' or ')
  return {
    status: 'failed',
    message: `${counted(distinct.length, 'CHECK constraint')} ${distinct.length === 1 ? 'looks' : 'look'} ${what}: rows that were let in may be refused in the restore`,
    objects: objectsOf(distinct, constraintName),
    remedy:
      'Make them NOT VALID for the migration: pg_dump then adds them after the rows, and new rows are held against them as before',
    paste: statementsFor(distinct, ({ schema, table, name, definition }) =>
      printable(definition) === definition
        ? `ALTER TABLE ${pastedName(schema, table)} DROP CONSTRAINT ${pastedName(name)}, ADD CONSTRAINT ${pastedName(name)} ${definition} NOT VALID;`
        : `-- ${pastedName(schema, table)}: ${pastedName(name)} holds what cannot be printed in a line`,
    ),
  }
}

/** Functions that find their tables by the search_path, which is empty in a restore (pg_dump, "Notes"). */
function judgePaths({ source }: Known): Answer {
  const rows = source
    .rows(callers)
    .filter(
      ({ has_path, ...row }) => !has_path && tablesNamed(row.source, row.relations).bare.length > 0,
    )
  if (rows.length === 0)
    return { status: 'passed', message: 'what tables call needs no search_path' }
  const functionName = (row: Caller) =>
    `${pastedName(row.function_schema, row.function_name)}(${printable(row.arguments)})`
  return {
    status: 'failed',
    message: `Functions that ${[...new Set(rows.map(({ kind }) => (kind === 'index' ? 'indexes' : kind === 'check' ? 'CHECK constraints' : 'generated columns')))].join(' and ')} call find their tables by the search_path: a restore has an empty one, and fails there ("relation … does not exist")`,
    objects: [
      ...new Set(
        objectsOf(
          rows,
          (row) =>
            `${functionName(row)}, called by ${row.kind} ${pastedName(row.name)} of ${pastedName(row.schema, row.table)}`,
        ),
      ),
    ],
    remedy:
      'Let these functions bring their search_path, or write the schemas before the names of the tables',
    paste: statementsFor(rows, (row) => {
      const bare = new Set(tablesNamed(row.source, row.relations).bare)
      const schemas = new Set(
        row.relations.flatMap((name, index) => (bare.has(name) ? (row.schemas[index] ?? []) : [])),
      )
      return `ALTER FUNCTION ${functionName(row)} SET search_path = ${[...schemas].map((name) => pastedName(name)).join(', ')};`
    }),
  }
}

export const expressionChecks: readonly Check[] = [
  {
    id: 'source-check-constraints',
    severity: 'warning',
    why: 'rows are held against CHECK constraints when they come in, on the target too, where it is later and other tables are still empty',
    needs: ['source'],
    questions: { source: [clockChecks, callers] },
    judge: judgeChecks,
  },
  {
    id: 'source-expression-functions',
    severity: 'warning',
    why: 'in a restore the search_path is empty, and a function that relies on one finds nothing',
    needs: ['source'],
    questions: { source: [callers] },
    judge: judgePaths,
  },
]
