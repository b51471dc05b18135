/**
 * What is shown of a server's message. Some messages quote values of rows (`invalid input syntax for type integer: "4111"`), and
 * a function of the database can put anything into one (`RAISE EXCEPTION 'bad card %'`). So of errors about data nothing is
 * shown but words that are known to be PostgreSQL's own, and of what user code raised nothing but its SQLSTATE. DETAIL, HINT
 * and CONTEXT are shown of no error at all (docs/threat-model.md).
 */

/** A server's error or warning, as `pg` gives it (PostgreSQL, "Error and Notice Message Fields"). */
interface ServerMessage {
  message: string
  code: string
  severity: unknown
  file?: string
  where?: string
  position?: string
  internalPosition?: string
  schema?: string
  table?: string
  column?: string
  constraint?: string
}

const hidden = "the server's own words are not shown, since they may quote values"

/** Classes whose messages name objects, settings and states, but no values (PostgreSQL, "PostgreSQL Error Codes"). */
const plainClasses = /^(0[0-9AB]|0LP?|0P|2[1458]|2B|2D|3[DF]|40|42|5[34578]|72|F0|XX)/

/** SQLSTATEs of what is looked up by name: of objects, parameters, types. */
const lookedUp = /^(0A000|3D000|3F000|42(?!501))/

