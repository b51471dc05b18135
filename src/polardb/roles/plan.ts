import { quoteIdentifier } from '../../postgres/identifiers.ts'
import type { RoleCatalog } from '../../postgres/roles/catalog.ts'
import { type RoleOption, type RoleScript, sourceLiteral } from '../../postgres/roles/script.ts'
import { counted } from '../../text/numbers.ts'
import {
  type AttributePlan,
  planCreate,
  planNamesake,
  planUpdate,
  type ScriptRole,
} from './attributes.ts'
import { planGrants } from './grants.ts'
import { type FoundRoleLoss, lostLabel, lostLogin, lostParameter, lostRole } from './losses.ts'
import type { PlanRolesOptions, RolePlan } from './model.ts'
import { planSettings } from './plan-settings.ts'
import { markStandIn } from './stand-ins.ts'
import {
  everybody,
  isStep,
  type RolePlanItem,
  type RoleStep,
  step,
  subject,
  tryOnly,
} from './steps.ts'
import {
  makesStandIns,
  planSuperuser,
  RoleDecisions,
  type RolePlanOptions,
  type RoleTarget,
  roleIdentifier,
} from './target.ts'

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
  const decisions = new RoleDecisions(script, source, target, options)
  const plan: RolePlan = {
    batches: [],
    triedOnly: [],
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
    decisions,
  }
  const { main, last, recommented } = planAttributes(script, source, plan, options)
  const comments = planComments(script, plan, recommented)
  const grants = planGrants(
    script.statements.filter((statement) => statement.kind === 'membership'),
    source,
    decisions,
    superuser,
  )
  plan.warnings.push(...superuserWarnings(plan))
  plan.memberships = grants.count
  plan.warnings.push(...grants.warnings)
  const settings = planSettings(script, source, plan, options)
  plan.batches = [main, settings, last, comments, grants.items, planParameters(script, plan)]
  for (const item of plan.batches.flat()) if (!isStep(item)) plan.explained.push(item)
  return plan
}

/** The roles of the script with their options, CREATE and ALTER taken together. */
function scriptRoles(
  script: RoleScript,
  source: RoleCatalog,
  decisions: RoleDecisions,
): ScriptRole[] {
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
  const comments = commentsOf(script)
  return [...options].map(([name, own]) => ({
    name,
    comment: comments.get(name) ?? null,
    options: own,
    text: (option) => {
      if (option.word === 'CONNECTION LIMIT') return `CONNECTION LIMIT ${option.value}`
      return `${option.word} ${sourceLiteral(script, option.literal, option.value ?? null)}`
    },
    superuser: decisions.wasSuperuser(name),
    source: catalog.get(name),
  }))
}

