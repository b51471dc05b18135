import type { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConnectionOptions } from 'node:tls'
import pg from 'pg'
import { Cancelled, Failure, messageOf } from '../failure.ts'
import { explainConnectionError } from './connection-error.ts'
import type { ConnectionParameters } from './connection-string.ts'
import { sqlstateOf } from './errors.ts'
import { inTime } from './in-time.ts'
import { keptHere } from './kept-sessions.ts'
import { makeSafe } from './safe-session.ts'
import {
  type Access,
  learnNameless,
  learnStartup,
  lesserMode,
  type StartupMode,
  startupModesFor,
  startupOptions,
  tellsName,
} from './startup.ts'
import { together } from './together.ts'
import { mayTryOtherTransport, tlsAttempts } from './transport.ts'
import { type Version, versionOfNumber } from './version.ts'
import { type Patience, standingOf, watchSession } from './watchdog.ts'

export interface ConnectOptions {
  /** Another database of the same server. */
  database?: string
  /** Makes every transaction of the session read-only, from the first byte on: wherever we only look. */
  readOnly?: boolean
  signal?: AbortSignal
  /** How messages call this server. */
  role?: 'source' | 'target'
  /** What its peer may be silent for; `null` where nothing long is asked, and somebody else bounds it. */
  patience?: Patience | null
  /** Called when the server asks for the password: one that trusts whoever comes never does. */
  onPasswordAsked?: () => void
}

/**
 * Opens a session that is ours from its first byte: it resolves no name by the account's or the database's settings, runs
 * nothing of theirs, and its results do not depend on them. Its search_path is `pg_catalog, pg_temp` (names from a database
 * are hostile), its timeouts are off but for locks, its texts are UTF-8 with ISO dates.
 *
 * @throws Failure that says what could not be reached, why, and what to do, or which setting does not take; Cancelled when
 * the signal fires
 */
