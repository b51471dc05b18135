import { writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionParameters } from '../connection-string.ts'
import { majorOf } from '../version.ts'

export const programNames = ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql'] as const
export type ProgramName = (typeof programNames)[number]

/** A directory that holds the four client programs of one major. */
export interface ClientPrograms {
  /** `15`, `9.6`. */
  majorName: string
  /** `15.20`. */
  version: string
  directory: string
  /** Where they come from, for people: `client-path`, `installed`, `tool cache`, `apt (…)`. */
  origin: string
  /** Where the dynamic linker finds their libraries, when they are not the system's. */
  libraryPath?: string
  /** What the user should know of them: an old minor release, another major than the source's. */
  warnings: string[]
  /** Bytes downloaded and seconds taken, where they had to be installed. */
  bytes?: number
  seconds?: number
}

export function programPath(client: ClientPrograms, name: ProgramName): string {
  return join(client.directory, name)
}

/** The first number of the client's version: 15 for 15.20, 9 for 9.6.24. */
export function clientMajor(client: ClientPrograms): number {
  return majorOf(client.version)
}

/**
 * Writes a password file (mode 0600) for one connection (PostgreSQL, "The Password File"). With no password the file is
 * empty: it also keeps libpq from reading the runner account's own ~/.pgpass.
 *
 * @param directory a private directory, removed at the end of the run
 * @param name distinguishes several in one directory: `source`, `target`
 * @returns the file's path
 */
export async function writePasswordFile(
  directory: string,
  name: string,
  parameters: ConnectionParameters,
): Promise<string> {
  const path = join(directory, `${name}.pgpass`)
  const password = parameters.password?.replace(/[\\:]/g, '\\$&')
  await writeFile(path, password === undefined ? '' : `*:*:*:*:${password}\n`, { mode: 0o600 })
  return path
}

/**
 * The whole environment of a client program: nothing of the job's own, so no secret of other steps reaches it; messages in
 * English, since we read them.
 */
export function programEnvironment(
  passwordFile: string,
  libraryPath?: string,
): Record<string, string> {
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    LC_ALL: 'C',
    HOME: homedir(), // libpq looks there for root.crt and client certificates, as our own connections do
    PGPASSFILE: passwordFile,
    PGAPPNAME: 'migrate-to-polardb',
    ...(libraryPath ? { LD_LIBRARY_PATH: libraryPath } : {}),
  }
}