function planAttributes(
  script: RoleScript,
  source: RoleCatalog,
  plan: RolePlan,
  options: PlanRolesOptions,
) {
  const { decisions, superuser } = plan
  const main: RolePlanItem[] = []
  const last: RolePlanItem[] = []
  const sent = new Set<string>()
  const logins = new Set<string>()
  /** Roles whose comment the server changes by itself. */
  const recommented = new Set<string>()
  /** Memberships in pg_polar_superuser, where only these make a polar_superuser. */
  const extra: RoleStep[] = []
  for (const role of scriptRoles(script, source, decisions)) {
    const { name } = role
    const decision = decisions.of(name)
    if (!decision) continue
    if (decision.kind === 'keep' || decision.kind === 'update') plan.existing.push(name)
    if (decision.kind === 'keep' || decision.kind === 'impossible') {
      const loss = decision.kind === 'impossible' ? lostRole(name, decision.reason) : undefined
      main.push({ role: name, what: subject.role, reason: decision.reason, loss })
      continue
    }
    let planned: AttributePlan
    if (decision.kind === 'create') {
      plan.created.push(name)
      planned = decision.namesake
        ? planNamesake(role, decision.namesake, decisions.target)
        : planCreate(role, decisions.target, { superuser, rolePasswords: options.rolePasswords })
    } else {
      planned = planUpdate(role, decision.existing, decisions.target, {
        superuser,
        rolePasswords: options.rolePasswords,
        samePassword: decision.completing || options.samePasswords?.get(name),
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
    if (decision.kind === 'create' && role.options.has('LOGIN') && !decision.namesake) {
      const loss = lostPassword(role, options)
      if (loss) {
        plan.passwordsToSet.push(name)
        plan.losses.push(loss)
      }
    }
    const isNamesake = decision.kind === 'create' && decision.namesake !== undefined
    if (role.superuser && superuser.membership && !isNamesake)
      extra.push(
        step(
          'membership',
          `GRANT pg_polar_superuser TO ${roleIdentifier(decisions.target, name)};`,
          [{ role: name, what: 'SUPERUSER' }],
        ),
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
function superuserWarnings({ created, decisions, superuser }: RolePlan): string[] {
  const { words, polar, membership, reason } = superuser
  const were = created.filter((name) => {
    const decision = decisions.of(name)
    return decisions.wasSuperuser(name) && !(decision?.kind === 'create' && decision.namesake)
  })
  if (were.length === 0 || polar || membership || words.includes('SUPERUSER')) return []
  const beyond = were.length > 10 ? ' …' : ''
  const names = were.slice(0, 10).map((name) => `"${name}"`)
  return [
    `${counted(were.length, 'superuser')} of the source become ordinary roles with ${words.join(' ') || 'no option'} (${reason}): ${names.join(', ')}${beyond}. They can no longer read and change what belongs to others, pass by row-level security, replicate, use the files and programs of the server, or make settings, functions and extensions that take a superuser`,
  ]
}

function commentsOf({ statements }: RoleScript): Map<string, string | null> {
  return new Map(
    statements.flatMap((one) => (one.kind === 'comment' ? [[one.role, one.comment]] : [])),
  )
}

function planComments(
  script: RoleScript,
  plan: RolePlan,
  recommented: ReadonlySet<string>,
): RolePlanItem[] {
  const { decisions } = plan
  const { target } = decisions
  const items: RolePlanItem[] = []
  const commented = new Set<string>()
  for (const statement of script.statements) {
    if (statement.kind === 'comment') {
      const { role, comment } = statement
      commented.add(role)
      const decision = decisions.of(role)
      const unchanged =
        decision?.kind === 'update' &&
        (decision.existing.comment === comment ||
          (decision.completing && decision.existing.comment !== null)) &&
        !recommented.has(role)
      if ((decision?.kind !== 'create' && decision?.kind !== 'update') || unchanged) continue
      // a stand-in is made with its comment, behind its mark
      if (makesStandIns(target) && decision.kind === 'create') continue
      const text = makesStandIns(target)
        ? markStandIn(target.names.onTarget(role), comment)
        : `COMMENT ON ROLE ${quoteIdentifier(role)} IS ${sourceLiteral(script, statement.literal, comment)};`
      items.push(step('comment', text, [{ role, what: subject.comment }]))
    }
    if (statement.kind === 'label') {
      const { role, provider, label } = statement
      const decision = decisions.of(role)
      const unchanged = decisions.target.catalog.labels.some(
        (one) => one.role === role && one.provider === provider && one.label === label,
      )
      if ((decision?.kind !== 'create' && decision?.kind !== 'update') || unchanged) continue
      const text = (name: string) =>
        `SECURITY LABEL FOR ${quoteIdentifier(provider)} ON ROLE ${quoteIdentifier(name)} IS ${sourceLiteral(script, statement.literal, label)};`
      const carries = [{ role, what: subject.label(provider), loss: lostLabel(role, provider) }]
      const trial = decision.kind === 'create' ? text : 'itself'
      items.push(step('label', text(target.names.onTarget(role)), carries, { trial }))
    }
  }
  for (const name of decisions.names()) {
    const decision = decisions.of(name)
    if (decision?.kind !== 'update' || decision.completing) continue
    if (commented.has(name) || decision.existing.comment === null) continue
    if (decisions.wasSuperuser(name) && decision.existing.comment === 'polar_superuser') continue
    const text = makesStandIns(target)
      ? markStandIn(target.names.onTarget(name), null)
      : `COMMENT ON ROLE ${quoteIdentifier(name)} IS NULL;`
    items.push(step('comment', text, [{ role: name, what: subject.comment }]))
  }
  return items
}

function planParameters(script: RoleScript, plan: RolePlan): RolePlanItem[] {
  const { decisions } = plan
  const items: RolePlanItem[] = []
  for (const statement of script.statements) {
    if (statement.kind !== 'parameter') continue
    const { role, parameter, privileges, revoke, grantOption } = statement
    const decision = role === null ? undefined : decisions.of(role)
    if (role !== null && decision?.kind !== 'create' && decision?.kind !== 'update') continue
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
    const statementText = text(role === null ? everybody : roleIdentifier(decisions.target, role))
    const trial =
      decision?.kind === 'create' ? (other: string) => text(quoteIdentifier(other)) : 'itself'
    const one = step('parameter', statementText, carries, { trial: revoke ? 'certain' : trial })
    if (role === null && makesStandIns(decisions.target)) items.push(...tryOnly(plan, one))
    else items.push(one)
  }
  return items
}