/** Statements that compute expressions of rows in no function, which a CONTEXT would tell. */
const ofRows = /^\s*(REFRESH MATERIALIZED VIEW|ALTER TABLE\b.*\b(CHECK \(|VALIDATE CONSTRAINT))/s

/** Sources of messages that user code words: PL/pgSQL, PL/Perl, PL/Python, PL/Tcl, PL/v8, PL/R, PL/Java, PL/Rust, PL/sh. */
const languages = /^(pl_|pl[a-z]+[_.]|plpy_|SPI\.c|Exception\.c)|\.(cc|cpp|rs|xs)$/

/** Places in a CONTEXT where the text of a message, or of a statement that it quotes, was put together while it ran. */
const madeUp = /\b(RAISE|ASSERT|EXECUTE)\b|^PL\/(?!pgSQL)|^\w*pl(perl|python|tcl|v8|r)\w*\b/im

const name = '"(?:[^"]|"")*"'

/** The beginnings of PostgreSQL's own messages that hold no value; what follows is cut off. */
const ownWords: readonly RegExp[] = [
  'invalid input syntax for (?:type )?[a-z][a-z ]*',
  'invalid internal value for enum',
  'invalid input value for enum [a-z_][a-z0-9_.]*',
  'invalid byte sequence for encoding "[A-Za-z0-9_]+"',
  'character with byte sequence',
  'value too long for type [a-z ]+\\(\\d+\\)',
  '(?:smallint|integer|bigint|oid|real|numeric) out of range',
  '(?:date|time|timestamp|interval|date/time field)(?: field)?(?: value)? out of range',
  'numeric field overflow',
  'division by zero',
  'malformed (?:array|record|range|multirange) literal',
  'bit string (?:length|too long)',
  'invalid (?:Unicode|escape|hexadecimal|regular expression|XML|cidr|inet|name)',
  `invalid (?:value for parameter|extension name:) ${name}`,
  `security label provider ${name} is not loaded`,
  'unsupported Unicode escape sequence',
  `unrecognized (?:configuration )?parameter ${name}`,
  'missing data for column',
  'extra data after last expected column',
  '(?:literal|unquoted) (?:carriage return|newline) found in data',
  'cannot (?:cast|convert|extract|subscript|call|set|get|delete|replace|take) [a-z ]+',
  `null value in column ${name}(?: of relation ${name})? violates not-null constraint`,
  `new row for relation ${name} violates (?:check constraint|partition constraint)(?: ${name})?`,
  `new row violates row-level security policy(?: ${name})? for (?:table|relation) ${name}`,
  `value for domain \\S+ violates check constraint ${name}`,
  'domain \\S+ does not allow null values',
  `duplicate key value violates unique constraint ${name}`,
  `conflicting key value violates exclusion constraint ${name}`,
  `could not create (?:unique index|exclusion constraint) ${name}`,
  `(?:insert or update|update or delete) on table ${name} violates (?:foreign key|RESTRICT setting of foreign key) constraint ${name}(?: on table ${name})?`,
  `check constraint ${name} of relation ${name} is violated by some row`,
  `partition constraint of relation ${name} is violated by some row`,
  `column ${name} of (?:relation|table) ${name} contains null values`,
  `no partition of relation ${name} found for row`,
].map((words) => new RegExp(`^${words}`, 's'))

/** … and what else a client program may be told, which prints no SQLSTATE. */
const ofPrograms: readonly RegExp[] = [
  'permission denied(?: for [a-z -]+| to [a-z -]+)?(?: \\S+)?$',
  `query would be affected by row-level security policy for table ${name}$`,
  `(?:relation|schema|role|database|type|column|extension|language|large object|collation|server) (?:${name}|\\d+)(?: of relation ${name})? (?:does not exist|already exists)$`,
  "function [^']* does not exist$",
  "operator does not exist: [^']*$",
  'terminating connection[a-z ]*',
  'canceling (?:statement|autovacuum)[a-z ]*',
  'the database system is[a-z ()]*',
  'deadlock detected$',
  'could not serialize access',
  '(?:sorry, )?too many (?:connections|clients)[a-z ]*',
  'remaining connection slots[a-z ]*',
  'out of (?:shared )?memory$',
  'invalid memory alloc request size',
  'could not (?:extend|open|read|write|fsync|access|resize|load|obtain|find|determine)',
  'invalid page in block',
  'missing chunk number',
  'unexpected chunk',
  'compressed (?:data|pglz data|lz4 data) is corrupt',
  'cannot execute [A-Z ]+ in a read-only transaction$',
  'current transaction is aborted',
  'invalid snapshot',
  'snapshot too old',
  `(?:parameter|configuration) ${name}`,
  'lock timeout',
  'must be (?:owner|superuser|member)',
  'password authentication failed',
  'no pg_hba\\.conf entry',
  'cached plan must not change',
  'tuple concurrently',
].map((words) => new RegExp(`^${words}`, 's'))

/** Whether something thrown is a server's error: `pg` gives it a SQLSTATE and a severity. */
export function isServerError(error: unknown): error is ServerMessage {
  const { code, message, severity } = (error ?? {}) as Partial<Record<keyof ServerMessage, unknown>>
  return (
    typeof message === 'string' &&
    typeof code === 'string' &&
    /^[0-9A-Z]{5}$/.test(code) &&
    severity !== undefined
  )
}

/** Whether code of the database worded an error, or made the statement that failed. */
export function isRaised({ file = '', where = '' }: ServerMessage): boolean {
  return languages.test(file) || madeUp.test(where)
}

/**
 * Whether a name in a message may be a value: what a statement names itself has a position in it, while an expression can make a name
 * of any value (`t.name::regclass`, current_setting(t.name)).
 */
function mayNameValue(error: ServerMessage, statement: string): boolean {
  const { code, message, where, position, internalPosition } = error
  if (!lookedUp.test(code)) return false
  if (/^invalid type name /m.test(where ?? '')) return true
  if (position || internalPosition) return false
  const text = statement.replaceAll('"', '')
  const named = [...message.matchAll(/"((?:[^"]|"")*)"/g)].map(([, one = '']) => one)
  return Boolean(where) || (ofRows.test(statement) && !named.every((one) => text.includes(one)))
}

