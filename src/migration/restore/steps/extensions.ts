import { Failure, messageOf } from '../../../failure.ts'
import { mayPass } from '../../../postgres/errors.ts'
import { refuses } from '../../../postgres/sqlstates.ts'
import { makePlan, type RestorePlan } from '../plan/plan.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { PlanRefused, refuseLosses } from '../plan-restore.ts'
import { absentTables } from '../run/absent-tables.ts'
import { runEntry } from '../run/statements.ts'
import type { Worker } from '../run/worker.ts'
import type { RunningRestore } from '../running-restore.ts'

/**
 * Creates the extensions before anything else: whether the target really lets the account have them shows only now, and
 * still before the first row.
 */
export async function createExtensions(restore: RunningRestore): Promise<void> {
  const { created, refused: now } = await create(restore.plan, restore.worker)
  restore.extensions += created
  const absent = await absentTables(restore.plan, restore.worker)
  if (now.size === 0 && absent.size === 0) return
  const refused = new Map([...restore.plan.facts.refused, ...now])
  const facts = { ...restore.plan.facts, refused, absent }
  restore.replan(makePlan(restore.plan.archives, facts, restore.plan.options))
  try {
    refuseLosses(restore.plan, restore.context)
  } catch (error) {
    throw error instanceof Failure ? new PlanRefused(error) : error
  }
}

/**
 * Creates the extensions of a plan, and notes the access methods that the database has then.
 *
 * @returns how many were created, and those that the target refused, with what it said
 */
async function create(
  plan: RestorePlan,
  worker: Worker,
): Promise<{ created: number; refused: Map<string, string> }> {
  const wanted = restored(plan, ({ entry }) => entry.desc === 'EXTENSION')
  const refused = new Map<string, string>()
  let created = 0
  for (const item of wanted) {
    await worker.retrying(item.name, item.entry.definition, async (session) => {
      try {
        for (const schema of schemasOf(item, plan)) await runEntry(session, schema, plan)
        await runEntry(session, item, plan)
        created++
      } catch (error) {
        const { code = '' } = error as { code?: string }
        if (!refuses(code, 'extension') || mayPass(error)) throw error
        refused.set(item.entry.tag, messageOf(error))
      }
    })
  }
  if (wanted.length > 0) {
    await worker.retrying('access methods', '', async (session) => {
      const { rows } = await session.query<{ name: string }>(
        'SELECT amname AS name FROM pg_catalog.pg_am',
      )
      for (const { name } of rows) plan.accessMethods.add(name)
    })
  }
  return { created, refused }
}

/** The schemas that an extension is to be created in. */
function schemasOf({ archive, entry: extension }: PlannedEntry, plan: RestorePlan): PlannedEntry[] {
  return restored(
    plan,
    (item) =>
      item.archive === archive &&
      item.entry.desc === 'SCHEMA' &&
      extension.dependencies.includes(item.entry.dumpId),
  )
}

function restored(plan: RestorePlan, which: (item: PlannedEntry) => boolean): PlannedEntry[] {
  return plan.entries.filter((item) => item.decision.kind !== 'leave-out' && which(item))
}
