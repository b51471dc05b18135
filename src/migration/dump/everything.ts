import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Cancelled } from '../../failure.ts'
import { presumedTarget } from '../../polardb/presumed-target.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { mayPass } from '../../postgres/errors.ts'
import { takesSnapshot } from '../../postgres/programs/arguments.ts'
import { clientEnvironment, provideClient } from '../../postgres/programs/clients/provide.ts'
import { type ClientPrograms, writePasswordFile } from '../../postgres/programs/programs.ts'
import { type RoleCatalog, readRoleCatalog } from '../../postgres/roles/catalog.ts'
import type { Version } from '../../postgres/version.ts'
import type { DatabaseResult } from '../../report/model.ts'
import { counted, formatBytes, formatDuration } from '../../text/text.ts'
import { checkClientLogin } from '../checks/client-login.ts'
import type { Source, SourceDatabase } from '../checks/preflight.ts'
import { readActivity, stillness } from '../freeze/stillness.ts'
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
import type { Session } from '../run.ts'
import { fingerprintDatabase, rereadSequences } from '../verify/fingerprint.ts'
import { MomentGone } from '../verify/read-session.ts'
import { exportSnapshot } from '../verify/snapshot.ts'
import { type DumpSource, dumpDatabase, dumpRoles, readTableSizes } from './programs.ts'

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

/** Finds or installs the client programs for a source and notes them in the report. */
export async function getClient(source: Version, session: Session): Promise<ClientPrograms> {
  const { inputs } = session
  const client = await runPhase(session, 'client', () =>
    provideClient(
      {
        source,
        ...(inputs.clientVersion ? { version: inputs.clientVersion } : {}),
        ...(inputs.clientPath ? { path: inputs.clientPath } : {}),
        ...(inputs.clientMirror ? { mirror: inputs.clientMirror } : {}),
      },
      session,
      session.toolCache,
      clientEnvironment(session.environment),
    ),
  )
  for (const warning of client.warnings) session.warn(warning)
  const { version, directory, origin, bytes, seconds } = client
  session.report.client = {
    version,
    directory,
    origin,
    ...(bytes === undefined ? {} : { bytes }),
    ...(seconds === undefined ? {} : { seconds }),
  }
  session.setOutput('client-version', version)
  session.log.info(`Client programs of PostgreSQL ${version} in ${directory} (${origin})`)
  return client
}

/** What is known of the target where the same job restores. */
export interface KnownTarget extends Version {
  connection: ConnectionParameters
}

/**
 * Finds or installs the client programs and makes sure that they can log in to both sides.
 *
 * @throws Failure; Cancelled
 */
export async function openDumpSource(
  source: Source,
  session: Session,
  target?: KnownTarget,
): Promise<DumpSource> {
  const client = await getClient(source.version, session)
  const { temporaryDirectory } = session
  const { connection } = source
  const passwordFile = await writePasswordFile(temporaryDirectory, 'source', connection)
  await checkClientLogin(client, connection, 'source', passwordFile, session)
  if (target) {
    const file = await writePasswordFile(temporaryDirectory, 'target', target.connection)
    await checkClientLogin(client, target.connection, 'target', file, session)
  }
  return { connection, client, passwordFile, number: source.version.number }
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
  session: Session,
): Promise<DumpedRoles | null> {
  const { inputs } = session
  if (inputs.roles === 'skip') {
    skipPhase(session, 'dump-roles')
    return null
  }
  return await runPhase(session, 'dump-roles', async () => {
    const options = { readOnly: true, role: 'source', signal: session.signal } as const
    const names = source.databases.map((database) => database.source)
    const catalog = await retrying(session, () =>
      withConnection(source.connection, options, (connection) =>
        readRoleCatalog(connection, names),
      ),
    )
    const file = join(session.dumpDirectory, rolesFile)
    const logFile = join(session.reportDirectory, 'pg_dumpall.log')
    const { rolePasswords, superuserOption, existingRoles } = inputs
    await retrying(session, () => dumpRoles(dumpSource, file, { rolePasswords, logFile }, session))
    const script = await readFile(file, 'utf8')
    const presumed = planRoleScript(script, catalog, presumedTarget(catalog, source.version), {
      superuserOption,
      existingRoles,
      rolePasswords,
      databases: names,
    })
    await writeFile(join(session.dumpDirectory, polardbRolesFile), presumed.script, { mode: 0o600 })
    return { script, catalog }
  })
}

/**
 * Dumps every database with its fingerprint, each of one moment.
 *
 * @throws Failure; Cancelled
 */
