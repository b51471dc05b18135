import { counted } from '../text/numbers.ts'
import { shorten } from '../text/text.ts'
import {
  type CheckResult,
  type DatabaseResult,
  isBlocker,
  isUnknown,
  needless,
  type ObjectResult,
  type PhaseResult,
  type Report,
  type TableResult,
} from './model.ts'

/** Something that is not the same on both sides, and nobody said why. */
export interface Difference {
  /** The target's name of the database. */
  database: string
  kind: string
  object: string
  how: string
  /** Keys of differing rows, as the report has them. */
  keys: readonly string[]
}

/** Something that is not on the target, or not as on the source, for a known reason. */
export interface LeftOut {
  database: string
  kind: string
  object: string
  reason: string
}

/** The phase that the run failed or was cancelled in; what was to be undone afterwards counts only where nothing else failed. */
export function brokenPhase(report: Report): PhaseResult | undefined {
  const failed = report.phases.filter((phase) => phase.status === 'failed')
  return failed.findLast(({ name }) => name !== 'unfreeze') ?? failed.at(-1)
}

/** Whether the table differs without a reason that the restore announced. */
export function tableDiffers(table: TableResult): boolean {
  return !table.match && table.explained === undefined
}

/** The objects of a kind that differ without a reason that the restore announced, each with how. */
export function differingObjects(objects: ObjectResult): { object: string; how: string }[] {
  const explained = new Set(objects.explained?.map(({ entry }) => entry))
  return [
    ...objects.missing.map((object) => ({ object, how: 'missing on the target' })),
    ...objects.different.map((object) => ({ object, how: 'different' })),
    ...(objects.extra ?? []).map((object) => ({ object, how: 'only on the target' })),
  ].filter(({ object }) => !explained.has(object))
}

/** Why two tables differ, in a few words: rows by what is wrong with them, or else the two counts. */
export function tableDifference(table: TableResult): string {
  if (table.match) return 'equal'
  const parts = [
    [table.missingRows, 'missing'],
    [table.changedRows, 'changed'],
    [table.extraRows, 'only on the target'],
  ] as const
  const rows = parts.flatMap(([count, what]) => (count ? [`${counted(count, 'row')} ${what}`] : []))
  if (rows.length > 0) return rows.join(', ')
  if (table.unreadable !== undefined) return shorten(`cannot be read ${table.unreadable}`, 500)
  if (table.targetRows === null) return 'not on the target'
  const off = table.targetRows - (table.sourceRows ?? 0)
  if (off === 0) return 'contents differ'
  return `${counted(Math.abs(off), 'row')} ${off < 0 ? 'missing' : 'too many'}`
}

/** The tables of a database in the order in which somebody wants to see them: differing, explained, then by size. */
export function tablesInOrder(database: DatabaseResult): TableResult[] {
  const rank = (table: TableResult) => (tableDiffers(table) ? 0 : table.match ? 2 : 1)
  return database.tables.toSorted(
    (a, b) =>
      rank(a) - rank(b) ||
      (b.sourceRows ?? 0) - (a.sourceRows ?? 0) ||
      (`${a.schema}.${a.name}` < `${b.schema}.${b.name}` ? -1 : 1),
  )
}

/** The rows of the tables on the source. */
export function rowsOf(tables: readonly TableResult[]): number {
  return sum(tables.map((table) => table.sourceRows ?? 0))
}

/** How a database's comparison ended, in a word or two. */
export function databaseResult(database: DatabaseResult): string {
  if (database.error) return 'failed'
  if (
    database.tables.some(tableDiffers) ||
    database.objects.some((o) => differingObjects(o).length > 0)
  )
    return 'differs'
  return database.verified ? 'equal' : 'not verified'
}

/** Checks in the order in which they are to be read; those that were skipped for one reason are one. */
export interface OrderedChecks {
  blockers: CheckResult[]
  /** Warnings, and what is worth knowing. */
  warnings: CheckResult[]
  /** Blockers that could not be asked come first. */
  skipped: { reason: string; isUnknown: boolean; ids: string[] }[]
  passed: CheckResult[]
}

/** See OrderedChecks. */
export function checksInOrder({ checks }: Pick<Report, 'checks'>): OrderedChecks {
  const of = (status: CheckResult['status']) => checks.filter((check) => check.status === status)
  const rank = ({ severity }: CheckResult) => (severity === 'warning' ? 0 : 1)
  const groups = Map.groupBy(of('skipped'), ({ message }) => message)
  const skipped = [...groups].map(([reason, group]) => ({
    reason,
    isUnknown: group.some(isUnknown),
    ids: group.map(({ id }) => id),
  }))
  return {
    blockers: checks.filter(isBlocker),
    warnings: of('failed')
      .filter((check) => !isBlocker(check))
      .toSorted((a, b) => rank(a) - rank(b)),
    skipped: skipped.toSorted((a, b) => Number(b.isUnknown) - Number(a.isUnknown)),
    passed: of('passed'),
  }
}

/** Everything that compared different without a reason, the tables of a database before its other objects. */
export function differencesOf(report: Report): Difference[] {
  return report.databases.flatMap((database) => [
    ...tablesInOrder(database)
      .filter(tableDiffers)
      .map((table) => ({
        database: database.target,
        kind: 'table',
        object: `${table.schema}.${table.name}`,
        how: tableDifference(table),
        keys: table.differingKeys ?? [],
      })),
    ...database.objects.flatMap((objects) =>
      differingObjects(objects).map((difference) => ({
        database: database.target,
        kind: objects.kind,
        ...difference,
        keys: [],
      })),
    ),
  ])
}

/** Everything that was left out or changed for a reason; archive entries name their kind themselves. */
export function leftOutOf(report: Report): LeftOut[] {
  return report.databases.flatMap(({ target: database, restore, tables, objects }) => [
    ...(restore?.skipped ?? []).map(({ entry, reason }) => ({
      database,
      kind: '',
      object: entry,
      reason,
    })),
    ...tables
      .filter((table) => !table.match && table.explained !== undefined)
      .map((table) => ({
        database,
        kind: 'table',
        object: `${table.schema}.${table.name}`,
        reason: `${tableDifference(table)}: ${table.explained}`,
      })),
    ...objects.flatMap(({ kind, explained = [] }) =>
      explained.map(({ entry, reason }) => ({ database, kind, object: entry, reason })),
    ),
  ])
}

/**
 * Why the target is otherwise than the source, each reason once however many objects it concerns, without those of accepted
 * losses: that the objects of the source's superuser belong to the account is one thing.
 */
export function reasonsOf(report: Report): string[] {
  const lost = new Set(report.losses.map(({ reason }) => reason))
  const roles = report.roles?.differences.filter(({ explained }) => explained) ?? []
  const all = [...leftOutOf(report), ...roles]
    // the restore tells how many objects an owner has kept, and then why
    .map(({ reason }) => reason.replace(/^[\d,]+ objects? stays? with ".*?": /s, ''))
    .filter((reason) => !lost.has(reason) && !Object.values(needless).includes(reason))
  return [...new Set(all)]
}

/** Whether the run was about roles and no database: what it proves, and what comes next, is about them. */
export function isOfRolesAlone({ databases, roles }: Pick<Report, 'databases' | 'roles'>): boolean {
  return databases.length === 0 && roles !== undefined
}

/** The sum of numbers. */
export function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
