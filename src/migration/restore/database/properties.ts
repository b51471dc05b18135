import type pg from 'pg'
import { Failure } from '../../../failure.ts'
import { serverVersion } from '../../../postgres/connection.ts'
import { roleSettings } from '../../../postgres/roles/catalog.ts'
import { firstNormalOid } from '../plan/target-facts.ts'
import { type ExtensionGrant, readExtensionGrants } from './extension-grants.ts'

/** One privilege as it was granted: who gave whom what. An empty grantee is PUBLIC. */
export interface Grant {
  grantor: string
  grantee: string
  privilege: string
  grantable: boolean
}

export interface DatabaseSetting {
  /** The role that the setting is for (ALTER ROLE … IN DATABASE), null for the database's own. */
  role: string | null
  name: string
  value: string
}

/** What belongs to a database itself and is not in its archive in a usable form; goes into the manifest as JSON. */
export interface DatabaseProperties {
  name: string
  encoding: string
  collate: string
  ctype: string
  provider: 'libc' | 'icu' | 'builtin'
  /** The locale of ICU or the built-in provider. */
  locale: string | null
  icuRules: string | null
  owner: string
  /** Null when nothing was ever granted or revoked. */
  acl: Grant[] | null
  comment: string | null
  settings: DatabaseSetting[]
  /** -1: no limit. */
  connectionLimit: number
  /** Marked IS_TEMPLATE: whoever may create databases may copy it, and nobody can drop it. */
  template: boolean
  /** Installed extensions: archives do not name their versions. */
  extensions: { name: string; version: string; schema: string }[]
  /** Which members of extensions have grants of their own. */
  extensionGrants: ExtensionGrant[]
  /** Tables and sequences of extensions whose content a dump carries (pg_extension_config_dump). */
  extensionTables: { extension: string; schema: string; name: string }[]
}

/**
 * Reads the properties of the database that a session of the source is in.
 *
 * @param client a session on any server from 9.1 to 18
 */
export async function readDatabaseProperties(client: pg.Client): Promise<DatabaseProperties> {
  const { major, number } = await serverVersion(client)
  const provider = major >= 15 ? 'd.datlocprovider::pg_catalog.text' : `'c'::pg_catalog.text`
  const locale =
    major >= 17
      ? 'd.datlocale'
      : major >= 15
        ? 'd.daticulocale::pg_catalog.text'
        : 'NULL::pg_catalog.text'
  const rules = major >= 16 ? 'd.daticurules' : 'NULL::pg_catalog.text'
  const { rows } = await client.query<{
    oid: string
    name: string
    encoding: string
    collate: string
    ctype: string
    provider: string
    locale: string | null
    rules: string | null
    owner: string
    has_acl: boolean
    comment: string | null
    connection_limit: number
    template: boolean
  }>(`
    SELECT d.oid::pg_catalog.text AS oid, d.datname AS name, pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
           d.datcollate AS "collate", d.datctype AS ctype, ${provider} AS provider, ${locale} AS locale,
           ${rules} AS rules, pg_catalog.pg_get_userbyid(d.datdba) AS owner, d.datacl IS NOT NULL AS has_acl,
           pg_catalog.shobj_description(d.oid, 'pg_database') AS comment, d.datconnlimit AS connection_limit,
           d.datistemplate AS template
      FROM pg_catalog.pg_database d
     WHERE d.datname = pg_catalog.current_database()`)
  const [row] = rows
  if (!row) throw new Error('the server does not list the database that is connected')
  const settings = await client.query<{ role: string | null; setting: string }>(`
    SELECT r.rolname AS role, pg_catalog.unnest(s.setconfig) AS setting
      FROM ${roleSettings(number)} s
      LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
     WHERE s.setdatabase = ${row.oid} AND (s.setrole = 0 OR r.oid IS NOT NULL)`)
  const grants = await client.query<Grant>(`
    SELECT pg_catalog.pg_get_userbyid(a.grantor) AS grantor,
           CASE WHEN a.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee) END AS grantee,
           a.privilege_type AS privilege, a.is_grantable AS grantable
      FROM pg_catalog.aclexplode((
             SELECT d.datacl FROM pg_catalog.pg_database d WHERE d.oid = ${row.oid})) a`)
  const extensions =
    number >= 90_100
      ? await client.query<{ name: string; version: string; schema: string }>(`
          SELECT e.extname AS name, e.extversion AS version, n.nspname AS schema
            FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
           ORDER BY e.extname`)
      : { rows: [] }
  return {
    name: row.name,
    encoding: row.encoding,
    collate: row.collate,
    ctype: row.ctype,
    provider: row.provider === 'i' ? 'icu' : row.provider === 'b' ? 'builtin' : 'libc',
    locale: row.locale,
    icuRules: row.rules,
    owner: row.owner,
    acl: row.has_acl ? grants.rows : null,
    // that of a database which initdb made is the server's ("default administrative connection database")
    comment: Number(row.oid) < firstNormalOid ? null : row.comment,
    settings: settings.rows.map(({ role, setting }) => {
      const equals = setting.indexOf('=')
      return { role, name: setting.slice(0, equals), value: setting.slice(equals + 1) }
    }),
    connectionLimit: row.connection_limit,
    template: row.template,
    extensions: extensions.rows,
    extensionGrants: await readExtensionGrants(client, number),
    extensionTables: number >= 90_100 ? await readExtensionTables(client) : [],
  }
}

