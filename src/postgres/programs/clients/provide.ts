import { constants } from 'node:fs'
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { Failure, messageOf } from '../../../failure.ts'
import type { Version } from '../../version.ts'
import type { ClientPrograms } from '../programs.ts'
import { installWithApt } from './apt.ts'
import { type Candidate, clientPrograms, inspect, installedCandidates, which } from './find.ts'
import { aptKey, yumKeyArm64, yumKeyX64 } from './keys.ts'
import { assemble } from './libraries.ts'
import { type Lock, withLock } from './lock.ts'
import {
  type ClientEnvironment,
  detectPlatform,
  type Platform,
  parseMirror,
  patienceOf,
  type Repositories,
} from './platform.ts'
import type { ClientContext, Installation, Unpacked } from './repository.ts'
import { semanticVersion, type WantedClient, wantedClient } from './versions.ts'
import { installWithYum } from './yum.ts'

export { type ClientEnvironment, clientEnvironment } from './platform.ts'

export interface ProvideOptions {
  source: Version
  /** The input `client-version`. */
  version?: string
  /** The input `client-path`. */
  path?: string
  /** The input `client-mirror`. */
  mirror?: string
}

/** The runner's tool cache: directories of programs that outlive a job, by tool, version and architecture. */
export interface ToolCache {
  /** Where it is; undefined when the runner has none. */
  readonly directory: string | undefined
  /** The complete entries of a tool. */
  find(tool: string, architecture: string): { version: string; directory: string }[]
  /**
   * Copies a directory into the cache, in place of whatever is there, and marks the entry complete when all of it is there.
   *
   * @param version a semantic version
   * @returns the entry's directory
   */
  store(directory: string, tool: string, version: string, architecture: string): Promise<string>
}

const tool = 'postgresql-client'

/** The PostgreSQL project's own package repositories. */
const projectRepositories: Repositories = {
  apt: 'https://apt.postgresql.org/pub/repos/apt',
  aptArchive: 'https://apt-archive.postgresql.org/pub/repos/apt',
  yum: 'https://download.postgresql.org/pub/repos/yum',
  yumArchive: 'https://yum-archive.postgresql.org',
  aptKey,
  yumKeys: { x64: yumKeyX64, arm64: yumKeyArm64 },
}

/**
 * The client programs for a source, if the runner already has them: in `client-path`, in its tool cache, or installed.
 * Changes nothing and needs no network.
 *
 * @throws Failure when `client-path` or `client-version` cannot be used; Cancelled
 */
export async function findClient(
  options: ProvideOptions,
  context: ClientContext,
  cache: ToolCache,
  environment: ClientEnvironment,
): Promise<ClientPrograms | undefined> {
  const wanted = wantedClient(options.source, options.version)
  if (options.path !== undefined) return await inPath(options.path, wanted, context)
  const platform = await detectPlatform(environment)
  return await search(wanted, context, (major) => [
    ...cached(cache, platform, major),
    ...installedCandidates(major, environment),
  ])
}

/**
 * The client programs for a source: found as findClient does, or else installed, as whatever user the job runs as, from
 * signed packages into the runner's tool cache.
 *
 * @throws Failure that says what was tried and where; Cancelled
 */
