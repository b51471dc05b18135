import {
  counted,
  formatBytes,
  formatCount,
  formatDuration,
  formatRate,
} from '../../text/numbers.ts'
import { databaseResult, differencesOf, differingObjects, leftOutOf, rowsOf } from '../findings.ts'
import type { DatabaseResult, Report } from '../model.ts'
import { compares } from '../verdict.ts'
import {
  type Cell,
  code,
  codes,
  cut,
  folded,
  type Markup,
  markup,
  nothing,
  number,
  section,
  state,
  table,
} from './page.ts'

/** Rows of a list that are shown before the rest is folded away. */
const openRows = 100

/** What the target refused, each with what mends it. */
export function failedEntries(report: Report): Markup {
  const rows = report.databases.flatMap(({ target, restore }) =>
    (restore?.failed ?? []).map((entry): Cell[] => [
      code(target),
      code(entry.entry),
      markup`${cut(entry.reason)}${entry.sqlstate === null ? '' : ` (SQLSTATE ${entry.sqlstate})`}${
        entry.remedy ? markup`<span class="remedy">Next step: ${cut(entry.remedy)}</span>` : nothing
      }${entry.statement ? folded('Statement', code(entry.statement)) : nothing}`,
    ]),
  )
  if (rows.length === 0) return nothing
  const title = 'Entries that could not be restored'
  return section(title, table(title, ['Database', 'Entry', 'Why'], rows))
}

/** What is not the same on both sides. */
export function differences(report: Report): Markup {
  const found = differencesOf(report)
  if (found.length === 0) return nothing
  const keys = found.some((difference) => difference.keys.length > 0)
  const columns = ['Database', 'What', 'Difference', ...(keys ? ['Keys of differing rows'] : [])]
  const rows = found.map((difference): Cell[] => [
    code(difference.database),
    markup`${difference.kind} ${code(difference.object)}`,
    state('bad', difference.how),
    ...(keys ? [codes(difference.keys)] : []),
  ])
  const more = rows.slice(openRows)
  return section(
    'Differences',
    table('Differences', columns, rows.slice(0, openRows)),
    more.length > 0
      ? folded(counted(more.length, 'more difference'), table('More differences', columns, more))
      : nothing,
  )
}

function comparison(database: DatabaseResult): Cell {
  const result = databaseResult(database)
  const how = result === 'equal' ? 'good' : result === 'not verified' ? 'doubtful' : 'bad'
  return state(how, result)
}

/** A row for each database. */
export function databaseTable(report: Report): Markup {
  if (report.databases.length === 0) return nothing
  const rows = report.databases.map((database): Cell[] => [
    database.name === database.target
      ? code(database.name)
      : markup`${code(database.name)} → ${code(database.target)}`,
    number(formatBytes(database.bytes)),
    number(database.dumpBytes > 0 ? formatBytes(database.dumpBytes) : '–'),
    number(database.dumpBytes > 0 ? formatDuration(database.dumpSeconds) : '–'),
    number(database.restore ? formatDuration(database.restoreSeconds) : '–'),
    number(
      database.restore
        ? `${formatCount(database.restore.restored)} of ${formatCount(database.restore.entries)}`
        : '–',
    ),
    number(database.tables.length > 0 ? formatCount(database.tables.length) : '–'),
    number(database.tables.length > 0 ? formatCount(rowsOf(database.tables)) : '–'),
    ...(compares(report) ? [comparison(database)] : []),
  ])
  const columns = ['Database', 'Size>', 'Dump>', 'Dumped in>', 'Restored in>', 'Entries restored>']
  return section(
    'Databases',
    table(
      'Databases',
      [...columns, 'Tables>', 'Rows>', ...(compares(report) ? ['Compared'] : [])],
      rows,
    ),
  )
}

/** How much went through in a second, as far as it took seconds. */
export function throughput({ databases }: Report): Markup {
  const bytes = (amount: number, seconds: number) =>
    seconds >= 1 && amount > 0 ? formatRate(amount / seconds) : '–'
  const rows = (perSecond = 0) => (perSecond > 0 ? `${formatCount(perSecond)} rows/s` : '–')
  const lines = databases.map((database): string[] => {
    const { bytes: size, dumpSeconds, dumpBytes, restoreSeconds, verifyRowsPerSecond } = database
    return [
      database.target,
      bytes(size, dumpSeconds),
      bytes(dumpBytes, dumpSeconds),
      bytes(database.restore ? size : 0, restoreSeconds),
      rows(verifyRowsPerSecond?.source),
      rows(verifyRowsPerSecond?.target),
    ]
  })
  const known = lines.filter((cells) => cells.slice(1).some((text) => text !== '–'))
  if (known.length === 0) return nothing
  const columns = [
    ...['Database', 'Read from the source>', 'Dump written>', 'Restored>'],
    ...['Source checked>', 'Target checked>'],
  ]
  return section(
    'Throughput',
    table(
      'Throughput',
      columns,
      known.map(([name = '', ...cells]) => [code(name), ...cells.map(number)]),
    ),
  )
}

/** What is not on the target, or not as on the source, with the reason. */
export function leftOut(report: Report): Markup {
  const rows = leftOutOf(report).map(({ database, kind, object, reason }): Cell[] => [
    code(database),
    markup`${kind} ${code(object)}`,
    cut(reason),
  ])
  if (rows.length === 0) return nothing
  const title = 'Left out or changed, with the reason'
  const columns = ['Database', 'What', 'Reason']
  const more = rows.slice(openRows)
  return section(
    title,
    table(title, columns, rows.slice(0, openRows)),
    more.length > 0
      ? folded(`${formatCount(more.length)} more`, table(title, columns, more))
      : nothing,
  )
}

/** What the comparison does not see. */
export function notCompared({ databases }: Report): Markup {
  const lines = databases.flatMap(({ target, notCompared = [] }) =>
    notCompared.map((line) => markup`<li>${code(target)}: ${cut(line)}</li>`),
  )
  return lines.length === 0 ? nothing : section('Not compared', markup`<ul>${lines}</ul>`)
}

/** Objects that are no tables, counted by kind. */
export function objects(report: Report): Markup {
  const rows = report.databases.flatMap((database) =>
    database.objects.map((kind): Cell[] => {
      const count = differingObjects(kind).length
      return [
        code(database.target),
        kind.kind,
        number(formatCount(kind.source)),
        number(formatCount(kind.target)),
        count === 0 ? state('good', 'equal') : state('bad', counted(count, 'difference')),
      ]
    }),
  )
  if (rows.length === 0) return nothing
  const columns = ['Database', 'Kind', 'Source>', 'Target>', 'Result']
  const kinds = table('Objects by kind', columns, rows)
  return section(
    'Objects by kind',
    rows.length > 20 ? folded(counted(rows.length, 'kind'), kinds) : kinds,
  )
}
