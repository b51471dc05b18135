import type pg from 'pg'
import { serverVersion } from '../connection.ts'
import { together } from '../together.ts'

/** How a password is kept; `unknown` where the account may not see it. */
export type PasswordKind = 'none' | 'scram-sha-256' | 'md5' | 'other' | 'unknown'

export interface CatalogRole {
  name: string
  superuser: boolean
  /** A polar_superuser of PolarDB, directly or through other roles. */
  polarSuperuser: boolean
  inherit: boolean
  createRole: boolean
  createDatabase: boolean
  login: boolean
  replication: boolean
  bypassRls: boolean
  /** -1 for none. */
  connectionLimit: number
  /** A timestamp in UTC, `infinity`, or null. */
  validUntil: string | null
  /** `validUntil` was over when the catalog was read. */
  expired: boolean
  password: PasswordKind
  comment: string | null
}

/** Several grants of the same role to the same member (possible from 16 on) are one: what any of them gives, it gives. */
export interface CatalogMembership {
  role: string
  member: string
  admin: boolean
  inherit: boolean
  set: boolean
}

export interface CatalogSetting {
  /** null for ALTER ROLE ALL. */
  role: string | null
  /** null for all databases. */
  database: string | null
  parameter: string
  /** As the catalog keeps it: lists are in one string, their elements quoted where needed. May be a secret. */
  value: string
}

/** Everything a server knows of its roles, but for password verifiers: plain data, for a dump's manifest. */
export interface RoleCatalog {
  version: string
  major: number
  /** All but the predefined ones, sorted by name. */
  roles: CatalogRole[]
  /** Names of the roles that begin with `pg_`. */
  predefined: string[]
  memberships: CatalogMembership[]
  settings: CatalogSetting[]
  labels: { role: string; provider: string; label: string }[]
  /** Privileges on configuration parameters; role null is PUBLIC. */
  parameters: {
    role: string | null
    parameter: string
    privilege: string
    grantOption: boolean
  }[]
}

/** Password verifiers by role. A secret: never part of a catalog, a message or a report. */
export type Verifiers = ReadonlyMap<string, string | null>

/**
 * Reads the roles of a server of 8.4 or newer (REPLICATION is of 9.1, BYPASSRLS of 9.5). Needs no privilege: what only a superuser may read (the passwords) is
 * `unknown` without it.
 *
 * @param databases whose `ALTER ROLE … IN DATABASE` settings are wanted; all when not given
 */
