import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { allowMissing } from '../restore/plan/allow-missing.ts'
import { lossesOnDatabase } from '../restore/plan/losses-on-database.ts'
import { lossesOf } from '../restore/plan/plan.ts'
import { planAgain } from '../restore/plan-restore.ts'
import type { Run } from '../run.ts'
import type { ExpectedDifference } from './compare/expected-differences.ts'
import type { SchemaSource } from './rebuild/rebuild.ts'

/**
 * What `allow-missing` accepts in a verification on a day of its own: what a restore would leave out by its plan and these
 * lines. It goes into the report's losses. Without lines nothing is asked, and everything that is missing is a difference.
 *
 * @param place the database of the target
 * @throws Failure when the target cannot be asked, or the schema cannot be read; Cancelled
 */
export async function acceptedInVerify(
  place: { connection: ConnectionParameters; name: string },
  { properties, archives }: SchemaSource,
  run: Run,
): Promise<ExpectedDifference[]> {
  const patterns = run.inputs.allowMissing
  if (patterns.length === 0) return []
  const { connection: target, name: targetName } = place
  const options = { target, targetName, database: properties, allowMissing: patterns }
  const plan = await planAgain(options, await archives(), run)
  const accepts = allowMissing(patterns)
  const losses = [
    ...lossesOf(plan.accepted, properties.name),
    ...lossesOnDatabase(plan.facts, properties).filter(({ entry }) => accepts(entry)),
  ]
  run.record.acceptedLosses(losses)
  const lost = new Set(plan.accepted)
  const along = plan.entries.filter(
    ({ entry, decision }) =>
      decision.kind === 'leave-out' &&
      decision.loss === 'nothing' &&
      decision.along !== undefined &&
      lost.has(decision.along) &&
      // a table that is there all the same is compared with all its rows
      entry.desc !== 'TABLE DATA',
  )
  return [...losses, ...lossesOf(along, properties.name)].map(({ entry, reason }) => ({
    entry,
    reason,
  }))
}
