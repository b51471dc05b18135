import { chmod, copyFile, mkdir, realpath, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Cancelled, Failure, messageOf } from '../../../failure.ts'
import { runProgram } from '../process.ts'
import { programNames } from '../programs.ts'
import { lastLine, RepositoryProblem } from './problems.ts'
import type { Installation, Unpacked } from './repository.ts'

/** No program links against more than this many libraries that we would have to add one by one. */
const mostLibraries = 100

/**
 * Builds the directory that goes into the tool cache: the four programs in `bin`, and in `lib` their libpq and whatever
 * else they need that the runner does not have. The runner's own libraries come first, so that its security updates reach
 * them; libpq comes with the programs, since an older one lacks functions that they call.
 *
 * @param destination a directory to make
 * @returns bytes downloaded for it, those of the programs' own packages included
 * @throws Failure when the programs cannot run here; Cancelled
 */
export async function assemble(
  unpacked: Unpacked,
  destination: string,
  installation: Installation,
): Promise<number> {
  const bin = join(destination, 'bin')
  const lib = join(destination, 'lib')
  await mkdir(bin, { recursive: true })
  await mkdir(lib, { recursive: true })
  for (const name of programNames) {
    const from = join(unpacked.programs, name)
    if (!(await stat(from).catch(() => undefined))?.isFile()) {
      throw cannotRun(unpacked, `Its packages hold no ${name}`)
    }
    await copyFile(from, join(bin, name))
    await chmod(join(bin, name), 0o755)
  }
  let pool = unpacked.libraries
  let bytes = unpacked.bytes
  let dependencies = unpacked.fetchDependencies
  await addLibrary('libpq.so.5', pool, lib)
  const added = new Set<string>()
  for (const name of programNames) {
    for (;;) {
      const problem = await firstLinkProblem(join(bin, name), lib, installation)
      if (!problem) break
      const { library, why } = problem
      // a second C library beside the runner's would only crash
      if (!library || /^(?:libc|ld-linux.*|libm|libpthread)\.so/.test(library)) {
        throw cannotRun(unpacked, why)
      }
      if (!added.has(library) && (await addLibrary(library, pool, lib))) {
        added.add(library)
        if (added.size > mostLibraries) throw cannotRun(unpacked, why)
        continue
      }
      if (added.has(library) || !dependencies) throw cannotRun(unpacked, why)
      const fetched = await fetchOr(dependencies, unpacked, why)
      dependencies = undefined
      bytes += fetched.bytes
      pool = [...pool, ...fetched.libraries]
    }
  }
  return bytes
}

async function fetchOr(
  dependencies: NonNullable<Unpacked['fetchDependencies']>,
  unpacked: Unpacked,
  why: string,
): Promise<{ libraries: string[]; bytes: number }> {
  try {
    return await dependencies()
  } catch (error) {
    if (!(error instanceof RepositoryProblem)) throw error
    throw cannotRun(unpacked, `${why}; ${error.repository}: ${error.message}`)
  }
}

/** Copies a library, by the name that programs ask for, from the first directory that has it. */
async function addLibrary(name: string, pool: string[], lib: string): Promise<boolean> {
  if (name !== basename(name)) return false
  for (const directory of pool) {
    const real = await realpath(join(directory, name)).catch(() => undefined)
    if (real !== undefined && (await stat(real)).isFile()) {
      await copyFile(real, join(lib, name))
      return true
    }
  }
  return false
}

/**
 * What keeps a program from starting. All its libraries are loaded and all its functions looked up at once (ld.so(8),
 * LD_BIND_NOW), so nothing can come to light only in the middle of a dump.
 */
async function firstLinkProblem(
  program: string,
  lib: string,
  { context }: Installation,
): Promise<{ library: string | undefined; why: string } | undefined> {
  let why: string
  try {
    const result = await runProgram(program, ['--version'], {
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', LD_LIBRARY_PATH: lib, LD_BIND_NOW: '1' },
      signal: context.signal,
      deadline: 15_000,
    })
    if (result.code === 0) return undefined
    why = lastLine(result.stderr)
  } catch (error) {
    if (context.signal.aborted) throw new Cancelled()
    why = messageOf(error)
  }
  const library =
    /error while loading shared libraries: ([^\s:]+): cannot open/.exec(why)?.[1] ??
    /([^\s/]+): version `[^']+' not found/.exec(why)?.[1]
  return { library, why: why.replaceAll(`${program}: `, '') }
}

function cannotRun(unpacked: Unpacked, why: string): Failure {
  return new Failure(
    `The client programs of PostgreSQL ${unpacked.majorName} from ${unpacked.origin} cannot run here`,
    why,
    'Install what is missing on the runner, or use client-path',
  )
}
