import type { DatabaseProperties } from '../../src/migration/restore/database/properties.ts'
import type { TargetFacts } from '../../src/migration/restore/plan/target-facts.ts'

/** A database as every server has one. */
export const plainDatabase: DatabaseProperties = {
  name: 'shop',
  encoding: 'UTF8',
  collate: 'C',
  ctype: 'C',
  provider: 'libc',
  locale: null,
  icuRules: null,
  owner: 'boss',
  acl: null,
  comment: null,
  settings: [],
  connectionLimit: -1,
  template: false,
  extensions: [],
  extensionGrants: [],
  extensionTables: [],
}

/** What is known of a target, a plain one of version 15 unless said otherwise. */
export function factsOf(changes: {
  major?: number
  superuser?: boolean
  polarSuperuser?: boolean
  supported?: string[]
  facts?: Partial<TargetFacts>
}): TargetFacts {
  const major = changes.major ?? 15
  return {
    target: {
      version: `${major}.1`,
      number: major * 10_000 + 1,
      major,
      majorName: String(major),
      polardb: null,
      hasPolarSuperuser: changes.polarSuperuser ?? false,
      knowsPolarSuperuser: changes.polarSuperuser ?? false,
      account: {
        name: 'gctest',
        superuser: changes.superuser ?? false,
        polarSuperuser: changes.polarSuperuser ?? false,
        createRole: true,
        createDatabase: true,
        replication: false,
        bypassRls: false,
      },
      supportedExtensions: changes.supported ? new Set(changes.supported) : null,
    },
    databaseExists: false,
    existing: null,
    roles: new Map([
      ['app_owner', { superuser: false }],
      ['postgres', { superuser: true }],
    ]),
    languages: new Map([
      ['plpgsql', true],
      ['sql', true],
      ['c', false],
      ['internal', false],
    ]),
    available: new Map([
      ['hstore', extension(true, ['1.8'])],
      ['dblink', extension(false, ['1.2'])],
      ['plpython3u', extension(false, ['1.0'])],
    ]),
    installed: new Map([['plpgsql', '1.0']]),
    compressions: major >= 14 ? new Set(['pglz', 'lz4']) : null,
    hasIcu: true,
    hasXml: true,
    schemas: new Map([
      ['public', { system: true, administered: major >= 15 }],
      ['polar_feature_utils', { system: true, administered: false }],
    ]),
    accessMethods: new Set(['heap', 'btree']),
    tablespaces: new Set(),
    settings: new Map([
      ['log_min_duration_statement', 'superuser'],
      ['search_path', 'user'],
    ]),
    collations: new Set(['default', 'C', 'de_DE.utf8']),
    labelProviders: new Map([['loaded', true]]),
    refused: new Map(),
    ...changes.facts,
  }
}

function extension(trusted: boolean, versions: string[]) {
  return {
    versions: new Set(versions),
    defaultVersion: versions[0] ?? null,
    trusted,
    superuser: true,
  }
}
