import type { Measured } from './goals.ts'

const width = 900
const bar = 22

/** The figures as bars, an SVG that a README can show in a light and in a dark page. @param below a line of small print */
export function picture(measured: readonly Measured[], below: string): string {
  const parts: string[] = []
  let y = 10
  for (const { database, about, far, rows } of measured) {
    parts.push(text(10, y + 18, `${database}${far ? ', far away' : ''}: ${about}`, 'bold'))
    y += 30
    const most = Math.max(...rows.map(({ median }) => median))
    for (const { way, median, ratio } of rows) {
      const length = (median / most) * (width - 480)
      parts.push(text(10, y + 16, way))
      parts.push(
        `<rect x="330" y="${y + 2}" width="${length.toFixed(1)}" height="${bar - 6}" rx="3" fill="${way.startsWith('the action') ? '#1f6feb' : '#8b949e'}"/>`,
        text(338 + length, y + 16, `${median.toFixed(1)} s, ratio ${ratio.toFixed(2)}`),
      )
      y += bar
    }
    y += 16
  }
  parts.push(text(10, y + 14, below, 'small'))
  return svg(y + 26, 'Seconds of each way to migrate', parts)
}

function svg(height: number, label: string, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">
<style>text{font:14px system-ui,sans-serif;fill:#57606a}.bold{font-weight:600}.small{font-size:11px}@media(prefers-color-scheme:dark){text{fill:#c9d1d9}}</style>
${parts.join('\n')}
</svg>
`
}

/** A line of a diagram, its points from left to right. */
export interface Line {
  name: string
  points: [x: number, y: number][]
}

const colours = ['#1f6feb', '#bf3989', '#8b949e']

/** Lines over a common axis that begins at nothing: what is linear is straight. @param label what they show */
export function lines(
  all: readonly Line[],
  axes: { x: string; y: string },
  label = 'What the work costs by its size',
): string {
  const [high, left, right] = [340, 60, width - 20]
  const points = all.flatMap((line) => line.points)
  const most = points.reduce((max, [x, y]) => [Math.max(max[0], x), Math.max(max[1], y)], [1, 1])
  const at = ([x, y]: [number, number]) =>
    `${(left + (x / (most[0] ?? 1)) * (right - left)).toFixed(1)},${(high - (y / (most[1] ?? 1)) * (high - 20)).toFixed(1)}`
  const parts = [
    `<path d="M${left} 20V${high}H${right}" fill="none" stroke="#8b949e"/>`,
    text(10, 14, `${axes.y} (to ${(most[1] ?? 0).toFixed(1)})`, 'small'),
    text(right - 120, high + 16, `${axes.x} (to ${most[0]})`, 'small'),
  ]
  for (const [index, { name, points }] of all.entries()) {
    const colour = colours[index % colours.length]
    const y = high + 20 * (index + 1)
    parts.push(
      `<polyline points="${points.map(at).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      `<rect x="${left}" y="${y}" width="12" height="12" fill="${colour}"/>`,
      text(left + 20, y + 11, name),
    )
  }
  return svg(high + 20 * (all.length + 1), label, parts)
}

function text(x: number, y: number, content: string, kind = ''): string {
  const harmless = content.replace(/[<>&]/g, (one) => `&#${one.charCodeAt(0)};`)
  return `<text x="${x.toFixed(1)}" y="${y}"${kind ? ` class="${kind}"` : ''}>${harmless}</text>`
}
