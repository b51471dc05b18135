import { counted, formatCount } from '../../text/text.ts'
import { rowsOf, tableDifference, tableDiffers, tablesInOrder } from '../findings.ts'
import type { Report, TableResult } from '../model.ts'
import {
  code,
  folded,
  type Markup,
  markup,
  nothing,
  number,
  section,
  state,
  table,
} from './page.ts'

/** Tables of a database shown in one open list; more are folded away, schema by schema. */
const openTables = 30

/** Tables that compared equal and are listed at all: browsers do not draw more, and report.json has them. */
const mostTables = 50_000

/** The tables, those that differ first. */
export function tables(report: Report): Markup {
  const withTables = report.databases.filter((database) => database.tables.length > 0)
  if (withTables.length === 0) return nothing
  const all = withTables.reduce((total, database) => total + database.tables.length, 0)
  let [room, hidden] = [mostTables, 0]
  const lists = withTables.map((database) => {
    const inOrder = tablesInOrder(database)
    const odd = inOrder.filter((table) => !table.match)
    const equal = inOrder.slice(odd.length, odd.length + room)
    room -= equal.length
    hidden += inOrder.length - odd.length - equal.length
    const summary = markup`${code(database.target)}: ${formatCount(inOrder.length - odd.length)} of ${counted(inOrder.length, 'table')} equal`
    if (all <= openTables) return folded(summary, tableList(inOrder), true)
    const oddFirst = markup`${odd.length > 0 ? tableList(odd) : nothing}${bySchema(equal)}`
    return folded(summary, oddFirst, odd.length > 0)
  })
  return section(
    'Tables',
    ...lists,
    hidden > 0
      ? markup`<p class="quiet">${formatCount(hidden)} more equal tables are in report.json.</p>`
      : nothing,
  )
}

function bySchema(equal: TableResult[]): Markup {
  const schemas = [...Map.groupBy(equal, (table) => table.schema)].toSorted(([a], [b]) =>
    a < b ? -1 : 1,
  )
  return markup`${schemas.map(([schema, tables]) => {
    const rows = rowsOf(tables)
    return folded(
      markup`schema ${code(schema)}: ${counted(tables.length, 'table')}, ${counted(rows, 'row')}, all equal`,
      tableList(tables),
    )
  })}`
}

function tableList(tables: TableResult[]): Markup {
  return table(
    'Tables',
    ['Table', 'Source rows>', 'Target rows>', 'Result'],
    tables.map((table) => [
      code(`${table.schema}.${table.name}`),
      number(table.sourceRows === null ? '–' : formatCount(table.sourceRows)),
      number(table.targetRows === null ? '–' : formatCount(table.targetRows)),
      state(
        table.match ? 'good' : tableDiffers(table) ? 'bad' : 'doubtful',
        tableDifference(table),
      ),
    ]),
  )
}
