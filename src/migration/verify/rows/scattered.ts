import type pg from 'pg'

/** A name of two parts. */
interface Name {
  schema: string
  name: string
}

/**
 * Finds the partitions whose rows may lie in others of the same partitioned table on another server: where that is partitioned by the
 * hash of an enum, since enums are hashed by the OIDs of their labels. pg_dump sends their rows through the partitioned table, by the
 * very same sign (PostgreSQL source, pg_dump.c: getPartitioningInfo).
 *
 * @param server `server_version_num`
 * @returns the uppermost such table of each, by the OID of the partition
 */
export async function scatteredTables(
  client: pg.Client,
  server: number,
): Promise<ReadonlyMap<number, Name>> {
  if (server < 110_000) return new Map()
  const { rows } = await client.query<Name & { relation: string; root: string }>(
    `WITH RECURSIVE scattered (root, relation) AS (
       SELECT p.partrelid, p.partrelid FROM pg_catalog.pg_partitioned_table p
        WHERE p.partstrat = 'h'
          AND (SELECT o.oid FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am a ON a.oid = o.opcmethod
                WHERE o.opcname = 'enum_ops' AND o.opcnamespace = 'pg_catalog'::pg_catalog.regnamespace
                  AND a.amname = 'hash') = ANY (p.partclass)
       UNION SELECT s.root, i.inhrelid FROM scattered s JOIN pg_catalog.pg_inherits i ON i.inhparent = s.relation)
     SELECT s.relation::pg_catalog.text, s.root::pg_catalog.text, n.nspname AS schema, c.relname AS name
       FROM scattered s JOIN pg_catalog.pg_class c ON c.oid = s.root JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace`,
  )
  const below = new Set(
    rows.filter(({ relation, root }) => relation !== root).map((row) => row.relation),
  )
  return new Map(
    rows
      .filter(({ root }) => !below.has(root))
      .map(({ relation, schema, name }) => [Number(relation), { schema, name }]),
  )
}
