import { quoteIdentifier } from '../../postgres/identifiers.ts'
import type { CatalogRole, RoleCatalog } from '../../postgres/roles/catalog.ts'
import { type RoleNames, sameRoleNames } from '../../postgres/roles/role-names.ts'
import type { RoleScript } from '../../postgres/roles/script.ts'
import type { Target } from '../detect.ts'

/** What the plan must know of the target: asked there, never assumed from its version. */
export interface RoleTarget extends Target {
  /**
   * What the source's roles are called there. In the catalog and of the account the names are those of the source: see
   * catalogOnSource().
   */
  names: RoleNames
  /** The roles as they are before anything is sent. */
  catalog: RoleCatalog
  /** The grammar has GRANT … WITH INHERIT and SET (PostgreSQL 16). */
  knowsMembershipOptions: boolean
  /** Libraries that roles of the source load on login and the target cannot load (`preloadKey`), with what it answers. */
  unloadable: ReadonlyMap<string, string>
}

/** The quoted name of a role of the source as the target calls it. */
export function roleIdentifier({ names }: Pick<RoleTarget, 'names'>, role: string): string {
  return quoteIdentifier(names.onTarget(role))
}

/** Whether roles are made under other names: see stand-ins.ts. */
export function makesStandIns({ names }: Pick<RoleTarget, 'names'>): boolean {
  return names !== sameRoleNames
}

export interface RolePlanOptions {
  /** `auto`, or the words that take SUPERUSER's place; `NOSUPERUSER` for none. */
  superuserOption: string
  existingRoles: 'keep' | 'update'
  /** false: no password is sent, even if the script holds it. */
  rolePasswords: boolean
  /**
   * An interrupted run is being continued: existing roles that equal the source's in every attribute are taken for its
   * work, and get the settings, comments and memberships that they lack, whatever `existingRoles` says.
   */
  completing?: boolean
}

/** Accounts that PolarDB runs itself with (docs/polardb.md, "Detection" and "Role names"). */
const systemAccounts = new Set([
  'alicloud_rds_admin',
  'aurora',
  'polardb_admin',
  'rds_superuser',
  'replicator',
])

/** Why no role can have this name (docs/polardb.md, "Role names"), or undefined. */
function whyReserved(name: string): string | undefined {
  if (name.startsWith('pg_')) return 'names that begin with pg_ are reserved by PostgreSQL'
  if (name === 'public' || name === 'none') return `the name ${name} is reserved by PostgreSQL`
  return undefined
}

/** How SUPERUSER is carried over. */
export interface SuperuserPlan {
  /** Options of CREATE ROLE in its place, upper case. */
  words: string[]
  /** The options make the role a polar_superuser, so nothing of what it may do is lost. */
  polar: boolean
  /** The role is granted pg_polar_superuser as well. */
  membership: boolean
  reason: string
}

/**
 * What takes SUPERUSER's place. `auto` takes POLAR_SUPERUSER where the target knows it and the account may give it, the
 * membership in pg_polar_superuser where only that is there, and else CREATEROLE CREATEDB. It never makes a real
 * superuser, even where the account is one: that is for the user to ask for (`superuser-option: SUPERUSER`).
 */
export function planSuperuser(target: Target, option: string): SuperuserPlan {
  if (option !== 'auto') {
    const words = option.toUpperCase().split(/\s+/).filter(Boolean)
    return {
      words: words.filter((word) => word !== 'NOSUPERUSER'),
      polar: words.includes('POLAR_SUPERUSER'),
      membership: false,
      reason: `superuser-option is ${words.join(' ')}`,
    }
  }
  const { account } = target
  const mayGive = account.superuser || account.polarSuperuser
  const lesser = { words: ['CREATEROLE', 'CREATEDB'], polar: false, membership: false }
  if (!target.hasPolarSuperuser && !target.knowsPolarSuperuser)
    return { ...lesser, reason: 'the target has no POLAR_SUPERUSER' }
  if (!mayGive)
    return {
      ...lesser,
      reason: `"${account.name}" is no polar_superuser, so it may not give POLAR_SUPERUSER`,
    }
  if (!target.knowsPolarSuperuser)
    return {
      ...lesser,
      membership: true,
      reason: 'the target has no option POLAR_SUPERUSER, but the role pg_polar_superuser',
    }
  return {
    words: ['POLAR_SUPERUSER'],
    polar: true,
    membership: false,
    reason: 'the target has POLAR_SUPERUSER',
  }
}

/** What takes SUPERUSER's place, as the report says it. */
export function superuserOption(target: Target, option: string): string {
  const { words, membership } = planSuperuser(target, option)
  const text = words.join(' ') || 'NOSUPERUSER'
  return membership ? `${text}, member of pg_polar_superuser` : text
}

/** What becomes of a role of the source. */
export type RoleDecision =
  /** For stand-ins, the role of that name which the target has and a migration never alters. */
  | { kind: 'create'; namesake?: Namesake }
  /** Made equal to the source's. Only `completing`, nothing that it has is changed. */
  | { kind: 'update'; existing: CatalogRole; completing: boolean }
  /** It exists and is left alone; `always`: whatever the inputs say. */
  | { kind: 'keep'; existing: CatalogRole; always: boolean; reason: string }
  /** The target cannot have it. */
  | { kind: 'impossible'; reason: string }

