import type { Archive } from '../../../postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { qualifiedName, quoteIdentifier } from '../../../postgres/identifiers.ts'
import { stateSchema } from '../database/mark.ts'
import type { DatabaseProperties } from '../database/properties.ts'
import type { Worker } from '../run/worker.ts'
import type { RestorePlan } from './plan.ts'
import { type Fate, leaveOut, type PlannedEntry } from './planned-entry.ts'

/** Entries that can come to nothing because of how a restore works, or an archive is made, rather than for what they are. */

/** A schema that is called like the one in which a restore keeps its notes: it is left out, and what is in it goes along. */
export function notesFate({ entries }: Archive): Fate {
  const isUsed = entries.some(({ namespace }) => namespace === stateSchema)
  // what an interrupted restore left in the source, when that was a target once
  const isMark = entries.some(
    ({ desc, tag, definition }) =>
      desc === 'COMMENT' &&
      tag.includes(stateSchema) &&
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
 * @param absent see `absentTables`
 */
export function absentFate(
  entry: ArchiveEntry,
  absent: ReadonlySet<string> | undefined,
  { extensionTables }: DatabaseProperties,
): Fate | undefined {
  if (!isContent(entry) || !absent?.has(`${entry.namespace}.${entry.tag}`)) return undefined
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

/**
 * The tables and sequences, as `schema.name`, whose rows or value the archives hold without a definition, since they are an
 * extension's, and that the target has not. To be asked once its extensions are there.
 */
export async function absentTables(plan: RestorePlan, worker: Worker): Promise<Set<string>> {
  const key = ({ entry }: PlannedEntry) => `${entry.namespace}.${entry.tag}`
  const defined = new Set(
    plan.entries
      .filter(({ entry }) => /^(TABLE|SEQUENCE|MATERIALIZED VIEW)$/.test(entry.desc))
      .map(key),
  )
  const absent = new Set(
    plan.entries
      .filter((item) => item.fate.kind !== 'leave-out' && isContent(item.entry))
      .map(key)
      .filter((name) => !defined.has(name)),
  )
  if (absent.size === 0) return absent
  await worker.retrying('tables of extensions', '', async (session) => {
    const { rows } = await session.query<{ name: string }>(`
      SELECT n.nspname || '.' || c.relname AS name
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p', 'f', 'S')`)
    for (const { name } of rows) absent.delete(name)
  })
  return absent
}

function isContent({ desc }: ArchiveEntry): boolean {
  return desc === 'TABLE DATA' || desc === 'SEQUENCE SET'
}
