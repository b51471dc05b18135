import { type ConnectionParameters, conninfo, quoteValue } from '../connection-string.ts'
import { type ClientPrograms, clientMajor } from './programs.ts'

export type Compression =
  | { method: 'auto' }
  | { method: 'none' }
  | { method: 'gzip' | 'lz4' | 'zstd'; level?: number }

/** Milliseconds that pg_dump waits for its locks: an ALTER TABLE that hangs must not hang the migration for ever. */
const lockWait = 300_000

/**
 * The arguments of `pg_dumpall` for the roles alone.
 *
 * @param options.major of the client programs
 * @param options.rolePasswords `false` leaves the password verifiers out (pg_dumpall 10 and newer)
 */
export function dumpRolesArguments(
  connection: ConnectionParameters,
  file: string,
  options: { rolePasswords: boolean; major: number },
): string[] {
  return [
    '--roles-only',
    '--verbose',
    '--no-password',
    // pg_dumpall reads `-l` as a connection string too when it looks like one, so it is given as one
    `--dbname=${conninfo(connection, 'read', connection.dbname, options.major)}`,
    `--database=dbname=${quoteValue(connection.dbname)}`,
    `--file=${file}`,
    ...(options.rolePasswords ? [] : ['--no-role-passwords']),
  ]
}

export interface DumpArguments {
  connection: ConnectionParameters
  database: string
  directory: string
  jobs: number
  /** `--compress` as `compressionArguments` made it. */
  compression: string[]
  /** Of the database: what it or the account sets for clients would be that of the dump, and of the names that pg_dump is given. */
  encoding?: string | undefined
  /** `server_version_num` of the source. */
  sourceNumber: number
  /** An exported snapshot to dump from. */
  snapshot?: string | undefined
  /** Milliseconds that it waits for a lock; five minutes by default. */
  lockWait?: number | undefined
  /** `server_version_num` of the target, where it is known at dump time. */
  targetNumber?: number | undefined
  extra: string[]
}

/** Whether pg_dump can see the moment that another session exported: `--snapshot` came with 9.5 (its release notes). */
export function takesSnapshot({ majorName }: Pick<ClientPrograms, 'majorName'>): boolean {
  return Number(majorName) >= 9.5
}

/** The arguments of `pg_dump` for one database in directory format (PostgreSQL, "pg_dump"). */
export function dumpArguments(client: ClientPrograms, options: DumpArguments): string[] {
  const major = clientMajor(client)
  return [
    '--format=directory',
    `--jobs=${options.jobs}`,
    '--verbose',
    '--no-password',
    `--file=${options.directory}`,
    `--dbname=${conninfo(options.connection, 'read', options.database, major)}`,
    `--lock-wait-timeout=${options.lockWait ?? lockWait}`,
    ...options.compression,
    ...(options.encoding === undefined ? [] : [`--encoding=${options.encoding}`]),
    ...(options.snapshot && takesSnapshot(client) ? [`--snapshot=${options.snapshot}`] : []),
    // before 9.2 a server cannot share a snapshot among sessions; clients of 15 and newer dropped servers that old
    ...(options.sourceNumber < 90_200 && options.jobs > 1 ? ['--no-synchronized-snapshots'] : []),
    // the dump is hashed and read back before it counts: waiting for the disk adds nothing
    ...(major >= 10 ? ['--no-sync'] : []),
    // COMPRESSION in a column's definition would cost a target before 14 the whole table (docs/polardb.md, "Older than the source")
    ...(major >= 14 && options.targetNumber !== undefined && options.targetNumber < 140_000
      ? ['--no-toast-compression']
      : []),
    ...options.extra,
  ]
}

/**
 * `--compress` for the wish of the user. `auto` is zstd or lz4 where the client can, else gzip at level 1: gzip's default
 * level makes a dump three to four times slower than level 1 for a tenth of the size.
 *
 * @param able the methods that the client was built with
 */
export function compressionArguments(
  client: ClientPrograms,
  wish: Compression,
  able: ReadonlySet<string>,
): string[] {
  const methods = clientMajor(client) >= 16
  switch (wish.method) {
    case 'none':
      return ['--compress=0']
    case 'auto':
      if (methods && able.has('zstd')) return ['--compress=zstd:1']
      if (methods && able.has('lz4')) return ['--compress=lz4:1']
      return [methods ? '--compress=gzip:1' : '--compress=1']
    case 'gzip':
      if (!methods) return [`--compress=${wish.level ?? 6}`]
  }
  return [`--compress=${wish.method}${wish.level === undefined ? '' : `:${wish.level}`}`]
}

/** `auto`, `none`, `gzip[:1-9]`, `lz4`, `zstd[:1-22]`. */
export function parseCompression(text: string): Compression {
  const match = /^(auto|none|gzip|lz4|zstd)(?::(\d{1,2}))?$/.exec(text)
  const most = { gzip: 9, lz4: 12, zstd: 22 }
  const method = match?.[1] as Compression['method'] | undefined
  const level = match?.[2] === undefined ? undefined : Number(match[2])
  if (!method)
    throw new SyntaxError(
      `"${text.slice(0, 40)}" is none of auto, none, gzip[:level], lz4, zstd[:level]`,
    )
  if (method === 'auto' || method === 'none') {
    if (level !== undefined) throw new SyntaxError(`${method} takes no level`)
    return { method }
  }
  if (level === undefined) return { method }
  if (level < 1 || level > most[method])
    throw new SyntaxError(`${method} takes a level from 1 to ${most[method]}`)
  return { method, level }
}
