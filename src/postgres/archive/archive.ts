import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../../failure.ts'
import { printable } from '../../text/text.ts'
import { checkRows } from './check.ts'
import { type Decode, decoder } from './encoding.ts'
import type { ArchiveEntry, Section } from './entry.ts'
import { ManyFiles } from './many-files.ts'
import { damaged, type RawEntry, readContents } from './toc.ts'

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

/** A table of contents larger than this (bytes) is refused: half a million tables need less. */
const mostBytes = 1024 ** 3

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

/** The table of contents in the bytes of a toc.dat; sizes of data files are left at 0. See {@link readArchive}. */
export function parseArchive(content: Buffer, directory: string): Archive {
  const contents = readContents(content, directory)
  const { minor, database, serverVersion, clientVersion } = contents
  const encoding = encodingAmong(contents.entries()) ?? 'UTF8'
  if (!/^[A-Za-z0-9_]{1,30}$/.test(encoding)) throw damaged(directory, 'its encoding')
  const decode = decoder(encoding)
  const ids = new Set<number>()
  const same = sameTexts()
  const entries: ArchiveEntry[] = []
  let standardStrings: string | undefined
  for (const entry of contents.entries()) {
    if (ids.has(entry.dumpId)) throw damaged(directory, `the id ${entry.dumpId} comes twice`)
    ids.add(entry.dumpId)
    if (entry.desc === 'STDSTRINGS') standardStrings ??= settingIn(entry) ?? ''
    entries.push(decodeEntry(entry, decode, same, directory))
  }
  checkRows(entries)
  const searchPath = entries.find((entry) => entry.desc === 'SEARCHPATH')?.definition ?? null
  return {
    directory,
    version: `1.${minor}`,
    database: decode(database).text,
    serverVersion: serverVersion.toString('latin1'),
    clientVersion: clientVersion.toString('latin1'),
    encoding,
    standardStrings: standardStrings !== 'off',
    searchPath,
    entries: inRestoreOrder(entries),
  }
}

/**
 * The entries of a kind alone, in the order of the file, of an archive that this run has made: all of them take much longer to read.
 * What pg_restore would run of them is not looked at.
 *
 * @throws Failure when the table of contents is damaged or of another format
 */
export function entriesOfKind(content: Buffer, directory: string, desc: string): ArchiveEntry[] {
  const contents = readContents(content, directory)
  const decode = decoder(encodingAmong(contents.entries()) ?? 'UTF8')
  const same = sameTexts()
  const found: ArchiveEntry[] = []
  for (const entry of contents.entries())
    if (entry.desc === desc) found.push(decodeEntry(entry, decode, same, directory))
  return found
}

const sections: readonly Section[] = ['none', 'pre-data', 'data', 'post-data']

/** Gives the same string for the same text: names of schemas, owners and kinds come with every entry. */
function sameTexts(): (text: string) => string {
  const known = new Map<string, string>()
  return (text) => {
    const found = known.get(text)
    if (found === undefined) known.set(text, text)
    return found ?? text
  }
}

function decodeEntry(
  raw: RawEntry,
  decode: Decode,
  same: (text: string) => string,
  directory: string,
): ArchiveEntry {
  const section = sections[raw.section - 1]
  if (!section) throw damaged(directory, `the entry ${raw.dumpId} is of section ${raw.section}`)
  let exact = true
  const text = (bytes: Buffer) => {
    if (bytes.length === 0) return ''
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
    desc: same(raw.desc),
    section,
    definition: text(raw.definition),
    dropStatement: text(raw.dropStatement),
    copyStatement: raw.copyStatement && text(raw.copyStatement),
    namespace: same(text(raw.namespace)),
    tablespace: same(text(raw.tablespace)),
    accessMethod: same(text(raw.accessMethod)),
    relationKind: raw.relationKind,
    owner: same(text(raw.owner)),
    dependencies: raw.dependencies,
    dataFile: raw.dataFile || null,
    dataBytes: 0,
    bytes: exact ? null : raw.definition,
  }
}

/** By which all texts are read: it stands among the first entries. */
function encodingAmong(entries: Iterable<RawEntry>): string | undefined {
  for (const entry of entries) if (entry.desc === 'ENCODING') return settingIn(entry)
  return undefined
}

/** The quoted value in `SET client_encoding = 'UTF8';` and the like. */
function settingIn(entry: RawEntry): string | undefined {
  return entry.definition.toString('latin1').match(/'([^']*)'/)?.[1]
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

/** What compression adds to the name of a data file. */
const suffixes = ['', '.gz', '.lz4', '.zst']

/** Fills in the sizes of the data files: bytes on disk, compressed or not. */
async function measure(archive: Archive): Promise<void> {
  // one look at what there is: ten thousand tables would else be asked for by every name that they may have
  const files = new Set(await readdir(archive.directory))
  const many = new ManyFiles()
  const size = async (name: string) => {
    const suffix = suffixes.find((one) => files.has(name + one))
    if (suffix === undefined) return null
    return (await many.stat(join(archive.directory, name + suffix)))?.size ?? null
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
  for (const list of files)
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
