import type pg from 'pg'
import { joinExtension } from '../../../postgres/portable-sql.ts'
import type { CatalogObject } from './model.ts'

/** The kind under which a fingerprint has the objects of extensions. */
export const memberKind = 'member of an extension'

/** An object of an extension, and what was granted on it since the extension was created. */
export interface Member extends Required<Pick<CatalogObject, 'name' | 'facets'>> {
  /** Lines as `aclDifference` has them, against what the extension itself granted. */
  acl: string[]
}

/**
 * Reads what belongs to extensions, as far as a dump knows more of it than the extension's name: grants that differ from
 * those of the extension's script (pg_dump writes them from 9.6 on, when `pg_init_privs` came), and objects that somebody
 * added by hand (ALTER EXTENSION … ADD), which no dump carries.
 *
 * @param server `server_version_num`
 * @returns objects by what an archive calls them, `FUNCTION public.armor(bytea)`; the facet `extension` names the extension,
 *   and `added` says that nothing proves that the extension's script made the object
 */
export async function readMembers(client: pg.Client, server: number): Promise<Member[]> {
  if (server < 90_100) return []
  const { rows } = await client.query<{
    name: string
    extension: string
    signature: string | null
    scripted: boolean
    acl: string[]
  }>(`
    SELECT m.name, e.extname AS extension, m.signature,
           -- made and added by one command, or made anew later (a shell type, OR REPLACE)
           EXISTS (SELECT 1 FROM pg_catalog.pg_depend made
                    WHERE made.classid = m.class AND made.objid = m.oid AND made.objsubid = 0 AND made.deptype = 'n'
                      AND made.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
                      AND made.xmin = m.xid AND made.cmin::pg_catalog.text::bigint >= m.cid::pg_catalog.text::bigint) AS scripted,
           ARRAY(${server >= 90600 ? grants : `SELECT NULL::pg_catalog.text WHERE false`}) AS acl
      FROM (${Object.values(sources(server)).join(' UNION ALL ')}) m
      JOIN pg_catalog.pg_extension e ON e.oid = m.extension
     ORDER BY m.name`)
  return rows.map(({ name, extension, signature, scripted, acl }) => ({
    name,
    facets: {
      extension: `=${extension}`,
      ...(scripted ? {} : { added: '=added' }),
      // what an entry about it calls it; worth its place only where there is one
      ...(signature !== null && acl.length > 0 ? { signature: `=${signature}` } : {}),
    },
    acl: acl.sort(),
  }))
}

/** What may be granted: its privileges, whose default depends on the type and the owner (acldefault, 9.2). */
function sources(server: number): Record<string, string> {
  const routine =
    server >= 110000
      ? `CASE x.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END`
      : `CASE WHEN x.proisagg THEN 'AGGREGATE' ELSE 'FUNCTION' END`
  const from = (
    catalog: string,
    name: string,
    acl: string,
    type: string,
    owner: string,
    signature = 'NULL::pg_catalog.text',
  ) =>
    `SELECT 'pg_catalog.${catalog}'::pg_catalog.regclass AS class, x.oid, ${name} AS name,
            ${server >= 90600 ? `x.${acl}` : 'NULL::pg_catalog.aclitem[]'} AS acl, ${type}::pg_catalog."char" AS type, x.${owner} AS owner, ${signature} AS signature,
            d.refobjid AS extension, d.xmin AS xid, d.cmin AS cid
       FROM pg_catalog.${catalog} x ${joinExtension(catalog, 'x')}`
  const inSchema = (prefix: string) =>
    ` JOIN pg_catalog.pg_namespace n ON n.oid = x.${prefix}namespace`
  return {
    relations:
      from(
        'pg_class',
        `CASE x.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
           WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END || ' ' || n.nspname || '.' || x.relname`,
        'relacl',
        `CASE x.relkind WHEN 'S' THEN 's' ELSE 'r' END`,
        'relowner',
      ) +
      inSchema('rel') +
      ` WHERE x.relkind IN ('r', 'v', 'm', 'S', 'f', 'p')`,
    routines:
      from(
        'pg_proc',
        `${routine} || ' ' || n.nspname || '.' || x.proname || '(' || pg_catalog.oidvectortypes(x.proargtypes) || ')'`,
        'proacl',
        `'f'`,
        'proowner',
        'NULLIF(pg_catalog.pg_get_function_identity_arguments(x.oid), pg_catalog.oidvectortypes(x.proargtypes))',
      ) + inSchema('pro'),
    // before 9.2 types have no privileges, and acldefault is not there; nothing is asked of either before 9.6
    types:
      from(
        'pg_type',
        `CASE x.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END || ' ' || n.nspname || '.' || x.typname`,
        'typacl',
        `'T'`,
        'typowner',
      ) +
      inSchema('typ') +
      // arrays, multiranges and row types come with what they are made for
      ` WHERE x.typtype <> 'm' AND x.typrelid = 0 AND NOT EXISTS
          (SELECT 1 FROM pg_catalog.pg_type el WHERE el.oid = x.typelem AND el.typarray = x.oid)`,
    schemas: from('pg_namespace', `'SCHEMA ' || x.nspname`, 'nspacl', `'n'`, 'nspowner'),
    languages: from('pg_language', `'LANGUAGE ' || x.lanname`, 'lanacl', `'l'`, 'lanowner'),
    wrappers: from(
      'pg_foreign_data_wrapper',
      `'FOREIGN DATA WRAPPER ' || x.fdwname`,
      'fdwacl',
      `'F'`,
      'fdwowner',
    ),
    servers: from(
      'pg_foreign_server',
      `'FOREIGN SERVER ' || x.srvname`,
      'srvacl',
      `'S'`,
      'srvowner',
    ),
  }
}

/** SQL: the privileges of an ACL but what an owner has of itself, as rows `grantee:PRIVILEGE`, of a column with its name behind. */
const privileges = (acl: string, column = `''`) =>
  `SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text END || ':' ||
          a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END || ${column} AS line
     FROM pg_catalog.aclexplode(${acl}) a WHERE a.grantee <> a.grantor`

const initial = `(SELECT i.initprivs FROM pg_catalog.pg_init_privs i
                   WHERE i.classoid = m.class AND i.objoid = m.oid AND i.objsubid = 0)`
const now = privileges('COALESCE(m.acl, pg_catalog.acldefault(m.type, m.owner))')
const before = privileges(`COALESCE(${initial}, pg_catalog.acldefault(m.type, m.owner))`)

const ofColumn = `' (' || pg_catalog.replace(c.attname, ':', ' ') || ')'`
const initialOfColumn = `(SELECT i.initprivs FROM pg_catalog.pg_init_privs i
                           WHERE i.classoid = m.class AND i.objoid = m.oid AND i.objsubid = c.attnum)`
const columns = (sign: string, first: string, second: string) => `
  SELECT '${sign}' || l.line FROM pg_catalog.pg_attribute c
    CROSS JOIN LATERAL (${privileges(first, ofColumn)} EXCEPT ${privileges(second, ofColumn)}) l
   WHERE c.attrelid = m.oid AND m.class = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.attnum > 0 AND NOT c.attisdropped`

const grants = `
  SELECT '+' || l.line FROM (${now} EXCEPT ${before}) l
  UNION ALL
  SELECT '-' || l.line FROM (${before} EXCEPT ${now}) l
  UNION ALL
  ${columns('+', 'c.attacl', initialOfColumn)}
  UNION ALL
  ${columns('-', initialOfColumn, 'c.attacl')}`
