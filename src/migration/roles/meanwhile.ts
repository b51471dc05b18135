import { isStandIn } from '../../polardb/roles/stand-ins.ts'
import type { CatalogMembership, CatalogRole, RoleCatalog } from '../../postgres/roles/catalog.ts'
import type { RoleDifference } from '../../report/model.ts'
import { isStandInName } from '../rehearsal/names.ts'

/** What roles can do, and how they may log in: `expired` follows from the clock, `password` from what may be read. */
const attributes: readonly [keyof CatalogRole, string][] = [
  ['superuser', 'SUPERUSER'],
  ['polarSuperuser', 'POLAR_SUPERUSER'],
  ['inherit', 'INHERIT'],
  ['createRole', 'CREATEROLE'],
  ['createDatabase', 'CREATEDB'],
  ['login', 'LOGIN'],
  ['replication', 'REPLICATION'],
  ['bypassRls', 'BYPASSRLS'],
  ['connectionLimit', 'CONNECTION LIMIT'],
  ['validUntil', 'VALID UNTIL'],
  ['password', 'PASSWORD'],
]

/** Roles that runs make for themselves, this one or another at the same time, and drop again. */
const temporary = /^(migrate-to-polardb loader [0-9a-f]{16}|migration_login_test_[0-9a-f]{12})$/

/**
 * What became of a target's roles while data were restored. Code that belongs to the data runs during a restore (functions of
 * indexes and constraints, say) and may change roles, also those that the run itself left as they were.
 *
 * @param before the target's roles when they had been restored and compared
 * @param after the same at the end of the run; settings in single databases are the run's own and are not looked at
 * @param account what it is lent and gives back is not looked at
 * @param ours names of the roles of the dump
 * @returns differences without an explanation of these roles; and of others, whom somebody else may have changed, which roles
 *   appeared or changed
 */
export function changedMeanwhile(
  before: RoleCatalog,
  after: RoleCatalog,
  account: string,
  ours: ReadonlySet<string>,
): { differences: RoleDifference[]; others: string[] } {
  const differences: RoleDifference[] = []
  const strangers = new Set<string>()
  const add = (role: string, what: string, reason: string, other = role) => {
    if (ours.has(role) || ours.has(other))
      differences.push({ role, what, reason, explained: false })
    else strangers.add(role)
  }
  const now = new Map(after.roles.map((role) => [role.name, role]))
  const known = new Set(before.roles.map(({ name }) => name))
  // a stand-in has both its name and its mark: see removeStandIns()
  const unmarked = new Set(
    [...before.roles, ...after.roles].flatMap((role) => (isStandIn(role) ? [] : [role.name])),
  )
  const isOfAnotherRun = (name: string) => isStandInName(name) && !unmarked.has(name)
  const isPassing = (name: string) =>
    temporary.test(name) || (!ours.has(name) && isOfAnotherRun(name))
  for (const role of before.roles) {
    if (isPassing(role.name)) continue
    const on = now.get(role.name)
    if (!on) {
      add(role.name, 'the role', 'it disappeared while the data were restored')
      continue
    }
    for (const [attribute, what] of attributes) {
      if (role[attribute] !== on[attribute])
        add(role.name, what, 'it changed while the data were restored')
    }
  }
  for (const [list, others, how] of [
    [after.memberships, before.memberships, 'appeared'],
    [before.memberships, after.memberships, 'disappeared'],
  ] as const) {
    const there = new Set(others.map(key))
    for (const membership of list) {
      const { role, member } = membership
      if (member === account || role === account || there.has(key(membership))) continue
      if (temporary.test(member) || temporary.test(role)) continue
      // those of another run have to do with each other and with predefined roles, and with none of the dump
      const isOurs = ours.has(member) || ours.has(role)
      if (!isOurs && (isPassing(member) || isPassing(role))) continue
      add(member, `membership in ${role}`, `it ${how} while the data were restored`, role)
    }
  }
  for (const [list, others] of [
    [after.settings, before.settings],
    [before.settings, after.settings],
  ] as const) {
    const there = new Set(others.map(settingKey))
    for (const setting of list) {
      const { role, database, parameter } = setting
      if (role !== null && isPassing(role)) continue
      if (database !== null || there.has(settingKey(setting))) continue
      const what = `setting ${parameter}`
      if (differences.some((one) => one.role === (role ?? 'ALL') && one.what === what)) continue
      add(role ?? 'ALL', what, 'it changed while the data were restored')
    }
  }
  for (const { name } of after.roles) {
    if (!known.has(name) && !isPassing(name)) strangers.add(name)
  }
  return { differences, others: [...strangers] }
}

const key = ({ role, member, admin, inherit, set }: CatalogMembership) =>
  JSON.stringify([role, member, admin, inherit, set])

const settingKey = ({ role, database, parameter, value }: RoleCatalog['settings'][number]) =>
  JSON.stringify([role, database, parameter, value])
