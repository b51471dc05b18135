import type pg from 'pg'
import { Failure } from '../../../failure.ts'
import type { Archive } from '../../../postgres/archive/archive.ts'
import { cancelQuery, closeSession, connect } from '../../../postgres/connection.ts'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { keepQuiet, triggersSetting } from '../../../postgres/safe-session.ts'
import { refuses } from '../../../postgres/sqlstates.ts'
import { safePath } from '../../../postgres/startup.ts'
import { pause } from '../../retry.ts'
import type { RestoreOptions } from '../options.ts'

/** How a session logs in: as the role that may do nothing but load, or as the account. */
export type Login = 'loader' | 'account'

/**
 * What our sessions call themselves, so that one that was lost on the way can be found on the server and ended before its
 * work is done again. PGAPPNAME of pg_restore has the same form.
 */
export const sessionPrefix = 'migrate-to-polardb restore '

/** What the sessions call themselves that a worker's rows go through beside its own: all of them, for a LIKE, or one. */
export function streamsOf(worker: string, number: number | '%' = '%'): string {
  return `${worker} stream ${number}`
}

/** The worker whose session or stream calls itself so. */
export function workerOf(session: string): string {
  return session.replace(/ stream \d+$/, '')
}

/** Where a session is opened. */
export type SessionPlace = Pick<RestoreOptions, 'target' | 'targetName' | 'patience'>

/**
 * The setting by which PolarDB 11 makes UNLOGGED tables permanent; a session may switch it off (docs/polardb.md, "Defaults
 * for tables").
 */
export const unloggedSetting = 'polar_force_unlogged_to_logged_table'

/**
 * A session on the target that works through entries of archives, with the settings that pg_restore would make. The
 * archives' statements want a search_path of theirs, and code of the database that they call may leave behind whatever it
 * sets. So there are two ways to the server: `foreign` for what an archive brings, `own` and `query` for what we ask and do,
 * which never runs under anybody else's settings.
 */
export class TargetSession {
  readonly #client: pg.Client
  private readonly options: SessionPlace
  /** The account may decide whether triggers act. */
  private quiet = false
  /** Since our settings were made, statements ran that are not ours. */
  private strayed = false
  /** What was set last for an archive, as long as it holds. */
  private foreignSettings: string | null = null

  private constructor(client: pg.Client, options: SessionPlace) {
    this.#client = client
    this.options = options
  }

  static async open(
    options: SessionPlace,
    name: string,
    signal: AbortSignal,
  ): Promise<TargetSession> {
    const client = await connect(options.target, {
      database: options.targetName,
      role: 'target',
      signal,
      ...(options.patience ? { patience: options.patience } : {}),
    })
    const session = new TargetSession(client, options)
    try {
      await client.query('SELECT pg_catalog.set_config($1, $2, false)', ['application_name', name])
      // as _doSetFixedOutputState of pg_restore; timeouts and the like are set by connect
      await client.query(
        'SET check_function_bodies = off; SET xmloption = content; SET client_min_messages = warning; SET row_security = off',
      )
      await session.keepUnlogged()
      session.quiet = await keepQuiet(client)
      return session
    } catch (error) {
      await session.close()
      throw error
    }
  }

  /** PolarDB 11 makes unlogged tables permanent unless told otherwise; whether it knows the setting only a try can tell. */
  private async keepUnlogged(): Promise<void> {
    try {
      await this.#client.query(`SET ${unloggedSetting} = off`)
    } catch (error) {
      // not known, or not for the account: what comes of that shows in the tables (see correctTables)
      if (!refuses(sqlstateOf(error) ?? '', 'setting')) throw error
    }
  }

  /**
   * The connection for statements of an archive, set up as they expect it: string syntax and search_path.
   *
   * @param namespace the entry's schema, '' for none
   */
  async foreign(archive: Archive, namespace: string): Promise<pg.Client> {
    this.strayed = true
    const settings = [
      `SET standard_conforming_strings = ${archive.standardStrings ? 'on' : 'off'}`,
      'SET escape_string_warning = off',
      ...(this.quiet ? [`SET ${triggersSetting} = origin`] : []),
    ]
    if (archive.searchPath !== null) settings.push(archive.searchPath)
    // archives from before 10.3 have no path of their own: their statements count on their schema being first
    else if (namespace !== '') {
      settings.push(`SET search_path = ${quoteIdentifier(namespace)}, pg_catalog`)
    } else settings.push(`SET search_path = ${safePath}`)
    const text = settings.join('; ')
    // it holds until our own settings are made again, and a message costs a round trip
    if (this.foreignSettings !== text) await this.#client.query(text)
    this.foreignSettings = text
    return this.#client
  }

  /** The connection for statements of our own. */
  async own(): Promise<pg.Client> {
    if (this.strayed) {
      await this.#client.query(
        `SET search_path = ${safePath}; SET standard_conforming_strings = on; SET ROLE NONE${this.quiet ? `; SET ${triggersSetting} = replica` : ''}`,
      )
      this.foreignSettings = null
      this.strayed = false
    }
    return this.#client
  }

  /** A statement of our own. */
  async query<R extends pg.QueryResultRow>(
    sql: string,
    values?: unknown[],
  ): Promise<pg.QueryResult<R>> {
    return (await this.own()).query<R>(sql, values)
  }

  /** Ends what the session runs, and the session. */
  async cancel(): Promise<void> {
    await cancelQuery(this.#client, this.options.target)
  }

  async close(): Promise<void> {
    await closeSession(this.#client)
  }
}

/**
 * Ends sessions of ours that the server still works for although their connection is lost, and waits until they are gone:
 * only then is it certain what they have done.
 *
 * @param client a session in the same database as the same account
 * @param name the session's application_name, or the beginning of several followed by `%`
 * @param loader the role that loads, whose sessions are ours, too
 * @throws Failure when one does not end within a minute
 */
export async function endSessions(
  client: pg.Client,
  name: string,
  signal: AbortSignal,
  loader: string | null = null,
): Promise<void> {
  for (let round = 0; round < 120; round++) {
    const { rowCount } = await client.query(
      `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
        WHERE datname = pg_catalog.current_database() AND (usename = session_user OR usename = $2)
          AND pid <> pg_catalog.pg_backend_pid() AND application_name LIKE $1`,
      [name.replace(/[\\_]/g, '\\$&'), loader],
    )
    if (!rowCount) return
    await pause(0.5, signal)
  }
  throw new Failure(
    'A session of an interrupted restore does not end',
    'The target still works for it after a minute of asking',
    'End it on the target (pg_terminate_backend), then run again',
  )
}
