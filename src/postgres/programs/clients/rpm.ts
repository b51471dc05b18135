import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'

/** One file of a cpio archive. */
export interface CpioEntry {
  name: string
  /** File type and permission bits, as stat(2) has them. */
  mode: number
  content: Buffer
}

const headerLength = 110
const typeMask = 0o170_000
const types = { file: 0o100_000, directory: 0o040_000, link: 0o120_000 } as const

/**
 * Reads the "new ASCII" cpio format, which rpm2cpio writes (cpio(5)).
 *
 * @throws Error when the bytes are no such archive, or end in the middle of one
 */
export function* readCpio(archive: Buffer): Generator<CpioEntry> {
  for (let at = 0; ; ) {
    const magic = archive.toString('latin1', at, at + 6)
    if (magic !== '070701' && magic !== '070702') throw new Error(`No cpio entry at byte ${at}`)
    const field = (index: number) =>
      Number.parseInt(archive.toString('latin1', at + 6 + 8 * index, at + 14 + 8 * index), 16)
    const size = field(6)
    const nameSize = field(11)
    const nameEnd = at + headerLength + nameSize
    const start = aligned(nameEnd)
    if (!(start + size <= archive.length)) throw new Error('The cpio archive is truncated')
    const name = archive.toString('utf8', at + headerLength, nameEnd - 1)
    if (name === 'TRAILER!!!') return
    yield { name, mode: field(1), content: archive.subarray(start, start + size) }
    at = aligned(start + size)
  }
}

function aligned(offset: number): number {
  return (offset + 3) & ~3
}

/**
 * Writes the files, links and directories of a cpio archive below a directory, as the current user.
 *
 * @throws Error when an entry would lie outside the directory
 */
export async function unpackCpio(archive: Buffer, directory: string): Promise<void> {
  const links: CpioEntry[] = []
  for (const entry of readCpio(archive)) {
    const type = entry.mode & typeMask
    const path = below(directory, entry.name)
    if (type === types.directory) await mkdir(path, { recursive: true })
    else if (type === types.file) {
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, entry.content)
      await chmod(path, entry.mode & 0o755)
    } else if (type === types.link) links.push(entry)
  }
  // last, so that nothing is written through a link
  for (const entry of links) {
    const path = below(directory, entry.name)
    await mkdir(dirname(path), { recursive: true })
    await symlink(entry.content.toString('utf8'), path)
  }
}

function below(directory: string, name: string): string {
  const relative = normalize(name).replace(/^\/+/, '')
  if (relative.split('/').includes('..')) throw new Error(`The archive names ${name}`)
  return join(directory, relative)
}
