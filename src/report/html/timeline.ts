import { counted, formatDuration } from '../../text/numbers.ts'
import { printable, shorten } from '../../text/text.ts'
import { type PhaseResult, phaseNames, type Report } from '../model.ts'
import { elapsed } from '../verdict.ts'
import { axis, type Bar, lane, tickTimes } from './lanes.ts'
import {
  type Cell,
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

/** Beyond so many bars a row each, the phases of all databases share a row. */
const mostRows = 40

/** The section of the phases: each drawn, with its numbers beside it. */
export function phases(report: Report): Markup {
  if (report.phases.length === 0) return nothing
  const ran = report.phases
    .filter((phase) => phase.status !== 'skipped')
    .toSorted((a, b) => a.startedAt - b.startedAt)
  const total = elapsed(report)
  const skipped = report.phases.filter((phase) => phase.status === 'skipped')
  const names = [...new Set(skipped.map(({ name }) => name))].join(', ')
  const left =
    skipped.length > 0 ? markup`<p class="quiet">Left out by the inputs: ${names}.</p>` : nothing
  const title = 'Timeline'
  if (total <= 0) return left === nothing ? nothing : section(title, left)
  const ticks = tickTimes(total)
  const head = ['Phase', { head: axis(total, ticks), class: 'lanes' }, 'Started after>', 'Took>']
  const many = ran.length > mostRows
  const rows = [...cutover(report, total, ticks), ...(many ? byName(ran) : ran.map(byPhase(ran)))]
  return section(
    title,
    table(
      title,
      head,
      rows.map((row) => row(total, ticks)),
      'timeline',
    ),
    left,
    many
      ? folded(
          counted(ran.length, 'phase'),
          table(
            'Phases',
            head,
            ran.map((phase) => byPhase(ran)(phase)(total, ticks)),
            'timeline',
          ),
        )
      : nothing,
  )
}

type Row = (total: number, ticks: readonly number[]) => Cell[]

/** A row for each phase, with the database's name where there is more than one. */
function byPhase(all: readonly PhaseResult[]): (phase: PhaseResult) => Row {
  const databases = new Set(all.flatMap(({ database }) => database ?? []))
  return (phase) => {
    const of =
      databases.size > 1 && phase.database !== undefined
        ? markup` ${code(shorten(phase.database, 40))}`
        : nothing
    return row(markup`${phase.name}${of}`, [phase])
  }
}

function byName(phases: readonly PhaseResult[]): Row[] {
  const groups = Map.groupBy(phases, ({ name }) => name)
  return phaseNames.flatMap((name) => {
    const group = groups.get(name)
    return group ? [row(markup`${name}`, group)] : []
  })
}

function row(name: Markup, phases: readonly PhaseResult[]): Row {
  const start = Math.min(...phases.map((phase) => phase.startedAt))
  const end = Math.max(...phases.map((phase) => phase.startedAt + phase.seconds))
  const hasFailed = phases.some((phase) => phase.status === 'failed')
  const took = formatDuration(end - start)
  const bars = phases.map(
    ({ startedAt, seconds, status, ...phase }): Bar => ({
      from: startedAt,
      to: startedAt + seconds,
      kind: `${status === 'failed' ? 'failed' : 'phase'}${phases.length > 1 ? ' many' : ''}`,
      title: printable(describe({ startedAt, seconds, status, ...phase })),
    }),
  )
  return (total, ticks) => [
    name,
    { class: 'lanes', content: lane(bars, total, ticks) },
    { ...number(formatDuration(start)), label: 'started after' },
    hasFailed ? { ...state('bad', `${took}, failed`), class: 'number state bad' } : number(took),
  ]
}

/** From the first byte dumped to verified. */
function cutover(report: Report, total: number, ticks: readonly number[]): Row[] {
  // the roles are dumped first, unless they are left out
  const from = report.phases.find(
    ({ name, status }) => /^dump(-roles)?$/.test(name) && status !== 'skipped',
  )?.startedAt
  const seconds = report.cutoverSeconds
  if (from === undefined || seconds === null) return []
  const bar: Bar = { from, to: Math.min(from + seconds, total), kind: 'cutover' }
  return [
    () => [
      markup`<strong>cutover</strong>`,
      { class: 'lanes', content: lane([bar], total, ticks) },
      { ...number(formatDuration(from)), label: 'started after' },
      { class: 'number', content: markup`<strong>${formatDuration(seconds)}</strong>` },
    ],
  ]
}

function describe({ name, database, status, seconds, startedAt }: PhaseResult): string {
  const of = database === undefined ? '' : ` of ${database}`
  return `${name}${of}: ${status}, ${formatDuration(seconds)}, started after ${formatDuration(startedAt)}`
}
