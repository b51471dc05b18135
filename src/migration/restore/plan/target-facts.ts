import type pg from 'pg'
import { detectTarget, type Target } from '../../../polardb/detect.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { together } from '../../../postgres/together.ts'
import { rolledBack } from '../../../postgres/tried.ts'

export interface AvailableExtension {
  versions: ReadonlySet<string>
  defaultVersion: string | null
  /** Its script runs with a superuser's rights whoever creates it (PostgreSQL 13 and later). */
  trusted: boolean
  /** Creating it takes a superuser unless it is trusted. */
  superuser: boolean
}

export interface ExistingSchema {
  /** Made by initdb or the cluster, not by a user. */
  system: boolean
  /** The account may comment on it and grant on it. */
  administered: boolean
}

/** What the plan of a restore must know of the target, asked in one go. */
export interface TargetFacts {
  target: Target
  databaseExists: boolean
  /** Encoding, locale and owner of the database where it exists already, and whether the account may create anything in it. */
  existing: {
    encoding: string
    collate: string
    ctype: string
    owner: string
    creatable: boolean
  } | null
  /** Every role by name. */
  roles: ReadonlyMap<string, { superuser: boolean }>
  /** Languages by name; false for untrusted ones, which take a superuser. */
  languages: ReadonlyMap<string, boolean>
  available: ReadonlyMap<string, AvailableExtension>
  /** Extensions that the database has (those of a new one, where it does not exist yet): name and version. */
  installed: ReadonlyMap<string, string>
  schemas: ReadonlyMap<string, ExistingSchema>
  accessMethods: ReadonlySet<string>
  /** Tablespaces that the account may use. */
  tablespaces: ReadonlySet<string>
  /** Settings by lower-case name, with their context. */
  settings: ReadonlyMap<string, string>
  /** Collations of pg_catalog. */
  collations: ReadonlySet<string>
  /** Compression methods of columns, null before version 14. */
  compressions: ReadonlySet<string> | null
  /** The server was built with ICU: it has collations of it. */
  hasIcu: boolean
  /** The server was built with libxml: it takes values of the type xml. */
  hasXml: boolean
  /** Providers of security labels that the archive names, and whether the server has loaded them. */
  labelProviders: ReadonlyMap<string, boolean>
  /** Extensions that the server refused to create when asked, with its message. */
  refused: ReadonlyMap<string, string>
  /** Collations of the archives that the server cannot make, with its message. */
  refusedCollations?: ReadonlyMap<ArchiveEntry, string>
  /** Settings of the database that the server refuses, by what `allow-missing` calls them, with its message. */
  refusedSettings?: ReadonlyMap<string, string>
  /** Tables and sequences, as `schema.name`, whose rows the archives hold without a definition, and that no extension made. */
  absent?: ReadonlySet<string>
}

/** Objects below this OID were made by initdb (PostgreSQL, FirstNormalObjectId). */
export const firstNormalOid = 16_384

/**
 * Asks the target.
 *
 * @param client a session in the database that will be restored into, or in another one while that does not exist
 * @param labelProviders providers of security labels that the archive names
 */
