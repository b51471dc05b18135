import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import pg from 'pg'
import { Cancelled, Failure } from '../failure.ts'
import type { ConnectionParameters } from './connection-string.ts'
import { explainConnectionError } from './errors.ts'

export interface ConnectOptions {
  /** Another database of the same server. */
  database?: string
  /** Makes every transaction of the session read-only: a safety belt wherever we only look. */
  readOnly?: boolean
  signal?: AbortSignal
  /** How messages call this server. */
  role?: 'source' | 'target'
}

/** What a server says of itself on connection. */
export interface ServerVersion {
  /** As the server prints it, without what a distribution adds: `15.20`, `9.1.24`. */
  version: string
  /** `server_version_num`: 150020, 90124. */
  number: number
  /** 15; 9 for every 9.x. */
  major: number
  /** What must match the client's: `15`, `9.6`. */
  majorName: string
}

/**
 * Opens a session whose results do not depend on the account's or the database's settings: no timeouts but for locks, an empty
 * search_path (names from a database are hostile), UTF-8, ISO dates.
 *
 * @throws Failure that says what could not be reached, why, and what to do; Cancelled when the signal fires
 */
export async function connect(
  parameters: ConnectionParameters,
  options: ConnectOptions = {},
): Promise<pg.Client> {
  options.signal?.throwIfAborted()
  let first: unknown
  for (const ssl of tlsAttempts(parameters)) {
    const client = new pg.Client({
      host: parameters.host,
      port: parameters.port,
      user: parameters.user,
      database: options.database ?? parameters.dbname,
      // never undefined: pg would look for PGPASSWORD and ~/.pgpass, which are not the user's inputs
      password: parameters.password ?? '',
      ssl: parameters.host.startsWith('/') ? false : ssl,
      connectionTimeoutMillis: parameters.connectTimeout * 1000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 30_000,
      application_name: 'migrate-to-polardb',
      ...(parameters.options ? { options: parameters.options } : {}),
    })
    // A session that the server ends while no query runs must not end the process; the next query reports it.
    client.on('error', () => {})
    const abort = () => void client.end().catch(() => {})
    options.signal?.addEventListener('abort', abort, { once: true })
    try {
      await client.connect()
      await prepare(client, options.readOnly ?? false)
      options.signal?.throwIfAborted()
      return client
    } catch (error) {
      await client.end().catch(() => {})
      if (options.signal?.aborted) throw new Cancelled()
      first ??= error
      if (!mayTryOtherTransport(error)) throw explain(error)
    } finally {
      options.signal?.removeEventListener('abort', abort)
    }
  }
  throw explain(first)

  function explain(error: unknown): Failure {
    return explainConnectionError(error, parameters, {
      database: options.database ?? parameters.dbname,
      role: options.role,
    })
  }
}

/** Runs `work` with a session of its own and closes it, whatever happens. The signal ends a running query. */
export async function withConnection<T>(
  parameters: ConnectionParameters,
  options: ConnectOptions,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = await connect(parameters, options)
  const abort = () => void cancelQuery(client, parameters)
  options.signal?.addEventListener('abort', abort, { once: true })
  try {
    return await work(client)
  } catch (error) {
    if (options.signal?.aborted) throw new Cancelled()
    throw error
  } finally {
    options.signal?.removeEventListener('abort', abort)
    await client.end().catch(() => {})
  }
}

/**
 * Ends what a session is running, by a second session of the same account, and closes the session. Best effort: it runs
 * while a job is being cancelled, and the server notices a closed socket by itself in the end.
 */
export async function cancelQuery(
  client: pg.Client,
  parameters: ConnectionParameters,
): Promise<void> {
  const { processID } = client as unknown as { processID: number | null }
  try {
    const canceller = await connect({ ...parameters, connectTimeout: 3 })
    await canceller.query('SELECT pg_catalog.pg_cancel_backend($1)', [processID])
    await canceller.end()
  } catch {
    // nothing more can be done from here
  }
  await client.end().catch(() => {})
}

/** Reads the version of a connected server. */
export async function serverVersion(client: pg.Client): Promise<ServerVersion> {
  const { rows } = await client.query<{ version: string; number: string }>(
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num') AS number`,
  )
  const [row] = rows
  if (!row) throw new Error('the server did not tell its version')
  const number = Number(row.number)
  const major = Math.floor(number / 10_000)
  return {
    version: row.version.split(' ')[0] ?? row.version,
    number,
    major,
    majorName: major >= 10 ? String(major) : `${major}.${Math.floor(number / 100) % 100}`,
  }
}

