import type pg from 'pg'
import type { Failure } from '../../failure.ts'
import type { RolePlan } from '../../polardb/roles/model.ts'
import { planRoles } from '../../polardb/roles/plan.ts'
import { readVerifiers, type Verifiers } from '../../postgres/roles/catalog.ts'
import { sameRoleNames } from '../../postgres/roles/role-names.ts'
import type { RoleScript } from '../../postgres/roles/script.ts'
import type { Context } from '../context.ts'
import type { RestoreRolesOptions } from './options.ts'
import { checkAccount, readRoleScript, refuseMissing } from './preconditions.ts'
import { preloads, readRoleTarget } from './probe.ts'
import { RoleRestore } from './role-restore.ts'
import { RoleSession } from './role-session.ts'
import { weighRoles } from './weigh.ts'

/**
 * Decides about the roles of a dump: plans against what the target is, and tries what it may refuse. Nothing is sent yet.
 *
 * @returns what is to be restored, with the refusal of what would be lost and is not accepted, if there is any
 * @throws Failure when the script cannot be read, the account may not create roles, a needed role would be absent, or the
 * connection stays lost; Cancelled
 */
export async function planRoleRestore(
  options: RestoreRolesOptions,
  context: Context,
): Promise<RoleRestore> {
  const script = readRoleScript(options.script)
  const verifiers = scriptVerifiers(script)
  const session = new RoleSession(options.target, context)
  try {
    const { plan, refusal } = await session.read((client) =>
      prepare(client, script, verifiers, options, context),
    )
    for (const warning of plan.warnings) context.warn(warning)
    return new RoleRestore(options, plan, verifiers, refusal)
  } finally {
    await session.drop()
  }
}

/** Reads the target, and decides what is to be sent and what is lost. Changes nothing, so that it may be done again. */
async function prepare(
  client: pg.Client,
  script: RoleScript,
  own: Verifiers,
  options: RestoreRolesOptions,
  context: Context,
): Promise<{ plan: RolePlan; refusal: Failure | undefined }> {
  const { catalog: source, databaseNames, neededRoles = [], roleNames = sameRoleNames } = options
  // so that a role of the target that is called as one of the source is known for another
  for (const { name } of source.roles) roleNames.onTarget(name)
  const libraries = preloads(script, source)
  const target = await readRoleTarget(client, options.target, libraries, roleNames, context)
  const verifiers = await readVerifiers(client)
  const plan = planRoles(script, source, target, {
    ...options,
    databases: [...databaseNames.keys()],
    ...(verifiers ? { samePasswords: samePasswords(own, verifiers) } : {}),
  })
  refuseMissing(neededRoles, (role) => plan.decisions.absence(role))
  await checkAccount(client, plan, options.superuserOption)
  const refusal = await weighRoles(client, { plan, verifiers: own, ...options }, context)
  return { plan, refusal }
}

/** The password verifiers that a script carries. A secret. */
function scriptVerifiers(script: RoleScript): Verifiers {
  const verifiers = new Map<string, string | null>()
  for (const statement of script.statements) {
    if (statement.kind !== 'create' && statement.kind !== 'alter') continue
    const own = statement.options.findLast(({ word }) => word === 'PASSWORD')
    if (own || !verifiers.has(statement.role)) verifiers.set(statement.role, own?.value ?? null)
  }
  return verifiers
}

function samePasswords(own: Verifiers, target: Verifiers): Map<string, boolean> {
  return new Map([...own].map(([name, verifier]) => [name, target.get(name) === verifier]))
}
