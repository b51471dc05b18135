import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Makes an archive of a pg_dump from 12 to 15 (format 1.14) what a pg_dump of 10 or 11 would have written (1.13): those
 * cannot be had as programs. They name a file `N.dat` for the large objects that they never write, keep WITH OIDS beside a
 * table's statement, and know no access methods (pg_backup_archiver.c, WriteToc; pg_backup_directory.c, _ArchiveEntry).
 *
 * @param withOids tags of tables that were WITH OIDS
 */
export async function makeOldArchive(
  directory: string,
  withOids: readonly string[] = [],
): Promise<void> {
  const path = join(directory, 'toc.dat')
  const old = await readFile(path)
  if (old[5] !== 1 || old[6] !== 14) throw new Error(`the archive is of 1.${old[6]}, not 1.14`)
  const size = old[8] ?? 4
  const parts: Buffer[] = []
  let at = 0
  const copy = (length: number) => {
    parts.push(old.subarray(at, at + length))
    at += length
  }
  const peekInteger = () => {
    const value = old.readUIntLE(at + 1, size)
    return old[at] ? -value : value
  }
  const integer = () => {
    const value = peekInteger()
    copy(1 + size)
    return value
  }
  const text = () => {
    const length = integer()
    const from = at
    if (length > 0) copy(length)
    return length < 0 ? null : old.toString('utf8', from, at)
  }
  const write = (value: string) => {
    const head = Buffer.alloc(1 + size)
    head.writeUIntLE(Buffer.byteLength(value), 1, size)
    parts.push(head, Buffer.from(value))
  }
  const skipText = () => {
    const length = peekInteger()
    at += 1 + size + Math.max(0, length)
  }
  copy(6)
  parts.push(Buffer.from([13]))
  at++
  copy(4) // revision, sizes, format
  for (let part = 0; part < 8; part++) integer()
  for (let part = 0; part < 3; part++) text()
  for (let left = integer(); left > 0; left--) {
    const id = integer()
    integer()
    text()
    text()
    const tag = text()
    const desc = text()
    integer() // section
    for (let part = 0; part < 5; part++) text() // definition, drop, copy, namespace, tablespace
    skipText() // access method
    text() // owner
    skipText()
    write(desc === 'TABLE' && withOids.includes(tag ?? '') ? 'true' : 'false')
    while (text() !== null);
    if (desc === 'BLOBS') {
      skipText()
      write(`${id}.dat`)
    } else text()
  }
  if (at !== old.length) throw new Error(`${old.length - at} bytes are left`)
  await writeFile(path, Buffer.concat(parts))
}
