import type { Limit } from './limit.ts'
import { usesType } from './syntax.ts'

const queries = ['VIEW', 'MATERIALIZED VIEW', 'RULE', 'POLICY'] as const

/** Kinds of entries that hold expressions. */
export const expressions = [
  'TABLE',
  'FOREIGN TABLE',
  ...queries,
  'DEFAULT',
  'CONSTRAINT',
  'CHECK CONSTRAINT',
  'INDEX',
  'TRIGGER',
  'DOMAIN',
  'FUNCTION',
  'PROCEDURE',
] as const

/**
 * What expressions and queries use that a server older than the source does not know. Each rests on the release notes
 * (https://www.postgresql.org/docs/release/) of the major that `since` names.
 */
export const expressionsOfNewer: readonly Limit[] = [
  ...systemFunctions(
    'jsonb_path_exists|jsonb_path_match|jsonb_path_query|jsonb_path_query_array|jsonb_path_query_first|sinh|cosh|tanh|asinh|acosh|atanh|log10|pg_partition_tree|pg_partition_root|pg_partition_ancestors',
    12,
  ),
  ...systemFunctions(
    'gen_random_uuid|gcd|lcm|min_scale|trim_scale|jsonb_set_lax|jsonb_path_exists_tz|jsonb_path_match_tz|jsonb_path_query_tz|NORMALIZE|pg_current_xact_id|pg_current_xact_id_if_assigned|pg_current_snapshot|pg_xact_status|pg_visible_in_snapshot|pg_snapshot_xmin|pg_snapshot_xmax|pg_snapshot_xip',
    13,
  ),
  ...systemFunctions(
    'date_bin|string_to_table|bit_xor|bit_count|trim_array|unistr|range_agg|range_intersect_agg|multirange|int4multirange|int8multirange|nummultirange|tsmultirange|tstzmultirange|datemultirange',
    14,
  ),
  ...systemFunctions('regexp_like|regexp_count|regexp_instr|regexp_substr', 15),
  ...systemFunctions(
    'any_value|array_shuffle|array_sample|erf|erfc|random_normal|date_add|date_subtract|pg_input_is_valid|pg_input_error_info',
    16,
  ),
  ...systemFunctions(
    'JSON_TABLE|JSON_VALUE|JSON_QUERY|JSON_EXISTS|JSON_SCALAR|JSON_SERIALIZE|JSON|to_bin|to_oct|xmltext|uuid_extract_version|uuid_extract_timestamp|unicode_assigned|pg_basetype',
    17,
  ),
  ...systemFunctions(
    'uuidv4|uuidv7|casefold|array_reverse|array_sort|crc32|crc32c|gamma|lgamma',
    18,
  ),
  types(
    ['jsonpath'],
    12,
    'Turn the column into text on the source (ALTER TABLE … ALTER COLUMN … TYPE text)',
  ),
  types(['xid8', 'pg_snapshot'], 13, 'Turn the column into bigint (xid8) or text on the source'),
  types(
    ['anycompatible', 'anycompatiblearray', 'anycompatiblenonarray', 'anycompatiblerange'],
    13,
    'Use anyelement and anyarray on the source',
  ),
  types(['regcollation'], 13, 'Turn the column into text on the source'),
  types(['anymultirange', 'anycompatiblemultirange'], 14, 'Use arrays of ranges on the source'),
  query(
    /\bAS (NOT )?MATERIALIZED \(/,
    12,
    'WITH … AS MATERIALIZED',
    'Leave the word out on the source',
  ),
  query(
    /\bWITH TIES\b/,
    13,
    'FETCH FIRST … WITH TIES',
    'Use a window function (rank) on the source',
  ),
  query(
    /\bIS (NOT )?(NFC |NFD |NFKC |NFKD )?NORMALIZED\b/,
    13,
    'IS NORMALIZED',
    'Do without it on the source',
  ),
  query(
    /\b(SEARCH (BREADTH|DEPTH) FIRST|CYCLE) \S+.*\bSET\b/s,
    14,
    'SEARCH and CYCLE',
    'Write the columns that they add on the source',
  ),
  query(
    /\bGROUP BY DISTINCT\b/,
    14,
    'GROUP BY DISTINCT',
    'Do without DISTINCT there on the source',
  ),
  query(
    /\bSUBSTRING\([^;]*\bSIMILAR\b/,
    14,
    'SUBSTRING … SIMILAR',
    'Use substring with a regular expression on the source',
  ),
  query(
    /\bUSING \([^)]*\) AS \S/,
    14,
    'an alias for JOIN … USING',
    'Do without the alias on the source',
  ),
  query(
    /\bNO INDENT\)|\bINDENT\)/,
    16,
    'XMLSERIALIZE with INDENT',
    'Do without INDENT on the source',
  ),
  query(
    /\bAT LOCAL\b/,
    17,
    'AT LOCAL',
    "Use AT TIME ZONE current_setting('TimeZone') on the source",
  ),
]

/** Functions of the system that an older server does not have, a rule each. */
function systemFunctions(names: string, since: number): Limit[] {
  return names.split('|').map((name) => ({
    kinds: [...expressions],
    // with an empty search_path only functions of pg_catalog are printed without their schema
    syntax: new RegExp(`(?<![\\w."])${name}\\(`),
    since,
    from: since,
    reason: `it uses a function that came with PostgreSQL ${since} (${name})`,
    remedy: 'Use a function on the source that both versions have, of an extension for instance',
  }))
}

/** Types that an older server does not have, where a type is named: with its table the rows are lost. */
function types(names: readonly string[], since: number, remedy: string): Limit {
  return {
    kinds: [...expressions, 'AGGREGATE', 'TYPE', 'CAST', 'OPERATOR', 'TRANSFORM'],
    syntax: usesType(names),
    since,
    from: since,
    reason: `it uses a type that came with PostgreSQL ${since} (${names.join(', ')})`,
    remedy: `${remedy}, or choose a newer target`,
  }
}

/** Syntax of queries that an older server cannot read. */
function query(syntax: RegExp, since: number, what: string, remedy: string): Limit {
  return {
    kinds: [...queries],
    syntax,
    since,
    reason: `it uses ${what}, which came with PostgreSQL ${since}`,
    remedy: `${remedy}, or choose a newer target`,
  }
}
