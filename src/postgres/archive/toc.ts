import { join } from 'node:path'
import { Failure } from '../../failure.ts'
import { printable } from '../../text/text.ts'

/** Formats that exist: 1.10 (pg_dump 8.3) is the first with everything read here, 1.16 (17, 18) the last known. */
const oldest = 10

const newest = 16

const mostEntries = 20_000_000

/**
 * The definitions of the entries of a kind in the bytes of a toc.dat: parts of `content` itself, so that what is written into
 * one changes it.
 *
 * @throws Failure as readArchive
 */
export function definitionsIn(content: Buffer, directory: string, desc: string): Buffer[] {
  const { entries } = readContents(content, directory)
  const found: Buffer[] = []
  for (const entry of entries()) if (entry.desc === desc) found.push(entry.definition)
  return found
}

interface RawContents {
  minor: number
  database: Buffer
  serverVersion: Buffer
  clientVersion: Buffer
  /** Reads the entries one after the other, each time from the first: all at once would be more than what is kept of them. */
  entries(): Generator<RawEntry>
}

export function readContents(content: Buffer, directory: string): RawContents {
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

  const first = reader.place
  return {
    ...{ minor, database, serverVersion, clientVersion },
    *entries() {
      reader.place = first
      for (let index = 0; index < count; index++) yield readEntry(reader, minor)
    },
  }
}

export interface RawEntry {
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
  const tableOid = reader.latin1() ?? ''
  const oid = reader.latin1() ?? ''
  const tag = reader.text() ?? nothing
  const desc = reader.latin1() ?? ''
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
  const withOids = reader.latin1() === 'true'
  const dependencies: number[] = []
  for (let text = reader.latin1(); text !== null; text = reader.latin1()) {
    const id = Number.parseInt(text, 10)
    if (!(id > 0 && id <= 0x7fffffff)) throw reader.damaged(`a dependency of the entry ${dumpId}`)
    dependencies.push(id)
  }
  let dataFile = reader.latin1() ?? ''
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
    // a list that has grown keeps room for more, which would be most of an entry
    dependencies: dependencies.slice(),
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

class Reader {
  integerSize = 4
  /** Bytes from the beginning. */
  place = 0
  private readonly content: Buffer
  private readonly directory: string

  constructor(content: Buffer, directory: string) {
    this.content = content
    this.directory = directory
  }

  byte(): number {
    const value = this.content[this.place++]
    if (value === undefined) throw this.damaged('it ends early')
    return value
  }

  skip(count: number): void {
    this.place += count
  }

  /** A sign byte, then the magnitude, least significant byte first. */
  integer(): number {
    const { content, place } = this
    // the size that every pg_dump of today's machines writes
    if (this.integerSize === 4 && place + 5 <= content.length) {
      this.place += 5
      const value = content.readUInt32LE(place + 1)
      return content[place] ? -value : value
    }
    const sign = this.byte()
    let value = 0
    for (let index = 0; index < this.integerSize; index++) value += this.byte() * 256 ** index
    if (!Number.isSafeInteger(value)) throw this.damaged('a number is out of range')
    return sign ? -value : value
  }

  /** A length, then as many bytes; a negative length is NULL. */
  text(): Buffer | null {
    const end = this.endOfText()
    if (end === null) return null
    const { place } = this
    this.place = end
    return end === place ? nothing : this.content.subarray(place, end)
  }

  /** The same as a string, for what is never in the encoding of the archive. */
  latin1(): string | null {
    const end = this.endOfText()
    if (end === null) return null
    const { place } = this
    this.place = end
    return this.content.toString('latin1', place, end)
  }

  /** Where the text ends whose length comes next, and which begins here then; null for NULL. */
  private endOfText(): number | null {
    const length = this.integer()
    if (length < 0) return null
    const { content, place } = this
    if (length > content.length - place) throw this.damaged('it ends early')
    const end = place + length
    const zero = length === 0 ? -1 : content.indexOf(0, place)
    if (zero >= 0 && zero < end) throw this.damaged('a text holds a NUL')
    return end
  }

  damaged(what: string): Failure {
    return damaged(this.directory, `${what} (at byte ${this.place})`)
  }
}

export function damaged(directory: string, what: string): Failure {
  return new Failure(
    'The table of contents of the archive is damaged',
    `${printable(join(directory, 'toc.dat'))}: ${what}`,
    'Fetch the dump again, or dump again',
  )
}
