import { type FileHandle, mkdir, open, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createInflateRaw } from 'node:zlib'
import { Cancelled, Failure } from '../../failure.ts'
import { formatBytes } from '../../text/text.ts'
import { isSafePath, shown } from './manifest.ts'

interface Entry {
  path: string
  method: number
  packed: number
  bytes: number
  /** Of the local header, in the zip file. */
  offset: number
}

const mostEntries = 2_000_000
/** Bytes of the central directory. */
const mostDirectory = 512 * 1024 * 1024
const bufferBytes = 1024 * 1024

/**
 * Unpacks a zip file that anybody may have made: the list at its end is checked whole before the first byte is written,
 * no file leaves `into` or replaces another, none grows beyond its announced size, and all of them fit on the disk.
 * Files get mode 0600, directories 0700. The checksums in the zip are not looked at: the manifest has better ones.
 *
 * @returns the paths written
 * @throws Failure naming what is wrong; Cancelled. What was written until then stays.
 */
export async function extractZip(
  zip: string,
  into: string,
  signal: AbortSignal,
): Promise<string[]> {
  const handle = await open(zip, 'r')
  try {
    const entries = await readEntries(handle)
    await mkdir(into, { recursive: true, mode: 0o700 })
    await checkSpace(entries, into)
    const made = new Set<string>()
    const buffer = Buffer.allocUnsafe(bufferBytes)
    for (const entry of entries) {
      if (signal.aborted) throw new Cancelled()
      const directory = dirname(join(into, entry.path))
      if (!made.has(directory)) await makeDirectory(directory, entry.path)
      made.add(directory)
      await extract(handle, entry, join(into, entry.path), buffer, signal)
    }
    return entries.map((entry) => entry.path)
  } finally {
    await handle.close()
  }
}

/** @throws Failure where another artifact has put a file in the directory's place */
async function makeDirectory(directory: string, path: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST' && error.code !== 'ENOTDIR') throw error
    throw broken(`it holds ${path} below a file that is there already`)
  })
}

/** The files that the zip file lists at its end (APPNOTE.TXT 4.3.12 to 4.3.16, with its 64-bit forms). */
async function readEntries(handle: FileHandle): Promise<Entry[]> {
  const { size } = await handle.stat()
  const tail = await read(handle, Math.max(0, size - 65_557), Buffer.alloc(Math.min(size, 65_557)))
  const end = tail.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'))
  if (end < 0 || end + 22 > tail.length) throw broken('its end is missing')
  let count = tail.readUInt16LE(end + 10)
  let bytes = tail.readUInt32LE(end + 12)
  let offset = tail.readUInt32LE(end + 16)
  if (end >= 20 && tail.readUInt32LE(end - 20) === 0x07064b50) {
    const at = safeNumber(tail.readBigUInt64LE(end - 20 + 8))
    const large = await read(handle, at, Buffer.alloc(56))
    if (large.readUInt32LE(0) !== 0x06064b50) throw broken('its end is damaged')
    count = safeNumber(large.readBigUInt64LE(32))
    bytes = safeNumber(large.readBigUInt64LE(40))
    offset = safeNumber(large.readBigUInt64LE(48))
  }
  if (count > mostEntries || bytes > mostDirectory) throw broken('it lists too many files')
  const directory = await read(handle, offset, Buffer.alloc(bytes))
  const entries: Entry[] = []
  const seen = new Set<string>()
  for (let at = 0, index = 0; index < count; index++) {
    if (at + 46 > bytes || directory.readUInt32LE(at) !== 0x02014b50)
      throw broken('its list of files is damaged')
    const nameLength = directory.readUInt16LE(at + 28)
    const extraLength = directory.readUInt16LE(at + 30)
    const next = at + 46 + nameLength + extraLength + directory.readUInt16LE(at + 32)
    if (next > bytes) throw broken('its list of files is damaged')
    const path = directory.toString('utf8', at + 46, at + 46 + nameLength)
    const extra = directory.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength)
    const entry = readSizes(directory, at, path, extra)
    const attributes = directory.readUInt32LE(at + 38) >>> 16
    at = next
    if (path.endsWith('/') && entry.bytes === 0 && isSafePath(path.slice(0, -1))) continue
    if (!isSafePath(path)) throw broken(`it names a file that no dump has: ${shown(path)}`)
    if ((attributes & 0o170000) === 0o120000) throw broken(`${path} is a symbolic link`)
    if (entry.method !== 0 && entry.method !== 8)
      throw broken(`${path} is packed in an unknown way (${entry.method})`)
    if (seen.has(path.toLowerCase())) throw broken(`it holds ${path} twice`)
    seen.add(path.toLowerCase())
    entries.push(entry)
  }
  for (const { path } of entries) {
    for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1))
      if (seen.has(path.slice(0, at).toLowerCase()))
        throw broken(`it holds ${path} below a file, ${path.slice(0, at)}`)
  }
  return entries
}