export async function dumpDatabases(
  source: Source,
  dumpSource: DumpSource,
  session: Session,
  target?: KnownTarget,
): Promise<DumpedDatabase[]> {
  const databases: DumpedDatabase[] = []
  for (const database of source.databases) {
    const work = () => dumpOne(database, dumpSource, source, session, target)
    databases.push(await runPhase(session, 'dump', work, database.source))
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
  session: Session,
  sent?: string,
): Promise<Manifest> {
  if (sent !== undefined)
    await writeFile(join(session.dumpDirectory, polardbRolesFile), sent, { mode: 0o600 })
  const { version, major } = source.version
  const { losses } = source
  const contents = {
    databases: dump.databases,
    roles: dump.roles && { catalog: dump.roles.catalog },
    losses,
    source: { version, major },
    client: { version: dump.client.version },
  }
  const { passphrase } = session.inputs
  const weakness = passphrase === undefined ? undefined : weaknessOf(passphrase)
  if (weakness) session.warn(weakness)
  const manifest = await sealDump(session.dumpDirectory, contents, session, passphrase)
  noteDump(manifest, session)
  const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0)
  session.log.info(`The dump: ${formatBytes(bytes)} in ${counted(manifest.files.length, 'file')}`)
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
  session: Session,
  target: Version | undefined,
): Promise<DumpedDatabase> {
  const directory = join(session.dumpDirectory, archivePath(database.source, 1))
  return await retrying(
    session,
    async (attempt) => {
      if (attempt > 0) {
        await rm(directory, { recursive: true, force: true })
        // a source that restarts must be there before another moment of it is looked at
        await retrying(session, () => reach(source, database.source, session))
      }
      return await dumpMoment(database, dumpSource, source, session, target)
    },
    {
      again: (error) => mayPass(error) || error instanceof MomentGone,
      most: mostRedumps,
      interrupted: () =>
        session.warn(
          `${database.source}: the connection to the source was lost; its dump is made again from the beginning`,
        ),
    },
  )
}

/** @throws Failure while the source takes no connection */
async function reach(source: Source, database: string, session: Session): Promise<void> {
  const options = { database, readOnly: true, role: 'source', signal: session.signal } as const
  await withConnection(source.connection, options, async () => {})
}

async function dumpMoment(
  database: SourceDatabase,
  dumpSource: DumpSource,
  source: Source,
  session: Session,
  target: Version | undefined,
): Promise<DumpedDatabase> {
  const { inputs } = session
  const path = archivePath(database.source, 1)
  const name = database.source
  const { connection } = source
  const exported = await exportSnapshot(connection, name, session.signal)
  // without it the dump is of a moment of its own
  const snapshot = takesSnapshot(dumpSource.client)
    ? exported
    : { ...exported, unavailable: exported.unavailable ?? noSnapshotTaken }
  // one that fails ends the other: a dump without its fingerprint proves nothing
  const stop = new AbortController()
  const context = { ...session, signal: AbortSignal.any([session.signal, stop.signal]) }
  try {
    const { unavailable } = snapshot
    const activity = () => readActivity(connection, name, 'source', session.signal)
    const before = unavailable === null ? null : await activity()
    if (unavailable !== null) warnOfMoments(name, unavailable, session)
    const { sizes, properties } = await withConnection(
      connection,
      { database: name, readOnly: true, role: 'source', signal: session.signal },
      async (client) => ({
        sizes: await readTableSizes(client),
        properties: await readDatabaseProperties(client),
      }),
    )
    // several jobs of pg_dump share a snapshot by themselves: where that cannot be, one session alone sees one moment
    const wanted =
      inputs.dumpJobs === 'auto'
        ? autoDumpJobs(session, source, sizes.tables.size)
        : inputs.dumpJobs
    const jobs = unavailable === null ? wanted : 1
    const [dumped, fingerprint] = await bothOrNeither(stop, [
      dumpDatabase(
        dumpSource,
        {
          database: name,
          directory: join(session.dumpDirectory, path),
          jobs,
          compression: inputs.compression,
          snapshot: snapshot.id ?? undefined,
          targetNumber: target?.number,
          extra: inputs.dumpOptions,
          logFile: join(session.reportDirectory, `pg_dump-${path.split('/')[1]}.log`),
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
          jobs: fingerprintJobs(session),
          ...(target ? { targetMajor: target.major } : {}),
        },
        context,
      ),
    ])
    const { bytes, seconds } = dumped
    // the dump may have taken longer than the fingerprint
    if (before) fingerprint.still = stillness(before, await activity())
    await rereadSequences(fingerprint, { connection, database: name, role: 'source' }, session)
    resultOf(session, database).dumpBytes = bytes
    resultOf(session, database).dumpSeconds = Math.round(seconds * 1000) / 1000
    session.log.info(
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

function warnOfMoments(name: string, why: string, session: Session): void {
  const { dumpJobs } = session.inputs
  const jobs =
    dumpJobs === 'auto' || dumpJobs === 1 ? '' : `, and not ${dumpJobs} as dump-jobs says`
  session.warn(
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

/** The report's entry for a database, made when it is first asked for. */
export function resultOf(
  session: Session,
  database: { source: string; target: string; bytes: number },
): DatabaseResult {
  const { databases } = session.report
  const known = databases.find((result) => result.name === database.source)
  if (known) return known
  const result: DatabaseResult = {
    name: database.source,
    target: database.target,
    bytes: database.bytes,
    dumpBytes: 0,
    dumpSeconds: 0,
    restoreSeconds: 0,
    tables: [],
    objects: [],
    verified: false,
  }
  databases.push(result)
  return result
}

/** Enough to keep the link and the source busy, within the connections that are free; never more jobs than tables. */
function autoDumpJobs(session: Session, source: Source, tables: number): number {
  const wanted = Math.min(autoJobs(session.processors), Math.max(1, tables))
  // pg_dump needs one more than its jobs, and the fingerprint and the snapshot have theirs
  return Math.max(1, Math.min(wanted, source.freeConnections - fingerprintJobs(session) - 4))
}

/** Sessions that read the source for its fingerprint: few, since the dump reads the same tables at the same time. */
function fingerprintJobs(session: Session): number {
  return autoReaders(session.processors)
}
