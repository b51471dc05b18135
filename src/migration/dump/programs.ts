import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { openProbe } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import {
  type Compression,
  compressionArguments,
  dumpArguments,
  dumpRolesArguments,
} from '../../postgres/programs/arguments.ts'
import { type ProgramResult, runProgram } from '../../postgres/programs/process.ts'
import {
  type ClientPrograms,
  clientMajor,
  programEnvironment,
  programPath,
} from '../../postgres/programs/programs.ts'
import { SilentPeer, standingOf } from '../../postgres/watchdog.ts'
import type { Context } from '../context.ts'
import { isFull, temporaryFull } from '../free-space.ts'
import { ProgramLog } from '../program-log.ts'
import type { TimedTable } from '../timing.ts'
import { programFailure } from './program-failure.ts'
import { DumpProgress, type TableSizes } from './progress.ts'
import { DumpTimes } from './table-times.ts'
import { dumpName, type Written, watchingDump } from './watch-dump.ts'

export interface DumpSource {
  connection: ConnectionParameters
  client: ClientPrograms
  /** Holds the password for the client programs. */
  passwordFile: string
  /** `server_version_num`. */
  number: number
}

/**
 * Dumps the roles of a server with `pg_dumpall`.
 *
 * @returns nothing; `file` then holds exactly what pg_dumpall wrote (mode 0600: it may hold password verifiers)
 * @throws Failure when the account may not read them, with the two ways out; Cancelled
 */
export async function dumpRoles(
  source: DumpSource,
  file: string,
  options: { rolePasswords: boolean; logFile: string },
  context: Context,
): Promise<void> {
  if (!options.rolePasswords && clientMajor(source.client) < 10) {
    throw new Failure(
      'Roles cannot be dumped without passwords by a client this old',
      `pg_dumpall ${source.client.version} has no --no-role-passwords; it came with version 10`,
      'Set client-version to 10 or newer, or role-passwords to true',
    )
  }
  const result = await run(
    source,
    'pg_dumpall',
    dumpRolesArguments(source.connection, file, {
      ...options,
      major: clientMajor(source.client),
    }),
    options.logFile,
    // role names are in no particular encoding; the script is read as UTF-8
    { PGCLIENTENCODING: 'UTF8' },
    context,
    () => {},
  )
  if (result.code === 0) return
  if (/permission denied for (table|relation) pg_(authid|shadow)/.test(result.stderr)) {
    throw new Failure(
      'The roles cannot be dumped with their passwords',
      `The account "${source.connection.user}" may not read pg_authid, which holds the password hashes`,
      'Use a superuser of the source, or set role-passwords to false and give the roles new passwords on the target',
      { sqlstate: '42501' },
    )
  }
  throw programFailure('pg_dumpall', 'The roles could not be dumped', result, file)
}

export interface DumpDatabaseOptions {
  database: string
  /** Where pg_dump makes its directory; it must not exist. */
  directory: string
  jobs: number
  compression: Compression
  /** Of the database, where it is known. */
  encoding?: string | undefined
  snapshot?: string | undefined
  /** Milliseconds to wait for a lock, where that is not to be as long as ever. */
  lockWait?: number | undefined
  targetNumber?: number | undefined
  extra: string[]
  logFile: string
}

/**
 * Dumps one database with `pg_dump -Fd -j`, showing how far it is.
 *
 * @throws Failure on a full disk, a lost connection, a killed program or anything that pg_dump reports; Cancelled
 */
export async function dumpDatabase(
  source: DumpSource,
  options: DumpDatabaseOptions,
  sizes: TableSizes,
  context: Context,
): Promise<Written> {
  const progress = new DumpProgress(sizes)
  const { database, directory } = options
  return await watchingDump(source, { database, directory }, progress, context, async () => {
    const able = await compressionMethods(source.client, context)
    const compression = compressionArguments(source.client, options.compression, able)
    return await dumpArchive(source, { ...options, compression }, context, (line) =>
      progress.read(line),
    )
  })
}

/**
 * Runs pg_dump once.
 *
 * @param options.compression as `compressionArguments` made it
 * @param onLine every line that it says
 * @returns when each table was dumped, as far as it told
 * @throws as dumpDatabase
 */
