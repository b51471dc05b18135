/**
 * What of an object is compared, where a catalog's column holds more than a dump carries: never the raw column, which a
 * server may use for notes of its own (PostgreSQL 15.20 stamps the options of each new column with `pg_attver`).
 */

/** Options of a column: `ALTER TABLE … ALTER COLUMN … SET (…)` (PostgreSQL, ALTER TABLE; reloptions.c, attopt). */
export const columnOptions = ['n_distinct', 'n_distinct_inherited'] as const

/** Storage parameters of the TOAST table, which a dump writes as `toast.…` (reloptions.c, RELOPT_KIND_TOAST). */
export const toastOptions = [
  'autovacuum_enabled',
  'autovacuum_freeze_max_age',
  'autovacuum_freeze_min_age',
  'autovacuum_freeze_table_age',
  'autovacuum_multixact_freeze_max_age',
  'autovacuum_multixact_freeze_min_age',
  'autovacuum_multixact_freeze_table_age',
  'autovacuum_vacuum_cost_delay',
  'autovacuum_vacuum_cost_limit',
  'autovacuum_vacuum_insert_scale_factor',
  'autovacuum_vacuum_insert_threshold',
  'autovacuum_vacuum_max_threshold',
  'autovacuum_vacuum_scale_factor',
  'autovacuum_vacuum_threshold',
  'log_autovacuum_min_duration',
  'vacuum_index_cleanup',
  'vacuum_max_eager_freeze_failure_rate',
  'vacuum_truncate',
] as const

/** Storage parameters of tables and materialized views, and options of views (CREATE TABLE, CREATE VIEW; 9.1 to 18). */
export const relationOptions = [
  ...toastOptions,
  'autovacuum_analyze_scale_factor',
  'autovacuum_analyze_threshold',
  'fillfactor',
  'parallel_workers',
  'toast_tuple_target',
  'user_catalog_table',
  'check_option',
  'security_barrier',
  'security_invoker',
] as const

/** Settings that are lists of names: a dump writes them anew, member by member (PostgreSQL, variable_is_guc_list_quote). */
const listSettings = [
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'temp_tablespaces',
]

/** SQL: a setting `name=value` in the form that it has once a dump has carried it: blanks and needless quotation marks of lists. */
export function settingText(setting: string): string {
  const list = listSettings.map((name) => `'${name}'`).join(', ')
  return `CASE WHEN pg_catalog.split_part(${setting}, '=', 1) IN (${list})
    THEN pg_catalog.regexp_replace(pg_catalog.regexp_replace(${setting}, '[[:space:]]*,[[:space:]]*', ', ', 'g'), '"([a-z_][a-z0-9_$]*)"', E'\\\\1', 'g')
    ELSE ${setting} END`
}
