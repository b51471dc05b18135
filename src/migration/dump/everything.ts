import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { presumedTarget } from '../../polardb/presumed-target.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { ClientPrograms } from '../../postgres/programs/programs.ts'
import { type RoleCatalog, readRoleCatalog } from '../../postgres/roles/catalog.ts'
import { counted, formatBytes } from '../../text/numbers.ts'
import type { Source } from '../checks/preflight.ts'
import { dumpFull, writingTo } from '../free-space.ts'
import { rolesBefore } from '../freeze/travel.ts'
import { sealDump } from '../kept/directory.ts'
import { noteDump } from '../kept/load.ts'
import {
  type DumpedDatabase,
  type Manifest,
  polardbRolesFile,
  rolesFile,
} from '../kept/manifest.ts'
import { weaknessOf } from '../kept/seal.ts'
import { runPhase, skipPhase } from '../phases.ts'
import { retrying } from '../retry.ts'
import { planRoleScript } from '../roles/script.ts'
import type { Run } from '../run.ts'
import { chosenCompression } from './compression.ts'
import { type DumpSource, dumpRoles } from './programs.ts'
import { dumpOne } from './redump.ts'
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
  const { inputs, dumpDirectory } = run
  if (inputs.roles === 'skip') {
    skipPhase(run, 'dump-roles')
    return null
  }
  return await runPhase(run, 'dump-roles', async () => {
    const roles = await readTheRoles(source, dumpSource, join(dumpDirectory, rolesFile), run)
    const { rolePasswords, superuserOption, existingRoles } = inputs
    const { script, catalog } = roles
    const presumed = planRoleScript(script, catalog, presumedTarget(catalog, source.version), {
      superuserOption,
      existingRoles,
      rolePasswords,
      databases: source.databases.map((database) => database.source),
    })
    await writingTo(dumpDirectory, dumpFull, () =>
      writeFile(join(dumpDirectory, polardbRolesFile), presumed.script, { mode: 0o600 }),
    )
    return roles
  })
}

/**
 * Reads the roles as they are now.
 *
 * @param file holds afterwards what pg_dumpall wrote: a secret
 * @throws Failure; Cancelled
 */
export async function readTheRoles(
  source: Source,
  dumpSource: DumpSource,
  file: string,
  run: Run,
): Promise<DumpedRoles> {
  const options = { readOnly: true, role: 'source', signal: run.signal } as const
  const names = source.databases.map((database) => database.source)
  const isAlone = run.inputs.roles === 'only'
  const read = await retrying(run, () =>
    withConnection(source.connection, options, (connection) =>
      // without databases, the report says which settings in databases stay to be made
      readRoleCatalog(connection, isAlone ? undefined : names),
    ),
  )
  const catalog = isAlone ? read : await rolesBefore(read, source, run)
  const logFile = join(run.reportDirectory, 'pg_dumpall.log')
  const { rolePasswords } = run.inputs
  await retrying(run, () => dumpRoles(dumpSource, file, { rolePasswords, logFile }, run))
  return { script: await readFile(file, 'utf8'), catalog }
}

/**
 * Dumps every database with its fingerprint, each of one moment.
 *
 * @param sink is told what is complete, for what is to begin before the dump ends; unless it takes whole databases only, large ones
 * are dumped in parts
 * @throws Failure; Cancelled
 */
export async function dumpDatabases(
  source: Source,
  dumpSource: DumpSource,
  run: Run,
  target?: KnownTarget,
  sink?: DumpSink,
): Promise<DumpedDatabase[]> {
  const { inputs, dumpDirectory } = run
  const databases: DumpedDatabase[] = []
  const told = quietSink(sink, run)
  const inParts = sink?.wholeOnly ? undefined : told
  const compression = await chosenCompression(inputs, source.databases, dumpDirectory)
  if (compression.method !== inputs.compression.method)
    run.log.info('The dump is not compressed: it is not kept, and fits into the memory')
  const dumping = { ...run, inputs: { ...inputs, compression } }
  for (const database of source.databases) {
    const work = () =>
      writingTo(dumpDirectory, dumpFull, () =>
        dumpOne(database, dumpSource, source, dumping, target, inParts),
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