function readSizes(directory: Buffer, at: number, path: string, extra: Buffer): Entry {
  const method = directory.readUInt16LE(at + 10)
  if (directory.readUInt16LE(at + 8) & 1)
    throw broken(`${shown(path)} is encrypted by a zip program`)
  const fields = [at + 24, at + 20, at + 42].map((field) => directory.readUInt32LE(field))
  // the extra field 1 holds, in this order, those of the three that do not fit into 32 bits
  for (let from = 0; from + 4 <= extra.length; from += 4 + extra.readUInt16LE(from + 2)) {
    if (extra.readUInt16LE(from) !== 1) continue
    let wide = from + 4
    const last = Math.min(extra.length, wide + extra.readUInt16LE(from + 2))
    for (const [index, value] of fields.entries())
      if (value === 0xffffffff && wide + 8 <= last) {
        fields[index] = safeNumber(extra.readBigUInt64LE(wide))
        wide += 8
      }
  }
  const [bytes = 0, packed = 0, offset = 0] = fields
  return { path, method, packed, bytes, offset }
}

async function checkSpace(entries: Entry[], into: string): Promise<void> {
  const needed = entries.reduce((sum, entry) => sum + entry.bytes, 0)
  const { bavail, bsize } = await statfs(into)
  if (needed > bavail * bsize)
    throw new Failure(
      'The artifact does not fit on the disk',
      `It unpacks to ${formatBytes(needed)}, and ${formatBytes(bavail * bsize)} are free at ${into}`,
      'Free space, or set dump-directory to a larger disk',
    )
}

async function extract(
  zip: FileHandle,
  entry: Entry,
  path: string,
  buffer: Buffer,
  signal: AbortSignal,
): Promise<void> {
  const header = await read(zip, entry.offset, Buffer.alloc(30))
  if (header.readUInt32LE(0) !== 0x04034b50) throw broken(`${entry.path} is not where it should be`)
  const start = entry.offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28)
  const packed = chunks(zip, start, entry.packed, buffer)
  const content = entry.method === 0 ? packed : inflated(packed)
  await using output = await open(path, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST' && error.code !== 'EISDIR') throw error
    throw broken(`it would replace ${entry.path}, which is there already`)
  })
  let bytes = 0
  try {
    for await (const chunk of content) {
      if (signal.aborted) throw new Cancelled()
      bytes += chunk.length
      if (bytes > entry.bytes) break
      await output.writeFile(chunk)
    }
  } catch (error) {
    if (/^Z_/.test(String((error as NodeJS.ErrnoException).code)))
      throw broken(`${entry.path} cannot be unpacked`)
    throw error
  }
  if (bytes !== entry.bytes) throw broken(`${entry.path} has not its announced size`)
}

async function* inflated(packed: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const inflate = createInflateRaw()
  // the buffer behind a chunk is used again for the next one
  const copies = async function* () {
    for await (const chunk of packed) yield Buffer.from(chunk)
  }
  const done = pipeline(copies, inflate)
  done.catch(() => {}) // the loop below throws the same
  yield* inflate
  await done
}

async function* chunks(
  zip: FileHandle,
  start: number,
  length: number,
  buffer: Buffer,
): AsyncGenerator<Buffer> {
  for (let done = 0; done < length; ) {
    const chunk = buffer.subarray(0, Math.min(buffer.length, length - done))
    await read(zip, start + done, chunk)
    done += chunk.length
    yield chunk
  }
}

/** Fills the buffer. @throws Failure when the file ends before */
async function read(handle: FileHandle, position: number, buffer: Buffer): Promise<Buffer> {
  for (let done = 0; done < buffer.length; ) {
    const { bytesRead } = await handle.read(buffer, done, buffer.length - done, position + done)
    if (bytesRead === 0) throw broken('it is cut off')
    done += bytesRead
  }
  return buffer
}

function safeNumber(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw broken('it announces an impossible size')
  return Number(value)
}

function broken(why: string): Failure {
  return new Failure(
    'The artifact is refused: it is no zip file of a dump',
    why,
    'Upload the dump again; nothing was restored',
  )
}
