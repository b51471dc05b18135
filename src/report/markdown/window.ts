import { formatBytes, formatCount, formatDuration, formatRange } from '../../text/numbers.ts'
import { markdownCode } from '../../text/text.ts'
import type { Range, Report } from '../model.ts'
import { windowFacts, windowSentence } from '../window.ts'
import { type Page, prose } from './page.ts'

/** Earlier runs that are listed, the newest first: report.html draws all. */
const mostRuns = 10

/** How long nobody will be able to work, what holds it up, and what earlier runs took. */
export function outage(page: Page, { forecast, history = [] }: Report): void {
  if (forecast) {
    page.add(
      `### The outage window\n\n**${prose(windowSentence(forecast))}**\n\n${prose(windowFacts(forecast))}`,
    )
    page.list(
      '**What holds it up most:**',
      forecast.heldUp.map(
        ({ what, seconds, remedy }) =>
          `- ${prose(what)} (up to ${formatDuration(seconds)})<br>${prose(remedy)}`,
      ),
    )
    page.table(
      '#### Phases of the outage',
      ['Phase', 'Takes>', 'More for each GB>'],
      forecast.phases.map(({ name, seconds, perGigabyte }) => [
        name,
        formatRange(seconds, formatDuration),
        perGigabyte === null ? '–' : formatDuration(perGigabyte),
      ]),
    )
    page.list(
      '',
      forecast.basis.map((sentence) => `- ${prose(sentence)}`),
    )
  }
  // a run by itself is no trend: its phases say what it took
  if (history.length < 2 && !forecast) return
  const shown = history.slice(-mostRuns).toReversed()
  page.folded(
    `This run and those before it: ${formatCount(history.length)}`,
    ['Run', 'Command', 'Data>', 'Took>', 'Said before>', 'Verified'],
    shown.map(({ startedAt, command, bytes, seconds, stated, verified }) => [
      prose(startedAt),
      prose(command),
      formatBytes(bytes),
      formatDuration(seconds),
      stated ? formatRange(stated, formatDuration) : '–',
      verified ? 'yes' : '**no**',
    ]),
    history.length - shown.length,
  )
}

/** What a migration will take, where that was estimated. */
export function estimate(page: Page, { estimate }: Report): void {
  if (!estimate) return
  const took = ({ seconds }: { seconds: Range }) => formatRange(seconds, formatDuration)
  const phases = estimate.phases.map((phase) => [phase.name, took(phase)])
  page.table(
    '### Estimate',
    ['What', 'How much'],
    [
      ['the whole migration', took(estimate)],
      ...phases,
      ['the dump', formatRange(estimate.dumpBytes, formatBytes)],
    ],
  )
  const each = estimate.databases.map((database) => [
    markdownCode(database.name),
    took(database),
    formatRange(database.dumpBytes, formatBytes),
  ])
  if (each.length > 1) page.folded('Each database', ['Database', 'Time', 'Dump'], each)
  page.list(
    '',
    estimate.basis.map((sentence) => `- ${prose(sentence)}`),
  )
}
