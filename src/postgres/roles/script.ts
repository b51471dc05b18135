import { quoteLiteral } from '../identifiers.ts'
import { TokenReader } from './token-reader.ts'
import { lineOf, nextToken, type Range, type ScannerState, type Token } from './tokens.ts'

/** An option of CREATE ROLE or ALTER ROLE. */
export interface RoleOption extends Range {
  /** Upper case, `NO` included: `NOLOGIN`, `CONNECTION LIMIT`, `PASSWORD`, `VALID UNTIL`. */
  word: string
  /** The number or string that belongs to it; null for `PASSWORD NULL`. */
  value?: string | null
  /** Where that string is. */
  literal?: Range
}

export type RoleStatement = Range &
  (
    | { kind: 'create' | 'alter'; role: string; options: RoleOption[] }
    | { kind: 'comment'; role: string; comment: string | null; literal: Range }
    | { kind: 'label'; role: string; provider: string; label: string | null; literal: Range }
    | {
        kind: 'setting'
        /** null for ALTER ROLE ALL. */
        role: string | null
        database: string | null
        parameter: string
        /** The value or values, one element each. */
        values: string[]
        literal: Range
      }
    | {
        kind: 'membership'
        role: string
        member: string
        admin: boolean
        /** undefined where the statement leaves it to the server. */
        inherit: boolean | undefined
        set: boolean | undefined
        grantor: string | undefined
      }
    | {
        kind: 'parameter'
        revoke: boolean
        /** null for PUBLIC. */
        role: string | null
        parameter: string
        privileges: string[]
        grantOption: boolean
      }
    /** Concerns the session that runs the script, and nothing that lasts. */
    | { kind: 'session' }
  )

export interface UnknownStatement extends Range {
  line: number
  /** Its beginning; strings, which may hold passwords, are left out. */
  excerpt: string
}

export interface RoleScript {
  text: string
  statements: RoleStatement[]
  /** What the reader does not know: such a script must not be used. */
  unknown: UnknownStatement[]
  /** As `SET client_encoding` names it. */
  encoding: string | undefined
  /** Plain strings hold backslashes as they are. */
  standardStrings: boolean
}

/**
 * Reads what `pg_dumpall --roles-only` of 9.1 to 18 writes (pg_dumpall.c of these versions), every character accounted for.
 * Nothing is guessed: a statement in any other form is listed as unknown, exactly where it stands.
 */
export function parseRoleScript(text: string): RoleScript {
  const script: RoleScript = {
    text,
    statements: [],
    unknown: [],
    encoding: undefined,
    standardStrings: true,
  }
  const state: ScannerState = { standardStrings: true, brokenNames: [] }
  for (let at = 0; ; ) {
    const tokens: Token[] = []
    let token = nextToken(text, at, state)
    if (token === undefined) return script
    const { start } = token
    while (token !== undefined) {
      at = token.end
      if (token.kind === 'symbol' && token.value === ';') break
      tokens.push(token)
      if (token.kind === 'meta' || token.kind === 'broken') break
      token = nextToken(text, at, state)
    }
    const statement = token === undefined ? undefined : parseStatement(tokens)
    if (statement === undefined) {
      script.unknown.push({
        start,
        end: at,
        line: lineOf(text, start),
        excerpt: excerpt(tokens, text),
      })
      continue
    }
    if (statement.kind === 'create' && /[\n\r]/.test(statement.role))
      state.brokenNames.push(statement.role)
    if (statement.kind === 'session') followSession(tokens, state, script)
    script.statements.push({ ...statement, start, end: at })
  }
}

/**
 * A string as the script writes it, byte for byte; only where the script's backslashes mean something else to our session
 * (standard_conforming_strings off) it is written anew.
 */
export function sourceLiteral(
  script: RoleScript,
  range: Range | undefined,
  value: string | null,
): string {
  if (value === null || range === undefined) return 'NULL'
  const text = script.text.slice(range.start, range.end)
  const differs = !script.standardStrings && text.startsWith("'") && text.includes('\\')
  return differs ? quoteLiteral(value).trim() : text
}

