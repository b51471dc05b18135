import { identifierList, literal, type Token, tokens } from './polardb-standin-tokens.ts'

/** What the front sends to the real server in a statement's place. */
export interface Imitation {
  /** One statement that does what PolarDB would: mostly a CALL of a procedure of polardb-standin-server.ts. */
  sql: string
  /** The command tag that the client shall see, in the place of `CALL`. */
  tag: string
  /**
   * For a statement that may not run in a transaction: `sql` is a query whose one value says how to go on. Null: send
   * the statement as it is. Empty: PolarDB would do nothing. Else: run this on behalf of the session as the superuser.
   */
  alone?: boolean
  /** It imports a snapshot, which PolarDB 11 misreads. */
  snapshot?: boolean
}

/** PolarDB's settings that the stand-in has; a stock server keeps a setting that it does not know under a name with a dot. */
export const settingNames = [
  'version',
  'supported_extensions',
  'release_date',
  'create_table_with_full_replica_identity',
  'csn_enable',
  'force_unlogged_to_logged_table',
  'px_enable_btbuild',
]

function ownSetting(name: string | undefined): string | undefined {
  const own = settingNames.find((setting) => name === `polar_${setting}`)
  return own && `polar.${own}`
}

const rest = (list: Token[], at: number) => list.slice(at).map((token) => token.word)

/**
 * What is to be sent in the place of one statement; null where stock PostgreSQL answers as PolarDB does.
 *
 * @param text the statement, one byte a character
 */
export function imitate(text: string): Imitation | null {
  const list = tokens(text)
  const statement = new Statement(text, list)
  const [verb, kind, third] = rest(list, 0)
  switch (verb) {
    case 'create':
      return create(statement, kind, third)
    case 'alter':
      return alter(statement, kind, third)
    case 'grant':
    case 'revoke':
      return grant(statement, verb)
    case 'drop':
      return isRole(kind) && third !== 'mapping' ? dropRole(statement) : null
    case 'comment':
      return third === 'role' ? manage(statement, 'COMMENT') : null
    case 'set':
    case 'reset':
      return set(statement, verb)
    case 'show':
      return show(kind)
    default:
      return null
  }
}

/** A statement and its tokens. */
class Statement {
  readonly text: string
  readonly list: Token[]

  constructor(text: string, list: Token[]) {
    this.text = text
    this.list = list
  }

  word(at: number): string | undefined {
    return this.list[at]?.word
  }

  /** The first place of these words in a row, outside parentheses. */
  find(words: string[], from = 0): number {
    return this.list.findIndex(
      (_, at) =>
        at >= from &&
        this.list[at]?.depth === 0 &&
        words.every((word, offset) => this.word(at + offset) === word),
    )
  }

  /** The name at a place, as an SQL expression; CURRENT_USER and its like mean themselves. */
  role(at: number): string {
    const token = this.list[at]
    const word = token?.word
    if (word === 'current_user' || word === 'current_role') return 'current_user'
    if (word === 'session_user') return 'session_user'
    return literal(token?.value ?? '')
  }

  /** The text with these tokens overwritten by spaces: every other byte stays where it was. */
  without(...blanked: (Token | undefined)[]): string {
    let text = this.text
    for (const token of blanked)
      if (token)
        text =
          text.slice(0, token.start) + ' '.repeat(token.end - token.start) + text.slice(token.end)
    return text
  }
}

function isRole(word: string | undefined): boolean {
  return word === 'role' || word === 'user' || word === 'group'
}

function call(procedure: string, ...values: string[]): string {
  return `CALL pg_catalog.polar_standin_${procedure}(${values.join(', ')})`
}

const array = (values: string[]) => `ARRAY[${values.join(', ')}]::pg_catalog.name[]`

/** As the account, to whom the rights that PolarDB's membership brings are lent: CREATEROLE and CREATEDB. */
function manage(statement: Statement, tag: string): Imitation {
  return { sql: call('manage', literal(statement.text)), tag }
}

/** As the account, for whom these roles become owners: a polar_superuser needs no membership. */
function own(statement: Statement, tag: string, roles: string[]): Imitation {
  return { sql: call('own', literal(statement.text), array(roles)), tag }
}

function dropRole(statement: Statement): Imitation {
  const from = statement.word(2) === 'if' ? 4 : 2
  const names = identifierList(statement.list, from).names.map(literal)
  return { sql: call('drop_role', literal(statement.text), array(names)), tag: 'DROP ROLE' }
}

