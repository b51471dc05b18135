import { shorten } from '../../text/text.ts'
import type { Report } from '../model.ts'
import { outcome } from '../verdict.ts'
import { checklist } from './checklist.ts'
import { blockers, checkWarnings, passedChecks } from './checks.ts'
import {
  databaseTable,
  differences,
  failedEntries,
  leftOut,
  notCompared,
  objects,
  throughput,
} from './databases.ts'
import { definitions, undecided } from './definitions.ts'
import { facts, failure, freeze, header, rehearsal } from './header.ts'
import { cut, type Markup, markup, nothing, page, section } from './page.ts'
import { roles } from './roles.ts'
import { longestTables } from './table-times.ts'
import { tables } from './tables.ts'
import { phases } from './timeline.ts'
import { estimate, outage } from './window.ts'

/** `report.html`: everything the report knows on one self-contained page, the verdict first. */
export function renderHtml(report: Report): string {
  const { title } = outcome(report)
  const databases = report.databases.map(({ name }) => name).join(', ')
  // where checks are all there is, they are read first
  const isPreflight = report.words.ends === 'checked'
  return page(
    shorten(databases ? `${title}: ${databases}` : title, 200),
    markup`${header(report)}
<main>
${failure(report)}${freeze(report)}${rehearsal(report)}${facts(report)}${blockers(report)}${isPreflight ? checkWarnings(report) : nothing}${failedEntries(report)}${differences(report)}${definitions(report)}${undecided(report)}${outage(report)}${estimate(report)}${phases(report)}${longestTables(report)}${databaseTable(report)}${throughput(report)}${roles(report)}${leftOut(report)}${notCompared(report)}${checklist(report)}${warnings(report)}${isPreflight ? nothing : checkWarnings(report)}${passedChecks(report)}${tables(report)}${objects(report)}
</main>
<footer>The same facts for programs are in <code>report.json</code>, beside this file. Times are of the runner's clock.</footer>`,
  )
}

function warnings({ warnings }: Report): Markup {
  if (warnings.length === 0) return nothing
  return section(
    'Warnings',
    markup`<ul>${warnings.map((warning) => markup`<li>${cut(warning)}</li>`)}</ul>`,
  )
}
