import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import type { ChecklistItem } from '../../../report/model.ts'
import type { Fate, PlannedEntry } from './planned-entry.ts'

/** What acts by itself on the target, and so must not before the cutover: it arrives, but asleep. */

const reason =
  'restored disabled, so that it acts on nothing before the cutover: the checklist has the line that enables it'

/**
 * The fate of an event trigger that is enabled on the source. pg_dump writes what it is set to behind CREATE EVENT TRIGGER;
 * both statements are one query, so it never stands enabled on the target.
 *
 * @param masked the entry's statement, its names and strings masked
 * @returns undefined for another entry, and for an event trigger that is disabled anyway
 */
export function asleepFate(entry: ArchiveEntry, masked: string): Fate | undefined {
  if (entry.desc !== 'EVENT TRIGGER' || /\bDISABLE\s*;\s*$/.test(masked)) return undefined
  return {
    kind: 'otherwise',
    definition: `${entry.definition}\nALTER EVENT TRIGGER ${quoteIdentifier(entry.tag)} DISABLE;`,
    reason,
    facets: ['enabled'],
  }
}

/**
 * What is to be woken at the cutover, of the entries that are there.
 *
 * @param database as the target calls it
 */
export function wakeUp(entries: readonly PlannedEntry[], database: string): ChecklistItem[] {
  const lines = entries.flatMap(({ entry, fate }) => {
    if (entry.desc !== 'EVENT TRIGGER' || fate.kind !== 'otherwise') return []
    const how = /\bENABLE (ALWAYS|REPLICA)\s*;\s*$/.exec(entry.definition)?.[1]
    return [
      `ALTER EVENT TRIGGER ${quoteIdentifier(entry.tag)} ENABLE${how === undefined ? '' : ` ${how}`};`,
    ]
  })
  if (lines.length === 0) return []
  return [
    {
      what: 'Enable the event triggers, which were restored disabled so that they act on nothing before',
      side: 'target',
      database,
      lines,
    },
  ]
}
