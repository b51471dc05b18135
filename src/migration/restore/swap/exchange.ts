import type pg from 'pg'
import { Failure, messageOf } from '../../../failure.ts'
import { serverVersion, withConnection } from '../../../postgres/connection.ts'
import { mayPass, sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { keepQuiet } from '../../../postgres/safe-session.ts'
import { printable } from '../../../text/text.ts'
import { doStill } from '../../cancellation.ts'
import type { Context } from '../../context.ts'
import { nameOfWork, progressLine } from '../../progress-line.ts'
import { pause, retrying } from '../../retry.ts'
import { unmarkTemplate } from '../database/drop.ts'
import { whoUses } from '../database/in-use.ts'
import { inMaintenanceDatabase } from '../database/maintenance-database.ts'
import { markSchema, readMark, removeMark, writeMark } from '../database/mark.ts'
import { dropSubscriptions } from '../database/subscriptions.ts'
import type { RestoreOptions } from '../options.ts'

type Place = Pick<RestoreOptions, 'target' | 'targetName'>

/** Bytes of a name on a server that was not built otherwise (PostgreSQL, NAMEDATALEN). */
const nameLength = 63

/** Milliseconds that leaving the owners' roles may take. */
const undoTime = 30_000

/** A database that is built beside the one whose name it is to take. */
export interface Swap {
  /** The name that both want. */
  name: string
  /** Where it is built. It has the dump's digits: what stands there can only be of the same dump. */
  building: string
  /** An interrupted restore of this dump stands there. */
  begun: boolean
}

/** The beginning of a name so that it fits with something behind it; a character is never cut through. */
export function nameWith(name: string, suffix: string): string {
  let kept = name
  while (Buffer.byteLength(kept + suffix) > nameLength) kept = [...kept].slice(0, -1).join('')
  return kept + suffix
}

/**
 * Makes the account a member of a role, unless it has its rights.
 *
 * @param undo gets what takes it back before the server is asked, whose answer may be lost
 * @returns `undo`
 */
export async function joinOwner(
  client: pg.Client,
  owner: string,
  undo: string[] = [],
): Promise<string[]> {
  const { rows } = await client.query<{ account: string; able: boolean }>(
    `SELECT session_user AS account, pg_catalog.pg_has_role(session_user, $1::pg_catalog.name, 'USAGE') AS able`,
    [owner],
  )
  const [row] = rows
  if (!row || row.able) return undo
  const { major } = await serverVersion(client)
  const [role, account] = [quoteIdentifier(owner), quoteIdentifier(row.account)]
  undo.push(`REVOKE ${role} FROM ${account}`)
  try {
    await client.query(
      `GRANT ${role} TO ${account}${major >= 16 ? ' WITH SET TRUE, INHERIT TRUE' : ''}`,
    )
  } catch (error) {
    if (sqlstateOf(error) !== undefined) undo.pop()
    throw error
  }
  return undo
}

/**
 * Works on a database as its owner, from another one (see inMaintenanceDatabase). The membership that this takes is given back, whatever
 * happens, by a session of its own: the one that works may be lost or cut off.
 */
export async function asOwner(
  place: Place,
  context: Context,
  work: (client: pg.Client) => Promise<void>,
): Promise<void> {
  const undo: string[] = []
  try {
    await inMaintenanceDatabase(place, context.signal, async (client) => {
      const { rows } = await client.query<{ owner: string }>(
        'SELECT pg_catalog.pg_get_userbyid(datdba) AS owner FROM pg_catalog.pg_database WHERE datname = $1',
        [place.targetName],
      )
      for (const { owner } of rows) await joinOwner(client, owner, undo)
      await work(client)
    })
  } finally {
    await leaveOwners(place, undo, context)
  }
}

/** Takes back memberships; what cannot be had is a warning, since the work with them is done or has failed by itself. */
async function leaveOwners(place: Place, undo: readonly string[], context: Context): Promise<void> {
  if (undo.length === 0) return
  try {
    await doStill(context.signal, undoTime, (signal) =>
      inMaintenanceDatabase(place, signal, async (client) => {
        for (const sql of undo) await client.query(sql)
      }),
    )
  } catch (error) {
    context.warn(
      `The account may still be a member of owners on the target (${messageOf(error)}): run there ${printable(undo.join('; '))}`,
    )
  }
}

/** How often the exchange is tried: each time the server waits five seconds for sessions to end. */
const attempts = 6

/**
 * Gives the new database the old one's name, and the old one another, in one transaction: there is no moment at which a
 * client finds neither. Sessions on both are ended. While the names change, the server lets nobody else in, and whoever
 * waits is told that the database was renamed, and finds the new one when he connects again (PostgreSQL source, InitPostgres).
 *
 * A connection that is lost leaves open whether it was done: that is asked of the server, and it is tried again where it was not.
 *
 * @param tries of five seconds each, for sessions that the account cannot end
 * @returns the name that the old database has from now on
 * @throws Failure when it could not be done; then nothing has changed, and the old database answers. Cancelled
 */
export async function exchange(
  place: Place,
  swap: Swap,
  context: Context,
  tries = attempts,
): Promise<string> {
  const { name, building } = swap
  const look = () => retrying(context, () => databasesOf(place, context.signal))
  const before = await look()
  let refused: unknown
  for (let attempt = 0; attempt < tries; attempt++) {
    context.signal.throwIfAborted()
    try {
      const kept = await asOwners(place, swap, context, () =>
        inMaintenanceDatabase(place, context.signal, (client) =>
          inMaintenanceDatabase(place, context.signal, (other) => rename(client, other, swap)),
        ),
      )
      await unmark(place, context)
      return kept
    } catch (error) {
      refused = error
      // 55006: somebody is still connected
      const isInUse = sqlstateOf(error) === '55006'
      const kept = isInUse ? undefined : keptAs(swap, before, await look())
      if (kept !== undefined) {
        await unmark(place, context)
        return kept
      }
      if (!isInUse && !mayPass(error)) break
      if (isInUse) {
        const who = await usersOf(place, name, context.signal)
        const parts = [who === '' ? 'waits until nobody is connected' : `waits for ${who} to leave`]
        context.progress.update(progressLine(nameOfWork('exchange', name), parts))
      }
    }
    await pause(1, context.signal)
  }
  const who = await usersOf(place, name, context.signal)
  throw new Failure(
    `The database "${name}" could not be exchanged`,
    `${messageOf(refused)}${who ? `; it is used by ${who}` : ''}`,
    `The old database answers as before, and the new one is complete: it is "${building}". End what uses the old one, then run restore again with the kept dump and if-target-not-empty: swap`,
    { cause: refused, sqlstate: sqlstateOf(refused) },
  )
}

/** The numbers of all databases by their names. */
async function databasesOf(place: Place, signal: AbortSignal): Promise<Map<string, string>> {
  return await inMaintenanceDatabase(place, signal, async (client) => {
    const { rows } = await client.query<{ name: string; oid: string }>(
      'SELECT datname AS name, oid::pg_catalog.text AS oid FROM pg_catalog.pg_database',
    )
    return new Map(rows.map(({ name, oid }) => [name, oid]))
  })
}

/** The name that the old database has by now; undefined where the exchange has not happened. */
function keptAs(
  { name, building }: Swap,
  before: ReadonlyMap<string, string>,
  now: ReadonlyMap<string, string>,
): string | undefined {
  if (now.get(name) !== before.get(building)) return undefined
  return [...now].find(([, oid]) => oid === before.get(name))?.[0]
}

/** Until now the mark has said that the database is not where it is to be. */
async function unmark(place: Place, context: Context): Promise<void> {
  try {
    await withConnection(
      place.target,
      { database: place.targetName, role: 'target', signal: context.signal },
      async (client) => {
        await keepQuiet(client)
        await removeMark(client)
      },
    )
  } catch (error) {
    if (context.signal.aborted) throw error
    context.warn(
      `The schema "${markSchema}" is still in the database "${printable(place.targetName)}" (${messageOf(error)}): drop it by hand`,
    )
  }
}

const usersOf = (place: Place, name: string, signal: AbortSignal) =>
  inMaintenanceDatabase(place, signal, (client) => whoUses(client, name))

/**
 * Works as a member of the owners of both databases. The memberships are written down in the new one before they are taken:
 * they cannot be part of the exchange's transaction, since another session ends those of the same roles meanwhile.
 */
async function asOwners<T>(
  place: Place,
  { name, building }: Swap,
  context: Context,
  work: () => Promise<T>,
): Promise<T> {
  const missing = await inMaintenanceDatabase(place, context.signal, async (client) => {
    const { rows } = await client.query<{ owner: string }>(
      `SELECT DISTINCT pg_catalog.pg_get_userbyid(datdba) AS owner FROM pg_catalog.pg_database
        WHERE datname = ANY ($1) AND NOT pg_catalog.pg_has_role(session_user, datdba, 'USAGE')`,
      [[name, building]],
    )
    return rows.map(({ owner }) => owner)
  })
  if (missing.length === 0) return await work()
  await withConnection(
    place.target,
    { database: building, role: 'target', signal: context.signal },
    async (client) => {
      await keepQuiet(client)
      const marked = (await readMark(client))?.state
      if (marked) await writeMark(client, { ...marked, memberships: missing })
    },
  )
  const undo: string[] = []
  try {
    await inMaintenanceDatabase(place, context.signal, async (client) => {
      for (const owner of missing) await joinOwner(client, owner, undo)
    })
    return await work()
  } finally {
    await leaveOwners(place, undo, context)
  }
}

async function rename(
  client: pg.Client,
  other: pg.Client,
  { name, building }: Swap,
): Promise<string> {
  const kept = await freeName(client, name, building.slice(-8))
  const [old, fresh, aside] = [name, building, kept].map(quoteIdentifier)
  await client.query('BEGIN')
  let renaming = true
  try {
    const renamed = (async () => {
      try {
        await client.query(`ALTER DATABASE ${old} RENAME TO ${aside}`)
        await client.query(`ALTER DATABASE ${fresh} RENAME TO ${old}`)
      } finally {
        renaming = false
      }
    })()
    renamed.catch(() => {})
    // the server waits for them, and lets nobody else in meanwhile
    while (renaming) {
      await endSessionsOn(other, [name, building])
      await Promise.race([renamed.catch(() => {}), new Promise((done) => setTimeout(done, 50))])
    }
    await renamed
    await client.query('COMMIT')
    return kept
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}

/** Ends sessions on databases, each as a member of its role: for that alone, in a transaction that is rolled back. */
async function endSessionsOn(client: pg.Client, databases: readonly string[]): Promise<void> {
  const { rows } = await client.query<{ pid: number; role: string | null }>(
    'SELECT pid, usename AS role FROM pg_catalog.pg_stat_activity WHERE datname = ANY ($1) AND pid <> pg_catalog.pg_backend_pid()',
    [databases],
  )
  for (const { pid, role } of rows) {
    await client.query('BEGIN')
    try {
      if (role !== null) await joinOwner(client, role)
      await client.query('SELECT pg_catalog.pg_terminate_backend($1)', [pid])
    } catch (error) {
      // a superuser's, say: then the exchange says who is in the way
      if (sqlstateOf(error) === undefined) throw error
    } finally {
      await client.query('ROLLBACK')
    }
  }
}

async function freeName(client: pg.Client, name: string, digits: string): Promise<string> {
  for (let number = 1; ; number++) {
    const candidate = nameWith(name, `_before_${digits}${number === 1 ? '' : `_${number}`}`)
    const { rowCount } = await client.query(
      'SELECT FROM pg_catalog.pg_database WHERE datname = $1',
      [candidate],
    )
    if (!rowCount) return candidate
  }
}

/** Drops the old database after an exchange. @throws Failure when the target refuses; the new one is in its place all the same */
export async function dropKept(place: Place, kept: string, context: Context): Promise<void> {
  const there = { database: kept, role: 'target', signal: context.signal } as const
  const line = `DROP DATABASE ${quoteIdentifier(kept)}`
  try {
    await asOwner({ ...place, targetName: kept }, context, async (client) => {
      await unmarkTemplate(client, kept)
      try {
        await client.query(line)
      } catch (error) {
        // 55006: a subscription uses it, if not somebody
        if (sqlstateOf(error) !== '55006') throw error
        await withConnection(place.target, there, dropSubscriptions)
        await client.query(line)
      }
    })
  } catch (error) {
    if (!(error instanceof Failure) && sqlstateOf(error) === undefined) throw error
    const paste = error instanceof Failure ? error.paste : undefined
    throw new Failure(
      `The old database, "${kept}" now, could not be dropped`,
      messageOf(error),
      `The new one has its name. Drop the old one by hand: ${line}`,
      { cause: error, sqlstate: sqlstateOf(error), paste },
    )
  }
}
