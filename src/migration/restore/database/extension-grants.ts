import type pg from 'pg'
import type * as v from 'valibot'
import { joinExtension } from '../../../postgres/portable-sql.ts'
import { fields, text } from '../../kept/schema.ts'

/**
 * Grants on a member of an extension that were made after its creation: a dump carries them in an ACL entry, without a word
 * of the extension.
 */
export const extensionGrant = fields({
  extension: text,
  /** The member's schema, empty where it has none, and the rest of its ACL entry's tag: `FUNCTION f(integer)`. */
  schema: text,
  tag: text,
})
export type ExtensionGrant = v.InferOutput<typeof extensionGrant>

/**
 * Reads which members of extensions have grants of their own, by what the ACL entries of pg_dump call them (dumpACL in
 * pg_dump.c: names are quoted where SQL must, arguments as the server prints them).
 *
 * @param client a session on any server, with an empty search_path
 * @param server `server_version_num`; before 9.6 a dump carries no such grants
 */
export async function readExtensionGrants(
  client: pg.Client,
  server: number,
): Promise<ExtensionGrant[]> {
  if (server < 90_600) return []
  const isProcedure = server >= 110_000 ? `p.prokind = 'p'` : 'false'
  const inSchema = (catalog: string, name: string, schema: string, tag: string, acl: string) =>
    `SELECT 'pg_catalog.${catalog}'::pg_catalog.regclass AS catalog, o.oid, n.nspname::pg_catalog.text AS schema, ${tag} AS tag, ${acl} AS acl, d.refobjid AS extension
       FROM pg_catalog.${catalog} o ${joinExtension(catalog, 'o')} JOIN pg_catalog.pg_namespace n ON n.oid = o.${schema} WHERE ${name} IS NOT NULL`
  const alone = (catalog: string, kind: string, name: string, acl: string) =>
    `SELECT 'pg_catalog.${catalog}'::pg_catalog.regclass, o.oid, '', '${kind} ' || pg_catalog.quote_ident(o.${name}), o.${acl}, d.refobjid
       FROM pg_catalog.${catalog} o ${joinExtension(catalog, 'o')} WHERE o.${acl} IS NOT NULL`
  const routine = `CASE WHEN ${isProcedure.replace('p.', 'o.')} THEN 'PROCEDURE ' ELSE 'FUNCTION ' END
    || pg_catalog.quote_ident(o.proname) || '(' || pg_catalog.pg_get_function_identity_arguments(o.oid) || ')'`
  const { rows } = await client.query<ExtensionGrant>(`
    SELECT e.extname::pg_catalog.text AS extension, m.schema, m.tag
      FROM (${inSchema('pg_proc', 'o.proacl', 'pronamespace', routine, 'o.proacl')}
            UNION ALL ${inSchema('pg_class', 'o.relacl', 'relnamespace', `'TABLE ' || pg_catalog.quote_ident(o.relname)`, 'o.relacl')}
            UNION ALL ${inSchema('pg_type', 'o.typacl', 'typnamespace', `'TYPE ' || pg_catalog.quote_ident(o.typname)`, 'o.typacl')}
            UNION ALL ${alone('pg_namespace', 'SCHEMA', 'nspname', 'nspacl')}
            UNION ALL ${alone('pg_language', 'LANGUAGE', 'lanname', 'lanacl')}
            UNION ALL ${alone('pg_foreign_data_wrapper', 'FOREIGN DATA WRAPPER', 'fdwname', 'fdwacl')}
            UNION ALL ${alone('pg_foreign_server', 'FOREIGN SERVER', 'srvname', 'srvacl')}) m
      JOIN pg_catalog.pg_extension e ON e.oid = m.extension
      LEFT JOIN pg_catalog.pg_init_privs i ON i.classoid = m.catalog AND i.objoid = m.oid AND i.objsubid = 0
     WHERE i.initprivs IS NULL OR i.initprivs::pg_catalog.text <> m.acl::pg_catalog.text
     ORDER BY 1, 2, 3`)
  return rows
}

/** Finds the extension that an ACL entry is about by its schema and tag; before version 11 tags go without the kind. */
export function extensionOf(
  grants: readonly ExtensionGrant[],
  { namespace, tag }: { namespace: string; tag: string },
): string | undefined {
  const found = grants.find(
    (grant) =>
      grant.schema === namespace &&
      (grant.tag === tag ||
        grant.tag.replace(
          /^(FUNCTION|TABLE|TYPE|SCHEMA|LANGUAGE|FOREIGN DATA WRAPPER|FOREIGN SERVER) /,
          '',
        ) === tag),
  )
  return found?.extension
}
