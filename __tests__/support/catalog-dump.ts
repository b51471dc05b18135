import type { TestServer } from './server.ts'

/** Columns that vacuum and ANALYZE set. */
const ownAffairs = [
  ...['relpages', 'reltuples', 'relallvisible', 'relallfrozen', 'relfrozenxid', 'relminmxid'],
  ...['datfrozenxid', 'datminmxid'],
]

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
      const { rows } = await client.query<{ name: string }>(
        `SELECT relname AS name FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'
            AND relname !~ '^pg_statistic' ORDER BY 1`,
      )
      for (const { name: catalog } of rows) {
        const { rows: found } = await client.query<{ digest: string }>(
          `SELECT count(*) || ' ' || md5(COALESCE(string_agg(r, E'\\n' ORDER BY r COLLATE "C"), '')) AS digest
             FROM (SELECT (to_jsonb(t) - $1::text[])::text AS r FROM pg_catalog.${catalog} t) x`,
          [ownAffairs],
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
