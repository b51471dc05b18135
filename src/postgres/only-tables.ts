/**
 * SQL: a condition that is always true, in a statement that reads the relation `name`, and that makes the statement an error
 * before anything of it runs where that is no table: a sample can be taken of tables and materialized views alone, and of
 * what is one the server makes sure when it looks the name up (PostgreSQL source, transformRangeTableSample). Between our look
 * at the catalogs and the reading of rows the owner of a table may have put a view in its place, and what a view calls runs
 * with the rights of who reads it (CVE-2024-7348 is the same of pg_dump). The sample itself is taken by no plan.
 *
 * @param name qualified and quoted
 * @param number `server_version_num`; before 9.5 there are no samples, and no such condition
 */
export function isTable(name: string, number: number): string {
  return number >= 90_500
    ? `(true OR EXISTS (SELECT 1 FROM ONLY ${name} TABLESAMPLE pg_catalog.system (0)))`
    : 'true'
}

/**
 * The setting that keeps a session from reading views that the server did not bring, and its value for that. Servers of 12 and
 * newer have it since August 2024 (release notes of 12.20, 13.16, 14.13, 15.8 and 16.4).
 */
export const restriction = ['restrict_nonsystem_relation_kind', 'view, foreign-table'] as const
