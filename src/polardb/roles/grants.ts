import { quoteIdentifier } from '../../postgres/identifiers.ts'
import type { CatalogMembership, RoleCatalog } from '../../postgres/roles/catalog.ts'
import type { RoleStatement } from '../../postgres/roles/script.ts'
import { lostMembership } from './losses.ts'
import { type RolePlanItem, type RoleStep, step, subject, type Trial } from './steps.ts'
import { type RoleDecisions, roleIdentifier, type SuperuserPlan } from './target.ts'

/** Members that one GRANT names at most: from 16 on a GRANT's cost hardly depends on how many there are. */
const mostMembers = 1000

/**
 * Predefined roles that are made of others, which may be granted where the whole may not (docs/polardb.md, "Memberships and
 * grants of roles").
 */
const parts: Record<string, string[]> = {
  pg_monitor: ['pg_read_all_settings', 'pg_read_all_stats', 'pg_stat_scan_tables'],
}

export interface GrantPlan {
  items: RolePlanItem[]
  warnings: string[]
  /** Pairs of role and member in the script, however many grantors each has. */
  count: number
}

type Grant = Extract<RoleStatement, { kind: 'membership' }>

interface Wanted {
  role: string
  member: string
  admin: boolean
  inherit: boolean
  set: boolean
  /** The script says whether the member inherits. */
  explicit: boolean
}

/**
 * Plans the memberships: GRANTED BY dropped (only a superuser may name another grantor), several grants of a pair made one,
 * options kept where the target knows them, and no grant by which somebody would come to power that the role did not
 * have on the source.
 */
export function planGrants(
  grants: readonly Grant[],
  source: RoleCatalog,
  decisions: RoleDecisions,
  superuser: SuperuserPlan,
): GrantPlan {
  const { target } = decisions
  const there = new Map(
    target.catalog.memberships.map((row) => [pair(row.role, row.member), row] as const),
  )
  const wanted = merge(grants, source)
  const items: RolePlanItem[] = []
  const warnings: string[] = []
  const gains: string[] = []
  const inherits = inheritance(source)
  const groups = new Map<string, { role: string; options: string; rows: Wanted[] }>()
  for (const row of wanted) {
    const leftOut = (reason: string, lost = false) => {
      const loss = lost ? lostMembership(row.member, row.role) : undefined
      items.push({ role: row.member, what: subject.membership(row.role), reason, loss })
    }
    const existing = there.get(pair(row.role, row.member))
    if (existing && covers(existing, row, target.knowsMembershipOptions)) continue
    const absent = decisions.absence(row.role) ?? decisions.absence(row.member)
    if (absent !== undefined) {
      // a member that will not be there loses nothing by it
      leftOut(absent, decisions.absence(row.member) === undefined)
      continue
    }
    const gained = decisions.gainedPower(row.role)
    if (gained !== undefined) {
      const reason = `"${row.role}" ${gained} and was no superuser on the source: its members would gain its power`
      leftOut(reason, true)
      warnings.push(`"${row.member}" is not made a member of "${row.role}": ${reason}`)
      continue
    }
    const kept = (name: string) => decisions.before(name) && decisions.of(name)?.kind !== 'update'
    const predefined = row.role.startsWith('pg_') && !decisions.of(row.role)
    if (kept(row.member) && (predefined || kept(row.role))) {
      leftOut('both roles exist on the target and are left as they are')
      continue
    }
    if (!target.knowsMembershipOptions && !row.admin && !row.inherit && !row.set) {
      leftOut(
        'it gives nothing on the source (INHERIT FALSE, SET FALSE); the target does not know these options, so it would give everything there',
      )
      continue
    }
    if (!target.knowsMembershipOptions && (!row.set || (!row.inherit && inherits(row.member))))
      gains.push(`"${row.member}" in "${row.role}"`)
    const options = optionsFor(row, decisions)
    const key = JSON.stringify([row.role, options])
    const group = groups.get(key) ?? { role: row.role, options, rows: [] }
    group.rows.push(row)
    groups.set(key, group)
  }
  const rank = membersFirst(wanted)
  const ordered = [...groups.values()].sort(
    (one, other) => (rank.get(one.role) ?? 0) - (rank.get(other.role) ?? 0),
  )
  for (const { role, options, rows } of ordered) {
    for (let at = 0; at < rows.length; at += mostMembers)
      items.push(...grantSteps(role, options, rows.slice(at, at + mostMembers), decisions))
  }
  if (gains.length > 0) {
    const beyond = gains.length > 10 ? ' …' : ''
    warnings.push(
      `${gains.length} memberships give more than on the source: ${gains.slice(0, 10).join(', ')}${beyond}. They have INHERIT FALSE or SET FALSE there, which the target does not know`,
    )
  }
  warnings.push(...escalations(wanted, decisions, superuser))
  return { items, warnings, count: wanted.length }
}

