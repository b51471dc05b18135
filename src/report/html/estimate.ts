import { formatBytes, formatDuration, formatRange } from '../../text/text.ts'
import type { Range, Report } from '../model.ts'
import { type Cell, code, cut, type Markup, markup, nothing, section, table } from './page.ts'

/** What a migration will take, where that was estimated. */
export function estimate({ estimate }: Report): Markup {
  if (!estimate) return nothing
  const took = (seconds: Range) => formatRange(seconds, formatDuration)
  const rows: Cell[][] = [
    ['the whole migration', took(estimate.seconds)],
    ...estimate.phases.map(({ name, seconds }) => [name, took(seconds)]),
    ['the dump', formatRange(estimate.dumpBytes, formatBytes)],
  ]
  const each = estimate.databases.map(({ name, seconds, dumpBytes }): Cell[] => [
    code(name),
    took(seconds),
    formatRange(dumpBytes, formatBytes),
  ])
  return section(
    'Estimate',
    table('Estimate', ['What', 'How much'], rows),
    each.length > 1 ? table('Each database', ['Database', 'Time', 'Dump'], each) : nothing,
    markup`<p>${cut(estimate.basis.map((sentence) => `${sentence}.`).join(' '))}</p>`,
  )
}