/** A GRANT or REVOKE of roles in either spelling. */
function members(statement: Statement, tag: string, roles: string[], list: string[]): Imitation {
  const sql = call(
    'members',
    literal(statement.text),
    array(roles.map(literal)),
    array(list.map(literal)),
  )
  return { sql, tag }
}

function create(statement: Statement, kind: string | undefined, third: string | undefined) {
  if (isRole(kind) && third !== 'mapping') return roleOptions(statement, 'create')
  if (kind === 'database') return createDatabase(statement)
  if (kind === 'tablespace')
    return {
      sql: `SELECT pg_catalog.polar_standin_tablespace(${literal(statement.list[2]?.value ?? '')})`,
      tag: 'CREATE TABLESPACE',
      alone: true,
    }
  if (kind === 'extension') {
    const name = statement.list[third === 'if' ? 5 : 2]
    const sql = call('extension', literal(statement.text), literal(name?.value ?? ''))
    return { sql, tag: 'CREATE EXTENSION' }
  }
  if (kind === 'event' && third === 'trigger')
    return { sql: call('elevate', literal(statement.text)), tag: 'CREATE EVENT TRIGGER' }
  if (kind === 'publication' && statement.find(['for', 'all', 'tables']) > 0)
    return { sql: call('elevate', literal(statement.text)), tag: 'CREATE PUBLICATION' }
  if (kind === 'schema') {
    const at = statement.find(['authorization'])
    return at > 0 ? own(statement, 'CREATE SCHEMA', [statement.role(at + 1)]) : null
  }
  if (kind === 'text' && third === 'search' && statement.word(3) === 'template')
    return { sql: call('elevate', literal(statement.text)), tag: 'CREATE TEXT SEARCH TEMPLATE' }
  if (kind === 'unlogged' && third === 'table') return createUnlogged(statement)
  if (kind === 'index') return createIndex(statement)
  return tablespaceClause(statement)
}

/** A stock server does not know the option that lets PolarDB build an index by all nodes. */
function createIndex(statement: Statement): Imitation | null {
  const at = statement.find(['with'])
  const alone = ['(', 'px_build', '=', 'on', ')'].every(
    (word, offset) =>
      (statement.list[at + 1 + offset]?.word ?? statement.list[at + 1 + offset]?.value) === word,
  )
  if (at < 0 || !alone) return tablespaceClause(statement)
  return { sql: statement.without(...statement.list.slice(at, at + 6)), tag: 'CREATE INDEX' }
}

/** PolarDB makes unlogged tables permanent, unless the session has switched that off. */
function createUnlogged(statement: Statement): Imitation {
  const place = tablespace(statement)
  const sql = call(
    'unlogged',
    literal(statement.without(...place)),
    literal(statement.without(statement.list[1], ...place)),
  )
  return { sql, tag: 'CREATE TABLE' }
}

const roleLists = new Set(['admin', 'role', 'user', 'group'])

/** CREATE and ALTER ROLE with options: the two words of PolarDB's, and what the others come to there. */
function roleOptions(statement: Statement, verb: 'create' | 'alter'): Imitation {
  const { list } = statement
  const options: string[] = []
  const groups: string[] = []
  const polar: Token[] = []
  const superuser: Token[] = []
  for (let at = statement.word(3) === 'with' ? 4 : 3; at < list.length; at++) {
    const token = list[at]
    if (!token || (token.kind !== 'word' && token.kind !== 'quoted')) continue
    // an option's name may be quoted, then its case counts
    const name = token.kind === 'word' ? token.word : token.value
    if (name === 'in' || roleLists.has(name ?? '')) {
      const from = name === 'in' ? at + 2 : at + 1
      const { names, next } = identifierList(list, from)
      if (name === 'in') groups.push(...names)
      at = next - 1
    } else if (['password', 'until', 'limit', 'sysid'].includes(name ?? '')) {
      at++
    } else {
      options.push(name ?? '')
    }
    if (name === 'polar_superuser' || name === 'nopolar_superuser') polar.push(token)
    if (name === 'superuser' || name === 'nosuperuser') superuser.push(token)
  }
  const special = /^(no)?(superuser|polar_superuser|replication|bypassrls)$/
  if (verb === 'create' && groups.length === 0 && !options.some((name) => special.test(name)))
    return {
      sql: call('create_role', literal(statement.text), statement.role(2)),
      tag: 'CREATE ROLE',
    }
  const sql = call(
    'role',
    literal(verb),
    statement.role(2),
    array(options.map(literal)),
    array(groups.map(literal)),
    literal(statement.without(...polar)),
    literal(statement.without(...polar, ...superuser)),
  )
  return { sql, tag: `${verb.toUpperCase()} ROLE` }
}

