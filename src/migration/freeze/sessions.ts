import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { Cancelled, Failure } from '../../failure.ts'
import { serverVersion } from '../../postgres/connection.ts'
import { counted, firstTen } from '../../text/numbers.ts'
import type { Context } from '../context.ts'
import { progressLine } from '../progress-line.ts'
import type { Holder } from './mark.ts'
import { activityColumns, type Writer } from './writes.ts'

/** Milliseconds that sessions have to end in: one that rolls much back takes longer, and is named. */
const patience = 20_000

/** Milliseconds between two looks. A session that read its settings just before the freeze shows up within them. */
const pause = 300

/** A session in a database that is to be frozen. */
export interface OtherSession extends Writer {
  database: string
  /** The account may end it. */
  mayEnd: boolean
}

/**
 * The sessions of clients in databases of the source, without our own and those that are to be spared: ours are those of this
 * account by the names that we give them, before 9.0 the asking one alone.
 *
 * @param spared names of roles or applications
 * @param before only sessions that began before this moment, or whose beginning the account may not see
 */
export async function otherSessions(
  client: pg.Client,
  databases: readonly string[],
  spared: readonly string[],
  before?: string,
): Promise<OtherSession[]> {
  const { number } = await serverVersion(client)
  const { pid, application, isClient } = activityColumns(number)
  // what pg_terminate_backend asks (signalfuncs.c, pg_signal_backend): has_privs_of_role() from 9.5 on, the same role from 9.2 on
  const mine =
    number >= 90_500
      ? `pg_catalog.pg_has_role(a.usesysid, 'USAGE')`
      : number >= 90_200
        ? 'a.usename = session_user'
        : 'false'
  const signaller =
    number >= 90_600 ? `OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')` : ''
  const { rows } = await client.query<OtherSession>(
    `SELECT a.${pid} AS pid, a.usename AS role, ${application} AS application, a.datname AS database,
            me.rolsuper OR NOT COALESCE(r.rolsuper, true) AND (${mine} ${signaller}) AS "mayEnd"
       FROM pg_catalog.pg_stat_activity a
       JOIN pg_catalog.pg_roles me ON me.rolname = session_user
       LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
      WHERE a.datname::pg_catalog.text = ANY ($1::pg_catalog.text[]) AND a.${pid} <> pg_catalog.pg_backend_pid() AND a.usesysid IS NOT NULL AND ${isClient}
        AND NOT (a.usename = session_user AND ${application} LIKE 'migrate-to-polardb%')
        AND NOT (a.usename::pg_catalog.text = ANY ($2::pg_catalog.text[]) OR ${application} = ANY ($2::pg_catalog.text[]))
        AND ($3::pg_catalog.text IS NULL OR a.backend_start IS NULL OR a.backend_start <= $3::pg_catalog.timestamptz)
      ORDER BY 1`,
    [databases, spared, before ?? null],
  )
  return rows
}

/** A session as messages name it. */
export function nameOf({ pid, role, application }: Writer): string {
  return `${role}${application === '' ? '' : ` (${application})`}, process ${pid}`
}

/** Names of sessions in one line. */
export function namesOf(sessions: readonly Writer[]): string {
  return firstTen(sessions.map(nameOf))
}

/**
 * Ends the sessions that were open before a database became read-only by default, and waits until they are gone. One that
 * begins afterwards is read-only by itself, and stays.
 *
 * @param client a session of the source
 * @param progress shows who is waited for
 * @returns how many were ended
 * @throws Failure that names those that may not be ended, or did not end in time; Cancelled
 */
export async function endSessions(
  client: pg.Client,
  databases: readonly string[],
  spared: readonly string[],
  { signal, progress }: Pick<Context, 'signal' | 'progress'>,
): Promise<number> {
  const { rows } = await client.query<{ now: string }>(
    'SELECT pg_catalog.clock_timestamp()::pg_catalog.text AS now',
  )
  const now = rows[0]?.now ?? ''
  const met = new Set<number>()
  const ended = new Set<number>()
  const until = performance.now() + patience
  // twice none, since one that was just being begun shows up in the second look at the latest
  for (let looks = 0, quiet = 0; quiet < 2; looks++) {
    const found = await otherSessions(client, databases, spared, now)
    // where the account may not see when a session began, those that show up later began later
    const old = looks < 2 ? found : found.filter(({ pid }) => met.has(pid))
    quiet = old.length === 0 ? quiet + 1 : 0
    // one that may not be ended may end by itself, as monitoring does
    if (looks >= 2 && old.length > 0 && performance.now() > until) {
      const barred = old.filter(({ mayEnd }) => !mayEnd)
      if (barred.length > 0) throw mayNotEnd(barred)
      throw new Failure(
        `${counted(old.length, 'session')} of the source did not end`,
        `They were told to, and are still there after ${patience / 1000} s: ${namesOf(old)}`,
        'Wait until they are gone, or name them in freeze-except, then run again',
      )
    }
    for (const { pid, mayEnd } of old) {
      met.add(pid)
      if (!mayEnd || ended.has(pid)) continue
      await client.query('SELECT pg_catalog.pg_terminate_backend($1)', [pid])
      ended.add(pid)
    }
    if (old.length > 0) {
      const left = Math.max(0, until - performance.now()) / 1000
      const parts = [
        `waits for ${counted(old.length, 'session')} to end`,
        `${Math.ceil(left)} s at most`,
      ]
      const now = old.map((one) => ({ name: nameOf(one), detail: '' }))
      progress.update(progressLine('freeze', parts, now))
    }
    if (quiet < 2) await wait(pause, signal)
  }
  return ended.size
}

/** The failure of sessions that the account may not end. */
export function mayNotEnd(sessions: readonly OtherSession[]): Failure {
  return new Failure(
    `The account may not end ${counted(sessions.length, 'session')} of the source`,
    `They could go on writing: ${namesOf(sessions)}`,
    mayNotEndRemedy,
  )
}

/** PostgreSQL, "Predefined Roles": pg_signal_backend ends sessions of everybody but superusers. */
export const mayNotEndRemedy =
  'End them yourself, name their roles or applications in freeze-except, or let the account end them: GRANT pg_signal_backend TO it (from 9.6 on; sessions of superusers take a superuser)'

/** Waits so many milliseconds. @throws Cancelled */
export async function wait(time: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(time, undefined, { signal })
  } catch {
    throw new Cancelled()
  }
}

const began = `pg_catalog.to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS')`

/** What tells this session from every other one. */
export async function holderOf(client: pg.Client): Promise<Holder> {
  const { number } = await serverVersion(client)
  const { pid } = activityColumns(number)
  const { rows } = await client.query<Holder>(
    `SELECT a.${pid} AS pid, ${began} AS began FROM pg_catalog.pg_stat_activity a
      WHERE a.${pid} = pg_catalog.pg_backend_pid()`,
  )
  const [row] = rows
  if (!row) throw new Error('the server does not list its own session')
  return row
}

/** Whether the run that has frozen still lives. Where the account may not see when a session began, its name decides. */
export async function isAlive(client: pg.Client, holder: Holder): Promise<boolean> {
  const { number } = await serverVersion(client)
  const { pid, application } = activityColumns(number)
  const { rows } = await client.query(
    `SELECT 1 FROM pg_catalog.pg_stat_activity a
      WHERE a.${pid} = $1 AND (${began} = $2 OR a.backend_start IS NULL AND ${application} LIKE 'migrate-to-polardb%')`,
    [holder.pid, holder.began],
  )
  return rows.length > 0
}
