import { printable } from '../../text/text.ts'

/** Where pg_restore puts an entry; those that are `none` in the archive are given the section they belong to. */
export type Section = 'none' | 'pre-data' | 'data' | 'post-data'

/** One entry of an archive's table of contents (PostgreSQL source, pg_backup_archiver.h, TocEntry). */
export interface ArchiveEntry {
  dumpId: number
  /** It has data of its own: rows or large objects. */
  hasData: boolean
  /** The table is WITH OIDS, which its definition does not say (before version 12). */
  withOids: boolean
  /** OID of the system catalog, and of the object in it on the source. 0 where there is none. */
  tableOid: number
  oid: number
  /** The object's name without its schema; `table name` for triggers, rules, policies and constraints. */
  tag: string
  /** The kind: `TABLE`, `FK CONSTRAINT`, `ACL`, … */
  desc: string
  section: Section
  /** One or more statements, or none. */
  definition: string
  dropStatement: string
  /** Null when the rows are INSERT statements, or there are none. */
  copyStatement: string | null
  /** The schema, empty where objects of the kind have none. */
  namespace: string
  tablespace: string
  accessMethod: string
  /** `pg_class.relkind` in archives of 17 and later, else empty. */
  relationKind: string
  owner: string
  dependencies: number[]
  /** Name of the data file without the suffix that compression adds. */
  dataFile: string | null
  /** Bytes of the data on disk. */
  dataBytes: number
  /** The definition as it is in the archive where it has no exact text (see readArchive), else null. */
  bytes: Buffer | null
}

/** Kinds that a comment, grant or security label can be on, longest first, as they begin the tag. */
const subjects =
  /^(TEXT SEARCH (?:CONFIGURATION|DICTIONARY|PARSER|TEMPLATE)|FOREIGN DATA WRAPPER|FOREIGN SERVER|FOREIGN TABLE|MATERIALIZED VIEW|PROCEDURAL LANGUAGE|EVENT TRIGGER|ACCESS METHOD|LARGE OBJECTS?|OPERATOR CLASS|OPERATOR FAMILY|CONSTRAINT|AGGREGATE|COLLATION|CONVERSION|EXTENSION|PROCEDURE|PUBLICATION|STATISTICS|SUBSCRIPTION|TRANSFORM|DATABASE|FUNCTION|LANGUAGE|OPERATOR|SEQUENCE|TRIGGER|COLUMN|DOMAIN|POLICY|SCHEMA|INDEX|TABLE|CAST|RULE|TYPE|VIEW) (.*)$/s

/**
 * The entry as users name it in `allow-missing` and read it in the report: `TABLE public.orders`,
 * `FUNCTION audit.log(integer)`, `COMMENT TABLE public.orders`. Names are as they are, not quoted, and printable.
 */
export function entryName(entry: Pick<ArchiveEntry, 'desc' | 'namespace' | 'tag'>): string {
  const schema = entry.namespace ? `${entry.namespace}.` : ''
  const about = /^(COMMENT|ACL|SECURITY LABEL)$/.test(entry.desc) && entry.tag.match(subjects)
  if (about) return printable(`${entry.desc} ${about[1]} ${schema}${about[2]}`)
  // `BLOBS` is called that twice, and a user mapping's name begins with its kind
  const named = entry.tag === entry.desc || entry.tag.startsWith(`${entry.desc} `)
  return printable(named ? entry.tag : `${entry.desc} ${schema}${entry.tag}`)
}

/**
 * Whether an entry is about the session or the database itself: archives of every section hold those (PostgreSQL source,
 * pg_backup_archiver.c, _tocEntryRequired). The restore looks after these on its own.
 */
export function isOfDatabase({ desc, tag }: Pick<ArchiveEntry, 'desc' | 'tag'>): boolean {
  return (
    /^(ENCODING|STDSTRINGS|SEARCHPATH|DATABASE|DATABASE PROPERTIES|<Init>)$/.test(desc) ||
    (/^(COMMENT|ACL|SECURITY LABEL)$/.test(desc) && tag.startsWith('DATABASE '))
  )
}
