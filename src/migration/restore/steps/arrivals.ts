import type { Archive } from '../../../postgres/archive/archive.ts'
import { checkRoots } from '../../../postgres/archive/check.ts'
import type { ArrivingPart, ArrivingParts } from '../arriving.ts'
import { markForAccount } from '../owners/logins.ts'
import { planArrival } from '../plan/plan.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { hasLabelProvider, type TargetFacts } from '../plan/target-facts.ts'
import { labelProvidersOf, openArchive, refuseLosses, wantedEntries } from '../plan-restore.ts'
import { absentTables } from '../run/absent-tables.ts'
import type { Reception } from '../run/reception.ts'
import type { RunningRestore } from '../running-restore.ts'

/**
 * How the archives of a dump that is still being made come into its restore: each is decided about when it is there, as if it
 * had been there from the beginning.
 *
 * @param which of their entries the workers restore
 * @returns undefined where all archives are there
 */
export function receptionOf(
  restore: RunningRestore,
  which: (item: PlannedEntry) => boolean,
): Reception | undefined {
  const { arriving } = restore.options
  if (!arriving) return undefined
  return {
    parts: arriving.parts,
    watch: async (flows, signal) => {
      for (;;) {
        const part = await arriving.flowing(signal)
        flows(part, { directory: part.directory, rows: () => growingRows(restore, part) })
      }
    },
    receive: async (arrived, signal) => {
      for (
        let part = await arriving.next(signal);
        part !== undefined;
        part = await arriving.next(signal)
      ) {
        const items = await takeIn(restore, arriving, part, signal)
        arrived(part, items.filter(which))
      }
    },
  }
}

/**
 * The entry for the rows of an archive that is still being written: pg_dump has written the table of contents when it begins with
 * them (PostgreSQL source, pg_backup_directory.c: _CloseArchive).
 *
 * @returns undefined where they are not restored
 * @throws Failure where there is none: pg_dump before 9.3 writes it last
 */
async function growingRows(
  { plan, options }: RunningRestore,
  { directory }: ArrivingPart,
): Promise<PlannedEntry | undefined> {
  const archive = await openArchive(directory, options)
  checkRoots([...plan.archives, archive])
  const { entries } = planArrival(plan, archive, plan.facts, plan.options)
  markForAccount({ ...plan, entries: [...plan.entries, ...entries] }, [archive])
  const rows = entries.filter(({ entry }) => entry.hasData)
  return rows.length === 1 && rows[0]?.decision.kind === 'restore' ? rows[0] : undefined
}

/**
 * Takes an archive into the plan that is being carried out, and makes what must be there before its rows.
 *
 * @returns its entries that are restored
 * @throws Failure when it would lose something that is not accepted, or needs what is not there
 */
async function takeIn(
  restore: RunningRestore,
  arriving: ArrivingParts,
  part: ArrivingPart,
  signal: AbortSignal,
): Promise<PlannedEntry[]> {
  const { plan, options, execution, context } = restore
  const archive = await openArchive(part.directory, options)
  checkRoots([...plan.archives, archive])
  await arriving.check(archive)
  const wanted = await wantedEntries(options, [archive], { signal })
  const known = {
    ...plan.options,
    wanted: wanted && new Map([...(plan.options.wanted ?? []), ...wanted]),
  }
  let facts = await withLabelProviders(restore, archive)
  let found = planArrival(plan, archive, facts, known)
  const entries = [...plan.entries, ...found.entries]
  const absent = await absentTables({ ...plan, entries }, restore.worker)
  if (absent.size > 0) {
    facts = { ...facts, absent }
    found = planArrival(plan, archive, facts, known)
  }
  // nothing is lost with a table that has no rows, and how many it has is known when all are dumped
  if (found.losing.length + found.accepted.length > 0) {
    const expectedRows = await arriving.expectedRows(signal)
    found = planArrival(plan, archive, facts, { ...known, expectedRows })
  }
  refuseLosses({ ...plan, losing: found.losing, accepted: found.accepted }, context)
  plan.archives.push(archive)
  plan.entries.push(...found.entries)
  plan.accepted.push(...found.accepted)
  markForAccount(plan, [archive])
  execution.progress.count(found.entries)
  const restored = found.entries.filter(({ decision }) => decision.kind !== 'leave-out')
  await execution.inOrder(restored.filter(({ entry }) => entry.section === 'pre-data'))
  return restored
}

/** The facts of the plan, and whether the target has loaded the providers of security labels that this archive alone names. */
async function withLabelProviders(restore: RunningRestore, archive: Archive): Promise<TargetFacts> {
  const { facts } = restore.plan
  const labelProviders = new Map(facts.labelProviders)
  for (const provider of labelProvidersOf([archive])) {
    if (labelProviders.has(provider)) continue
    await restore.worker.retrying('security labels', '', async (session) => {
      labelProviders.set(provider, await hasLabelProvider(await session.own(), provider))
    })
  }
  return { ...facts, labelProviders }
}
