/**
 * What goes into a session's startup packet, so that the session is ours from its first byte. A database and a role carry
 * settings (ALTER DATABASE … SET, ALTER ROLE … SET) that the server applies before the first statement: with a search_path of
 * its owner's making even `=` may be his operator, and he would run with our rights. Settings of the packet outrank these
 * (PostgreSQL source, GucSource: PGC_S_CLIENT after PGC_S_DATABASE_USER).
 */

/**
 * The search_path of every session of ours: what the server brings, and temporary objects last. Left out of the path, or in
 * an empty one, pg_temp would be searched first for tables and types, and a function that ran in the session before may have
 * made a type "text" there. Definitions are printed as with an empty path: only what is in pg_catalog has no schema before it.
 */
export const safePath = 'pg_catalog, pg_temp'

/** What of a connection's parameters tells one server and account from another. */
interface StartupTarget {
  host: string
  port: number
  user: string
  options?: string | undefined
}

/** How much of it a server takes, best first. */
export const startupModes = ['no event triggers', 'settings', 'nothing'] as const
export type StartupMode = (typeof startupModes)[number]

/** Whether a session may write. */
export type Access = 'read' | 'write'

/** What the packet names, as a refusal would. */
const startupNames = [
  'search_path',
  'default_transaction_read_only',
  'role',
  'statement_timeout',
  'standard_conforming_strings',
  'local_preload_libraries',
  'lc_monetary',
].map((name) => `"${name}"`)

/** By server and account: what the last session was opened with. Children are given the same. */
const learned = new Map<string, StartupMode>()

const keyOf = ({ host, port, user }: StartupTarget) => JSON.stringify([host, port, user])

/** Notes how a server let the account in. */
export function learnStartup(parameters: StartupTarget, mode: StartupMode): void {
  learned.set(keyOf(parameters), mode)
}

/** Servers before 9.0, which refuse a session that tells its name (release notes of 9.0, application_name). */
const nameless = new Set<string>()

/** Whether a session tells the server its name. */
export function tellsName(parameters: StartupTarget): boolean {
  return !nameless.has(keyOf(parameters))
}

/** Notes that a server refuses a session's name, where that is what an error says. */
export function learnNameless(parameters: StartupTarget, error: unknown): boolean {
  const { code, message = '' } = error as { code?: string; message?: string }
  const refused =
    code === '42704' && message.includes('"application_name"') && tellsName(parameters)
  if (refused) nameless.add(keyOf(parameters))
  return refused
}

/** The modes worth a try, in their order: a server that has refused one is not asked again. */
export function startupModesFor(parameters: StartupTarget): readonly StartupMode[] {
  const known = learned.get(keyOf(parameters))
  return known === undefined ? startupModes : startupModes.slice(startupModes.indexOf(known))
}

/**
 * The command-line options for the server, the user's own first and ours last: of two that set the same, the last one holds.
 * Only what every server from 8.4 on knows: one unknown name, and the server refuses the connection. No value holds a blank,
 * so none needs escaping (PostgreSQL, "libpq", options).
 *
 * @returns undefined where the server takes none
 */
export function startupOptions(
  parameters: StartupTarget,
  access: Access,
  mode: StartupMode = learned.get(keyOf(parameters)) ?? 'settings',
): string | undefined {
  if (mode === 'nothing') return undefined
  const settings = [
    `search_path=${safePath.replaceAll(' ', '')}`,
    `default_transaction_read_only=${access === 'read' ? 'on' : 'off'}`,
    'role=none',
    'statement_timeout=0',
    'standard_conforming_strings=on',
    // what a database names here is loaded before the first statement, or keeps everybody out where it is missing
    'local_preload_libraries=',
    // money is written and read as this says, by client programs too: '1.000,00' is another amount in the next country
    'lc_monetary=C',
    // login event triggers came with version 17, and only a superuser can switch them off
    ...(mode === 'no event triggers' ? ['event_triggers=off'] : []),
  ]
  const ours = settings.map((setting) => `-c ${setting}`).join(' ')
  return parameters.options ? `${parameters.options} ${ours}` : ours
}

