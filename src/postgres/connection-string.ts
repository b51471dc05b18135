import { Failure } from '../failure.ts'
import { type Access, startupOptions } from './startup.ts'

/** The modes of libpq's `sslmode` (PostgreSQL, "SSL Support", table 34.1), weakest first. */
export const sslModes = [
  'disable',
  'allow',
  'prefer',
  'require',
  'verify-ca',
  'verify-full',
] as const
export type SslMode = (typeof sslModes)[number]

/** A connection, taken apart. The password is the only secret in it and never leaves this object but by a password file. */
export interface ConnectionParameters {
  host: string
  port: number
  user: string
  dbname: string
  password?: string
  sslmode: SslMode
  sslrootcert?: string
  sslcert?: string
  sslkey?: string
  /** Seconds. */
  connectTimeout: number
  /** Command-line options for the server, as in PGOPTIONS. */
  options?: string
  /** libpq parameters that only the client programs use (keepalives, channel_binding, …). */
  others: Record<string, string>
}

/** Parameters handed to the client programs as they are. A secret is never among them. */
const passedOn = new Set([
  'channel_binding',
  'gssencmode',
  'keepalives',
  'keepalives_count',
  'keepalives_idle',
  'keepalives_interval',
  'krbsrvname',
  'ssl_max_protocol_version',
  'ssl_min_protocol_version',
  'sslcrl',
  'sslsni',
  'tcp_user_timeout',
])
/** Known to libpq and without effect on a migration, or set by us. */
const ignored = new Set([
  'application_name',
  'fallback_application_name',
  'client_encoding',
  'target_session_attrs',
])

const example = 'postgresql://user@host:5432/database?sslmode=require'

/**
 * Reads a libpq connection string, a `postgresql://` URI or `key=value` pairs (PostgreSQL, "Connection Strings").
 *
 * @param text the string as the user gave it; may hold a password
 * @param password given apart from the string; wins over one in it
 * @returns the parameters, with libpq's defaults where they are safe: port 5432, sslmode `prefer`, dbname = user
 * @throws Failure whose text names the parameter but holds no part of the value that could be a secret
 */
export function parseConnectionString(text: string, password?: string): ConnectionParameters {
  const trimmed = text.trim()
  const raw = /^postgres(ql)?:\/\//.test(trimmed) ? parseUri(trimmed) : parsePairs(trimmed)
  const take = (name: string) => {
    const value = raw.get(name)
    raw.delete(name)
    return value === '' ? undefined : value
  }

  const host = take('hostaddr') ?? take('host')
  raw.delete('host')
  if (!host) throw invalid('it names no host', `Name the server's host, as in ${example}`)
  if (host.includes(',')) {
    throw invalid(
      'it names several hosts',
      'Name the one primary endpoint: a migration writes to one server',
    )
  }
  const user = take('user')
  if (!user) throw invalid('it names no user', `Name the account, as in ${example}`)
  const sslmode = take('sslmode') ?? 'prefer'
  if (!isSslMode(sslmode)) {
    throw invalid(`"${sslmode}" is no sslmode`, `Use one of ${sslModes.join(', ')}`)
  }
  const parameters: ConnectionParameters = {
    host,
    port: wholeNumber('port', take('port') ?? '5432', 1, 65535),
    user,
    dbname: take('dbname') ?? user,
    sslmode,
    // libpq treats anything below 2 as 2, and 0 as "wait for ever", which no job wants
    connectTimeout: Math.max(
      2,
      wholeNumber('connect_timeout', take('connect_timeout') ?? '15', 0, 3600) || 15,
    ),
    others: {},
  }
  const secret = password || take('password')
  raw.delete('password')
  if (secret) parameters.password = secret
  for (const name of ['sslrootcert', 'sslcert', 'sslkey', 'options'] as const) {
    const value = take(name)
    if (value) parameters[name] = value
  }
  for (const [name, value] of raw) {
    if (passedOn.has(name)) parameters.others[name] = value
    else if (!ignored.has(name)) {
      const what = /^[a-z_]{1,40}$/.test(name) ? `the parameter "${name}"` : 'a parameter'
      throw invalid(
        `${what} is not supported`,
        `Remove it. Supported: host, port, user, password, dbname, sslmode, sslrootcert, sslcert, sslkey, connect_timeout, options, ${[...passedOn].join(', ')}`,
      )
    }
  }
  return parameters
}

/**
 * The parameters as a libpq `key=value` string without the password, for `--dbname` of a client program: it may be read
 * by everybody in the process list. Its `options` make the program's sessions as safe as our own, from the first byte.
 *
 * @param access whether the program may write
 */
