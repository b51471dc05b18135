/** A piece of SQL, by UTF-16 offsets into the text it was found in. */
export interface Range {
  start: number
  /** The offset after its last character. */
  end: number
}

/**
 * `word` is an unquoted name or key word, `name` a quoted identifier, `string` any string constant, `meta` a psql command
 * line, `broken` what cannot be read on: the constant, identifier or comment has no end.
 */
export type TokenKind = 'word' | 'name' | 'string' | 'number' | 'symbol' | 'meta' | 'broken'

export interface Token extends Range {
  kind: TokenKind
  /**
   * What it stands for: a word folded to lower case, a name or string without its quotes and escapes, anything else as
   * written.
   */
  value: string
}

export interface ScannerState {
  /** `standard_conforming_strings`: when off, backslashes are escapes in plain strings too. */
  standardStrings: boolean
  /**
   * Names of roles that hold a line break. Unpatched releases of pg_dumpall (before CVE-2025-8715) print a role's name
   * as it is into the comment above its settings, where a line break ends the comment and the rest reads as SQL.
   */
  brokenNames: string[]
}

const space = /[ \t\n\r\f\v]+/y
const word = /[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*/y
const number = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y
const dollarTag = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y
const lineComment = /--[^\n\r]*/y
const metaLine = /\\[^\n\r]*/y
const plainBody = /[^']*(?:''[^']*)*'/y
const escapeBody = /[^'\\]*(?:(?:''|\\[\s\S])[^'\\]*)*'/y
const nameBody = /[^"]*(?:""[^"]*)*"/y
const settingsHeader = '-- User Config "'

/**
 * Reads the next token of an SQL script as PostgreSQL's own scanner does (PostgreSQL, "Lexical Structure"), psql's
 * commands included. Unicode-escaped names and strings (`U&`), which no dump of roles holds, are left apart as a word, a
 * symbol and a string: no statement we know has them, so they are never misread.
 *
 * @param at where to start reading
 * @returns undefined at the end of the text
 */
export function nextToken(text: string, at: number, state: ScannerState): Token | undefined {
  let start = at
  for (;;) {
    start = match(space, text, start) ?? start
    const after = skipComment(text, start, state)
    if (after === undefined) break
    if (after < 0) return broken(text, start)
    start = after
  }
  const first = text[start]
  if (first === undefined) return undefined
  const token = (kind: TokenKind, end: number, value = text.slice(start, end)): Token => ({
    kind,
    start,
    end,
    value,
  })
  if (first === '"') {
    const end = match(nameBody, text, start + 1)
    if (end === undefined) return broken(text, start)
    return token('name', end, text.slice(start + 1, end - 1).replaceAll('""', '"'))
  }
  const escapes = (first === 'E' || first === 'e') && text[start + 1] === "'"
  if (first === "'" || escapes) {
    const open = escapes ? start + 2 : start + 1
    const backslashes = escapes || !state.standardStrings
    const end = match(backslashes ? escapeBody : plainBody, text, open)
    if (end === undefined) return broken(text, start)
    const body = text.slice(open, end - 1).replaceAll("''", "'")
    return token('string', end, backslashes ? withoutEscapes(body) : body)
  }
  if (first === '$') {
    const open = match(dollarTag, text, start)
    if (open !== undefined) {
      const tag = text.slice(start, open)
      const close = text.indexOf(tag, open)
      if (close < 0) return broken(text, start)
      return token('string', close + tag.length, text.slice(open, close))
    }
  }
  if (first === '\\') return token('meta', match(metaLine, text, start) ?? start + 1)
  const endOfWord = match(word, text, start)
  if (endOfWord !== undefined) {
    const folded = text
      .slice(start, endOfWord)
      .replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
    return token('word', endOfWord, folded)
  }
  const endOfNumber = match(number, text, start)
  if (endOfNumber !== undefined) return token('number', endOfNumber)
  return token('symbol', start + 1)
}

/** The line that an offset is on, from 1. */
export function lineOf(text: string, offset: number): number {
  let line = 1
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line++
  return line
}

/** Where the comment that starts here ends; -1 when it has no end, undefined when none starts here. */
function skipComment(text: string, start: number, state: ScannerState): number | undefined {
  if (text.startsWith('--', start)) {
    return settingsHeaderEnd(text, start, state) ?? match(lineComment, text, start)
  }
  if (!text.startsWith('/*', start)) return undefined
  let depth = 0
  const bracket = /\/\*|\*\//g
  bracket.lastIndex = start
  for (let found = bracket.exec(text); found; found = bracket.exec(text)) {
    depth += found[0] === '/*' ? 1 : -1
    if (depth === 0) return bracket.lastIndex
  }
  return -1
}

function settingsHeaderEnd(text: string, start: number, state: ScannerState): number | undefined {
  if (state.brokenNames.length === 0 || !text.startsWith(settingsHeader, start)) return undefined
  const at = start + settingsHeader.length
  let end: number | undefined
  for (const name of state.brokenNames) {
    const after = at + name.length
    if (text.startsWith(name, at) && text.startsWith('"\n--\n', after) && after > (end ?? 0))
      end = after
  }
  return end === undefined ? undefined : end + 1
}

function match(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : undefined
}

function broken(text: string, start: number): Token {
  return { kind: 'broken', start, end: text.length, value: '' }
}

const letters: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }
const escapeSequence =
  /\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([\s\S]))|[^\\]+/g

/** The value of a string with C-style escapes; those by number are bytes of UTF-8 and may form one character together. */
function withoutEscapes(body: string): string {
  if (!body.includes('\\')) return body
  const parts: Buffer[] = []
  for (const [all, octal, hex, short, long, other] of body.matchAll(escapeSequence)) {
    if (octal !== undefined) parts.push(Buffer.from([Number.parseInt(octal, 8) & 0xff]))
    else if (hex !== undefined) parts.push(Buffer.from([Number.parseInt(hex, 16)]))
    else if (short !== undefined || long !== undefined) {
      const code = Number.parseInt(short ?? long ?? '', 16)
      parts.push(Buffer.from(code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd'))
    } else if (other !== undefined) parts.push(Buffer.from(letters[other] ?? other))
    else parts.push(Buffer.from(all))
  }
  return Buffer.concat(parts).toString('utf8')
}
