import type pg from 'pg'
import { roleSettings } from '../../postgres/roles/catalog.ts'
import { existingObjects } from '../restore/database/existing-objects.ts'
import { firstNormalOid } from '../restore/plan/target-facts.ts'

/**
 * Whether the database that a session of the source is connected to holds nothing that a migration would carry: no object, no
 * extension but those of a new database, no default privileges, no settings of its own.
 *
 * @param number `server_version_num`
 */
export async function isEmptyDatabase(client: pg.Client, number: number): Promise<boolean> {
  const { rows } = await client.query<{ some: boolean }>(`
    SELECT ${number >= 90_100 ? `EXISTS (SELECT 1 FROM pg_catalog.pg_extension WHERE oid >= ${firstNormalOid})` : 'false'}
        OR ${number >= 90_000 ? 'EXISTS (SELECT 1 FROM pg_catalog.pg_default_acl)' : 'false'}
        OR EXISTS (SELECT 1 FROM ${roleSettings(number)} s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
                    WHERE d.datname = pg_catalog.current_database()) AS some`)
  return !rows[0]?.some && (await existingObjects(client, number)).length === 0
}
