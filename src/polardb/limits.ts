/**
 * What an account that is no superuser cannot restore, what PolarDB forbids, and what a server older than the source does
 * not know: one rule a line of polardb-behaviour, sections 6a and 6b, and of the release notes where they go further. The
 * rules are data; the restore's plan asks them (src/migration/restore/plan.ts).
 */
export type Power =
  /** Only a real superuser. */
  | 'superuser'
  /** A superuser, or a polar_superuser of PolarDB. */
  | 'polar-superuser'

export interface Limit {
  /** Kinds of archive entries that the rule is about. */
  kinds: readonly string[]
  /** Must be found in the statement, whose names and strings are masked; without it every entry of the kinds. */
  syntax?: RegExp
  /** The power that restoring it takes. */
  needs?: Power
  /** The first major version that knows it. */
  since?: number
  /** Why it cannot be restored as it is, as the end of "it is left out: …". */
  reason: string
  remedy: string
  /** Takes it out of the statement, so that the rest can be restored; what is lost then is `reason`. */
  without?: RegExp
  /** Nothing is lost that rows or behaviour depend on. */
  trifle?: true
  source: string
}

const behaviour6a = 'polardb-behaviour 6a'
const behaviour6b = 'polardb-behaviour 6b'
const routine = ['FUNCTION', 'PROCEDURE', 'AGGREGATE'] as const
const table = ['TABLE', 'FOREIGN TABLE'] as const

/** An expression in parentheses, over as many lines as the server prints it (a CASE takes several), as a pattern. */
const parenthesized = (() => {
  let inner = '[^()]*'
  // a pattern cannot count: no expression that anybody wrote is nested deeper
  for (let depth = 0; depth < 100; depth++) inner = `(?:[^()]|\\(${inner}\\))*`
  return `\\(${inner}\\)`
})()

