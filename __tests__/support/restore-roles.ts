import type { Context } from '../../src/migration/context.ts'
import {
  planRoleRestore,
  type RestoreRolesOptions,
  type RoleRestore,
} from '../../src/migration/roles/restore-roles.ts'

/** Plans the roles of a dump and restores them, as a run does. */
export async function restoreRoles(
  options: RestoreRolesOptions,
  context: Context,
): Promise<RoleRestore> {
  const roles = await planRoleRestore(options, context)
  await roles.restore(context)
  return roles
}
