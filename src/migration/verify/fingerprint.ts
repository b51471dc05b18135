import type pg from 'pg'
import { Failure, messageOf } from '../../failure.ts'
import { serverVersion } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { mayPass, sqlstateOf } from '../../postgres/errors.ts'
import type { RoleNames } from '../../postgres/roles/role-names.ts'
import { counted } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import type { Context } from '../context.ts'
import { readFreezeMark } from '../freeze/mark.ts'
import { readActivity, stillness } from '../freeze/stillness.ts'
import { LockWatch, ownSessions } from '../lock-waits.ts'
import { retrying } from '../retry.ts'
import type { NoteStep } from '../timing.ts'
import { readCatalog } from './catalog/catalog.ts'
import type { CatalogFingerprint } from './catalog/model.ts'
import type { DatabaseFingerprint, Level, TableFingerprint } from './model.ts'
import {
  begin,
  isUnused,
  type MayAlter,
  MomentGone,
  type Place,
  TableAwaited,
  withSession,
} from './read-session.ts'
import type { Ahead } from './rows/ahead.ts'
import { floatDigitsFor, methodFor } from './rows/digest.ts'
import { largeObjectWork } from './rows/large-objects.ts'
import { type ReadPlan, startTasks } from './rows/readers.ts'
import { readSequences, type SequenceState } from './rows/sequences.ts'
import { largePiece, tableWork } from './rows/table-work.ts'
import { keyOf, listTables } from './rows/tables.ts'
import { type ExportedSnapshot, exportFrom } from './snapshot.ts'

export interface FingerprintOptions {
  connection: ConnectionParameters
  database: string
  /** How messages call the server; default `source` without and `target` with a recipe. */
  role?: 'source' | 'target'
  /** The moment to look at; without it the fingerprint exports a snapshot of its own where the server can. */
  snapshot?: ExportedSnapshot
  level: Level
  /** Sessions that read tables at the same time; one more reads catalogs. Each keeps one core of the server busy. */
  jobs: number
  /** Bytes of a large table that one session reads at a time; default 256 MiB. */
  pieceBytes?: number
  /**
   * The target's major, where it is known. Servers before 12 print floats differently, so unless both are known to be
   * newer, floats inside of composite and extension types are compared to 15 digits.
   */
  targetMajor?: number | undefined
  /** On the target: the source's fingerprint, whose digests are to be computed again. */
  recipe?: DatabaseFingerprint
  /**
   * On a target that nobody else uses: tables that even their owner may not read whole are read without FORCE ROW LEVEL
   * SECURITY, say, in transactions that are rolled back (see inTransaction). Default false.
   */
  mayAlter?: MayAlter
  /** On the target: what the source's roles are called there, in whose names owners and grants are read. Default the same. */
  roleNames?: RoleNames | undefined
  /** On the target: what was read of it before, whose rows may still be the same. */
  ahead?: Ahead | undefined
  /** Told when a table, or a piece of one, was read. */
  timed?: NoteStep
  /** Of the given snapshot, whose session holds every table (see Reading). */
  lockWait?: number | undefined
  /** Somebody looks already at what the sessions wait for, as a dump does. */
  locksWatched?: boolean
}

/**
 * Takes the fingerprint of a database: exact row counts, at level `data` a digest of every table; never a sample and never
 * an estimate. Reads in read-only transactions of one moment, largest table first, `jobs` at a time. A table, sequence or large
 * object that cannot be read is a hole with its reason in it, which compares equal to nothing.
 *
 * @returns plain data; at level `none` an empty fingerprint
 * @throws Failure when the catalogs could not be read: the check that could not run has failed. A lost connection is no such
 *   failure before it has stayed lost; MomentGone when the given snapshot is gone. Cancelled.
 */
