import { join } from 'node:path'
import { Cancelled } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import { takesSnapshot } from '../../postgres/programs/arguments.ts'
import { together } from '../../postgres/together.ts'
import type { Version } from '../../postgres/version.ts'
import { counted, formatBytes, formatDuration } from '../../text/numbers.ts'
import type { Source, SourceDatabase } from '../checks/preflight.ts'
import { type FreezeMark, readFreezeMark, withoutMark } from '../freeze/mark.ts'
import { readActivity, stillness } from '../freeze/stillness.ts'
import { thawArchive } from '../freeze/travel.ts'
import { autoJobs, autoReaders } from '../jobs.ts'
import { archivePath, type DumpedDatabase } from '../kept/manifest.ts'
import { type DatabaseProperties, readDatabaseProperties } from '../restore/database/properties.ts'
import type { Run } from '../run.ts'
import { fingerprintDatabase } from '../verify/fingerprint.ts'
import { TableAwaited } from '../verify/read-session.ts'
import { type ExportedSnapshot, exportSnapshot } from '../verify/snapshot.ts'
import { holdTables, lockWait, releaseTables, stillHeld } from './held-tables.ts'
import { dumpInParts } from './in-parts.ts'
import { partSizes } from './part-sizes.ts'
import { optionAgainstParts, planParts, type StoredTable } from './parts.ts'
import { isWaitForLock } from './program-failure.ts'
import { type DumpDatabaseOptions, type DumpSource, dumpDatabase } from './programs.ts'
import { readTableSizes, type TableSizes } from './progress.ts'
import { noteSequences } from './sequences.ts'
import type { DumpSink, PartAhead } from './sink.ts'
import type { Written } from './watch-dump.ts'

/**
 * Dumps a database, and takes the fingerprint of the same moment.
 *
 * @param sink undefined makes one archive of it
 * @throws MomentGone where the moment is lost, and with it all that was dumped; Failure; Cancelled
 */
export async function dumpMoment(
  database: SourceDatabase,
  dumpSource: DumpSource,
  source: Source,
  run: Run,
  target: Version | undefined,
  sink: DumpSink | undefined,
): Promise<DumpedDatabase> {
  const { inputs } = run
  const name = database.source
  const { connection } = source
  // a source far away is asked for it meanwhile
  const asked = readDetails(source, name, run)
  asked.catch(() => {})
  const exported = await exportSnapshot(connection, name, run.signal)
  // without it the dump is of a moment of its own
  const snapshot = takesSnapshot(dumpSource.client)
    ? exported
    : { ...exported, unavailable: exported.unavailable ?? noSnapshotTaken }
  // one that fails ends the other: a dump without its fingerprint proves nothing
  const stop = new AbortController()
  const context = { ...run, signal: AbortSignal.any([run.signal, stop.signal]) }
  // a job that is cancelled waits neither for somebody's lock nor for a source that does not answer
  const cut = () => void snapshot.close()
  run.signal.addEventListener('abort', cut, { once: true })
  try {
    const { unavailable } = snapshot
    const activity = () => readActivity(connection, name, 'source', run.signal)
    const before = unavailable === null ? null : await activity()
    if (unavailable !== null) warnOfMoments(name, unavailable, sink !== undefined, run)
    const { sizes, properties, mark } = await asked
    // several jobs of pg_dump share a snapshot by themselves: where that cannot be, one session alone sees one moment
    const wanted =
      inputs.dumpJobs === 'auto' ? autoDumpJobs(run, source, sizes.tables.size) : inputs.dumpJobs
    const jobs = unavailable === null ? wanted : 1
    const renamed = database.target === name ? {} : { target: database.target }
    const dumpedAs = (parts: number, fingerprint: unknown): DumpedDatabase => ({
      name,
      ...renamed,
      bytes: database.bytes,
      archives: Array.from({ length: parts }, (_, index) => ({
        path: archivePath(name, index + 1),
      })),
      properties,
      fingerprint,
    })
    const moment: Moment = {
      database,
      snapshot,
      sizes,
      mark,
      options: {
        database: name,
        jobs,
        compression: inputs.compression,
        encoding: properties.encoding,
        snapshot: snapshot.id ?? undefined,
        targetNumber: target?.number,
        extra: [...inputs.dumpOptions, ...withoutMark(mark)],
      },
      schemaOnly: dumpedAs(1, undefined),
    }
    const planned = sink ? await planInParts(moment, run) : null
    const dumping =
      sink && planned
        ? dumpParts(dumpSource, moment, planned, sessionsFor(run, source), sink, context)
        : dumpWhole(dumpSource, moment, context)
    const [dumped, fingerprint] = await bothOrNeither(stop, [
      dumping,
      fingerprintDatabase(
        {
          connection,
          database: name,
          snapshot,
          level: inputs.verify,
          jobs: fingerprintJobs(run),
          locksWatched: true,
          ...(planned ? { lockWait } : {}),
          ...(target ? { targetMajor: target.major } : {}),
        },
        context,
      ),
    ])
    const { bytes, seconds } = dumped
    // the dump may have taken longer than the fingerprint
    if (before) fingerprint.still = stillness(before, await activity())
    const archives = planned ? planned.parts.length + 1 : 1
    const made = dumpedAs(archives, fingerprint)
    const paths = made.archives.map(({ path }) => join(run.dumpDirectory, path))
    await noteSequences(fingerprint, paths, { connection, database: name }, run)
    const record = run.record.database(database)
    record.dumped(dumped)
    for (const table of dumped.tables) record.ran('dump', table, table)
    run.log.info(
      `Dumped ${name}: ${formatBytes(database.bytes)} on the server, ${formatBytes(bytes)} dumped in ${formatDuration(seconds)} with ${counted(jobs, 'job')} into ${counted(archives, 'archive')}`,
    )
    return made
  } finally {
    run.signal.removeEventListener('abort', cut)
    await snapshot.close()
  }
}