/** Milliseconds to wait for a lock that somebody else holds: as long as pg_dump does (see arguments.ts). */
const lockWait = 300_000

async function prepare(client: pg.Client, readOnly: boolean): Promise<void> {
  // by itself: a timeout of a millisecond would end the longer statement
  await client.query('SET statement_timeout = 0')
  // set_config over pg_settings: one statement for every major, whichever of these it knows
  await client.query(`
    SELECT pg_catalog.set_config(name, CASE pg_catalog.lower(name)
      WHEN 'search_path' THEN ''
      WHEN 'client_encoding' THEN 'UTF8'
      WHEN 'datestyle' THEN 'ISO, YMD'
      WHEN 'intervalstyle' THEN 'postgres'
      WHEN 'standard_conforming_strings' THEN 'on'
      WHEN 'row_security' THEN 'off'
      WHEN 'default_transaction_read_only' THEN '${readOnly ? 'on' : 'off'}'
      WHEN 'role' THEN 'none'
      WHEN 'lock_timeout' THEN '${lockWait}'
      ELSE '0' END, false)
    FROM pg_catalog.pg_settings
    WHERE pg_catalog.lower(name) IN ('search_path', 'client_encoding', 'datestyle', 'intervalstyle',
      'standard_conforming_strings', 'row_security', 'default_transaction_read_only', 'statement_timeout',
      'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout', 'idle_session_timeout')`)
}

/**
 * libpq's sslmode in terms of Node's TLS. pg's own reading differs: there `prefer` and `require` verify everything.
 * `false` is a plain connection. In libpq `allow` and `prefer` try the other transport when the first is refused, and
 * `require` with a root certificate file behaves like `verify-ca` (PostgreSQL, "SSL Support").
 */
export function tlsAttempts(parameters: ConnectionParameters): (false | ConnectionOptions)[] {
  const { sslmode } = parameters
  if (sslmode === 'disable') return [false]
  const file = (given: string | undefined, name: string) => {
    const standard = join(homedir(), '.postgresql', name)
    return given ?? (existsSync(standard) ? standard : undefined)
  }
  const rootcert = file(parameters.sslrootcert, 'root.crt')
  const verifies = sslmode.startsWith('verify')
  if (verifies && !rootcert) {
    throw new Failure(
      `sslmode=${sslmode} needs a root certificate, and there is none`,
      'sslrootcert is not given and ~/.postgresql/root.crt does not exist on the runner',
      'Add sslrootcert=/path/to/ca.pem to the connection string',
    )
  }
  const options: ConnectionOptions = { rejectUnauthorized: false }
  if (!/^[\d.]+$|:/.test(parameters.host)) options.servername = parameters.host
  if (rootcert && (verifies || sslmode === 'require')) {
    options.rejectUnauthorized = true
    if (rootcert !== 'system') options.ca = read(rootcert, 'sslrootcert')
    if (sslmode !== 'verify-full' && rootcert !== 'system')
      options.checkServerIdentity = () => undefined
  }
  const cert = file(parameters.sslcert, 'postgresql.crt')
  const key = file(parameters.sslkey, 'postgresql.key')
  if (cert && key) Object.assign(options, { cert: read(cert, 'sslcert'), key: read(key, 'sslkey') })
  if (sslmode === 'allow') return [false, options]
  if (sslmode === 'prefer') return [options, false]
  return [options]
}

function read(path: string, parameter: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new Failure(
      `The file that ${parameter} names cannot be read`,
      `${path}: ${(error as NodeJS.ErrnoException).code ?? 'unreadable'}`,
      'Put the file on the runner, readable for the account that the runner runs as, and check the path',
    )
  }
}

/** Whether libpq would try again with the other transport: TLS not offered or broken, or refused by pg_hba.conf. */
function mayTryOtherTransport(error: unknown): boolean {
  const { code, message = '' } = error as { code?: string; message?: string }
  return (
    code === '28000' || // no pg_hba.conf entry for this host with/without encryption
    /server does not support SSL|SSL connection|ssl|tls/i.test(message) ||
    String(code).startsWith('ERR_SSL')
  )
}
