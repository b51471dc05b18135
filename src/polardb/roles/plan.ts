import { quoteIdentifier } from '../../postgres/identifiers.ts'
import type { RoleCatalog } from '../../postgres/roles/catalog.ts'
import { type RoleOption, type RoleScript, sourceLiteral } from '../../postgres/roles/script.ts'
import { counted } from '../../text/text.ts'
import { type AttributePlan, planCreate, planUpdate, type ScriptRole } from './attributes.ts'
import { planGrants } from './grants.ts'
import { type FoundRoleLoss, lostLabel, lostLogin, lostParameter, lostRole } from './losses.ts'
import type { PlanRolesOptions, RolePlan } from './model.ts'
import { planSettings } from './plan-settings.ts'
import { everybody, isStep, type RolePlanItem, type RoleStep, step, subject } from './steps.ts'
import { planSuperuser, RoleFates, type RolePlanOptions, type RoleTarget } from './target.ts'

/**
 * Plans how the roles of a source get to a target (docs/polardb.md, from "polar_superuser" to "Settings of roles"). Pure: the
 * target's facts are given. Whatever is not sent as it stands in the script is in the plan with its reason.
 *
 * @param script must hold nothing unknown
 * @param source carries what the script lacks: ALTER ROLE ALL SET, ALTER ROLE … IN DATABASE … SET
 */
export function planRoles(
  script: RoleScript,
  source: RoleCatalog,
  target: RoleTarget,
  options: PlanRolesOptions,
): RolePlan {
  const superuser = planSuperuser(target, options.superuserOption)
  const fates = new RoleFates(script, source, target, options)
  const plan: RolePlan = {
    stages: [],
    deferred: [],
    deferredOmissions: [],
    warnings: [],
    created: [],
    existing: [],
    explained: [],
    superuser,
    memberships: 0,
    passwordsToSet: [],
    losses: [],
    passwordsSent: new Set(),
    loginsSent: new Set(),
    fates,
  }
  const { main, last, recommented } = planAttributes(script, source, plan, options)
  const comments = planComments(script, plan, recommented)
  const grants = planGrants(
    script.statements.filter((statement) => statement.kind === 'membership'),
    source,
    fates,
    superuser,
  )
  plan.warnings.push(...superuserWarnings(plan))
  plan.memberships = grants.count
  plan.warnings.push(...grants.warnings)
  const settings = planSettings(script, source, plan, options)
  plan.stages = [main, settings, last, comments, grants.items, planParameters(script, fates)]
  for (const item of plan.stages.flat()) if (!isStep(item)) plan.explained.push(item)
  return plan
}

/** The roles of the script with their options, CREATE and ALTER taken together. */
function scriptRoles(script: RoleScript, source: RoleCatalog, fates: RoleFates): ScriptRole[] {
  const catalog = new Map(source.roles.map((role) => [role.name, role]))
  const options = new Map<string, Map<string, RoleOption>>()
  for (const statement of script.statements) {
    if (statement.kind !== 'create' && statement.kind !== 'alter') continue
    const own = options.get(statement.role) ?? new Map<string, RoleOption>()
    for (const option of statement.options) {
      own.delete(option.word.startsWith('NO') ? option.word.slice(2) : `NO${option.word}`)
      own.set(option.word, option)
    }
    options.set(statement.role, own)
  }
  return [...options].map(([name, own]) => ({
    name,
    options: own,
    text: (option) => {
      if (option.word === 'CONNECTION LIMIT') return `CONNECTION LIMIT ${option.value}`
      return `${option.word} ${sourceLiteral(script, option.literal, option.value ?? null)}`
    },
    superuser: fates.wasSuperuser(name),
    source: catalog.get(name),
  }))
}

function planAttributes(
  script: RoleScript,
  source: RoleCatalog,
  plan: RolePlan,
  options: PlanRolesOptions,
) {
  const { fates, superuser } = plan
  const main: RolePlanItem[] = []
  const last: RolePlanItem[] = []
  const sent = new Set<string>()
  const logins = new Set<string>()
  /** Roles whose comment the server changes by itself. */
  const recommented = new Set<string>()
  /** Memberships in pg_polar_superuser, where only these make a polar_superuser. */
  const extra: RoleStep[] = []
  for (const role of scriptRoles(script, source, fates)) {
    const { name } = role
    const fate = fates.of(name)
    if (!fate) continue
    if (fate.kind === 'keep' || fate.kind === 'update') plan.existing.push(name)
    if (fate.kind === 'keep' || fate.kind === 'impossible') {
      const loss = fate.kind === 'impossible' ? lostRole(name, fate.reason) : undefined
      main.push({ role: name, what: subject.role, reason: fate.reason, loss })
      continue
    }
    let planned: AttributePlan
    if (fate.kind === 'create') {
      plan.created.push(name)
      planned = planCreate(role, fates.target, { superuser, rolePasswords: options.rolePasswords })
    } else {
      planned = planUpdate(role, fate.existing, fates.target, {
        superuser,
        rolePasswords: options.rolePasswords,
        samePassword: fate.completing || options.samePasswords?.get(name),
      })
    }
    if (planned.main) main.push(planned.main)
    last.push(...planned.last)
    if ([planned.main, ...planned.last].some((one) => /POLAR_SUPERUSER/.test(one?.text ?? '')))
      recommented.add(name)
    for (const { what, reason } of planned.explained)
      plan.explained.push({ role: name, what, reason })
    if (planned.passwordSent) sent.add(name)
    if (planned.passwordSent && role.options.has('LOGIN')) logins.add(name)
    if (fate.kind === 'create' && role.options.has('LOGIN')) {
      const loss = lostPassword(role, options)
      if (loss) {
        plan.passwordsToSet.push(name)
        plan.losses.push(loss)
      }
    }
    if (role.superuser && superuser.membership)
      extra.push(
        step('membership', `GRANT pg_polar_superuser TO ${quoteIdentifier(name)};`, [
          { role: name, what: 'SUPERUSER' },
        ]),
      )
  }
  plan.passwordsSent = sent
  plan.loginsSent = logins
  return { main, last: [...last, ...extra], recommented }
}

