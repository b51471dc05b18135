import { quoteIdentifier, quoteLiteral } from '../identifiers.ts'
import { namesRole, type RoleNames, sameRoleNames } from '../roles/role-names.ts'
import type { Archive } from './archive.ts'
import type { ArchiveEntry } from './entry.ts'
import { maskStatement, nameAt, namesAt, textAt } from './statement.ts'

/** A place of a statement that names a role, quotation marks included. */
export interface RolePlace {
  role: string
  start: number
  end: number
}

/** Words that stand where a role's name may stand and are none, unless they are quoted. */
const noRoles = new Set([
  'PUBLIC',
  'CURRENT_USER',
  'SESSION_USER',
  'CURRENT_ROLE',
  'public',
  'NONE',
])

/** What stands before roles. Keywords are in capitals and plain names never are, so that no name is taken for one. */
const before =
  /\b(?:TO|FROM|FOR ROLE|FOR USER|USER MAPPING (?:IF (?:NOT )?EXISTS )?FOR|SET SESSION AUTHORIZATION|SET ROLE|GRANTED BY|AUTHORIZATION)\s+(?=["\p{L}_'])/gu

/** Each place of a statement that names a role, in GRANT, REVOKE, SET SESSION AUTHORIZATION and the like, in their order. */
export function rolesIn(sql: string, standardStrings = true): RolePlace[] {
  const masked = maskStatement(sql, standardStrings)
  const found: RolePlace[] = []
  for (const match of masked.matchAll(before)) {
    const at = match.index + match[0].length
    if (at < (found.at(-1)?.end ?? 0)) continue
    if (sql[at] === "'") {
      // SET SESSION AUTHORIZATION 'name', as older clients write it
      const { text, end } = textAt(sql, masked, at)
      found.push({ role: text, start: at, end })
      continue
    }
    for (const { name, start, end } of namesAt(sql, at))
      if (sql[start] === '"' || !noRoles.has(name)) found.push({ role: name, start, end })
  }
  return found
}

/** The places of an entry's definition that name roles as such: grants, policies, user mappings, default privileges. */
export function rolePlaces(
  { desc, definition }: Pick<ArchiveEntry, 'desc' | 'definition'>,
  standardStrings: boolean,
): RolePlace[] {
  if (!/^(ACL|DEFAULT ACL|POLICY|USER MAPPING|SCHEMA)$/.test(desc)) return []
  if (desc !== 'POLICY') return rolesIn(definition, standardStrings)
  // its expressions may hold a FROM of their own
  const expressions = maskStatement(definition, standardStrings).search(/\b(USING|WITH CHECK) \(/)
  const head = expressions < 0 ? definition : definition.slice(0, expressions)
  return rolesIn(head, standardStrings)
}

/**
 * The same archive for a target where the source's roles have other names: owners, and every place of a definition where the
 * server would look for a role: in grants, policies, user mappings and default privileges, and where a function sets `role` (no
 * expression holds one, since the server stores no constant of the type regrole). What merely looks like a name stays: names of
 * other things, texts, bodies of functions. Names of entries stay as well, since the user knows them.
 */
export function withRoleNames(archive: Archive, names: RoleNames): Archive {
  if (names === sameRoleNames) return archive
  const { standardStrings } = archive
  const entries = archive.entries.map((entry) => ({
    ...entry,
    owner: names.onTarget(entry.owner),
    definition: renamed(entry, standardStrings, names),
    dropStatement:
      entry.desc === 'USER MAPPING'
        ? renamed({ ...entry, definition: entry.dropStatement }, standardStrings, names)
        : entry.dropStatement,
    bytes: entry.bytes && renamedBytes(entry, entry.bytes, standardStrings, names),
  }))
  return { ...archive, entries }
}

/** The definition with other names. */
export function renamed(
  entry: Pick<ArchiveEntry, 'desc' | 'definition'>,
  standardStrings: boolean,
  names: RoleNames,
): string {
  const { desc, definition } = entry
  const isRoutine = /^(FUNCTION|PROCEDURE)$/.test(desc)
  const places = [
    ...rolePlaces(entry, standardStrings).map((place) => ({ ...place, quote: quoteIdentifier })),
    // never both: a routine's definition has no grants
    ...(isRoutine ? roleSettings(definition, standardStrings) : []).map((place) => {
      return { ...place, quote: (name: string) => quoteLiteral(name).trim() }
    }),
  ]
  let result = ''
  let from = 0
  for (const { role, start, end, quote } of places) {
    const name = names.onTarget(role)
    if (name === role) continue
    result += definition.slice(from, start) + quote(name)
    from = end
  }
  return result + definition.slice(from)
}

/** In an encoding that has no exact text the ASCII of the statement is itself, and names are UTF-8 or have no such name. */
function renamedBytes(
  { desc }: ArchiveEntry,
  bytes: Buffer,
  standardStrings: boolean,
  names: RoleNames,
): Buffer {
  const decoded = {
    ...names,
    onTarget: (role: string) => {
      const name = Buffer.from(role, 'latin1').toString()
      const other = names.onTarget(name)
      return other === name ? role : other
    },
  }
  const definition = bytes.toString('latin1')
  return Buffer.from(renamed({ desc, definition }, standardStrings, decoded), 'latin1')
}

/** The values of `SET role TO 'name'` as pg_dump writes it into CREATE FUNCTION, on a line of its own. */
function roleSettings(sql: string, standardStrings: boolean): RolePlace[] {
  if (!/\n {4}SET "?(role|session_authorization)\b/i.test(sql)) return []
  const masked = maskStatement(sql, standardStrings)
  const found: RolePlace[] = []
  for (const match of masked.matchAll(/\n {4}SET (?=\S)[^\n]*? (?:TO|=) (?=E?')/g)) {
    const parameter = nameAt(sql, match.index + '\n    SET '.length)?.name ?? ''
    const start = match.index + match[0].length
    const { text, end } = textAt(sql, masked, start)
    if (namesRole(parameter, text)) found.push({ role: text, start, end })
  }
  return found
}
