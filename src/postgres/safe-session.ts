import type pg from 'pg'
import { Failure } from '../failure.ts'
import { printable } from '../text/text.ts'
import { sqlstateOf } from './errors.ts'
import { refuses } from './sqlstates.ts'
import { type Access, expectedSettings, firstStatements, safePath } from './startup.ts'
import { parseVersion, type Version, versionOfNumber } from './version.ts'

/** Milliseconds to wait for a lock that somebody else holds: as long as pg_dump does (see programs/arguments.ts). */
const lockWait = 300_000

/** A session that has just begun. */
export interface NewSession {
  access: Access
  /** The `server_version` that the server told. */
  reported: string
  /** The startup packet carried our settings. */
  asked: boolean
  /** How messages call the server. */
  server: string
  /** Another session like it, not connected yet. */
  another: () => pg.Client
}

/**
 * Puts the settings of a session right by statements that look nothing up, and makes sure that they have taken: a pooler may
 * have thrown the startup packet's away, and may give each statement to another session.
 *
 * @returns the server's version
 * @throws Failure when they do not hold
 */
export async function makeSafe(
  client: pg.Client,
  { access, reported, asked, server, another }: NewSession,
): Promise<Version> {
  // by itself where the packet had nothing: a timeout of a millisecond would end a longer message
  if (!asked) await client.query('SET statement_timeout = 0')
  const number = parseVersion(reported)?.number ?? (await askVersionNumber(client))
  const expected = expectedSettings(number, access)
  const settings = firstStatements(number, access, lockWait)
  const shows = expected.map(([name]) => `SHOW ${name}`)
  // one message: a server far away answers all of it no later than one statement
  const first = ['search_path', 'server_version_num', 'server_version'].map(
    (name) => `SHOW ${name}`,
  )
  const answers = resultsOf(await client.query([...first, settings, ...shows].join('; '))).map(
    onlyValue,
  )
  const [path, versionNumber, version] = answers
  if (!asked || path !== safePath.replaceAll(' ', '')) {
    // a pooler stands between: the settings must hold from one message to the next
    for (const show of shows) answers.push(...resultsOf(await client.query(show)).map(onlyValue))
    await refuseShared(client, server, another)
  }
  const last = answers.slice(-expected.length)
  const wrong = expected.findIndex(([, value], index) => last[index] !== value)
  if (wrong < 0) return versionOfNumber(Number(versionNumber), String(version).split(' ')[0])
  const [name, value] = expected[wrong] ?? []
  throw new Failure(
    `A session on ${server} cannot be made safe`,
    `${name} was set to "${value}" and is "${printable(String(last[wrong]))}": a pooler between does not keep the settings of a session`,
    'Connect to the server itself, or to a pooler that gives every client a session of its own',
  )
}

/** How often it is asked whether two clients have one session: others may come between. */
const probes = 3

/**
 * Refuses a pooler that gives one session of the server to several clients (PgBouncer, pool_mode=transaction): what is set in
 * it does not stay with us. It shows when a second client, beginning a transaction, gets the session that the first one had.
 */
async function refuseShared(
  client: pg.Client,
  server: string,
  another: () => pg.Client,
): Promise<void> {
  for (let probe = 0; probe < probes; probe++) {
    const mine = await sessionOf(client)
    const other = another()
    other.on('error', () => {})
    try {
      await other.connect()
      await other.query('SET statement_timeout = 0')
      await other.query('BEGIN')
      if ((await sessionOf(other)) !== mine) continue
    } finally {
      await other.end().catch(() => {})
    }
    throw new Failure(
      `The pooler before ${server} gives one session to several clients`,
      'Settings that make a session safe do not stay with it, and what runs in it may be looked up in a schema of the database',
      'Connect to the server itself, or set the pooler to pool_mode=session',
    )
  }
}

/** The process that serves a client. Nothing but a function of pg_catalog is called, whatever the search_path. */
async function sessionOf(client: pg.Client): Promise<unknown> {
  return resultsOf(await client.query('SELECT pg_catalog.pg_backend_pid()')).map(onlyValue)[0]
}

/** SHOW looks no function up. */
async function askVersionNumber(client: pg.Client): Promise<number> {
  return Number(resultsOf(await client.query('SHOW server_version_num')).map(onlyValue)[0])
}

/** Several statements in one message have several results, which the types of `pg` do not say. */
function resultsOf(result: pg.QueryResult | pg.QueryResult[]): pg.QueryResult[] {
  return Array.isArray(result) ? result : [result]
}

function onlyValue({ rows }: pg.QueryResult): unknown {
  return Object.values(rows[0] ?? {})[0]
}

/** With `replica` only those triggers act that were made for it (PostgreSQL, ALTER EVENT TRIGGER). */
export const triggersSetting = 'session_replication_role'

/**
 * Sees to it that event triggers of the database act on no statement of this session, where the account may say so: they
 * would run its code with the account's rights. From 17 on `connect` has switched them off in a superuser's sessions.
 *
 * @returns whether the account may
 */
export async function keepQuiet(client: pg.Client): Promise<boolean> {
  try {
    await client.query(`SET ${triggersSetting} = replica`)
    return true
  } catch (error) {
    if (!refuses(sqlstateOf(error) ?? '', 'setting')) throw error
    return false
  }
}
