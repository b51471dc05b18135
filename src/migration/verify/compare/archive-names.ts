import { listedTypes } from '../../../postgres/portable-sql.ts'

/**
 * What archives call the objects of a catalog fingerprint: `DESC schema.name`, as the restore announces what it left out
 * (pg_dump.c, the tags of its entries).
 */

const descs: Record<string, string[]> = {
  constraint: ['CONSTRAINT', 'FK CONSTRAINT', 'CHECK CONSTRAINT'],
  'statistics object': ['STATISTICS'],
  language: ['PROCEDURAL LANGUAGE', 'LANGUAGE'],
  'foreign server': ['SERVER'],
  'foreign-data wrapper': ['FOREIGN DATA WRAPPER'],
  'default privileges': ['DEFAULT ACL'],
  database: ['DATABASE', 'DATABASE PROPERTIES'],
  type: ['TYPE', 'SHELL TYPE'],
}

/** Kinds whose name begins with the table that they belong to, and that a dump may carry inside of the table's entry. */
const ofTables = ['constraint', 'trigger', 'rule', 'policy']

/** An object as the entries about it call it: of a routine also with the names of its arguments. */
export interface Named {
  name: string
  /** The arguments as `pg_get_function_identity_arguments` has them. */
  signature?: string | undefined
}

/** Kinds whose names end with types as the server prints them, and where these begin. */
const typed = /^(function|procedure|aggregate|operator|cast|transform|member of an extension)$/
const types = /(\(|^TRANSFORM FOR ).*$/s

/** What tells an object from the others of its kind, on every server: the source's name may have fewer quotes than the target's. */
export function listedObject(kind: string, name: string): string {
  return typed.test(kind) ? name.replace(types, listedTypes) : name
}

/** The entries that an archive may have for an object. */
export function entriesOf(kind: string, name: string): string[] {
  return (descs[kind] ?? [kind.toUpperCase()]).map((desc) => `${desc} ${archiveName(kind, name)}`)
}

/** The entries for an object's comment or grants; those of old clients name no kind in an ACL. */
export function entriesOn(prefix: 'COMMENT' | 'ACL', kind: string, object: Named): string[] {
  const own = { database: ['DATABASE'], 'foreign server': ['FOREIGN SERVER', 'SERVER'] }[kind]
  const on = own ?? descs[kind] ?? [kind.toUpperCase()]
  const like = { 'default privileges': [], procedure: ['FUNCTION'], aggregate: ['FUNCTION'] }[kind]
  // grants on anything like a table are grants on a TABLE, and on a domain those on a TYPE
  const all = [
    ...on,
    ...(like ?? []),
    ...(/view|table|sequence/.test(kind) ? ['TABLE'] : []),
    ...(kind === 'domain' ? ['TYPE'] : []),
  ]
  const names = namesOn(kind, object)
  return [
    ...all.flatMap((desc) => names.map((name) => `${prefix} ${desc} ${name}`)),
    ...(prefix === 'ACL' ? names.map((name) => `ACL ${name}`) : []),
    ...(kind === 'default privileges' ? entriesOf(kind, object.name) : []),
  ]
}

/** The entries that a difference in one facet of an object may be due to, besides the object's own. */
export function entriesOfFacet(kind: string, object: Named, facet: string): string[] {
  const { name } = object
  const [, what = '', column = ''] = /^(comment|default) of (.*)$/s.exec(facet) ?? []
  if (what === 'comment') return [`COMMENT COLUMN ${name}.${column}`]
  if (what === 'default') return [`DEFAULT ${name} ${column}`]
  if (facet.startsWith('comment')) return entriesOn('COMMENT', kind, object)
  const setting = /^setting (\S+)(?: of (.*))?$/s.exec(facet)
  if (setting) return [`SETTING ${setting[2] === undefined ? '' : `${setting[2]} `}${setting[1]}`]
  switch (facet) {
    case 'connection limit':
      return ['DATABASE CONNECTION LIMIT']
    case 'template':
      return ['DATABASE TEMPLATE']
    case 'replica identity':
      return [`REPLICA IDENTITY ${name}`]
    case 'persistence':
      return [`UNLOGGED ${name}`]
    case 'row security':
      return [`ROW SECURITY ${name}`]
    case 'owned by':
      return [`SEQUENCE OWNED BY ${name}`]
    case 'parents':
    case 'partition bound':
      return [`TABLE ATTACH ${name}`]
    case 'partition':
      return [`INDEX ATTACH ${name}`]
    default:
      return []
  }
}

/** Whether an entry is about one of several things that a facet puts together: comments on parts of a type. */
export function isOfFacet(entry: string, name: string, facet: string): boolean {
  const own = name.slice(name.indexOf('.') + 1)
  if (facet === 'comments on attributes') return entry.startsWith(`COMMENT COLUMN ${name}.`)
  return (
    facet === 'comments on constraints' &&
    entry.startsWith('COMMENT CONSTRAINT ') &&
    entry.endsWith(` ON DOMAIN ${own}`)
  )
}

/** What the entries about an object may call it. */
function namesOn(kind: string, { name, signature }: Named): string[] {
  const names = [archiveName(kind, name), name]
  if (signature !== undefined) names.push(name.replace(/\([^()]*\)$/s, `(${signature})`))
  if (ofTables.includes(kind)) {
    for (const { schema, table, own } of splits(name)) names.push(`${schema}.${own} ON ${table}`)
  }
  return names
}

/** Every way to read `schema.table name`: each part may hold blanks and dots. */
function* splits(name: string): Generator<{ schema: string; table: string; own: string }> {
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
    for (let blank = name.indexOf(' ', dot); blank >= 0; blank = name.indexOf(' ', blank + 1)) {
      yield {
        schema: name.slice(0, dot),
        table: name.slice(dot + 1, blank),
        own: name.slice(blank + 1),
      }
    }
  }
}

/** The entries of the table that an object belongs to: where a name has blanks, of every table that it could be. */
export function parentEntries(kind: string, name: string): string[] {
  if (!ofTables.includes(kind)) return []
  const words = name.split(' ')
  return words
    .slice(0, -1)
    .flatMap((_, index) =>
      ['TABLE', 'FOREIGN TABLE', 'VIEW'].map(
        (desc) => `${desc} ${words.slice(0, index + 1).join(' ')}`,
      ),
    )
}

function archiveName(kind: string, name: string): string {
  switch (kind) {
    // their names begin with the kind, and archives do not say it twice
    case 'cast':
    case 'transform':
    case 'user mapping':
      return name.slice(kind.length + 1)
    case 'operator':
      return name.replace(/ \([^()]*\)$/s, '')
    case 'operator class':
    case 'operator family':
      return name.replace(/ USING [^ ]*$/s, '')
    case 'security label':
      return name.replace(
        /^(\S+) (.*) \S+$/s,
        (_, type: string, object: string) => `${type.toUpperCase()} ${object}`,
      )
    case 'default privileges': {
      const found = /^for role .*?(?: in schema (.*))? on ([a-z ]+)$/s.exec(name)
      return `${found?.[1] === undefined ? '' : `${found[1]}.`}DEFAULT PRIVILEGES FOR ${found?.[2]?.toUpperCase() ?? ''}`
    }
    default:
      return name
  }
}
