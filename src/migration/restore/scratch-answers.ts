import type { CheckResult, Loss } from '../../report/model.ts'
import { counted } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import { groupLosses } from '../losses.ts'
import { allowMissing } from './plan/allow-missing.ts'

/** The checks that a restore of the empty schema answers. */
export const scratchChecks = [
  {
    id: 'scratch-restore',
    severity: 'blocker',
    why: 'what only a server can refuse is refused at night otherwise, when the rows are in (with preflight-restore)',
    needs: ['source', 'target'],
  },
  {
    id: 'scratch-differences',
    severity: 'warning',
    why: 'the verification fails for a definition that arrives as another one (with preflight-restore)',
    needs: ['source', 'target'],
  },
  {
    id: 'scratch-definitions',
    severity: 'info',
    why: 'what the target prints in other words is decided by a rebuild, which takes CREATEDB (with preflight-restore)',
    needs: ['source', 'target'],
  },
] as const
export const [refusals, differences, definitions] = scratchChecks

/** What one database's throw-away restore has shown. */
export interface ScratchOutcome {
  refused: Omit<Loss, 'database'>[]
  /** What the verification would call different; null where the restore did not get as far as that. */
  different: string[] | null
  /** Definitions that the target prints otherwise: the verification rebuilds them to decide. */
  printed: string[]
  entries: number
}

/** What an outcome answers to each of the checks. @param patterns of `allow-missing` */
export function answersFor(
  name: string,
  { refused, different, printed, entries }: ScratchOutcome,
  patterns: readonly string[],
): CheckResult[] {
  const accepts = allowMissing(patterns.filter((line) => line.trim() !== '*'))
  const shown = printable(name)
  const open = refused.filter(({ entry }) => !accepts(entry))
  const accepted = refused.length - open.length
  // what hangs on something has its remedy, and comes after it
  const byRemedy = Map.groupBy(groupLosses(open), ({ remedy }) => remedy)
  const checks = [...byRemedy].map(([remedy, groups]) =>
    answer(
      refusals,
      'failed',
      `${shown}: ${groups[0]?.reason ?? ''}`,
      groups.flatMap((group) => group.entries),
      remedy,
    ),
  )
  if (open.length === 0) {
    const all = counted(entries, 'entry', 'entries')
    const but = accepted === 0 ? '' : `; ${accepted} refused, as allow-missing allows`
    checks.push(
      answer(
        refusals,
        'passed',
        `${shown}: ${all} of the schema tried in a throw-away database${but}`,
      ),
    )
  }
  if (different === null) {
    const message = `${shown}: the restore ended before its definitions could be compared`
    const rest = [differences, definitions]
    return [...checks, ...rest.map((check) => answer(check, 'skipped', message))]
  }
  checks.push(
    different.length > 0
      ? answer(
          differences,
          'failed',
          `${shown}: ${counted(different.length, 'definition')} would be another on the target, and the verification would say so`,
          different,
          'Compare them on both sides: what the target cannot have is to be changed on the source, or accepted in allow-missing',
        )
      : answer(differences, 'passed', `${shown}: the definitions arrive as they are`),
    answer(
      definitions,
      'passed',
      printed.length === 0
        ? `${shown}: the target prints every definition as the source does`
        : `${shown}: ${counted(printed.length, 'definition')} printed otherwise by the target: the verification decides by rebuilding them, which needs CREATEDB`,
      printed,
    ),
  )
  return checks
}

/** One answer, for a database or for all of them. */
export function answer(
  { id, severity, why }: (typeof scratchChecks)[number],
  status: CheckResult['status'],
  message: string,
  objects: string[] = [],
  remedy = '',
): CheckResult {
  // who asked for more than the account may have is told so, and what he may have not is no blocker by itself
  const weight = status === 'skipped' ? 'warning' : severity
  return { id, severity: weight, status, message, objects, remedy, why }
}