/** What is known of a database beside its moment. @throws Failure; Cancelled */
async function readDetails(
  { connection }: Source,
  database: string,
  { signal }: Run,
): Promise<Pick<Moment, 'sizes' | 'mark'> & { properties: DatabaseProperties }> {
  const options = { database, readOnly: true, role: 'source', signal } as const
  return await withConnection(connection, options, async (client) => {
    const [sizes, properties, mark] = await together(client, [
      () => readTableSizes(client),
      () => readDatabaseProperties(client),
      () => readFreezeMark(client),
    ])
    return { sizes, properties, mark }
  })
}

/** A database and the moment that is dumped of it. */
interface Moment {
  database: SourceDatabase
  snapshot: ExportedSnapshot
  sizes: TableSizes
  mark: FreezeMark | null
  options: Omit<DumpDatabaseOptions, 'directory' | 'logFile'>
  /** What is known of it when its definitions are dumped. */
  schemaOnly: DumpedDatabase
}

interface PlannedParts {
  parts: PartAhead[]
  tables: StoredTable[]
}

/**
 * Whether a database is dumped in parts, and in which; the tables are locked then. Otherwise it is said why its restore begins when
 * the whole dump is there.
 */
async function planInParts(
  { database: { source: name, bytes }, snapshot }: Moment,
  run: Run,
): Promise<PlannedParts | null> {
  const sizes = run.partSizes ?? partSizes
  const against = optionAgainstParts(run.inputs.dumpOptions)
  const whole = (why: string) => {
    run.log.info(`${name} is dumped into one archive, and restored when it is complete: ${why}`)
    return null
  }
  if (snapshot.unavailable !== null) return whole(snapshot.unavailable)
  if (against !== undefined) return whole(`dump-options says ${against.replace(/=.*/s, '')}`)
  const small = 'no table is so large that it would be worth more'
  if (bytes < sizes.database) return whole(small)
  const tables = await holdTables(snapshot, run)
  if (tables === null) return null
  const parts = planParts(name, tables, sizes)
  if (parts) return { parts, tables }
  await releaseTables(snapshot.client)
  return whole(small)
}

