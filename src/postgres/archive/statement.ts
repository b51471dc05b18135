import { printable, shorten } from '../../text/text.ts'

/**
 * The same text, of the same length, in which nothing but keywords, plain names and punctuation is left: contents of
 * string constants, dollar-quoted bodies and comments are blanks, those of quoted names are `_`. Whatever a regular
 * expression finds in it is really there, and indexes into it are indexes into the statement (PostgreSQL, "Lexical
 * Structure").
 *
 * @param standardStrings `standard_conforming_strings`: when false, a backslash escapes in every string constant
 */
export function maskStatement(sql: string, standardStrings = true): string {
  const out: string[] = []
  let position = 0
  const copy = (end: number) => {
    out.push(sql.slice(position, end))
    position = end
  }
  const blank = (end: number, filler = ' ') => {
    out.push(filler.repeat(Math.max(0, Math.min(end, sql.length) - position)))
    position = Math.min(end, sql.length)
  }
  const interesting = /['"$]|--|\/\*/g
  while (position < sql.length) {
    interesting.lastIndex = position
    const found = interesting.exec(sql)
    if (!found) break
    const at = found.index
    copy(at)
    const [mark] = found
    if (mark === "'") {
      const escapes = !standardStrings || /(^|[^\w$])[eE]$/.test(sql.slice(Math.max(0, at - 2), at))
      copy(at + 1)
      blank(endOfQuoted(sql, at + 1, "'", escapes))
    } else if (mark === '"') {
      copy(at + 1)
      blank(endOfQuoted(sql, at + 1, '"', false), '_')
    } else if (mark === '--') {
      const end = sql.indexOf('\n', at)
      blank(end < 0 ? sql.length : end)
    } else if (mark === '/*') {
      blank(endOfComment(sql, at))
    } else {
      // a dollar sign inside a name ($ may follow its first letter) or a parameter ($1) opens nothing
      const tag = /^\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/.exec(
        sql.slice(at, at + 70),
      )?.[0]
      const previous = sql[at - 1] ?? ' '
      if (tag && !/[\w$\u0080-\uffff]/.test(previous)) {
        const end = sql.indexOf(tag, at + tag.length)
        copy(at + tag.length)
        blank(end < 0 ? sql.length : end)
        copy(Math.min(sql.length, position + tag.length))
      } else copy(at + 1)
    }
    // what is masked is between the quotes, so that the end of a string still shows
    if ((mark === "'" || mark === '"') && position < sql.length) copy(position + 1)
  }
  copy(sql.length)
  return out.join('')
}

function endOfQuoted(sql: string, start: number, quote: string, escapes: boolean): number {
  for (let at = start; at < sql.length; at++) {
    if (escapes && sql[at] === '\\') at++
    else if (sql[at] === quote) {
      if (sql[at + 1] !== quote) return at
      at++
    }
  }
  return sql.length
}

function endOfComment(sql: string, start: number): number {
  let depth = 0
  const marks = /\/\*|\*\//g
  marks.lastIndex = start
  for (let found = marks.exec(sql); found; found = marks.exec(sql)) {
    depth += found[0] === '/*' ? 1 : -1
    if (depth === 0) return found.index + 2
  }
  return sql.length
}

/**
 * The statements of a definition, each with its semicolon, without surrounding white space and comments between them. Not
 * for functions with BEGIN ATOMIC, whose body holds semicolons of its own.
 */
export function splitStatements(sql: string, standardStrings = true): string[] {
  const masked = maskStatement(sql, standardStrings)
  const statements: string[] = []
  let start = 0
  for (let at = masked.indexOf(';'); at >= 0; at = masked.indexOf(';', start)) {
    const lead = masked.slice(start, at).search(/\S/)
    if (lead >= 0) statements.push(sql.slice(start + lead, at + 1))
    start = at + 1
  }
  const rest = masked.slice(start).search(/\S/)
  if (rest >= 0) statements.push(sql.slice(start + rest).trimEnd())
  return statements
}

/** The name that begins at a position of a statement: a quoted one is unquoted, a plain one is taken as it stands. */
export function nameAt(sql: string, position: number): { name: string; end: number } | null {
  if (sql[position] === '"') {
    const end = endOfQuoted(sql, position + 1, '"', false)
    return { name: sql.slice(position + 1, end).replaceAll('""', '"'), end: end + 1 }
  }
  const plain = /^[\p{L}_][\p{L}\p{M}\p{N}_$]*/u.exec(sql.slice(position, position + 260))?.[0]
  return plain === undefined ? null : { name: plain, end: position + plain.length }
}

/**
 * The text of a string constant that begins at a position, `'…'` or `E'…'` as the server and pg_dump write them, and where it ends.
 *
 * @param masked the same statement, masked
 */
export function textAt(
  sql: string,
  masked: string,
  position: number,
): { text: string; end: number } {
  const escapes = /^[eE]$/.test(sql[position] ?? '')
  const start = position + (escapes ? 2 : 1)
  const close = masked.indexOf("'", start)
  const end = close < 0 ? sql.length : close
  const text = sql.slice(start, end).replaceAll("''", "'")
  return { text: escapes ? text.replaceAll('\\\\', '\\') : text, end: end + 1 }
}

/** The names of a comma-separated list that begins at a position, each with its place; ends where the commas do. */
export function namesAt(
  sql: string,
  position: number,
): { name: string; start: number; end: number }[] {
  const names: { name: string; start: number; end: number }[] = []
  for (let start = position; ; ) {
    const found = nameAt(sql, start)
    if (!found) return names
    names.push({ ...found, start })
    const comma = /^\s*,\s*/.exec(sql.slice(found.end, found.end + 40))
    if (!comma) return names
    start = found.end + comma[0].length
  }
}

/**
 * A statement for people: one line, at most `most` characters, and nothing that may be a secret: the options of user
 * mappings and servers, the connection strings of subscriptions, and the values out of rows that statistics hold are left out.
 */
export function shortStatement(sql: string, most = 300): string {
  const masked = maskStatement(sql)
  const secret =
    /\b(USER\s+MAPPING|SERVER|SUBSCRIPTION|FOREIGN\s+DATA\s+WRAPPER|pg_restore_\w+_stats)\b/i.test(
      masked.slice(0, 200),
    )
  const shown = secret ? masked.replace(/'\s*'/g, "'…'").replace(/"_+"/g, '"…"') : sql
  return shorten(printable(shown.replace(/\s+/g, ' ').trim()), most)
}