function createDatabase(statement: Statement): Imitation {
  const { list } = statement
  const option = (name: string) => {
    const at = statement.find([name], 3)
    return at < 0 ? -1 : statement.word(at + 1) === '=' ? at + 2 : at + 1
  }
  const owner = option('owner')
  const template = option('template')
  const space = option('tablespace')
  const chosen = space > 0 && !isDefaultTablespace(list[space])
  const text = chosen
    ? statement.without(...list.slice(statement.find(['tablespace']), space + 1))
    : statement.text
  const values = [
    literal(text),
    literal(list[2]?.value ?? ''),
    owner > 0 && statement.word(owner) !== 'default' ? statement.role(owner) : 'NULL',
    template > 0 && statement.word(template) !== 'default'
      ? literal(list[template]?.value ?? '')
      : 'NULL',
    String(statement.find(['locale_provider']) > 0),
    String(chosen),
  ]
  return {
    sql: `SELECT pg_catalog.polar_standin_database(${values.join(', ')})`,
    tag: 'CREATE DATABASE',
    alone: true,
  }
}

function isDefaultTablespace(token: Token | undefined): boolean {
  return ['pg_default', 'pg_global', 'default'].includes(token?.value ?? 'default')
}

/** PolarDB ignores a tablespace of the user's, with a notice. */
function tablespaceClause(statement: Statement): Imitation | null {
  const kinds = ['table', 'index', 'materialized']
  const kind = statement.list.slice(0, 4).find((token) => kinds.includes(token.word ?? ''))
  const place = tablespace(statement)
  if (!kind || place.length === 0) return null
  const sql = call(
    'ignore_tablespace',
    literal(statement.text),
    literal(statement.without(...place)),
  )
  const word = kind.word === 'materialized' ? 'MATERIALIZED VIEW' : kind.word?.toUpperCase()
  return { sql, tag: `CREATE ${word}` }
}

/** The tokens of a clause that names a tablespace of the user's; none where there is no such clause. */
function tablespace(statement: Statement): Token[] {
  const at = statement.find(['tablespace'], 3)
  const [word, name] = statement.list.slice(at, at + 2)
  return at < 0 || !word || !name || isDefaultTablespace(name) ? [] : [word, name]
}

function alter(statement: Statement, kind: string | undefined, third: string | undefined) {
  if (kind === 'group' && ['add', 'drop'].includes(statement.word(3) ?? '')) {
    const group = statement.list[2]?.value ?? ''
    return members(statement, 'ALTER ROLE', [group], identifierList(statement.list, 5).names)
  }
  if (isRole(kind) && third !== 'mapping') return alterRole(statement)
  const triggers = statement.find(['trigger', 'all'])
  if (kind === 'table' && /^(en|dis)able$/.test(statement.word(triggers - 1) ?? '')) {
    const from = third === 'only' ? statement.list[3] : statement.list[2]
    const name = statement.text.slice(from?.start, statement.list[triggers - 2]?.end)
    return { sql: call('triggers', literal(statement.text), literal(name)), tag: 'ALTER TABLE' }
  }
  if (kind === 'default') {
    const at = statement.find(['for'])
    if (!isRole(statement.word(at + 1))) return null
    const { names } = identifierList(statement.list, at + 2)
    return own(statement, 'ALTER DEFAULT PRIVILEGES', names.map(literal))
  }
  const at = statement.find(['owner', 'to'])
  if (kind === 'database' && (at > 0 || statement.word(3) === 'rename'))
    return own(statement, 'ALTER DATABASE', at > 0 ? [statement.role(at + 2)] : [])
  if (at < 0) return null
  if (kind === 'event' || kind === 'publication') {
    const name = statement.list[kind === 'event' ? 3 : 2]?.value ?? ''
    const sql = call('elevate_owner', literal(statement.text), literal(kind), literal(name))
    return { sql, tag: kind === 'event' ? 'ALTER EVENT TRIGGER' : 'ALTER PUBLICATION' }
  }
  return own(statement, alterTag(statement), [statement.role(at + 2)])
}

/** The words of ALTER TEXT SEARCH CONFIGURATION, say, up to the name. */
function alterTag(statement: Statement): string {
  const longer = /^ALTER (MATERIALIZED|FOREIGN|EVENT|LARGE|OPERATOR (CLASS|FAMILY)|TEXT SEARCH)/
  const words = rest(statement.list, 0).slice(0, 4).join(' ').toUpperCase()
  const count = longer.test(words) ? (/^ALTER TEXT/.test(words) ? 4 : 3) : 2
  return words.split(' ').slice(0, count).join(' ')
}

