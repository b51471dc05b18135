import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../../failure.ts'
import { printable } from '../../text/text.ts'
import { checkRows } from './check.ts'
import { type Decode, decoder } from './encoding.ts'
import type { ArchiveEntry, Section } from './entry.ts'

/** A directory that `pg_dump -Fd` wrote, with the table of contents of its toc.dat. */
export interface Archive {
  directory: string
  /** Version of the archive format: `1.14`. */
  version: string
  /** Name of the database that was dumped. */
  database: string
  /** Version of the server that was dumped, as it called itself. */
  serverVersion: string
  /** Version of the pg_dump that wrote it. */
  clientVersion: string
  /** `client_encoding` of every statement in the archive, a PostgreSQL encoding name. */
  encoding: string
  standardStrings: boolean
  /** The dump's own search_path statement; null in archives from before 10.3, which want one for each schema. */
  searchPath: string | null
  /** In the order in which pg_restore would take them. */
  entries: ArchiveEntry[]
}

/** Formats that exist: 1.10 (pg_dump 8.3) is the first with everything read here, 1.16 (17, 18) the last known. */
const oldest = 10
const newest = 16

/** A table of contents larger than this (bytes) is refused: half a million tables need less. */
const mostBytes = 1024 ** 3
const mostEntries = 20_000_000

/**
 * Reads the table of contents of a directory archive from its toc.dat itself: `pg_restore -l` writes names with newlines
 * in a way that cannot be told from other entries. The file is judged, never trusted: lengths, counts, ids and file names
 * are checked before they are used, and so is every text that pg_restore would run (PostgreSQL source, pg_backup_archiver.c, ReadHead and ReadToc; pg_backup_directory.c).
 *
 * @param directory the archive's directory, which holds toc.dat and the data files
 * @throws Failure when the file is missing, damaged, of another format, names a file outside the directory, or would make
 *   pg_restore do more than load rows (see checkRows)
 */
export async function readArchive(directory: string): Promise<Archive> {
  const path = join(directory, 'toc.dat')
  let content: Buffer
  try {
    const { size } = await stat(path)
    if (size > mostBytes) throw damaged(directory, `toc.dat has ${size} bytes`)
    content = await readFile(path)
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure(
      'The archive has no readable table of contents',
      `${printable(path)}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`,
      'Check that the directory is the one that pg_dump -Fd wrote, complete',
      { cause: error },
    )
  }
  const archive = parseArchive(content, directory)
  await measure(archive)
  return archive
}

/**
 * The definitions of the entries of a kind in the bytes of a toc.dat: parts of `content` itself, so that what is written into
 * one changes it.
 *
 * @throws Failure as readArchive
 */
export function definitionsIn(content: Buffer, directory: string, desc: string): Buffer[] {
  const { raw } = readContents(content, directory)
  return raw.filter((entry) => entry.desc === desc).map(({ definition }) => definition)
}

/** The table of contents in the bytes of a toc.dat; sizes of data files are left at 0. See {@link readArchive}. */
export function parseArchive(content: Buffer, directory: string): Archive {
  const { minor, database, serverVersion, clientVersion, raw } = readContents(content, directory)
  const encoding = settingOf(raw, 'ENCODING') ?? 'UTF8'
  if (!/^[A-Za-z0-9_]{1,30}$/.test(encoding)) throw damaged(directory, 'its encoding')
  const decode = decoder(encoding)
  const ids = new Set<number>()
  const entries = raw.map((entry) => {
    if (ids.has(entry.dumpId)) throw damaged(directory, `the id ${entry.dumpId} comes twice`)
    ids.add(entry.dumpId)
    return decodeEntry(entry, decode, directory)
  })
  checkRows(entries)
  const searchPath = entries.find((entry) => entry.desc === 'SEARCHPATH')?.definition ?? null
  return {
    directory,
    version: `1.${minor}`,
    database: decode(database).text,
    serverVersion: serverVersion.toString('latin1'),
    clientVersion: clientVersion.toString('latin1'),
    encoding,
    standardStrings: settingOf(raw, 'STDSTRINGS') !== 'off',
    searchPath,
    entries: inRestoreOrder(entries),
  }
}

interface RawContents {
  minor: number
  database: Buffer
  serverVersion: Buffer
  clientVersion: Buffer
  raw: RawEntry[]
}

