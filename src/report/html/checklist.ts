import type { Report } from '../model.ts'
import { type Cell, code, cut, type Markup, markup, nothing, section, table } from './page.ts'

/** What is left to be done at the cutover, with the lines to paste. */
export function checklist({ checklist }: Report): Markup {
  if (checklist.length === 0) return nothing
  const rows = checklist.map(({ what, side, database, lines }): Cell[] => [
    cut(what),
    side === null
      ? ''
      : markup`${side}${database === null ? nothing : markup`, ${code(database)}`}`,
    markup`${lines.map((line) => markup`${code(line)}<br>`)}`,
  ])
  const title = 'At the cutover'
  return section(title, table(title, ['What', 'Where', 'Lines to paste'], rows))
}
