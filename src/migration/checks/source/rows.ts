import { counted } from '../../../text/numbers.ts'
import type { Answer, Check } from '../check.ts'
import type { Known } from '../known.ts'
import { objectsOf, pastedName, statementsFor } from '../paste.ts'
import type { Question } from '../question.ts'
import { largeFields } from './fields.ts'

/** Rows that a dump or restore has trouble with: too large, in another partition on the target, or not in this database at all. */

interface Named {
  schema: string
  name: string
}

const nameOf = ({ schema, name }: Named) => pastedName(schema, name)

/**
 * Tables partitioned by the hash of what has another hash on another server: arrays of enums, whose values are hashed by their OIDs,
 * and text under a collation that takes different texts for equal. Plain enums pg_dump loads through the root by itself (pg_dump,
 * --load-via-partition-root).
 */
const hashKeys: Question<Named> = {
  id: 'hash-partition-keys',
  scope: 'database',
  sql: ({ number }) =>
    number >= 110_000
      ? `SELECT n.nspname AS schema, c.relname AS name
           FROM pg_catalog.pg_partitioned_table p
           JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE p.partstrat = 'h'
            AND (EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
                           JOIN pg_catalog.pg_type e ON e.oid = t.typelem
                          WHERE a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs) AND t.typlen = -1 AND e.typtype = 'e')
                 ${number >= 120_000 ? 'OR EXISTS (SELECT 1 FROM pg_catalog.pg_collation o WHERE o.oid = ANY (p.partcollation) AND NOT o.collisdeterministic)' : ''})
          ORDER BY 1, 2`
      : undefined,
}

interface SortedKey extends Named {
  /** `c` libc, `i` ICU. */
  provider: string
  locale: string
  /** Of the library on the source; null where the server does not say. */
  version: string | null
}

/** How libc's and ICU's locales are named in pg_collation of a version. */
const localeColumn = (number: number) =>
  number >= 170_000
    ? 'COALESCE(o.colllocale, o.collcollate)'
    : number >= 150_000
      ? 'COALESCE(o.colliculocale, o.collcollate)'
      : 'o.collcollate'

/** Tables partitioned by ranges of text: which range a text is in depends on how it is sorted. */
const rangeKeys: Question<SortedKey> = {
  id: 'range-partition-keys',
  scope: 'database',
  sql: ({ number }) => {
    if (number < 100_000) return undefined
    const ofDatabase =
      number >= 150_000
        ? `d.datlocprovider::pg_catalog.text AS provider,
           COALESCE(${number >= 170_000 ? 'd.datlocale' : 'd.daticulocale'}, d.datcollate) AS locale,
           pg_catalog.pg_database_collation_actual_version(d.oid) AS version`
        : `'c'::pg_catalog.text AS provider, d.datcollate AS locale, NULL::pg_catalog.text AS version`
    return `
      SELECT n.nspname AS schema, c.relname AS name,
             CASE WHEN o.collprovider = 'd' THEN b.provider ELSE o.collprovider::pg_catalog.text END AS provider,
             (CASE WHEN o.collprovider = 'd' THEN b.locale ELSE ${localeColumn(number)} END)::pg_catalog.text AS locale,
             CASE WHEN o.collprovider = 'd' THEN b.version ELSE pg_catalog.pg_collation_actual_version(o.oid) END AS version
        FROM pg_catalog.pg_partitioned_table p
        JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_collation o ON o.oid = ANY (p.partcollation),
             (SELECT ${ofDatabase} FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) b
       WHERE p.partstrat = 'r' ORDER BY 1, 2`
  },
}

interface Locale {
  provider: string
  locale: string
  version: string | null
}

const targetLocales: Question<Locale> = {
  id: 'target-locales',
  scope: 'server',
  sql: ({ number }) => `
    SELECT DISTINCT o.collprovider::pg_catalog.text AS provider, (${localeColumn(number)})::pg_catalog.text AS locale,
           pg_catalog.pg_collation_actual_version(o.oid) AS version
      FROM pg_catalog.pg_collation o WHERE o.collprovider IN ('c', 'i') ORDER BY 1, 2`,
}

/** Whether a key sorts on the target as on the source: by bytes, or by the same version of the same library. */
export function sortsAlike(key: Locale, locales: readonly Locale[]): boolean {
  if (key.provider === 'b' || /^(C|POSIX)(\.|$)|^ucs_basic$/i.test(key.locale)) return true
  const plain = (locale: string) => locale.toLowerCase().replace('utf-8', 'utf8')
  return locales.some(
    ({ provider, locale, version }) =>
      provider === key.provider &&
      plain(locale) === plain(key.locale) &&
      version !== null &&
      version === key.version,
  )
}

function judgeKeys(known: Known): Answer {
  const { source, target, inputs } = known
  if (inputs.dumpOptions.includes('--load-via-partition-root'))
    return { status: 'passed', message: 'rows find their partitions anew on the target' }
  const locales = target.rows(targetLocales)
  const rows = [
    ...source.rows(hashKeys),
    ...source.rows(rangeKeys).filter((key) => !sortsAlike(key, locales)),
  ]
  if (rows.length === 0)
    return { status: 'passed', message: 'every row belongs to the same partition on the target' }
  return {
    status: 'failed',
    message: `${counted(rows.length, 'partitioned table')} may have rows that belong to another partition on the target, since its hash or order is another one: they would be refused`,
    objects: objectsOf(rows, nameOf),
    remedy: 'Let rows be loaded through the root, which finds their partitions anew',
    paste: 'dump-options: --load-via-partition-root',
  }
}

