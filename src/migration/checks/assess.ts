import { Failure } from '../../failure.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { keepingSessions } from '../../postgres/kept-sessions.ts'
import { freeSpace, nearestExisting } from '../free-space.ts'
import { checkFreeze } from '../freeze/beforehand.ts'
import type { Run } from '../run.ts'
import { allChecks } from './all.ts'
import { ask } from './ask.ts'
import { judge } from './judge.ts'
import { check, noteFailure } from './note.ts'
import {
  inspectSource,
  inspectTarget,
  type ReachedTarget,
  type Source,
  type SourceDatabase,
} from './preflight.ts'
import type { RunnerFacts, SideName } from './probe.ts'
import { checkReach, loginRemedy } from './reach.ts'

/** Both sides as far as they were given and reached. */
export interface Assessed {
  source?: Source
  target?: ReachedTarget
}

/**
 * Looks at the sides that the inputs name and lets every check judge. All answers go into the report: nothing stops at the
 * first, and a blocker stops nothing here (see refuseBlockers). Changes nothing anywhere.
 *
 * @param given the sides that the command works on
 * @param rename gives the databases of the source other names on the target, before they are looked for there
 * @throws Cancelled
 */
export async function assess(
  given: readonly SideName[],
  run: Run,
  rename?: (databases: readonly SourceDatabase[]) => SourceDatabase[],
): Promise<Assessed> {
  return await keepingSessions(run.signal, () => assessBoth(given, run, rename))
}

async function assessBoth(
  given: readonly SideName[],
  run: Run,
  rename?: (databases: readonly SourceDatabase[]) => SourceDatabase[],
): Promise<Assessed> {
  const { inputs } = run
  const look = async <T>(
    side: SideName,
    inspect: (connection: ConnectionParameters) => Promise<T>,
  ) => {
    const connection = inputs[side]
    if (!given.includes(side) || !connection) return undefined
    const id = `${side}-connection`
    try {
      if (!(await checkReach(side, connection, run))) return undefined
      const reached = await inspect(connection)
      check(run, id, 'blocker', true, `"${connection.user}" may log in`)
      return reached
    } catch (error) {
      if (run.signal.aborted || !(error instanceof Failure)) throw error
      const { message, why, sqlstate, cause } = error
      const { remedy, paste } = loginRemedy(error, side)
      const failure = new Failure(message, why, remedy, { cause, sqlstate })
      noteFailure(run, id, failure, { paste })
      return undefined
    }
  }
  const target = await look('target', (connection) => inspectTarget(connection, inputs, run))
  const source = await look('source', (connection) =>
    inspectSource(connection, inputs.databases, run),
  )
  if (source && rename) source.databases = rename(source.databases)
  if (source) run.setOutput('source-version', source.version.version)
  if (target) run.setOutput('target-version', target.version)
  const sides = { ...(source ? { source } : {}), ...(target ? { target } : {}) }
  const known = await ask({ ...sides, inputs, runner: await runnerFacts(run) }, allChecks, run)
  judge(
    known,
    allChecks,
    given.filter((side) => inputs[side]),
    run,
  )
  if (source && inputs.freezeSource) await checkFreeze(source, inputs, run)
  return sides
}

async function runnerFacts(run: Run): Promise<RunnerFacts> {
  const { dumpDirectory, processors, canUpload, environment } = run
  const free = await nearestExisting(dumpDirectory)
    .then(freeSpace)
    .catch(() => undefined)
  return { dumpDirectory, free, processors, canUpload, environment }
}
