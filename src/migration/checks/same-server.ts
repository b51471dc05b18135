import { randomInt } from 'node:crypto'
import type pg from 'pg'
import { Failure } from '../../failure.ts'
import { serverVersion, withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { recoveryOf } from '../../postgres/startup.ts'
import { together } from '../../postgres/together.ts'
import { printable } from '../../text/text.ts'
import type { Context } from '../context.ts'
import type { DatabaseName } from '../database-names.ts'
import type { Inputs } from '../inputs.ts'
import { lookingAgain } from '../retry.ts'
import { check, noteFailure } from './note.ts'

/** What a server says of who it is. */
export interface ServerIdentity {
  /** Of the cluster's files: copies and standbys have the same. Null where it cannot be read (before 9.6). */
  systemIdentifier: string | null
  /** It follows another server, or replays what it is restored from. */
  inRecovery: boolean
  /** Null where it cannot be read. */
  timeline: number | null
  major: number
}

/** How the source's server and the target's are related. */
export type Relation =
  /** One and the same. */
  | 'same server'
  /** One follows the other, or both a third: what is dropped on one is dropped on the other. */
  | 'standby'
  /** Files of one were copied once; each goes its own way now. */
  | 'copy'
  | 'different'
  | 'undecided'

/**
 * Decides how two servers are related. Names and addresses say nothing: a port may be forwarded, a host have two names.
 *
 * @param lockSeen whether an advisory lock that a session on the source holds shows on the target; null where that could not
 *   be tried
 */
export function relationOf(
  source: ServerIdentity,
  target: ServerIdentity,
  lockSeen: boolean | null,
): Relation {
  if (lockSeen === true) return 'same server'
  const inRecovery = source.inRecovery || target.inRecovery
  if (source.systemIdentifier !== null && target.systemIdentifier !== null) {
    if (source.systemIdentifier !== target.systemIdentifier) return 'different'
    if (inRecovery) return 'standby'
    return lockSeen === null ? 'undecided' : 'copy'
  }
  // neither a server nor its standby has two majors (PostgreSQL, "Log-Shipping Standby Servers", Planning)
  if (source.major !== target.major) return 'different'
  // the lock alone: a standby does not show the locks of its primary
  return lockSeen === false && !inRecovery ? 'different' : 'undecided'
}

export interface SameServerOptions {
  source: ConnectionParameters
  target: ConnectionParameters
  databases: readonly DatabaseName[]
  /** `verify` writes nothing, so all that is refused is to compare a database with itself. */
  writes: boolean
  ifTargetNotEmpty: Inputs['ifTargetNotEmpty']
  sameServer: Inputs['sameServer']
}

/** What the check of both servers is called in the report. */
export const sameServerId = 'same-server'

/** decideSameServer() with its answer in the report. @throws as it does */
export async function refuseSameServer(
  options: SameServerOptions,
  context: Context,
): Promise<void> {
  try {
    check(context, sameServerId, 'blocker', true, await decideSameServer(options, context))
  } catch (error) {
    if (error instanceof Failure) noteFailure(context, sameServerId, error)
    throw error
  }
}

/**
 * Refuses to migrate a database into itself, before anything is changed: `replace` would drop what is to be migrated. It
 * asks the servers (system identifier, recovery, and a random advisory lock that is taken on the source and looked for on
 * the target). Another database of the same server is fine.
 *
 * @returns how the two are related, in a sentence
 * @throws Failure when source and target are the same database, when what is dropped on the target would be dropped on the
 *   source, or when that cannot be found out and `same-server` is not `no`; Cancelled
 */
export async function decideSameServer(
  options: SameServerOptions,
  context: Pick<Context, 'log' | 'pauses' | 'signal'>,
): Promise<string> {
  const { source, target, lockSeen } = await lookingAgain(context, () => observe(options, context))
  const relation = relationOf(source, target, lockSeen)
  // written to must be neither itself nor what another one of the list is read from
  const sources = new Set(options.databases.map((database) => database.source))
  const overlapping = options.databases.find((database) =>
    options.writes ? sources.has(database.target) : database.source === database.target,
  )
  const drops = options.writes && !/^(fail|resume)$/.test(options.ifTargetNotEmpty)
  switch (relation) {
    case 'same server':
      if (!overlapping) break
      throw new Failure(
        `The source and the target are the same database "${printable(overlapping.target)}"`,
        lockSeen
          ? 'A lock that was taken on the source shows on the target: both connection strings lead to one server'
          : 'Both connection strings lead to one server',
        'Check source and target; another database of the same server is named with databases: name=other-name',
      )
    case 'standby': {
      const other = 'Connect target to another cluster'
      if (overlapping && options.writes) {
        throw new Failure(
          `The source is a standby of the target's server, and both name the database "${printable(overlapping.target)}"`,
          `${shared(source)}: what the source shows is the target's own database`,
          other,
        )
      }
      if (!drops) break
      throw new Failure(
        `if-target-not-empty: ${options.ifTargetNotEmpty} is refused where the source is a standby of the target's server`,
        `${shared(source)}: what is dropped on the target is dropped on the source, too`,
        other,
      )
    }
    case 'undecided':
      if (options.sameServer === 'no' || !options.writes) break
      throw new Failure(
        'Whether source and target are one server cannot be found out',
        lockSeen === null
          ? 'The servers do not let the account take an advisory lock, or look for it in pg_locks'
          : 'A server does not tell its system identifier, and one of them is in recovery: it may be a standby of the other',
        'Where you are certain that they are different servers, set same-server to no',
      )
  }
  return told(relation, source, target)
}

function told(relation: Relation, source: ServerIdentity, target: ServerIdentity): string {
  switch (relation) {
    case 'same server':
      return 'source and target are different databases of one server'
    case 'standby':
      return `the source is a standby of the target's server, or both are copies of one (${shared(source)})`
    case 'copy':
      return `the target was made from a copy of the source's files, or both from one, and goes its own way now (${shared(source)}, timelines ${source.timeline ?? '?'} and ${target.timeline ?? '?'})`
    case 'undecided':
      return 'whether source and target are one server cannot be found out'
    case 'different':
      return 'source and target are different servers'
  }
}

const shared = ({ systemIdentifier }: ServerIdentity) =>
  `both have the system identifier ${systemIdentifier}`

interface Observation {
  source: ServerIdentity
  target: ServerIdentity
  lockSeen: boolean | null
}

/**
 * Asks both servers while a session on the source holds a lock with a random key. All of it happens in one transaction on
 * each side: through a pooler it is then one session of the server.
 */
async function observe(
  { source, target }: SameServerOptions,
  { signal }: Pick<Context, 'signal'>,
): Promise<Observation> {
  const key = [randomInt(1, 2 ** 31), randomInt(1, 2 ** 31)]
  return withConnection(source, { role: 'source', readOnly: true, signal }, async (here) => {
    const { number } = await serverVersion(here)
    // that of a transaction came with 9.1; either ends with the session
    const lock = number >= 90_100 ? 'pg_advisory_xact_lock' : 'pg_advisory_lock'
    const [, sourceIdentity] = await together(here, [
      () => here.query('BEGIN'),
      () => identityOf(here),
    ])
    const locked = await refusedIsNull(() =>
      here.query(`SELECT pg_catalog.${lock}($1::pg_catalog.int4, $2::pg_catalog.int4)`, key),
    )
    const options = { role: 'target', readOnly: true, signal } as const
    const observed = await withTarget(target, options, async (there) => {
      const [, targetIdentity, seen] = await together(there, [
        () => there.query('BEGIN'),
        () => identityOf(there),
        () =>
          attempt(there, async () => {
            // two keys of 32 bits show as classid and objid, with objsubid 2 (PostgreSQL, pg_locks); of whichever database
            const { rowCount } = await there.query(
              `SELECT 1 FROM pg_catalog.pg_locks
                WHERE locktype = 'advisory' AND classid = $1 AND objid = $2 AND objsubid = 2 AND granted`,
              key,
            )
            return rowCount !== 0
          }),
      ])
      await there.query('ROLLBACK')
      return {
        source: sourceIdentity,
        target: targetIdentity,
        lockSeen: locked === null ? null : seen,
      }
    })
    await here.query('ROLLBACK')
    return observed
  })
}

/** In the database that target names, or `postgres` where that one is still to be created. */
async function withTarget<T>(
  target: ConnectionParameters,
  options: { role: 'target'; readOnly: true; signal: AbortSignal },
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  try {
    return await withConnection(target, options, work)
  } catch (error) {
    const missing = error instanceof Failure && error.sqlstate === '3D000'
    if (!missing || target.dbname === 'postgres') throw error
    return withConnection(target, { ...options, database: 'postgres' }, work)
  }
}

/** Who a server says it is. @param client a session within a transaction */
export async function identityOf(client: pg.Client): Promise<ServerIdentity> {
  const { number, major } = await serverVersion(client)
  const [{ rows }, control] = await together(client, [
    () => client.query<{ recovery: boolean }>(`SELECT ${recoveryOf(number)} AS recovery`),
    () =>
      attempt(client, async () => {
        if (number < 90_600) return null
        const { rows } = await client.query<{ system: string; timeline: number }>(
          `SELECT s.system_identifier AS system, c.timeline_id AS timeline
             FROM pg_catalog.pg_control_system() s, pg_catalog.pg_control_checkpoint() c`,
        )
        return rows[0] ?? null
      }),
  ])
  return {
    systemIdentifier: control?.system ?? null,
    timeline: control?.timeline ?? null,
    inRecovery: rows[0]?.recovery ?? false,
    major,
  }
}

/** What the server refuses is null, and costs the transaction nothing. @param work takes nothing that is to stay */
async function attempt<T>(client: pg.Client, work: () => Promise<T>): Promise<T | null> {
  const [, result] = await together(client, [
    () => client.query('SAVEPOINT attempt'),
    () => refusedIsNull(work),
    () => client.query('ROLLBACK TO SAVEPOINT attempt'),
  ])
  return result
}

async function refusedIsNull<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work()
  } catch (error) {
    if (sqlstateOf(error) === undefined) throw error
    return null
  }
}
