import { counted } from '../../text/numbers.ts'
import type { Report } from '../model.ts'
import {
  type Cell,
  code,
  cut,
  folded,
  type Markup,
  markup,
  nothing,
  section,
  table,
} from './page.ts'

/** Definitions that are shown open; more are folded away. */
const openDefinitions = 20

/** Tokens on each side up to which they are compared one by one: beyond, all between the first and last difference is marked. */
const mostTokens = 1500

/** UTF-16 units of an unchanged stretch that are shown whole, and at each end of a longer one. */
const mostContext = 800
const context = 300

/** A stretch of a text, and whether the other side has it. */
export interface Stretch {
  text: string
  differs: boolean
}

/** Both sides of every definition that differs, side by side, with what is not the same marked. */
export function definitions(report: Report): Markup {
  const rows = report.databases.flatMap(({ target, objects }) =>
    objects.flatMap(({ kind, definitions = [] }) =>
      definitions.map(({ name, what, source, target: now }): Cell[] => {
        const [left, right] = sideBySide(source ?? '', now ?? '')
        return [
          markup`${kind} ${code(name)}: ${cut(what)}<br><span class="quiet">in ${code(target)}</span>`,
          side(source, left),
          side(now, right),
        ]
      }),
    ),
  )
  if (rows.length === 0) return nothing
  const title = 'Both sides of what differs'
  const columns = ['Definition', 'The dump says', 'The target has']
  return firstOpen(title, columns, rows, (more) => counted(more, 'more definition'))
}

/** Definitions of which nobody knows whether they are the dump's, with the reasons. */
export function undecided(report: Report): Markup {
  const rows = report.databases.flatMap(({ target, objects }) =>
    objects.flatMap(({ kind, undecided = [] }) =>
      undecided.map(({ entry, reason }): Cell[] => [
        code(target),
        markup`${kind} ${code(entry)}`,
        cut(reason),
      ]),
    ),
  )
  if (rows.length === 0) return nothing
  const title = 'Not proven: printed differently, and not decided'
  const columns = ['Database', 'Definition', 'Why it could not be decided']
  return firstOpen(title, columns, rows, (more) => counted(more, 'more', 'more'))
}

/** A section whose first rows are open and whose others are folded under a line that counts them. */
function firstOpen(
  title: string,
  columns: string[],
  rows: Cell[][],
  counting: (more: number) => string,
): Markup {
  const more = rows.slice(openDefinitions)
  return section(
    title,
    table(title, columns, rows.slice(0, openDefinitions)),
    more.length > 0 ? folded(counting(more.length), table(title, columns, more)) : nothing,
  )
}

function side(text: string | null, stretches: Stretch[]): Cell {
  if (text === null) return { class: 'side', content: markup`<span class="quiet">none</span>` }
  const parts = stretches.map(({ text: part, differs }) => {
    const shown = lines(differs ? part : shortened(part))
    return differs ? markup`<mark>${shown}</mark>` : shown
  })
  return { class: 'side', content: markup`<code>${parts}</code>` }
}

/** Line breaks stay what they are; everything else that cannot be printed is escaped. */
function lines(text: string): Markup {
  const [first = '', ...rest] = text.split('\n')
  return markup`${first}${rest.map(
    (line) => markup`
${line}`,
  )}`
}

function shortened(text: string): string {
  if (text.length <= mostContext) return text
  return `${text.slice(0, context)} … ${text.slice(-context)}`
}

/**
 * Two texts as stretches that are the same on both sides or not: the longest common subsequence of their words.
 *
 * @returns the stretches of each side; together they are the text
 */
export function sideBySide(left: string, right: string): [Stretch[], Stretch[]] {
  const [a, b] = [tokens(left), tokens(right)]
  let begin = 0
  while (begin < a.length && a[begin] === b[begin]) begin++
  let end = 0
  const most = Math.min(a.length, b.length) - begin
  while (end < most && a[a.length - 1 - end] === b[b.length - 1 - end]) end++
  const middles = [a.slice(begin, a.length - end), b.slice(begin, b.length - end)] as const
  const same = common(...middles)
  return [stretches(a, begin, end, same?.[0]), stretches(b, begin, end, same?.[1])]
}

function tokens(text: string): string[] {
  return text.match(/[\p{L}\p{N}_$]+|\s+|[^\p{L}\p{N}_$\s]/gu) ?? []
}

/** Which tokens of the two are part of their longest common subsequence; null where they are too many. */
function common(a: readonly string[], b: readonly string[]): [boolean[], boolean[]] | null {
  if (a.length > mostTokens || b.length > mostTokens) return null
  const width = b.length + 1
  const lengths = new Uint16Array((a.length + 1) * width)
  const at = (i: number, j: number) => lengths[i * width + j] ?? 0
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1))
    }
  }
  const [inA, inB] = [a.map(() => false), b.map(() => false)]
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) {
      inA[i++] = true
      inB[j++] = true
    } else if (at(i + 1, j) >= at(i, j + 1)) i++
    else j++
  }
  return [inA, inB]
}

function stretches(
  tokens: readonly string[],
  begin: number,
  end: number,
  same: boolean[] | undefined,
): Stretch[] {
  const found: Stretch[] = []
  tokens.forEach((text, index) => {
    const differs =
      index >= begin && index < tokens.length - end && !(same?.[index - begin] ?? false)
    const last = found.at(-1)
    if (last?.differs === differs) last.text += text
    else found.push({ text, differs })
  })
  return found
}
