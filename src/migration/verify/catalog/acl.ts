import { privilegesIn } from '../../../postgres/portable-sql.ts'

/** What a privilege can be on, as far as the built-in defaults differ (PostgreSQL, "Privileges", table 5.2). */
export type AclType =
  | 'column'
  | 'database'
  | 'function'
  | 'language'
  | 'large object'
  | 'schema'
  | 'sequence'
  | 'table'
  | 'type'
  | 'usage'

const everything: Record<AclType, readonly string[]> = {
  column: [],
  database: ['CREATE', 'CONNECT', 'TEMPORARY'],
  function: ['EXECUTE'],
  language: ['USAGE'],
  'large object': ['SELECT', 'UPDATE'],
  schema: ['CREATE', 'USAGE'],
  sequence: ['SELECT', 'UPDATE', 'USAGE'],
  table: ['DELETE', 'INSERT', 'REFERENCES', 'SELECT', 'TRIGGER', 'TRUNCATE', 'UPDATE'],
  type: ['USAGE'],
  usage: ['USAGE'],
}

const everybody: Partial<Record<AclType, readonly string[]>> = {
  database: ['CONNECT', 'TEMPORARY'],
  function: ['EXECUTE'],
  language: ['USAGE'],
  type: ['USAGE'],
}

/** Stands for the object's owner, who may be another on the target. */
export const ownerMark = ' owner'
/** Stands for PUBLIC: no role has an empty name. */
export const publicMark = ''

/**
 * SQL: the entries of an aclitem[] as text[], `grantee <newline> PRIVILEGE[*]`; null where the ACL is null.
 *
 * @param server `server_version_num`
 */
export function explodeAcl(acl: string, server: number): string {
  return `CASE WHEN ${acl} IS NOT NULL THEN ARRAY(
      SELECT a.grantee || E'\\n' || a.privilege || CASE WHEN a.grantable THEN '*' ELSE '' END
        FROM (${privilegesIn(acl, server)}) a) END`
}

/**
 * An ACL as what sets it apart from the built-in default, so that privileges that only a newer server has (MAINTAIN, 17)
 * and a null ACL make no difference. Grantors are left out: a restore makes all grants as the owner.
 *
 * @param entries what `explodeAcl` gave; null is the default itself
 * @param base false where grants come on top of something else: default privileges in a schema
 * @returns sorted lines `+grantee:PRIVILEGE[*]` and `-grantee:PRIVILEGE`; none for the default
 */
export function aclDifference(
  entries: readonly string[] | null,
  owner: string | null,
  type: AclType,
  base = true,
): string[] {
  if (entries === null) return []
  const defaults = new Set<string>()
  if (base) {
    for (const privilege of everything[type]) defaults.add(`${ownerMark}:${privilege}`)
    for (const privilege of everybody[type] ?? []) defaults.add(`${publicMark}:${privilege}`)
  }
  const granted = new Set<string>()
  for (const entry of entries) {
    const end = entry.lastIndexOf('\n')
    const grantee = entry.slice(0, end)
    const privilege = entry.slice(end + 1)
    // 17 and newer; nobody takes it from an owner
    if (grantee === owner && privilege.startsWith('MAINTAIN')) continue
    // the owner may always grant: an entry of the owner's own says nothing by its grant option
    if (grantee === owner) granted.add(`${ownerMark}:${privilege.replace('*', '')}`)
    else granted.add(`${grantee}:${privilege}`)
  }
  return [
    ...[...granted].filter((entry) => !defaults.has(entry)).map((entry) => `+${entry}`),
    ...[...defaults].filter((entry) => !granted.has(entry)).map((entry) => `-${entry}`),
  ].sort()
}

/** The role that a line of `aclDifference` is about: `ownerMark` and `publicMark` stand for no role's name. */
export function granteeOf(line: string): string {
  return line.slice(1, line.lastIndexOf(':'))
}

/** What a line of `aclDifference` grants or takes away, for people: `SELECT to app`, `UPDATE (name) to PUBLIC`. */
export function describeAcl(line: string): string {
  const grantee = granteeOf(line)
  const name = grantee === publicMark ? 'PUBLIC' : grantee === ownerMark ? 'the owner' : grantee
  return `${line.slice(line.lastIndexOf(':') + 1)} to ${name}`
}
