/** A token of SQL: enough of the lexical rules to find names and options; comments are left out. */
export interface Token {
  kind: 'word' | 'quoted' | 'string' | 'other'
  /** An unquoted word in lower case, or the symbol; undefined for quoted names and strings. */
  word: string | undefined
  /** What it names: quotes taken off, an unquoted word folded to lower case. */
  value: string
  start: number
  end: number
  /** How many parentheses it is in. */
  depth: number
}

const pattern =
  /\s+|--[^\n]*|\/\*|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$|[A-Za-z_\x80-\xff][\w$\x80-\xff]*|./sy

/** Splits SQL, one byte a character, into tokens. */
export function tokens(sql: string): Token[] {
  const list: Token[] = []
  let depth = 0
  pattern.lastIndex = 0
  for (;;) {
    const start = pattern.lastIndex
    const text = pattern.exec(sql)?.[0]
    if (text === undefined) return list
    const [first] = text
    if (/^\s/.test(text) || text.startsWith('--')) continue
    if (text === '/*') {
      pattern.lastIndex = endOfComment(sql, start)
      continue
    }
    if (text.startsWith('$') && text.length > 1) {
      const end = sql.indexOf(text, start + text.length)
      pattern.lastIndex = end < 0 ? sql.length : end + text.length
      const value = sql.slice(start + text.length, end < 0 ? sql.length : end)
      list.push({ kind: 'string', word: undefined, value, start, end: pattern.lastIndex, depth })
      continue
    }
    if (text === ')') depth--
    const end = start + text.length
    if (first === '"')
      list.push({ kind: 'quoted', word: undefined, value: unquote(text), start, end, depth })
    else if (text.endsWith("'") && text.length > 1)
      list.push({ kind: 'string', word: undefined, value: unquote(text), start, end, depth })
    else {
      const word = text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
      const kind = /^[\w\x80-\xff]/.test(text) ? 'word' : 'other'
      list.push({ kind, word, value: word, start, end, depth })
    }
    if (text === '(') depth++
  }
}

function unquote(text: string): string {
  if (text.startsWith('"')) return text.slice(1, -1).replaceAll('""', '"')
  const body = text.slice(text.indexOf("'") + 1, -1).replaceAll("''", "'")
  return text.startsWith("'") ? body : body.replace(/\\(.)/gs, '$1')
}

/** Comments nest. */
function endOfComment(sql: string, start: number): number {
  const edges = /\/\*|\*\//g
  edges.lastIndex = start
  let depth = 0
  for (let edge = edges.exec(sql); edge; edge = edges.exec(sql)) {
    depth += edge[0] === '/*' ? 1 : -1
    if (depth === 0) return edges.lastIndex
  }
  return sql.length
}

/** The ranges of the statements of a query: semicolons in parentheses, quotes and comments do not end one. */
export function statements(sql: string): { start: number; end: number }[] {
  const ranges: { start: number; end: number }[] = []
  let start = -1
  let end = 0
  for (const token of tokens(sql)) {
    if (token.word === ';' && token.depth === 0) {
      if (start >= 0) ranges.push({ start, end })
      start = -1
      continue
    }
    if (start < 0) start = token.start
    end = token.end
  }
  if (start >= 0) ranges.push({ start, end })
  return ranges
}

/** Names with commas between them. */
export function identifierList(list: Token[], from: number): { names: string[]; next: number } {
  const names: string[] = []
  let at = from
  for (;;) {
    const token = list[at]
    if (!token || (token.kind !== 'word' && token.kind !== 'quoted')) break
    names.push(token.value)
    at++
    if (list[at]?.word !== ',') break
    at++
  }
  return { names, next: at }
}

/** A string constant that means the same whatever standard_conforming_strings is. */
export function literal(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}