/** `Omit` for each member of a union. */
type Unplaced<T> = T extends Range ? Omit<T, 'start' | 'end'> : never

function parseStatement(tokens: Token[]): Unplaced<RoleStatement> | undefined {
  const reader = new TokenReader(tokens)
  const statement = readStatement(reader)
  return reader.atEnd ? statement : undefined
}

function readStatement(reader: TokenReader): Unplaced<RoleStatement> | undefined {
  // \restrict and \unrestrict (CVE-2025-8714) fence psql's own commands off; nothing else of psql belongs here
  if (reader.meta(/^\\(un)?restrict\s+\w+\s*$/)) return { kind: 'session' }
  switch (
    reader.word('create', 'alter', 'comment', 'security', 'grant', 'revoke', 'set', 'reset')
  ) {
    case 'create': {
      const role = reader.word('role') && reader.name()
      if (role === undefined) return undefined
      reader.word('with')
      const options = readOptions(reader)
      return options && { kind: 'create', role, options }
    }
    case 'alter':
      return readAlter(reader)
    case 'comment': {
      if (!(reader.word('on') && reader.word('role'))) return undefined
      const role = reader.name()
      if (role === undefined || !reader.word('is')) return undefined
      const literal = reader.stringOrNull()
      return literal && { kind: 'comment', role, comment: literal.value, literal }
    }
    case 'security': {
      if (!(reader.word('label') && reader.word('for'))) return undefined
      const provider = reader.name()
      if (provider === undefined || !(reader.word('on') && reader.word('role'))) return undefined
      const role = reader.name()
      if (role === undefined || !reader.word('is')) return undefined
      const literal = reader.stringOrNull()
      return literal && { kind: 'label', role, provider, label: literal.value, literal }
    }
    case 'grant':
      // ON is a reserved word, so no role is called so without quotes; `parameter` is not
      return reader.has('on') ? readParameter(reader, false) : readMembership(reader)
    case 'revoke':
      return readParameter(reader, true)
    case 'set':
      return readSessionSetting(reader)
    case 'reset':
      return reader.word('session') && reader.word('authorization')
        ? { kind: 'session' }
        : undefined
    default:
      return undefined
  }
}

const flags = new Set(
  'superuser inherit createrole createdb login replication bypassrls polar_superuser'
    .split(' ')
    .flatMap((flag) => [flag, `no${flag}`]),
)

function readOptions(reader: TokenReader): RoleOption[] | undefined {
  const options: RoleOption[] = []
  while (!reader.atEnd) {
    const first = reader.take()
    if (first?.kind !== 'word') return undefined
    const { start } = first
    const add = (word: string, found?: Range & { value: string | null }) => {
      const option = { word, start, end: reader.last }
      options.push(found ? { ...option, value: found.value, literal: found } : option)
    }
    if (flags.has(first.value)) add(first.value.toUpperCase())
    else if (first.value === 'connection') {
      const limit = reader.word('limit') && reader.number()
      if (limit === undefined) return undefined
      options.push({ word: 'CONNECTION LIMIT', value: limit, start, end: reader.last })
    } else if (first.value === 'valid') {
      const until = reader.word('until') && reader.string()
      if (!until) return undefined
      add('VALID UNTIL', until)
    } else if (
      first.value === 'password' ||
      (first.value === 'encrypted' && reader.word('password'))
    ) {
      const password = reader.stringOrNull()
      if (password === undefined) return undefined
      add('PASSWORD', password)
    } else return undefined
  }
  return options
}

