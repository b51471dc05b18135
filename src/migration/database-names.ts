import { quoteIdentifier } from '../postgres/identifiers.ts'

/** One database of the source and its name on the target. */
export interface DatabaseName {
  source: string
  target: string
}

/** Databases of the server itself, where no data may go; PolarDB has one more. */
export function isSystemDatabase(name: string): boolean {
  return /^(template[01]|polardb_admin)$/.test(name)
}

/** Databases that providers of PostgreSQL keep on a server for themselves and let nobody into. */
export function isProvidersDatabase(name: string): boolean {
  return /^(polardb_admin|rdsadmin|cloudsqladmin|alloydb(admin|metadata)|azure_(maintenance|sys))$/.test(
    name,
  )
}

/**
 * Why a text cannot be the name of a database; undefined when it can. PostgreSQL cuts a name after 63 bytes off without an
 * error ("Identifiers and Key Words"), and so would meet another database.
 */
export function flawOfName(name: string): string | undefined {
  const bytes = Buffer.byteLength(name)
  if (name === '') return 'a database without a name'
  if (name.includes('\0')) return 'the name of a database with a NUL in it'
  return bytes > 63
    ? `the name of a database of ${bytes} bytes; PostgreSQL has 63 at most`
    : undefined
}

/**
 * `databases`: names one a line or comma separated, `all`, `name=target-name` renames. A name with a comma, an equals
 * sign or blanks at its ends goes in double quotes, a quote in it doubled, as in SQL.
 */
export function parseDatabases(text: string): 'all' | DatabaseName[] {
  const names: DatabaseName[] = []
  const token = /\s*(?:"((?:[^"]|"")*)"|([^\s",=](?:[^",=\n]*[^\s",=])?))[^\S\n]*([=,\n]|$)/y
  let position = 0
  let pending: string | undefined
  const end = text.trimEnd()
  while (position < end.length) {
    token.lastIndex = position
    const match = token.exec(end)
    if (!match)
      throw new SyntaxError('it is no list of database names, one a line or comma separated')
    const name = match[1]?.replaceAll('""', '"') ?? match[2] ?? ''
    const flaw = flawOfName(name)
    if (flaw) throw new SyntaxError(`it names ${flaw}`)
    if (match[3] === '=') {
      if (pending !== undefined) throw new SyntaxError('a rename has two "="')
      pending = name
    } else {
      names.push({ source: pending ?? name, target: name })
      pending = undefined
    }
    position = token.lastIndex
  }
  if (pending !== undefined)
    throw new SyntaxError(`the rename of "${pending}" names no target database`)
  if (names.length === 1 && names[0]?.source === 'all' && !end.includes('"')) return 'all'
  for (const side of ['source', 'target'] as const) {
    const twice = names.find(
      (name, index) => names.findIndex((other) => other[side] === name[side]) < index,
    )
    if (twice) throw new SyntaxError(`the ${side} database "${twice[side]}" is named twice`)
  }
  return names
}

/** The text of `databases` that names this one database, whatever is in its names: see parseDatabases. */
export function databasesInput({ source, target }: DatabaseName): string {
  return `${quoteIdentifier(source)}=${quoteIdentifier(target)}`
}
