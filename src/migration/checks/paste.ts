import { quoteIdentifier } from '../../postgres/identifiers.ts'
import { printable } from '../../text/text.ts'

/**
 * A name as SQL to paste: quoted, in one line whatever is in it. What cannot be printed is written as an escape, which the
 * server reads as the same name (PostgreSQL, "Identifiers and Key Words").
 */
export function pastedName(...parts: readonly string[]): string {
  return parts
    .map((part) => {
      if (printable(part) === part) return quoteIdentifier(part)
      const escaped = [...part.replaceAll('\\', '\\\\')].map((character) =>
        printable(character) === character ? character : escapeOf(character),
      )
      return `U&${quoteIdentifier(escaped.join(''))}`
    })
    .join('.')
}

function escapeOf(character: string): string {
  return `\\+${(character.codePointAt(0) ?? 0).toString(16).padStart(6, '0')}`
}

/**
 * SQL to paste for objects of several databases: a heading for each database, as a comment.
 *
 * @param rows of a question; those of one database belong together
 * @param statement the SQL for one of them, in a line
 */
export function statementsFor<Row extends { database: string }>(
  rows: readonly Row[],
  statement: (row: Row) => string,
): string {
  const databases = Map.groupBy(rows, ({ database }) => database)
  return [...databases]
    .flatMap(([database, rows]) => [
      ...(databases.size > 1 ? [`-- in the database ${printable(database)}`] : []),
      ...new Set(rows.map(statement)),
    ])
    .join('\n')
}

/** Objects of rows for people, with the database before each where there are several. */
export function objectsOf<Row extends { database: string }>(
  rows: readonly Row[],
  name: (row: Row) => string,
): string[] {
  const several = new Set(rows.map(({ database }) => database)).size > 1
  return rows.map((row) => `${several ? `${printable(row.database)}: ` : ''}${name(row)}`)
}
