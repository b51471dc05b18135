import { namesAt } from '../../../postgres/archive/statement.ts'
import { listedAs } from '../../../postgres/portable-sql.ts'
import { namesRole, type RoleNames, sameRoleNames } from '../../../postgres/roles/role-names.ts'
import { granteeOf, ownerMark } from './acl.ts'

/** Reads what a catalog says of roles in the names of the source. */
export interface RoleReader {
  name(role: string): string
  /** A text of the catalog, as far as the server puts names of roles into it. */
  text(facet: string, text: string): string
}

const same: RoleReader = { name: (role) => role, text: (_, text) => text }

/**
 * A reader of the catalogs of a server where roles have other names. Its texts with names of roles are lists of them
 * (policies) and what a function sets `role` to.
 */
export function roleReader(names: RoleNames): RoleReader {
  if (names === sameRoleNames) return same
  const name = (role: string) => names.onSource(role)
  return {
    name,
    text: (facet, text) => {
      if (facet === 'roles') return listOfRoles(text, name)
      if (facet === 'settings') return settings(text, name)
      return text
    },
  }
}

/** The list of a policy, in its own order: PUBLIC, which is no role, and the others as the server sorts names. */
function listOfRoles(list: string, name: (role: string) => string): string {
  const roles = namesAt(list, 0).map((one) => ({
    key: list[one.start] === '"' || one.name !== 'PUBLIC' ? name(one.name) : '',
    text: list[one.start] === '"' || one.name !== 'PUBLIC' ? listedAs(name(one.name)) : one.name,
  }))
  const bytes = ({ key }: { key: string }) => Buffer.from(key)
  return roles
    .sort((a, b) => Buffer.compare(bytes(a), bytes(b)))
    .map(({ text }) => text)
    .join(', ')
}

/** The settings of a function, `role=x, search_path=…`: names of stand-ins need no quotes and hold no comma. */
function settings(text: string, name: (role: string) => string): string {
  return text.replace(
    /(^|, )(role|session_authorization)=([^,]*)(?=, |$)/g,
    (whole, before: string, parameter: string, role: string) =>
      namesRole(parameter, role) ? `${before}${parameter}=${name(role)}` : whole,
  )
}

/** The entries of an ACL as `explodeAcl` has them. */
export function aclOf(
  entries: readonly string[] | null,
  { name }: Pick<RoleReader, 'name'>,
): string[] | null {
  return (
    entries?.map((entry) => {
      const end = entry.lastIndexOf('\n')
      return `${name(entry.slice(0, end))}${entry.slice(end)}`
    }) ?? null
  )
}

/** Lines as `aclDifference` has them, sorted. */
export function linesOf(lines: readonly string[], { name }: RoleReader): string[] {
  return lines
    .map((line) => {
      const grantee = granteeOf(line)
      const role = grantee === ownerMark ? grantee : name(grantee)
      return `${line.slice(0, 1)}${role}${line.slice(1 + grantee.length)}`
    })
    .sort()
}
