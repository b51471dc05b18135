import type { DeferredSetting, RolePlan } from '../../polardb/roles/model.ts'
import { allRoles, everybody, subject } from '../../polardb/roles/steps.ts'
import { makesStandIns } from '../../polardb/roles/target.ts'
import type {
  CatalogMembership,
  CatalogRole,
  CatalogSetting,
  RoleCatalog,
  Verifiers,
} from '../../postgres/roles/catalog.ts'
import type { RoleNames } from '../../postgres/roles/role-names.ts'
import { parameterKey, sameSetting, settingValues } from '../../postgres/roles/settings.ts'
import type { RoleDifference, RolesResult } from '../../report/model.ts'
import { type Outcome, refusalReason } from './apply.ts'
import type { RestoreRolesOptions } from './options.ts'

export interface ComparedRoles {
  differences: RoleDifference[]
  /** Pairs of role and member of the source that the target has. */
  memberships: number
}

export interface RoleProof {
  source: RoleCatalog
  /** After everything was sent. */
  target: RoleCatalog
  plan: RolePlan
  outcomes: readonly Outcome[]
  /** The target's, where the account may read them, and the script's. */
  verifiers?: { target: Verifiers; script: Verifiers } | undefined
}

/**
 * Compares the roles of both sides, with everything that belongs to them, and gives each difference its reason: something
 * that the plan announced, or an answer of the target that is a known limit of it. What has neither is unexplained.
 */
export function compareRoles(proof: RoleProof): ComparedRoles {
  const { source, target, plan } = proof
  const found = new Findings(proof)
  const now = new Map(target.roles.map((role) => [role.name, role]))
  const inScript = new Set(plan.decisions.names())
  const expected = makesStandIns(plan.decisions.target) ? asStandIn : (role: CatalogRole) => role
  for (const role of source.roles) {
    const on = now.get(role.name)
    if (on) compareRole(expected(role), on, found, proof)
    else if (inScript.has(role.name)) found.add(role.name, subject.role, 'it is not on the target')
    else
      found.add(
        role.name,
        subject.role,
        'the dump of the roles does not have it: it was made meanwhile',
      )
  }
  const settings = source.settings.filter(({ database }) => database === null)
  compareSettings(settings, target.settings, found, proof)
  for (const { role, provider, label } of source.labels) {
    const same = target.labels.some((one) => {
      return one.role === role && one.provider === provider && one.label === label
    })
    if (!same) found.add(role, subject.label(provider), 'the target has no such label')
  }
  for (const one of source.parameters) {
    const same = target.parameters.some((other) => {
      return (
        other.role === one.role &&
        other.privilege === one.privilege &&
        parameterKey(other.parameter) === parameterKey(one.parameter) &&
        other.grantOption === one.grantOption
      )
    })
    const what = subject.parameter(one.privilege, one.parameter)
    if (!same) found.add(one.role ?? everybody, what, 'the target has no such privilege')
  }
  return { memberships: compareMemberships(found, proof), differences: found.list }
}

/**
 * Compares the settings of roles in single databases, which can be sent only when those are on the target.
 *
 * @param databases the target's name for each migrated database of the source
 */
export function compareDatabaseSettings(
  proof: RoleProof,
  databases: ReadonlyMap<string, string>,
): RoleDifference[] {
  if (databases.size === 0) return []
  const found = new Findings(proof)
  const settings: CatalogSetting[] = []
  for (const setting of proof.source.settings) {
    const { role, database } = setting
    if (role !== null && database !== null && databases.has(database)) settings.push(setting)
  }
  compareSettings(settings, proof.target.settings, found, proof, databases)
  return found.list
}

/** Whether a catalog has a setting already. @param database its database, as the catalog calls it */
export function hasSetting(
  { settings }: RoleCatalog,
  { role, parameter, values }: DeferredSetting,
  database: string,
): boolean {
  return settings.some(
    (one) =>
      one.role === role &&
      one.database === database &&
      parameterKey(one.parameter) === parameterKey(parameter) &&
      sameSetting(parameter, values, settingValues(parameter, one.value)),
  )
}

