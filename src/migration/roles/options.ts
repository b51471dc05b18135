import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import type { RoleCatalog } from '../../postgres/roles/catalog.ts'
import type { RoleNames } from '../../postgres/roles/role-names.ts'
import type { NeededRole } from '../restore/plan/needed-roles.ts'

export interface RestoreRolesOptions {
  /** `roles.sql`, exactly as `pg_dumpall --roles-only` wrote it. */
  script: string
  /** Of the source, read when the script was written. */
  catalog: RoleCatalog
  target: ConnectionParameters
  /** What the source's roles are called there; under other names they are stand-ins (see stand-ins.ts). Default the same. */
  roleNames?: RoleNames
  /** The target's name for each database of the source that is migrated. */
  databaseNames: ReadonlyMap<string, string>
  superuserOption: string
  existingRoles: 'keep' | 'update'
  rolePasswords: boolean
  /** Roles that the dumps name as owners or grantees. */
  neededRoles?: readonly NeededRole[]
  /** See RolePlanOptions. */
  completing?: boolean
  /** What the roles may lose, as patterns: `MEMBERSHIP * in pg_monitor`, `ROLE repl REPLICATION`, `LOGIN *`. */
  allowMissing: readonly string[]
  /** No role may be made to try a login with, not for a moment either. */
  isLookOnly?: boolean
}
