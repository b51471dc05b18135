import type { RoleTarget } from '../../src/polardb/roles/target.ts'
import type { CatalogRole, RoleCatalog } from '../../src/postgres/roles/catalog.ts'
import { sameRoleNames } from '../../src/postgres/roles/role-names.ts'

/** A role without any attribute, but for those given. */
export function role(name: string, more: Partial<CatalogRole> = {}): CatalogRole {
  return {
    name,
    superuser: false,
    polarSuperuser: false,
    inherit: true,
    createRole: false,
    createDatabase: false,
    login: false,
    replication: false,
    bypassRls: false,
    connectionLimit: -1,
    validUntil: null,
    expired: false,
    password: 'unknown',
    comment: null,
    ...more,
  }
}

/** An empty catalog of a server of version 15, but for what is given. */
export function catalog(more: Partial<RoleCatalog> = {}): RoleCatalog {
  return {
    version: '15.20',
    major: 15,
    roles: [],
    predefined: ['pg_monitor', 'pg_read_all_stats', 'pg_stat_scan_tables', 'pg_signal_backend'],
    memberships: [],
    settings: [],
    labels: [],
    parameters: [],
    ...more,
  }
}

/** A CREATEROLE CREATEDB account. */
export const account = {
  name: 'migrator',
  superuser: false,
  polarSuperuser: false,
  createRole: true,
  createDatabase: true,
  replication: false,
  bypassRls: false,
}

/** A stock server of version 15 with such an account. */
export const stock: RoleTarget = {
  version: '15.20',
  number: 150020,
  major: 15,
  majorName: '15',
  polardb: null,
  hasPolarSuperuser: false,
  account,
  supportedExtensions: null,
  catalog: catalog(),
  knowsPolarSuperuser: false,
  knowsMembershipOptions: false,
  unloadable: new Map(),
  names: sameRoleNames,
}
export const stock16: RoleTarget = {
  ...stock,
  number: 160014,
  major: 16,
  knowsMembershipOptions: true,
}
/** PolarDB 11 with a polar_superuser. */
export const polar11: RoleTarget = {
  ...stock,
  number: 110009,
  major: 11,
  polardb: '1.1.20',
  hasPolarSuperuser: true,
  knowsPolarSuperuser: true,
  account: { ...account, polarSuperuser: true },
}
