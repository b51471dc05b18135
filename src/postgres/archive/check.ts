import { Failure } from '../../failure.ts'
import { printable, shorten } from '../../text/text.ts'
import { type ArchiveEntry, entryName } from './entry.ts'
import { maskStatement } from './statement.ts'

/**
 * What pg_restore runs of an archive although it is told to restore rows alone: the path that every session begins with, the
 * definition of each listed entry, and its COPY statement, all of them text out of the archive (PostgreSQL source,
 * pg_backup_archiver.c: _doSetFixedOutputState, restore_toc_entry). Each must be exactly what pg_dump writes, of 9.1 to 18.
 */

/** The statements of the three entries about the session. 10.3 is the first with a search_path of its own. */
const ofSession: Readonly<Record<string, RegExp>> = {
  ENCODING: /^SET client_encoding = '\w{1,30}';\n?$/,
  STDSTRINGS: /^SET standard_conforming_strings = '(on|off)';\n?$/,
  SEARCHPATH: /^SELECT pg_catalog\.set_config\('search_path', '', false\);\n?$/,
}

/** A name as pg_dump writes it (fmtId): quoted, or with nothing in it that would need quotes. */
const name = '(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_]*)'
// a table without columns leaves two blanks; WITH OIDS is of clients before 12
const copyText = `^COPY (?:(${name})\\.)?(${name}) (?:\\(${name}(?:, ${name})*\\))? ?(?:WITH OIDS )?FROM stdin;`
const copy = new RegExp(`${copyText}\\n?$`)
const copyBefore = new RegExp(`${copyText}\\n`)

/**
 * The COPY statement that a script begins with, its newline included.
 *
 * @param script bytes as Latin-1: in no encoding that a dump can have is a quote or a newline part of another character
 * @returns undefined where there is none, or it is not complete
 */
export function copyStatementAt(script: string): string | undefined {
  return copyBefore.exec(script)?.[0]
}

/** What 16 and later note where rows go through the partitioned table above; pg_restore sends it to the server. */
const partitionRoot = /^-- load via partition root [^\r\n]+\n?$/

/**
 * @param entries the archive's entries, decoded
 * @throws Failure that names the first entry whose text would make pg_restore do more than load its rows; into which table they go
 *   is left to checkRoots() where the archive defines none, as one of the data section alone
 */
export function checkRows(entries: readonly ArchiveEntry[]): void {
  const seen = new Set<string>()
  const defines = entries.some(({ desc }) => desc === 'TABLE')
  for (const entry of entries) {
    const statement = ofSession[entry.desc]
    if (statement) {
      if (seen.has(entry.desc)) throw refused(entry, 'it comes twice, and the last would count')
      seen.add(entry.desc)
      if (!statement.test(entry.definition))
        throw refused(entry, `it would run ${shown(entry.definition)}`)
    } else if (entry.hasData) checkData(entry)
  }
  if (defines) checkRoots([{ entries }])
}

/**
 * Rows of a partition may go through its partitioned table, whose definition may be in another archive of the same database.
 *
 * @param archives all of the database that are there: checked when each was read, to be called before rows of them are loaded
 * @throws Failure that names the first entry whose rows would go into a table that is neither its own nor a partitioned one
 */
export function checkRoots(archives: readonly { entries: readonly ArchiveEntry[] }[]): void {
  for (const { entries } of archives) {
    for (const entry of entries) {
      const into = otherTable(entry)
      if (!into) continue
      const isRoot = (other: ArchiveEntry) => isTable(other, into) && isPartitioned(other)
      if (!archives.some((one) => one.entries.some(isRoot)))
        throw refused(entry, `it would fill another table: ${shown(entry.copyStatement ?? '')}`)
    }
  }
}

/**
 * Entries whose rows are INSERT statements (`pg_dump --inserts`): pg_restore runs whatever stands in their data files.
 *
 * @throws Failure that names the first, to be called for a dump of which nobody can tell who wrote it
 */
export function refuseInserts(entries: readonly ArchiveEntry[]): void {
  const entry = entries.find(({ desc, copyStatement }) => desc === 'TABLE DATA' && !copyStatement)
  if (entry)
    throw new Failure(
      'The dump holds statements where a dump has rows',
      `${shorten(entryName(entry), 200)} was dumped with --inserts or the like, and nothing proves who wrote these statements`,
      'Make the dump without that option; or with passphrase, which seals it, and restore it with the same one',
    )
}

function checkData(entry: ArchiveEntry): void {
  if (entry.desc !== 'TABLE DATA' && entry.desc !== 'BLOBS')
    throw refused(entry, 'no entry of this kind has rows')
  if (entry.definition !== '' && !partitionRoot.test(entry.definition))
    throw refused(entry, `it would run ${shown(entry.definition)}`)
  const statement = entry.copyStatement ?? ''
  if (statement !== '' && (entry.desc !== 'TABLE DATA' || !copy.test(statement)))
    throw refused(entry, `it would run ${shown(statement)}`)
}

/** The table that rows are copied into, where it is not their own. */
function otherTable(entry: ArchiveEntry): { namespace: string; tag: string } | undefined {
  if (!entry.hasData || !entry.copyStatement) return undefined
  const [, schema, table = ''] = copy.exec(entry.copyStatement) ?? []
  const into = {
    // archives from before 10.3 count on search_path
    namespace: schema === undefined ? entry.namespace : unquoted(schema),
    tag: unquoted(table),
  }
  return into.namespace === entry.namespace && into.tag === entry.tag ? undefined : into
}

const isTable = (entry: ArchiveEntry, { namespace, tag }: { namespace: string; tag: string }) =>
  entry.desc === 'TABLE' && entry.namespace === namespace && entry.tag === tag

const isPartitioned = ({ definition }: ArchiveEntry) =>
  /\bPARTITION BY\b/.test(maskStatement(definition))

const unquoted = (text: string) =>
  text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text

const shown = (statement: string) => shorten(printable(statement.trim()), 200)

function refused(entry: ArchiveEntry, why: string): Failure {
  return new Failure(
    'The archive is refused: pg_restore would do more than load rows',
    `${shorten(entryName(entry), 200)}: ${why}`,
    'No pg_dump wrote it so: find out who changed the dump, and make it again; nothing was restored',
  )
}