function readContents(content: Buffer, directory: string): RawContents {
  const reader = new Reader(content, directory)
  if (content.subarray(0, 5).toString('latin1') !== 'PGDMP') {
    throw damaged(directory, 'it does not begin with PGDMP')
  }
  reader.skip(5)
  const [major, minor] = [reader.byte(), reader.byte()]
  reader.byte() // revision, of no consequence
  if (major !== 1 || minor < oldest || minor > newest) {
    throw new Failure(
      `The archive has format version ${major}.${minor}`,
      `This program reads 1.${oldest} to 1.${newest}, from pg_dump 8.3 to 18`,
      'Dump with the client of the source server’s major version',
    )
  }
  reader.integerSize = reader.byte()
  if (reader.integerSize < 2 || reader.integerSize > 8) throw damaged(directory, 'its integer size')
  reader.byte() // size of offsets, which a directory does not use
  const format = reader.byte()
  // a directory's toc.dat calls itself tar, "for now" since 9.1; 5 is what the directory format's own number is
  if (format !== 3 && format !== 5) {
    throw new Failure(
      'The archive is not a directory archive',
      `toc.dat is of archive format ${format}`,
      'Dump with pg_dump -Fd',
    )
  }
  if (minor >= 15) reader.byte()
  else reader.integer() // compression: each data file tells it by its name as well
  for (let part = 0; part < 7; part++) reader.integer() // when the dump began, in local time without a zone
  const database = reader.text() ?? Buffer.alloc(0)
  const serverVersion = reader.text() ?? Buffer.alloc(0)
  const clientVersion = reader.text() ?? Buffer.alloc(0)
  const count = reader.integer()
  if (count < 0 || count > mostEntries) throw damaged(directory, `it counts ${count} entries`)

  const raw: RawEntry[] = []
  for (let index = 0; index < count; index++) raw.push(readEntry(reader, minor))
  return { minor, database, serverVersion, clientVersion, raw }
}

interface RawEntry {
  dumpId: number
  hasData: boolean
  withOids: boolean
  tableOid: string
  oid: string
  tag: Buffer
  desc: string
  section: number
  definition: Buffer
  dropStatement: Buffer
  copyStatement: Buffer | null
  namespace: Buffer
  tablespace: Buffer
  accessMethod: Buffer
  relationKind: string
  owner: Buffer
  dependencies: number[]
  dataFile: string
}

const nothing = Buffer.alloc(0)

function readEntry(reader: Reader, minor: number): RawEntry {
  const dumpId = reader.integer()
  if (dumpId <= 0 || dumpId > 0x7fffffff) throw reader.damaged(`an entry has the id ${dumpId}`)
  const hasData = reader.integer() !== 0
  const tableOid = (reader.text() ?? nothing).toString('latin1')
  const oid = (reader.text() ?? nothing).toString('latin1')
  const tag = reader.text() ?? nothing
  const desc = (reader.text() ?? nothing).toString('latin1')
  if (!/^[A-Z<>a-z ]{1,60}$/.test(desc)) throw reader.damaged(`the entry ${dumpId} has no kind`)
  const section = minor >= 11 ? reader.integer() : oldSection(desc)
  const definition = reader.text() ?? nothing
  const dropStatement = reader.text() ?? nothing
  const copyStatement = reader.text()
  const namespace = reader.text() ?? nothing
  const tablespace = reader.text() ?? nothing
  const accessMethod = (minor >= 14 ? reader.text() : null) ?? nothing
  const kind = minor >= 16 ? reader.integer() : 0
  const owner = reader.text() ?? nothing
  const withOids = reader.text()?.toString('latin1') === 'true'
  const dependencies: number[] = []
  for (let text = reader.text(); text !== null; text = reader.text()) {
    const id = Number.parseInt(text.toString('latin1'), 10)
    if (!(id > 0 && id <= 0x7fffffff)) throw reader.damaged(`a dependency of the entry ${dumpId}`)
    dependencies.push(id)
  }
  let dataFile = (reader.text() ?? nothing).toString('latin1')
  // pg_restore opens directory/name: nothing but a plain name may get there
  if (!/^(?!\.{1,2}$)[A-Za-z0-9_.-]{0,100}$/.test(dataFile)) {
    throw reader.damaged(
      `the entry ${dumpId} names the file ${printable(JSON.stringify(dataFile))}`,
    )
  }
  // before archives of 17 there is one list of large objects, whatever the entry names: clients before 12 name a file in it
  // that they never write (pg_backup_directory.c, _ArchiveEntry and _LoadLOs)
  if (minor < 16 && desc === 'BLOBS' && dataFile !== '') dataFile = 'blobs.toc'
  return {
    dumpId,
    hasData,
    withOids,
    tableOid,
    oid,
    tag,
    desc,
    section,
    definition,
    dropStatement,
    copyStatement,
    namespace,
    tablespace,
    accessMethod,
    relationKind: kind > 0 && kind < 128 ? String.fromCharCode(kind) : '',
    owner,
    dependencies,
    dataFile,
  }
}

/** Sections of archives from before 9.2, by kind; the numbers are those of newer archives. */
function oldSection(desc: string): number {
  if (/^(COMMENT|ACL|ACL LANGUAGE)$/.test(desc)) return 1
  if (/^(TABLE DATA|BLOBS|BLOB COMMENTS)$/.test(desc)) return 3
  if (/^((CHECK |FK )?CONSTRAINT|INDEX|RULE|TRIGGER)$/.test(desc)) return 4
  return 2
}

const sections: readonly Section[] = ['none', 'pre-data', 'data', 'post-data']

