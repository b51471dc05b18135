import type { Archive } from '../../../postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { maskStatement, nameAt } from '../../../postgres/archive/statement.ts'
import { qualifiedName } from '../../../postgres/identifiers.ts'
import { printable } from '../../../text/text.ts'
import { type Decision, leaveOut } from './planned-entry.ts'

/**
 * A place of a definition as pg_dump writes it, names masked, at which the type is one whose values are names of roles: a column
 * of a table or a composite type on a line of its own, the type under a domain, and that of a range's bounds.
 */
const roleType =
  /(?:^(?: {4}|\t)(?:"_*"|[\w$\u0080-\uffff]+)|^CREATE DOMAIN \S+ AS|^ {4}subtype =) (?:pg_catalog\.)?(?:regrole|aclitem)(?:\[\])*(?=[ ,;\n]|$)/mu

/** What has columns or is made of other types. */
const isHolder = /^(TABLE|TYPE|DOMAIN)$/

const remedy = 'None needed: a migration brings it'

/**
 * Tables whose rows name roles, so that they can only be loaded where roles of these names are: by a column, be it the table's
 * own, inherited or of a type that it is made of, or by a column of a type that is made of such a type.
 */
export class RoleRows {
  private readonly standardStrings: boolean
  private readonly tables: ReadonlySet<string>

  /** @param rows of each table of the dump, by quoted name, where the dump says so: a table without rows loses none */
  constructor({ entries, standardStrings }: Archive, rows?: ReadonlyMap<string, number>) {
    this.standardStrings = standardStrings
    const candidates = entries.filter(({ desc }) => isHolder.test(desc))
    const holders = new Set(
      candidates
        .filter(
          ({ definition }) =>
            /regrole|aclitem/.test(definition) &&
            roleType.test(maskStatement(definition, standardStrings)),
        )
        .map(({ dumpId }) => dumpId),
    )
    // pg_dump notes of each of them which types and parents it needs
    for (let before = 0; holders.size > before; ) {
      before = holders.size
      if (before === 0) break
      for (const { dumpId, dependencies } of candidates)
        if (dependencies.some((id) => holders.has(id))) holders.add(dumpId)
    }
    const lost = candidates.filter(
      ({ desc, dumpId, namespace, tag }) =>
        desc === 'TABLE' && holders.has(dumpId) && rows?.get(qualifiedName(namespace, tag)) !== 0,
    )
    this.tables = new Set(lost.map(keyOf))
  }

  /**
   * What becomes of an entry where the source's roles have other names: rows that name them are lost, and with them every foreign
   * key to them, which rows of another table would break.
   *
   * @returns undefined where that does not matter to the entry
   */
  decide(entry: ArchiveEntry): Decision | undefined {
    if (this.tables.size === 0) return undefined
    if (entry.desc === 'TABLE DATA' && this.tables.has(keyOf(entry)))
      return {
        ...leaveOut(
          'its rows name roles (regrole or aclitem), which have other names in a rehearsal',
          remedy,
          'rows',
        ),
        ofRehearsal: true,
      }
    if (entry.desc !== 'FK CONSTRAINT') return undefined
    const own = this.tableBehind(entry, /\bALTER TABLE (?:ONLY )?(?=\S)/)
    const other = this.tableBehind(entry, /\bREFERENCES (?=\S)/)
    // a table without rows breaks no foreign key
    if (!other || !this.tables.has(keyOf(other)) || (own && this.tables.has(keyOf(own))))
      return undefined
    return {
      ...leaveOut(
        `it references ${printable(`${other.namespace}.${other.tag}`)}, whose rows name roles (regrole or aclitem) and are left out of a rehearsal`,
        remedy,
        'behaviour',
      ),
      ofRehearsal: true,
    }
  }

  /** The table whose name stands behind a keyword of an entry's definition. */
  private tableBehind({ definition, namespace }: ArchiveEntry, keyword: RegExp) {
    const match = keyword.exec(maskStatement(definition, this.standardStrings))
    const first = match && nameAt(definition, match.index + match[0].length)
    if (!first) return undefined
    const second = definition[first.end] === '.' ? nameAt(definition, first.end + 1) : null
    return second ? { namespace: first.name, tag: second.name } : { namespace, tag: first.name }
  }
}

const keyOf = ({ namespace, tag }: Pick<ArchiveEntry, 'namespace' | 'tag'>) =>
  `${namespace}\0${tag}`