export async function connect(
  parameters: ConnectionParameters,
  options: ConnectOptions = {},
): Promise<pg.Client> {
  options.signal?.throwIfAborted()
  let first: unknown
  for (const ssl of tlsAttempts(parameters)) {
    try {
      return await connectOver(ssl, parameters, options)
    } catch (error) {
      if (error instanceof Cancelled) throw error
      // 53300: too many connections, of which we may hold some that nobody uses
      if (sqlstateOf(error) === '53300' && (await keptHere()?.closeIdle()))
        return await connect(parameters, options)
      first ??= error
      if (!mayTryOtherTransport(error)) throw explain(error)
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

/** Tries with everything in the startup packet, then with what the server or pooler takes of it. */
async function connectOver(
  ssl: false | ConnectionOptions,
  parameters: ConnectionParameters,
  options: ConnectOptions,
): Promise<pg.Client> {
  let [mode] = startupModesFor(parameters)
  for (;;) {
    try {
      const client = await open(ssl, parameters, options, mode ?? 'nothing')
      learnStartup(parameters, mode ?? 'nothing')
      return client
    } catch (error) {
      if (!options.signal?.aborted && learnNameless(parameters, error)) continue
      const lesser = mode && lesserMode(error, mode)
      if (options.signal?.aborted || !lesser) throw error
      if (lesser === 'nothing' && parameters.options) {
        throw new Failure(
          `${options.role ? `The ${options.role}` : 'The server'} does not take options=… of the connection string`,
          `${parameters.host}:${parameters.port}: ${messageOf(error)}`,
          'Remove it from the connection string, or connect to the server itself instead of a pooler',
          { cause: error },
        )
      }
      mode = lesser
    }
  }
}

async function open(
  ssl: false | ConnectionOptions,
  parameters: ConnectionParameters,
  options: ConnectOptions,
  mode: StartupMode,
): Promise<pg.Client> {
  const access: Access = options.readOnly ? 'read' : 'write'
  const startup = startupOptions(parameters, access, mode)
  const config: pg.ClientConfig = {
    host: parameters.host,
    port: parameters.port,
    user: parameters.user,
    database: options.database ?? parameters.dbname,
    // never undefined: pg would look for PGPASSWORD and ~/.pgpass, which are not the user's inputs
    password: options.onPasswordAsked
      ? () => {
          options.onPasswordAsked?.()
          return parameters.password ?? ''
        }
      : (parameters.password ?? ''),
    ssl: parameters.host.startsWith('/') ? false : ssl,
    connectionTimeoutMillis: parameters.connectTimeout * 1000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 30_000,
    ...(tellsName(parameters) ? { application_name: 'migrate-to-polardb' } : {}),
    ...(startup === undefined ? {} : { options: startup }),
  }
  const client = new pg.Client(config)
  // A session that the server ends while no query runs must not end the process; the next query reports it.
  client.on('error', () => {})
  let reported = ''
  // without asking: the server tells its version while the session begins
  const { connection } = client as unknown as { connection: EventEmitter }
  connection.on('parameterStatus', (status: { parameterName: string; parameterValue: string }) => {
    if (status.parameterName === 'server_version') reported = status.parameterValue
  })
  const settle = async () => {
    const version = await makeSafe(client, {
      access,
      reported,
      asked: startup !== undefined,
      server: options.role ? `the ${options.role}` : 'the server',
      another: () => new pg.Client(config),
    })
    versions.set(client, version)
  }
  const begin = async () => {
    await client.connect()
    await inTime(client, parameters, settle())
    if (startup === undefined) return
    renewals.set(client, async () => {
      const renewed = together(client, [() => client.query('DISCARD ALL'), settle], true)
      await inTime(client, parameters, renewed)
    })
  }
  // `connect` of a client that is ended meanwhile is never settled: nobody may wait for it alone
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(new Cancelled())
  options.signal?.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([begin(), aborted.promise])
    options.signal?.throwIfAborted()
    if (options.patience !== null) watch(client, parameters, options)
    return client
  } catch (error) {
    await closeSession(client)
    if (options.signal?.aborted) throw new Cancelled()
    throw error
  } finally {
    options.signal?.removeEventListener('abort', abort)
  }
}

/** How a session is made like one that has just begun; not where a pooler takes no options, and may give another one. */
const renewals = new WeakMap<pg.Client, () => Promise<void>>()

/** What servers told of their versions while sessions began. */
const versions = new WeakMap<pg.Client, Version>()

/** Gives a session up whose peer is silent while the server, asked by another one, does not work for it. */
function watch(
  client: pg.Client,
  parameters: ConnectionParameters,
  { patience, signal: _, ...options }: ConnectOptions,
): void {
  const { processID } = client as unknown as { processID: number | null }
  if (processID === null) return
  watchSession(
    client,
    () => standingOf({ pid: processID }, () => openProbe(parameters, options)),
    patience ?? undefined,
  )
}

/** A session that asks the server about others, and is itself bounded in time. @throws as connect */
export async function openProbe(
  parameters: ConnectionParameters,
  options: ConnectOptions,
): Promise<Opened> {
  const client = await connect(parameters, { ...options, readOnly: true, patience: null })
  const { stream } = client.connection
  const limit = setTimeout(
    () => stream.destroy(new Error('timeout expired')),
    2 * parameters.connectTimeout * 1000,
  )
  return {
    client,
    async close() {
      clearTimeout(limit)
      await closeSession(client)
    },
  }
}

/** A session, and how it is closed. */
export interface Opened {
  client: pg.Client
  /** Never throws, and never waits long. */
  close(): Promise<void>
}

/** Opens a session whose running query the signal ends. @throws as connect */
export async function openConnection(
  parameters: ConnectionParameters,
  options: ConnectOptions,
): Promise<Opened> {
  return watched(await connect(parameters, options), parameters, options)
}

function watched(
  client: pg.Client,
  parameters: ConnectionParameters,
  options: ConnectOptions,
): Opened & { release(): void } {
  const abort = () => void cancelQuery(client, parameters)
  options.signal?.addEventListener('abort', abort, { once: true })
  if (options.signal?.aborted) abort()
  const release = () => options.signal?.removeEventListener('abort', abort)
  return {
    client,
    release,
    async close() {
      release()
      await closeSession(client)
    },
  }
}

/**
 * Runs `work` with a session that nobody else uses, and closes it, whatever happens. The signal ends a running query. Within
 * keepingSessions() a read-only one is kept when all went well, and made like new for the next who wants one like it.
 *
 * @throws as connect, and whatever `work` throws
 */
export async function withConnection<T>(
  parameters: ConnectionParameters,
  options: ConnectOptions,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const place = { ...parameters, dbname: options.database ?? parameters.dbname }
  const isPlain = options.readOnly && options.patience === undefined
  // nobody could create a database from it meanwhile
  const kept = isPlain && place.dbname !== 'template1' ? keptHere() : undefined
  options.signal?.throwIfAborted()
  const client = (await kept?.take(place, options.signal)) ?? (await connect(parameters, options))
  const { release, close } = watched(client, parameters, options)
  let result: T
  try {
    result = await work(client)
  } catch (error) {
    await close()
    if (options.signal?.aborted) throw new Cancelled()
    throw error
  }
  const renew = renewals.get(client)
  if (!kept || !renew || options.signal?.aborted) await close()
  else {
    release()
    await kept.give({ client, place, renew, close: () => closeSession(client) })
  }
  return result
}

/** Milliseconds that a peer has to answer to a goodbye: a cancelled job waits for up to three in a row. */
export const goodbye = 1000

/** Ends a session. Never throws; a peer that does not answer is cut off. */
export async function closeSession(client: pg.Client): Promise<void> {
  const { stream } = client.connection
  const timer = setTimeout(() => stream.destroy(), goodbye)
  await client.end().catch(() => {})
  clearTimeout(timer)
}

/** Milliseconds for asking a server to cancel a query, whatever of that it does not answer: connecting or the question. */
export const cancelTime = 2000

/**
 * Ends what a session is running, by a second session of the same account, and closes the session. Best effort: it runs
 * while a job is being cancelled, and the server notices a closed socket by itself in the end. Never throws.
 */
export async function cancelQuery(
  client: pg.Client,
  parameters: ConnectionParameters,
): Promise<void> {
  const { processID } = client as unknown as { processID: number | null }
  const ask = async () => {
    const signal = AbortSignal.timeout(cancelTime)
    const canceller = await connect(parameters, { signal, patience: null })
    const asked = canceller.query('SELECT pg_catalog.pg_cancel_backend($1)', [processID])
    try {
      await inTime(canceller, { connectTimeout: cancelTime / 1000 }, asked)
    } finally {
      await closeSession(canceller)
    }
  }
  const answered = new AbortController()
  const asked = ask()
    .catch(() => {})
    .finally(() => answered.abort())
  // a session that is being cut off is not waited for
  await Promise.race([
    asked,
    sleep(cancelTime, undefined, { signal: answered.signal }).catch(() => {}),
  ])
  await closeSession(client)
}

/** The version of a connected server: as it told while the session began, else it is asked. */
export async function serverVersion(client: pg.Client): Promise<Version> {
  const told = versions.get(client)
  if (told) return told
  const { rows } = await client.query<{ version: string; number: string }>(
    `SELECT pg_catalog.current_setting('server_version') AS version, pg_catalog.current_setting('server_version_num') AS number`,
  )
  const [row] = rows
  if (!row) throw new Error('the server did not tell its version')
  return versionOfNumber(Number(row.number), row.version.split(' ')[0])
}
