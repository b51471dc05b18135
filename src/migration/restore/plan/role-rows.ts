import type { Archive } from '../../../postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { maskStatement } from '../../../postgres/archive/statement.ts'
import { type Decision, leaveOut } from './planned-entry.ts'

/** A column of a type whose values are names of roles, on a line of its own as pg_dump writes it, names masked. */
const roleColumn =
  /^ {4}(?:"_*"|[\w$\u0080-\uffff]+) (?:pg_catalog\.)?(?:regrole|aclitem)(?:\[\])*(?=[ ,\n])/mu

/** Tables whose rows name roles, so that they can only be loaded where roles of these names are. */
export class RoleRows {
  private readonly tables: ReadonlySet<string>

  constructor({ entries, standardStrings }: Archive) {
    this.tables = new Set(
      entries.flatMap((entry) => {
        const { desc, definition } = entry
        if (desc !== 'TABLE' || !/regrole|aclitem/.test(definition)) return []
        return roleColumn.test(maskStatement(definition, standardStrings)) ? [keyOf(entry)] : []
      }),
    )
  }

  /** What becomes of an entry where the source's roles have other names; undefined where that does not matter to it. */
  decide(entry: ArchiveEntry): Decision | undefined {
    if (entry.desc !== 'TABLE DATA' || !this.tables.has(keyOf(entry))) return undefined
    return leaveOut(
      'its rows name roles (regrole or aclitem), which have other names in a rehearsal',
      'None needed: a migration loads them',
      'nothing',
    )
  }
}

const keyOf = ({ namespace, tag }: ArchiveEntry) => `${namespace}\0${tag}`
