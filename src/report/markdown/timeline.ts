import { formatCount, formatDuration } from '../../text/numbers.ts'
import { shorten } from '../../text/text.ts'
import type { Report } from '../model.ts'
import { code, type Page } from './page.ts'

/** Bars in the timeline: more cannot be read, and GitHub draws no Mermaid text beyond 50,000 characters. */
const bars = 50

/** Mermaid draws times in the reader's own time zone, as GitHub does everywhere else. */
export function timeline(report: Report): string {
  const start = Date.parse(report.startedAt)
  const ran = report.phases.filter((phase) => phase.status !== 'skipped')
  if (Number.isNaN(start) || ran.length === 0) return ''
  const drawn = ran
    .toSorted((a, b) => b.seconds - a.seconds)
    .slice(0, bars)
    .toSorted((a, b) => a.startedAt - b.startedAt)
  const lines: string[] = []
  const sections = new Set(drawn.map((phase) => phase.database))
  // a run of one database needs no names between its bars
  const named = [...sections].filter((name) => name !== undefined).length > 1
  for (const section of named ? sections : [undefined]) {
    if (named) lines.push(`  section ${section === undefined ? 'All databases' : plain(section)}`)
    for (const phase of drawn.filter((phase) => !named || phase.database === section)) {
      const tag = phase.status === 'failed' ? 'crit, ' : ''
      const from = Math.round(start + phase.startedAt * 1000)
      const took = Math.max(1, Math.round(phase.seconds * 1000))
      const failed = phase.status === 'failed' ? ' failed' : ''
      lines.push(
        `  ${phase.name} ${formatDuration(phase.seconds)}${failed} :${tag}${from}, ${took}ms`,
      )
    }
  }
  return [
    '### Timeline',
    '',
    '```mermaid',
    'gantt',
    '  dateFormat x',
    '  axisFormat %H:%M:%S',
    '  todayMarker off',
    ...lines,
    '```',
    ...(ran.length > drawn.length
      ? ['', `The ${bars} longest of ${formatCount(ran.length)} phases.`]
      : []),
  ].join('\n')
}

/** The same as a table, for those who want the numbers or cannot see the drawing. */
export function phases(page: Page, { phases }: Report): void {
  const rows = phases.map(({ name, database, status, startedAt, seconds }) => [
    name,
    database === undefined ? '' : code(database),
    status === 'failed' ? `❌ ${status}` : status,
    status === 'skipped' ? '–' : formatDuration(startedAt),
    status === 'skipped' ? '–' : formatDuration(seconds),
  ])
  const columns = ['Phase', 'Database', 'Status', 'Started after>', 'Took>']
  page.folded(`Phases: ${formatCount(rows.length)}`, columns, rows)
}

/** A name that Mermaid reads as nothing but a name; the tables below show it as it is. */
function plain(name: string): string {
  return shorten(name.replace(/[^\p{L}\p{M}\p{N}_. -]+/gu, '·'), 20).trim() || '·'
}
