import type pg from 'pg'
import * as v from 'valibot'
import { Failure } from '../../../failure.ts'
import { serverVersion } from '../../../postgres/connection.ts'
import { privilegesIn } from '../../../postgres/portable-sql.ts'
import { roleSettings } from '../../../postgres/roles/catalog.ts'
import { namesRole, type RoleNames } from '../../../postgres/roles/role-names.ts'
import { together } from '../../../postgres/together.ts'
import { readFreezeMark, settingsBefore } from '../../freeze/mark.ts'
import { fields, flag, list, matching, oneOf, readBy, text, wholeFrom } from '../../kept/schema.ts'
import { firstNormalOid } from '../plan/target-facts.ts'
import { extensionGrant, readExtensionGrants } from './extension-grants.ts'

/** One privilege as it was granted: who gave whom what. An empty grantee is PUBLIC. */
const grant = fields({
  grantor: text,
  grantee: text,
  privilege: matching(/^[A-Z]{1,20}$/),
  grantable: flag,
})
export type Grant = v.InferOutput<typeof grant>

/** Absent in dumps of an earlier version where it is null. */
const textOrNull = v.optional(v.nullable(text), null)

/** What belongs to a database itself and is not in its archive in a usable form; goes into the manifest as JSON. */
const databaseProperties = fields({
  name: text,
  encoding: text,
  collate: text,
  ctype: text,
  provider: oneOf(['libc', 'icu', 'builtin']),
  /** The locale of ICU or the built-in provider. */
  locale: textOrNull,
  icuRules: textOrNull,
  owner: text,
  /** Null when nothing was ever granted or revoked. */
  acl: v.nullable(list(grant)),
  comment: textOrNull,
  settings: list(
    fields({
      /** The role that the setting is for (ALTER ROLE … IN DATABASE), null for the database's own. */
      role: v.nullable(text),
      name: text,
      value: text,
    }),
  ),
  /** -1: no limit. */
  connectionLimit: wholeFrom(-2),
  /** Marked IS_TEMPLATE: whoever may create databases may copy it, and nobody can drop it. */
  template: v.optional(flag, false),
  /** Installed extensions: archives do not name their versions. */
  extensions: list(fields({ name: text, version: text, schema: text })),
  /** Which members of extensions have grants of their own; dumps of an earlier version of this action do not have it. */
  extensionGrants: v.optional(list(extensionGrant), []),
  /** Tables and sequences of extensions whose content a dump carries (pg_extension_config_dump); may be absent as well. */
  extensionTables: v.optional(list(fields({ extension: text, schema: text, name: text })), []),
})
export type DatabaseProperties = v.InferOutput<typeof databaseProperties>
export type DatabaseSetting = DatabaseProperties['settings'][number] & {
  /** The role as the source calls it, where the target calls it otherwise. */
  of?: string
}

/**
 * Reads the properties of the database that a session of the source is in, as they were before it was frozen, where it is.
 *
 * @param client a session on any server from 8.4 to 18
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
  const oid =
    '(SELECT o.oid FROM pg_catalog.pg_database o WHERE o.datname = pg_catalog.current_database())'
  const [{ rows }, settings, grants, extensions, mark, extensionGrants, extensionTables] =
    await together(client, [
      () =>
        client.query<{
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
     WHERE d.datname = pg_catalog.current_database()`),
      () =>
        client.query<{ role: string | null; setting: string }>(`
          SELECT r.rolname AS role, pg_catalog.unnest(s.setconfig) AS setting
            FROM ${roleSettings(number)} s
            LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
           WHERE s.setdatabase = ${oid} AND (s.setrole = 0 OR r.oid IS NOT NULL)`),
      () =>
        client.query<Grant>(`
          SELECT a.grantor, a.grantee, a.privilege, a.grantable
            FROM (${privilegesIn(`(SELECT d.datacl FROM pg_catalog.pg_database d WHERE d.oid = ${oid})`, number)}) a`),
      async () =>
        number >= 90_100
          ? await client.query<{ name: string; version: string; schema: string }>(`
              SELECT e.extname AS name, e.extversion AS version, n.nspname AS schema
                FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
               ORDER BY e.extname`)
          : { rows: [] },
      () => readFreezeMark(client),
      () => readExtensionGrants(client, number),
      async () => (number >= 90_100 ? await readExtensionTables(client) : []),
    ])
  const [row] = rows
  if (!row) throw new Error('the server does not list the database that is connected')
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
    settings: settingsBefore(
      settings.rows.map(({ role, setting }) => {
        const equals = setting.indexOf('=')
        return { role, name: setting.slice(0, equals), value: setting.slice(equals + 1) }
      }),
      mark,
    ),
    connectionLimit: row.connection_limit,
    template: row.template,
    extensions: extensions.rows,
    extensionGrants,
    extensionTables,
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

/** The same properties for a target where the source's roles have other names. */
export function withRoleNames(
  { owner, acl, settings, ...others }: DatabaseProperties,
  names: RoleNames,
): DatabaseProperties {
  return {
    ...others,
    owner: names.onTarget(owner),
    acl:
      acl?.map((grant) => ({
        ...grant,
        grantor: names.onTarget(grant.grantor),
        grantee: names.onTarget(grant.grantee),
      })) ?? null,
    settings: settings.map(({ role, name, value }): DatabaseSetting => {
      const renamed = role === null ? null : names.onTarget(role)
      return {
        name,
        value: namesRole(name, value) ? names.onTarget(value) : value,
        role: renamed,
        ...(role === null || renamed === role ? {} : { of: role }),
      }
    }),
  }
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
  return readBy(
    databaseProperties,
    value,
    { whole: 'properties' },
    (flaw) =>
      new Failure(
        'The dump describes its database in a way that cannot be used',
        flaw,
        'Make the dump again; nothing was restored',
      ),
  )
}