function alterRole(statement: Statement): Imitation {
  const all = statement.word(2) === 'all' && statement.list[2]?.kind === 'word'
  const next = statement.word(3)
  if (next === 'rename') return manage(statement, 'ALTER ROLE')
  const inDatabase = next === 'in' ? 6 : 3
  const verb = statement.word(inDatabase)
  if (verb !== 'set' && verb !== 'reset') return roleOptions(statement, 'alter')
  const value = statement.list.slice(inDatabase + 3).map((token) => token.value)
  const sql = call(
    'setting',
    literal(statement.text),
    all ? 'NULL' : statement.role(2),
    literal(statement.list[inDatabase + 1]?.value ?? ''),
    literal(value.join('')),
  )
  return { sql, tag: 'ALTER ROLE' }
}

function grant(statement: Statement, verb: 'grant' | 'revoke'): Imitation | null {
  const on = statement.find(['on'])
  if (on > 0) {
    if (statement.word(on + 1) !== 'parameter') return null
    const name = statement.list[on + 2]
    return {
      sql: call('parameter_grant', literal(statement.text), literal(name?.value ?? '')),
      tag: verb.toUpperCase(),
    }
  }
  const start = statement.find(['option', 'for']) > 0 ? 4 : 1
  const { names, next } = identifierList(statement.list, start)
  const grantees = identifierList(statement.list, next + 1)
  if (verb === 'revoke') return members(statement, 'REVOKE ROLE', names, grantees.names)
  const unknown = newerOption(statement, grantees.next)
  if (!unknown && !names.some((name) => name.startsWith('pg_')))
    return members(statement, 'GRANT ROLE', names, grantees.names)
  const sql = call(
    'grant',
    literal(statement.text),
    array(names.map(literal)),
    array(grantees.names.map(literal)),
    unknown ? literal(statement.text.slice(unknown.start, unknown.end)) : 'NULL',
  )
  return { sql, tag: 'GRANT ROLE' }
}

/** Where PostgreSQL 11 stops reading: it knows WITH ADMIN OPTION alone. */
function newerOption({ list }: Statement, at: number): Token | undefined {
  if (list[at]?.word !== 'with') return undefined
  if (list[at + 1]?.word !== 'admin') return list[at + 1]
  if (list[at + 2]?.word !== 'option') return list[at + 2]
  return list[at + 3]?.word === ',' ? list[at + 3] : undefined
}

function set(statement: Statement, verb: 'set' | 'reset'): Imitation | null {
  const scope = statement.word(1)
  const scoped =
    scope === 'local' ||
    (scope === 'session' && !['authorization', '='].includes(statement.word(2) ?? ''))
  let at = scoped ? 2 : 1
  const tag = verb.toUpperCase()
  if (statement.word(at) === 'session' && statement.word(at + 1) === 'authorization') {
    const name = statement.list[at + 2]
    const to =
      !name || (name.kind === 'word' && name.word === 'default') ? 'NULL' : literal(name.value)
    const local = String(scope === 'local')
    return { sql: call('session_authorization', literal(statement.text), to, local), tag }
  }
  if (statement.word(1) === 'transaction' && statement.word(2) === 'snapshot')
    return { sql: statement.text, tag, snapshot: true }
  const name = statement.word(at)
  const own = ownSetting(name)
  if (own) {
    const token = statement.list[at]
    const text = `${statement.text.slice(0, token?.start)}${own}${statement.text.slice(token?.end)}`
    return { sql: text, tag }
  }
  if (name === 'session_replication_role' || name === 'temp_file_limit')
    return { sql: call('user_setting', literal(statement.text)), tag }
  if (name !== 'role' || verb === 'reset') return null
  at += ['to', '='].includes(statement.word(at + 1) ?? '') ? 2 : 1
  const role = statement.list[at]
  if (!role || (role.kind === 'word' && role.word === 'none')) return null
  return { sql: call('set_role', literal(statement.text), literal(role.value)), tag }
}

function show(name: string | undefined): Imitation | null {
  if (name === 'polar_enable_polar_superuser')
    return { sql: 'SELECT pg_catalog.polar_standin_examine()', tag: 'SHOW' }
  const setting = ownSetting(name)
  if (!setting) return null
  return { sql: `SELECT pg_catalog.current_setting('${setting}') AS ${name}`, tag: 'SHOW' }
}