/**
 * Settings of roles in databases that are not migrated with them; see RolesResult.
 *
 * @param ours names of the roles of the dump
 */
export function settingsElsewhere(
  { catalog, databaseNames }: Pick<RestoreRolesOptions, 'catalog' | 'databaseNames'>,
  ours: ReadonlySet<string>,
): Pick<RolesResult, 'inOtherDatabases'> {
  const settings = catalog.settings.flatMap(({ role, database, parameter }) =>
    role !== null && database !== null && ours.has(role) && !databaseNames.has(database)
      ? [{ role, database, parameter }]
      : [],
  )
  return settings.length === 0 ? {} : { inOtherDatabases: settings }
}

/** What is tried and not made: see stand-ins.ts. */
function asStandIn(role: CatalogRole): CatalogRole {
  return { ...role, login: false, connectionLimit: -1, validUntil: null }
}

function compareRole(
  role: CatalogRole,
  on: CatalogRole,
  found: Findings,
  { plan, verifiers }: RoleProof,
): void {
  const { name } = role
  const differs = (what: string, is: string) => found.add(name, what, is)
  const flag = (what: string, wanted: boolean, has: boolean) => {
    if (wanted !== has) differs(what, `it is ${has ? what : `NO${what}`} on the target`)
  }
  const superuser = role.superuser || role.polarSuperuser
  if (superuser !== on.superuser && !(superuser && on.polarSuperuser))
    flag('SUPERUSER', superuser, on.superuser)
  // what was given in SUPERUSER's place is no difference of its own
  const inPlace = (word: string) =>
    superuser && !on.superuser && plan.superuser.words.includes(word)
  flag('INHERIT', role.inherit, on.inherit)
  if (!inPlace('CREATEROLE')) flag('CREATEROLE', role.createRole, on.createRole)
  if (!inPlace('CREATEDB')) flag('CREATEDB', role.createDatabase, on.createDatabase)
  flag('LOGIN', role.login, on.login)
  flag('REPLICATION', role.replication, on.replication)
  flag('BYPASSRLS', role.bypassRls, on.bypassRls)
  if (role.connectionLimit !== on.connectionLimit)
    differs('CONNECTION LIMIT', `it is ${on.connectionLimit} on the target`)
  if (role.validUntil !== on.validUntil)
    differs('VALID UNTIL', `it is ${on.validUntil ?? 'not set'} on the target`)
  if (role.comment !== on.comment) {
    const mark = on.comment === 'polar_superuser' && role.comment === null && on.polarSuperuser
    if (mark) found.explain(name, subject.comment, 'PolarDB marks its polar_superusers with it')
    differs(subject.comment, 'the target has another one')
  }
  const standsIn = makesStandIns(plan.decisions.target)
  const inScript = standsIn ? null : verifiers?.script.get(name)
  if (verifiers && inScript !== undefined && inScript !== verifiers.target.get(name)) {
    const plain = plan.passwordsSent.has(name) && !/^(SCRAM-SHA-256\$|md5)/.test(inScript ?? '')
    if (plain)
      found.explain(
        name,
        subject.password,
        'the source keeps it in plain text, the target hashes it',
      )
    differs(subject.password, 'the target has another one')
  }
}

function compareSettings(
  source: readonly CatalogSetting[],
  target: readonly CatalogSetting[],
  found: Findings,
  { plan }: RoleProof,
  databases: ReadonlyMap<string, string> = new Map(),
): void {
  const key = ({ role, parameter }: CatalogSetting, database: string | null) =>
    JSON.stringify([role, database, parameterKey(parameter)])
  const there = new Map(target.map((setting) => [key(setting, setting.database), setting]))
  const created = new Set(plan.created)
  for (const setting of source) {
    const { role, database, parameter, value } = setting
    const where = database === null ? null : (databases.get(database) ?? database)
    const other = there.get(key(setting, where))
    there.delete(key(setting, where))
    const what = subject.setting(parameter, database)
    if (!other) found.add(role ?? allRoles, what, 'the target has no such setting')
    else if (
      !sameSetting(
        parameter,
        settingValues(parameter, value),
        settingValues(parameter, other.value),
      )
    )
      found.add(role ?? allRoles, what, 'the target has another value')
  }
  if (databases.size > 0) return
  for (const { role, database, parameter } of there.values()) {
    if (role !== null && database === null && created.has(role))
      found.add(role, subject.setting(parameter), 'the source has no such setting')
  }
}

