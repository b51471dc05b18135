import { Failure } from '../../failure.ts'
import type { RoleCatalog } from '../../postgres/roles/catalog.ts'
import { parseVersion, type Version } from '../../postgres/version.ts'
import { type DatabaseName, flawOfName, isSystemDatabase } from '../database-names.ts'
import type { Inputs } from '../inputs.ts'
import { runPhase, skipPhase } from '../phases.ts'
import { parseDatabaseProperties } from '../restore/database/properties.ts'
import { parseRoleCatalog } from '../roles/kept-catalog.ts'
import type { Run } from '../run.ts'
import { parseFingerprint } from '../verify/kept-fingerprint.ts'
import { artifactName, otherArtifactNames } from './artifact-name.ts'
import { downloadDump, openDumpDirectory } from './download.ts'
import type { DumpedDatabase, Manifest } from './manifest.ts'

export interface LoadedDump {
  manifest: Manifest
  /** Where its files are, decrypted. */
  directory: string
  roles: { catalog: RoleCatalog } | null
  /** Nobody without the passphrase can have made or changed it: it was encrypted, or carries a right seal. */
  proven: boolean
}

/**
 * Gets the dump that `restore` and `verify` work from: the directory that dump-directory names, or else the artifact, of this
 * run or the one that run-id names. Every file is held against the manifest before anything of it is used, and with
 * passphrase the manifest against what only who knows it can have made.
 *
 * @throws Failure when there is none, it is not as it was made, or not the one that dump-id names
 */
export async function loadDump(run: Run): Promise<LoadedDump> {
  const { inputs } = run
  if (inputs.dumpDirectory && !inputs.runId) {
    skipPhase(run, 'download')
    const { manifest, directory } = await openDumpDirectory(
      inputs.dumpDirectory,
      inputs.passphrase,
      run.temporaryDirectory,
      run,
    )
    return loaded(manifest, directory, run)
  }
  return await runPhase(run, 'download', async () => {
    if (inputs.runId && !run.repository) {
      throw new Failure(
        'The artifact of another run cannot be found',
        'GITHUB_REPOSITORY is not set',
        'Run on GitHub Actions, or copy the dump and name it in dump-directory',
      )
    }
    const keptBy =
      inputs.runId && inputs.githubToken && run.repository
        ? { id: inputs.runId, token: inputs.githubToken, repository: run.repository }
        : undefined
    const into = run.dumpDirectory
    const manifest = await downloadDump(
      run.artifacts,
      {
        name: artifactName(inputs),
        otherNames: otherArtifactNames(inputs),
        run: keptBy,
        into,
        passphrase: inputs.passphrase,
      },
      run,
    )
    return loaded(manifest, into, run)
  })
}

function loaded(manifest: Manifest, directory: string, run: Run): LoadedDump {
  const { dumpId, passphrase } = run.inputs
  noteDump(manifest, run)
  if (dumpId !== undefined && manifest.id !== dumpId) {
    throw new Failure(
      `The dump is not the one that dump-id names`,
      `It has the id ${manifest.id} and was made at ${manifest.createdAt}; dump-id is ${dumpId}`,
      'Find out why another dump lies there; correct dump-id if it is the one that you mean',
    )
  }
  return {
    manifest,
    directory,
    proven: passphrase !== undefined,
    roles: readParts(manifest),
  }
}

/**
 * Reads what a manifest keeps as it was given: the roles, and the properties and fingerprint of every database. All of it before
 * anything is done, so that a damaged part of the last database does not stop a restore half-way.
 *
 * @returns the roles; null when they were skipped
 * @throws Failure naming the part that is wrong
 */
export function readParts(manifest: Manifest): LoadedDump['roles'] {
  for (const { properties, fingerprint } of manifest.databases) {
    parseDatabaseProperties(properties)
    parseFingerprint(fingerprint)
  }
  return manifest.roles ? { catalog: parseRoleCatalog(manifest.roles.catalog) } : null
}

/** Says which dump this is, in the log and in the report: two of the same databases are told apart by nothing else. */
export function noteDump(
  { id, createdAt }: Pick<Manifest, 'id' | 'createdAt'>,
  { log, record }: Pick<Run, 'log' | 'record'>,
): void {
  record.dump({ id, createdAt })
  log.info(`The dump has the id ${id} and was made at ${createdAt}`)
}

/**
 * The databases of a dump that the input `databases` asks for, with their names on the target. All of them when it is not set:
 * under the names that the dump's own `databases` gave them. What names one says its name on the target, too.
 *
 * @throws Failure that names what the dump does not hold, or where no data may go
 */
export function databasesOf(
  dumped: readonly DumpedDatabase[],
  wanted: Inputs['databases'],
): (DatabaseName & { dumped: DumpedDatabase })[] {
  const all = dumped.map(({ name, target = name }) => ({ source: name, target }))
  if (wanted === 'none') return []
  const names = wanted === 'all' || wanted.length === 0 ? all : wanted
  return names.map((name) => {
    const flaw = isSystemDatabase(name.target)
      ? 'a database of the server itself'
      : flawOfName(name.target)
    if (flaw)
      throw new Failure(
        `The data of "${name.source}" cannot go to "${name.target}"`,
        `It is ${flaw}`,
        `Give it another name on the target: databases: name=other-name`,
      )
    const found = dumped.find((database) => database.name === name.source)
    if (found) return { ...name, dumped: found }
    throw new Failure(
      `The dump holds no database "${name.source}"`,
      all.length === 0
        ? 'It holds the roles alone: it was made with roles: only'
        : `It holds ${all.map(({ source }) => `"${source}"`).join(', ')}`,
      all.length === 0
        ? 'Leave databases out, or name the dump that holds the databases'
        : 'Correct the input databases',
    )
  })
}

/**
 * The version of the client programs that wrote a dump.
 *
 * @throws Failure when the manifest names none
 */
export function writerOf(manifest: Manifest): Version {
  const version = parseVersion(manifest.client.version)
  if (version) return version
  throw new Failure(
    'The dump does not say which client programs wrote it',
    'In its manifest, `client.version` is no version of PostgreSQL',
    'Use the dump as the action wrote it, or make it again',
  )
}
