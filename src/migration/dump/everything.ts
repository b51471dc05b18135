import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Cancelled } from '../../failure.ts'
import { presumedTarget } from '../../polardb/presumed-target.ts'
import { withConnection } from '../../postgres/connection.ts'
import { mayPass } from '../../postgres/errors.ts'
import { takesSnapshot } from '../../postgres/programs/arguments.ts'
import type { ClientPrograms } from '../../postgres/programs/programs.ts'
import { type RoleCatalog, readRoleCatalog } from '../../postgres/roles/catalog.ts'
import type { Version } from '../../postgres/version.ts'
import { counted, formatBytes, formatDuration } from '../../text/numbers.ts'
import type { Source, SourceDatabase } from '../checks/preflight.ts'
import { dumpFull, writingTo } from '../free-space.ts'
import { readFreezeMark, withoutMark } from '../freeze/mark.ts'
import { readActivity, stillness } from '../freeze/stillness.ts'
import { rolesBefore, thawArchive } from '../freeze/travel.ts'
import { autoJobs, autoReaders } from '../jobs.ts'
import { sealDump } from '../kept/directory.ts'
import { noteDump } from '../kept/load.ts'
import {
  archivePath,
  type DumpedDatabase,
  type Manifest,
  polardbRolesFile,
  rolesFile,
} from '../kept/manifest.ts'
import { weaknessOf } from '../kept/seal.ts'
import { runPhase, skipPhase } from '../phases.ts'
import { readDatabaseProperties } from '../restore/database/properties.ts'
import { retrying } from '../retry.ts'
import { planRoleScript } from '../roles/script.ts'
import type { Run } from '../run.ts'
import { fingerprintDatabase, rereadSequences } from '../verify/fingerprint.ts'
import { MomentGone } from '../verify/read-session.ts'
import { exportSnapshot } from '../verify/snapshot.ts'
import { type DumpSource, dumpDatabase, dumpRoles } from './programs.ts'
import { readTableSizes } from './progress.ts'
import { type DumpSink, quietSink } from './sink.ts'
import type { KnownTarget } from './source.ts'

/** The roles of a source as they were dumped. */
export interface DumpedRoles {
  /** What pg_dumpall wrote. A secret. */
  script: string
  catalog: RoleCatalog
}

/** What the source half has made, before it is sealed. */
export interface DumpedEverything {
  client: ClientPrograms
  databases: DumpedDatabase[]
  roles: DumpedRoles | null
}

/**
 * Dumps the roles, and what a restore elsewhere would make of them: a restore in this job puts what it sent in its place.
 *
 * @returns null when they are not migrated
 * @throws Failure; Cancelled
 */
export async function dumpTheRoles(
  source: Source,
  dumpSource: DumpSource,
  run: Run,
): Promise<DumpedRoles | null> {
  const { inputs } = run
  if (inputs.roles === 'skip') {
    skipPhase(run, 'dump-roles')
    return null
  }
  const { dumpDirectory } = run
  return await runPhase(run, 'dump-roles', async () => {
    const options = { readOnly: true, role: 'source', signal: run.signal } as const
    const names = source.databases.map((database) => database.source)
    const isAlone = inputs.roles === 'only'
    const read = await retrying(run, () =>
      withConnection(source.connection, options, (connection) =>
        // without databases, the report says which settings in databases stay to be made
        readRoleCatalog(connection, isAlone ? undefined : names),
      ),
    )
    const catalog = isAlone ? read : await rolesBefore(read, source, run)
    const file = join(dumpDirectory, rolesFile)
    const logFile = join(run.reportDirectory, 'pg_dumpall.log')
    const { rolePasswords, superuserOption, existingRoles } = inputs
    await retrying(run, () => dumpRoles(dumpSource, file, { rolePasswords, logFile }, run))
    const script = await readFile(file, 'utf8')
    const presumed = planRoleScript(script, catalog, presumedTarget(catalog, source.version), {
      superuserOption,
      existingRoles,
      rolePasswords,
      databases: names,
    })
    await writingTo(dumpDirectory, dumpFull, () =>
      writeFile(join(dumpDirectory, polardbRolesFile), presumed.script, { mode: 0o600 }),
    )
    return { script, catalog }
  })
}

