import { quoteIdentifier, quoteLiteral } from '../identifiers.ts'

/**
 * Parameters whose value is a list of names that the server quotes by itself: given as one string, the whole would become
 * one name (GUC_LIST_QUOTE; variable_is_guc_list_quote in pg_dump's dumputils.c).
 */
export const listParameters: ReadonlySet<string> = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
])

/** Parameters that the server keeps under a new name when they are set under their old one (guc.c, map_old_guc_names). */
const newNames: Record<string, string> = {
  sort_mem: 'work_mem',
  vacuum_mem: 'maintenance_work_mem',
  force_parallel_mode: 'debug_parallel_query',
  ssl_ecdh_curve: 'ssl_groups',
}

/** A setting's parameters that name libraries to load on login: one that cannot be loaded makes the login fail. */
export function isPreload(parameter: string): boolean {
  return /^(local|session)_preload_libraries$/i.test(parameter)
}

/** A parameter's name for comparison: case does not matter, nor whether a server knows it by its old or new name. */
export function parameterKey(parameter: string): string {
  const name = parameter.toLowerCase()
  return newNames[name] ?? name
}

/** A key for a library and the setting that loads it: the two settings look for it in different places. */
export function preloadKey(parameter: string, library: string): string {
  return `${parameterKey(parameter)} ${library}`
}

/** The elements of a setting as pg_db_role_setting keeps it: one string but for list parameters. */
export function settingValues(parameter: string, value: string): string[] {
  if (!listParameters.has(parameter.toLowerCase())) return [value]
  const elements: string[] = []
  for (const [, quoted, plain] of value.matchAll(/"((?:[^"]|"")*)"|([^\s,"]+)/g)) {
    elements.push(quoted === undefined ? (plain ?? '') : quoted.replaceAll('""', '"'))
  }
  return elements
}

/** Whether two settings mean the same: which names of a list are quoted differs between versions. */
export function sameSetting(
  parameter: string,
  one: readonly string[],
  other: readonly string[],
): boolean {
  // pg_dumpall of old releases prints DateStyle as words, which the server then folds to lower case
  const name = parameter.toLowerCase()
  if (listParameters.has(name)) return JSON.stringify(one) === JSON.stringify(other)
  const flat = (values: readonly string[]) => {
    const parts = values.flatMap((value) => value.split(',')).map((value) => value.trim())
    return name === 'datestyle' ? parts.join().toLowerCase() : parts.join()
  }
  return one.join() === other.join() || flat(one) === flat(other)
}

/** `ALTER ROLE … SET …;` for a setting from the catalog; role null means ALL. */
export function settingStatement(
  role: string | null,
  database: string | null,
  parameter: string,
  values: readonly string[],
): string {
  const literals = values.length > 0 ? values.map((value) => quoteLiteral(value).trim()) : ["''"]
  return `${alterRole(role, database)} SET ${quoteIdentifier(parameter)} TO ${literals.join(', ')};`
}

/** `ALTER ROLE …` as far as the role and the database; role null means ALL. */
export function alterRole(role: string | null, database: string | null): string {
  const where = database === null ? '' : ` IN DATABASE ${quoteIdentifier(database)}`
  return `ALTER ROLE ${role === null ? 'ALL' : quoteIdentifier(role)}${where}`
}
