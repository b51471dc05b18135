import { quoteLiteral } from '../../../postgres/identifiers.ts'
import { letter, listedName, listOf, words } from '../../../postgres/portable-sql.ts'
import { relationOptions, toastOptions } from './known-options.ts'
import type { CatalogQuery } from './model.ts'

/** `schema.table` of the relation a column refers to, as SQL. */
const relation = (oid: string) =>
  `(SELECT rn.nspname || '.' || r.relname FROM pg_catalog.pg_class r
      JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace WHERE r.oid = ${oid})`

/** `schema.table name`, as archives call what belongs to a table. */
const ofTable = (table: string, name: string) => `${relation(table)} || ' ' || ${name}`

/** The relation is one that a dump carries: not the system's, not temporary (those are in `pg_temp_…`), not an extension's. */
export const dumped = (oid: string) =>
  `EXISTS (SELECT 1 FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
     WHERE r.oid = ${oid} AND r.oid >= 16384
       AND rn.nspname !~ '^pg_' AND rn.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend re
         WHERE re.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND re.objid = r.oid AND re.deptype = 'e'))`

/** The columns of the relation x, a child of inheritance, in an order of their own. */
const listed = (order: string) =>
  listOf(
    listedName('ca.attname'),
    `FROM pg_catalog.pg_attribute ca WHERE ca.attrelid = x.oid AND ca.attnum > 0 AND NOT ca.attisdropped
        AND EXISTS (SELECT 1 FROM pg_catalog.pg_inherits ch WHERE ch.inhrelid = x.oid)`,
    order,
  )

/** Where the first parent that has the column has it. */
const inParents = `(SELECT pg_catalog.min(h.inhseqno * 10000 + pa.attnum) FROM pg_catalog.pg_inherits h
  JOIN pg_catalog.pg_attribute pa ON pa.attrelid = h.inhparent AND pa.attname = ca.attname AND pa.attnum > 0
 WHERE h.inhrelid = x.oid)`

/** The object of this row belongs to a constraint: before 9.0 only the dependencies tell (an index, a foreign key's trigger). */
const ownedBy = (catalog: string, row: string, constraint: string) =>
  `EXISTS (SELECT 1 FROM pg_catalog.pg_depend kd
     WHERE kd.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND kd.objid = ${row}.oid AND kd.deptype = 'i'
       AND kd.refclassid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND kd.refobjid = ${constraint}.oid)`

/** A list of options, in any order. */
const sorted = (array: string) =>
  `pg_catalog.array_to_string(ARRAY(SELECT o FROM pg_catalog.unnest(${array}) o ORDER BY o), ', ')`

/** Those of a list of options that PostgreSQL knows: a server may keep its own notes in the same column. */
export const known = (array: string, names: readonly string[]) =>
  `pg_catalog.array_to_string(ARRAY(SELECT o FROM pg_catalog.unnest(${array}) o
     WHERE pg_catalog.split_part(o, '=', 1) IN (${names.map(quoteLiteral).join(', ')}) ORDER BY o), ', ')`

/**
 * The queries for everything that is a relation or hangs on one.
 *
 * @param server `server_version_num`, which decides what the catalogs have
 */
