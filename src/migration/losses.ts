import { Failure } from '../failure.ts'
import type { Loss } from '../report/model.ts'
import { counted, firstTen } from '../text/numbers.ts'
import { shorten } from '../text/text.ts'
import type { Context } from './context.ts'
import type { Inputs } from './inputs.ts'
import { allowMissing } from './restore/plan/allow-missing.ts'
import type { Run } from './run.ts'

type LossContext = Pick<Context, 'record'> & Partial<Pick<Context, 'log'>>

/**
 * Holds losses against `allow-missing`: what it accepts goes into the report's `losses`, everything else stops the run,
 * all at once, with the lines that would accept it. To be called before the first byte of what is lost is touched.
 *
 * @param found every loss, by the name that `allow-missing` has for it; those of one reason belong together
 * @param patterns the input `allow-missing`, a pattern a line
 * @param where what cannot be migrated whole, for people: `the roles`, `the database "shop"`
 * @throws Failure with the whole list, each loss with its reason and remedy
 */
export function refuseUnaccepted(
  found: readonly Loss[],
  patterns: readonly string[],
  where: string,
  context: LossContext,
): void {
  const accepts = allowMissing(patterns)
  const open = found.filter(({ entry }) => !accepts(entry))
  context.record.acceptedLosses(found.filter(({ entry }) => accepts(entry)))
  if (open.length === 0) return
  // the failure has room for the first of them; the log has all, as they are to be pasted
  context.log?.info(
    `To accept what ${where} would lose:\n\nallow-missing: |\n${open.map(({ entry }) => `  ${entry}`).join('\n')}\n`,
  )
  const groups = groupLosses(open)
  for (const { reason, remedy, entries } of groups) {
    context.record.check({
      id: 'losses',
      severity: 'blocker',
      status: 'failed',
      message: `${where}: ${reason}`,
      objects: entries,
      remedy,
    })
  }
  const said = groups.map(
    ({ reason, remedy, entries }) => `${firstTen(entries)}: ${reason} (${remedy})`,
  )
  throw new Failure(
    `The target cannot take ${counted(open.length, 'object')} of ${where}; nothing was restored`,
    shorten(said.join('; '), 12_000),
    'Apply the remedies, or accept what is lost in allow-missing, one name a line as above',
  )
}

/**
 * Tells what a dump goes without, where nothing is restored yet: a restore, or a verification, of it asks for every loss that
 * `allow-missing` does not accept now.
 */
export function tellLosses(
  found: readonly Loss[],
  run: Pick<Run, 'inputs' | 'record' | 'warn'>,
): void {
  const accepts = allowMissing(run.inputs.allowMissing)
  run.record.acceptedLosses(found.filter(({ entry }) => accepts(entry)))
  for (const { reason, remedy, entries } of groupLosses(
    found.filter(({ entry }) => !accepts(entry)),
  )) {
    run.warn(
      `The dump goes without ${firstTen(entries)}: ${reason} (${remedy}). To restore it all the same takes the same lines in allow-missing`,
    )
  }
}

/** The losses of a dump that concern what is asked for: those of its databases, and of the whole server where all are. */
export function lossesAmong(
  losses: readonly Loss[],
  databases: readonly { source: string }[],
  wanted: Inputs['databases'],
): Loss[] {
  const all = wanted === 'all' || wanted.length === 0
  return losses.filter(({ database }) =>
    database === null ? all : databases.some(({ source }) => source === database),
  )
}

/** Losses put together by reason and remedy, in the order in which they were found. */
export function groupLosses(
  losses: readonly Omit<Loss, 'database'>[],
): { reason: string; remedy: string; entries: string[] }[] {
  const groups = new Map<string, { reason: string; remedy: string; entries: string[] }>()
  for (const { entry, reason, remedy } of losses) {
    const key = `${reason}\0${remedy}`
    const group = groups.get(key) ?? { reason, remedy, entries: [] }
    group.entries.push(entry)
    groups.set(key, group)
  }
  return [...groups.values()]
}
