import type pg from 'pg'
import { quoteLiteral } from '../../../postgres/identifiers.ts'
import { firstNormalOid } from '../plan/target-facts.ts'
import { markSchema } from './mark.ts'

/** Whether the account may create schemas and the like in the database that it is connected to. */
export async function mayCreate(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ able: boolean }>(
    `SELECT pg_catalog.has_database_privilege(session_user, pg_catalog.current_database(), 'CREATE') AS able`,
  )
  return rows[0]?.able ?? false
}

/** Names that existingObjects gives at most. */
export const mostObjects = 1000

/** Objects that need no schema, or may be in one of the system's: catalog, column of the name, kind, since which version. */
const others: readonly (readonly [string, string, string, number?])[] = [
  ['pg_publication', 'pubname', 'publication', 100_000],
  ['pg_event_trigger', 'evtname', 'event trigger', 90_300],
  ['pg_foreign_data_wrapper', 'fdwname', 'foreign-data wrapper'],
  ['pg_foreign_server', 'srvname', 'server'],
  ['pg_language', 'lanname', 'language'],
  ['pg_collation', 'collname', 'collation', 90_100],
  ['pg_conversion', 'conname', 'conversion'],
  ['pg_operator', 'oprname', 'operator'],
  ['pg_opfamily', 'opfname', 'operator family'],
  ['pg_ts_config', 'cfgname', 'text search configuration'],
  ['pg_ts_dict', 'dictname', 'text search dictionary'],
  ['pg_am', 'amname', 'access method'],
]

/** Before version 12 nobody but a superuser may read the oid of one; none is of the server's own. */
const subscriptions = `
      UNION ALL
      SELECT 'pg_subscription'::pg_catalog.regclass, ${firstNormalOid}::pg_catalog.oid, 'subscription ' || s.subname FROM pg_catalog.pg_subscription s
       WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`

/**
 * What a database holds beyond a new one: objects that initdb did not make and no extension brought, by name; at most
 * mostObjects.
 *
 * @param number `server_version_num` where it may be below 10: 8.4 or newer
 */
export async function existingObjects(
  client: pg.Client,
  number = Number.POSITIVE_INFINITY,
): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `${objectsQuery(number)} SELECT name FROM found ORDER BY name LIMIT ${mostObjects}`,
  )
  return rows.map(({ name }) => name)
}

/** The beginning of a query over `found(class, oid, name)`: what existingObjects tells, without a limit. */
export function objectsQuery(number = Number.POSITIVE_INFINITY): string {
  const known = others.filter(([, , , since = 0]) => since <= number)
  return `
    WITH objects AS (
      SELECT 'pg_class'::pg_catalog.regclass AS class, c.oid, n.nspname || '.' || c.relname AS name
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'v', 'm', 'S', 'f', 'p') AND n.nspname !~ '^pg_(toast|temp)'
      UNION ALL
      SELECT 'pg_proc'::pg_catalog.regclass, p.oid, n.nspname || '.' || p.proname
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      UNION ALL
      SELECT 'pg_type'::pg_catalog.regclass, t.oid, n.nspname || '.' || t.typname
        FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
       WHERE t.typtype <> 'c' AND t.typelem = 0 AND n.nspname !~ '^pg_(toast|temp)'
      UNION ALL
      SELECT 'pg_namespace'::pg_catalog.regclass, n.oid, 'schema ' || n.nspname
        FROM pg_catalog.pg_namespace n
       WHERE n.nspname !~ '^pg_(toast_)?temp_' AND n.nspname <> ${quoteLiteral(markSchema)}
         ${number < 90_100 ? '' : 'AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_extension e WHERE e.extnamespace = n.oid)'}
      UNION ALL
      ${known.map(([catalog, column, kind]) => `SELECT '${catalog}'::pg_catalog.regclass, oid, '${kind} ' || ${column} FROM pg_catalog.${catalog}`).join(' UNION ALL ')}
      ${number < 100_000 ? '' : subscriptions}
      UNION ALL
      SELECT 'pg_largeobject'::pg_catalog.regclass, m.oid, 'large object ' || m.oid
        FROM ${number < 90_000 ? '(SELECT DISTINCT loid AS oid FROM pg_catalog.pg_largeobject)' : 'pg_catalog.pg_largeobject_metadata'} m
    ), found AS (
      SELECT o.class, o.oid, o.name FROM objects o
       -- whoever makes a large object may choose its number, and initdb makes none
       WHERE (o.oid >= ${firstNormalOid} OR o.class = 'pg_largeobject'::pg_catalog.regclass)
         AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                          WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e'))`
}
