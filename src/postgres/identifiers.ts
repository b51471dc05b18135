/** Quotes a name for SQL, always: `"` is doubled, nothing else is special (PostgreSQL, "Identifiers and Key Words"). */
export function quoteIdentifier(name: string): string {
  if (name.includes('\0')) throw new TypeError('a PostgreSQL identifier cannot hold a NUL')
  return `"${name.replaceAll('"', '""')}"`
}

/** `schema.name`, both quoted. */
export function qualifiedName(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
}

/**
 * Quotes a string for SQL whatever `standard_conforming_strings` says: with a backslash in it, it becomes an E'' string
 * (as libpq's PQescapeLiteral does).
 */
export function quoteLiteral(value: string): string {
  if (value.includes('\0')) throw new TypeError('a PostgreSQL string cannot hold a NUL')
  const doubled = value.replaceAll("'", "''")
  return value.includes('\\') ? ` E'${doubled.replaceAll('\\', '\\\\')}'` : `'${doubled}'`
}