export async function readTargetFacts(
  client: pg.Client,
  options: { databaseExists: boolean; labelProviders: Iterable<string> },
): Promise<TargetFacts> {
  const target = await detectTarget(client)
  const { major, account } = target
  const here = options.databaseExists
  // in another database only what every database is born with says something about a new one
  const born = here ? 'true' : `oid < ${firstNormalOid}`
  const rows = async <T extends pg.QueryResultRow>(sql: string) => (await client.query<T>(sql)).rows

  const [
    roles,
    languages,
    versions,
    installed,
    schemas,
    accessMethods,
    tablespaces,
    settings,
    collations,
    [compression],
    [existing],
    hasXml,
  ] = await together(client, [
    () =>
      rows<{ name: string; superuser: boolean }>(
        'SELECT rolname AS name, rolsuper AS superuser FROM pg_catalog.pg_roles',
      ),
    () =>
      rows<{ name: string; trusted: boolean }>(
        `SELECT lanname AS name, lanpltrusted AS trusted FROM pg_catalog.pg_language WHERE ${born}`,
      ),
    () =>
      rows<{
        name: string
        version: string
        superuser: boolean
        trusted: boolean
        default_version: string | null
      }>(`
        SELECT v.name, v.version, v.superuser, ${major >= 13 ? 'v.trusted' : 'false'} AS trusted, e.default_version
          FROM pg_catalog.pg_available_extension_versions v
          JOIN pg_catalog.pg_available_extensions e ON e.name = v.name`),
    () =>
      rows<{ name: string; version: string }>(
        `SELECT extname AS name, extversion AS version FROM pg_catalog.pg_extension WHERE ${born}`,
      ),
    () =>
      rows<{ name: string; system: boolean; administered: boolean }>(`
        SELECT nspname AS name, oid < ${firstNormalOid} AS system,
               pg_catalog.pg_has_role(session_user, nspowner, 'USAGE') AS administered
          FROM pg_catalog.pg_namespace WHERE ${born} AND nspname !~ '^pg_(toast_)?temp_'`),
    () => rows<{ name: string }>('SELECT amname AS name FROM pg_catalog.pg_am'),
    () =>
      rows<{ name: string }>(`
        SELECT spcname AS name FROM pg_catalog.pg_tablespace
         WHERE pg_catalog.has_tablespace_privilege(session_user, oid, 'CREATE')`),
    () =>
      rows<{ name: string; context: string }>(
        'SELECT pg_catalog.lower(name) AS name, context FROM pg_catalog.pg_settings',
      ),
    () =>
      rows<{ name: string; icu: boolean }>(
        `SELECT collname AS name, pg_catalog.bool_or(collprovider = 'i') AS icu
           FROM pg_catalog.pg_collation WHERE ${born} GROUP BY 1`,
      ),
    () =>
      rows<{ methods: string[] | null }>(
        `SELECT enumvals AS methods FROM pg_catalog.pg_settings WHERE name = 'default_toast_compression'`,
      ),
    () =>
      rows<NonNullable<TargetFacts['existing']>>(`
        SELECT pg_catalog.pg_encoding_to_char(encoding) AS encoding, datcollate AS "collate", datctype AS ctype,
               pg_catalog.pg_get_userbyid(datdba)::pg_catalog.text AS owner,
               pg_catalog.has_database_privilege(oid, 'CREATE') AS creatable
          FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`),
    () => takesXml(client),
  ])
  const available = new Map<string, AvailableExtension & { versions: Set<string> }>()
  for (const row of versions) {
    const known = available.get(row.name)
    if (known) known.versions.add(row.version)
    else
      available.set(row.name, {
        versions: new Set([row.version]),
        defaultVersion: row.default_version,
        trusted: row.trusted,
        superuser: row.superuser,
      })
  }
  const providers = new Map<string, boolean>()
  for (const provider of options.labelProviders) {
    providers.set(provider, await hasLabelProvider(client, provider))
  }
  // a database that does not exist yet will be the account's own: so will be its schema public from version 15 on
  const ownDatabase = !here && (account.superuser || major >= 15)
  return {
    target,
    databaseExists: here,
    existing: (here && existing) || null,
    roles: new Map(roles.map(({ name, superuser }) => [name, { superuser }])),
    languages: new Map(languages.map(({ name, trusted }) => [name, trusted])),
    available,
    installed: new Map(installed.map(({ name, version }) => [name, version])),
    schemas: new Map(
      schemas.map(({ name, system, administered }) => [
        name,
        { system, administered: here ? administered : ownDatabase && name === 'public' },
      ]),
    ),
    accessMethods: new Set(accessMethods.map(({ name }) => name)),
    tablespaces: new Set(tablespaces.map(({ name }) => name)),
    settings: new Map(settings.map(({ name, context }) => [name, context])),
    collations: new Set(collations.map(({ name }) => name)),
    compressions: compression?.methods ? new Set(compression.methods) : null,
    hasIcu: collations.some(({ icu }) => icu),
    hasXml,
    labelProviders: providers,
    refused: new Map(),
  }
}

/** A server without libxml has the type, and refuses every value of it. */
async function takesXml(client: pg.Client): Promise<boolean> {
  try {
    await client.query(`SELECT pg_catalog.xml_in('<a/>')`)
    return true
  } catch (error) {
    const { code } = error as { code?: string }
    if (code !== '0A000') throw error
    return false
  }
}

/** Asks by an empty label for a table that is nobody's: the server looks for the provider first, and then refuses. */
export async function hasLabelProvider(client: pg.Client, provider: string): Promise<boolean> {
  const quoted = `"${provider.replaceAll('"', '""')}"`
  return rolledBack(client, async () => {
    try {
      await client.query(`SECURITY LABEL FOR ${quoted} ON TABLE pg_catalog.pg_class IS NULL`)
      return true
    } catch (error) {
      const { code } = error as { code?: string }
      if (code === undefined) throw error
      // 22023: provider not loaded; anything else came later, from a provider that is there
      return code !== '22023'
    }
  })
}
