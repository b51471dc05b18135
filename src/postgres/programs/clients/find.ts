import { constants } from 'node:fs'
import { access, open, realpath, stat } from 'node:fs/promises'
import { basename, delimiter, dirname, isAbsolute, join } from 'node:path'
import { Cancelled, messageOf } from '../../../failure.ts'
import type { Version } from '../../version.ts'
import { runProgram } from '../process.ts'
import { type ClientPrograms, programNames } from '../programs.ts'
import type { ClientEnvironment } from './platform.ts'
import { knownVulnerability, parseProgramVersion } from './versions.ts'

/** A directory that may hold the client programs. */
export interface Candidate {
  directory: string
  /** For people: `installed`, `tool cache`. */
  origin: string
  /** Where its libraries are, when they are not the system's. */
  libraryPath?: string
}

export type Inspection =
  | { usable: true; version: Version }
  /** Why not, in a sentence without its end: `there is no psql`. */
  | { usable: false; reason: string }

/** Milliseconds for a program to say its version. */
const answerTime = 15_000

/** Where the packages of the PostgreSQL project, of Debian and of Red Hat's families put a major. */
export function usualDirectories(majorName: string): string[] {
  return [`/usr/lib/postgresql/${majorName}/bin`, `/usr/pgsql-${majorName}/bin`]
}

/** The places of the runner where a major may be installed. */
export function installedCandidates(
  majorName: string,
  environment: ClientEnvironment,
): Candidate[] {
  const usual = (environment.installed ?? usualDirectories)(majorName)
  const path = environment.path.split(delimiter).filter((directory) => isAbsolute(directory))
  return [
    ...usual.map((directory) => ({ directory, origin: 'installed' })),
    ...[...new Set(path)].map((directory) => ({ directory, origin: 'PATH' })),
  ]
}

/**
 * Whether a directory holds all of pg_dump, pg_dumpall, pg_restore and psql, each able to run and each saying one of the
 * wanted majors, all the same. Debian's pg_wrapper never counts: it runs whatever major it thinks best.
 *
 * @param majors `['15']`
 * @throws Cancelled
 */
export async function inspect(
  candidate: Candidate,
  majors: string[],
  signal: AbortSignal,
): Promise<Inspection> {
  const no = (reason: string): Inspection => ({ usable: false, reason })
  let first: Version | undefined
  for (const name of programNames) {
    const path = join(candidate.directory, name)
    const file = await stat(path).catch(() => undefined)
    if (!file?.isFile()) return no(`there is no ${name}`)
    if (!(await isExecutable(path))) return no(`${name} cannot be executed`)
    if (await isWrapper(path)) {
      return no(`${name} is Debian's pg_wrapper, which may run another version`)
    }
    const answer = await askVersion(path, candidate.libraryPath, signal)
    if (typeof answer === 'string') return no(`${name} ${answer}`)
    if (!majors.includes(answer.majorName)) {
      return no(`${name} is of PostgreSQL ${answer.version}`)
    }
    first ??= answer
    if (answer.majorName !== first.majorName) {
      return no(`${name} is of PostgreSQL ${answer.version}, pg_dump of ${first.version}`)
    }
  }
  return first ? { usable: true, version: first } : no('it is empty')
}

/** The client programs of a directory that was found usable. */
export function clientPrograms(
  candidate: Candidate,
  version: Version,
  warnings: string[],
): ClientPrograms {
  const vulnerability = knownVulnerability(version)
  const renewal =
    candidate.origin === 'tool cache'
      ? `. Remove ${dirname(candidate.directory)} from the runner to have newer ones installed`
      : ''
  return {
    majorName: version.majorName,
    version: version.version,
    directory: candidate.directory,
    origin: candidate.origin,
    ...(candidate.libraryPath ? { libraryPath: candidate.libraryPath } : {}),
    warnings: [...warnings, ...(vulnerability ? [vulnerability + renewal] : [])],
  }
}

/** The full path of a program that PATH names, undefined when it names none. */
export async function which(name: string, path: string): Promise<string | undefined> {
  for (const directory of path.split(delimiter)) {
    const file = join(directory, name)
    if (isAbsolute(directory) && (await isExecutable(file))) return file
  }
  return undefined
}

/**
 * What a program answers to `--version`.
 *
 * @returns a sentence's end when it answers nothing usable: `cannot be run: …`
 */
async function askVersion(
  path: string,
  libraryPath: string | undefined,
  signal: AbortSignal,
): Promise<Version | string> {
  const env = {
    PATH: '/usr/bin:/bin',
    LC_ALL: 'C',
    ...(libraryPath ? { LD_LIBRARY_PATH: libraryPath } : {}),
  }
  try {
    const result = await runProgram(path, ['--version'], { env, signal, deadline: answerTime })
    const version = parseProgramVersion(result.stdout)
    if (result.code === 0 && version) return version
    if (result.timedOut) return 'does not answer --version'
    const said = (result.stderr || result.stdout).trim().split('\n').at(-1)?.slice(0, 200)
    return `cannot be run: ${said || `exit code ${result.code ?? result.killedBy}`}`
  } catch (error) {
    if (error instanceof Cancelled || signal.aborted) throw new Cancelled()
    return `cannot be run: ${messageOf(error)}`
  }
}

async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** Debian's wrapper is a Perl script, `/usr/bin/pg_dump` a link to it; a copy is known by the module that it loads. */
async function isWrapper(path: string): Promise<boolean> {
  const real = await realpath(path)
  if (basename(real) === 'pg_wrapper') return true
  const file = await open(real).catch(() => undefined)
  if (!file) return false // a script must be readable to be run
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, 0)
    const head = buffer.subarray(0, bytesRead).toString('latin1')
    return head.startsWith('#!') && /\bPgCommon\b|pg_wrapper/.test(head)
  } finally {
    await file.close()
  }
}
