import type { Archive } from '../../../postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { maskStatement, nameAt } from '../../../postgres/archive/statement.ts'
import { extensionOf } from '../database/extension-grants.ts'
import type { DatabaseProperties } from '../database/properties.ts'
import { type Decision, lossOf, type PlannedEntry } from './planned-entry.ts'

/** What hangs on something that is left out is left out as well, and says so. */
export function takeAlong(entries: readonly PlannedEntry[]): void {
  const causes = entries.filter(({ entry, decision }) => takesAlong(entry, decision))
  // of most databases nothing is left out, and nobody has to know what hangs on what
  if (causes.length > 0) new Dependants(entries).takeAlong(causes)
}

/** What hangs on each of some entries, looked up once for all that may still be left out. */
export class Dependants {
  private readonly of = new Map<PlannedEntry, PlannedEntry[]>()

  constructor(entries: readonly PlannedEntry[]) {
    const planned = new Map(entries.map((one) => [one.entry, one]))
    const ids = new Map<Archive, Map<number, PlannedEntry>>()
    for (const one of entries) {
      const own = ids.get(one.archive) ?? new Map<number, PlannedEntry>()
      ids.set(one.archive, own.set(one.entry.dumpId, one))
    }
    for (const one of entries) {
      const needed = [
        ...one.entry.dependencies.map((id) => ids.get(one.archive)?.get(id)),
        ...(one.needs ?? []).map((entry) => planned.get(entry)),
      ]
      for (const item of needed) {
        if (!item) continue
        const list = this.of.get(item)
        if (list) list.push(one)
        else this.of.set(item, [one])
      }
    }
  }

  /**
   * Leaves out what hangs on those of some entries that are left out.
   *
   * @returns what was taken along
   */
  takeAlong(causes: readonly PlannedEntry[]): PlannedEntry[] {
    const queue = causes.filter(({ entry, decision }) => takesAlong(entry, decision))
    const taken: PlannedEntry[] = []
    // the queue grows meanwhile
    for (const next of queue) {
      for (const dependant of this.of.get(next) ?? []) {
        const decision = decisionAlong(dependant, next)
        if (!decision) continue
        dependant.decision = decision
        taken.push(dependant)
        queue.push(dependant)
      }
    }
    return taken
  }
}

/** What becomes of an entry that hangs on one that is left out; undefined where it stays as it is. */
function decisionAlong(dependant: PlannedEntry, next: PlannedEntry): Decision | undefined {
  const { decision } = next
  if (decision.kind !== 'leave-out' || dependant.decision.kind === 'leave-out') return undefined
  if (doesWithout(next.entry, dependant.entry)) return undefined
  const cause = decision.along ?? next
  // an extension is in the archive without its tables, so nobody has given up their rows yet
  const isAlone = next.entry.desc === 'EXTENSION' && !dependant.empty
  const goesWithIt =
    (dependant.entry.desc === 'TABLE DATA' && !isAlone) ||
    /^(ACL|COMMENT|SECURITY LABEL|SUBSCRIPTION TABLE|PUBLICATION TABLE)$/.test(dependant.entry.desc)
  return {
    kind: 'leave-out',
    reason: `it needs ${cause.name}, which ${decision.failed ? 'could not be restored' : 'is left out'}`,
    remedy: decision.remedy,
    loss: goesWithIt ? 'nothing' : lossOf(dependant.entry),
    along: cause,
    ...(decision.failed ? { failed: true } : {}),
  }
}

/** A table without its access method is a heap, which is what it was made of everywhere before version 12. */
function doesWithout(cause: ArchiveEntry, dependant: ArchiveEntry): boolean {
  return (
    cause.desc === 'ACCESS METHOD' &&
    /^(TABLE|MATERIALIZED VIEW)$/.test(dependant.desc) &&
    dependant.accessMethod === cause.tag
  )
}

/** A comment or grant that is left out takes nothing along, nor does what the target has already. */
function takesAlong(entry: ArchiveEntry, decision: Decision): boolean {
  return (
    decision.kind === 'leave-out' &&
    !/^(ACL|COMMENT|SECURITY LABEL|DEFAULT ACL|STATISTICS)$/.test(entry.desc) &&
    !decision.there
  )
}

/**
 * What entries need although pg_dump notes no dependency: a user mapping its server, grants on a member of an extension and
 * the rows of one of its tables that extension, and rows their table, where its definition is in another archive.
 */
export class Needs {
  private readonly database: DatabaseProperties
  private readonly named = new Map<string, { archive: Archive; entry: ArchiveEntry }[]>()

  /** @param archives all in which something can be that an entry needs */
  constructor(archives: readonly Archive[], database: DatabaseProperties) {
    this.database = database
    for (const archive of archives) {
      for (const entry of archive.entries) {
        const { desc, tag, namespace } = entry
        if (/^(EXTENSION|SERVER)$/.test(desc)) this.note(keyOf(desc, tag), archive, entry)
        if (isRelation.test(desc)) this.note(keyOf(desc, tag, namespace), archive, entry)
      }
    }
  }

  private note(key: string, archive: Archive, entry: ArchiveEntry): void {
    const list = this.named.get(key)
    if (list) list.push({ archive, entry })
    else this.named.set(key, [{ archive, entry }])
  }

  /** What an entry of an archive needs. */
  of(archive: Archive, entry: ArchiveEntry): ArchiveEntry[] {
    const { extensionGrants, extensionTables } = this.database
    const { desc, tag, namespace } = entry
    const all = (...keys: string[]) => keys.flatMap((key) => this.named.get(key) ?? [])
    const named = (kind: string, name: string | undefined) =>
      name === undefined ? [] : all(keyOf(kind, name)).map((one) => one.entry)
    if (desc === 'ACL') return named('EXTENSION', extensionOf(extensionGrants, entry))
    if (/^(TABLE DATA|SEQUENCE SET)$/.test(desc)) {
      const found = extensionTables.find(({ schema, name }) => schema === namespace && name === tag)
      const kinds = desc === 'TABLE DATA' ? ['TABLE', 'FOREIGN TABLE'] : ['SEQUENCE']
      const elsewhere = all(...kinds.map((kind) => keyOf(kind, tag, namespace)))
        // of its own archive pg_dump notes it
        .filter((one) => one.archive !== archive)
        .map((one) => one.entry)
      return [...named('EXTENSION', found?.extension), ...elsewhere]
    }
    if (desc !== 'USER MAPPING') return []
    const at = /\bSERVER /.exec(maskStatement(entry.definition, archive.standardStrings))
    return named(
      'SERVER',
      (at && nameAt(entry.definition, at.index + at[0].length)?.name) ?? undefined,
    )
  }
}

const isRelation = /^(TABLE|FOREIGN TABLE|SEQUENCE)$/

const keyOf = (...names: string[]) => names.join('\0')
