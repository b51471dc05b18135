import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { Failure } from '../failure.ts'
import type { ReachedTarget, Source } from './checks/preflight.ts'
import { type DumpedRoles, readTheRoles } from './dump/everything.ts'
import { lockWait } from './dump/held-tables.ts'
import type { DumpSource } from './dump/programs.ts'
import { type DumpedSchemas, withSchemas } from './dump/schemas.ts'
import { rolesFile } from './kept/manifest.ts'
import { whyAfterDump } from './overlap/whether.ts'
import { runPhase } from './phases.ts'
import {
  type PlannedAhead,
  planEverything,
  plannedAhead,
  type RestorableDump,
} from './restore/plan-everything.ts'
import { isGivenUp } from './retry.ts'
import type { Run } from './run.ts'

/** What is decided from the roles and the definitions, before the first row is dumped. */
export interface Decided {
  /** What is known of the dump before it is made. */
  known: Omit<RestorableDump, 'databases' | 'directory' | 'isSchema'>
  ahead: PlannedAhead
  /** Why nothing is restored before the dump is complete; undefined where it may be. */
  whyAfter: string | undefined
}

/**
 * Decides about everything while the source is still in use: what the target cannot take is told before anybody is sent away, and
 * nobody waits for it. The roles are compared with those of the dump by decidedFor().
 *
 * A source that is to be frozen may still be locked, or its definitions be changed, by whom the freeze will end: then it is decided
 * when it is frozen.
 *
 * @returns undefined where it is to be decided later
 * @throws Failure with everything that is in the way; Cancelled
 */
export async function lookAhead(
  source: Source,
  dumpSource: DumpSource,
  target: ReachedTarget,
  run: Run,
): Promise<Decided | undefined> {
  const file = join(run.temporaryDirectory, `ahead-${rolesFile}`)
  const readRoles = async () =>
    run.inputs.roles === 'skip' ? null : await readTheRoles(source, dumpSource, file, run)
  const { freezeSource } = run.inputs
  try {
    return await decide(source, dumpSource, target, { readRoles, mayWait: freezeSource }, run)
  } finally {
    await rm(file, { force: true })
  }
}

/**
 * What was decided ahead, where it is still right; otherwise it is decided now.
 *
 * @param ahead what lookAhead() gave
 * @param roles of the dump
 * @throws as lookAhead()
 */
export async function decidedFor(
  ahead: Decided | undefined,
  roles: DumpedRoles | null,
  source: Source,
  dumpSource: DumpSource,
  target: ReachedTarget,
  run: Run,
): Promise<Decided> {
  if (ahead && isSame(ahead.known.roles, roles)) return ahead
  if (ahead)
    run.log.info('The roles have changed since they were looked at: everything is decided again')
  const decided = await decide(
    source,
    dumpSource,
    target,
    { readRoles: async () => roles, mayWait: false },
    run,
  )
  if (!decided) throw new TypeError('nothing is left to wait for')
  return decided
}

interface How {
  readRoles(): Promise<DumpedRoles | null>
  /** What the users of the source may be in the way of is given up, and no lock of theirs waited for long. */
  mayWait: boolean
}

async function decide(
  source: Source,
  dumpSource: DumpSource,
  target: ReachedTarget,
  { readRoles, mayWait }: How,
  run: Run,
): Promise<Decided | undefined> {
  const { client } = dumpSource
  const work = (dumping: Promise<DumpedSchemas>) =>
    runPhase(run, 'schema', async () => {
      const roles = await readRoles()
      const schemas = await dumping.catch((error: unknown) => {
        if (!mayWait || !mayBeUsers(error)) throw error
        run.log.info(
          `The definitions cannot be dumped while others use the source, and are when it is frozen: ${error.line}`,
        )
        return undefined
      })
      if (!schemas) return undefined
      const known = { client, roles, losses: source.losses, proven: true }
      const planned = await planEverything(
        { ...known, ...schemas, isSchema: true },
        target.connection,
        run,
      )
      return { known, ahead: plannedAhead(planned), whyAfter: await whyAfterDump(planned, run) }
    })
  return await withSchemas(source, dumpSource, run, work, {
    lockWait: mayWait ? lockWait : undefined,
  })
}

/** Whether those who use the source may have been in pg_dump's way: by a lock, or by dropping what it was about to read. */
function mayBeUsers(error: unknown): error is Failure {
  return error instanceof Failure && error.sqlstate !== '42501' && !isGivenUp(error)
}

/**
 * Whether the roles are the same, but for what pg_dumpall makes up for each script: the moment (`--verbose`) and the word that fences psql's own
 * commands off ("pg_dumpall", release notes of 17.6).
 */
function isSame(ahead: RestorableDump['roles'], now: DumpedRoles | null): boolean {
  if (!ahead || !now) return ahead === now
  const lasting = (script: string) =>
    script.replaceAll(/^(\\(un)?restrict \w+|-- (Started|Completed) on .*)$/gm, '')
  return (
    lasting(ahead.script) === lasting(now.script) && isDeepStrictEqual(ahead.catalog, now.catalog)
  )
}
