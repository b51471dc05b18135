import { messageOf } from '../../../failure.ts'
import { maskStatement } from '../../../postgres/archive/statement.ts'
import { mayPass, sqlstateOf } from '../../../postgres/errors.ts'
import { qualifiedName } from '../../../postgres/identifiers.ts'
import type { EntryResult } from '../../../report/model.ts'
import type { TemporaryRights } from '../owners/temporary-rights.ts'
import type { RestorePlan } from '../plan/plan.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { mostTogether } from './schedule.ts'
import { unloggedSetting } from './target-session.ts'
import type { Worker } from './worker.ts'

/** What a table was made as, by the server's own account. */
interface Made {
  item: PlannedEntry
  identity: string
  persistence: string
}

/**
 * Puts right what the target's settings make of every new table, otherwise than the dump says: on PolarDB 11 each is REPLICA
 * IDENTITY FULL (docs/polardb.md, "Defaults for tables"). To be called when the tables have been made, before the indexes
 * that a replica identity may name. It looks at what was made, not at settings, which the account may not be able to see.
 *
 * @returns what could not be put right, by the names `REPLICA IDENTITY s.t` and `UNLOGGED s.t`
 */
export async function correctTables(
  plan: RestorePlan,
  rights: TemporaryRights,
  worker: Worker,
): Promise<EntryResult[]> {
  const made = await tablesMade(plan, worker)
  const refused: EntryResult[] = []
  const full = made.filter(
    ({ item, identity }) => identity === 'f' && !says(item, /\bREPLICA IDENTITY FULL\b/),
  )
  for (let from = 0; from < full.length; from += mostTogether) {
    const some = full.slice(from, from + mostTogether)
    const sql = some.map(({ item }) => statementOf(item)).join('\n')
    let done = false
    await worker.retrying('replica identities', sql, async (session) => {
      try {
        await session.query(sql)
        done = true
      } catch (error) {
        if (sqlstateOf(error) === undefined || mayPass(error)) throw error
      }
    })
    if (done) continue
    for (const { item } of some) {
      const statement = statementOf(item)
      const entry = `REPLICA IDENTITY ${item.entry.namespace}.${item.entry.tag}`
      await worker.retrying(entry, statement, async (session) => {
        try {
          await rights.as(session, item.entry.owner, statement)
        } catch (error) {
          if (sqlstateOf(error) === undefined || mayPass(error)) throw error
          refused.push({
            entry,
            reason: `the target makes every table REPLICA IDENTITY FULL, and refuses to change it: ${messageOf(error)}`,
          })
        }
      })
    }
  }
  for (const { item, persistence } of made) {
    if (persistence !== 'p' || !says(item, /^\s*CREATE UNLOGGED TABLE\b/)) continue
    refused.push({
      entry: `UNLOGGED ${item.entry.namespace}.${item.entry.tag}`,
      reason: `the target makes every table permanent (${unloggedSetting})`,
    })
  }
  return refused
}

function statementOf({ entry }: PlannedEntry): string {
  const kind = entry.desc === 'TABLE' ? 'TABLE ONLY' : entry.desc
  return `ALTER ${kind} ${qualifiedName(entry.namespace, entry.tag)} REPLICA IDENTITY DEFAULT;`
}

function says({ archive, entry, decision }: PlannedEntry, syntax: RegExp): boolean {
  const definition = decision.kind === 'otherwise' ? decision.definition : entry.definition
  return syntax.test(maskStatement(definition, archive.standardStrings))
}

/** The plan's tables and materialized views that are not as a table is by default. */
async function tablesMade(plan: RestorePlan, worker: Worker): Promise<Made[]> {
  const wanted = new Map<string, PlannedEntry>()
  for (const item of plan.entries) {
    const { entry, decision } = item
    if (decision.kind === 'leave-out' || !/^(TABLE|MATERIALIZED VIEW)$/.test(entry.desc)) continue
    wanted.set(`${entry.namespace}\0${entry.tag}`, item)
  }
  if (wanted.size === 0) return []
  let made: Made[] = []
  await worker.retrying('tables', '', async (session) => {
    const { rows } = await session.query<{
      schema: string
      name: string
      identity: string
      persistence: string
    }>(`
      SELECT n.nspname AS schema, c.relname AS name, c.relreplident AS identity, c.relpersistence AS persistence
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p', 'm') AND c.oid >= 16384`)
    made = rows.flatMap(({ schema, name, identity, persistence }) => {
      const item = wanted.get(`${schema}\0${name}`)
      return item ? [{ item, identity, persistence }] : []
    })
  })
  return made
}