export const limits: readonly Limit[] = [
  storageParameters('vacuum_index_cleanup|vacuum_truncate', 12),
  storageParameters('autovacuum_vacuum_insert_threshold|autovacuum_vacuum_insert_scale_factor', 13),
  storageParameters('autovacuum_vacuum_max_threshold|vacuum_max_eager_freeze_failure_rate', 18),
  systemFunctions('gen_random_uuid', 13),
  systemFunctions('date_bin|string_to_table|bit_xor', 14),
  systemFunctions('regexp_like|regexp_count|regexp_instr|regexp_substr', 15),
  systemFunctions('any_value|array_shuffle|array_sample', 16),
  systemFunctions('JSON_TABLE|JSON_VALUE|JSON_QUERY|JSON_EXISTS|to_bin|to_oct', 17),
  systemFunctions('uuidv4|uuidv7|casefold', 18),

  // what takes a superuser
  {
    kinds: routine,
    syntax: /\bLANGUAGE (c|internal)\s/,
    needs: 'superuser',
    reason: 'only a superuser may create functions in the languages c and internal',
    remedy: 'Install the extension that brings it, or rewrite it in SQL or PL/pgSQL on the source',
    source: behaviour6b,
  },
  {
    kinds: routine,
    syntax: /\bLEAKPROOF\b/,
    needs: 'superuser',
    without: /\s+LEAKPROOF\b/g,
    reason: 'restored without LEAKPROOF: only a superuser may define a leakproof function',
    remedy: 'Ask the support of the cluster to mark it LEAKPROOF where row security needs it',
    source: behaviour6b,
  },
  {
    kinds: ['AGGREGATE'],
    syntax: /\bSTYPE\s*=\s*internal\b/,
    needs: 'superuser',
    reason: 'only a superuser may create an aggregate with an internal state',
    remedy: 'Install the extension that brings it, or give it a state of an ordinary type',
    source: 'PostgreSQL, CREATE AGGREGATE',
  },
  {
    kinds: ['TYPE'],
    syntax: /\bINPUT\s*=|^\s*CREATE TYPE [^(]*;\s*$/,
    needs: 'superuser',
    reason: 'only a superuser may create a base type',
    remedy:
      'Install the extension that brings it; without one, change the columns to another type on the source',
    source: 'PostgreSQL, CREATE TYPE',
  },
  {
    kinds: ['SHELL TYPE'],
    needs: 'superuser',
    reason: 'only a superuser may create a base type',
    remedy:
      'Install the extension that brings it; without one, change the columns to another type on the source',
    source: 'PostgreSQL, CREATE TYPE',
  },
  {
    kinds: ['CAST'],
    syntax: /\bWITHOUT FUNCTION\b/,
    needs: 'superuser',
    reason: 'only a superuser may create a cast WITHOUT FUNCTION',
    remedy: 'Create the cast WITH INOUT or with a function on the source',
    source: 'PostgreSQL, CREATE CAST',
  },
  ...[
    'OPERATOR CLASS',
    'OPERATOR FAMILY',
    'TEXT SEARCH PARSER',
    'TEXT SEARCH TEMPLATE',
    'ACCESS METHOD',
  ].map(
    (kind): Limit => ({
      kinds: [kind],
      needs: 'superuser',
      reason: `only a superuser may create ${/^[AO]/.test(kind) ? 'an' : 'a'} ${kind.toLowerCase()}`,
      remedy: 'Install the extension that brings it, or do without it on the source first',
      source: behaviour6b,
    }),
  ),
  {
    kinds: ['FOREIGN DATA WRAPPER'],
    needs: 'superuser',
    reason: 'only a superuser may create a foreign-data wrapper',
    remedy: 'Install the extension that brings it, or drop the foreign tables on the source',
    source: behaviour6b,
  },
  {
    kinds: ['EVENT TRIGGER'],
    needs: 'polar-superuser',
    reason: 'only a superuser may create an event trigger',
    remedy:
      'Migrate as a polar_superuser where the cluster has them, or do without the event trigger',
    source: behaviour6b,
  },
  {
    kinds: ['PUBLICATION'],
    syntax: /\bFOR ALL (TABLES|SEQUENCES)\b/,
    needs: 'polar-superuser',
    reason: 'only a superuser may create a publication FOR ALL TABLES',
    remedy:
      'Name the tables of the publication on the source, or create it anew after the migration',
    source: behaviour6b,
  },
  {
    kinds: ['PUBLICATION TABLES IN SCHEMA'],
    needs: 'superuser',
    since: 15,
    reason: 'only a superuser of PostgreSQL 15 or later may publish all tables of a schema',
    remedy:
      'Name the tables of the publication on the source, or create it anew after the migration',
    source: behaviour6b,
  },
  {
    kinds: ['SUBSCRIPTION', 'SUBSCRIPTION TABLE'],
    needs: 'superuser',
    reason: 'only a superuser may create a subscription',
    remedy: 'Subscribe anew after the migration, as an account that may',
    source: behaviour6b,
  },

  // what an older server does not know: the whole object would be lost
  {
    kinds: table,
    syntax: new RegExp(`\\bGENERATED ALWAYS AS ${parenthesized} STORED\\b`),
    since: 12,
    reason: 'generated columns came with PostgreSQL 12',
    remedy:
      'Turn the generated column into an ordinary one with a trigger on the source, or choose a newer target',
    source: behaviour6a,
  },
  {
    kinds: table,
    syntax: new RegExp(`\\bGENERATED ALWAYS AS ${parenthesized}(?! STORED\\b)`),
    since: 18,
    reason: 'virtual generated columns came with PostgreSQL 18',
    remedy: 'Make the column STORED on the source, or choose a newer target',
    source: 'release notes of PostgreSQL 18',
  },
  {
    kinds: [...table, 'MATERIALIZED VIEW'],
    syntax: /\bSET COMPRESSION\b/,
    since: 14,
    without: /ALTER (FOREIGN )?TABLE [^;]*?\bSET COMPRESSION\s+\w+\s*;/g,
    reason: 'restored without COMPRESSION of columns, which came with PostgreSQL 14',
    remedy: 'None needed: values are compressed as the target does by default',
    source: behaviour6a,
  },
  {
    kinds: ['INDEX', 'CONSTRAINT'],
    syntax: /\bNULLS NOT DISTINCT\b/,
    since: 15,
    reason: 'NULLS NOT DISTINCT came with PostgreSQL 15',
    remedy:
      'Drop it on the source, and create on the target what replaces it (a partial unique index for NULL)',
    source: behaviour6a,
  },
  {
    kinds: ['CONSTRAINT', 'FK CONSTRAINT'],
    syntax: /\b(WITHOUT OVERLAPS|PERIOD)\b/,
    since: 18,
    reason: 'constraints over periods came with PostgreSQL 18',
    remedy:
      'Replace it by an exclusion constraint or a trigger on the source, or choose a newer target',
    source: 'release notes of PostgreSQL 18',
  },
  {
    kinds: ['FK CONSTRAINT', 'CHECK CONSTRAINT', ...table],
    syntax: /\bNOT ENFORCED\b/,
    since: 18,
    reason: 'constraints that are NOT ENFORCED came with PostgreSQL 18',
    remedy: 'Drop the constraint on the source, or choose a newer target',
    source: 'release notes of PostgreSQL 18',
  },
  {
    kinds: ['FK CONSTRAINT'],
    syntax: /\bON (DELETE|UPDATE) SET (NULL|DEFAULT) \(/,
    since: 15,
    reason: 'column lists of ON DELETE SET came with PostgreSQL 15',
    remedy: 'Name no columns there on the source, or choose a newer target',
    source: 'release notes of PostgreSQL 15',
  },
  {
    kinds: table,
    syntax: /^ {4}(CONSTRAINT \S+ )?NOT NULL \S|\bNOT NULL NO INHERIT\b/m,
    since: 18,
    reason: 'NOT NULL as a constraint of the table came with PostgreSQL 18',
    remedy: 'Declare NOT NULL at the column itself on the source, or choose a newer target',
    source: 'release notes of PostgreSQL 18',
  },
  {
    kinds: ['CONSTRAINT', 'CHECK CONSTRAINT'],
    syntax: /\bADD CONSTRAINT \S+ NOT NULL\b/,
    since: 18,
    reason: 'NOT NULL as a constraint of its own came with PostgreSQL 18',
    remedy: 'Validate it on the source, or choose a newer target',
    source: 'release notes of PostgreSQL 18',
  },
  {
    kinds: ['SEQUENCE'],
    syntax: /^\s*CREATE UNLOGGED SEQUENCE\b/,
    since: 15,
    without: /(?<=^\s*CREATE )UNLOGGED /g,
    reason: 'restored as a logged sequence: unlogged ones came with PostgreSQL 15',
    remedy: 'None needed',
    source: 'release notes of PostgreSQL 15',
  },
  {
    kinds: ['INDEX', 'CONSTRAINT'],
    syntax: /\b\w+_ops \(/,
    since: 13,
    reason: 'parameters of operator classes came with PostgreSQL 13',
    remedy: 'Create the index without them on the source, or choose a newer target',
    source: 'release notes of PostgreSQL 13',
  },
  {
    kinds: ['VIEW', 'MATERIALIZED VIEW', 'INDEX', 'CONSTRAINT', 'CHECK CONSTRAINT', ...table],
    syntax: /\bIS (NOT )?JSON\b|\bJSON_(OBJECT|ARRAY|OBJECTAGG|ARRAYAGG)\(/,
    since: 16,
    reason: 'it uses SQL/JSON, which came with PostgreSQL 16',
    remedy: 'Use json_build_object and the like on the source, or choose a newer target',
    source: 'release notes of PostgreSQL 16',
  },
  {
    kinds: ['DEFAULT ACL'],
    syntax: /\bON LARGE OBJECTS\b/,
    since: 18,
    trifle: true,
    reason: 'default privileges on large objects came with PostgreSQL 18',
    remedy: 'Grant on each large object',
    source: 'release notes of PostgreSQL 18',
  },
  {
    kinds: ['PUBLICATION'],
    syntax: /\bpublish_generated_columns\b/,
    since: 18,
    without: /,\s*publish_generated_columns\s*=\s*\w+/g,
    reason: 'restored without publish_generated_columns, which came with PostgreSQL 18',
    remedy: 'Choose a newer target if subscribers need it',
    source: 'release notes of PostgreSQL 18',
  },
  {
    kinds: ['FUNCTION', 'PROCEDURE'],
    syntax: /\bBEGIN ATOMIC\b/,
    since: 14,
    reason: 'bodies in BEGIN ATOMIC came with PostgreSQL 14',
    remedy: 'Write the body as a string (AS $$…$$) on the source, or choose a newer target',
    source: behaviour6a,
  },
  {
    kinds: ['FUNCTION', 'PROCEDURE'],
    syntax: /\bRETURN\s+(?!NULL\b)[^;]*;\s*$/,
    since: 14,
    reason: 'bodies in RETURN came with PostgreSQL 14',
    remedy: 'Write the body as a string (AS $$…$$) on the source, or choose a newer target',
    source: behaviour6a,
  },
  {
    kinds: ['PROCEDURE'],
    since: 11,
    reason: 'procedures came with PostgreSQL 11',
    remedy: 'Choose a newer target',
    source: 'release notes of PostgreSQL 11',
  },
  {
    kinds: ['PROCEDURE'],
    syntax: /[(,]\s*OUT\s/,
    since: 14,
    reason: 'procedures with OUT arguments came with PostgreSQL 14',
    remedy: 'Use INOUT arguments on the source, or choose a newer target',
    source: behaviour6a,
  },
  {
    kinds: ['FUNCTION'],
    syntax: /\bSUPPORT\s+\S+/,
    since: 12,
    without: /\s+SUPPORT\s+\S+/g,
    reason: 'restored without its planner support function, which came with PostgreSQL 12',
    remedy: 'None needed: only plans may differ',
    source: 'release notes of PostgreSQL 12',
  },
  {
    kinds: ['ACCESS METHOD'],
    syntax: /\bTYPE TABLE\b/,
    since: 12,
    reason: 'table access methods came with PostgreSQL 12',
    remedy: 'Move its tables to heap on the source',
    source: behaviour6a,
  },
  {
    kinds: ['COLLATION'],
    syntax: /\bdeterministic\s*=\s*false\b/,
    since: 12,
    reason: 'nondeterministic collations came with PostgreSQL 12',
    remedy: 'Use citext or a lower() index on the source, or choose a newer target',
    source: behaviour6a,
  },
  {
    kinds: ['COLLATION'],
    syntax: /\brules\s*=/,
    since: 16,
    reason: 'ICU rules came with PostgreSQL 16',
    remedy: 'Use a collation without rules on the source, or choose a newer target',
    source: 'release notes of PostgreSQL 16',
  },
  {
    kinds: ['COLLATION'],
    syntax: /\bprovider\s*=\s*builtin\b/,
    since: 17,
    reason: 'the builtin locale provider came with PostgreSQL 17',
    remedy: 'Use a libc or ICU collation on the source, or choose a newer target',
    source: 'release notes of PostgreSQL 17',
  },
  {
    kinds: ['TYPE'],
    syntax: /\bmultirange_type_name\s*=/,
    since: 14,
    without: /,?\s*multirange_type_name\s*=\s*[^,\s)]+/g,
    reason: 'restored without its multirange type, which came with PostgreSQL 14',
    remedy: 'None needed unless a column or function uses the multirange type',
    source: behaviour6a,
  },
  {
    kinds: [...table, ...routine, 'VIEW', 'MATERIALIZED VIEW', 'TYPE', 'DOMAIN'],
    syntax: /\b(int4|int8|num|ts|tstz|date)multirange\b/,
    since: 14,
    reason: 'multirange types came with PostgreSQL 14',
    remedy: 'Turn the column into an array of ranges on the source, or choose a newer target',
    source: behaviour6a,
  },
  {
    kinds: ['STATISTICS'],
    syntax: /\(\s*(?!ndistinct|dependencies)[^)]*\bmcv\b/,
    since: 12,
    trifle: true,
    reason: 'statistics of kind mcv came with PostgreSQL 12',
    remedy: 'None needed: only plans may differ',
    source: behaviour6a,
  },
  {
    kinds: ['STATISTICS'],
    syntax: /\bON\s+[^;]*\(/,
    since: 14,
    trifle: true,
    reason: 'statistics on expressions came with PostgreSQL 14',
    remedy: 'None needed: only plans may differ',
    source: behaviour6a,
  },
  {
    kinds: ['STATISTICS'],
    syntax: /\bALTER STATISTICS\b/,
    since: 13,
    without: /\s*ALTER STATISTICS [^;]*;/g,
    reason: 'restored without its statistics target, which came with PostgreSQL 13',
    remedy: 'None needed: only plans may differ',
    source: 'release notes of PostgreSQL 13',
  },
  {
    kinds: ['STATISTICS'],
    since: 10,
    trifle: true,
    reason: 'extended statistics came with PostgreSQL 10',
    remedy: 'None needed: only plans may differ',
    source: 'release notes of PostgreSQL 10',
  },
  {
    kinds: ['STATISTICS DATA'],
    since: 18,
    trifle: true,
    reason: 'planner statistics can be restored from PostgreSQL 18 on',
    remedy: 'None needed: ANALYZE makes them anew',
    source: 'release notes of PostgreSQL 18',
  },
  {
    kinds: ['PUBLICATION'],
    syntax: /\bpublish_via_partition_root\b/,
    since: 13,
    without: /,\s*publish_via_partition_root\s*=\s*\w+/g,
    reason: 'restored without publish_via_partition_root, which came with PostgreSQL 13',
    remedy: 'Choose a newer target if subscribers need it',
    source: 'release notes of PostgreSQL 13',
  },
  {
    kinds: ['PUBLICATION TABLE'],
    syntax: /\bADD TABLE ONLY\s+\S+\s+(\(|WHERE\b)/,
    since: 15,
    reason: 'column lists and row filters of publications came with PostgreSQL 15',
    remedy: 'Publish the whole table on the source, or choose a newer target',
    source: behaviour6a,
  },
  {
    kinds: ['VIEW'],
    syntax: /\bsecurity_invoker\b/,
    since: 15,
    reason: 'views with security_invoker came with PostgreSQL 15',
    remedy:
      'Do without security_invoker on the source, or choose a newer target: it decides who sees which rows',
    source: 'release notes of PostgreSQL 15',
  },
  {
    kinds: ['INDEX', 'CONSTRAINT'],
    syntax: /\bdeduplicate_items\b/,
    since: 13,
    without: /\s*WITH \(deduplicate_items=[^,)]*\)/g,
    reason: 'restored without deduplicate_items, which came with PostgreSQL 13',
    remedy: 'None needed: only the size of the index may differ',
    source: 'release notes of PostgreSQL 13',
  },
]

/** Storage parameters that an older server refuses with the whole table. */
function storageParameters(names: string, since: number): Limit {
  const one = `(?:toast\\.)?(?:${names})='[^']*'`
  return {
    kinds: ['TABLE', 'MATERIALIZED VIEW'],
    syntax: new RegExp(one),
    since,
    without: new RegExp(`,\\s*${one}|${one},\\s*|\\s*WITH \\(${one}\\)`, 'g'),
    reason: `restored without storage parameters that came with PostgreSQL ${since}`,
    remedy: 'None needed: vacuum works by the defaults of the target',
    source: `release notes of PostgreSQL ${since}`,
  }
}

/** Functions of the system that an older server does not have, where they most often are. */
function systemFunctions(names: string, since: number): Limit {
  return {
    kinds: [...table, 'DEFAULT', 'VIEW', 'MATERIALIZED VIEW', 'INDEX', 'DOMAIN'],
    // with an empty search_path only functions of pg_catalog are printed without their schema
    syntax: new RegExp(`(?<![\\w."])(?:${names})\\(`),
    since,
    reason: `it uses a function that came with PostgreSQL ${since} (${names.replaceAll('|', ', ')})`,
    remedy: 'Use a function on the source that both versions have, of an extension for instance',
    source: `release notes of PostgreSQL ${since}`,
  }
}

/** Settings whose superuser-only context makes a function's SET clause fail (polardb-behaviour 6b). */
export const superuserContexts: ReadonlySet<string> = new Set(['superuser', 'superuser-backend'])

/** Databases of PostgreSQL's and PolarDB's own, never dropped (polardb-behaviour, "Fresh PolarDB"). */
export const systemDatabases: ReadonlySet<string> = new Set([
  'postgres',
  'template0',
  'template1',
  'polardb_admin',
])
