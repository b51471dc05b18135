import type { Archive } from '../../../postgres/archive/archive.ts'
import { type ArchiveEntry, entryName } from '../../../postgres/archive/entry.ts'
import { maskStatement, nameAt } from '../../../postgres/archive/statement.ts'
import { qualifiedName } from '../../../postgres/identifiers.ts'
import { type RoleNames, sameRoleNames } from '../../../postgres/roles/role-names.ts'
import { majorOf } from '../../../postgres/version.ts'
import type { Loss } from '../../../report/model.ts'
import { printable } from '../../../text/text.ts'
import { extensionOf } from '../database/extension-grants.ts'
import type { DatabaseProperties } from '../database/properties.ts'
import { allowMissing } from './allow-missing.ts'
import { decideCron, jobsLoss, loseNothingWithCron } from './asleep.ts'
import { Decisions } from './decisions.ts'
import { rolesNamed } from './needed-roles.ts'
import { type Decision, isLoss, leaveOut, lossOf, type PlannedEntry } from './planned-entry.ts'
import { RoleRows } from './role-rows.ts'
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

/** Entries about the session or the database itself: the restore looks after these on its own. */
const ofDatabase = (entry: ArchiveEntry) =>
  /^(ENCODING|STDSTRINGS|SEARCHPATH|DATABASE|DATABASE PROPERTIES|<Init>)$/.test(entry.desc) ||
  (/^(COMMENT|ACL|SECURITY LABEL)$/.test(entry.desc) && entry.tag.startsWith('DATABASE '))

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
  const entries: PlannedEntry[] = []
  const { roleNames = sameRoleNames } = options
  for (const archive of archives) {
    const rows =
      roleNames === sameRoleNames ? undefined : new RoleRows(archive, options.expectedRows)
    const decisions = new Decisions(archive, facts, options.database)
    for (const entry of archive.entries) {
      if (ofDatabase(entry)) continue
      const wanted = options.wanted?.get(archive)
      const decided: Decision =
        wanted && !wanted.has(entry.dumpId)
          ? leaveOut('restore-options leave it out', 'None needed: you asked for it', 'nothing')
          : ((options.isRehearsal ? decideCron(entryName(entry)) : undefined) ??
            rows?.decide(entry) ??
            decisions.decide(entry))
      const needs = unnamedNeeds(archive, entry, options.database)
      const table = qualifiedName(entry.namespace, entry.tag)
      const empty = entry.desc === 'TABLE DATA' && options.expectedRows?.get(table) === 0
      const isNoJob = empty && decided.kind === 'leave-out' && decided.reason === jobsLoss.reason
      const decision: Decision = isNoJob ? { kind: 'restore' } : decided
      entries.push({ archive, entry, name: entryName(entry), decision, needs, empty })
    }
  }
  takeAlong(entries)
  if (options.isRehearsal) loseNothingWithCron(entries)
  for (const one of entries) {
    const { decision } = one
    if (decision.kind !== 'restore')
      one.decision = { ...decision, reason: roleNames.inText(decision.reason) }
  }
  const allowed = allowMissing(options.allowMissing)
  const losing: PlannedEntry[] = []
  const accepted: PlannedEntry[] = []
  for (const entry of entries) {
    if (!isLoss(entry)) continue
    if (accepts(entry.name, entry.decision)) accepted.push(entry)
    else losing.push(entry)
  }
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

  function accepts(name: string, decision: Decision & { kind: 'leave-out' }): boolean {
    // rows are given up only by their own name, everything else with what it hangs on
    return (
      decision.ofRehearsal === true ||
      allowed(name) ||
      (decision.loss !== 'rows' && !!decision.along && allowed(decision.along.name))
    )
  }
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

/** What hangs on something that is left out is left out as well, and says so. */
export function takeAlong(entries: PlannedEntry[]): void {
  for (const archive of new Set(entries.map((one) => one.archive))) {
    const own = entries.filter((one) => one.archive === archive)
    const dependants = new Map<number, PlannedEntry[]>()
    for (const one of own) {
      for (const id of [...one.entry.dependencies, ...(one.needs ?? [])]) {
        const list = dependants.get(id)
        if (list) list.push(one)
        else dependants.set(id, [one])
      }
    }
    const queue = own.filter(({ entry, decision }) => takesAlong(entry, decision))
    for (let next = queue.shift(); next; next = queue.shift()) {
      const { decision } = next
      if (decision.kind !== 'leave-out') continue
      const cause = decision.along ?? next
      for (const dependant of dependants.get(next.entry.dumpId) ?? []) {
        if (dependant.decision.kind === 'leave-out' || doesWithout(next.entry, dependant.entry))
          continue
        // an extension is in the archive without its tables, so nobody has given up their rows yet
        const isAlone = next.entry.desc === 'EXTENSION' && !dependant.empty
        const goesWithIt =
          (dependant.entry.desc === 'TABLE DATA' && !isAlone) ||
          /^(ACL|COMMENT|SECURITY LABEL|SUBSCRIPTION TABLE|PUBLICATION TABLE)$/.test(
            dependant.entry.desc,
          )
        dependant.decision = {
          kind: 'leave-out',
          reason: `it needs ${cause.name}, which ${decision.failed ? 'could not be restored' : 'is left out'}`,
          remedy: decision.remedy,
          loss: goesWithIt ? 'nothing' : lossOf(dependant.entry),
          along: cause,
          ...(decision.failed ? { failed: true } : {}),
        }
        queue.push(dependant)
      }
    }
  }
}

/** A table without its access method is a heap, which is what it was made of everywhere before version 12. */
function doesWithout(cause: ArchiveEntry, dependant: ArchiveEntry): boolean {
  return (
    cause.desc === 'ACCESS METHOD' &&
    /^(TABLE|MATERIALIZED VIEW)$/.test(dependant.desc) &&
    dependant.accessMethod === cause.tag
  )
}

/**
 * What an entry needs although pg_dump notes no dependency: a user mapping its server, grants on a member of an extension
 * and the rows of one of its tables that extension.
 */
function unnamedNeeds(
  archive: Archive,
  entry: ArchiveEntry,
  { extensionGrants, extensionTables }: DatabaseProperties,
): number[] {
  const named = (desc: string, name: string | undefined) =>
    archive.entries.filter((one) => one.desc === desc && one.tag === name).map((one) => one.dumpId)
  if (entry.desc === 'ACL') return named('EXTENSION', extensionOf(extensionGrants, entry))
  if (/^(TABLE DATA|SEQUENCE SET)$/.test(entry.desc)) {
    const found = extensionTables.find(
      ({ schema, name }) => schema === entry.namespace && name === entry.tag,
    )
    return found ? named('EXTENSION', found.extension) : []
  }
  if (entry.desc !== 'USER MAPPING') return []
  const at = /\bSERVER /.exec(maskStatement(entry.definition, archive.standardStrings))
  return named(
    'SERVER',
    (at && nameAt(entry.definition, at.index + at[0].length)?.name) ?? undefined,
  )
}

/** A comment or grant that is left out takes nothing along, nor does what the target has already. */
function takesAlong(entry: ArchiveEntry, decision: Decision): boolean {
  return (
    decision.kind === 'leave-out' &&
    !/^(ACL|COMMENT|SECURITY LABEL|DEFAULT ACL|STATISTICS)$/.test(entry.desc) &&
    !decision.there
  )
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