function decodeEntry(raw: RawEntry, decode: Decode, directory: string): ArchiveEntry {
  const section = sections[raw.section - 1]
  if (!section) throw damaged(directory, `the entry ${raw.dumpId} is of section ${raw.section}`)
  let exact = true
  const text = (bytes: Buffer) => {
    const result = decode(bytes)
    exact &&= result.exact
    return result.text
  }
  return {
    dumpId: raw.dumpId,
    hasData: raw.hasData,
    withOids: raw.withOids,
    tableOid: Number(raw.tableOid) || 0,
    oid: Number(raw.oid) || 0,
    tag: text(raw.tag),
    desc: raw.desc,
    section,
    definition: text(raw.definition),
    dropStatement: text(raw.dropStatement),
    copyStatement: raw.copyStatement && text(raw.copyStatement),
    namespace: text(raw.namespace),
    tablespace: text(raw.tablespace),
    accessMethod: text(raw.accessMethod),
    relationKind: raw.relationKind,
    owner: text(raw.owner),
    dependencies: raw.dependencies,
    dataFile: raw.dataFile || null,
    dataBytes: 0,
    bytes: exact ? null : raw.definition,
  }
}

/** The quoted value in `SET client_encoding = 'UTF8';` and the like. */
function settingOf(raw: RawEntry[], desc: string): string | undefined {
  const entry = raw.find((one) => one.desc === desc)
  return entry?.definition.toString('latin1').match(/'([^']*)'/)?.[1]
}

/**
 * The order in which pg_restore works: comments, grants and the like count to the section of the entry before them;
 * entries are otherwise as in the file, where pg_dump has put them in order of their dependencies.
 */
function inRestoreOrder(entries: ArchiveEntry[]): ArchiveEntry[] {
  let current: Section = 'pre-data'
  for (const entry of entries) {
    if (entry.section === 'none') entry.section = current
    else current = entry.section
  }
  return entries
}

/** Fills in the sizes of the data files: bytes on disk, compressed or not. */
async function measure(archive: Archive): Promise<void> {
  const size = async (name: string) => {
    for (const suffix of ['', '.gz', '.lz4', '.zst']) {
      try {
        return (await stat(join(archive.directory, name + suffix))).size
      } catch {
        // the next suffix
      }
    }
    return null
  }
  for (const entry of archive.entries) {
    if (!entry.dataFile) continue
    const bytes = await size(entry.dataFile)
    if (bytes === null) {
      throw new Failure(
        'The archive is not complete',
        `The data file ${printable(entry.dataFile)} of ${printable(entry.tag)} is missing`,
        'Fetch the dump again, or dump again',
      )
    }
    entry.dataBytes = bytes
    if (entry.desc !== 'BLOBS') continue
    for await (const name of largeObjectsOf(archive.directory, entry.dataFile))
      entry.dataBytes += (await size(name)) ?? 0
  }
  // clients before 12 read this one whatever the entry names
  for (const list of await readdir(archive.directory))
    if (/^blobs.*\.toc/.test(list)) for await (const _ of largeObjectsOf(archive.directory, list));
}

/**
 * The files that a list of large objects names, `<oid> blob_<oid>.dat` in each line: pg_restore opens whatever stands there.
 *
 * @throws Failure when another file is named, or the list is compressed, which pg_dump never does and pg_restore would read
 */
async function* largeObjectsOf(directory: string, list: string): AsyncGenerator<string> {
  if (/\.(gz|lz4|zst)$/.test(list) || !(await stat(join(directory, list)).catch(() => null)))
    throw damaged(directory, `the list ${printable(list)}`)
  for await (const line of linesOf(join(directory, list))) {
    const name = line.match(/^\d{1,10} (blob_\d{1,10}\.dat)$/)?.[1]
    if (!name) throw damaged(directory, `the list ${printable(list)}`)
    yield name
  }
}

async function* linesOf(path: string): AsyncGenerator<string> {
  const file = await open(path)
  try {
    for await (const line of file.readLines()) yield line
  } finally {
    await file.close()
  }
}

class Reader {
  integerSize = 4
  private position = 0
  private readonly content: Buffer
  private readonly directory: string

  constructor(content: Buffer, directory: string) {
    this.content = content
    this.directory = directory
  }

  byte(): number {
    const value = this.content[this.position++]
    if (value === undefined) throw this.damaged('it ends early')
    return value
  }

  skip(count: number): void {
    this.position += count
  }

  /** A sign byte, then the magnitude, least significant byte first. */
  integer(): number {
    const sign = this.byte()
    let value = 0
    for (let index = 0; index < this.integerSize; index++) value += this.byte() * 256 ** index
    if (!Number.isSafeInteger(value)) throw this.damaged('a number is out of range')
    return sign ? -value : value
  }

  /** A length, then as many bytes; a negative length is NULL. */
  text(): Buffer | null {
    const length = this.integer()
    if (length < 0) return null
    if (length > this.content.length - this.position) throw this.damaged('it ends early')
    const bytes = this.content.subarray(this.position, this.position + length)
    if (bytes.includes(0)) throw this.damaged('a text holds a NUL')
    this.position += length
    return bytes
  }

  damaged(what: string): Failure {
    return damaged(this.directory, `${what} (at byte ${this.position})`)
  }
}

function damaged(directory: string, what: string): Failure {
  return new Failure(
    'The table of contents of the archive is damaged',
    `${printable(join(directory, 'toc.dat'))}: ${what}`,
    'Fetch the dump again, or dump again',
  )
}