async function readExtensionTables(
  client: pg.Client,
): Promise<DatabaseProperties['extensionTables']> {
  const { rows } = await client.query<DatabaseProperties['extensionTables'][number]>(`
    SELECT e.extname AS extension, n.nspname AS schema, c.relname AS name
      FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_class c ON c.oid = ANY (e.extconfig)
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     ORDER BY 1, 2, 3`)
  return rows
}

/** Whether the privileges on a database are those that every database is born with (PostgreSQL, "Privileges"). */
export function hasDefaultPrivileges({ acl, owner }: DatabaseProperties): boolean {
  if (acl === null) return true
  const grants = acl.map(({ grantee, privilege, grantable }) => {
    const option = grantable && grantee !== owner ? '*' : ''
    return `${grantee === owner ? 'owner' : `=${grantee}`} ${privilege}${option}`
  })
  return (
    [...new Set(grants)].sort().join() ===
    '= CONNECT,= TEMPORARY,owner CONNECT,owner CREATE,owner TEMPORARY'
  )
}

/**
 * The properties from a manifest that anybody may have written.
 *
 * @throws Failure naming what is wrong
 */
export function parseDatabaseProperties(value: unknown): DatabaseProperties {
  const root = record(value, 'properties')
  const text = (from: Record<string, unknown>, key: string) => {
    const found = from[key]
    if (typeof found !== 'string' || found.includes('\0')) throw malformed(key)
    return found
  }
  const orNull = (from: Record<string, unknown>, key: string) =>
    from[key] === null || from[key] === undefined ? null : text(from, key)
  const list = (key: string) => {
    const found = root[key]
    if (!Array.isArray(found)) throw malformed(key)
    return found.map((item) => record(item, key))
  }
  const provider = text(root, 'provider')
  if (provider !== 'libc' && provider !== 'icu' && provider !== 'builtin')
    throw malformed('provider')
  const limit = root.connectionLimit
  if (typeof limit !== 'number' || !Number.isInteger(limit)) throw malformed('connectionLimit')
  return {
    name: text(root, 'name'),
    encoding: text(root, 'encoding'),
    collate: text(root, 'collate'),
    ctype: text(root, 'ctype'),
    provider,
    locale: orNull(root, 'locale'),
    icuRules: orNull(root, 'icuRules'),
    owner: text(root, 'owner'),
    acl:
      root.acl === null
        ? null
        : list('acl').map((item) => ({
            grantor: text(item, 'grantor'),
            grantee: text(item, 'grantee'),
            privilege: word(text(item, 'privilege')),
            grantable: item.grantable === true,
          })),
    comment: orNull(root, 'comment'),
    settings: list('settings').map((item) => ({
      role: orNull(item, 'role'),
      name: text(item, 'name'),
      value: text(item, 'value'),
    })),
    connectionLimit: limit,
    template: root.template === true,
    extensions: list('extensions').map((item) => ({
      name: text(item, 'name'),
      version: text(item, 'version'),
      schema: text(item, 'schema'),
    })),
    // dumps of an earlier version of this action do not have it
    extensionGrants:
      root.extensionGrants === undefined
        ? []
        : list('extensionGrants').map((item) => ({
            extension: text(item, 'extension'),
            schema: text(item, 'schema'),
            tag: text(item, 'tag'),
          })),
    extensionTables:
      root.extensionTables === undefined
        ? []
        : list('extensionTables').map((item) => ({
            extension: text(item, 'extension'),
            schema: text(item, 'schema'),
            name: text(item, 'name'),
          })),
  }

  function word(privilege: string): string {
    if (!/^[A-Z]{1,20}$/.test(privilege)) throw malformed('privilege')
    return privilege
  }
}

function record(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(where)
  return value as Record<string, unknown>
}

function malformed(field: string): Failure {
  return new Failure(
    'The dump describes its database in a way that cannot be used',
    `\`${field}\` has not the form that it should have`,
    'Make the dump again; nothing was restored',
  )
}
