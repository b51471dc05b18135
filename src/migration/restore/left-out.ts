import type { EntryResult } from '../../report/model.ts'
import { counted } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import { administersPublic, ownedPublic, type RestorePlan } from './plan/plan.ts'

/** What a plan leaves out or changes, each with its reason; what failed is told apart from it. */
export function leftOutBy(plan: RestorePlan): EntryResult[] {
  const skipped = plan.entries.flatMap(({ name, decision }) =>
    decision.kind === 'restore' || (decision.kind === 'leave-out' && decision.failed)
      ? []
      : [{ entry: name, reason: decision.reason }],
  )
  return [...skipped, ...placesLost(plan), ...publicStays(plan)]
}

/** Tablespaces and table access methods that the target lacks: what was in them is where the target puts it by default. */
function placesLost(plan: RestorePlan): EntryResult[] {
  const lost = new Map<string, number>()
  for (const { entry, decision } of plan.entries) {
    if (decision.kind === 'leave-out') continue
    if (entry.tablespace !== '' && !plan.facts.tablespaces.has(entry.tablespace)) {
      count(`TABLESPACE ${printable(entry.tablespace)}`)
    }
    if (
      isTable.test(entry.desc) &&
      entry.accessMethod !== '' &&
      !hasAccessMethod(plan, entry.accessMethod)
    ) {
      count(`ACCESS METHOD ${printable(entry.accessMethod)}`)
    }
  }
  return [...lost].map(([entry, objects]) => ({
    entry,
    reason: `the target does not have it, or not for the account; made without it: ${counted(objects, 'object')}`,
  }))

  function count(name: string): void {
    lost.set(name, (lost.get(name) ?? 0) + 1)
  }
}

/** The owner that the schema public cannot have: it belongs to the target's superuser. */
function publicStays({ facts, entries }: RestorePlan): EntryResult[] {
  if (administersPublic(facts)) return []
  return ownedPublic(facts, entries).map(({ name }) => ({
    entry: `OWNER ${name}`,
    reason: 'the schema public belongs to the superuser of the target',
  }))
}

const isTable = /^(TABLE|MATERIALIZED VIEW)$/

/** Before version 12 every table was a `heap`. */
function hasAccessMethod(plan: RestorePlan, method: string): boolean {
  return method === 'heap' || (plan.facts.target.major >= 12 && plan.accessMethods.has(method))
}
