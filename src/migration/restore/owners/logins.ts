import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { Decisions } from '../plan/decisions.ts'
import type { RestorePlan } from '../plan/plan.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'

/**
 * Kinds that the account makes whoever it is: they take CREATE on the database, or belong to nobody. Nothing of the database
 * is evaluated with them. A cast or transform needs one of two owners.
 */
const always =
  /^(SCHEMA|EXTENSION|EVENT TRIGGER|PUBLICATION|PUBLICATION TABLES? ?.*|SUBSCRIPTION.*|SERVER|USER MAPPING|FOREIGN DATA WRAPPER|PROCEDURAL LANGUAGE|CAST|TRANSFORM|ACCESS METHOD|SECURITY LABEL)$/

const isRelation = /^(TABLE|FOREIGN TABLE|MATERIALIZED VIEW|SEQUENCE)$/

/**
 * Marks the entries that the account restores itself although there is a role that loads: those that this role could not
 * make, by the rules for an account without powers, and rows of tables that an extension brought. The author of the former
 * was a superuser on the source, or could do no more than anybody.
 *
 * @param archives those whose entries are marked
 */
export function markForAccount(plan: RestorePlan, archives = plan.archives): void {
  const { facts } = plan
  const weak = { ...facts.target.account, superuser: false, polarSuperuser: false }
  const weakFacts = { ...facts, target: { ...facts.target, account: weak } }
  const made = new Set(
    plan.entries
      .filter(({ entry, decision }) => isRelation.test(entry.desc) && decision.kind !== 'leave-out')
      .map(({ entry }) => keyOf(entry)),
  )
  for (const archive of archives) {
    const decisions = new Decisions(archive, weakFacts, plan.database)
    const marked = new Set<number>()
    const own = plan.entries.filter((item) => item.archive === archive)
    for (const item of own) {
      const { entry, decision } = item
      item.byAccount =
        always.test(entry.desc) ||
        (/^(TABLE DATA|SEQUENCE SET)$/.test(entry.desc) && !made.has(keyOf(entry))) ||
        (decision.kind !== 'leave-out' && decisions.decide(entry).kind !== decision.kind)
      if (item.byAccount) marked.add(entry.dumpId)
    }
    for (const item of own) {
      if (item.entry.desc === 'COMMENT' && isAbout(item, marked)) item.byAccount = true
    }
  }
}

/** A comment takes the owner of what it is about; on what the database was born with, the account is that. */
function isAbout({ entry }: PlannedEntry, marked: ReadonlySet<number>): boolean {
  return (
    entry.dependencies.length === 0 ||
    entry.tag.startsWith('SCHEMA ') ||
    entry.dependencies.some((id) => marked.has(id))
  )
}

const keyOf = (entry: ArchiveEntry) => `${entry.namespace}\0${entry.tag}`
