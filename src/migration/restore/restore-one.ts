import { messageOf } from '../../failure.ts'
import { formatDuration } from '../../text/text.ts'
import { analyzeDatabase } from '../analyze.ts'
import { runPhase, skipPhase } from '../phases.ts'
import type { Session } from '../run.ts'
import { readSubstitutes, verifyDatabase } from '../verify/verify-database.ts'
import { announcedLimit } from './database/connection-limit.ts'
import { cannotResume } from './database/prepare.ts'
import type { Destination } from './destinations.ts'
import type { RestoreOptions } from './options.ts'
import type { PlannedDatabase } from './plan-everything.ts'
import { type Restored, restoreDatabase } from './restore-database.ts'

/**
 * Restores a database by its plan, analyzes and verifies it.
 *
 * @param sourceIsLive the source can still be asked which rows differ
 * @throws Failure; what was found is in the report
 */
export async function restoreOne(
  { destination, options, plan }: PlannedDatabase,
  sourceIsLive: boolean,
  session: Session,
): Promise<void> {
  const { result, source } = destination
  const { targetName: name } = options
  const began = Date.now()
  const restored = await runPhase(
    session,
    'restore',
    () =>
      restoreDatabase(options, plan, session, (outcome) => {
        result.restore = outcome
      }),
    source,
  ).finally(() => {
    result.restoreSeconds = Math.round(Date.now() - began) / 1000
  })
  let proven = false
  try {
    if (restored.owners === null && session.inputs.verify === 'none') {
      throw cannotResume(
        name,
        'Nothing in it says that a restore was interrupted, and with verify: none nothing would be done',
      )
    }
    session.log.info(`Restored ${source} into ${name} in ${formatDuration(result.restoreSeconds)}`)
    await analyzeOne(destination, options, restored, session)
    await restored.settle()
    await verifyOne(destination, options, restored, sourceIsLive, session)
    proven = true
  } catch (error) {
    if (!restored.failure || session.signal.aborted) throw error
    // what was refused comes first: what differs follows from it, and is in the report
    session.log.warning(`${source}: ${messageOf(error)}`)
  } finally {
    // what the account needed to read what it gave away
    await restored.release(proven)
  }
  if (restored.failure) {
    result.verified = false
    throw restored.failure
  }
}

async function analyzeOne(
  destination: Destination,
  options: RestoreOptions,
  restored: Restored,
  session: Session,
): Promise<void> {
  if (!session.inputs.analyze) return skipPhase(session, 'analyze')
  const { source } = destination
  const { target, targetName, jobs } = options
  await runPhase(
    session,
    'analyze',
    async () => {
      const as = restored.analyzeAs ?? target
      let { refused } = await analyzeDatabase({ target: as, targetName, jobs }, session)
      if (as !== target && refused.length > 0) {
        const only = new Set(refused.map(({ table }) => table))
        refused = (await analyzeDatabase({ target, targetName, jobs, only }, session)).refused
      }
      for (const { table, reason } of refused) {
        session.warn(`${source}: no planner statistics for ${table}: ${reason}`)
      }
    },
    source,
  )
}

async function verifyOne(
  destination: Destination,
  options: RestoreOptions,
  restored: Restored,
  sourceIsLive: boolean,
  session: Session,
): Promise<void> {
  if (session.inputs.verify === 'none') return skipPhase(session, 'verify')
  const { source, dumped, properties, archives, result } = destination
  const { target: connection, targetName: name, jobs } = options
  const { fingerprint } = dumped
  const { owners } = restored
  const substitutes = owners
    ? owners.map(({ role, owner, reason }) => ({ role, instead: owner, reason }))
    : await readSubstitutes(connection, session)
  await runPhase(
    session,
    'verify',
    () =>
      verifyDatabase(
        {
          ...{ connection, name, fingerprint, jobs },
          // a database that was restored before may be in use
          mayAlter: owners !== null,
          schema: { properties, archives: async () => archives },
          source:
            sourceIsLive && session.inputs.source
              ? { connection: session.inputs.source, database: source }
              : undefined,
          announced: [
            ...session.report.losses.filter(({ database }) => database === source),
            ...restored.announced,
            ...announcedLimit(properties),
          ],
          substitutes,
        },
        result,
        session,
      ),
    source,
  )
}
