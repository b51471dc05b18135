import { formatDuration } from '../../text/numbers.ts'
import { type Markup, markup, nothing } from './page.ts'

/**
 * Bars over time, a lane each: SVG whose lengths are in per cent, so that it is as wide as there is room while text keeps its
 * size. What the bars say is in the cells beside them; to a screen reader they are hidden.
 */

/** A bar: from and to in seconds, and the class that colours it. */
export interface Bar {
  from: number
  to: number
  kind: string
  /** Shown when pointed at. */
  title?: string
}

/** So narrow (per cent) that it can still be seen. */
const narrowest = 0.4

/** A lane of bars. */
export function lane(bars: readonly Bar[], total: number, ticks: readonly number[] = []): Markup {
  const at = (seconds: number) => percent((100 * seconds) / total)
  return markup`<svg class="lane" aria-hidden="true">${ticks.map(
    (time) => markup`<line x1="${at(time)}%" x2="${at(time)}%" y1="0" y2="100%"/>`,
  )}${bars.map(({ from, to, kind, title }) => {
    const width = Math.max(narrowest, percent((100 * (to - from)) / total))
    const left = Math.min(at(from), percent(100 - width))
    return title === undefined
      ? markup`<rect class="${kind}" x="${left}%" width="${width}%"/>`
      : markup`<rect class="${kind}" x="${left}%" width="${width}%"><title>${title}</title></rect>`
  })}</svg>`
}

/** The times at the head of the lanes. */
export function axis(total: number, ticks: readonly number[]): Markup {
  return markup`<svg class="lane axis" aria-hidden="true">${ticks.map((time) => {
    const x = percent((100 * time) / total)
    const anchor = x < 6 ? 'start' : x > 94 ? 'end' : 'middle'
    return markup`<text x="${x}%" y="13" text-anchor="${anchor}">${time === 0 ? '0' : formatDuration(time).replace('.0 s', ' s')}</text>`
  })}</svg>`
}

/** At most five times from 0 to `total` seconds, at a step that people count in. */
export function tickTimes(total: number): number[] {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30]
  const minutes = [1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720, 1440].map((minute) => minute * 60)
  const step =
    [...steps, ...minutes].find((step) => total / step <= 4.2) ??
    Math.ceil(total / 4 / 86_400) * 86_400
  return Array.from({ length: Math.floor(total / step) + 1 }, (_, index) => index * step)
}

/** What the colours mean. */
export function legend(kinds: readonly (readonly [kind: string, meaning: string])[]): Markup {
  return kinds.length === 0
    ? nothing
    : markup`<ul class="legend">${kinds.map(
        ([kind, meaning]) =>
          markup`<li><svg class="swatch" aria-hidden="true"><rect class="${kind}" width="100%"/></svg>${meaning}</li>`,
      )}</ul>
`
}

/** A number for an attribute: two decimals are finer than any screen. */
export function percent(value: number): number {
  return Math.round(Math.min(100, Math.max(0, value)) * 100) / 100
}