const largeObjects: Question<{ count: number }> = {
  id: 'large-object-count',
  scope: 'database',
  sql: ({ number }) =>
    number >= 90_000
      ? `SELECT pg_catalog.count(*)::pg_catalog.float8 AS count FROM pg_catalog.pg_largeobject_metadata`
      : undefined,
}

/** Whether there are so many large objects that they take longer than their bytes. */
export function judgeLargeObjects(counts: readonly number[]): Answer {
  const count = counts.reduce((sum, one) => sum + one, 0)
  if (count <= 1_000_000) return { status: 'passed', message: counted(count, 'large object') }
  return {
    status: 'failed',
    message: `${counted(count, 'large object')}: each is an entry of its own in a dump before PostgreSQL 17, which takes time and memory`,
    remedy:
      'Let a client of 17 or newer dump them, which puts many into one entry; vacuumlo removes those that nothing refers to any more',
    paste: 'client-version: 17',
  }
}

/** Partitions and children that are foreign tables: their rows are on another server and stay there. */
const foreignParts: Question<Named> = {
  id: 'foreign-partitions',
  scope: 'database',
  sql: ({ number }) =>
    number >= 90_500
      ? `SELECT n.nspname AS schema, c.relname AS name
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind = 'f' AND EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)
          ORDER BY 1, 2`
      : undefined,
}

function judgeForeignParts({ source }: Known): Answer {
  const rows = source.rows(foreignParts)
  if (rows.length === 0)
    return { status: 'passed', message: 'no rows of a partitioned table are on another server' }
  return {
    status: 'failed',
    message: `${counted(rows.length, 'partition or child', 'partitions or children')} of tables ${rows.length === 1 ? 'is a foreign table' : 'are foreign tables'}: ${rows.length === 1 ? 'its' : 'their'} rows stay where they are, and the target must reach that server to see them`,
    objects: objectsOf(rows, nameOf),
    remedy:
      'Bring the rows home before (a local table ATTACHed in its place), or make sure that the cluster reaches that server and may have its foreign-data wrapper',
  }
}

/** Materialized views that are filled from foreign tables, through views as well. They came with 9.3. */
const foreignViews: Question<Named> = {
  id: 'foreign-materialized-views',
  scope: 'database',
  sql: ({ number }) => {
    if (number < 90_300) return undefined
    const readBy = (view: string) => `
      JOIN pg_catalog.pg_rewrite w ON w.ev_class = ${view}
      JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
                                 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass`
    return `
      WITH RECURSIVE reads(view, relation) AS (
        SELECT m.oid, d.refobjid FROM pg_catalog.pg_class m ${readBy('m.oid')}
         WHERE m.relkind = 'm' AND m.relispopulated
        UNION
        SELECT r.view, d.refobjid FROM reads r JOIN pg_catalog.pg_class v ON v.oid = r.relation AND v.relkind = 'v' ${readBy('v.oid')}
      )
      SELECT DISTINCT n.nspname AS schema, c.relname AS name
        FROM reads r JOIN pg_catalog.pg_class f ON f.oid = r.relation AND f.relkind = 'f'
        JOIN pg_catalog.pg_class c ON c.oid = r.view
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2`
  },
}

function judgeForeignViews({ source }: Known): Answer {
  const rows = source.rows(foreignViews)
  if (rows.length === 0)
    return {
      status: 'passed',
      message: 'every materialized view can be filled from its own database',
    }
  return {
    status: 'failed',
    message: `${counted(rows.length, 'materialized view')} ${rows.length === 1 ? 'reads' : 'read'} foreign tables: the restore fills ${rows.length === 1 ? 'it' : 'them'} anew, from a server that the cluster has to reach, with what is there by then`,
    objects: objectsOf(rows, nameOf),
    remedy:
      'Make sure that the cluster reaches that server, or leave them empty for the migration and REFRESH them after the cutover',
    paste: statementsFor(rows, (row) => `REFRESH MATERIALIZED VIEW ${nameOf(row)} WITH NO DATA;`),
  }
}

export const rowChecks: readonly Check[] = [
  largeFields,
  {
    id: 'source-partition-keys',
    severity: 'warning',
    why: 'pg_dump loads each partition by itself, and the target refuses rows that belong to another one there',
    needs: ['source', 'target'],
    questions: { source: [hashKeys, rangeKeys], target: [targetLocales] },
    judge: judgeKeys,
  },
  {
    id: 'source-large-objects',
    severity: 'info',
    why: 'millions of large objects take longer than their bytes say',
    needs: ['source'],
    questions: { source: [largeObjects] },
    judge: ({ source }) => judgeLargeObjects(source.rows(largeObjects).map(({ count }) => count)),
  },
  {
    id: 'source-foreign-partitions',
    severity: 'warning',
    why: 'rows of a foreign table are on another server and in no dump',
    needs: ['source'],
    questions: { source: [foreignParts] },
    judge: judgeForeignParts,
  },
  {
    id: 'source-foreign-materialized-views',
    severity: 'warning',
    why: 'a restore fills materialized views anew, and these from another server',
    needs: ['source'],
    questions: { source: [foreignViews] },
    judge: judgeForeignViews,
  },
]