export async function readRoleCatalog(
  client: pg.Client,
  databases?: string[],
): Promise<RoleCatalog> {
  const { version, number, major } = await serverVersion(client)
  const rows = async <Row extends object>(sql: string, values: unknown[] = []): Promise<Row[]> => {
    return (await client.query<Row>(sql, values)).rows
  }
  const passwords = (await mayReadPasswords(client))
    ? `(SELECT CASE WHEN a.rolpassword IS NULL THEN 'none' WHEN a.rolpassword ~ '^SCRAM-SHA-256[$]' THEN 'scram-sha-256'
          WHEN a.rolpassword ~ '^md5[0-9a-f]{32}$' THEN 'md5' ELSE 'other' END
          FROM pg_catalog.pg_authid a WHERE a.oid = r.oid)`
    : `'unknown'`
  const replication = number >= 90_100 ? 'r.rolreplication' : 'false'
  // before 16 a member inherits as its own attribute says, and may always SET ROLE
  const [inherit, set] =
    number >= 160000 ? ['a.inherit_option', 'a.set_option'] : ['m.rolinherit', 'true']
  const [roles, predefined, memberships, settings, labels, parameters] = await together(client, [
    () =>
      rows<CatalogRole>(`
    WITH RECURSIVE polar(member) AS (
      SELECT oid FROM pg_catalog.pg_roles WHERE rolname = 'pg_polar_superuser'
      UNION SELECT m.member FROM pg_catalog.pg_auth_members m JOIN polar p ON p.member = m.roleid)
    SELECT r.rolname AS name, r.rolsuper AS superuser, r.rolinherit AS "inherit", r.rolcreaterole AS "createRole",
           r.rolcreatedb AS "createDatabase", r.rolcanlogin AS login, ${replication} AS replication,
           ${number >= 90500 ? 'r.rolbypassrls' : 'false'} AS "bypassRls", r.rolconnlimit AS "connectionLimit",
           CASE WHEN pg_catalog.isfinite(r.rolvaliduntil)
                THEN pg_catalog.to_char(r.rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US"+00" BC')
                ELSE r.rolvaliduntil::pg_catalog.text END AS "validUntil",
           COALESCE(r.rolvaliduntil < pg_catalog.now(), false) AS expired,
           ${passwords} AS password, pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment,
           NOT r.rolsuper AND r.oid IN (SELECT member FROM polar) AS "polarSuperuser"
      FROM pg_catalog.pg_roles r
     WHERE r.rolname !~ '^pg_' ORDER BY r.rolname`),
    () =>
      rows<{ name: string }>(
        `SELECT rolname AS name FROM pg_catalog.pg_roles WHERE rolname ~ '^pg_' ORDER BY 1`,
      ),
    () =>
      rows<CatalogMembership>(`
    SELECT r.rolname AS role, m.rolname AS member, pg_catalog.bool_or(a.admin_option) AS admin,
           pg_catalog.bool_or(${inherit}) AS "inherit", pg_catalog.bool_or(${set}) AS "set"
      FROM pg_catalog.pg_auth_members a
      JOIN pg_catalog.pg_roles r ON r.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
     WHERE m.rolname !~ '^pg_' GROUP BY 1, 2 ORDER BY 1, 2`),
    () =>
      rows<CatalogSetting>(
        `
    SELECT r.rolname AS role, d.datname AS database, pg_catalog.split_part(c.entry, '=', 1) AS parameter,
           pg_catalog.substr(c.entry, pg_catalog.strpos(c.entry, '=') + 1) AS value
      FROM (SELECT setrole, setdatabase, pg_catalog.unnest(setconfig) AS entry
              FROM ${roleSettings(number)} AS stored) c
      LEFT JOIN pg_catalog.pg_roles r ON r.oid = c.setrole
      LEFT JOIN pg_catalog.pg_database d ON d.oid = c.setdatabase
     WHERE (c.setrole = 0 OR r.oid IS NOT NULL) AND (c.setrole <> 0 OR c.setdatabase = 0)
       AND (c.setdatabase = 0 OR (d.oid IS NOT NULL AND ($1::pg_catalog.text[] IS NULL OR d.datname::pg_catalog.text = ANY ($1))))
     ORDER BY 1 NULLS FIRST, 2 NULLS FIRST, 3`,
        [databases ?? null],
      ),
    async () =>
      number < 90200
        ? []
        : rows<RoleCatalog['labels'][number]>(`
    SELECT r.rolname AS role, l.provider, l.label
      FROM pg_catalog.pg_shseclabel l JOIN pg_catalog.pg_roles r ON r.oid = l.objoid
     WHERE l.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass ORDER BY 1, 2`),
    async () =>
      number < 150000
        ? []
        : rows<RoleCatalog['parameters'][number]>(`
    SELECT r.rolname AS role, p.parname AS parameter, a.privilege_type AS privilege, a.is_grantable AS "grantOption"
      FROM pg_catalog.pg_parameter_acl p, pg_catalog.aclexplode(p.paracl) a
      LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
     WHERE a.grantee = 0 OR NOT r.rolsuper ORDER BY 1 NULLS FIRST, 2, 3`),
  ])
  return {
    version,
    major,
    roles,
    predefined: predefined.map(({ name }) => name),
    memberships,
    settings,
    labels,
    parameters,
  }
}

/**
 * SQL: a relation with the columns of `pg_db_role_setting`. Before 9.0 the settings were columns of `pg_roles` and
 * `pg_database`, and none was of a role in one database ("ALTER ROLE … IN DATABASE", release notes of 9.0).
 *
 * @param number `server_version_num`
 */
export function roleSettings(number: number): string {
  return number >= 90_000
    ? 'pg_catalog.pg_db_role_setting'
    : `(SELECT 0::pg_catalog.oid AS setdatabase, oid AS setrole, rolconfig AS setconfig
          FROM pg_catalog.pg_roles WHERE rolconfig IS NOT NULL
         UNION ALL SELECT oid, 0::pg_catalog.oid, datconfig FROM pg_catalog.pg_database WHERE datconfig IS NOT NULL)`
}

/** Reads all password verifiers, or nothing where the account may not. */
export async function readVerifiers(client: pg.Client): Promise<Verifiers | undefined> {
  if (!(await mayReadPasswords(client))) return undefined
  const { rows } = await client.query<{ name: string; verifier: string | null }>(
    'SELECT rolname AS name, rolpassword AS verifier FROM pg_catalog.pg_authid',
  )
  return new Map(rows.map(({ name, verifier }) => [name, verifier]))
}

async function mayReadPasswords(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ may: boolean }>(
    `SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS may`,
  )
  return rows[0]?.may === true
}