function readAlter(reader: TokenReader): Unplaced<RoleStatement> | undefined {
  if (!reader.word('role')) return undefined
  const all = reader.word('all') !== undefined
  const role = all ? null : reader.name()
  if (role === undefined) return undefined
  if (role !== null && reader.word('with')) {
    const options = readOptions(reader)
    return options && { kind: 'alter', role, options }
  }
  let database: string | null = null
  if (reader.word('in')) {
    const name = reader.word('database') && reader.name()
    if (name === undefined) return undefined
    database = name
  }
  if (!reader.word('set')) return undefined
  const parameter = reader.dottedName()
  if (parameter === undefined || !(reader.word('to') || reader.symbol('='))) return undefined
  const value = reader.values()
  return value && { kind: 'setting', role, database, parameter, ...value }
}

function readMembership(reader: TokenReader): Unplaced<RoleStatement> | undefined {
  const role = reader.name()
  if (role === undefined || !reader.word('to')) return undefined
  const member = reader.name()
  if (member === undefined) return undefined
  const options: Partial<Record<'admin' | 'inherit' | 'set', boolean>> = {}
  if (reader.word('with')) {
    do {
      const option = reader.word('admin', 'inherit', 'set')
      const value = option && reader.word('option', 'true', 'false')
      if (value === undefined || (option !== 'admin' && option !== 'inherit' && option !== 'set'))
        return undefined
      options[option] = value !== 'false'
    } while (reader.symbol(','))
  }
  let grantor: string | undefined
  if (reader.word('granted')) {
    grantor = reader.word('by') && reader.name()
    if (grantor === undefined) return undefined
  }
  const { admin = false, inherit, set } = options
  return { kind: 'membership', role, member, admin, inherit, set, grantor }
}

function readParameter(reader: TokenReader, revoke: boolean): Unplaced<RoleStatement> | undefined {
  const privileges: string[] = []
  const grantOptionOnly = revoke && reader.word('grant') !== undefined
  if (grantOptionOnly && !(reader.word('option') && reader.word('for'))) return undefined
  do {
    const privilege = reader.word('set', 'all', 'alter')
    if (privilege === undefined || (privilege === 'alter' && !reader.word('system')))
      return undefined
    if (privilege === 'all') reader.word('privileges')
    privileges.push(privilege === 'alter' ? 'ALTER SYSTEM' : privilege.toUpperCase())
  } while (reader.symbol(','))
  if (!(reader.word('on') && reader.word('parameter'))) return undefined
  const parameter = reader.dottedName()
  if (parameter === undefined || !reader.word(revoke ? 'from' : 'to')) return undefined
  const role = reader.word('public') ? null : reader.name()
  if (role === undefined) return undefined
  let grantOption = grantOptionOnly
  if (!revoke && reader.word('with')) {
    if (!(reader.word('grant') && reader.word('option'))) return undefined
    grantOption = true
  }
  return { kind: 'parameter', revoke, role, parameter, privileges, grantOption }
}

const sessionSettings = [
  'default_transaction_read_only',
  'client_encoding',
  'standard_conforming_strings',
  'escape_string_warning',
] as const

function readSessionSetting(reader: TokenReader): Unplaced<RoleStatement> | undefined {
  if (reader.word('session')) {
    // stands around a GRANT ON PARAMETER whose grantor is not the owner
    const as = reader.word('authorization') && reader.name()
    return as === undefined ? undefined : { kind: 'session' }
  }
  if (!(reader.word(...sessionSettings) && reader.symbol('=') && reader.values())) return undefined
  return { kind: 'session' }
}

function followSession(tokens: Token[], state: ScannerState, script: RoleScript): void {
  const value = tokens.at(-1)?.value ?? ''
  if (tokens[1]?.value === 'client_encoding') script.encoding = value
  if (tokens[1]?.value === 'standard_conforming_strings') {
    state.standardStrings = value !== 'off'
    script.standardStrings = state.standardStrings
  }
}

function excerpt(tokens: Token[], text: string): string {
  return tokens
    .slice(0, 12)
    .map((token) => {
      if (token.kind === 'string' || token.kind === 'broken') return '…'
      return text.slice(token.start, Math.min(token.end, token.start + 63))
    })
    .join(' ')
}
