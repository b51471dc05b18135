import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { Failure, messageOf } from '../../failure.ts'
import { closeSession, connect, withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import type { ReachedTarget } from '../checks/preflight.ts'
import type { Context } from '../context.ts'
import { retrying } from '../retry.ts'

/**
 * How one run sees that another one lives: each holds an advisory lock on the target for as long as it works. The server lets
 * go of it when the session ends, however the run ended. Locks of two 32 bit numbers belong to a database, but pg_locks shows
 * those of all of them (PostgreSQL, "Advisory Locks" and "pg_locks"); the first number says whose kind it is.
 */

/** Of rehearsals, each with a number of its own. */
const rehearsing = 0x70_6f_6c_61
/** Of runs that write into databases of the users', all with the same number, and shared. */
const migrating = 0x70_6f_6c_62

/** What a run says with its lock. */
export interface Sign {
  kind: typeof rehearsing | typeof migrating
  /** Unsigned, of 32 bits. */
  number: number
  /** Several runs may hold it. */
  isShared: boolean
}

/** A migration or restore is under way on this target. */
export const migrationSign: Sign = { kind: migrating, number: 0, isShared: true }

/** A rehearsal lives. @param number see lockNumber() */
export function rehearsalSign(number: number): Sign {
  return { kind: rehearsing, number, isShared: false }
}

/** Milliseconds before each new try to get a lost lock back, the last for all that follow. */
const defaultPauses: readonly number[] = [0, 500, 1000, 2000, 4000, 8000, 15_000]

/**
 * Whether a session other than the asking one holds a sign, in whichever database.
 *
 * @param client a session of the target
 */
export async function isPresent(client: pg.Client, { kind, number }: Sign): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT 1 FROM pg_catalog.pg_locks
      WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND granted AND objsubid OPERATOR(pg_catalog.=) 2
        AND classid OPERATOR(pg_catalog.=) $1::pg_catalog.oid AND objid OPERATOR(pg_catalog.=) $2::pg_catalog.oid
        AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()`,
    [kind, number],
  )
  return rowCount !== 0
}

/** Whether a rehearsal other than the one with this number lives. @param client a session of the target */
export async function isRehearsing(client: pg.Client, but: number): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT 1 FROM pg_catalog.pg_locks
      WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND granted AND objsubid OPERATOR(pg_catalog.=) 2
        AND classid OPERATOR(pg_catalog.=) $1::pg_catalog.oid AND objid OPERATOR(pg_catalog.<>) $2::pg_catalog.oid`,
    [rehearsing, but],
  )
  return rowCount !== 0
}

/**
 * Takes a sign for as long as the session lives. The lock is taken first and looked for elsewhere afterwards, so that of two
 * in different databases at most one goes on.
 *
 * @returns false where another session has it
 */
export async function takeSign(client: pg.Client, sign: Sign): Promise<boolean> {
  // signed, as the function takes it
  const key = [sign.kind, sign.number | 0]
  const { rows } = await client.query<{ taken: boolean }>(
    `SELECT pg_catalog.${sign.isShared ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_lock'}($1::pg_catalog.int4, $2::pg_catalog.int4) AS taken`,
    key,
  )
  if (!rows[0]?.taken) return false
  if (sign.isShared || !(await isPresent(client, sign))) return true
  await client.query(
    'SELECT pg_catalog.pg_advisory_unlock($1::pg_catalog.int4, $2::pg_catalog.int4)',
    key,
  )
  return false
}

/** A sign of this run on the target, which is taken again when its session is lost. */
export class Presence {
  private readonly target: ConnectionParameters
  private readonly sign: Sign
  private readonly context: Pick<Context, 'log'>
  private session: pg.Client | undefined
  private readonly stop = new AbortController()
  private readonly lost = new AbortController()
  private readonly pauses: readonly number[]

  private constructor(
    target: ConnectionParameters,
    sign: Sign,
    context: Pick<Context, 'log'>,
    pauses: readonly number[],
  ) {
    this.target = target
    this.sign = sign
    this.context = context
    this.pauses = pauses
  }

