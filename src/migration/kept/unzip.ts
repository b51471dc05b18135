import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from 'yauzl'
import { Cancelled, Failure } from '../../failure.ts'
import { formatBytes } from '../../text/numbers.ts'
import { refuseUnlessFree } from '../free-space.ts'
import { isSafePath, shown } from './manifest.ts'

/** What is unpacked of an entry, once its name and its sizes have passed. */
interface Member {
  path: string
  bytes: number
  entry: Entry
}

const mostEntries = 2_000_000
/** Bytes of the list of files. */
const mostDirectory = 512 * 1024 * 1024
const bufferBytes = 256 * 1024

/**
 * Unpacks a zip file that anybody may have made: the list at its end is checked whole before the first byte is written,
 * no file leaves `into` or replaces another, none grows beyond its announced size, and all of them fit on the disk.
 * Files get mode 0600, directories 0700. yauzl reads the format; what it lists is judged here. The checksums in the zip are not looked at: the manifest has better ones.
 *
 * @param most bytes that it may unpack to
 * @returns the paths written
 * @throws Failure naming what is wrong; Cancelled. What was written until then stays.
 */
export async function extractZip(
  zip: string,
  into: string,
  signal: AbortSignal,
  most = Number.POSITIVE_INFINITY,
): Promise<string[]> {
  const handle = await open(zip, 'r')
  try {
    const archive = await openArchive(handle)
    const members = await readMembers(archive)
    await mkdir(into, { recursive: true, mode: 0o700 })
    const bytes = members.reduce((sum, member) => sum + member.bytes, 0)
    if (bytes > most)
      throw broken(
        `it unpacks to ${formatBytes(bytes)}, more than the ${formatBytes(most)} allowed`,
      )
    await refuseUnlessFree(into, bytes, (free) => [
      'The artifact does not fit on the disk',
      `It unpacks to ${formatBytes(bytes)}, and ${formatBytes(free)} are free at ${into}`,
      'Free space, or set dump-directory to a larger disk',
    ])
    const made = new Set<string>()
    for (const member of members) {
      if (signal.aborted) throw new Cancelled()
      const directory = dirname(join(into, member.path))
      if (!made.has(directory)) await makeDirectory(directory, member.path)
      made.add(directory)
      await extract(archive, member, join(into, member.path), signal)
    }
    return members.map((member) => member.path)
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

/** @throws Failure where the file has not the end of a zip file */
async function openArchive(handle: FileHandle): Promise<ZipFile> {
  const { size } = await handle.stat()
  const archive = await fromRandomAccessReaderPromise(new HandleReader(handle), size, {
    autoClose: false,
    // names stay bytes, and sizes are compared below: a name is judged as it is, not as yauzl would mend it
    decodeStrings: false,
    validateEntrySizes: false,
  }).catch((error) => {
    throw asFailure(error, 'its end is missing or damaged')
  })
  // an error that nobody waits for any more would end the process
  archive.on('error', () => {})
  return archive
}

/**
 * The files that the zip file lists.
 *
 * @throws Failure where one of them is none that a dump has
 */
async function readMembers(archive: ZipFile): Promise<Member[]> {
  if (archive.entryCount > mostEntries) throw broken('it lists too many files')
  const members: Member[] = []
  const seen = new Set<string>()
  let listed = 0
  const entries = archive.eachEntry()
  for (;;) {
    const { value: entry, done } = await entries.next().catch((error) => {
      throw asFailure(error, 'its list of files is damaged')
    })
    if (done) break
    listed += entry.fileNameLength + entry.extraFieldLength + entry.fileCommentLength
    if (listed > mostDirectory) throw broken('it lists too many files')
    const member = judge(entry)
    if (member === null) continue
    const { path } = member
    if (seen.has(path.toLowerCase())) throw broken(`it holds ${path} twice`)
    seen.add(path.toLowerCase())
    members.push(member)
  }
  for (const { path } of members) {
    for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1))
      if (seen.has(path.slice(0, at).toLowerCase()))
        throw broken(`it holds ${path} below a file, ${path.slice(0, at)}`)
  }
  return members
}