export function conninfo(
  parameters: ConnectionParameters,
  access: Access,
  dbname = parameters.dbname,
  major = 0,
): string {
  const pairs: Record<string, string | undefined> = {
    host: parameters.host,
    port: String(parameters.port),
    user: parameters.user,
    dbname,
    sslmode: parameters.sslmode,
    sslrootcert: parameters.sslrootcert,
    sslcert: parameters.sslcert,
    sslkey: parameters.sslkey,
    connect_timeout: String(parameters.connectTimeout),
    options: startupOptions(parameters, access),
    // a connection that dies silently is noticed within two minutes
    keepalives_idle: '30',
    keepalives_interval: '10',
    keepalives_count: '9',
    // what was sent and is not confirmed keeps keepalives from being sent (libpq 12, tcp_user_timeout; milliseconds)
    ...(major >= 12 ? { tcp_user_timeout: '120000' } : {}),
    ...parameters.others,
  }
  return Object.entries(pairs)
    .filter((pair): pair is [string, string] => pair[1] !== undefined)
    .map(([name, value]) => `${name}=${quoteValue(value)}`)
    .join(' ')
}

/** Quotes a value for a `key=value` connection string. */
export function quoteValue(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

function parseUri(text: string): Map<string, string> {
  // postgresql://[user[:password]@][host[:port]][/dbname][?name=value&…]; the last @ ends the account, since a password
  // that was not percent-encoded may hold one
  const rest = text.replace(/^postgres(ql)?:\/\//, '')
  const query = rest.indexOf('?', Math.max(0, rest.lastIndexOf('@')))
  const [main, search] = query < 0 ? [rest, ''] : [rest.slice(0, query), rest.slice(query + 1)]
  const at = main.lastIndexOf('@')
  const account = at < 0 ? '' : main.slice(0, at)
  const place = main.slice(at + 1)
  if (/[?&](user|password|host|port|dbname|sslmode)=/.test(account)) {
    throw invalid(
      'an "@" after its "?" is not percent-encoded',
      'Write it as %40, or pass the password by the input made for it',
    )
  }
  const slash = place.indexOf('/')
  const [authority, dbname] =
    slash < 0 ? [place, ''] : [place.slice(0, slash), place.slice(slash + 1)]
  const values = new Map<string, string>()

  const colon = account.indexOf(':')
  if (account) values.set('user', decode(colon < 0 ? account : account.slice(0, colon), 'user'))
  if (colon >= 0) values.set('password', decode(account.slice(colon + 1), 'password'))
  const bracket = authority.match(/^\[([^\]]*)\](?::(.*))?$/)
  const [host, port] = bracket
    ? [bracket[1] ?? '', bracket[2] ?? '']
    : authority.includes(',')
      ? [authority, '']
      : [authority.split(':')[0] ?? '', authority.split(':')[1] ?? '']
  if (host) values.set('host', decode(host, 'host'))
  if (port) values.set('port', decode(port, 'port'))
  if (dbname) values.set('dbname', decode(dbname, 'dbname'))
  for (const pair of search.split('&').filter(Boolean)) {
    const equals = pair.indexOf('=')
    if (equals < 0) throw invalid('a parameter after "?" has no "="', `Write it as in ${example}`)
    const name = decode(pair.slice(0, equals), 'parameter name')
    const value = decode(pair.slice(equals + 1), name)
    // JDBC's spelling, which libpq takes as well
    if (name === 'ssl' && value === 'true') values.set('sslmode', 'require')
    else values.set(name, value)
  }
  return values
}

function decode(text: string, part: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid(
      `its ${/^[a-z_ ]{1,40}$/.test(part) ? part : 'text'} holds a "%" that starts no valid percent-encoding`,
      'Write a literal % as %25, or pass the password by the input made for it',
    )
  }
}

function parsePairs(text: string): Map<string, string> {
  const values = new Map<string, string>()
  // name, optional blanks, =, optional blanks, then 'quoted with \' and \\' or a bare word with backslash escapes
  const pair = /\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)/suy
  let position = 0
  while (position < text.trimEnd().length) {
    pair.lastIndex = position
    const match = pair.exec(text)
    if (!match?.[1]) {
      throw invalid(
        'it is neither a URI nor a list of key=value pairs',
        `Write ${example}, or "host=… port=… user=… dbname=…"; a value with blanks or quotes goes in single quotes`,
      )
    }
    values.set(match[1], (match[2] ?? match[3] ?? '').replace(/\\(.)/gsu, '$1'))
    position = pair.lastIndex
  }
  return values
}

function isSslMode(text: string): text is SslMode {
  return (sslModes as readonly string[]).includes(text)
}

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (!(number >= least && number <= most)) {
    throw invalid(
      `its ${name} is not a number from ${least} to ${most}`,
      `Correct the ${name}, as in ${example}`,
    )
  }
  return number
}

function invalid(why: string, remedy: string): Failure {
  return new Failure('The connection string cannot be used', why, remedy)
}
