import { formatBytes, formatDuration, formatRange } from '../../text/numbers.ts'
import type { Forecast, HistoryPoint, Report } from '../model.ts'
import { axisSteps } from './axis.ts'
import { percent } from './lanes.ts'
import { type Cell, folded, type Markup, markup, nothing, number, state, table } from './page.ts'

/** Points drawn: the newest. */
const mostPoints = 200

const height = 220
const top = 18
const bottom = height - 30

/** Per cent of the width between which runs are drawn; the forecast stands to the right of them. */
const first = 9
const last = 82
const forecastAt = 88
const forecastWidth = 8

/** What earlier runs took, and what is forecast: drawn over their dates, with the numbers in a table. */
export function trend({ history = [], forecast }: Report): Markup {
  const points = history.slice(-mostPoints)
  const range = forecast && forecast.from === 'runs' ? forecast : undefined
  // a run by itself is no trend: its phases say what it took
  if (points.length < 2 && !forecast) return nothing
  if (points.length === 0) return nothing
  const rows = points
    .toReversed()
    .map((point): Cell[] => [
      dayOf(point.startedAt),
      point.command,
      number(formatBytes(point.bytes)),
      number(formatDuration(point.seconds)),
      number(point.stated ? formatRange(point.stated, formatDuration) : '–'),
      point.stated === null
        ? ''
        : isStated(point)
          ? state('good', 'within')
          : state('doubtful', 'outside'),
      point.verified ? state('good', 'verified') : state('doubtful', 'not verified'),
    ])
  const columns = ['Run', 'Command', 'Data>', 'Took>', 'Said before>', 'It was', 'Result']
  return markup`<h3>This run and those before it</h3>
${points.length > 1 ? markup`<figure>${plot(points, range)}<figcaption class="quiet">The time of the outage in each run (dots; hollow: not verified), over what was said of it before (lines)${range ? ', and the forecast (bar on the right)' : ''}.</figcaption></figure>` : nothing}
${folded(`The numbers of ${points.length === 1 ? 'one run' : `${points.length} runs`}`, table('Runs', columns, rows))}`
}

function isStated({ stated, seconds }: HistoryPoint): boolean {
  return stated !== null && seconds >= stated.low && seconds <= stated.high
}

function plot(points: readonly HistoryPoint[], forecast: Forecast | undefined): Markup {
  const most = Math.max(
    1,
    ...points.map(({ seconds, stated }) => Math.max(seconds, stated?.high ?? 0)),
    forecast?.high ?? 0,
  )
  const steps = axisSteps(most)
  const ceiling = steps.at(-1) ?? most
  const y = (seconds: number) =>
    Math.round((bottom - ((bottom - top) * Math.min(seconds, ceiling)) / ceiling) * 10) / 10
  const moments = points.map(({ startedAt }) => Date.parse(startedAt))
  const [begin, end] = [Math.min(...moments), Math.max(...moments)]
  const isOrdered = Number.isFinite(begin) && end > begin
  const x = (index: number) => {
    const part = isOrdered
      ? ((moments[index] ?? begin) - begin) / (end - begin)
      : index / Math.max(1, points.length - 1)
    return percent(first + (last - first) * part)
  }
  const name = (seconds: number) => formatDuration(seconds).replace('.0 s', ' s')
  const [from, to] = [points[0], points.at(-1)].map((point) => dayOf(point?.startedAt ?? '')) as [
    string,
    string,
  ]
  const label = `What ${points.length} runs took, from ${from} to ${to}; the table below has the numbers`
  return markup`<svg class="plot" height="${height}" role="img" aria-label="${label}">${steps.map(
    (seconds) => markup`
<line class="grid" x1="0" x2="100%" y1="${y(seconds)}" y2="${y(seconds)}"/>`,
  )}${forecast ? band(forecast, y) : nothing}${points.slice(1).map(
    ({ seconds }, index) => markup`
<line class="path" x1="${x(index)}%" y1="${y(points[index]?.seconds ?? 0)}" x2="${x(index + 1)}%" y2="${y(seconds)}"/>`,
  )}${points.map((point, index) => dot(point, x(index), y))}${steps.slice(1).map(
    (seconds) => markup`
<text x="0" y="${y(seconds) - 4}">${name(seconds)}</text>`,
  )}
<text x="${first}%" y="${height - 8}">${from}</text>
<text x="${last}%" y="${height - 8}" text-anchor="end">${to}</text>
</svg>`
}

function band({ low, high }: Forecast, y: (seconds: number) => number): Markup {
  return markup`
<rect class="forecast" x="${forecastAt}%" y="${y(high)}" width="${forecastWidth}%" height="${Math.max(2, y(low) - y(high))}"><title>${`forecast: ${formatRange({ low, high }, formatDuration)}`}</title></rect>
<text x="${forecastAt + forecastWidth / 2}%" y="${height - 8}" text-anchor="middle">next</text>`
}

function dot(point: HistoryPoint, x: number, y: (seconds: number) => number): Markup {
  const { seconds, stated, verified, startedAt, command } = point
  const said = stated
    ? markup`
<line class="stated" x1="${x}%" x2="${x}%" y1="${y(stated.high)}" y2="${y(stated.low)}"/>`
    : nothing
  return markup`${said}
<circle class="${verified ? 'run' : 'run hollow'}" cx="${x}%" cy="${y(seconds)}" r="4.5"><title>${`${dayOf(startedAt)}, ${command}: ${formatDuration(seconds)}`}</title></circle>`
}

/** `2026-11-20`; what is no date stays as it is. */
function dayOf(moment: string): string {
  const date = new Date(moment)
  return Number.isNaN(date.getTime()) ? moment : date.toISOString().slice(0, 10)
}
