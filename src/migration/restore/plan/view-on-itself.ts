import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { nameAt } from '../../../postgres/archive/statement.ts'
import { type Decision, leaveOut } from './planned-entry.ts'

/** What stands right before a relation in a query. */
const beforeRelation = /(?:\b(?:FROM|JOIN|ONLY)|[,(])\s*$/i

/**
 * A view that selects from itself: CREATE OR REPLACE VIEW makes one of a view that did not, every query of it ends in
 * "infinite recursion detected in rules", and a dump has one statement for it, which no server takes. A circle of several
 * views is another matter: a dump begins it with a view of NULLs, and replaces that at the end.
 *
 * @param masked its statement, masked (see maskStatement)
 */
export function viewOnItself(entry: ArchiveEntry, masked: string): Decision | undefined {
  if (entry.desc !== 'VIEW') return undefined
  const sql = entry.definition
  const start = /^\s*CREATE VIEW /.exec(masked)?.[0].length ?? 0
  const schema = nameAt(sql, start)
  const name = schema && masked[schema.end] === '.' ? nameAt(sql, schema.end + 1) : null
  // without a schema it could be the name of a common table expression
  if (start === 0 || !schema || !name) return undefined
  // pg_dump and the query, which the server prints, quote a name in the same way
  const written = sql.slice(start, name.end)
  for (let at = sql.indexOf(written, name.end); at >= 0; at = sql.indexOf(written, at + 1)) {
    const isName = masked[at + schema.end - start] === '.'
    const behind = masked[at + written.length] ?? ''
    if (!isName || /[\w$.(]/.test(behind)) continue
    if (!beforeRelation.test(masked.slice(Math.max(0, at - 40), at))) continue
    return leaveOut(
      'it selects from itself: no query of it can succeed, and no dump can create it',
      'Drop the view on the source, or give it the query that was meant: CREATE OR REPLACE VIEW …',
      'behaviour',
    )
  }
  return undefined
}
