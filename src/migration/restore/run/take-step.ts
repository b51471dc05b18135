import { qualifiedName, quoteIdentifier } from '../../../postgres/identifiers.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import type { Books, PatientSession } from './patient-session.ts'
import { sqlOf } from './statements.ts'
import type { TargetSession } from './target-session.ts'
import type { Step, TwoSteps } from './task.ts'
import { twoStepsOf } from './two-steps.ts'

/**
 * Takes one of the two steps that make an entry. What the target refuses leaves nothing of the entry behind, and is noted as
 * it is for an entry that is made at once, with both statements.
 *
 * @param worker whose session it is
 * @param run the restore that it belongs to
 * @param alone an index is to be built by no process beside the session's
 * @throws EntryFailed when the restore cannot go on; Cancelled
 */
export async function takeStep(
  worker: PatientSession,
  run: Books,
  item: PlannedEntry,
  { steps, isLast }: Step,
  alone: boolean,
): Promise<void> {
  // the step before, or another entry, may have taken it along
  if (item.decision.kind === 'leave-out') return
  const login = run.loginOf(item)
  const text = `${steps.first}\n${steps.second}`
  const running = worker.begin(item.name, isLast ? 1 : 0, [item])
  const work = async (session: TargetSession, uncertain: boolean) => {
    try {
      const from = performance.now()
      if (uncertain && !(await isLeftToDo(session, steps, isLast))) return
      const client = await session.foreign(item.archive, item.entry.namespace)
      const sql = isLast ? steps.second : sqlOf(item, run.plan, { instead: steps.first, alone })
      await client.query(sql ?? steps.first)
      run.times.statements([item], from)
    } catch (error) {
      if (!run.leaveOutRefused(item, error)) throw error
    }
  }
  try {
    await worker.collecting(item.name, text, work, item, login)
    if (isWanted(item)) {
      if (isLast) run.restored++
    } else if (isLast) {
      await worker.collecting(
        item.name,
        text,
        (session) => removeFirst(session, steps),
        undefined,
        login,
      )
    }
  } finally {
    running.end()
  }
}

/**
 * Removes what the first step of an entry has left where the second was not taken: nothing that looks for the entry by its name
 * may take that for it.
 */
export async function removeHalf(session: TargetSession, item: PlannedEntry): Promise<void> {
  const steps = twoStepsOf(item)
  if (steps) await removeFirst(session, steps)
}

const isWanted = ({ decision }: PlannedEntry) => decision.kind !== 'leave-out'

/** What there is of a constraint of two steps. */
interface Standing {
  /** Whether the constraint is valid; null where it is not there. */
  valid: boolean | null
  /** The definition of the index of that name on that table; null where there is none, or it is not valid. */
  definition: string | null
  hasIndex: boolean
}

async function standingOf(session: TargetSession, steps: TwoSteps): Promise<Standing> {
  const { rows } = await session.query<Standing>(
    `SELECT k.convalidated AS valid, i.oid IS NOT NULL AS "hasIndex",
            CASE WHEN x.indisvalid AND x.indisready THEN pg_catalog.pg_get_indexdef(i.oid) END AS definition
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       LEFT JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.conname = $3
       LEFT JOIN (pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid AND i.relname = $3)
         ON x.indrelid = c.oid
      WHERE n.nspname = $1 AND c.relname = $2`,
    [steps.schema, steps.table, steps.name],
  )
  return rows[0] ?? { valid: null, definition: null, hasIndex: false }
}

/** Whether a step that an earlier try may have taken is to be taken; an index that is not the one it would make is removed. */
async function isLeftToDo(
  session: TargetSession,
  steps: TwoSteps,
  isLast: boolean,
): Promise<boolean> {
  const { valid, definition, hasIndex } = await standingOf(session, steps)
  if (valid !== null) return isLast && steps.kind === 'reference' && !valid
  if (isLast || steps.kind === 'reference' || !hasIndex) return true
  if (definition === steps.first.replace(/;$/, '')) return false
  await removeFirst(session, steps)
  return true
}

async function removeFirst(session: TargetSession, steps: TwoSteps): Promise<void> {
  const { valid, hasIndex } = await standingOf(session, steps)
  const name = quoteIdentifier(steps.name)
  if (steps.kind === 'reference' && valid === false) {
    const table = qualifiedName(steps.schema, steps.table)
    await session.query(`ALTER TABLE ONLY ${table} DROP CONSTRAINT ${name}`)
  }
  if (steps.kind === 'index' && valid === null && hasIndex) {
    await session.query(`DROP INDEX ${qualifiedName(steps.schema, steps.name)}`)
  }
}