/** A role of the target that is called as one of the source, where another stands in for that. */
export interface Namesake {
  role: CatalogRole
  isAccount: boolean
  /** Why it is never altered. */
  reason: string
}

/** The roles of the source and the target side by side: who is what, and what becomes of whom. */
export class RoleDecisions {
  readonly target: RoleTarget
  private readonly existing: Map<string, CatalogRole>
  private readonly predefined: Set<string>
  private readonly superusers: Set<string>
  private readonly decisions = new Map<string, RoleDecision>()

  constructor(
    script: RoleScript,
    source: RoleCatalog,
    target: RoleTarget,
    options: Pick<RolePlanOptions, 'existingRoles' | 'completing'>,
  ) {
    this.target = target
    this.existing = new Map(target.catalog.roles.map((role) => [role.name, role]))
    this.predefined = new Set(target.catalog.predefined)
    this.superusers = new Set()
    for (const statement of script.statements) {
      const { kind } = statement
      if ((kind === 'create' || kind === 'alter') && isSuperuser(statement.options))
        this.superusers.add(statement.role)
      if (kind === 'membership' && statement.role === 'pg_polar_superuser')
        this.superusers.add(statement.member)
    }
    const roles = new Map(source.roles.map((role) => [role.name, role]))
    for (const statement of script.statements) {
      if (statement.kind !== 'create' && statement.kind !== 'alter') continue
      const { role } = statement
      this.decisions.set(role, this.decide(role, roles.get(role), options))
    }
  }

  /** A superuser of the source, or a polar_superuser of a source that is PolarDB itself. */
  wasSuperuser(name: string): boolean {
    return this.superusers.has(name)
  }

  /** What becomes of a role of the script; undefined for one that it does not make. */
  of(name: string): RoleDecision | undefined {
    return this.decisions.get(name)
  }

  names(): IterableIterator<string> {
    return this.decisions.keys()
  }

  /** The role on the target before anything is sent. */
  before(name: string): CatalogRole | undefined {
    return this.existing.get(name)
  }

  /** Why the target will not have this role, or undefined when it will. */
  absence(name: string): string | undefined {
    if (this.existing.has(name) || this.predefined.has(name)) return undefined
    const decision = this.decisions.get(name)
    if (decision === undefined)
      return name.startsWith('pg_')
        ? `the target has no predefined role ${name}: its version does not know it`
        : `the role "${name}" is neither on the target nor in the dump`
    return decision.kind === 'impossible' ? decision.reason : undefined
  }

  /** The role can do more on the target than it could on the source, so nobody may come to it by an old grant. */
  gainedPower(name: string): string | undefined {
    if (this.superusers.has(name)) return undefined
    const before = this.existing.get(name) ?? this.called(name)
    if (before?.name === this.target.account.name) return 'is the account that runs the migration'
    if (before?.superuser) return 'is a superuser of the target'
    return before?.polarSuperuser ? 'is a polar_superuser of the target' : undefined
  }

  private decide(
    name: string,
    source: CatalogRole | undefined,
    options: Pick<RolePlanOptions, 'existingRoles' | 'completing'>,
  ): RoleDecision {
    const existing = this.existing.get(name)
    if (!existing) {
      const reason = whyReserved(name)
      if (reason !== undefined) return { kind: 'impossible', reason }
      const role = this.called(name)
      const why = role && this.protection(role, name)
      if (!role || why === undefined) return { kind: 'create' }
      const isAccount = role.name === this.target.account.name
      return { kind: 'create', namesake: { role, isAccount, reason: why } }
    }
    const reason = this.protection(existing, name)
    if (reason !== undefined) return { kind: 'keep', existing, always: true, reason }
    if (options.existingRoles === 'update') return { kind: 'update', existing, completing: false }
    if (options.completing && source && this.looksMigrated(existing, source))
      return { kind: 'update', existing, completing: true }
    return {
      kind: 'keep',
      existing,
      always: false,
      reason: 'it exists on the target and is left as it is (existing-roles is keep)',
    }
  }

  /** What CREATE ROLE would have made of the source's role, but for what the server may refuse. */
  private looksMigrated(existing: CatalogRole, source: CatalogRole): boolean {
    const superuser = this.superusers.has(source.name)
    return (
      existing.inherit === source.inherit &&
      existing.login === source.login &&
      existing.connectionLimit === source.connectionLimit &&
      existing.validUntil === source.validUntil &&
      (superuser ||
        (existing.createRole === source.createRole &&
          existing.createDatabase === source.createDatabase))
    )
  }

  /** The role that the target calls so, where the source's has another name there. */
  private called(name: string): CatalogRole | undefined {
    const { target } = this
    return makesStandIns(target) ? this.existing.get(target.names.onSource(name)) : undefined
  }

  private protection(
    { name: own, superuser, polarSuperuser }: CatalogRole,
    name: string,
  ): string | undefined {
    if (own === this.target.account.name)
      return 'it is the account that runs the migration, which is never altered'
    if (superuser) return 'it is a superuser of the target, which is never altered'
    if (this.target.polardb !== null && systemAccounts.has(name))
      return 'it is an account of PolarDB itself, which is never altered'
    if (polarSuperuser && !this.superusers.has(name))
      return 'it is a polar_superuser of the target and was none on the source: it is never altered'
    return undefined
  }
}

function isSuperuser(options: { word: string }[]): boolean {
  return options.some(({ word }) => word === 'SUPERUSER' || word === 'POLAR_SUPERUSER')
}
