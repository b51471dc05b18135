import type { TestServer } from './server.ts'

/** Columns that vacuum and ANALYZE set. */
const ownAffairs = [
  ...['relpages', 'reltuples', 'relallvisible', 'relallfrozen', 'relfrozenxid', 'relminmxid'],
  ...['datfrozenxid', 'datminmxid'],
]

/** The catalogs of a database, and the columns of each that are compared. */
const catalogs = `
  SELECT c.relname AS name, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
   WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND c.relname !~ '^pg_statistic'
     AND (a.attnum > 0 OR a.attname = 'oid') AND a.attname <> ALL ($1)
   GROUP BY c.relname ORDER BY 1`

/**
 * Everything that the catalogs of a server hold, in every database: a digest of the rows of each catalog, roles with their
 * passwords, settings and comments included; aside from what vacuum and statistics change of themselves.
 */
export async function dumpCatalogs(server: TestServer): Promise<Record<string, string>> {
  const digests: Record<string, string> = {}
  const { rows: databases } = await server.sql(
    'SELECT datname AS name FROM pg_database WHERE datallowconn ORDER BY 1',
  )
  for (const { name } of databases as { name: string }[]) {
    const client = await server.connect(name)
    try {
      const { rows } = await client.query<{ name: string; columns: string }>(catalogs, [ownAffairs])
      for (const { name: catalog, columns } of rows) {
        // a row as text takes a third of what it takes as JSON
        const { rows: found } = await client.query<{ digest: string }>(
          `SELECT count(*) || ' ' || md5(COALESCE(string_agg(r, E'\\n' ORDER BY r COLLATE "C"), '')) AS digest
             FROM (SELECT ROW(${columns})::text AS r FROM pg_catalog.${catalog}) x`,
        )
        digests[`${name}.${catalog}`] = found[0]?.digest ?? ''
      }
      // objects that a session made for itself and left
      const { rows: temporary } = await client.query<{ count: string }>(
        `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname ~ '^pg_temp'`,
      )
      digests[`${name} temporary`] = temporary[0]?.count ?? ''
    } finally {
      await client.end()
    }
  }
  return digests
}
