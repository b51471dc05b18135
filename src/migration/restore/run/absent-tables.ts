import { holdsRows } from '../plan/exceptions.ts'
import type { RestorePlan } from '../plan/plan.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import type { Worker } from './worker.ts'

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
      .filter((item) => item.decision.kind !== 'leave-out' && holdsRows(item.entry))
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
