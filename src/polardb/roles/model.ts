import type { FoundRoleLoss } from './losses.ts'
import type { RoleOmission, RolePlanItem, RoleStep, Trial } from './steps.ts'
import type { RoleDecisions, RolePlanOptions, SuperuserPlan } from './target.ts'

export interface PlanRolesOptions extends RolePlanOptions {
  /** Databases of the source that are migrated: settings for others are not carried over. */
  databases: readonly string[]
  /** Roles that exist on the target with the very password of the script; undefined where it cannot be seen. */
  samePasswords?: ReadonlyMap<string, boolean>
}

/** A setting for one database: it can be sent only once that database is on the target. */
export interface DeferredSetting {
  role: string
  /** As the source calls it. */
  database: string
  parameter: string
  values: readonly string[]
  /** `ALTER ROLE … IN DATABASE … SET …` for a database of the target, or for all where it is null. */
  text: (database: string | null) => string
  /** The setting for all databases instead. */
  trial: Trial
}

export interface RolePlan {
  /**
   * In the order of their sending, batch by batch: within a batch the order does not matter, so statements of one batch
   * may be sent by several sessions.
   */
  batches: RolePlanItem[][]
  /** Statements that are tried with the others and never sent. */
  triedOnly: RoleStep[]
  deferred: DeferredSetting[]
  deferredOmissions: RoleOmission[]
  warnings: string[]
  /** Roles that are made, and roles of the script that exist, as far as nothing is refused. */
  created: string[]
  existing: string[]
  /** Differences that are known beforehand. */
  explained: RoleOmission[]
  superuser: SuperuserPlan
  memberships: number
  /** Roles that may log in and get no password. */
  passwordsToSet: string[]
  /** What is lost for sure, whatever the target answers. */
  losses: FoundRoleLoss[]
  /** Roles whose password the plan sends. */
  passwordsSent: ReadonlySet<string>
  /** Those of them that may log in. */
  loginsSent: ReadonlySet<string>
  decisions: RoleDecisions
}
