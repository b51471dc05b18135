import type { Limit } from './limit.ts'
import { hasParameter, isPostfixOperator, usesType } from './syntax.ts'

const table = ['TABLE', 'FOREIGN TABLE'] as const
const routine = ['FUNCTION', 'PROCEDURE', 'AGGREGATE'] as const
const queries = ['VIEW', 'MATERIALIZED VIEW', 'RULE', 'POLICY', 'FUNCTION', 'PROCEDURE'] as const
const expressions = [
  ...table,
  ...queries,
  'DEFAULT',
  'CONSTRAINT',
  'CHECK CONSTRAINT',
  'INDEX',
  'TRIGGER',
  'DOMAIN',
] as const

const orQuoteAll = 'or dump with dump-options: --quote-all-identifiers'

/**
 * What a server newer than the source has removed, each with what takes its place: the lists "Migration to Version N" of the
 * release notes of 10 to 18 (https://www.postgresql.org/docs/release/), as far as an archive can hold it. `until` is the last
 * version that knows it.
 */
export const removedInNewer: readonly Limit[] = [
  {
    kinds: [
      ...table,
      ...routine,
      'VIEW',
      'MATERIALIZED VIEW',
      'TYPE',
      'DOMAIN',
      'CAST',
      'OPERATOR',
    ],
    syntax: usesType(['abstime', 'reltime', 'tinterval']),
    until: 11,
    reason: 'the types abstime, reltime and tinterval were removed in PostgreSQL 12',
    remedy:
      'On the source: ALTER TABLE … ALTER COLUMN … TYPE timestamptz (abstime) or interval (reltime), and two timestamptz columns for a tinterval',
  },
  {
    kinds: [...table, 'TYPE'],
    syntax: usesType(['unknown']),
    until: 9,
    reason: 'no column can be of the type unknown since PostgreSQL 10',
    remedy: 'On the source: ALTER TABLE … ALTER COLUMN … TYPE text',
  },
  {
    kinds: routine,
    syntax: usesType(['opaque']),
    until: 12,
    reason: 'the pseudo-type opaque was removed in PostgreSQL 13',
    remedy:
      'Create the function on the source with the type that is meant: trigger, cstring or internal',
  },
  {
    kinds: ['OPERATOR'],
    syntax: isPostfixOperator,
    until: 13,
    reason: 'postfix operators were removed in PostgreSQL 14',
    remedy: 'Use a function or a prefix operator in its place on the source, and drop the operator',
  },
  {
    kinds: expressions,
    syntax: /[\w)'"] !!?\)|\(!! \d/,
    until: 13,
    qualified: true,
    reason:
      'the operators ! and !! for factorials, and all postfix operators, were removed in PostgreSQL 14',
    remedy: 'Use the function factorial() on the source',
  },
  {
    kinds: expressions,
    syntax: /[\w)\]'"] @ [\w('"]/,
    until: 13,
    qualified: true,
    reason: 'the operator @ of geometric types was removed in PostgreSQL 14',
    remedy: 'Use <@ in its place on the source',
  },
  {
    kinds: ['AGGREGATE', 'OPERATOR'],
    syntax: (masked) => refersToArrayFunction(masked),
    until: 13,
    reason:
      'it is made of a function of arrays (array_append, array_cat and the like) whose arguments are of other pseudo-types since PostgreSQL 14',
    remedy:
      'Drop it on the source and create it anew on the target with anycompatiblearray and anycompatible for anyarray and anyelement; array_agg often takes its place',
  },
  {
    kinds: ['INDEX', 'CONSTRAINT'],
    syntax: /\bvacuum_cleanup_index_scale_factor\b/,
    until: 13,
    without: {
      words:
        /,\s*vacuum_cleanup_index_scale_factor='[^']*'|vacuum_cleanup_index_scale_factor='[^']*',\s*|\s*WITH \(vacuum_cleanup_index_scale_factor='[^']*'\)/g,
      facets: ['definition', 'options'],
    },
    reason:
      'restored without vacuum_cleanup_index_scale_factor, which was removed in PostgreSQL 14',
    remedy: 'None needed: vacuum decides by itself',
  },
  {
    kinds: ['TABLE'],
    syntax: (masked) =>
      /^\s*CREATE UNLOGGED TABLE\b/.test(masked) && /\)\s*PARTITION BY\b/.test(masked),
    until: 17,
    without: { words: /(?<=^\s*CREATE )UNLOGGED /g, facets: ['persistence'] },
    reason: 'restored without UNLOGGED, which no partitioned table can be since PostgreSQL 18',
    remedy: 'None needed: it never had an effect on a partitioned table',
  },
  {
    // where the statement is still one, the server's function would stand in the name's place
    kinds: [...expressions, 'TYPE'],
    syntax: /(?<![\w."]|\bAS )system_user\b/,
    until: 15,
    reason: 'something in it is called system_user, which means the session since PostgreSQL 16',
    remedy: `Give it another name on the source, ${orQuoteAll}`,
  },
  parameters('normalize', 12),
  parameters('json_array|json_arrayagg|json_object|json_objectagg', 15),
  parameters(
    'json|json_exists|json_query|json_scalar|json_serialize|json_table|json_value|merge_action',
    16,
  ),
  functions(
    'pg_\\w*xlog\\w*',
    9,
    'functions with xlog in their names',
    'Use the functions with wal and lsn in their names: create it anew on the target',
  ),
  functions(
    'pg_start_backup|pg_stop_backup|pg_is_in_backup|pg_backup_start_time',
    14,
    'pg_start_backup, pg_stop_backup and the like',
    'Use pg_backup_start and pg_backup_stop: create it anew on the target',
  ),
  functions(
    'numeric_fac|abstime|reltime|tinterval|timenow',
    11,
    'functions of the types abstime and reltime',
    'Use those of timestamptz and interval on the source',
  ),
  columns('pg_proc', 'proisagg|proiswindow', 10, 'Use prokind on the target'),
  columns('pg_class', 'relhaspkey', 10, 'Ask pg_index for indisprimary'),
  columns('pg_class', 'relhasoids', 11, 'Do without: no table has OIDs any more'),
  columns('pg_constraint', 'consrc', 11, 'Use pg_get_constraintdef or pg_get_expr'),
  columns('pg_attrdef', 'adsrc', 11, 'Use pg_get_expr(adbin, adrelid)'),
  columns('pg_stat_activity', 'procpid|current_query', 9, 'Use pid, query and state'),
  columns('pg_stat_activity', 'waiting', 9, 'Use wait_event and wait_event_type'),
  columns(
    'pg_stat_replication',
    '(?:sent|write|flush|replay)_location',
    9,
    'Use the columns that end in _lsn',
  ),
  columns('pg_database', 'daticulocale', 16, 'Use datlocale'),
  columns('pg_collation', 'colliculocale', 16, 'Use colllocale'),
  columns(
    'pg_stat_bgwriter',
    'checkpoints_timed|checkpoints_req|checkpoint_write_time|checkpoint_sync_time|buffers_checkpoint|buffers_backend|buffers_backend_fsync',
    16,
    'Use pg_stat_checkpointer and pg_stat_io',
  ),
  columns('pg_stat_wal', 'wal_write|wal_sync|wal_write_time|wal_sync_time', 17, 'Use pg_stat_io'),
  columns('pg_attribute', 'attcacheoff', 17, 'Do without'),
  relation('pg_pltemplate', 12, 'Do without: extensions describe languages'),
]

const arrayFunction =
  /\b(?:SFUNC|FINALFUNC|MSFUNC|FUNCTION|PROCEDURE)\s*=\s*(?:pg_catalog\.)?(?:array_(?:append|prepend|cat|positions?|remove|replace)|width_bucket)\b/

/** With an anyarray in it: for arrays of one type the functions are found as before. */
function refersToArrayFunction(masked: string): boolean {
  return arrayFunction.test(masked) && /\banyarray\b|\banyelement\b/.test(masked)
}

/** Key words that name no parameter without quotes, which an older server does not put around them (PostgreSQL, "SQL Key Words"). */
function parameters(names: string, until: number): Limit {
  return {
    kinds: routine,
    syntax: hasParameter(names),
    until,
    reason: `a parameter of it is called as a key word of PostgreSQL ${until + 1} (${names.replaceAll('|', ', ')})`,
    remedy: `Create it on the source with another name of the parameter, ${orQuoteAll}`,
  }
}

function functions(names: string, until: number, what: string, remedy: string): Limit {
  return {
    kinds: [...expressions],
    // with an empty search_path only functions of pg_catalog are printed without their schema
    syntax: new RegExp(`(?<![\\w."])(?:${names})\\(`),
    until,
    qualified: true,
    reason: `it uses ${what}, which PostgreSQL ${until + 1} removed or renamed`,
    remedy,
  }
}

function columns(catalog: string, names: string, until: number, remedy: string): Limit {
  const from = new RegExp(`\\b${catalog}\\b`)
  const column = new RegExp(`\\b(?:${names})\\b`)
  return {
    kinds: [...queries],
    syntax: (masked) => from.test(masked) && column.test(masked),
    until,
    reason: `it reads a column of ${catalog} that PostgreSQL ${until + 1} no longer has (${names.replaceAll('|', ', ')})`,
    remedy: `${remedy}: create it anew on the target`,
  }
}

function relation(name: string, until: number, remedy: string): Limit {
  return {
    kinds: [...queries],
    syntax: new RegExp(`\\bFROM\\b[^;]*\\b${name}\\b`),
    until,
    reason: `it reads ${name}, which PostgreSQL ${until + 1} removed`,
    remedy,
  }
}