/** The words of a message without the names in it. */
function withoutNames(message: string): string {
  const words = message.replace(/(["']).*\1/s, '$1…$1')
  return words === message ? message.replace(/: .*$/s, ': …') : words
}

/**
 * What may be shown of an error or warning that `pg` handed over.
 *
 * @param statement that has failed, where one is known
 * @returns one line: the server's words, those that are known to hold no value, or the names of the objects concerned
 */
export function shownMessage(error: ServerMessage, statement = ''): string {
  const { message, code } = error
  const raised = isRaised(error)
  if (!raised) {
    const words = known(ownWords, message)
    if (words !== undefined && !plainClasses.test(code)) return words
    // an internal error or a refused parameter may be an extension's, which may quote what it likes
    if (/^(XX000|22023)$/.test(code)) return oneLine(message.replace(/(["']).*\1/s, '$1…$1'))
    if (plainClasses.test(code))
      return oneLine(mayNameValue(error, statement) ? withoutNames(message) : message)
  }
  const { schema, table, column, constraint } = error
  const names = [
    ...(table ? [`table ${schema ? `${schema}.` : ''}${table}`] : []),
    ...(column ? [`column ${column}`] : []),
    ...(constraint ? [`constraint ${constraint}`] : []),
  ]
  const what = /^P0/.test(code) || raised ? 'code of the database raised an error' : 'an error'
  // RAISE … USING TABLE puts anything into these fields as well
  return oneLine(
    `${what} [${code}]${raised || names.length === 0 ? '' : ` of ${names.join(', ')}`}; ${hidden}`,
  )
}

/**
 * What may be shown of a line of a client program's: its own words as they are, those of the server behind `ERROR:` where they
 * are known.
 *
 * @param raised the program has printed a CONTEXT of user code
 */
export function shownLine(line: string, raised = false): string {
  const found = /^(.*?\b(?:ERROR|FATAL|PANIC):\s+)(.*)$/s.exec(line)
  if (!found) return line
  const [, before = '', words = ''] = found
  const shown = raised ? undefined : (known(ownWords, words) ?? known(ofPrograms, words))
  return `${before}${shown ?? hidden}`
}

/** Whether a CONTEXT that a program printed says that user code was running: everything but the place in a COPY. */
export function isContextOfCode(line: string): boolean {
  return /^CONTEXT: +(?! |COPY |while )/.test(line)
}

/**
 * What may be shown of a program's message by what it prints after it: of user code nothing, and where nothing but the place in a COPY
 * is said, not even what was looked up there, since a row may have named it (see mayNameValue).
 */
export class WhatFollows {
  private isPlaced = false

  /** @returns what is to be shown of the message instead, where that changes */
  read(line: string, message: string): string | undefined {
    this.isPlaced ||= /^(LINE \d+|QUERY): /.test(line)
    if (isContextOfCode(line)) return shownLine(message, true)
    if (this.isPlaced || !/^CONTEXT: +COPY /.test(line)) return undefined
    const [, before = '', words = ''] =
      /^(.*?\b(?:ERROR|FATAL|PANIC):\s+)(.*)$/s.exec(message) ?? []
    const isLookedUp = / does not exist\b|^unrecognized |dotted names|not implemented: /.test(words)
    return isLookedUp ? before + withoutNames(words) : undefined
  }
}

/**
 * What may be kept of a client program's stderr: the lines that begin a message of the program itself, without what goes on
 * with a server's message. An error waits for what comes after it, which may say that code of the database raised it.
 */
export class ProgramLines {
  private readonly program: string
  private readonly write: (line: string) => void
  private waiting: string | undefined
  private follows = new WhatFollows()

  constructor(program: string, write: (line: string) => void) {
    this.program = program
    this.write = write
  }

  read(line: string): void {
    if (!line.startsWith(`${this.program}: `)) {
      if (this.waiting !== undefined)
        this.waiting = this.follows.read(line, this.waiting) ?? this.waiting
      return
    }
    this.end()
    this.waiting = line
  }

  /** To be called when nothing more comes. */
  end(): void {
    if (this.waiting !== undefined) this.write(shownLine(this.waiting))
    this.waiting = undefined
    this.follows = new WhatFollows()
  }
}

function known(patterns: readonly RegExp[], message: string): string | undefined {
  for (const pattern of patterns) {
    const words = pattern.exec(message)?.[0]
    if (words === undefined) continue
    // patterns that end with $ hold the whole message, others leave out what they do not know
    return oneLine(words)
  }
  return undefined
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}
