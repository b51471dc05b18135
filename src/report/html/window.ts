import { counted, formatBytes, formatDuration, formatRange } from '../../text/numbers.ts'
import type { Forecast, Range, Report } from '../model.ts'
import { windowFacts, windowSentence } from '../window.ts'
import {
  type Cell,
  code,
  cut,
  type Markup,
  markup,
  nothing,
  number,
  section,
  table,
} from './page.ts'
import { trend } from './trend.ts'

const took = (seconds: Range) => formatRange(seconds, formatDuration)

/** How long nobody will be able to work, what earlier runs took, and what would make it shorter. */
export function outage(report: Report): Markup {
  const { forecast } = report
  const runs = trend(report)
  if (!forecast && runs === nothing) return nothing
  return section(
    'The outage window',
    forecast
      ? markup`<p class="window">${windowSentence(forecast)}</p>
<p class="quiet">${windowFacts(forecast)}</p>
${heldUp(forecast)}`
      : nothing,
    runs,
    forecast ? growth(forecast) : nothing,
    forecast && forecast.basis.length > 0
      ? markup`<p class="quiet">${cut(forecast.basis.map((sentence) => `${sentence}.`).join(' '))}</p>`
      : nothing,
  )
}

function heldUp({ heldUp }: Forecast): Markup {
  if (heldUp.length === 0) return nothing
  return markup`<h3>What holds it up most</h3>
<ul>${heldUp.map(({ what, seconds, remedy }) => markup`<li>${cut(what)} <span class="quiet">(up to ${formatDuration(seconds)})</span><span class="remedy">${cut(remedy)}</span></li>`)}</ul>`
}

function growth({ phases }: Forecast): Markup {
  if (phases.length === 0) return nothing
  const rows = phases.map(({ name, seconds, perGigabyte }): Cell[] => [
    name,
    number(took(seconds)),
    number(perGigabyte === null ? '–' : formatDuration(perGigabyte)),
  ])
  const title = 'Phases of the outage'
  return markup`<h3>${title}</h3>
${table(title, ['Phase', 'Takes>', 'More for each GB>'], rows)}`
}

/** What a migration will take, where that was estimated. */
export function estimate({ estimate }: Report): Markup {
  if (!estimate) return nothing
  const rows: Cell[][] = [
    ['the whole migration', number(took(estimate.seconds))],
    ...estimate.phases.map(({ name, seconds }): Cell[] => [name, number(took(seconds))]),
    ['the dump', number(formatRange(estimate.dumpBytes, formatBytes))],
  ]
  const each = estimate.databases.map(({ name, seconds, dumpBytes }): Cell[] => [
    code(name),
    number(took(seconds)),
    number(formatRange(dumpBytes, formatBytes)),
  ])
  return section(
    'Estimate',
    table('Estimate', ['What', 'How much>'], rows),
    each.length > 1
      ? markup`<h3>${counted(each.length, 'database')}</h3>
${table('Each database', ['Database', 'Time>', 'Dump>'], each)}`
      : nothing,
    markup`<p class="quiet">${cut(estimate.basis.map((sentence) => `${sentence}.`).join(' '))}</p>`,
  )
}
