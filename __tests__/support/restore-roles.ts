import type { Context } from '../../src/migration/context.ts'
import type { RestoreRolesOptions } from '../../src/migration/roles/options.ts'
import { planRoleRestore } from '../../src/migration/roles/restore-roles.ts'
import type { RoleRestore } from '../../src/migration/roles/role-restore.ts'

/** Plans the roles of a dump and restores them, as a run does. */
export async function restoreRoles(
  options: RestoreRolesOptions,
  context: Context,
): Promise<RoleRestore> {
  const roles = await planRoleRestore(options, context)
  await roles.restore(context)
  return roles
}
