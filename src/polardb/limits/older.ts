import { expressions, expressionsOfNewer } from './expressions.ts'
import type { Limit } from './limit.ts'
import { generates, usesType } from './syntax.ts'

const routine = ['FUNCTION', 'PROCEDURE', 'AGGREGATE'] as const
const table = ['TABLE', 'FOREIGN TABLE'] as const

/**
 * What a server older than the source does not know: mostly the whole object would be lost. Rests on docs/polardb.md, "Older
 * than the source", and for what was not tried there on the release notes (https://www.postgresql.org/docs/release/) of the
 * major that `since` names.
 */
export const lackedByOlder: readonly Limit[] = [
  storageParameters('vacuum_index_cleanup|vacuum_truncate', 12),
  storageParameters('autovacuum_vacuum_insert_threshold|autovacuum_vacuum_insert_scale_factor', 13),
  storageParameters('autovacuum_vacuum_max_threshold|vacuum_max_eager_freeze_failure_rate', 18),
  ...expressionsOfNewer,
  {
    kinds: table,
    syntax: (masked) => generates(masked, 'stored'),
    since: 12,
    reason: 'generated columns came with PostgreSQL 12',
    remedy:
      'Turn the generated column into an ordinary one with a trigger on the source, or choose a newer target',
  },
  {
    kinds: table,
    syntax: (masked) => generates(masked, 'virtual'),
    since: 18,
    reason: 'virtual generated columns came with PostgreSQL 18',
    remedy: 'Make the column STORED on the source, or choose a newer target',
  },
  {
    kinds: [...table, 'MATERIALIZED VIEW'],
    syntax: /\bSET COMPRESSION\b/,
    since: 14,
    without: {
      words: /ALTER (FOREIGN )?TABLE [^;]*?\bSET COMPRESSION\s+\w+\s*;/g,
      facets: ['compression of'],
    },
    reason: 'restored without COMPRESSION of columns, which came with PostgreSQL 14',
    remedy: 'None needed: values are compressed as the target does by default',
  },
  {
    kinds: ['INDEX', 'CONSTRAINT'],
    syntax: /\bNULLS NOT DISTINCT\b/,
    since: 15,
    reason: 'NULLS NOT DISTINCT came with PostgreSQL 15',
    remedy:
      'Drop it on the source, and create on the target what replaces it (a partial unique index for NULL)',
  },
  {
    kinds: ['CONSTRAINT', 'FK CONSTRAINT'],
    syntax: /\b(WITHOUT OVERLAPS|PERIOD)\b/,
    since: 18,
    reason: 'constraints over periods came with PostgreSQL 18',
    remedy:
      'Replace it by an exclusion constraint or a trigger on the source, or choose a newer target',
  },
  {
    kinds: ['FK CONSTRAINT', 'CHECK CONSTRAINT', ...table],
    syntax: /\bNOT ENFORCED\b/,
    since: 18,
    reason: 'constraints that are NOT ENFORCED came with PostgreSQL 18',
    remedy: 'Drop the constraint on the source, or choose a newer target',
  },
  {
    kinds: ['FK CONSTRAINT'],
    syntax: /\bON (DELETE|UPDATE) SET (NULL|DEFAULT) \(/,
    since: 15,
    reason: 'column lists of ON DELETE SET came with PostgreSQL 15',
    remedy: 'Name no columns there on the source, or choose a newer target',
  },
  {
    kinds: table,
    syntax: /^ {4}(CONSTRAINT \S+ )?NOT NULL \S|\bNOT NULL NO INHERIT\b/m,
    since: 18,
    reason: 'NOT NULL as a constraint of the table came with PostgreSQL 18',
    remedy: 'Declare NOT NULL at the column itself on the source, or choose a newer target',
  },
  {
    kinds: ['CONSTRAINT', 'CHECK CONSTRAINT'],
    syntax: /\bADD CONSTRAINT \S+ NOT NULL\b/,
    since: 18,
    reason: 'NOT NULL as a constraint of its own came with PostgreSQL 18',
    remedy: 'Validate it on the source, or choose a newer target',
  },
  {
    kinds: ['SEQUENCE'],
    syntax: /^\s*CREATE UNLOGGED SEQUENCE\b/,
    since: 15,
    without: { words: /(?<=^\s*CREATE )UNLOGGED /g, facets: ['persistence'] },
    reason: 'restored as a logged sequence: unlogged ones came with PostgreSQL 15',
    remedy: 'None needed',
  },
  {
    kinds: ['INDEX', 'CONSTRAINT'],
    syntax: /\b\w+_ops \(/,
    since: 13,
    reason: 'parameters of operator classes came with PostgreSQL 13',
    remedy: 'Create the index without them on the source, or choose a newer target',
  },
  {
    kinds: ['INDEX'],
    syntax: /(?<![\w."])\w+_(minmax_multi|bloom)_ops\b/,
    since: 14,
    reason: 'BRIN indexes of the operator classes minmax_multi and bloom came with PostgreSQL 14',
    remedy: 'Create the index with the default operator class (minmax) on the source',
  },
  includes('gist', 12),
  includes('spgist', 14),
  {
    kinds: [...expressions],
    syntax: /\bIS (NOT )?JSON\b|\bJSON_(OBJECT|ARRAY|OBJECTAGG|ARRAYAGG)\(/,
    since: 16,
    reason: 'it uses SQL/JSON, which came with PostgreSQL 16',
    remedy: 'Use json_build_object and the like on the source, or choose a newer target',
  },
  {
    kinds: ['DEFAULT ACL'],
    syntax: /\bON LARGE OBJECTS\b/,
    since: 18,
    trifle: true,
    reason: 'default privileges on large objects came with PostgreSQL 18',
    remedy: 'Grant on each large object',
  },
  {
    kinds: ['PUBLICATION'],
    syntax: /\bpublish_generated_columns\b/,
    since: 18,
    without: {
      words: /,\s*publish_generated_columns\s*=\s*\w+/g,
      facets: ['generated columns', 'publishes'],
    },
    reason: 'restored without publish_generated_columns, which came with PostgreSQL 18',
    remedy: 'Choose a newer target if subscribers need it',
  },
  {
    kinds: ['FUNCTION', 'PROCEDURE'],
    syntax: /\bBEGIN ATOMIC\b/,
    since: 14,
    reason: 'bodies in BEGIN ATOMIC came with PostgreSQL 14',
    remedy: 'Write the body as a string (AS $$…$$) on the source, or choose a newer target',
  },
  {
    kinds: ['FUNCTION', 'PROCEDURE'],
    // a body that is a string is masked
    syntax: /\bRETURN\s[^;]*;\s*$/,
    since: 14,
    reason: 'bodies in RETURN came with PostgreSQL 14',
    remedy: 'Write the body as a string (AS $$…$$) on the source, or choose a newer target',
  },
  {
    kinds: ['PROCEDURE'],
    since: 11,
    reason: 'procedures came with PostgreSQL 11',
    remedy: 'Choose a newer target',
  },
  {
    kinds: ['PROCEDURE'],
    syntax: /[(,]\s*OUT\s/,
    since: 14,
    reason: 'procedures with OUT arguments came with PostgreSQL 14',
    remedy: 'Use INOUT arguments on the source, or choose a newer target',
  },
  {
    kinds: ['FUNCTION'],
    syntax: /\bSUPPORT\s+\S+/,
    since: 12,
    without: { words: /\s+SUPPORT\s+\S+/g, facets: ['support'] },
    reason: 'restored without its planner support function, which came with PostgreSQL 12',
    remedy: 'None needed: only plans may differ',
  },
  {
    kinds: ['ACCESS METHOD'],
    syntax: /\bTYPE TABLE\b/,
    since: 12,
    reason: 'table access methods came with PostgreSQL 12',
    remedy: 'Move its tables to heap on the source',
  },
  {
    kinds: ['COLLATION'],
    syntax: /\bdeterministic\s*=\s*false\b/,
    since: 12,
    reason: 'nondeterministic collations came with PostgreSQL 12',
    remedy: 'Use citext or a lower() index on the source, or choose a newer target',
  },
  {
    kinds: ['COLLATION'],
    syntax: /\brules\s*=/,
    since: 16,
    reason: 'ICU rules came with PostgreSQL 16',
    remedy: 'Use a collation without rules on the source, or choose a newer target',
  },
  {
    kinds: ['COLLATION'],
    syntax: /\bprovider\s*=\s*builtin\b/,
    since: 17,
    reason: 'the builtin locale provider came with PostgreSQL 17',
    remedy: 'Use a libc or ICU collation on the source, or choose a newer target',
  },
  {
    kinds: ['TYPE'],
    syntax: /\bmultirange_type_name\s*=/,
    since: 14,
    without: { words: /,?\s*multirange_type_name\s*=\s*[^,\s)]+/g, facets: ['multirange'] },
    reason: 'restored without its multirange type, which came with PostgreSQL 14',
    remedy: 'None needed unless a column or function uses the multirange type',
  },
  {
    kinds: [...table, ...routine, 'VIEW', 'MATERIALIZED VIEW', 'TYPE', 'DOMAIN'],
    syntax: usesType([
      'int4multirange',
      'int8multirange',
      'nummultirange',
      'tsmultirange',
      'tstzmultirange',
      'datemultirange',
    ]),
    since: 14,
    reason: 'multirange types came with PostgreSQL 14',
    remedy: 'Turn the column into an array of ranges on the source, or choose a newer target',
  },
  {
    kinds: ['STATISTICS'],
    syntax: /^\s*CREATE STATISTICS \S+ \([^)]*\bmcv\b/,
    since: 12,
    trifle: true,
    reason: 'statistics of kind mcv came with PostgreSQL 12',
    remedy: 'None needed: only plans may differ',
  },
  {
    kinds: ['STATISTICS'],
    syntax: /\bON\s+[^;]*\(/,
    since: 14,
    trifle: true,
    reason: 'statistics on expressions came with PostgreSQL 14',
    remedy: 'None needed: only plans may differ',
  },
  {
    kinds: ['STATISTICS'],
    syntax: /\bALTER STATISTICS\b/,
    since: 13,
    without: { words: /\s*ALTER STATISTICS [^;]*;/g, facets: ['statistics target'] },
    reason: 'restored without its statistics target, which came with PostgreSQL 13',
    remedy: 'None needed: only plans may differ',
  },
  {
    kinds: ['STATISTICS'],
    since: 10,
    trifle: true,
    reason: 'extended statistics came with PostgreSQL 10',
    remedy: 'None needed: only plans may differ',
  },
  {
    kinds: ['STATISTICS DATA'],
    since: 18,
    trifle: true,
    reason: 'planner statistics can be restored from PostgreSQL 18 on',
    remedy: 'None needed: ANALYZE makes them anew',
  },
  {
    kinds: ['PUBLICATION'],
    syntax: /\bpublish_via_partition_root\b/,
    since: 13,
    without: { words: /,\s*publish_via_partition_root\s*=\s*\w+/g, facets: ['publishes'] },
    reason: 'restored without publish_via_partition_root, which came with PostgreSQL 13',
    remedy: 'Choose a newer target if subscribers need it',
  },
  {
    kinds: ['PUBLICATION TABLE'],
    syntax: /\bADD TABLE ONLY\s+\S+\s+(\(|WHERE\b)/,
    since: 15,
    reason: 'column lists and row filters of publications came with PostgreSQL 15',
    remedy: 'Publish the whole table on the source, or choose a newer target',
  },
  {
    kinds: ['VIEW'],
    syntax: /\bsecurity_invoker\b/,
    since: 15,
    reason: 'views with security_invoker came with PostgreSQL 15',
    remedy:
      'Do without security_invoker on the source, or choose a newer target: it decides who sees which rows',
  },
  {
    kinds: ['INDEX', 'CONSTRAINT'],
    syntax: /\bdeduplicate_items\b/,
    since: 13,
    without: { words: /\s*WITH \(deduplicate_items=[^,)]*\)/g, facets: ['definition', 'options'] },
    reason: 'restored without deduplicate_items, which came with PostgreSQL 13',
    remedy: 'None needed: only the size of the index may differ',
  },
]

/** Columns with INCLUDE in indexes of an access method that did not know them before. */
function includes(method: string, since: number): Limit {
  return {
    kinds: ['INDEX', 'CONSTRAINT'],
    syntax: new RegExp(`\\bUSING ${method} \\(.*\\) INCLUDE \\(`, 's'),
    since,
    reason: `INCLUDE in indexes of the access method ${method} came with PostgreSQL ${since}`,
    remedy: 'Create the index without INCLUDE on the source, or choose a newer target',
  }
}

/** Storage parameters that an older server refuses with the whole table. */
function storageParameters(names: string, since: number): Limit {
  const one = `(?:toast\\.)?(?:${names})='[^']*'`
  return {
    kinds: ['TABLE', 'MATERIALIZED VIEW'],
    syntax: new RegExp(one),
    since,
    without: {
      words: new RegExp(`,\\s*${one}|${one},\\s*|\\s*WITH \\(${one}\\)`, 'g'),
      facets: ['options', 'toast options'],
    },
    reason: `restored without storage parameters that came with PostgreSQL ${since}`,
    remedy: 'None needed: vacuum works by the defaults of the target',
  }
}
