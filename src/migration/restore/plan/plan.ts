import type { Archive } from '../../../postgres/archive/archive.ts'
import { entryName, isOfDatabase } from '../../../postgres/archive/entry.ts'
import { qualifiedName } from '../../../postgres/identifiers.ts'
import { type RoleNames, sameRoleNames } from '../../../postgres/roles/role-names.ts'
import { majorOf } from '../../../postgres/version.ts'
import type { Loss } from '../../../report/model.ts'
import { printable } from '../../../text/text.ts'
import type { DatabaseProperties } from '../database/properties.ts'
import { allowMissing } from './allow-missing.ts'
import { decideCron, jobsLoss, loseNothingWithCron } from './asleep.ts'
import { Decisions } from './decisions.ts'
import { rolesNamed } from './needed-roles.ts'
import { type Decision, isLoss, leaveOut, type PlannedEntry } from './planned-entry.ts'
import { RoleRows } from './role-rows.ts'
import { Needs, takeAlong } from './take-along.ts'
import type { TargetFacts } from './target-facts.ts'

export interface RestorePlan {
  facts: TargetFacts
  options: PlanOptions
  database: DatabaseProperties
  archives: Archive[]
  /** Every entry but those that are the database's own, in the order of the archives. */
  entries: PlannedEntry[]
  /** Some entry names a tablespace, or a table access method other than heap. */
  usesPlaces: boolean
  /** The schema public, which every database is born with, where the source gave it to a role that can have it here, too. */
  publicSchemas: PlannedEntry[]
  /** Access methods that the target has, or will have by the archives' own entries. */
  accessMethods: Set<string>
  /** What the user should know of although nothing of the archives is lost with it. */
  warnings: string[]
  /** The role that loads, once there is one: it must be able to use what the account makes. */
  loader?: string
  /** What would be lost and is not allowed to be. Empty in a plan that may be carried out. */
  losing: PlannedEntry[]
  /** What is lost and is allowed to be. */
  accepted: PlannedEntry[]
}

export interface PlanOptions {
  database: DatabaseProperties
  allowMissing: readonly string[]
  /** Entries that the user's own pg_restore options leave out, by archive; null where there are no such options. */
  wanted: ReadonlyMap<Archive, ReadonlySet<number>> | null
  /** Rows of each table of the dump, by quoted name, where the dump says so. */
  expectedRows?: ReadonlyMap<string, number> | undefined
  /** What the source's roles are called on the target: what is said of them is said in the source's names. Default the same. */
  roleNames?: RoleNames | undefined
  /** The database is a copy that is removed again. */
  isRehearsal?: boolean | undefined
}

/**
 * Decides about every entry of the archives, before the first is restored. A pure function of what was read and asked.
 *
 * @returns the plan; it may be carried out when `losing` is empty (see refuseLosses)
 */
export function makePlan(
  archives: readonly Archive[],
  facts: TargetFacts,
  options: PlanOptions,
): RestorePlan {
  const { roleNames = sameRoleNames } = options
  const decide = decider(archives, facts, options)
  const entries = archives.flatMap(decide)
  takeAlong(entries)
  settle(entries, options)
  const { losing, accepted } = lossesAmong(entries, options)
  const usesPlaces = entries.some(
    ({ entry }) => entry.tablespace !== '' || !/^(heap)?$/.test(entry.accessMethod),
  )
  const created = entries.filter(
    ({ entry, decision }) => entry.desc === 'ACCESS METHOD' && decision.kind !== 'leave-out',
  )
  return {
    facts,
    options,
    database: options.database,
    archives: [...archives],
    entries,
    usesPlaces,
    publicSchemas: administersPublic(facts) ? ownedPublic(facts, entries) : [],
    accessMethods: new Set([...facts.accessMethods, ...created.map(({ entry }) => entry.tag)]),
    warnings: [
      ...localeWarnings(facts, options.database),
      ...warningsOf(archives, facts, entries).map(roleNames.inText),
    ],
    losing,
    accepted,
  }
}

