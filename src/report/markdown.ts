import { blockers, checkWarnings, passedChecks } from './markdown/checks.ts'
import {
  databases,
  differences,
  failedEntries,
  leftOut,
  notCompared,
  objects,
  tables,
} from './markdown/databases.ts'
import { failure, freeze, heading, rehearsal } from './markdown/heading.ts'
import { next } from './markdown/next.ts'
import { Page, prose } from './markdown/page.ts'
import { roles } from './markdown/roles.ts'
import { phases, timeline } from './markdown/timeline.ts'
import { estimate, outage } from './markdown/window.ts'
import type { Report } from './model.ts'

/**
 * The job summary in GitHub's Markdown, always under 1 MiB: the verdict in its first line, what needs attention, the window,
 * the times, what became of everything, and what to do next; then the tables. When there is more than fits, lists are cut and
 * say by how much; no section takes more than a third of the room that is left, so that a long one never hides those after it.
 */
export function renderMarkdown(report: Report): string {
  const page = new Page()
  // where checks are all there is, they are read first
  const isPreflight = report.words.ends === 'checked'
  page.add(heading(report))
  page.add(failure(report))
  page.add(freeze(report))
  page.add(rehearsal(report))
  blockers(page, report)
  if (isPreflight) checkWarnings(page, report)
  failedEntries(page, report)
  differences(page, report)
  outage(page, report)
  estimate(page, report)
  page.add(timeline(report))
  phases(page, report)
  databases(page, report)
  roles(page, report)
  leftOut(page, report)
  notCompared(page, report)
  next(page, report)
  page.list(
    '### Warnings',
    report.warnings.map((warning) => `- ${prose(warning)}`),
  )
  if (!isPreflight) checkWarnings(page, report)
  passedChecks(page, report)
  tables(page, report)
  objects(page, report)
  return page.text
}
