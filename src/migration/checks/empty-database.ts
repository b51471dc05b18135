import type pg from 'pg'
import { contentOf } from '../restore/database/existing-objects.ts'
import { firstNormalOid } from '../restore/plan/target-facts.ts'

/** The first version with extensions, which tell what is whose. */
const oldest = 90_100

/**
 * Whether the database that a session of the source is connected to holds nothing that a migration would carry: no object, no
 * extension but those of a new database, no default privileges, no settings of its own. One of an older server counts as full.
 *
 * @param number `server_version_num`
 */
export async function isEmptyDatabase(client: pg.Client, number: number): Promise<boolean> {
  if (number < oldest) return false
  const { rows } = await client.query<{ some: boolean }>(`
    SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE oid >= ${firstNormalOid})
        OR EXISTS (SELECT FROM pg_catalog.pg_default_acl)
        OR EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
                    WHERE d.datname = pg_catalog.current_database()) AS some`)
  return !rows[0]?.some && (await contentOf(client, number)).length === 0
}
