/**
 * What archives call the objects of a catalog fingerprint: `DESC schema.name`, as the restore announces what it left out.
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

/** The entries that an archive may have for an object. */
export function entriesOf(kind: string, name: string): string[] {
  return (descs[kind] ?? [kind.toUpperCase()]).map((desc) => `${desc} ${archiveName(kind, name)}`)
}

/** The entries for an object's comment or grants. */
export function entriesOn(prefix: 'COMMENT' | 'ACL', kind: string, name: string): string[] {
  const own = {
    database: 'DATABASE',
    constraint: 'CONSTRAINT',
    'foreign server': 'FOREIGN SERVER',
  }[kind]
  const on = own ? [own] : (descs[kind] ?? [kind.toUpperCase()])
  // grants on anything like a table are grants on a TABLE
  const all = /view|table|sequence/.test(kind) ? [...on, 'TABLE'] : on
  return all.map((desc) => `${prefix} ${desc} ${archiveName(kind, name)}`)
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
