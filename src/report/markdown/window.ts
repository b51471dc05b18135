import { formatBytes, formatDuration, formatRange, markdownCode } from '../../text/text.ts'
import type { Range, Report } from '../model.ts'
import { type Page, prose } from './page.ts'

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
