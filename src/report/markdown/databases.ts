import { counted, formatBytes, formatCount, formatDuration } from '../../text/numbers.ts'
import {
  databaseResult,
  differencesOf,
  differingObjects,
  leftOutOf,
  rowsOf,
  tableDifference,
  tableDiffers,
  tablesInOrder,
} from '../findings.ts'
import type { Report } from '../model.ts'
import { compares } from '../verdict.ts'
import { code, codes, type Page, prose } from './page.ts'

/** Tables that compared equal are listed up to this many, the largest first: report.html has them all. */
const equalTables = 100

/** What the target refused, each with what mends it. */
export function failedEntries(page: Page, report: Report): void {
  const rows = report.databases.flatMap(({ target, restore }) =>
    (restore?.failed ?? []).map((entry) => [
      code(target),
      code(entry.entry),
      entry.sqlstate === null ? '' : code(entry.sqlstate),
      prose(entry.reason),
      prose(entry.remedy),
    ]),
  )
  const columns = ['Database', 'Entry', 'SQLSTATE', 'Reason', 'Next step']
  page.table('### Entries that could not be restored', columns, rows)
}

/** What is not the same on both sides. */
export function differences(page: Page, report: Report): void {
  const rows = differencesOf(report).map(({ database, kind, object, how, keys }) => [
    code(database),
    `${prose(kind)} ${code(object)}`,
    how,
    codes(keys),
  ])
  page.table('### Differences', ['Database', 'What', 'Difference', 'Keys'], rows)
}

/** A row for each database. */
export function databases(page: Page, report: Report): void {
  const rows = report.databases.map((database) => [
    database.name === database.target
      ? code(database.name)
      : `${code(database.name)} → ${code(database.target)}`,
    formatBytes(database.bytes),
    database.dumpBytes > 0 ? formatBytes(database.dumpBytes) : '–',
    database.dumpBytes > 0 ? formatDuration(database.dumpSeconds) : '–',
    database.restore
      ? `${formatCount(database.restore.restored)} of ${formatCount(database.restore.entries)}`
      : '–',
    database.restore ? formatDuration(database.restoreSeconds) : '–',
    database.tables.length > 0 ? formatCount(database.tables.length) : '–',
    database.tables.length > 0 ? formatCount(rowsOf(database.tables)) : '–',
    ...(compares(report) ? [databaseResult(database)] : []),
  ])
  const columns = ['Database', 'Size>', 'Dump>', 'Dumped in>', 'Entries restored>', 'Restored in>']
  const last = ['Tables>', 'Rows>', ...(compares(report) ? ['Compared'] : [])]
  page.table('### Databases', [...columns, ...last], rows)
}

/** What is not on the target, or not as on the source, with the reason. */
export function leftOut(page: Page, report: Report): void {
  const rows = leftOutOf(report).map(({ database, kind, object, reason }) => [
    code(database),
    `${prose(kind)} ${code(object)}`.trim(),
    prose(reason),
  ])
  const columns = ['Database', 'What', 'Reason']
  page.table('### Left out or changed, with the reason', columns, rows)
}

/** What the comparison does not see. */
export function notCompared(page: Page, report: Report): void {
  const rows = report.databases.flatMap(({ target, notCompared = [] }) =>
    notCompared.map((line) => [code(target), prose(line)]),
  )
  page.table('### Not compared', ['Database', 'What'], rows)
}

/** The tables, those that differ first. */
export function tables(page: Page, report: Report): void {
  const all = report.databases.flatMap((database) =>
    tablesInOrder(database).map((table) => ({ database: database.target, table })),
  )
  const odd = all.filter(({ table }) => !table.match)
  const equal = all
    .filter(({ table }) => table.match)
    .toSorted((a, b) => (b.table.sourceRows ?? 0) - (a.table.sourceRows ?? 0))
  const shown = [...odd, ...equal.slice(0, equalTables)]
  page.folded(
    `Tables: ${formatCount(equal.length)} of ${formatCount(all.length)} equal`,
    ['Database', 'Table', 'Source rows>', 'Target rows>', 'Result'],
    shown.map(({ database, table }) => [
      code(database),
      code(`${table.schema}.${table.name}`),
      table.sourceRows === null ? '–' : formatCount(table.sourceRows),
      table.targetRows === null ? '–' : formatCount(table.targetRows),
      `${tableDiffers(table) ? '❌ ' : ''}${prose(tableDifference(table))}`,
    ]),
    all.length - shown.length,
  )
}

/** The other objects, counted by kind. */
export function objects(page: Page, report: Report): void {
  const rows = report.databases.flatMap((database) =>
    database.objects.map((kind) => [
      code(database.target),
      prose(kind.kind),
      formatCount(kind.source),
      formatCount(kind.target),
      differingObjects(kind).length === 0
        ? 'equal'
        : `❌ ${counted(differingObjects(kind).length, 'difference')}`,
    ]),
  )
  const columns = ['Database', 'Kind', 'Source>', 'Target>', 'Result']
  page.folded('Objects by kind', columns, rows)
}
