import type { Report } from '../model.ts'
import { nextSteps, titleOfSteps } from '../next-steps.ts'
import { code, codes, cut, type Markup, markup, nothing, section } from './page.ts'

/** What is to be done now, in order, with the lines to paste. */
export function checklist(report: Report): Markup {
  const steps = nextSteps(report)
  if (steps.length === 0) return nothing
  const items = steps.map(({ what, side, database, lines, objects = [] }) => {
    const where =
      side === null
        ? nothing
        : markup` <span class="quiet">(${side}${database === null ? nothing : markup`, ${code(database)}`})</span>`
    return markup`<li>${cut(what)}${where}${objects.length > 0 ? markup`<br>${codes([...objects])}` : nothing}${
      lines.length > 0
        ? markup`<pre class="paste">${lines.map((line) => markup`${cut(line)}\n`)}</pre>`
        : nothing
    }</li>
`
  })
  return section(titleOfSteps(report), markup`<ol>${items}</ol>`)
}
