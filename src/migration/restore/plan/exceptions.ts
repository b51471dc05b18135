import type { Archive } from '../../../postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { qualifiedName, quoteIdentifier } from '../../../postgres/identifiers.ts'
import { markSchema } from '../database/mark.ts'
import type { DatabaseProperties } from '../database/properties.ts'
import { type Decision, leaveOut } from './planned-entry.ts'

/** Entries that can come to nothing because of how a restore works, or an archive is made, rather than for what they are. */

/** A schema that is called like the one in which a restore keeps its notes: it is left out, and what is in it goes along. */
export function decideNotes({ entries }: Archive): Decision {
  const isUsed = entries.some(({ namespace }) => namespace === markSchema)
  // what an interrupted restore left in the source, when that was a target once
  const isMark = entries.some(
    ({ desc, tag, definition }) =>
      desc === 'COMMENT' &&
      tag.includes(markSchema) &&
      /\{"dump":"[0-9a-f]*","memberships":/.test(definition),
  )
  return leaveOut(
    'a restore keeps its notes in a schema of this name',
    'Rename the schema on the source',
    isMark && !isUsed ? 'nothing' : 'behaviour',
  )
}

/**
 * Rows of a table that belongs to an extension of the source's, but that the target's does not make: somebody added it, and
 * marked it for dumping (pg_extension_config_dump).
 *
 * @param absent see run/absent-tables.ts
 */
export function decideAbsent(
  entry: ArchiveEntry,
  absent: ReadonlySet<string> | undefined,
  { extensionTables }: DatabaseProperties,
): Decision | undefined {
  if (!holdsRows(entry) || !absent?.has(`${entry.namespace}.${entry.tag}`)) return undefined
  const extension = extensionTables.find(
    ({ schema, name }) => schema === entry.namespace && name === entry.tag,
  )?.extension
  const named = extension === undefined ? 'an extension' : `the extension ${extension}`
  const kind = entry.desc === 'TABLE DATA' ? 'TABLE' : 'SEQUENCE'
  const object = qualifiedName(entry.namespace, entry.tag)
  return leaveOut(
    `it belongs to ${named}, so the dump has no definition of it, and the extension on the target does not make it`,
    `Take it out of the extension on the source, and migrate again: ALTER EXTENSION ${extension === undefined ? '…' : quoteIdentifier(extension)} DROP ${kind} ${object}`,
    'rows',
  )
}

/** An entry that holds rows, or the value of a sequence. */
export function holdsRows({ desc }: ArchiveEntry): boolean {
  return desc === 'TABLE DATA' || desc === 'SEQUENCE SET'
}
