import type { Report } from '../model.ts'
import { nextSteps, titleOfSteps } from '../next-steps.ts'
import { code, codes, type Page, prose } from './page.ts'

/** What is to be done now, in order: the cutover and the way back. */
export function next(page: Page, report: Report): void {
  const steps = nextSteps(report).map(({ what, side, database, lines, objects = [] }, index) => {
    const where =
      side === null ? '' : ` (${database === null ? side : `${side}, ${code(database)}`})`
    return [
      `${index + 1}. ${prose(what)}${where}`,
      ...(objects.length > 0 ? [codes(objects)] : []),
      ...lines.map(code),
    ].join('<br>')
  })
  page.list(`### ${titleOfSteps(report)}`, steps)
}