/**
 * Decides about the entries of an archive that comes when the plan is being carried out, as if it had been there from the
 * beginning. Nothing of the plan is changed.
 *
 * @param archive with rows alone: what it needs is in the archives of the plan
 * @param facts those of the plan, and what is to be known of this archive
 * @param options those of the plan, and what is known by now: which entries are wanted, and how many rows the tables have
 * @returns its entries, with what would be lost (see RestorePlan.losing) and what is accepted
 * @throws Error where something of the plan would have to be decided otherwise: it may be carried out by now
 */
export function planArrival(
  plan: RestorePlan,
  archive: Archive,
  facts: TargetFacts,
  options: PlanOptions,
): Pick<RestorePlan, 'entries' | 'losing' | 'accepted'> {
  const entries = decider([...plan.archives, archive], facts, options)(archive)
  const before = new Map(plan.entries.map((item) => [item, item.decision]))
  takeAlong([...plan.entries, ...entries])
  const [changed] = [...before].find(([item, decision]) => item.decision !== decision) ?? []
  if (changed) {
    // whoever looks again finds the same, and not what the first look has left
    for (const [item, decision] of before) item.decision = decision
    throw new Error(`${changed.name} was decided otherwise when ${archive.directory} had come`)
  }
  settle(entries, options)
  return { entries, ...lossesAmong(entries, options) }
}

/** Decides about all entries of one of some archives, as far as that does not hang on others. */
function decider(
  archives: readonly Archive[],
  facts: TargetFacts,
  options: PlanOptions,
): (archive: Archive) => PlannedEntry[] {
  const { database, roleNames = sameRoleNames, expectedRows, isRehearsal } = options
  const rows =
    roleNames === sameRoleNames ? [] : archives.map((one) => new RoleRows(one, expectedRows))
  const needs = new Needs(archives, database)
  return (archive) => {
    const decisions = new Decisions(archive, facts, database)
    const wanted = options.wanted?.get(archive)
    return archive.entries
      .filter((entry) => !isOfDatabase(entry))
      .map((entry) => {
        const name = entryName(entry)
        const decided: Decision =
          wanted && !wanted.has(entry.dumpId)
            ? leaveOut('restore-options leave it out', 'None needed: you asked for it', 'nothing')
            : ((isRehearsal ? decideCron(name) : undefined) ??
              rows.map((one) => one.decide(entry)).find((one) => one !== undefined) ??
              decisions.decide(entry))
        const table = qualifiedName(entry.namespace, entry.tag)
        const empty = entry.desc === 'TABLE DATA' && expectedRows?.get(table) === 0
        const isNoJob = empty && decided.kind === 'leave-out' && decided.reason === jobsLoss.reason
        const decision: Decision = isNoJob ? { kind: 'restore' } : decided
        return { archive, entry, name, decision, needs: needs.of(archive, entry), empty }
      })
  }
}

/** What is said of entries, and of a rehearsal's, when it is known what hangs on what. */
function settle(entries: readonly PlannedEntry[], options: PlanOptions): void {
  const { roleNames = sameRoleNames } = options
  if (options.isRehearsal) loseNothingWithCron(entries)
  for (const one of entries) {
    const { decision } = one
    if (decision.kind !== 'restore')
      one.decision = { ...decision, reason: roleNames.inText(decision.reason) }
  }
}

function lossesAmong(
  entries: readonly PlannedEntry[],
  options: PlanOptions,
): Pick<RestorePlan, 'losing' | 'accepted'> {
  const allowed = allowMissing(options.allowMissing)
  const accepts = (name: string, decision: Decision & { kind: 'leave-out' }) =>
    // rows are given up only by their own name, everything else with what it hangs on
    decision.ofRehearsal === true ||
    allowed(name) ||
    (decision.loss !== 'rows' && !!decision.along && allowed(decision.along.name))
  const losing: PlannedEntry[] = []
  const accepted: PlannedEntry[] = []
  for (const entry of entries) {
    if (!isLoss(entry)) continue
    if (accepts(entry.name, entry.decision)) accepted.push(entry)
    else losing.push(entry)
  }
  return { losing, accepted }
}