export async function fingerprintDatabase(
  options: FingerprintOptions,
  context: Context,
): Promise<DatabaseFingerprint> {
  const { recipe } = options
  const level =
    recipe && recipe.level !== 'data' && options.level === 'data' ? recipe.level : options.level
  const place: Place = {
    connection: options.connection,
    database: options.database,
    role: options.role ?? (recipe ? 'target' : 'source'),
  }
  const take = async (leader: pg.Client) => {
    const locks = level === 'none' || options.locksWatched ? undefined : watchLocks(place, context)
    try {
      return await takeFingerprint(leader, place, level, options, context, locks)
    } catch (error) {
      if (sqlstateOf(error) === undefined || error instanceof Failure) throw error
      if (sqlstateOf(error) === '55P03' && options.lockWait !== undefined)
        throw new TableAwaited(error)
      // a database in SQL_ASCII holds bytes of any encoding, and the server hands out as UTF8 only what is UTF-8
      const undecodable = sqlstateOf(error) === '22021'
      throw new Failure(
        `The catalogs of the database "${place.database}" on the ${place.role} cannot be read`,
        undecodable
          ? `A name, a comment or a definition in them is not UTF-8: ${messageOf(error)}`
          : messageOf(error),
        undecodable
          ? 'Write what is not UTF-8 anew, comments say, then dump and verify again; verify: counts compares no definitions'
          : `Give "${place.connection.user}" what the server asks for, then verify again`,
        { cause: error, sqlstate: sqlstateOf(error) },
      )
    } finally {
      await locks?.end()
    }
  }
  // all of it again: what was read before the moment was lost is of another one
  return await retrying(context, () => withSession(place, context.signal, take), {
    again: (error) => mayPass(error) || (error instanceof MomentGone && !options.snapshot),
  })
}

function watchLocks(place: Place, context: Context): LockWatch {
  const { connection, database, role } = place
  const sessions = ownSessions(connection)
  return new LockWatch(place, { who: `reading the ${role}`, database, sessions }, context)
}