/**
 * Dumps every database with its fingerprint, each of one moment.
 *
 * @param sink is told what is complete, where a restore is to begin before the dump ends
 * @throws Failure; Cancelled
 */
export async function dumpDatabases(
  source: Source,
  dumpSource: DumpSource,
  run: Run,
  target?: KnownTarget,
  sink?: DumpSink,
): Promise<DumpedDatabase[]> {
  const databases: DumpedDatabase[] = []
  const told = quietSink(sink, run)
  for (const database of source.databases) {
    const work = () =>
      writingTo(run.dumpDirectory, dumpFull, () =>
        dumpOne(database, dumpSource, source, run, target),
      )
    const dumped = await runPhase(run, 'dump', work, database.source)
    databases.push(dumped)
    told?.dumped(dumped)
  }
  return databases
}

/**
 * Hashes every file of the dump and writes its manifest: from then on it is a dump.
 *
 * @param sent what the roles' restore has sent, where this job has restored them
 */
export async function sealEverything(
  dump: DumpedEverything,
  source: Source,
  run: Run,
  sent?: string,
): Promise<Manifest> {
  const { dumpDirectory } = run
  const { version, major } = source.version
  const { losses } = source
  const contents = {
    databases: dump.databases,
    roles: dump.roles && { catalog: dump.roles.catalog },
    losses,
    source: { version, major },
    client: { version: dump.client.version },
  }
  const { passphrase } = run.inputs
  const weakness = passphrase === undefined ? undefined : weaknessOf(passphrase)
  if (weakness) run.warn(weakness)
  const manifest = await writingTo(dumpDirectory, dumpFull, async () => {
    if (sent !== undefined)
      await writeFile(join(dumpDirectory, polardbRolesFile), sent, { mode: 0o600 })
    return await sealDump(dumpDirectory, contents, run, passphrase)
  })
  noteDump(manifest, run)
  const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0)
  run.log.info(`The dump: ${formatBytes(bytes)} in ${counted(manifest.files.length, 'file')}`)
  return manifest
}

/** A moment that is lost cannot be had again: so often a database is dumped anew from another one. */
const mostRedumps = 2

/**
 * Dumps a database, and takes the fingerprint of the same moment. When a connection is lost or the source restarts, the
 * moment is gone, and with it all that was dumped: it is removed, and made again of a new moment, twice at most.
 */
async function dumpOne(
  database: SourceDatabase,
  dumpSource: DumpSource,
  source: Source,
  run: Run,
  target: Version | undefined,
): Promise<DumpedDatabase> {
  const directory = join(run.dumpDirectory, archivePath(database.source, 1))
  return await retrying(
    run,
    async (attempt) => {
      if (attempt > 0) {
        await rm(directory, { recursive: true, force: true })
        // a source that restarts must be there before another moment of it is looked at
        await retrying(run, () => reach(source, database.source, run))
      }
      return await dumpMoment(database, dumpSource, source, run, target)
    },
    {
      again: (error) => mayPass(error) || error instanceof MomentGone,
      most: mostRedumps,
      interrupted: () =>
        run.warn(
          `${database.source}: the connection to the source was lost; its dump is made again from the beginning`,
        ),
    },
  )
}

/** @throws Failure while the source takes no connection */
async function reach(source: Source, database: string, run: Run): Promise<void> {
  const options = { database, readOnly: true, role: 'source', signal: run.signal } as const
  await withConnection(source.connection, options, async () => {})
}