export function relationQueries(server: number): CatalogQuery[] {
  const since = (number: number, sql: string, otherwise = 'NULL') =>
    server >= number ? sql : otherwise
  return [
    {
      kind: {
        sql: `CASE x.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                WHEN 'S' THEN 'sequence' ELSE 'table' END`,
      },
      catalog: 'pg_class',
      schema: 'x.relnamespace',
      where: `x.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')`,
      name: `n.nspname || '.' || x.relname`,
      owner: 'x.relowner',
      acl: {
        column: 'x.relacl',
        type: { sql: `CASE x.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END` },
      },
      facets: {
        // a sequence takes it from its table (15 and newer)
        persistence: since(
          90100,
          `CASE WHEN x.relkind <> 'S' THEN NULLIF(x.relpersistence, 'p') END`,
        ),
        columns: listOf(
          `${listedName('a.attname')} || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
            ${since(
              90100,
              `|| CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN ' COLLATE ' ||
                 (SELECT ${listedName('cn.nspname')} || '.' || ${listedName('co.collname')}
                    FROM pg_catalog.pg_collation co JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace
                   WHERE co.oid = a.attcollation) ELSE '' END`,
              '',
            )}
            || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END`,
          `FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
            CROSS JOIN (SELECT pg_catalog.count(*) AS n FROM pg_catalog.pg_inherits h WHERE h.inhrelid = x.oid) i
         WHERE a.attrelid = x.oid AND a.attnum > 0 AND NOT a.attisdropped AND x.relkind <> 'S'`,
          // a restored child of inheritance has its parent's columns first
          'CASE WHEN i.n > 0 THEN 0 ELSE a.attnum END, a.attname',
        ),
        // a dump writes the columns of a child in the order of its parents, and then its own
        'column order': listed('ca.attnum'),
        'dumped order': `NULLIF(${listed(`CASE WHEN ca.attinhcount > 0 THEN 0 ELSE 1 END, ${inParents}, ca.attnum`)}, ${listed('ca.attnum')})`,
        'kind of table': `CASE x.relkind WHEN 'p' THEN 'partitioned' END`,
        parents: listOf(
          relation('h.inhparent'),
          'FROM pg_catalog.pg_inherits h WHERE h.inhrelid = x.oid',
          'h.inhseqno',
        ),
        'partition bound': since(100000, 'pg_catalog.pg_get_expr(x.relpartbound, x.oid)'),
        'partition key': since(100000, 'pg_catalog.pg_get_partkeydef(x.oid)'),
        'row type': since(
          90000,
          `(SELECT pg_catalog.format_type(x.reloftype, NULL) WHERE x.reloftype <> 0)`,
        ),
        oids: since(120000, 'NULL', `CASE WHEN x.relhasoids THEN 'WITH OIDS' END`),
        // a table access method of an extension's may have options of its own; heap is 2 everywhere
        options: since(
          120000,
          `CASE WHEN x.relam NOT IN (0, 2) THEN ${sorted('x.reloptions')} ELSE ${known('x.reloptions', relationOptions)} END`,
          known('x.reloptions', relationOptions),
        ),
        'toast options': `(SELECT ${known('tt.reloptions', toastOptions)} FROM pg_catalog.pg_class tt WHERE tt.oid = x.reltoastrelid)`,
        'access method': since(
          120000,
          `(SELECT am.amname FROM pg_catalog.pg_am am WHERE am.oid = x.relam AND am.amname <> 'heap' AND x.relkind IN ('r', 'm'))`,
        ),
        'replica identity': since(
          90400,
          `CASE WHEN x.relkind IN ('r', 'p', 'm') THEN NULLIF(x.relreplident, 'd') END`,
        ),
        'row security': since(
          90500,
          `NULLIF(CASE WHEN x.relrowsecurity THEN 'enabled ' ELSE '' END || CASE WHEN x.relforcerowsecurity THEN 'forced' ELSE '' END, '')`,
        ),
        query: `CASE WHEN x.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(x.oid) || ${references()} END`,
        server: since(
          90100,
          `(SELECT fs.srvname || ' ' || ${sorted('ft.ftoptions')}
              FROM pg_catalog.pg_foreign_table ft JOIN pg_catalog.pg_foreign_server fs ON fs.oid = ft.ftserver
             WHERE ft.ftrelid = x.oid)`,
        ),
        'owned by': `(SELECT ${relation('d.refobjid')} || '.' || a.attname
                        FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attribute a
                          ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                       WHERE x.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = x.oid
                         AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0)`,
        ...(server >= 100000
          ? {
              sequence: `(SELECT ${words('pg_catalog.format_type(s.seqtypid, NULL)', 's.seqstart', 's.seqincrement', 's.seqmin', 's.seqmax', 's.seqcache', letter('s.seqcycle'))}
                            FROM pg_catalog.pg_sequence s WHERE s.seqrelid = x.oid)`,
            }
          : {}),
      },
      plain: ['column order', 'dumped order', 'access method'],
      typed: ['columns', 'row type'],
    },
    {
      kind: 'index',
      catalog: 'pg_class',
      from: 'pg_catalog.pg_class x JOIN pg_catalog.pg_index i ON i.indexrelid = x.oid',
      schema: 'x.relnamespace',
      where: dumped('i.indrelid'),
      name: `n.nspname || '.' || x.relname`,
      facets: {
        definition: 'pg_catalog.pg_get_indexdef(x.oid)',
        // an index on the partitioned table itself is invalid as long as a partition lacks it
        invalid: `CASE WHEN NOT (i.indisvalid AND i.indisready) THEN 'invalid' END`,
        'of constraint': `(SELECT ${ofTable('k.conrelid', 'k.conname')} FROM pg_catalog.pg_constraint k
                            WHERE ${since(90000, 'k.conindid = x.oid', ownedBy('pg_class', 'x', 'k'))} AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x'))`,
        clustered: `CASE WHEN i.indisclustered THEN 'clustered' END`,
        'replica identity': since(90400, `CASE WHEN i.indisreplident THEN 'replica identity' END`),
        partition: since(
          110000,
          `(SELECT ${relation('h.inhparent')} FROM pg_catalog.pg_inherits h WHERE h.inhrelid = x.oid)`,
        ),
      },
      plain: ['invalid', 'of constraint'],
    },
    {
      kind: 'constraint',
      catalog: 'pg_constraint',
      schema: 'x.connamespace',
      // of a partition's foreign keys the parent's tells everything, and servers name them as they like
      where: `x.contype IN ('c', 'f', 'p', 'u', 'x') AND x.conrelid <> 0 AND ${dumped('x.conrelid')}
              ${since(110000, `AND NOT (x.contype = 'f' AND x.conparentid <> 0)`, '')}`,
      name: ofTable('x.conrelid', 'x.conname'),
      facets: {
        definition: 'pg_catalog.pg_get_constraintdef(x.oid)',
        'not validated': since(90100, `CASE WHEN NOT x.convalidated THEN 'NOT VALID' END`),
      },
      plain: ['not validated'],
    },
    {
      kind: 'trigger',
      catalog: 'pg_trigger',
      // a partition's copies follow their parent's trigger, unless somebody switched one
      where: `${since(90000, 'NOT x.tgisinternal', `NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k WHERE ${ownedBy('pg_trigger', 'x', 'k')})`)} AND ${dumped('x.tgrelid')}
              ${since(
                130000,
                `AND (x.tgparentid = 0 OR x.tgenabled <> (SELECT p.tgenabled FROM pg_catalog.pg_trigger p WHERE p.oid = x.tgparentid))`,
                '',
              )}`,
      name: ofTable('x.tgrelid', 'x.tgname'),
      facets: {
        definition: 'pg_catalog.pg_get_triggerdef(x.oid)',
        enabled: `NULLIF(x.tgenabled, 'O')`,
      },
    },
    {
      kind: 'rule',
      catalog: 'pg_rewrite',
      where: `x.rulename <> '_RETURN' AND ${dumped('x.ev_class')}`,
      name: ofTable('x.ev_class', 'x.rulename'),
      facets: {
        'rule definition': 'pg_catalog.pg_get_ruledef(x.oid)',
        enabled: `NULLIF(x.ev_enabled, 'O')`,
      },
    },
    {
      kind: 'policy',
      catalog: 'pg_policy',
      since: 90500,
      where: dumped('x.polrelid'),
      name: ofTable('x.polrelid', 'x.polname'),
      facets: {
        command: 'x.polcmd',
        restrictive: since(100000, `CASE WHEN NOT x.polpermissive THEN 'RESTRICTIVE' END`),
        roles: listOf(
          `CASE WHEN r = 0 THEN 'PUBLIC' ELSE ${listedName('pg_catalog.pg_get_userbyid(r)')} END`,
          'FROM pg_catalog.unnest(x.polroles) r',
          `CASE WHEN r = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(r) END`,
        ),
        using: 'pg_catalog.pg_get_expr(x.polqual, x.polrelid)',
        'with check': 'pg_catalog.pg_get_expr(x.polwithcheck, x.polrelid)',
      },
    },
    {
      kind: 'statistics object',
      catalog: 'pg_statistic_ext',
      since: 100000,
      schema: 'x.stxnamespace',
      where: dumped('x.stxrelid'),
      name: `n.nspname || '.' || x.stxname`,
      owner: 'x.stxowner',
      facets: {
        definition: 'pg_catalog.pg_get_statisticsobjdef(x.oid)',
        'statistics target': since(130000, 'NULLIF(x.stxstattarget, -1)'),
      },
    },
  ]

  /** What a view reads: its text is compared without qualifiers, which majors print differently. */
  function references(): string {
    const names = listOf(
      'v.name',
      `FROM (SELECT DISTINCT ${relation('d.refobjid')} AS name
               FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d
                 ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
                    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> x.oid
              WHERE w.ev_class = x.oid) v`,
      'v.name',
    )
    return `COALESCE(E'\\n' || ${names}, '')`
  }
}
