import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts'
import type { CatalogSetting, RoleCatalog } from '../../postgres/roles/catalog.ts'
import { namesRole, type RoleNames } from '../../postgres/roles/role-names.ts'
import type { RoleScript, RoleStatement } from '../../postgres/roles/script.ts'
import {
  alterRole,
  isPreload,
  parameterKey,
  preloadKey,
  sameSetting,
  settingStatement,
  settingValues,
} from '../../postgres/roles/settings.ts'
import { lostSetting } from './losses.ts'
import type { PlanRolesOptions, RolePlan } from './model.ts'
import { allRoles, type RolePlanItem, step, subject, type Trial, tryOnly } from './steps.ts'
import { makesStandIns, type RoleDecision, type RoleTarget } from './target.ts'

interface Setting extends Omit<CatalogSetting, 'value'> {
  values: string[]
  /** The statement, for a database as the target calls it. */
  text: (database: string | null) => string
}

/** All settings of the source: those of the script, and those that pg_dumpall leaves to the dumps of databases. */
function allSettings(script: RoleScript, source: RoleCatalog, names: RoleNames): Setting[] {
  const onTarget = (role: string | null) => (role === null ? null : names.onTarget(role))
  const renamed = (parameter: string, values: string[]) =>
    values.map((value) => (namesRole(parameter, value) ? names.onTarget(value) : value))
  const settings: Setting[] = []
  const known = new Set<string>()
  const key = (role: string | null, database: string | null, parameter: string) =>
    JSON.stringify([role, database, parameterKey(parameter)])
  for (const statement of script.statements) {
    if (statement.kind !== 'setting') continue
    const { role, database, parameter, values } = statement
    known.add(key(role, database, parameter))
    const right = valuesText(script, statement)
    const text = (where: string | null) =>
      values.some((value) => namesRole(parameter, value))
        ? settingStatement(onTarget(role), where, parameter, renamed(parameter, values))
        : `${alterRole(onTarget(role), where)} SET ${quoteIdentifier(parameter)} TO ${right};`
    settings.push({ role, database, parameter, values, text })
  }
  for (const { role, database, parameter, value } of source.settings) {
    if ((role !== null && database === null) || known.has(key(role, database, parameter))) continue
    const values = settingValues(parameter, value)
    const text = (where: string | null) =>
      settingStatement(onTarget(role), where, parameter, renamed(parameter, values))
    settings.push({ role, database, parameter, values, text })
  }
  return settings
}

/**
 * Plans the settings of roles. Those for single databases go to `plan.deferred`, as their databases may not exist yet.
 */
export function planSettings(
  script: RoleScript,
  source: RoleCatalog,
  plan: RolePlan,
  { databases, existingRoles }: Pick<PlanRolesOptions, 'databases' | 'existingRoles'>,
): RolePlanItem[] {
  const { decisions } = plan
  const { target } = decisions
  const items: RolePlanItem[] = []
  const before = new Map<string, Map<string, CatalogSetting>>()
  for (const setting of decisions.target.catalog.settings) {
    if (setting.database !== null) continue
    const own = before.get(setting.role ?? '') ?? new Map<string, CatalogSetting>()
    before.set(setting.role ?? '', own.set(parameterKey(setting.parameter), setting))
  }
  for (const { role, database, parameter, values, text } of allSettings(
    script,
    source,
    target.names,
  )) {
    const who = role ?? allRoles
    const decision = role === null ? undefined : decisions.of(role)
    if (database !== null && !databases.includes(database)) continue
    // a setting in a database that is migrated belongs to that database as much as to the role
    const migrates = database === null ? ['create', 'update'] : ['create', 'update', 'keep']
    if (role !== null && !migrates.includes(decision?.kind ?? '')) continue
    if (decision?.kind === 'keep' && decision.always) continue
    const what = subject.setting(parameter, database)
    const own = database === null ? before.get(role ?? '') : undefined
    const existing = own?.get(parameterKey(parameter))
    own?.delete(parameterKey(parameter))
    const library = isPreload(parameter)
      ? values.find((name) => decisions.target.unloadable.has(preloadKey(parameter, name)))
      : undefined
    if (library !== undefined) {
      const omission = {
        role: who,
        what,
        loss: lostSetting(role, parameter),
        reason: `the target cannot load "${library}" (${decisions.target.unloadable.get(preloadKey(parameter, library))}): every login would fail`,
      }
      if (database === null) items.push(omission)
      else plan.deferredOmissions.push(omission)
      continue
    }
    if (database !== null) {
      if (role === null) continue
      // tried for all databases: the one that it is for may not be there yet
      const trial = trialOf(decision, text(null), { role, parameter }, target)
      plan.deferred.push({ role, database, parameter, values, text, trial })
      continue
    }
    if (existing) {
      if (sameSetting(parameter, values, settingValues(parameter, existing.value))) continue
      if (existingRoles === 'keep') {
        const reason = 'the target has its own value and keeps it (existing-roles is keep)'
        items.push({ role: who, what, reason })
        continue
      }
    }
    const carries = [{ role: who, what, loss: lostSetting(role, parameter) }]
    const trial = trialOf(decision, text(null), { role, parameter }, target)
    const setting = step('setting', text(null), carries, { trial })
    if (role === null && makesStandIns(target)) items.push(...tryOnly(plan, setting))
    else items.push(setting)
  }
  for (const [role, settings] of before) {
    const decision = decisions.of(role)
    if (decision?.kind !== 'update' || decision.completing) continue
    for (const { parameter } of settings.values()) {
      const text = `${alterRole(target.names.onTarget(role), null)} RESET ${quoteIdentifier(parameter)};`
      const notes = ['the source has no such setting']
      items.push(step('setting', text, [{ role, what: subject.setting(parameter) }], { notes }))
    }
  }
  return items
}

/** The server asks who may alter the role, and for a new one that is clear; a role to become must be there. */
function trialOf(
  decision: RoleDecision | undefined,
  text: string,
  setting: Pick<Setting, 'role' | 'parameter'>,
  { names }: Pick<RoleTarget, 'names'>,
): Trial {
  const { role, parameter } = setting
  if (/^(role|session_authorization)$/i.test(parameter)) return 'certain'
  if (role === null || decision?.kind !== 'create') return 'itself'
  const rest = text.slice(alterRole(names.onTarget(role), null).length)
  return (other) => `${alterRole(other, null)}${rest}`
}

function valuesText(
  script: RoleScript,
  statement: Extract<RoleStatement, { kind: 'setting' }>,
): string {
  const { start, end } = statement.literal
  const text = script.text.slice(start, end)
  if (script.standardStrings || !text.includes('\\')) return text
  return statement.values.map((value) => quoteLiteral(value).trim()).join(', ')
}
