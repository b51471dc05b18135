import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts'
import type { CatalogRole, RoleCatalog } from '../../postgres/roles/catalog.ts'
import { namesRole, type RoleNames } from '../../postgres/roles/role-names.ts'

/**
 * Roles under other names stand in for those of the source: they own and are granted what these would, and nobody can log in as
 * one of them. What a role would be made with beyond that (LOGIN, PASSWORD, CONNECTION LIMIT, VALID UNTIL) is tried with its
 * very statement in a transaction that is rolled back. Their comment begins with a mark, which nobody else writes.
 *
 * What they do not prove: who logs in, and what a role does by its name in a text, since no text is changed: `SET ROLE x` or
 * `has_table_privilege('x', …)` in the body of a function, `current_user = 'x'` in a policy, a name in a row. Nor what becomes of
 * roles that the target has already, which a migration keeps or updates: the plan of a preflight says that. Settings of all roles
 * (ALTER ROLE ALL) and privileges of PUBLIC on parameters are the whole cluster's, and are only tried.
 */
export const standInMark = 'migrate-to-polardb: stands in for a role of the source in a rehearsal'

/** SQL: the comment of a stand-in whose original has this one, as a literal. */
export function standInComment(comment: string | null): string {
  return quoteLiteral(comment === null ? standInMark : `${standInMark}\n${comment}`).trim()
}

/** `COMMENT ON ROLE` that marks a stand-in. */
export function markStandIn(name: string, comment: string | null): string {
  return `COMMENT ON ROLE ${quoteIdentifier(name)} IS ${standInComment(comment)};`
}

/** Whether a role's comment says that it is a stand-in. */
export function isStandIn({ comment }: Pick<CatalogRole, 'comment'>): boolean {
  return comment === standInMark || (comment?.startsWith(`${standInMark}\n`) ?? false)
}

/** The catalog of a target as the source would have it: each role called as the one it stands for, without the mark. */
export function catalogOnSource(catalog: RoleCatalog, names: RoleNames): RoleCatalog {
  const on = (role: string) => names.onSource(role)
  return {
    ...catalog,
    roles: catalog.roles.map((role) => {
      // a text with nothing but the name of a stand-in becomes that of its original
      const isOurs = names.inText(role.name) !== role.name && isStandIn(role)
      const comment = isOurs ? role.comment?.slice(standInMark.length + 1) || null : role.comment
      return { ...role, name: on(role.name), comment }
    }),
    memberships: catalog.memberships.map((row) => ({
      ...row,
      role: on(row.role),
      member: on(row.member),
    })),
    settings: catalog.settings.map((setting) => ({
      ...setting,
      role: setting.role === null ? null : on(setting.role),
      value: namesRole(setting.parameter, setting.value) ? on(setting.value) : setting.value,
    })),
    labels: catalog.labels.map((label) => ({ ...label, role: on(label.role) })),
    parameters: catalog.parameters.map((one) => ({
      ...one,
      role: one.role === null ? null : on(one.role),
    })),
  }
}