/** @returns null for a directory. @throws Failure where the entry is no plain file that a dump has */
function judge(entry: Entry): Member | null {
  const path = entry.fileNameRaw.toString('utf8')
  if (entry.isEncrypted()) throw broken(`${shown(path)} is encrypted by a zip program`)
  const { uncompressedSize: bytes, compressionMethod: method } = entry
  const numbers = [bytes, entry.compressedSize, entry.relativeOffsetOfLocalHeader]
  if (!numbers.every(Number.isSafeInteger)) throw broken('it announces an impossible size')
  if (path.endsWith('/') && bytes === 0 && isSafePath(path.slice(0, -1))) return null
  if (!isSafePath(path)) throw broken(`it names a file that no dump has: ${shown(path)}`)
  const mode = entry.externalFileAttributes >>> 16
  if ((mode & 0o170000) === 0o120000) throw broken(`${path} is a symbolic link`)
  if (method !== 0 && method !== 8) throw broken(`${path} is packed in an unknown way (${method})`)
  return { path, bytes, entry }
}

async function extract(
  archive: ZipFile,
  { path, bytes, entry }: Member,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const content = await archive.openReadStreamPromise(entry).catch((error) => {
    throw asFailure(error, `${path} is cut off, or is not where it should be`)
  })
  // see openArchive
  content.on('error', () => {})
  try {
    await using output = await open(file, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST' && error.code !== 'EISDIR') throw error
      throw broken(`it would replace ${path}, which is there already`)
    })
    let written = 0
    for await (const chunk of content as AsyncIterable<Buffer>) {
      if (signal.aborted) throw new Cancelled()
      written += chunk.length
      if (written > bytes) break
      await output.writeFile(chunk)
    }
    if (written !== bytes) throw broken(`${path} has not its announced size`)
  } catch (error) {
    if (/^Z_/.test(String((error as NodeJS.ErrnoException).code)))
      throw broken(`${path} cannot be unpacked`)
    throw error
  } finally {
    content.destroy()
  }
}

/**
 * Reads for yauzl from a file that is open. yauzl's own reader passes positions from the file to fs.read as they are, which
 * throws for an impossible one where nobody can catch it.
 */
class HandleReader extends RandomAccessReader {
  private readonly handle: FileHandle

  constructor(handle: FileHandle) {
    super()
    this.handle = handle
  }

  override _readStreamForRange(start: number, end: number): Readable {
    return Readable.from(this.chunks(start, end), { objectMode: false })
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    this.fill(buffer.subarray(offset, offset + length), position).then(
      () => callback(null, length),
      (error: Error) => callback(error),
    )
  }

  // a stream of the handle itself would close it
  private async *chunks(start: number, end: number): AsyncGenerator<Buffer> {
    for (let at = start; at < end; at += bufferBytes) {
      const chunk = Buffer.allocUnsafe(Math.min(bufferBytes, end - at))
      await this.fill(chunk, at)
      yield chunk
    }
  }

  private async fill(buffer: Buffer, position: number): Promise<void> {
    for (let done = 0; done < buffer.length; ) {
      const at = position + done
      const { bytesRead } = Number.isSafeInteger(at)
        ? await this.handle.read(buffer, done, buffer.length - done, at)
        : { bytesRead: 0 }
      if (bytesRead === 0) throw broken('it is cut off')
      done += bytesRead
    }
  }
}

/** What yauzl threw, in our words; a failure and an error of the file system stay what they are. */
function asFailure(error: unknown, why: string): unknown {
  const isOurs = error instanceof Failure || (error as NodeJS.ErrnoException).code !== undefined
  return isOurs ? error : broken(why)
}

function broken(why: string): Failure {
  return new Failure(
    'The artifact is refused: it is no zip file of a dump',
    why,
    'Upload the dump again; nothing was restored',
  )
}
