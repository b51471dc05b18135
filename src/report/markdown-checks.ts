import { formatCount, markdown, markdownCode, printable, shorten } from '../text/text.ts'
import { checksInOrder, type OrderedChecks } from './findings.ts'
import type { CheckResult, Report } from './model.ts'

/** The longest text in one place, and lines to paste of one check that are shown: report.json has all. */
const longest = 1000
const mostLines = 40

const prose = (text: string) => markdown(shorten(text, longest))
const code = (text: string) => markdownCode(shorten(text, longest))

/** A part of the summary: lines under a head. */
interface Part {
  head: string
  lines: string[]
}

/** Blockers, each with what mends it. */
export function blockerPart(report: Report): Part {
  return { head: '### Blockers', lines: checksInOrder(report).blockers.map(block) }
}

/** What failed besides, and what could not be asked; in the order in which it is to be read. */
export function warningParts(report: Report): Part[] {
  const { warnings, skipped } = checksInOrder(report)
  return [
    { head: '### Warnings of checks', lines: warnings.map(block) },
    { head: '### Checks that could not be asked', lines: skipped.map(skippedLine) },
  ]
}

/** Rows for those that passed. */
export function passedRows(report: Report): string[][] {
  return checksInOrder(report).passed.map((check) => [code(check.id), prose(check.message)])
}

function block(check: CheckResult): string {
  const { id, severity, message, objects, why, remedy, paste } = check
  const shown = objects.slice(0, 10).map(code).join(', ')
  const more = objects.length > 10 ? ` and ${formatCount(objects.length - 10)} more` : ''
  const parts = [
    `**${code(id)}** (${severity}): ${prose(message)}`,
    ...(objects.length > 0 ? [`Concerns ${shown}${more}`] : []),
    ...(why === undefined ? [] : [`Why it matters: ${prose(why)}`]),
    ...(remedy === '' ? [] : [`**Next step:** ${prose(remedy)}`]),
  ]
  return `${parts.join('<br>\n')}\n${paste === undefined ? '' : `\n${pasted(paste)}\n`}`
}

/** Lines as they are to be pasted; the fence is longer than any in them (GitHub Flavored Markdown, "Fenced code blocks"). */
function pasted(paste: string): string {
  const lines = paste.split('\n').map(printable)
  const shown = lines.slice(0, mostLines)
  const fences = shown.flatMap((line) => line.match(/`+/g) ?? []).map(({ length }) => length)
  const fence = '`'.repeat(Math.max(3, ...fences.map((length) => length + 1)))
  const more = lines.length - shown.length
  const note = more > 0 ? `\n\n${formatCount(more)} more lines are in \`report.json\`.` : ''
  return `${fence}\n${shown.join('\n')}\n${fence}${note}`
}

function skippedLine({ reason, isUnknown, ids }: OrderedChecks['skipped'][number]): string {
  return `- ${isUnknown ? '**A blocker could not be asked:** ' : ''}${prose(reason)} (${ids.map(code).join(', ')})`
}
