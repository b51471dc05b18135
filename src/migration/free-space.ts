import { stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Failure } from '../failure.ts'

/**
 * Bytes that are free for an ordinary account on the file system of a directory.
 *
 * @throws Error of the file system when the directory is not there
 */
export async function freeSpace(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  return bavail * bsize
}

/**
 * The directory itself, or the nearest above it that is there: where it would be made.
 *
 * @throws Error of the file system, but that it is not there
 */
export async function nearestExisting(directory: string): Promise<string> {
  try {
    await stat(directory)
    return directory
  } catch (error) {
    const above = dirname(directory)
    if (above === directory || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return await nearestExisting(above)
  }
}

/**
 * Refuses to begin what the disk cannot take.
 *
 * @param bytes that are about to be written
 * @param failure gives what, why and the next step, from the bytes that are free
 * @throws Failure where fewer bytes are free; Error of the file system when the directory is not there
 */
export async function refuseUnlessFree(
  directory: string,
  bytes: number,
  failure: (free: number) => [message: string, why: string, remedy: string],
): Promise<void> {
  const free = await freeSpace(directory)
  if (bytes > free) throw new Failure(...failure(free))
}

/** What it means that a directory, or a file in it, has no room left. */
export type NoRoom = (path: string) => Failure

/** The disk that the dump is written to is full. */
export function dumpFull(path: string): Failure {
  return new Failure(
    'The disk of the runner is full',
    `${path}: no space left on device`,
    'Free space, or set dump-directory to a larger disk; a dump needs about as much as the tables of the source, and with compression: none several times as much where their values are long',
    { sqlstate: '53100' },
  )
}

/** The disk of everything else is full, which is another one than the dump's where `dump-directory` says so. */
export function temporaryFull(path: string): Failure {
  return new Failure(
    'The disk of the runner is full',
    `${path}: no space left on device`,
    'Free space where RUNNER_TEMP is, the temporary directory of the runner (TMPDIR on a command line): logs, reports and what is encrypted or decrypted on the way lie there, the dump where dump-directory says',
    { sqlstate: '53100' },
  )
}

/** Whether a file system has refused a byte, for lack of room or because the account's quota is used up. */
export function isFull(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown }
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/**
 * Does what writes below a directory and nowhere else, so that the directory is named where there is no room: the error of a
 * write names none.
 *
 * @throws the failure of `noRoom`; what `work` throws
 */
export async function writingTo<T>(
  directory: string,
  noRoom: NoRoom,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw isFull(error) ? noRoom(directory) : error
  }
}
