import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'

/** Milliseconds between two looks at a file that has not grown. */
const between = 100

/** Bytes that are read, or unpacked, at once. */
const piece = 256 * 1024

/** How a data file becomes text, by what compression adds to its name (PostgreSQL source, compress_io.c). */
const unpackers = {
  '': undefined,
  '.gz': () => createGunzip({ chunkSize: piece }),
  '.zst': () => createZstdDecompress({ chunkSize: piece }),
}

/**
 * The one data file of a directory that `pg_dump -Fd` is still writing. A pg_restore would take what is there for all of it. The file
 * grows by what pg_dump's buffers hold, so until it is complete it ends anywhere.
 */
export class GrowingData {
  private readonly directory: string
  /** Its bytes when it is complete, once that is known. */
  private whole: number | undefined
  private readonly completed = Promise.withResolvers<void>()
  /** Bytes of the file that were read and handed on, and what they were unpacked to. */
  private at = 0
  private unpacked = 0

  /** @param directory may not be there yet */
  constructor(directory: string) {
    this.directory = directory
  }

  /**
   * How large the file is now.
   *
   * @returns its bytes, 0 where there is none yet
   * @throws Error where there are several, or it cannot be read while it grows
   */
  async size(): Promise<number> {
    const found = await this.find()
    return found ? (await stat(found.path)).size : 0
  }

  /**
   * How much is there, and not read yet.
   *
   * @returns bytes of what it will be unpacked to, if the rest is compressed as what was read
   * @throws as size()
   */
  async unread(): Promise<number> {
    const times = this.at > 0 ? Math.max(1, this.unpacked / this.at) : 1
    return ((await this.size()) - this.at) * times
  }

  /** @param bytes that the file has, now that pg_dump has ended */
  complete(bytes: number): void {
    this.whole = bytes
    this.completed.resolve()
  }

  /**
   * Reads the file from its beginning to its end, as it grows: returns when it is complete and all of it is read.
   *
   * @param take is given what is in it, unpacked, and waited for
   * @throws Error where it cannot be unpacked, or has another size than it is said to have; AbortError
   */
  async read(take: (chunk: Buffer) => Promise<void>, signal: AbortSignal): Promise<void> {
    const found = await this.find()
    if (!found) throw new Error('its data file is not there')
    const file = await open(found.path)
    // whoever waits for the file to grow does not see that nobody takes what comes
    const over = new AbortController()
    const until = AbortSignal.any([signal, over.signal])
    const bytes = () => this.bytes(file, until)
    const taken = async (chunks: AsyncIterable<Buffer>) => {
      try {
        for await (const chunk of chunks) {
          await take(chunk)
          this.unpacked += chunk.length
        }
      } finally {
        over.abort()
      }
    }
    try {
      const unpacker = unpackers[found.suffix]?.().on('error', () => over.abort())
      if (unpacker) await pipeline(bytes, unpacker, taken, { signal })
      else await taken(bytes())
    } finally {
      await file.close()
    }
  }

  private async *bytes(file: FileHandle, signal: AbortSignal): AsyncGenerator<Buffer> {
    for (let at = 0; ; this.at = at) {
      signal.throwIfAborted()
      // what is complete before a look has no more after it
      const { whole } = this
      // each piece is a buffer of its own: who takes it may still hold it when the next one is read
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(piece), 0, piece, at)
      at += bytesRead
      if (bytesRead > 0) yield buffer.subarray(0, bytesRead)
      else if (whole === undefined)
        await Promise.race([this.completed.promise, sleep(between, undefined, { signal })])
      else if (at === whole) return
      else throw new Error(`${at} bytes of its data file were read, which has ${whole}`)
    }
  }

  private async find(): Promise<{ path: string; suffix: keyof typeof unpackers } | undefined> {
    let names: string[]
    try {
      names = await readdir(this.directory)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    const [first, second] = names.filter((name) => /^\d+\.dat(\.|$)/.test(name))
    if (first === undefined) return undefined
    if (second !== undefined) throw new Error('it has several data files')
    const suffix = first.replace(/^\d+\.dat/, '')
    if (!isKnown(suffix))
      throw new Error('its data file is compressed in a way that is not read here')
    return { path: join(this.directory, first), suffix }
  }
}

const isKnown = (suffix: string): suffix is keyof typeof unpackers => suffix in unpackers
