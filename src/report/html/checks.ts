import { counted, formatCount } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import { checksInOrder } from '../findings.ts'
import type { CheckResult, Report } from '../model.ts'
import {
  type Cell,
  code,
  codes,
  cut,
  folded,
  type Markup,
  markup,
  nothing,
  section,
  state,
  table,
} from './page.ts'

/** Lines to paste of one check that are shown: report.json has all. */
const mostLines = 200

const columns = ['Check', 'Result', 'What was found']

/** What stops a migration, each with what mends it. */
export function blockers(report: Report): Markup {
  const rows = checksInOrder(report).blockers.map(failedRow)
  return rows.length === 0 ? nothing : section('Blockers', table('Blockers', columns, rows))
}

/** What failed but stops nothing, and what could not be asked. */
export function checkWarnings(report: Report): Markup {
  const { warnings, skipped } = checksInOrder(report)
  const rows = skipped.map(({ reason, isUnknown, ids }): Cell[] => [
    codes(ids),
    state(isUnknown ? 'bad' : 'doubtful', isUnknown ? 'blocker, skipped' : 'skipped'),
    cut(reason),
  ])
  return markup`${
    warnings.length === 0
      ? nothing
      : section('Warnings of checks', table('Warnings of checks', columns, warnings.map(failedRow)))
  }${
    rows.length === 0
      ? nothing
      : section(
          'Checks that could not be asked',
          table('Checks that could not be asked', ['Checks', 'Result', 'Why'], rows),
        )
  }`
}

/** Those that passed, folded away. */
export function passedChecks(report: Report): Markup {
  const { passed } = checksInOrder(report)
  if (passed.length === 0) return nothing
  const rows = passed.map((check): Cell[] => [
    code(check.id),
    state('good', 'passed'),
    markup`${cut(check.message)}${objects(check)}`,
  ])
  return section(
    'Checks',
    folded(`${counted(passed.length, 'check')} passed`, table('Checks', columns, rows)),
  )
}

function failedRow(check: CheckResult): Cell[] {
  const { id, severity, message, why, remedy, paste } = check
  const how = severity === 'blocker' ? 'bad' : 'doubtful'
  return [
    code(id),
    state(how, severity),
    markup`${cut(message)}${objects(check)}${
      why === undefined ? nothing : markup`<span class="remedy quiet">Why it matters: ${why}</span>`
    }${remedy === '' ? nothing : markup`<span class="remedy">Next step: ${cut(remedy)}</span>`}${
      paste === undefined ? nothing : pasted(paste)
    }`,
  ]
}

function objects(check: CheckResult): Markup {
  return check.objects.length > 0 ? markup`<br>${codes([...check.objects])}` : nothing
}

/** Lines as they are to be pasted. */
function pasted(paste: string): Markup {
  const lines = paste.split('\n')
  const shown = lines.slice(0, mostLines).map((line) => markup`${printable(line)}\n`)
  const more = lines.length - shown.length
  return markup`<pre class="paste">${shown}</pre>${
    more > 0
      ? markup`<span class="quiet">${formatCount(more)} more lines are in report.json.</span>`
      : nothing
  }`
}