/**
 * Whether a refused connection is worth another try with less in its startup packet, and with what.
 *
 * @param error what `pg` threw
 * @param mode what the packet held
 */
export function lesserMode(error: unknown, mode: StartupMode): StartupMode | undefined {
  const { code = '', message = '' } = error as { code?: string; message?: string }
  if (mode === 'no event triggers' && message.includes('event_triggers')) {
    // 42704: before version 17; 42501: the account is no superuser
    if (code === '42704' || code === '42501') return 'settings'
  }
  if (mode === 'nothing') return undefined
  // PgBouncer: "unsupported startup parameter: options" [08P01]; RDS Proxy: "command-line options" [0A000]; others have words
  // of their own for it. A class that speaks of the login, the database or the server's state is no such answer
  const ours = startupNames.some((name) => message.includes(name))
  const refused =
    /startup (parameter|option)|command-line option/i.test(message) ||
    /^(08P|0A|22|426|427|XX)/.test(code) ||
    (ours && code === '42501')
  return refused ? 'nothing' : undefined
}

/**
 * The first statements of a session, in one message. SET looks nothing up, neither operators nor functions, so they are safe
 * even where the startup packet was refused. What a setting of the account or the database could bend is put straight here.
 *
 * @param number `server_version_num`
 */
export function firstStatements(number: number, access: Access, lockTimeout: number): string {
  const since = (version: number, ...settings: string[]) => (number >= version ? settings : [])
  const settings = [
    // first: a timeout of a millisecond would end the message
    'statement_timeout = 0',
    // the second: with it the server would quote the names that SET search_path keeps
    ...since(90_100, 'quote_all_identifiers = off'),
    `search_path = ${safePath}`,
    'role = none',
    `default_transaction_read_only = ${access === 'read' ? 'on' : 'off'}`,
    `default_transaction_isolation = 'read committed'`,
    `client_encoding = 'UTF8'`,
    `DateStyle = 'ISO, YMD'`,
    `IntervalStyle = 'postgres'`,
    'standard_conforming_strings = on',
    'array_nulls = on',
    'transform_null_equals = off',
    ...since(90_000, `bytea_output = 'hex'`),
    // a runner that vanishes would leave its snapshot on the source for the two hours of the usual keepalives: three minutes
    ...since(
      90_100,
      'tcp_keepalives_idle = 60',
      'tcp_keepalives_interval = 20',
      'tcp_keepalives_count = 6',
    ),
    ...since(90_100, 'default_transaction_deferrable = off', 'exit_on_error = off'),
    ...since(90_300, `lock_timeout = ${lockTimeout}`),
    ...since(90_500, 'row_security = off'),
    ...since(90_600, 'idle_in_transaction_session_timeout = 0'),
    ...since(140_000, 'idle_session_timeout = 0'),
    ...since(160_000, `createrole_self_grant = ''`),
    ...since(170_000, 'transaction_timeout = 0'),
    ...(number < 100_000 ? ['sql_inheritance = on'] : []),
  ]
  return settings.map((setting) => `SET ${setting}`).join('; ')
}

/** Settings that must have taken, with what SHOW answers: SHOW looks nothing up, either. */
export function expectedSettings(
  number: number,
  access: Access,
): readonly (readonly [name: string, value: string])[] {
  return [
    ['search_path', safePath],
    ['role', 'none'],
    ['default_transaction_read_only', access === 'read' ? 'on' : 'off'],
    ['standard_conforming_strings', 'on'],
    ['statement_timeout', '0'],
    ...(number >= 90_500 ? ([['row_security', 'off']] as const) : []),
  ]
}

/**
 * SQL: whether the server is a standby in recovery. Before 9.0 no server in recovery lets anybody in ("hot standby" in the
 * release notes of 9.0, which brought the function), so that one that answers is none.
 *
 * @param number `server_version_num`
 */
export function recoveryOf(number: number): string {
  return number >= 90_000 ? 'pg_catalog.pg_is_in_recovery()' : 'false'
}
