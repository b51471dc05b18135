import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Cancelled, Failure, messageOf } from '../../../failure.ts'
import { type ProgramResult, runProgram } from '../process.ts'
import { which } from './find.ts'
import { type ClientEnvironment, patienceOf } from './platform.ts'
import { RepositoryProblem, withoutCredentials } from './problems.ts'

/** Packages of a major, unpacked below a directory of their own, not yet known to run. */
export interface Unpacked {
  majorName: string
  /** Where pg_dump and the others are. */
  programs: string
  /** Where the libraries that came with them are. */
  libraries: string[]
  /** Bytes of the packages that were downloaded. */
  bytes: number
  /** For people: `apt (https://… bookworm-pgdg)`. */
  origin: string
  /** Fetches the libraries that the programs need besides their own, from the distribution's own packages. */
  fetchDependencies?: () => Promise<{ libraries: string[]; bytes: number }>
}

/** What finding and installing client programs needs of the world around it. */
export interface ClientContext {
  log: Record<'debug' | 'info' | 'warning', (message: string) => void>
  progress: { update(line: string): void }
  signal: AbortSignal
  /** A private directory under the runner's temporary one. */
  temporaryDirectory: string
}

/** What an installer works with. */
export interface Installation {
  /** The majors that will do, the best first. */
  majors: string[]
  /** An empty private directory, removed afterwards. */
  directory: string
  mirror: { url: string; shown: string } | undefined
  environment: ClientEnvironment
  context: ClientContext
}

/**
 * Asks repositories one after the other until one gives the packages.
 *
 * @param attempts in their order; each throws RepositoryProblem when it cannot give any
 * @returns the packages, or what every attempt answered
 * @throws Failure for a repository that must not be trusted, and for the user's own mirror when it does not answer
 */
export async function firstThatGives(
  attempts: {
    origin: 'mirror' | 'project' | 'archive' | 'distribution'
    get: () => Promise<Unpacked>
  }[],
  context: ClientContext,
): Promise<Unpacked | RepositoryProblem[]> {
  const problems: RepositoryProblem[] = []
  let projectAnswers = true
  for (const { origin, get } of attempts) {
    // where the project's first host cannot be reached, its second one cannot either: do not wait for it, too
    if (origin === 'archive' && !projectAnswers) continue
    try {
      return await get()
    } catch (error) {
      if (!(error instanceof RepositoryProblem)) throw error
      if (error.kind === 'untrusted') throw untrusted(error)
      if (origin === 'mirror' && error.kind !== 'absent') throw deadMirror(error)
      if (origin === 'project' && error.kind === 'unreachable') projectAnswers = false
      context.log.info(`No client programs from ${error.repository}: ${error.message}`)
      problems.push(error)
    }
  }
  return problems
}

function untrusted(problem: RepositoryProblem): Failure {
  return new Failure(
    `The package repository ${problem.repository} cannot be trusted`,
    problem.message,
    'Nothing of it was kept. Try again when the repository is complete and signed by the PostgreSQL project, or use ' +
      'client-path, or another client-mirror',
  )
}

function deadMirror(problem: RepositoryProblem): Failure {
  return new Failure(
    `The mirror ${problem.repository} in client-mirror gives no packages`,
    problem.message,
    'Check client-mirror and the way from the runner to it, or use client-path',
  )
}

/**
 * Runs a package tool with nothing of the job's environment but the proxies, bounded in time.
 *
 * @param name `apt-get`
 * @throws Cancelled, Failure when the runner does not have the tool, RepositoryProblem when it takes too long
 */
export async function runTool(
  name: string,
  args: string[],
  installation: Installation,
  options: {
    repository: string
    cwd?: string
    env?: Record<string, string>
    onOutput?: (chunk: Buffer) => void
  },
): Promise<ProgramResult> {
  const { environment, context, directory } = installation
  const path = await which(name, environment.path)
  if (path === undefined) {
    throw new Failure(
      `The runner has no ${name}`,
      'It is needed to install the PostgreSQL client programs',
      'Use client-path, or a runner image that has it',
    )
  }
  const { deadline } = patienceOf(environment)
  context.log.debug(`${path} ${args.join(' ')}`)
  try {
    const result = await runProgram(path, args, {
      env: {
        PATH: environment.path,
        LC_ALL: 'C',
        HOME: directory,
        TMPDIR: directory,
        DEBIAN_FRONTEND: 'noninteractive',
        ...environment.proxies,
        ...options.env,
      },
      cwd: options.cwd ?? directory,
      signal: context.signal,
      deadline,
      ...(options.onOutput ? { onOutput: options.onOutput } : {}),
    })
    if (result.stderr) context.log.debug(withoutCredentials(result.stderr.trimEnd()))
    if (!result.timedOut) return result
  } catch (error) {
    if (error instanceof Cancelled || context.signal.aborted) throw new Cancelled()
    throw new Failure(
      `${name} cannot be run`,
      messageOf(error),
      'Use client-path, or a runner image where it can',
      { cause: error },
    )
  }
  throw new RepositoryProblem(
    'unreachable',
    options.repository,
    `${name} did not end within ${deadline / 1000} s`,
  )
}

/**
 * Shows how much of a download there is, until the work is done.
 *
 * @param directory where the package tool writes
 * @param what `Downloading the client programs of PostgreSQL 15`
 */
export async function withProgress<T>(
  directory: string,
  what: string,
  context: ClientContext,
  work: () => Promise<T>,
): Promise<T> {
  context.progress.update(what)
  const timer = setInterval(async () => {
    const bytes = await directorySize(directory).catch(() => 0)
    context.progress.update(`${what}: ${(bytes / 1e6).toFixed(1)} MB`)
  }, 1000)
  try {
    return await work()
  } finally {
    clearInterval(timer)
  }
}

async function directorySize(directory: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += await fileSize(join(entry.parentPath, entry.name))
  }
  return bytes
}

/** The size of a file in bytes, 0 when it went away meanwhile. */
export async function fileSize(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0
}