/** Grants of one pair by several grantors (16 and newer) together give what any of them gives. */
function merge(grants: readonly Grant[], source: RoleCatalog): Wanted[] {
  const inherits = inheritance(source)
  const merged = new Map<string, Wanted>()
  for (const { role, member, admin, inherit, set } of grants) {
    const key = pair(role, member)
    const before = merged.get(key)
    const now = inherit ?? inherits(member)
    merged.set(key, {
      role,
      member,
      admin: admin || (before?.admin ?? false),
      inherit: now || (before?.inherit ?? false),
      set: (set ?? true) || (before?.set ?? false),
      explicit: inherit !== undefined || (before?.explicit ?? false),
    })
  }
  return [...merged.values()]
}

/** Whether members of roles inherit by their own attribute. */
function inheritance({ roles }: RoleCatalog): (member: string) => boolean {
  const attributes = new Map(roles.map(({ name, inherit }) => [name, inherit]))
  return (member) => attributes.get(member) ?? true
}

/** Whether an existing membership gives all that is wanted. */
function covers(existing: CatalogMembership, row: Wanted, knowsOptions: boolean): boolean {
  if (row.admin && !existing.admin) return false
  return !knowsOptions || (existing.inherit === row.inherit && existing.set === row.set)
}

function optionsFor(row: Wanted, decisions: RoleDecisions): string {
  const { target } = decisions
  const words: string[] = []
  // whoever creates a role has ADMIN on it from 16 on, and may not be given it again by itself
  const creatorsOwn =
    target.major >= 16 && row.member === target.account.name && !target.account.superuser
  if (row.admin && !(creatorsOwn && decisions.of(row.role)?.kind === 'create'))
    words.push('ADMIN OPTION')
  if (target.knowsMembershipOptions) {
    const byDefault = decisions.before(row.member)?.inherit
    if (row.explicit || (byDefault !== undefined && byDefault !== row.inherit))
      words.push(`INHERIT ${row.inherit ? 'TRUE' : 'FALSE'}`)
    if (!row.set) words.push('SET FALSE')
  }
  return words.length > 0 ? ` WITH ${words.join(', ')}` : ''
}

function grantSteps(
  role: string,
  options: string,
  rows: Wanted[],
  decisions: RoleDecisions,
): RoleStep[] {
  const singles = rows.map((row) => {
    const fallback = (parts[role] ?? [])
      .filter((part) => decisions.absence(part) === undefined)
      .map((part) => ({
        ...grant(decisions, part, [row], options, []),
        trial: trialOf(part, row, options, decisions),
      }))
    const notes =
      fallback.length > 0
        ? [`where "${role}" may not be granted, its parts are tried one by one`]
        : []
    return {
      ...grant(decisions, role, [row], options, fallback),
      notes,
      trial: trialOf(role, row, options, decisions),
    }
  })
  if (singles.length <= 1) return singles
  return [grant(decisions, role, rows, options, singles)]
}