export async function dumpArchive(
  source: DumpSource,
  options: Omit<DumpDatabaseOptions, 'compression'> & { compression: string[] },
  context: Context,
  onLine: (line: string) => void,
): Promise<TimedTable[]> {
  await mkdir(join(options.directory, '..'), { recursive: true, mode: 0o700 })
  const times = new DumpTimes()
  const args = dumpArguments(source.client, {
    ...options,
    connection: source.connection,
    sourceNumber: source.number,
  })
  const result = await run(source, 'pg_dump', args, options.logFile, {}, context, (line) => {
    onLine(line)
    times.read(line, performance.now())
  })
  if (result.code !== 0) {
    const what = `The database "${options.database}" could not be dumped`
    throw programFailure('pg_dump', what, result, options.directory)
  }
  const ended = performance.now()
  return await times.of(options.directory, ended).catch((error: unknown): TimedTable[] => {
    // whoever restores the archive says what is wrong with it
    context.log.debug(`when each table was dumped is not known: ${messageOf(error)}`)
    return []
  })
}

/**
 * Dumps the schema of one database, without a row, with `pg_dump -Fd --schema-only`.
 *
 * @param options.directory below the temporary directory; must not exist; it holds the archive afterwards
 * @throws Failure on anything that pg_dump reports; Cancelled
 */
export async function dumpSchema(
  source: DumpSource,
  options: {
    database: string
    directory: string
    /** Of the database. */
    encoding: string
    snapshot?: string | undefined
    /** Milliseconds to wait for a lock, where that is not to be as long as ever. */
    lockWait?: number | undefined
    /** What is left out of it, as options of pg_dump. */
    extra?: string[]
    logFile: string
  },
  context: Context,
): Promise<void> {
  const result = await run(
    source,
    'pg_dump',
    dumpArguments(source.client, {
      ...options,
      connection: source.connection,
      jobs: 1,
      compression: compressionArguments(source.client, { method: 'none' }, new Set()),
      sourceNumber: source.number,
      extra: ['--schema-only', ...(options.extra ?? [])],
    }),
    options.logFile,
    {},
    context,
    () => {},
  )
  if (result.code !== 0) {
    const what = `The schema of the database "${options.database}" could not be dumped`
    throw programFailure('pg_dump', what, result, options.directory, temporaryFull)
  }
}

/** Which of lz4 and zstd a client was built with: pg_dump refuses a method it lacks before it connects anywhere. */
export async function compressionMethods(
  client: ClientPrograms,
  context: Pick<Context, 'signal'>,
): Promise<Set<string>> {
  const able = new Set<string>()
  if (clientMajor(client) < 16) return able
  for (const method of ['zstd', 'lz4']) {
    const { stderr } = await runProgram(
      programPath(client, 'pg_dump'),
      [`--compress=${method}:1`, '--dbname=host=/nonexistent', '--no-password'],
      {
        env: programEnvironment('/dev/null', client.libraryPath),
        signal: context.signal,
        deadline: 10_000,
      },
    )
    if (!/compression with|unrecognized compression/.test(stderr)) able.add(method)
  }
  return able
}

async function run(
  source: DumpSource,
  program: 'pg_dump' | 'pg_dumpall',
  args: string[],
  logFile: string,
  env: Record<string, string>,
  context: Context,
  onLine: (line: string) => void,
): Promise<ProgramResult> {
  const log = new ProgramLog(logFile, program, `# ${program} ${source.client.version}`)
  context.log.debug(`${program} ${args.join(' ')}`)
  try {
    return await runProgram(programPath(source.client, program), args, {
      env: {
        ...programEnvironment(source.passwordFile, source.client.libraryPath),
        PGAPPNAME: dumpName,
        ...env,
      },
      signal: AbortSignal.any([context.signal, log.signal]),
      privateFiles: true,
      watch: {
        look: () =>
          standingOf({ application: dumpName }, () =>
            openProbe(source.connection, { role: 'source' }),
          ),
        patience: context.patience,
      },
      onErrorLine: (line) => {
        log.read(line)
        onLine(line)
      },
    })
  } catch (error) {
    if (context.signal.aborted) throw new Cancelled()
    if (error instanceof SilentPeer) {
      throw new Failure(
        `${program} had no answer from the source any more`,
        error.message,
        'Look at the network, the proxies and the server between, then run again',
        { cause: error },
      )
    }
    if (isFull(log.failed)) throw temporaryFull(logFile)
    if (log.failed) {
      throw new Failure(
        `The log of ${program} cannot be written`,
        messageOf(log.failed),
        'Check the disk and the directory where RUNNER_TEMP is, the temporary directory of the runner (TMPDIR on a command line), then run again',
        { cause: log.failed },
      )
    }
    throw new Failure(
      `${program} could not be started`,
      messageOf(error),
      'Check the client programs: client-path, or let the action install them',
      { cause: error },
    )
  } finally {
    await log.end()
  }
}
