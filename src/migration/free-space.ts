import { statfs } from 'node:fs/promises'
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