/** Why a role that may log in will have no password, as a loss: PolarDB knows no other way to log in. */
function lostPassword(
  { name, options }: ScriptRole,
  { rolePasswords }: Pick<RolePlanOptions, 'rolePasswords'>,
): FoundRoleLoss | undefined {
  if (!rolePasswords) {
    const reason = 'it is created without a password, since role-passwords is false'
    return { ...lostLogin(name, 'target'), reason }
  }
  // an empty one is none to every version from 10 on
  if (options.get('PASSWORD')?.value) return undefined
  const reason =
    'it may log in and the source has no password for it: what it logs in with there (a socket, a certificate, LDAP) PolarDB does not have'
  return { ...lostLogin(name, 'source'), reason }
}

/** SUPERUSER is never carried over as it is: that is the procedure, and what it costs is said. */
function superuserWarnings({ created, fates, superuser }: RolePlan): string[] {
  const { words, polar, membership, reason } = superuser
  const were = created.filter((name) => fates.wasSuperuser(name))
  if (were.length === 0 || polar || membership || words.includes('SUPERUSER')) return []
  const beyond = were.length > 10 ? ' …' : ''
  const names = were.slice(0, 10).map((name) => `"${name}"`)
  return [
    `${counted(were.length, 'superuser')} of the source become ordinary roles with ${words.join(' ') || 'no option'} (${reason}): ${names.join(', ')}${beyond}. They can no longer read and change what belongs to others, pass by row-level security, replicate, use the files and programs of the server, or make settings, functions and extensions that take a superuser`,
  ]
}

function planComments(
  script: RoleScript,
  plan: RolePlan,
  recommented: ReadonlySet<string>,
): RolePlanItem[] {
  const { fates } = plan
  const items: RolePlanItem[] = []
  const commented = new Set<string>()
  for (const statement of script.statements) {
    if (statement.kind === 'comment') {
      const { role, comment } = statement
      commented.add(role)
      const fate = fates.of(role)
      const unchanged =
        fate?.kind === 'update' &&
        (fate.existing.comment === comment ||
          (fate.completing && fate.existing.comment !== null)) &&
        !recommented.has(role)
      if ((fate?.kind !== 'create' && fate?.kind !== 'update') || unchanged) continue
      const text = `COMMENT ON ROLE ${quoteIdentifier(role)} IS ${sourceLiteral(script, statement.literal, comment)};`
      items.push(step('comment', text, [{ role, what: subject.comment }]))
    }
    if (statement.kind === 'label') {
      const { role, provider, label } = statement
      const fate = fates.of(role)
      const unchanged = fates.target.catalog.labels.some(
        (one) => one.role === role && one.provider === provider && one.label === label,
      )
      if ((fate?.kind !== 'create' && fate?.kind !== 'update') || unchanged) continue
      const text = (name: string) =>
        `SECURITY LABEL FOR ${quoteIdentifier(provider)} ON ROLE ${quoteIdentifier(name)} IS ${sourceLiteral(script, statement.literal, label)};`
      const carries = [{ role, what: subject.label(provider), loss: lostLabel(role, provider) }]
      const trial = fate.kind === 'create' ? text : 'itself'
      items.push(step('label', text(role), carries, { trial }))
    }
  }
  for (const name of fates.names()) {
    const fate = fates.of(name)
    if (fate?.kind !== 'update' || fate.completing) continue
    if (commented.has(name) || fate.existing.comment === null) continue
    if (fates.wasSuperuser(name) && fate.existing.comment === 'polar_superuser') continue
    const text = `COMMENT ON ROLE ${quoteIdentifier(name)} IS NULL;`
    items.push(step('comment', text, [{ role: name, what: subject.comment }]))
  }
  return items
}

function planParameters(script: RoleScript, fates: RoleFates): RolePlanItem[] {
  const items: RolePlanItem[] = []
  for (const statement of script.statements) {
    if (statement.kind !== 'parameter') continue
    const { role, parameter, privileges, revoke, grantOption } = statement
    const fate = role === null ? undefined : fates.of(role)
    if (role !== null && fate?.kind !== 'create' && fate?.kind !== 'update') continue
    const list = privileges.join(', ')
    const text = (to: string) =>
      revoke
        ? `REVOKE ${grantOption ? 'GRANT OPTION FOR ' : ''}${list} ON PARAMETER ${quoteIdentifier(parameter)} FROM ${to};`
        : `GRANT ${list} ON PARAMETER ${quoteIdentifier(parameter)} TO ${to}${grantOption ? ' WITH GRANT OPTION' : ''};`
    const each = privileges.flatMap((one) => (one === 'ALL' ? ['SET', 'ALTER SYSTEM'] : [one]))
    const carries = each.map((privilege) => ({
      role: role ?? everybody,
      what: subject.parameter(privilege, parameter),
      loss: revoke ? undefined : lostParameter(role, privilege, parameter),
    }))
    const statementText = text(role === null ? everybody : quoteIdentifier(role))
    const trial =
      fate?.kind === 'create' ? (other: string) => text(quoteIdentifier(other)) : 'itself'
    items.push(step('parameter', statementText, carries, { trial: revoke ? 'certain' : trial }))
  }
  return items
}
