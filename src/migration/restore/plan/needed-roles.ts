import type { Archive } from '../../../postgres/archive/archive.ts'
import { type ArchiveEntry, entryName } from '../../../postgres/archive/entry.ts'
import { maskStatement, nameAt, namesAt } from '../../../postgres/archive/statement.ts'
import type { DatabaseProperties } from '../database/properties.ts'

export interface NeededRole {
  role: string
  /** What needs it, for people: `owner of TABLE public.orders`. */
  reason: string
}

/**
 * The roles that an archive and its database name, as owners, grantors, grantees and otherwise; each once, with the first
 * reason. PUBLIC and the like are none.
 */
export function neededRoles(archive: Archive, database?: DatabaseProperties): NeededRole[] {
  const needed = new Map<string, string>()
  const need = (role: string, reason: string) => {
    if (role !== '' && !needed.has(role)) needed.set(role, reason)
  }
  if (database) {
    need(database.owner, 'owner of the database')
    for (const grant of database.acl ?? []) {
      need(grant.grantee, 'privileges on the database')
      need(grant.grantor, 'grantor of privileges on the database')
    }
    for (const { role } of database.settings) need(role ?? '', 'settings in the database')
  }
  for (const entry of archive.entries) {
    if (entry.owner && !/^(ENCODING|STDSTRINGS|SEARCHPATH|DATABASE.*|ACL)$/.test(entry.desc)) {
      need(entry.owner, `owner of ${entryName(entry)}`)
    }
    for (const role of rolesNamed(entry, archive.standardStrings)) {
      need(role, `named in ${entryName(entry)}`)
    }
  }
  return [...needed].map(([role, reason]) => ({ role, reason }))
}

/** Words that stand where a role's name may stand and are none. */
const noRoles = new Set([
  'PUBLIC',
  'CURRENT_USER',
  'SESSION_USER',
  'CURRENT_ROLE',
  'public',
  'NONE',
])

/** Roles that the statements of an entry name: grants, policies, user mappings, default privileges. */
export function rolesNamed(entry: ArchiveEntry, standardStrings: boolean): string[] {
  if (!/^(ACL|DEFAULT ACL|POLICY|USER MAPPING)$/.test(entry.desc)) return []
  let sql = entry.definition
  if (entry.desc === 'POLICY') {
    // its expressions may hold a FROM of their own
    const expressions = maskStatement(sql, standardStrings).search(/\b(USING|WITH CHECK) \(/)
    if (expressions >= 0) sql = sql.slice(0, expressions)
  }
  return rolesIn(sql, standardStrings).map(({ role }) => role)
}

/** Each place of a statement that names a role, in GRANT, REVOKE, SET SESSION AUTHORIZATION and the like. */
export function rolesIn(
  sql: string,
  standardStrings = true,
): { role: string; after: string; start: number; end: number }[] {
  const masked = maskStatement(sql, standardStrings)
  const found: { role: string; after: string; start: number; end: number }[] = []
  const before =
    /\b(TO|FROM|FOR ROLE|FOR USER|USER MAPPING (?:IF NOT EXISTS )?FOR|SET SESSION AUTHORIZATION|SET ROLE|GRANTED BY)\s+(?=["\p{L}_'])/gu
  for (const match of masked.matchAll(before)) {
    const after = match[1] ?? ''
    const start = match.index + match[0].length
    if (sql[start] === "'") {
      // SET SESSION AUTHORIZATION 'name', as older clients write it
      const end = masked.indexOf("'", start + 1)
      const role = sql.slice(start + 1, end).replaceAll("''", "'")
      found.push({ role, after, start, end: end + 1 })
      continue
    }
    const { names, end } = namesAt(sql, start)
    for (const role of names) {
      const quoted = sql[start] === '"'
      if (!quoted && noRoles.has(role)) continue
      found.push({ role, after, start, end })
    }
  }
  return found
}

/** The provider that a SECURITY LABEL statement names, null where it names none. */
export function labelProvider(sql: string): string | null {
  const start = /^SECURITY LABEL FOR (?=\S)/.exec(maskStatement(sql))?.[0].length
  return start === undefined ? null : (nameAt(sql, start)?.name ?? null)
}
