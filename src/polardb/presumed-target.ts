import type { RoleCatalog } from '../postgres/roles/catalog.ts'
import { sameRoleNames } from '../postgres/roles/role-names.ts'
import type { Version } from '../postgres/version.ts'
import type { RoleTarget } from './roles/target.ts'

/**
 * A PolarDB cluster as the cloud makes them, of the source's own version: what a role script is rewritten for when a dump is
 * made with no target in sight. The restore asks the real one and writes its own script.
 */
export function presumedTarget(catalog: RoleCatalog, source: Version): RoleTarget {
  return {
    ...source,
    polardb: 'as its documentation describes it',
    hasPolarSuperuser: true,
    knowsPolarSuperuser: true,
    knowsMembershipOptions: source.number >= 160_000,
    supportedExtensions: null,
    unloadable: new Map(),
    names: sameRoleNames,
    account: {
      name: 'the privileged account of the cluster',
      superuser: false,
      polarSuperuser: true,
      createRole: true,
      createDatabase: true,
      replication: false,
      bypassRls: false,
    },
    catalog: { ...catalog, roles: [], memberships: [], settings: [] },
  }
}