/** Entries that are left out as losses, in the names of `allow-missing`. */
export function lossesOf(entries: readonly PlannedEntry[], database: string): Loss[] {
  return entries.flatMap(({ name, decision }) =>
    decision.kind === 'leave-out'
      ? [{ entry: name, database, reason: decision.reason, remedy: decision.remedy }]
      : [],
  )
}

/**
 * The entries by which a role of its own owns the schema public. Where a superuser has it there is nothing to be given:
 * before version 15 that is how a database is born.
 */
export function ownedPublic(facts: TargetFacts, entries: readonly PlannedEntry[]): PlannedEntry[] {
  return entries.filter(
    ({ entry, decision }) =>
      entry.desc === 'SCHEMA' &&
      entry.tag === 'public' &&
      decision.kind === 'leave-out' &&
      decision.there &&
      entry.owner !== 'pg_database_owner' &&
      facts.roles.get(entry.owner)?.superuser === false,
  )
}

/** Whether the account may change the schema public: from version 15 on it belongs to the owner of the database. */
export function administersPublic({ schemas }: TargetFacts): boolean {
  return schemas.get('public')?.administered ?? false
}

function warningsOf(
  archives: readonly Archive[],
  facts: TargetFacts,
  entries: readonly PlannedEntry[],
): string[] {
  const warnings: string[] = []
  const source = majorOf(archives[0]?.serverVersion ?? '')
  if (source >= 15 && facts.target.major < 15 && !facts.schemas.get('public')?.administered) {
    // docs/polardb.md, "Databases": the schema belongs to the superuser, so nothing that the dump says of it can be applied
    warnings.push(
      'On the target everybody may create objects in the schema public, as in every PostgreSQL before 15; on the source nobody may. Have an administrator of the cluster run: REVOKE CREATE ON SCHEMA public FROM PUBLIC',
    )
  }
  if (!administersPublic(facts)) warnings.push(...lostOnPublic(facts, entries))
  const subscriptions = entries.filter(
    ({ entry, decision }) => entry.desc === 'SUBSCRIPTION' && decision.kind !== 'leave-out',
  )
  for (const { name } of subscriptions) {
    warnings.push(
      `${name} is restored disabled and without its slot: enable it by hand when the target is to take over`,
    )
  }
  return warnings
}

/** The owner and the grants of a schema public that belongs to the target's superuser, as far as roles come into them. */
function lostOnPublic(facts: TargetFacts, entries: readonly PlannedEntry[]): string[] {
  const owners = ownedPublic(facts, entries).map(({ entry }) => `its owner ${entry.owner}`)
  const grants = entries
    .filter(({ name, decision }) => name === 'ACL SCHEMA public' && decision.kind === 'leave-out')
    .flatMap(({ archive, entry }) => rolesNamed(entry, archive.standardStrings))
    .filter((role) => facts.roles.get(role)?.superuser === false)
    .map((role) => `the grants to ${role}`)
  const lost = [...new Set([...owners, ...grants])]
  if (lost.length === 0) return []
  return [
    `On the target the schema public belongs to a superuser and stays without ${lost.slice(0, 10).map(printable).join(', ')}: have an administrator of the cluster set them`,
  ]
}

/** What a database that exists already makes of the text that comes into it. */
function localeWarnings({ existing }: TargetFacts, source: DatabaseProperties): string[] {
  if (!existing) return []
  const warnings: string[] = []
  if (existing.encoding !== source.encoding) {
    warnings.push(
      `The database exists on the target with the encoding ${existing.encoding}, on the source it is ${source.encoding}: text is converted, and what cannot be converted stops the restore`,
    )
  }
  if (source.provider === 'libc' && plain(existing.collate) !== plain(source.collate)) {
    warnings.push(
      `The database exists on the target with the collation ${existing.collate}, on the source it is ${source.collate}: text may sort in another order`,
    )
  }
  return warnings

  function plain(locale: string): string {
    return locale.toLowerCase().replace('utf-8', 'utf8')
  }
}
