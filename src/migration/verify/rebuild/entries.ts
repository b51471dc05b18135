import { maskStatement } from '../../../postgres/archive/statement.ts'
import { listedTypes } from '../../../postgres/portable-sql.ts'
import { printable } from '../../../text/text.ts'
import type { PlannedEntry } from '../../restore/plan/planned-entry.ts'
import { cut } from '../../restore/plan/rewrite.ts'
import type { OpenDefinition } from '../catalog/definition.ts'
import { entriesOf, parentEntries } from '../compare/archive-names.ts'

/** Kinds of entries that say nothing of how a definition is printed, or reach out of the database. */
const neverRebuilt =
  /^(ACL|ACL LANGUAGE|DEFAULT ACL|COMMENT|SECURITY LABEL|EVENT TRIGGER|SUBSCRIPTION|SUBSCRIPTION TABLE|SERVER|FOREIGN SERVER|USER MAPPING|FOREIGN DATA WRAPPER|ROW SECURITY|MATERIALIZED VIEW DATA|SEQUENCE SET|BLOB.*|STATISTICS DATA)$/

/** Publications are inert, but rebuilt only where one of them differs. */
const publications = /^PUBLICATION( |$)/

/** Entries that complete what the entry of a table, view or domain says, and that depend on it. */
const completing =
  /^(DEFAULT|CHECK CONSTRAINT|TABLE ATTACH|RULE|PUBLICATION TABLE|PUBLICATION TABLES IN SCHEMA)$/

/** Which entries of a plan are rebuilt to decide about definitions. */
export interface Selection {
  /** For each definition the entries that make it, in the order of `open`. */
  own: PlannedEntry[][]
  /** Those and what they need, in the order of the archives. */
  first: PlannedEntry[]
  /** Everything else of the schema, for a definition about which the first say nothing final. */
  rest: PlannedEntry[]
}

/**
 * Chooses from the entries of the dump's own schema, by their names and dependencies. A pure function.
 *
 * @param entries of a plan for an empty database, in the order of the archives
 * @param open what is to be decided
 */
export function selectEntries(
  entries: readonly PlannedEntry[],
  open: readonly OpenDefinition[],
): Selection {
  const usable = entries.filter(({ entry }) => entry.section !== 'data' && !entry.hasData)
  const rebuilt = usable.filter(({ entry }) => !neverRebuilt.test(entry.desc))
  const index = new EntryIndex(rebuilt)
  const own = open.map((definition) => index.entriesOf(definition))
  const wanted = new Set<PlannedEntry>()
  const queue = [...new Set(own.flat())]
  for (let next = queue.pop(); next; next = queue.pop()) {
    if (wanted.has(next)) continue
    wanted.add(next)
    queue.push(...index.needsOf(next))
  }
  return {
    own,
    first: rebuilt.filter((one) => wanted.has(one)),
    rest: rebuilt.filter((one) => !wanted.has(one) && !publications.test(one.entry.desc)),
  }
}

class EntryIndex {
  private readonly byName = new Map<string, PlannedEntry[]>()
  private readonly byId = new Map<string, PlannedEntry>()
  private readonly schemas = new Map<string, PlannedEntry>()
  private readonly completions = new Map<PlannedEntry, PlannedEntry[]>()

  constructor(entries: readonly PlannedEntry[]) {
    for (const one of entries) {
      // a dump with all names in quotes calls functions otherwise than the catalogs do
      add(this.byName, listedTypes(one.name), one)
      this.byId.set(idOf(one, one.entry.dumpId), one)
      if (one.entry.desc === 'SCHEMA') this.schemas.set(one.entry.tag, one)
    }
    for (const one of entries) {
      if (!completing.test(one.entry.desc)) continue
      for (const needed of this.dependencies(one)) add(this.completions, needed, one)
    }
  }

  /** The entries that make what a definition is about: its own, else those of its table, and all that completes them. */
  entriesOf({ kind, name, constraint }: OpenDefinition): PlannedEntry[] {
    const named = (names: string[]) =>
      names.flatMap((one) => this.byName.get(listedTypes(printable(one))) ?? [])
    const own = named([
      ...entriesOf(kind, name),
      ...(constraint === undefined ? [] : entriesOf('constraint', constraint)),
    ])
    const found =
      own.length > 0
        ? own
        : named([
            ...parentEntries(kind, name),
            ...(constraint === undefined ? [] : parentEntries('constraint', constraint)),
          ])
    return [
      ...new Set(
        found.flatMap((one) => [
          one,
          // what refers to a table without belonging to it is no part of it
          ...(/^(INDEX|CONSTRAINT|TRIGGER|POLICY)$/.test(one.entry.desc)
            ? []
            : (this.completions.get(one) ?? [])),
        ]),
      ),
    ]
  }

  /** What an entry cannot be rebuilt without; of a view made in two steps also the second. */
  needsOf(one: PlannedEntry): PlannedEntry[] {
    const schema = this.schemas.get(one.entry.namespace)
    const later = (this.completions.get(one) ?? []).filter(
      ({ entry }) => one.entry.desc === 'VIEW' && entry.desc === 'RULE',
    )
    return [...this.dependencies(one), ...(schema ? [schema] : []), ...later]
  }

  private dependencies(one: PlannedEntry): PlannedEntry[] {
    return one.entry.dependencies.flatMap((id) => this.byId.get(idOf(one, id)) ?? [])
  }
}

function idOf({ archive }: PlannedEntry, dumpId: number): string {
  return `${archive.directory}\0${dumpId}`
}

function add<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key)
  if (list) list.push(value)
  else map.set(key, [value])
}

/** Entries whose statements may begin with CREATE or ALTER FOREIGN TABLE. */
const onForeignTables = /^(FOREIGN TABLE|DEFAULT|CHECK CONSTRAINT|TABLE ATTACH)$/

/**
 * A foreign table as an ordinary one of the same columns: what is printed of it, or of a view on it, needs no server.
 *
 * @returns the entry to be carried out; the given one where it is of no foreign table
 */
export function withoutServer(one: PlannedEntry): PlannedEntry {
  const { entry, archive, decision } = one
  if (!onForeignTables.test(entry.desc) || decision.kind === 'leave-out') return one
  const sql = decision.kind === 'otherwise' ? decision.definition : entry.definition
  const mask = (text: string) => maskStatement(text, archive.standardStrings)
  const word = /(?<=(?:^|;)\s*(?:CREATE|ALTER) )FOREIGN (?=TABLE )/g
  if (mask(sql).search(word) < 0) return one
  const options = /\nALTER FOREIGN TABLE [^;]* OPTIONS \([^()]*\);|\nSERVER [^;]*(?=;)/g
  const plain = cut(sql, mask(sql), options)
  const without = cut(plain, mask(plain), / OPTIONS \([^()]*\)/g)
  const definition = cut(without, mask(without), word)
  return {
    ...one,
    decision: { kind: 'otherwise', definition, reason: 'rebuilt without its server', facets: [] },
  }
}
