/** The style of the page: light and dark as the reader's system is, as wide as there is room, and nothing moves. */
export const style = `
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
  --dump: light-dark(#2f6fb0, #6aa9e0);
  --load: light-dark(#2a7f4f, #5fbf8a);
  --indexes: light-dark(#b26200, #e0a04a);
  --check: light-dark(#7552bd, #b79df0);
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
summary:focus-visible, .scroll:focus-visible, input:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px }
ul, ol { margin: 0; padding-left: 1.4rem }
li { margin: .25rem 0; overflow-wrap: anywhere }
.window { font-size: 1.15rem; font-weight: 550 }
.timeline td, .timeline th { vertical-align: middle; padding-top: .2rem; padding-bottom: .2rem }
.timeline tbody th { width: 26%; min-width: 11rem }
.timeline.steps tbody th { width: 34% }
.lanes { min-width: 12rem }
svg.lane { display: block; width: 100%; height: 18px; overflow: visible }
svg.lane rect { y: 3px; height: 12px; rx: 2px }
svg.lane line, svg.plot .grid { stroke: var(--line) }
svg.lane text, svg.plot text { font: 12px system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; fill: var(--quiet) }
svg.swatch { width: 1.5rem; height: .75rem; margin-right: .45rem }
svg.swatch rect { height: 100%; rx: 2px }
.phase { fill: var(--bar) }
.failed { fill: var(--bad) }
.many { opacity: .55 }
.cutover { fill: var(--panel); stroke: var(--quiet) }
.dump { fill: var(--dump) }
.load { fill: var(--load) }
.indexes { fill: var(--indexes) }
.check { fill: var(--check) }
.pale { opacity: .55 }
.legend { list-style: none; margin: .4rem 0 .6rem; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; font-size: .85rem; color: var(--quiet) }
.legend li { margin: 0; display: flex; align-items: center }
figure { margin: .6rem 0 0 }
figcaption { font-size: .85rem }
svg.plot { display: block; width: 100%; overflow: visible }
svg.plot text { paint-order: stroke; stroke: var(--ground); stroke-width: 3px }
svg.plot .path { stroke: var(--bar); stroke-opacity: .5; stroke-width: 1.5 }
svg.plot .stated { stroke: var(--quiet); stroke-width: 5; stroke-opacity: .35; stroke-linecap: round }
svg.plot .run { fill: var(--bar); stroke: var(--bar); stroke-width: 2 }
svg.plot .hollow { fill: var(--ground) }
svg.plot .forecast { fill: var(--bar); fill-opacity: .3; stroke: var(--bar) }
.search { display: block; margin: 0 0 .6rem; font-size: .9rem }
.search input { font: inherit; width: min(24rem, 100%); padding: .3rem .5rem; margin: 0 .6rem 0 0; color: inherit; background: var(--panel); border: 1px solid var(--quiet); border-radius: 4px }
[hidden] { display: none !important }
footer { margin-top: 3rem; padding-bottom: 2.5rem; color: var(--quiet); font-size: .85rem }
@media (max-width: 40rem) {
  main, header > div, footer { padding: 0 1rem }
  h1 { font-size: 1.55rem }
  .facts { grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)) }
  details details { margin-left: .5rem }
  table, tbody { display: block }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
  tr { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 .9rem; padding: .4rem 0; border-bottom: 1px solid var(--line) }
  td, th, .number, .number + :not(.number) { border: 0; padding: 0; min-width: 0; text-align: left }
  td:empty { display: none }
  tbody th { flex: 0 0 100%; font-weight: 550 }
  td { overflow-wrap: anywhere; max-width: 100% }
  .state { white-space: normal }
  .side { width: 100% }
  [data-label]::before { content: attr(data-label) ": "; color: var(--quiet); font-size: .85rem; font-weight: 400 }
  .timeline tbody th, .timeline.steps tbody th { flex: 1 1 60%; width: auto; font-weight: 400 }
  .timeline .lanes { flex: 0 0 100%; order: 1; padding: .1rem 0 }
  .timeline [data-label] { order: 2; color: var(--quiet); font-size: .85rem }
  .timeline [data-label]::before { content: attr(data-label) " " }
}
@media print {
  :root { color-scheme: light }
  body { font-size: 10pt }
  header { padding: 1rem 0 }
  h2, thead, summary { break-after: avoid }
  tr, svg { break-inside: avoid }
  .scroll { overflow: visible }
  table { font-size: 9pt }
  th, td { padding-right: .5rem }
}
`
