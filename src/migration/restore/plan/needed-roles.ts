import type { Archive } from '../../../postgres/archive/archive.ts'
import { type ArchiveEntry, entryName } from '../../../postgres/archive/entry.ts'
import { rolePlaces } from '../../../postgres/archive/roles.ts'
import { maskStatement, nameAt } from '../../../postgres/archive/statement.ts'
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
  // of a hundred thousand entries with one owner a single one is named
  const need = (role: string, reason: () => string) => {
    if (role !== '' && !needed.has(role)) needed.set(role, reason())
  }
  if (database) {
    need(database.owner, () => 'owner of the database')
    for (const grant of database.acl ?? []) {
      need(grant.grantee, () => 'privileges on the database')
      need(grant.grantor, () => 'grantor of privileges on the database')
    }
    for (const { role } of database.settings) need(role ?? '', () => 'settings in the database')
  }
  for (const entry of archive.entries) {
    if (entry.owner && !/^(ENCODING|STDSTRINGS|SEARCHPATH|DATABASE.*|ACL)$/.test(entry.desc)) {
      need(entry.owner, () => `owner of ${entryName(entry)}`)
    }
    for (const role of rolesNamed(entry, archive.standardStrings)) {
      need(role, () => `named in ${entryName(entry)}`)
    }
  }
  return [...needed].map(([role, reason]) => ({ role, reason }))
}

/** Roles that the statements of an entry name: grants, policies, user mappings, default privileges. */
export function rolesNamed(entry: ArchiveEntry, standardStrings: boolean): string[] {
  return rolePlaces(entry, standardStrings).map(({ role }) => role)
}

/** The provider that a SECURITY LABEL statement names, null where it names none. */
export function labelProvider(sql: string): string | null {
  const start = /^SECURITY LABEL FOR (?=\S)/.exec(maskStatement(sql))?.[0].length
  return start === undefined ? null : (nameAt(sql, start)?.name ?? null)
}
