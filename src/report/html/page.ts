import { createHash } from 'node:crypto'
import { formatCount } from '../../text/numbers.ts'
import { html, shorten } from '../../text/text.ts'
import { searchScript } from './search.ts'
import { style } from './style.ts'

/** A piece of HTML that is known to be safe: only `markup` makes one. */
export class Markup {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type Value = string | number | Markup | Value[]

/** HTML from a template. Whatever is put into it is text and escaped, unless it is markup itself: nothing to forget. */
export function markup(strings: TemplateStringsArray, ...values: Value[]): Markup {
  const safe = (value: Value): string => {
    if (value instanceof Markup) return value.text
    return Array.isArray(value) ? value.map(safe).join('') : html(String(value))
  }
  let text = ''
  for (const [at, part] of strings.entries())
    text += at === 0 ? part : safe(values[at - 1] ?? '') + part
  return new Markup(text)
}

/** Nothing, where a part of the page has nothing to show. */
export const nothing = markup``

/** The longest single text: a statement or message of a server can be of any length. */
const longest = 4000

/** A text of any length, cut where it gets unreasonable. */
export const cut = (text: string) => shorten(text, longest)
/** A name, or anything where every character counts. */
export const code = (text: string) => markup`<code>${cut(text)}</code>`
export const number = (text: string) => ({ class: 'number', content: markup`${text}` })

type State = 'good' | 'doubtful' | 'bad'
export const state = (how: State, text: string) => ({
  class: `state ${how}`,
  content: markup`${{ good: '', doubtful: '! ', bad: '✕ ' }[how]}${text}`,
})

/** A label is shown before it where there is no room for a head. */
export type Cell = string | Markup | { class: string; content: Markup; label?: string }

/** A column's head: text, or what is drawn there; a text that ends in `>` is over numbers. */
export type Head = string | { head: Markup; class: string }

/**
 * A table. Where there is no room for its columns each row is a block, in which the heads stand before the cells.
 *
 * @param kind `timeline` where the cells have labels of their own
 */
export function table(label: string, columns: Head[], rows: Cell[][], kind = 'plain'): Markup {
  const labels = columns.map((column) =>
    typeof column === 'string' && kind === 'plain' ? column.replace(/>$/, '') : undefined,
  )
  const cells = (row: Cell[]) => row.map((value, index) => cell(value, index, labels[index]))
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table class="${kind}">
<thead><tr>${columns.map(headOf)}</tr></thead>
<tbody>${rows.map((row) => markup`\n<tr>${cells(row)}</tr>`)}
</tbody></table></div>`
}

function headOf(column: Head): Markup {
  if (typeof column !== 'string') return markup`<td class="${column.class}">${column.head}</td>`
  return column.endsWith('>')
    ? markup`<th scope="col" class="number">${column.slice(0, -1)}</th>`
    : markup`<th scope="col">${column}</th>`
}

function cell(value: Cell, index: number, head: string | undefined): Markup {
  const isMarked = typeof value === 'object' && 'class' in value
  const content = isMarked ? value.content : value
  const kind = isMarked ? markup` class="${value.class}"` : nothing
  if (index === 0) return markup`<th scope="row"${kind}>${content}</th>`
  const label = isMarked ? (value.label ?? head) : head
  return markup`<td${kind}${label === undefined ? nothing : markup` data-label="${label}"`}>${content}</td>`
}

/** A part of the page under a heading. */
export function section(title: string, ...content: Markup[]): Markup {
  return sectionOf('', title, ...content)
}

/** The same with a name by which the script finds it. */
export function sectionOf(id: string, title: string, ...content: Markup[]): Markup {
  return markup`<section${id ? markup` id="${id}"` : nothing}>
<h2>${title}</h2>
${content}
</section>
`
}

/** Names in a row; the first fifty of many. */
export function codes(texts: readonly string[]): Markup {
  const shown = texts
    .slice(0, 50)
    .map((text, index) => markup`${index > 0 ? ', ' : ''}${code(text)}`)
  return markup`${shown}${texts.length > 50 ? ` and ${formatCount(texts.length - 50)} more` : ''}`
}

/** Content under a line that opens it, closed unless `open`. */
export function folded(summary: string | Markup, content: Markup, open = false): Markup {
  return markup`<details${open ? markup` open` : nothing}><summary>${summary}</summary>
${content}
</details>
`
}

/**
 * A whole page: nothing is loaded from anywhere, and a policy forbids it; hashes let in this style and this script and no other
 * (W3C, Content Security Policy Level 3). Everything can be read without the script.
 */
export function page(title: string, body: Markup): string {
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
  const policy = `default-src 'none'; style-src ${hash(style)}; script-src ${hash(searchScript)}; base-uri 'none'; form-action 'none'`
  return `${
    markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${new Markup(style)}</style>
</head>
<body>
${body}
<script>${new Markup(searchScript)}</script>
</body>
</html>`.text
  }\n`
}
