import { createHash } from 'node:crypto'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { ManyFiles } from '../../postgres/archive/many-files.ts'
import type { Context } from '../context.ts'
import { inPool } from '../pool.ts'
import { BytesProgress } from '../progress-line.ts'

/** Files read at once: enough to keep a disk and the hash busy, with a buffer of 1 MiB each. */
const atOnce = 4
const bufferBytes = 1024 * 1024

/** Files up to this (bytes) are read and hashed in less time than it takes to have a thread do it. */
const smallBytes = 64 * 1024

/** Never a link, and nobody waits for a pipe that has taken the place of a file. */
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** The SHA-256 of each file, hexadecimal, in the order given. @throws Failure naming an unreadable file; Cancelled */
export async function hashFiles(
  directory: string,
  files: readonly { path: string; bytes: number }[],
  what: string,
  context: Pick<Context, 'progress' | 'signal'>,
): Promise<string[]> {
  const total = files.reduce((sum, file) => sum + file.bytes, 0)
  const progress = new BytesProgress(what, context.progress, total)
  const pool = {
    workers: atOnce,
    signal: context.signal,
    open: () => Buffer.allocUnsafe(bufferBytes),
  }
  const many = new ManyFiles()
  return await inPool(files, pool, async (file, buffer) => {
    const path = join(directory, file.path)
    const onBytes = (bytes: number) => {
      if (context.signal.aborted) throw new Cancelled()
      progress.add(bytes)
    }
    try {
      const later = () => hashFile(path, buffer, onBytes)
      return file.bytes > smallBytes
        ? await later()
        : await many.ask(() => hashNow(path, buffer, onBytes), later)
    } catch (error) {
      if (error instanceof Cancelled) throw error
      throw new Failure(
        `${file.path} of the dump cannot be read`,
        messageOf(error),
        'Check the disk, and that the file belongs to the user who runs the job',
        { cause: error },
      )
    }
  })
}

/** As hashFile(), while everybody waits. */
function hashNow(path: string, buffer: Buffer, onBytes: (bytes: number) => void): string {
  const file = openSync(path, readFlags)
  try {
    const hash = createHash('sha256')
    for (;;) {
      const read = readSync(file, buffer, 0, buffer.length, null)
      if (read === 0) return hash.digest('hex')
      hash.update(buffer.subarray(0, read))
      onBytes(read)
    }
  } finally {
    closeSync(file)
  }
}

async function hashFile(
  path: string,
  buffer: Buffer,
  onBytes: (bytes: number) => void,
): Promise<string> {
  const handle = await open(path, readFlags)
  try {
    const hash = createHash('sha256')
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, null)
      if (bytesRead === 0) return hash.digest('hex')
      hash.update(buffer.subarray(0, bytesRead))
      onBytes(bytesRead)
    }
  } finally {
    await handle.close()
  }
}
