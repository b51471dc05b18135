import { counted, formatCount } from '../../text/numbers.ts'
import { rowsOf, tableDifference, tableDiffers, tablesInOrder } from '../findings.ts'
import type { Report, TableResult } from '../model.ts'
import { elapsed } from '../verdict.ts'
import { axis, tickTimes } from './lanes.ts'
import {
  code,
  folded,
  type Markup,
  markup,
  nothing,
  number,
  sectionOf,
  state,
  table,
} from './page.ts'
import { tableLane } from './table-times.ts'

/** Tables of a database shown in one open list; more are folded away, schema by schema. */
const openTables = 30

/** Tables that compared equal and are listed at all: browsers do not draw more, and report.json has them. */
const mostTables = 50_000

/** The tables, those that differ first. */
export function tables(report: Report): Markup {
  const withTables = report.databases.filter((database) => database.tables.length > 0)
  if (withTables.length === 0) return nothing
  const all = withTables.reduce((total, database) => total + database.tables.length, 0)
  const total = elapsed(report)
  let [room, hidden] = [mostTables, 0]
  const lists = withTables.map((database) => {
    const inOrder = tablesInOrder(database)
    const odd = inOrder.filter((table) => !table.match)
    const equal = inOrder.slice(odd.length, odd.length + room)
    room -= equal.length
    hidden += inOrder.length - odd.length - equal.length
    const summary = markup`${code(database.target)}: ${formatCount(inOrder.length - odd.length)} of ${counted(inOrder.length, 'table')} equal`
    if (all <= openTables) return folded(summary, tableList(inOrder, total), true)
    const oddFirst = markup`${odd.length > 0 ? tableList(odd, total) : nothing}${bySchema(equal, total)}`
    return folded(summary, oddFirst, odd.length > 0)
  })
  return sectionOf(
    'tables',
    'Tables',
    ...lists,
    hidden > 0
      ? markup`<p class="quiet">${formatCount(hidden)} more equal tables are in report.json.</p>`
      : nothing,
  )
}

function bySchema(equal: TableResult[], total: number): Markup {
  const schemas = [...Map.groupBy(equal, (table) => table.schema)].toSorted(([a], [b]) =>
    a < b ? -1 : 1,
  )
  return markup`${schemas.map(([schema, tables]) => {
    const rows = rowsOf(tables)
    return folded(
      markup`schema ${code(schema)}: ${counted(tables.length, 'table')}, ${counted(rows, 'row')}, all equal`,
      tableList(tables, total),
    )
  })}`
}

/** With a lane for each table, where its times are known. */
function tableList(tables: TableResult[], total: number): Markup {
  const isTimed = total > 0 && tables.some(({ timeline }) => timeline)
  return table(
    'Tables',
    [
      'Table',
      ...(isTimed ? [{ head: axis(total, tickTimes(total)), class: 'lanes' }] : []),
      'Source rows>',
      'Target rows>',
      'Result',
    ],
    tables.map((table) => [
      code(`${table.schema}.${table.name}`),
      ...(isTimed ? [{ class: 'lanes', content: tableLane(table, total) }] : []),
      {
        ...number(table.sourceRows === null ? '–' : formatCount(table.sourceRows)),
        label: 'source',
      },
      {
        ...number(table.targetRows === null ? '–' : formatCount(table.targetRows)),
        label: 'target',
      },
      state(
        table.match ? 'good' : tableDiffers(table) ? 'bad' : 'doubtful',
        tableDifference(table),
      ),
    ]),
    'timeline steps',
  )
}