/** The account administers what it creates itself; what was there before may be somebody else's to grant. */
function trialOf(role: string, row: Wanted, options: string, decisions: RoleDecisions): Trial {
  if (decisions.of(role)?.kind === 'create') return 'certain'
  if (decisions.before(row.member)) return 'itself'
  return (member) =>
    `GRANT ${roleIdentifier(decisions.target, role)} TO ${quoteIdentifier(member)}${options};`
}

function grant(
  { target }: RoleDecisions,
  role: string,
  rows: Wanted[],
  options: string,
  fallback: RoleStep[],
): RoleStep {
  const members = rows.map(({ member }) => roleIdentifier(target, member)).join(', ')
  return step(
    'membership',
    `GRANT ${roleIdentifier(target, role)} TO ${members}${options};`,
    rows.map(({ member }) => ({
      role: member,
      what: subject.membership(role),
      loss: lostMembership(member, role),
    })),
    { fallback },
  )
}

/**
 * On PolarDB a member of a polar_superuser is one as well, without SET ROLE, and so are its own members (docs/polardb.md,
 * "polar_superuser"): ordinary roles of the source that so become superusers.
 */
function escalations(
  wanted: Wanted[],
  decisions: RoleDecisions,
  superuser: SuperuserPlan,
): string[] {
  const { target } = decisions
  if (!target.hasPolarSuperuser && !target.knowsPolarSuperuser) return []
  const members = membersOf(wanted)
  const warnings: string[] = []
  for (const [role, direct] of members) {
    const before = decisions.before(role)
    const becomes = before
      ? before.polarSuperuser || (decisions.of(role)?.kind === 'update' && superuser.polar)
      : superuser.polar || superuser.membership
    if (!decisions.wasSuperuser(role) || !becomes) continue
    for (const member of direct) {
      if (decisions.wasSuperuser(member)) continue
      const further = [...reachable(member, members)].filter(
        (name) => !decisions.wasSuperuser(name),
      )
      const through =
        further.length > 0
          ? `, and through it ${further.map((name) => `"${name}"`).join(', ')}`
          : ''
      warnings.push(
        `"${member}" becomes a superuser of the target: it is a member of "${role}", and on PolarDB a member of a polar_superuser is one too${through}. On the source it could do so only by SET ROLE. Revoke the membership if that is not wanted`,
      )
    }
  }
  return warnings
}

/**
 * Ranks roles so that a role comes after all its members: it is then granted before it is itself a member of anything, and
 * the server, which looks through all that a role is a member of at every GRANT, finds nothing to look through.
 */
function membersFirst(wanted: readonly Wanted[]): Map<string, number> {
  const members = membersOf(wanted)
  const rank = new Map<string, number>()
  const entered = new Set<string>()
  for (const start of members.keys()) {
    const stack = [start]
    for (let name = stack.at(-1); name !== undefined; name = stack.at(-1)) {
      if (entered.has(name)) {
        stack.pop()
        if (!rank.has(name)) rank.set(name, rank.size)
        continue
      }
      entered.add(name)
      for (const member of members.get(name) ?? []) if (!entered.has(member)) stack.push(member)
    }
  }
  return rank
}

function membersOf(wanted: readonly Wanted[]): Map<string, string[]> {
  const members = new Map<string, string[]>()
  for (const { role, member } of wanted) {
    const list = members.get(role)
    if (list) list.push(member)
    else members.set(role, [member])
  }
  return members
}

function reachable(from: string, members: ReadonlyMap<string, string[]>): Set<string> {
  const found = new Set<string>()
  const queue = [from]
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    for (const member of members.get(name) ?? []) {
      if (found.has(member)) continue
      found.add(member)
      queue.push(member)
    }
  }
  return found
}

/** A key for a pair of names. */
export function pair(role: string, member: string): string {
  return JSON.stringify([role, member])
}