export async function provideClient(
  options: ProvideOptions,
  context: ClientContext,
  cache: ToolCache,
  environment: ClientEnvironment,
): Promise<ClientPrograms> {
  const mirror = options.mirror ? parseMirror(options.mirror) : undefined
  const found = await findClient(options, context, cache, environment)
  if (found) return found
  const started = performance.now()
  const wanted = wantedClient(options.source, options.version)
  const platform = await detectPlatform(environment)
  const packages = await packagesOf(platform, wanted, environment)
  return await withCacheLock(cache, platform, environment, context, async (lock) => {
    const meanwhile = await search(wanted, context, (major) => cached(cache, platform, major))
    if (meanwhile) return meanwhile
    const directory = await mkdtemp(join(context.temporaryDirectory, 'client-'))
    try {
      const installation = { majors: wanted.majors, directory, mirror, environment, context }
      const unpacked = await unpack(installation, platform, packages, wanted)
      const staged = join(directory, 'entry')
      const bytes = await assemble(unpacked, staged, installation)
      const { version } = await checked(candidate(staged, unpacked.origin), wanted, context)
      const entry = await keep(staged, version, cache, platform, lock, context)
      const client = await checked(candidate(entry, unpacked.origin), wanted, context)
      const seconds = (performance.now() - started) / 1000
      context.log.info(
        `Installed the client programs of PostgreSQL ${version} with ${unpacked.origin}: ` +
          `${(bytes / 1e6).toFixed(1)} MB in ${seconds.toFixed(1)} s`,
      )
      return { ...client, bytes, seconds }
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
}

/** The programs of `client-path`, which the user wants to be used and nothing else. */
async function inPath(
  path: string,
  wanted: WantedClient,
  context: ClientContext,
): Promise<ClientPrograms> {
  const majors = wanted.majors.join(' or ')
  if (!isAbsolute(path)) {
    throw new Failure(
      `client-path ${path} is not usable`,
      'It is no absolute path',
      `Give the full path of a directory with the client programs of PostgreSQL ${majors}`,
    )
  }
  const inspection = await inspect(
    { directory: path, origin: 'client-path' },
    wanted.majors,
    context.signal,
  )
  if (!inspection.usable) {
    throw new Failure(
      `client-path ${path} does not hold the client programs of PostgreSQL ${majors}`,
      `In it ${inspection.reason}`,
      'It must hold pg_dump, pg_dumpall, pg_restore and psql, all of that version: on Debian and Ubuntu ' +
        `/usr/lib/postgresql/${wanted.majors[0]}/bin. For another version set client-version, too`,
    )
  }
  return clientPrograms(
    { directory: path, origin: 'client-path' },
    inspection.version,
    wanted.warnings,
  )
}

/**
 * The first usable candidate of the best major that has one; one without a known vulnerability goes before one with.
 */
async function search(
  wanted: WantedClient,
  context: ClientContext,
  candidates: (majorName: string) => Candidate[],
): Promise<ClientPrograms | undefined> {
  for (const major of wanted.majors) {
    let vulnerable: ClientPrograms | undefined
    for (const each of candidates(major)) {
      const inspection = await inspect(each, [major], context.signal)
      if (!inspection.usable) {
        context.log.debug(`${each.directory} (${each.origin}): ${inspection.reason}`)
        continue
      }
      const client = clientPrograms(each, inspection.version, wanted.warnings)
      if (client.warnings.length === wanted.warnings.length) return client
      vulnerable ??= client
    }
    if (vulnerable) return vulnerable
  }
  return undefined
}

/** The entries of a major in the tool cache, the newest first. */
function cached(cache: ToolCache, platform: Platform, majorName: string): Candidate[] {
  return cache
    .find(tool, platform.id)
    .filter(({ version }) => version.startsWith(`${majorName}.`))
    .sort((a, b) => b.version.localeCompare(a.version, 'en', { numeric: true }))
    .map(({ directory }) => candidate(directory, 'tool cache'))
}

/** An entry of the tool cache as assemble() builds it. */
function candidate(entry: string, origin: string): Candidate {
  return { directory: join(entry, 'bin'), libraryPath: join(entry, 'lib'), origin }
}

async function checked(
  each: Candidate,
  wanted: WantedClient,
  context: ClientContext,
): Promise<ClientPrograms> {
  const inspection = await inspect(each, wanted.majors, context.signal)
  if (inspection.usable) return clientPrograms(each, inspection.version, wanted.warnings)
  throw new Failure(
    `The client programs installed with ${each.origin} cannot be used`,
    `In ${each.directory} ${inspection.reason}`,
    'Check that programs may be executed there, or use client-path',
  )
}

/** How packages are installed on the runner, after ruling out runners on which they cannot be. */
async function packagesOf(
  platform: Platform,
  wanted: WantedClient,
  environment: ClientEnvironment,
): Promise<'apt' | 'yum'> {
  const { architecture, path } = environment
  const none = (why: string) => nothingToBeHad(wanted, [why])
  if (!platform.debianArchitecture) {
    throw none(`there are packages for x64 and arm64, not for ${architecture}`)
  }
  const apt = (await which('apt-get', path)) && (await which('dpkg-deb', path))
  const dnf = await which('dnf', path)
  if (!apt && !dnf) throw none(`the runner (${platform.title}) has neither apt nor dnf`)
  const packages = platform.packages ?? (apt ? 'apt' : 'yum')
  if (packages === 'apt' && !apt) {
    throw none(`the runner (${platform.title}) has no apt-get and dpkg-deb`)
  }
  if (packages === 'yum' && !dnf) throw none(`the runner (${platform.title}) has no dnf`)
  if (packages === 'yum' && !platform.enterpriseLinux) {
    throw none(`there are packages for Enterprise Linux 8, 9 and 10, not for ${platform.title}`)
  }
  return packages
}

async function unpack(
  installation: Installation,
  platform: Platform,
  packages: 'apt' | 'yum',
  wanted: WantedClient,
): Promise<Unpacked> {
  const repositories = installation.environment.repositories ?? projectRepositories
  const installer = packages === 'apt' ? installWithApt : installWithYum
  const result = await installer(installation, platform, repositories)
  if (!Array.isArray(result)) return result
  const tried = result.map(
    (problem) => `${problem.repository}: ${problem.message.replace(/[.]$/, '')}`,
  )
  throw nothingToBeHad(wanted, tried)
}

function nothingToBeHad(wanted: WantedClient, tried: string[]): Failure {
  const majors = wanted.majors.join(' or ')
  return new Failure(
    `The client programs of PostgreSQL ${majors} are not on the runner and cannot be installed`,
    `Looked in the tool cache, the usual directories and PATH; ${tried.join('; ')}`,
    `Three ways out: install them on the runner and set client-path to their directory; set client-mirror to a mirror of ` +
      'the PostgreSQL package repositories that the runner can reach and that has them; or set client-version to a ' +
      'newer version that can be had',
  )
}

/**
 * Puts the programs into the tool cache, or, where it cannot be written, into the job's temporary directory.
 *
 * @returns the entry's directory
 */
async function keep(
  staged: string,
  version: string,
  cache: ToolCache,
  platform: Platform,
  lock: Lock | undefined,
  context: ClientContext,
): Promise<string> {
  let why = 'the runner has none'
  if (lock) {
    try {
      if (await lock.held()) {
        return await cache.store(staged, tool, semanticVersion(version), platform.id)
      }
      why = 'another job took over the installation'
    } catch (error) {
      why = messageOf(error)
    }
  }
  context.log.warning(`The client programs are not kept in the runner's tool cache: ${why}`)
  const directory = await mkdtemp(join(context.temporaryDirectory, 'programs-'))
  const entry = join(directory, 'client')
  await rename(staged, entry)
  return entry
}

/** One installation at a time among all jobs that share a tool cache; without a lock where there is none to write to. */
async function withCacheLock<T>(
  cache: ToolCache,
  platform: Platform,
  environment: ClientEnvironment,
  context: ClientContext,
  work: (lock: Lock | undefined) => Promise<T>,
): Promise<T> {
  if (cache.directory === undefined) return await work(undefined)
  const directory = join(cache.directory, tool)
  try {
    await mkdir(directory, { recursive: true })
    await access(directory, constants.W_OK)
  } catch (error) {
    context.log.debug(`No lock in ${directory}: ${messageOf(error)}`)
    return await work(undefined)
  }
  return await withLock(
    join(directory, `${platform.id}.lock`),
    patienceOf(environment).takeover,
    context.signal,
    () => context.log.info('Waiting for another job that installs client programs on this runner'),
    work,
  )
}