function compareMemberships(found: Findings, { source, target, plan }: RoleProof): number {
  const { knowsMembershipOptions, account } = plan.decisions.target
  const key = ({ role, member }: CatalogMembership) => JSON.stringify([role, member])
  const there = new Map(target.memberships.map((row) => [key(row), row]))
  let restored = 0
  for (const row of source.memberships) {
    const other = there.get(key(row))
    there.delete(key(row))
    const what = subject.membership(row.role)
    if (!other) {
      found.add(row.member, what, 'the target has no such membership')
      continue
    }
    restored++
    const options = (['admin', 'inherit', 'set'] as const).filter((option) => {
      // whoever creates a role has ADMIN on it from 16 on
      const creators = option === 'admin' && other.admin && row.member === account.name
      return row[option] !== other[option] && !creators
    })
    for (const option of options) {
      const name = `${option.toUpperCase()} option of the ${what}`
      const is = `it is ${other[option] ? 'TRUE' : 'FALSE'} on the target`
      if (option !== 'admin' && !knowsMembershipOptions)
        found.explain(row.member, name, `${is}, whose version does not know this option`)
      found.add(row.member, name, is)
    }
  }
  const created = new Set(plan.created)
  for (const { role, member } of there.values()) {
    // the account has ADMIN on what it creates; PolarDB keeps who is a polar_superuser as a membership
    const byDesign = member === account.name || role.startsWith('pg_')
    if (!byDesign && (created.has(role) || created.has(member)))
      found.add(member, subject.membership(role), 'the source has no such membership')
  }
  return restored
}

/** Differences as they are found, each with the reason that is known for it. */
class Findings {
  readonly list: RoleDifference[] = []
  private readonly reasons = new Map<string, { reason: string; known: boolean }>()
  private readonly names: RoleNames

  constructor({ plan, outcomes }: Pick<RoleProof, 'plan' | 'outcomes'>) {
    this.names = plan.decisions.target.names
    for (const { role, what, reason } of [...plan.explained, ...plan.deferredOmissions])
      this.explain(role, what, reason)
    for (const outcome of outcomes) this.learn(outcome)
  }

  explain(role: string, what: string, reason: string, known = true): void {
    this.reasons.set(JSON.stringify([role, what]), { reason, known })
  }

  /** @param is how the role differs; stands for the reason where no better one is known */
  add(role: string, what: string, is: string): void {
    const known =
      this.reasons.get(JSON.stringify([role, what])) ??
      // a role that is left alone, or could not be made, explains everything about it
      this.reasons.get(JSON.stringify([role, subject.role]))
    if (known) {
      // what the server said of a stand-in is about its original
      const reason = this.names.inText(known.reason)
      this.list.push({ role, what, reason, explained: known.known })
    } else this.list.push({ role, what, reason: `${is}, for no known reason`, explained: false })
  }

  private learn({ step, refusal, fallback }: Outcome): void {
    if (!refusal) return
    const instead = fallback.filter((one) => !one.refusal).flatMap((one) => one.step.carries)
    for (const { role, what } of step.carries) {
      const others = instead.filter((one) => one.role === role && one.what !== what)
      const given = others.map((one) => one.what).join(' and ')
      const reason = refusalReason(refusal) + (given ? `; instead it has ${given}` : '')
      this.explain(role, what, reason, refusal.known)
    }
    for (const one of fallback) this.learn(one)
  }
}