async function takeFingerprint(
  leader: pg.Client,
  place: Place,
  level: Level,
  options: FingerprintOptions,
  context: Context,
  locks: LockWatch | undefined,
): Promise<DatabaseFingerprint> {
  const { recipe, snapshot } = options
  const { number: server } = await serverVersion(leader)
  const encoding = await encodingOf(leader)
  const empty: DatabaseFingerprint = {
    format: 1,
    server,
    encoding,
    level,
    method: recipe?.method ?? methodFor(server),
    floatDigits: recipe?.floatDigits ?? floatDigitsFor(server, options.targetMajor),
    moments: null,
    recipes: recipe?.recipes ?? [],
    tables: [],
    notRead: [],
    sequences: [],
    largeObjects: null,
    catalog: null,
    rows: 0,
    seconds: 0,
    rowsPerSecond: 0,
  }
  if (level === 'none') return empty

  // even the size of a table waits behind whoever has asked for it
  if (options.lockWait !== undefined && server >= 90_300)
    await leader.query(`SET lock_timeout = ${options.lockWait}`)
  const sequences = snapshot?.sequences ?? (await readSequences(place, context.signal))
  const moment = snapshot ?? (await exportFrom(leader, server))
  const activity = () => readActivity(place.connection, place.database, place.role, context.signal)
  const before = moment.unavailable === null ? null : await activity()
  if (snapshot) await begin(leader, snapshot.id)
  const { mayAlter = false } = options
  const alters = mayAlter === 'if unused' ? await isUnused(leader) : mayAlter
  const plan: ReadPlan = {
    place,
    server,
    source: recipe?.server ?? server,
    encoding: recipe?.encoding ?? encoding,
    snapshot: moment.id,
    lockWait: options.lockWait,
    jobs: options.jobs,
    pieceBytes: options.pieceBytes ?? largePiece,
    floatDigits: empty.floatDigits,
    method: level === 'data' ? empty.method : null,
    mayAlter: place.role === 'target' && alters,
    timed: options.timed,
    rows: recipe?.rows,
  }
  const { tables, notRead } = await listTables(leader, server, level === 'data')
  const work = await tableWork(plan, tables, recipe, leader, options.ahead)
  const { roleNames } = options
  const large = await largeObjectWork(plan, recipe?.largeObjects ?? undefined, leader, roleNames)
  const tasks = [...work.tasks, ...large.tasks].sort((a, b) => b.bytes - a.bytes)
  // before the catalogs: whoever prints a view holds a lock on its tables until its transaction ends
  const altered = await startTasks(plan, work.barred, tables.length, context, locks).done
  const reading = startTasks(plan, tasks, tables.length, context, locks)
  let catalog: CatalogFingerprint | null
  try {
    // of a target no such mark is believed: what its settings are is what is compared
    const mark = place.role === 'source' ? await readFreezeMark(leader) : null
    catalog =
      level === 'data' ? await readCatalog(leader, server, undefined, mark, roleNames) : null
  } catch (error) {
    await reading.stop()
    throw error
  }
  const looked = await reading.done
  const again = work.again()
  const more = await startTasks(plan, again, again.length, context, locks).done
  const { ahead } = work
  if (ahead.tables > 0)
    context.log.info(
      `${place.database}: ${counted(ahead.tables, 'table')} of the target had been read while others were restored; ${again.length === 0 ? 'none of their rows has changed since' : 'not all are known to be the same, and those are read again'}`,
    )
  const seconds = altered + looked + more + ahead.seconds / Math.max(1, options.jobs)
  if (place.role === 'source') warnOfHoles(place, work.tables, sequences, context)
  const still = before && stillness(before, await activity())
  const rows = work.tables.reduce((sum, table) => sum + table.rows, 0)
  return {
    ...empty,
    moments: moment.unavailable,
    ...(still === null ? {} : { still }),
    recipes: work.recipes,
    tables: work.tables,
    notRead,
    sequences,
    largeObjects: large.result,
    catalog,
    rows,
    seconds: Number(seconds.toFixed(3)),
    rowsPerSecond: Math.round(rows / Math.max(seconds, 0.001)),
  }
}

/**
 * Adds to a source's fingerprint where its sequences stand now: to be called once the dump has ended. No snapshot holds
 * a sequence still, so a target's is right anywhere between the two.
 */
export async function rereadSequences(
  fingerprint: DatabaseFingerprint,
  options: Pick<FingerprintOptions, 'connection' | 'database' | 'role'>,
  context: Context,
): Promise<void> {
  if (fingerprint.level === 'none') return
  const place: Place = { role: 'source', ...options }
  const now = await retrying(context, () => readSequences(place, context.signal))
  const byName = new Map(now.map((state) => [keyOf(state), state]))
  for (const sequence of fingerprint.sequences) {
    const state = byName.get(keyOf(sequence))
    if (state && (state.last !== sequence.last || state.called !== sequence.called)) {
      sequence.later = { last: state.last, called: state.called }
    }
  }
}

/** A source that cannot be read whole is known now, hours before the verification that will fail for it. */
function warnOfHoles(
  { database }: Place,
  tables: readonly TableFingerprint[],
  sequences: readonly SequenceState[],
  context: Context,
): void {
  const holes = [
    ...tables.map((table) => ({ ...table, what: 'table' })),
    ...sequences.map((sequence) => ({ ...sequence, what: 'sequence' })),
  ]
  for (const { what, schema, name, unreadable } of holes) {
    if (unreadable === undefined) continue
    const object = `${what} ${schema}.${name}`
    context.warn(
      printable(
        `${database}: the ${object} cannot be read, so it will not be verified: ${unreadable}`,
      ),
    )
  }
}

async function encodingOf(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ encoding: string }>(
    `SELECT pg_catalog.current_setting('server_encoding') AS encoding`,
  )
  return rows[0]?.encoding ?? 'UTF8'
}