async function dumpMoment(
  database: SourceDatabase,
  dumpSource: DumpSource,
  source: Source,
  run: Run,
  target: Version | undefined,
): Promise<DumpedDatabase> {
  const { inputs } = run
  const path = archivePath(database.source, 1)
  const name = database.source
  const { connection } = source
  const exported = await exportSnapshot(connection, name, run.signal)
  // without it the dump is of a moment of its own
  const snapshot = takesSnapshot(dumpSource.client)
    ? exported
    : { ...exported, unavailable: exported.unavailable ?? noSnapshotTaken }
  // one that fails ends the other: a dump without its fingerprint proves nothing
  const stop = new AbortController()
  const context = { ...run, signal: AbortSignal.any([run.signal, stop.signal]) }
  try {
    const { unavailable } = snapshot
    const activity = () => readActivity(connection, name, 'source', run.signal)
    const before = unavailable === null ? null : await activity()
    if (unavailable !== null) warnOfMoments(name, unavailable, run)
    const { sizes, properties, mark } = await withConnection(
      connection,
      { database: name, readOnly: true, role: 'source', signal: run.signal },
      async (client) => ({
        sizes: await readTableSizes(client),
        properties: await readDatabaseProperties(client),
        mark: await readFreezeMark(client),
      }),
    )
    // several jobs of pg_dump share a snapshot by themselves: where that cannot be, one session alone sees one moment
    const wanted =
      inputs.dumpJobs === 'auto' ? autoDumpJobs(run, source, sizes.tables.size) : inputs.dumpJobs
    const jobs = unavailable === null ? wanted : 1
    const [dumped, fingerprint] = await bothOrNeither(stop, [
      dumpDatabase(
        dumpSource,
        {
          database: name,
          directory: join(run.dumpDirectory, path),
          jobs,
          compression: inputs.compression,
          snapshot: snapshot.id ?? undefined,
          targetNumber: target?.number,
          extra: [...inputs.dumpOptions, ...withoutMark(mark)],
          logFile: join(run.reportDirectory, `pg_dump-${path.split('/')[1]}.log`),
        },
        sizes,
        context,
      ),
      fingerprintDatabase(
        {
          connection,
          database: name,
          snapshot,
          level: inputs.verify,
          jobs: fingerprintJobs(run),
          locksWatched: true,
          ...(target ? { targetMajor: target.major } : {}),
        },
        context,
      ),
    ])
    const { bytes, seconds } = dumped
    await thawArchive(join(run.dumpDirectory, path), mark)
    // the dump may have taken longer than the fingerprint
    if (before) fingerprint.still = stillness(before, await activity())
    await rereadSequences(fingerprint, { connection, database: name, role: 'source' }, run)
    const record = run.record.database(database)
    record.dumped(dumped)
    for (const table of dumped.tables) record.ran('dump', table, table)
    run.log.info(
      `Dumped ${name}: ${formatBytes(database.bytes)} on the server, ${formatBytes(bytes)} dumped in ${formatDuration(seconds)} with ${counted(jobs, 'job')}`,
    )
    const renamed = database.target === name ? {} : { target: database.target }
    return {
      name,
      ...renamed,
      bytes: database.bytes,
      archives: [{ path }],
      properties,
      fingerprint,
    }
  } finally {
    await snapshot.close()
  }
}

const noSnapshotTaken = 'pg_dump before 9.5 takes no snapshot of another session'

function warnOfMoments(name: string, why: string, run: Run): void {
  const { dumpJobs } = run.inputs
  const jobs =
    dumpJobs === 'auto' || dumpJobs === 1 ? '' : `, and not ${dumpJobs} as dump-jobs says`
  run.warn(
    `${name}: ${why}. The database is dumped by one session, which is of one moment${jobs}; its counts and definitions are read by others, so nothing is proven while it is being written to: stop the writes before the migration`,
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
  // pg_dump needs one more than its jobs, and the fingerprint and the snapshot have theirs
  return Math.max(1, Math.min(wanted, source.freeConnections - fingerprintJobs(run) - 4))
}

/** Sessions that read the source for its fingerprint: few, since the dump reads the same tables at the same time. */
function fingerprintJobs(run: Run): number {
  return autoReaders(run.processors)
}
