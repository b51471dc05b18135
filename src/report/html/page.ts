import { createHash } from 'node:crypto'
import { formatCount, html, shorten } from '../../text/text.ts'

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
  return new Markup(String.raw({ raw: strings }, ...values.map(safe)))
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

export type Cell = string | Markup | { class: string; content: Markup }

/** A table; a column whose name ends in `>` holds numbers. */
export function table(label: string, columns: string[], rows: Cell[][]): Markup {
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table>
<thead><tr>${columns.map((column) =>
    column.endsWith('>')
      ? markup`<th scope="col" class="number">${column.slice(0, -1)}</th>`
      : markup`<th scope="col">${column}</th>`,
  )}</tr></thead>
<tbody>${rows.map((cells) => markup`\n<tr>${cells.map(cell)}</tr>`)}
</tbody></table></div>`
}

function cell(value: Cell, index: number): Markup {
  const [attribute, content] =
    typeof value === 'object' && 'class' in value
      ? [markup` class="${value.class}"`, value.content]
      : [nothing, value]
  return index === 0
    ? markup`<th scope="row"${attribute}>${content}</th>`
    : markup`<td${attribute}>${content}</td>`
}

export function section(title: string, ...content: Markup[]): Markup {
  return markup`<section>
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
 * A whole page: no script, nothing loaded from anywhere, and a policy that forbids both; the hash lets in this style
 * and no other (W3C, Content Security Policy Level 3).
 */
export function page(title: string, body: Markup): string {
  const hash = createHash('sha256').update(style).digest('base64')
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`
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
</body>
</html>`.text
  }\n`
}

const style = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#ffffff, #14171a);
  --panel: light-dark(#f6f7f8, #1b1f24);
  --line: light-dark(#dfe3e6, #30363d);
  --text: light-dark(#1b1f23, #e3e7eb);
  --quiet: light-dark(#59636e, #98a2ad);
  --good: light-dark(#19703a, #56c271);
  --doubtful: light-dark(#8a5a00, #e0a63a);
  --bad: light-dark(#b3202c, #ff7b72);
  --mark: light-dark(#ffe08a, #5c4a00);
  --bar: light-dark(#3f7cac, #5b9bd0);
}
* { box-sizing: border-box }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif;
}
main, header > div, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.5rem }
header { color: #fff; padding: 1.75rem 0 1.9rem; print-color-adjust: exact; -webkit-print-color-adjust: exact }
header.good { background: #19703a }
header.doubtful { background: #8a5a00 }
header.bad { background: #b3202c }
header p { margin: 0; max-width: 52rem; overflow-wrap: anywhere }
header .kind { font-size: .85rem; opacity: .9 }
h1 { margin: .2rem 0 .35rem; font-size: 2rem; line-height: 1.2; font-weight: 650; letter-spacing: -.01em }
h1 svg { width: .9em; height: .9em; margin-right: .45em; vertical-align: -.08em }
h2 { margin: 2.4rem 0 .7rem; font-size: 1.15rem; font-weight: 650 }
h3 { margin: 1.4rem 0 .5rem; font-size: 1rem; font-weight: 600 }
p { margin: .5rem 0 }
code { font: .9em/1.45 ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  unicode-bidi: isolate; overflow-wrap: anywhere; white-space: pre-wrap }
mark { background: var(--mark); color: inherit; border-radius: 2px }
.side { width: 42%; min-width: 18rem }
.quiet { color: var(--quiet) }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); gap: 1.1rem 1.6rem; margin: 1.6rem 0 0 }
.facts div { min-width: 0 }
.facts dt { color: var(--quiet); font-size: .8rem }
.facts dd { margin: 0; font-weight: 550; overflow-wrap: anywhere }
.facts small { display: block; color: var(--quiet); font-weight: 400; font-size: .85rem }
.error { margin: 1.8rem 0 0; padding: .3rem 0 .3rem 1.2rem; border-left: 4px solid var(--bad) }
.error dt { color: var(--quiet); font-size: .8rem; margin-top: .55rem }
.error dt:first-child { margin-top: 0 }
.error dd { margin: 0; overflow-wrap: anywhere }
.error .what { font-weight: 600 }
.scroll { overflow-x: auto }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .38rem .9rem .38rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line) }
th:last-child, td:last-child { padding-right: 0 }
thead th { color: var(--quiet); font-size: .8rem; font-weight: 500; vertical-align: bottom; white-space: nowrap }
tbody th { font-weight: 400; min-width: 6rem }
.number { text-align: right; white-space: nowrap }
.number + :not(.number) { padding-left: .7rem }
.state { white-space: nowrap }
.state.good { color: var(--good) }
.state.doubtful { color: var(--doubtful); font-weight: 600 }
.state.bad { color: var(--bad); font-weight: 600 }
.remedy { display: block; margin-top: .15rem }
.paste { margin: .35rem 0; padding: .5rem .7rem; background: var(--panel); border: 1px solid var(--line); border-radius: 4px;
  font: .85em/1.45 ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; unicode-bidi: isolate; user-select: all }
td details { border: 0 }
td details > summary { padding: .2rem 0 }
details { border-bottom: 1px solid var(--line) }
details > summary { padding: .45rem 0; cursor: pointer; overflow-wrap: anywhere }
details > summary::marker { color: var(--quiet) }
details[open] { padding-bottom: .6rem }
details details { margin-left: 1rem }
summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px }
ul, ol { margin: 0; padding-left: 1.4rem }
li { margin: .25rem 0; overflow-wrap: anywhere }
svg.timeline { display: block; width: 100%; min-width: 42rem; height: auto }
svg.timeline text { font: 13px system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; fill: var(--text) }
svg.timeline .axis, svg.timeline .took, svg.timeline .of { fill: var(--quiet); font-size: 12px }
svg.timeline line { stroke: var(--line) }
svg.timeline .bar { fill: var(--bar) }
svg.timeline .bar.failed { fill: var(--bad) }
svg.timeline .many { opacity: .55 }
svg.timeline .cutover { fill: var(--panel) }
svg.timeline .bracket { fill: none; stroke: var(--quiet) }
footer { margin-top: 3rem; padding-bottom: 2.5rem; color: var(--quiet); font-size: .85rem }
@media print {
  :root { color-scheme: light }
  body { font-size: 10pt }
  header { padding: 1rem 0 }
  h2, thead, summary { break-after: avoid }
  tr, svg.timeline { break-inside: avoid }
  .scroll { overflow: visible }
  table { font-size: 9pt }
  th, td { padding-right: .5rem }
}
`
