import { formatCount } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import { checksInOrder, type OrderedChecks } from '../findings.ts'
import type { CheckResult, Report } from '../model.ts'
import { code, type Page, prose } from './page.ts'

/** Lines to paste of one check that are shown: report.json has all. */
const mostLines = 40

/** Blockers, each with what mends it. */
export function blockers(page: Page, report: Report): void {
  page.list('### Blockers', checksInOrder(report).blockers.map(block))
}

/** What failed but stops nothing, and what could not be asked; in the order in which it is to be read. */
export function checkWarnings(page: Page, report: Report): void {
  const { warnings, skipped } = checksInOrder(report)
  page.list('### Warnings of checks', warnings.map(block))
  page.list('### Checks that could not be asked', skipped.map(skippedLine))
}

/** Those that passed, folded away. */
export function passedChecks(page: Page, report: Report): void {
  const rows = checksInOrder(report).passed.map(({ id, message }) => [code(id), prose(message)])
  page.folded(`Checks: ${formatCount(rows.length)} passed`, ['Check', 'What was found'], rows)
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