  /**
   * @param target a database that stays: see firstConnection()
   * @param pauses milliseconds before each new try to get it back when it is lost, the last for all that follow
   * @throws Failure where the target cannot be connected to, or another run has the sign; Cancelled
   */
  static async begin(
    target: ConnectionParameters,
    sign: Sign,
    context: Pick<Context, 'log' | 'signal'>,
    pauses = defaultPauses,
  ): Promise<Presence> {
    const presence = new Presence(target, sign, context, pauses)
    if (await presence.open(context.signal)) return presence
    throw new Failure(
      'Another run holds the lock of this one',
      'It has the same random number, or was given the same name',
      'Run again',
    )
  }

  /** Fires when another run has taken this one for dead, so that what it made may be gone. */
  get taken(): AbortSignal {
    return this.lost.signal
  }

  /** Lets go of it. Never throws. */
  async close(): Promise<void> {
    this.stop.abort()
    if (this.session) await closeSession(this.session)
  }

  private async open(signal: AbortSignal): Promise<boolean> {
    // the signal bounds the connecting alone: a cancelled run has this until it has put everything away
    const client = await connect(this.target, { role: 'target', patience: null, signal })
    let isTaken = false
    try {
      await noticeDeath(client)
      isTaken = await takeSign(client, this.sign)
    } finally {
      if (!isTaken) await closeSession(client)
    }
    if (!isTaken) return false
    this.session = client
    client.once('end', () => void this.again())
    return true
  }

  /** Until it has the sign, or another has, or the run is over, however long the target is away. Never throws. */
  private async again(): Promise<void> {
    let others = 0
    for (let attempt = 0; ; attempt++) {
      try {
        const pause = this.pauses[Math.min(attempt, this.pauses.length - 1)]
        await sleep(pause, undefined, { signal: this.stop.signal })
        if (await this.open(this.stop.signal)) return
        // one that only looked is gone the second time
        if (++others === 2) return this.lost.abort()
      } catch (error) {
        if (this.stop.signal.aborted) return
        this.context.log.debug(`the lock of this run could not be taken again: ${messageOf(error)}`)
      }
    }
  }
}

/**
 * Works under the sign of a run that writes into databases of the users'. Without it, where the target does not let it be taken, a
 * rehearsal may begin meanwhile: that is no reason not to migrate.
 *
 * @param target a database that stays: see firstConnection()
 */
export async function whileMigrating<T>(
  target: ConnectionParameters,
  context: Pick<Context, 'log' | 'signal'>,
  work: () => Promise<T>,
): Promise<T> {
  const presence = await Presence.begin(target, migrationSign, context).catch((error: unknown) => {
    if (context.signal.aborted) throw error
    context.log.debug(`no lock shows that this run is under way: ${messageOf(error)}`)
    return undefined
  })
  try {
    return await work()
  } finally {
    await presence?.close()
  }
}

/**
 * Warns where another run already writes into databases of this target. Both make the account a member of the owners, and the one
 * that ends first takes back what the other still needs, which fails then (docs/restore.md, "Rights that are lent"). A superuser, and
 * a polar_superuser of PolarDB 11, need no memberships.
 *
 * @throws Failure of the connection; Cancelled
 */
export async function warnOfOthers(
  { connection, account, hasPolarSuperuser }: ReachedTarget,
  context: Pick<Context, 'log' | 'pauses' | 'signal' | 'warn'>,
): Promise<void> {
  if (account.superuser || (account.polarSuperuser && hasPolarSuperuser)) return
  const options = { role: 'target', readOnly: true, signal: context.signal } as const
  const isBeside = await retrying(context, () =>
    withConnection(connection, options, (client) => isPresent(client, migrationSign)),
  )
  if (!isBeside) return
  context.warn(
    'Another migration or restore is under way on this target. Where databases of both have owners in common, the first to end takes back memberships of the account that the other still needs, and that one fails: run them one after the other',
  )
}

/** Has the server notice within a minute that the machine of this run is gone, and not only its process. */
async function noticeDeath(client: pg.Client): Promise<void> {
  for (const setting of ['idle = 30', 'interval = 10', 'count = 3']) {
    try {
      await client.query(`SET tcp_keepalives_${setting}`)
    } catch (error) {
      // not every server lets it be set, and the lock is as good without
      if (sqlstateOf(error) === undefined) throw error
    }
  }
}
