/** An entry of a table of contents; what is not said is that of a table. */
export interface Written {
  dumpId?: number
  tag?: string
  desc?: string
  section?: number
  definition?: string
  namespace?: string
  owner?: string
  dependencies?: number[]
  file?: string
  copy?: string | null
}

/** Writes a toc.dat as pg_dump of the given archive version does (pg_backup_archiver.c, WriteHead and WriteToc). */
export function toc(entries: Written[], minor = 14, encoding: BufferEncoding = 'utf8'): Buffer {
  const parts: Buffer[] = []
  const byte = (value: number) => parts.push(Buffer.from([value]))
  const integer = (value: number) => {
    byte(value < 0 ? 1 : 0)
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(Math.abs(value))
    parts.push(bytes)
  }
  const text = (value: string | null) => {
    if (value === null) return integer(-1)
    const bytes = Buffer.from(value, encoding)
    integer(bytes.length)
    parts.push(bytes)
  }
  parts.push(Buffer.from('PGDMP'))
  for (const value of [1, minor, 0, 4, 8, 3]) byte(value)
  if (minor >= 15) byte(0)
  else integer(-1)
  for (let part = 0; part < 7; part++) integer(1)
  for (const value of ['shop', '15.20', '15.20']) text(value)
  integer(entries.length)
  for (const [index, entry] of entries.entries()) {
    integer(entry.dumpId ?? index + 1)
    integer(entry.file ? 1 : 0)
    text('1259')
    text('16384')
    text(entry.tag ?? 't')
    text(entry.desc ?? 'TABLE')
    if (minor >= 11) integer(entry.section ?? 2)
    text(entry.definition ?? (entry.file ? '' : 'CREATE TABLE public.t ();\n'))
    text('DROP TABLE public.t;\n')
    text(entry.copy ?? null)
    text(entry.namespace ?? 'public')
    text('')
    if (minor >= 14) text('heap')
    if (minor >= 16) integer(114)
    text(entry.owner ?? 'app_owner')
    text('false')
    for (const id of entry.dependencies ?? []) text(String(id))
    text(null)
    text(entry.file ?? '')
  }
  return Buffer.concat(parts)
}
