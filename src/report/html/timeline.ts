import { counted, formatDuration, printable, shorten } from '../../text/text.ts'
import { type PhaseResult, phaseNames, type Report } from '../model.ts'
import { elapsed } from '../verdict.ts'
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

const width = 960
const rowHeight = 26
/** Room for a duration to the right of the longest bar. */
const right = 92

/** One row of the drawing: a phase of a database, or a phase of all of them. */
interface Row {
  phases: PhaseResult[]
  name: string
  database: string
}

/** Where seconds since the start lie on the drawing. */
type Scale = (seconds: number) => number

/** The section of the phases: drawn, and as a table for those who want the numbers or cannot see the drawing. */
export function phases(report: Report): Markup {
  if (report.phases.length === 0) return nothing
  const rows = report.phases.map((phase): Cell[] => [
    phase.name,
    phase.database === undefined ? '' : code(phase.database),
    state(phase.status === 'failed' ? 'bad' : 'good', phase.status),
    number(phase.status === 'skipped' ? '–' : formatDuration(phase.startedAt)),
    number(phase.status === 'skipped' ? '–' : formatDuration(phase.seconds)),
  ])
  const columns = ['Phase', 'Database', 'Status', 'Started after>', 'Took>']
  return section(
    'Timeline',
    markup`<div class="scroll" tabindex="0" role="region" aria-label="Timeline">${timeline(report)}</div>
`,
    folded(counted(rows.length, 'phase'), table('Phases', columns, rows)),
  )
}

/** The phases as bars over time, in SVG. */
function timeline(report: Report): Markup {
  const ran = report.phases
    .filter((phase) => phase.status !== 'skipped')
    .toSorted((a, b) => a.startedAt - b.startedAt)
  const total = elapsed(report)
  if (ran.length === 0 || total <= 0) return nothing
  const rows = ran.length > mostRows ? rowsByName(ran) : rowsByPhase(ran)
  const left =
    26 + 7.2 * Math.max(...rows.map(({ name, database }) => `${name} ${database}`.length))
  const x: Scale = (seconds) => round(left + (seconds * (width - left - right)) / total)
  const start = report.phases.find((phase) => phase.name === 'dump')?.startedAt
  const seconds = report.cutoverSeconds
  const bracketed = start !== undefined && seconds !== null
  const top = bracketed ? 44 : 12
  const bottom = top + rows.length * rowHeight
  const label = `Timeline of ${counted(ran.length, 'phase')} in ${formatDuration(total)}; the table of phases has the numbers`
  return markup`<svg class="timeline" viewBox="0 0 ${width} ${bottom + 26}" role="img" aria-label="${label}">${
    bracketed
      ? cutover(x(start), x(Math.min(start + seconds, total)), top, bottom, seconds)
      : nothing
  }${tickTimes(total).map(
    (time) => markup`
<line x1="${x(time)}" x2="${x(time)}" y1="${top - 6}" y2="${bottom}"/>
<text class="axis" x="${x(time)}" y="${bottom + 18}" text-anchor="middle">${time === 0 ? '0' : formatDuration(time).replace('.0 s', ' s')}</text>`,
  )}${rows.map((row, index) => bars(row, x, top + index * rowHeight))}
</svg>`
}

/** A row for each phase, with the database's name where there is more than one. */
function rowsByPhase(phases: PhaseResult[]): Row[] {
  const databases = new Set(phases.flatMap(({ database }) => database ?? []))
  return phases.map((phase) => ({
    phases: [phase],
    name: phase.name,
    database: databases.size > 1 ? shorten(printable(phase.database ?? ''), 24) : '',
  }))
}

function rowsByName(phases: PhaseResult[]): Row[] {
  const groups = Map.groupBy(phases, (phase) => phase.name)
  return phaseNames.flatMap((name) => {
    const group = groups.get(name)
    return group ? [{ phases: group, name, database: '' }] : []
  })
}

function bars({ phases, name, database }: Row, x: Scale, y: number): Markup {
  const start = Math.min(...phases.map((phase) => phase.startedAt))
  const end = Math.max(...phases.map((phase) => phase.startedAt + phase.seconds))
  const failed = phases.some((phase) => phase.status === 'failed') ? ' failed' : ''
  const many = phases.length > 1 ? ' many' : ''
  return markup`
<text x="0" y="${y + 17}">${name}${database ? markup` <tspan class="of">${database}</tspan>` : nothing}</text>${phases.map(
    (phase) => markup`
<rect class="bar ${phase.status}${many}" x="${x(phase.startedAt)}" y="${y + 5}" width="${barWidth(phase, x)}" height="16" rx="2"><title>${describe(phase)}</title></rect>`,
  )}
<text class="took" x="${round(Math.max(x(end), x(start) + 2) + 7)}" y="${y + 17}">${formatDuration(end - start)}${failed}</text>`
}

/** Wide enough to be seen, however short the phase. */
function barWidth({ startedAt, seconds }: PhaseResult, x: Scale): number {
  return Math.max(2, round(x(startedAt + seconds) - x(startedAt)))
}

/** From the first byte dumped to verified: a bracket over the bars, which stand on a tinted ground meanwhile. */
function cutover(from: number, to: number, top: number, bottom: number, seconds: number): Markup {
  return markup`
<rect class="cutover" x="${from}" y="${top - 6}" width="${round(to - from)}" height="${bottom - top + 6}"/>
<path class="bracket" d="M${from} ${top - 8}v-6h${round(to - from)}v6"/>
<text class="axis" x="${from}" y="${top - 22}">cutover ${formatDuration(seconds)}</text>`
}

/** At most nine times from 0 to `total` seconds, at a step that people count in. */
function tickTimes(total: number): number[] {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30]
  const minutes = [1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720, 1440].map((minute) => minute * 60)
  const step =
    [...steps, ...minutes].find((step) => total / step <= 8) ??
    Math.ceil(total / 8 / 86_400) * 86_400
  return Array.from({ length: Math.floor(total / step) + 1 }, (_, index) => index * step)
}

function describe({ name, database, status, seconds, startedAt }: PhaseResult): string {
  const of = database === undefined ? '' : ` of ${database}`
  return `${name}${of}: ${status}, ${formatDuration(seconds)}, started after ${formatDuration(startedAt)}`
}

function round(number: number): number {
  return Math.round(number * 10) / 10
}