async function dumpWhole(dumpSource: DumpSource, moment: Moment, run: Run): Promise<Written> {
  const { options, sizes, mark } = moment
  const directory = join(run.dumpDirectory, archivePath(options.database, 1))
  const logFile = logOf(options.database, '', run)
  const written = await dumpDatabase(dumpSource, { ...options, directory, logFile }, sizes, run)
  await thawArchive(directory, mark)
  return written
}

/** @throws MomentGone where the session that holds the tables was lost, whatever that led to, or keeps somebody waiting */
async function dumpParts(
  dumpSource: DumpSource,
  { snapshot, options, sizes, mark, schemaOnly }: Moment,
  planned: PlannedParts,
  sessions: number,
  sink: DumpSink,
  run: Run,
): Promise<Written> {
  const { database } = options
  const more = {
    ...planned,
    roundTrip: await roundTripOf(snapshot.client),
    sessions,
    dumpDirectory: run.dumpDirectory,
    logFile: (number: number) => logOf(database, `.${number}`, run),
    finish: (directory: string) => thawArchive(directory, mark),
    onSchema: () => sink.schema(schemaOnly, planned.parts),
    onFlow: ({ path }: PartAhead) => sink.flows?.(database, path),
    onPart: ({ path }: PartAhead) => sink.data(database, path),
  }
  try {
    return await dumpInParts(dumpSource, { ...options, ...more }, sizes, run)
  } catch (error) {
    // whoever asked for the table waits for the session that holds it, so one of the two must give way
    throw isWaitForLock(error) ? new TableAwaited(error) : error
  } finally {
    await stillHeld(snapshot.client)
  }
}

/** Milliseconds that the shortest question takes. */
async function roundTripOf(client: ExportedSnapshot['client']): Promise<number> {
  const asked = performance.now()
  await client.query('SELECT 1')
  return performance.now() - asked
}

/** The log of pg_dump. @param number of the archive, after a dot, where there are several */
function logOf(database: string, number: string, run: Run): string {
  const [, directory] = archivePath(database, 1).split('/')
  return join(run.reportDirectory, `pg_dump-${directory}${number}.log`)
}

const noSnapshotTaken = 'pg_dump before 9.5 takes no snapshot of another session'

function warnOfMoments(name: string, why: string, isAwaited: boolean, run: Run): void {
  const { dumpJobs } = run.inputs
  const jobs =
    dumpJobs === 'auto' || dumpJobs === 1 ? '' : `, and not ${dumpJobs} as dump-jobs says`
  const late = isAwaited ? ', and its restore begins when all of it is there' : ''
  run.warn(
    `${name}: ${why}. The database is dumped by one session, which is of one moment${jobs}${late}; its counts and definitions are read by others, so nothing is proven while it is being written to: stop the writes before the migration`,
  )
}

/** Waits for two pieces of work; when one fails, the other is stopped, and the first failure is what is thrown. */
async function bothOrNeither<A, B>(
  stop: AbortController,
  work: [Promise<A>, Promise<B>],
): Promise<[A, B]> {
  const first = Promise.all(work)
  try {
    return await first
  } catch (error) {
    stop.abort(new Cancelled())
    await Promise.allSettled(work)
    throw error
  }
}

/** Enough to keep the link and the source busy, within the connections that are free; never more jobs than tables. */
function autoDumpJobs(run: Run, source: Source, tables: number): number {
  const wanted = Math.min(autoJobs(run.processors), Math.max(1, tables))
  // pg_dump needs one more than its jobs
  return Math.max(1, Math.min(wanted, sessionsFor(run, source) - 1))
}

/** What pg_dump may open: the fingerprint and the snapshot have theirs, and one looks after locks. */
function sessionsFor(run: Run, source: Source): number {
  return source.freeConnections - fingerprintJobs(run) - 3
}

/** Sessions that read the source for its fingerprint: few, since the dump reads the same tables at the same time. */
function fingerprintJobs(run: Run): number {
  return autoReaders(run.processors)
}
