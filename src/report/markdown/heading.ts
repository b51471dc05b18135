import { formatBytes, formatDuration } from '../../text/numbers.ts'
import type { Report } from '../model.ts'
import { isRefusal, outcome, sentence, serverName, writtenWords } from '../verdict.ts'
import { code, prose } from './page.ts'

/** The verdict, and the run in one line. */
export function heading(report: Report): string {
  const { mark, title, sentence } = outcome(report)
  const sides = [
    ...(report.source ? [prose(serverName(report.source))] : []),
    ...(report.target ? [prose(serverName(report.target))] : []),
  ].join(' → ')
  const facts = [
    ...(sides ? [sides] : []),
    ...(report.client ? [`client programs ${prose(report.client.version)}`] : []),
    ...(report.cutoverSeconds === null
      ? []
      : [`${formatDuration(report.cutoverSeconds)} from the first byte dumped to verified`]),
    ...(report.dump ? [`dump ${code(report.dump.id)} of ${prose(report.dump.createdAt)}`] : []),
    ...(report.artifact
      ? [
          `dump kept as artifact ${code(report.artifact.name)}, ${formatBytes(report.artifact.bytes)}`,
        ]
      : []),
  ]
  const symbol = { good: '✅', doubtful: '⚠️', bad: '❌' }[mark]
  return [`## ${symbol} ${title}`, prose(sentence), facts.join(' · ')].filter(Boolean).join('\n\n')
}

/** What a failed run says of itself. */
export function failure(report: Report): string {
  const { error } = report
  if (!error || isRefusal(report)) return ''
  const lines = [
    `**What:** ${prose(sentence(error.message))}`,
    ...(error.cause ? [`**Why:** ${prose(sentence(error.cause))}`] : []),
    ...(error.remedy ? [`**Next step:** ${prose(sentence(error.remedy))}`] : []),
  ]
  return `> [!CAUTION]\n> ${lines.join('\n>\n> ')}`
}

/** Whether the source takes writes, and what to do about it: whoever cuts over or goes back must not have to look for it. */
export function freeze({ freeze }: Report): string {
  if (!freeze?.next) return ''
  const kind = freeze.frozen ? 'IMPORTANT' : 'NOTE'
  const state = freeze.frozen
    ? `The source is frozen${freeze.since === null ? '' : ` since ${prose(freeze.since)}`}.`
    : 'The source is not frozen.'
  const written = writtenWords(freeze)
  return `> [!${kind}]\n> **${state}** ${prose(sentence(freeze.next))}${written ? ` ${prose(written)}` : ''}`
}

/** What became of what a rehearsal has made, unless the verdict says it. */
export function rehearsal({ rehearsal }: Report): string {
  if (!rehearsal?.note || rehearsal.outcome === 'not run') return ''
  const kind = rehearsal.outcome === 'removed' ? 'NOTE' : 'IMPORTANT'
  return `> [!${kind}]\n> ${prose(sentence(rehearsal.note))} Its names begin with ${code(rehearsal.name)}.`
}
