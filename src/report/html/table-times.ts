import { counted, formatDuration } from '../../text/numbers.ts'
import { sum } from '../findings.ts'
import {
  type Report,
  type Span,
  type TableResult,
  type TableTimeline,
  tableSteps,
} from '../model.ts'
import { elapsed } from '../verdict.ts'
import { axis, type Bar, lane, legend, tickTimes } from './lanes.ts'
import { type Cell, code, type Markup, markup, nothing, number, section, table } from './page.ts'

/** Tables drawn in the section that shows what held the run up: the list of tables draws all. */
const mostTables = 25

/** Below this part of its length a bar is pale: most of that time went into something else. */
const worked = 0.7

/** The tables that were worked on longest, each with its dump, load, indexes and check. */
export function longestTables(report: Report): Markup {
  const total = elapsed(report)
  const timed = report.databases.flatMap((database) =>
    [...database.tables, ...(database.timedTables ?? [])].flatMap((table) =>
      table.timeline ? [{ database: database.target, table, timeline: table.timeline }] : [],
    ),
  )
  if (timed.length === 0 || total <= 0) return nothing
  const longest = timed
    .toSorted((a, b) => workOf(b.timeline) - workOf(a.timeline))
    .slice(0, mostTables)
  const isOne = new Set(timed.map(({ database }) => database)).size === 1
  const rows = longest.map(({ database, table, timeline }): Cell[] => [
    markup`${code(`${table.schema}.${table.name}`)}${isOne ? nothing : markup` <span class="quiet">${code(database)}</span>`}`,
    { class: 'lanes', content: tableLane(table, total) },
    ...tableSteps.map((step) => ({
      ...number(timeline[step] ? formatDuration(timeline[step].busy) : '–'),
      label: step,
    })),
  ])
  const head = [
    'Table',
    { head: axis(total, tickTimes(total)), class: 'lanes' },
    'Dump>',
    'Load>',
    'Indexes>',
    'Check>',
  ]
  const all = timed.length > longest.length
  const isCompared = report.databases.every(({ timedTables }) => timedTables === undefined)
  const title = 'What each table took'
  return section(
    title,
    markup`<p>${
      all
        ? `The ${longest.length} of ${counted(timed.length, 'table')} that were worked on longest${isCompared ? '; the list of tables draws the others' : ''}.`
        : 'Those that were worked on longest come first.'
    } The numbers are the time at work.</p>
${legend([
  ['dump', 'dump'],
  ['load', 'load of the rows'],
  ['indexes', 'indexes and constraints'],
  ['check', 'check on the target'],
  ['indexes pale', 'pale: shared with other tables, or waiting'],
])}`,
    table(title, head, rows, 'timeline steps'),
    lastOf(timed, total),
  )
}

/** A table of which times are known, and where it is. */
interface Timed {
  database: string
  table: { schema: string; name: string }
  timeline: TableTimeline
}

/** What ended each step for all: nothing else could have been begun before it. Said where it took a good part of the run. */
function lastOf(timed: readonly Timed[], total: number): Markup {
  const last = tableSteps.flatMap((step) => {
    const [latest] = timed
      .flatMap(({ table, timeline }) => (timeline[step] ? [{ table, span: timeline[step] }] : []))
      .toSorted((a, b) => b.span.end - a.span.end || b.span.busy - a.span.busy)
    return latest && latest.span.busy >= total / 50 ? [{ step, ...latest }] : []
  })
  if (last.length === 0) return nothing
  return markup`<p>Last to end: ${last.map(
    ({ step, table: { schema, name }, span }, index) =>
      markup`${index > 0 ? '; ' : ''}${step} of ${code(`${schema}.${name}`)} (${formatDuration(span.busy)} of work, done after ${formatDuration(span.end)})`,
  )}.</p>`
}

/** The bars of one table. */
export function tableLane({ timeline = {} }: Pick<TableResult, 'timeline'>, total: number): Markup {
  const bars = tableSteps.flatMap((step): Bar[] => {
    const span = timeline[step]
    return span ? [{ from: span.start, to: span.end, kind: kindOf(step, span) }] : []
  })
  return lane(bars, total)
}

/** Seconds at work of all its steps. */
export function workOf(timeline: TableTimeline): number {
  return sum(tableSteps.map((step) => timeline[step]?.busy ?? 0))
}

function kindOf(step: string, { start, end, busy }: Span): string {
  return busy < worked * (end - start) ? `${step} pale` : step
}
