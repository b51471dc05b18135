/** One database of the benchmark, each way with its figures; the first way is what the others are compared with. */
export interface Measured {
  database: string
  about: string
  rows: { way: string; seconds: number[]; median: number; ratio: number }[]
}

const width = 900
const bar = 22

/** The figures as bars, an SVG that a README can show in a light and in a dark page. @param below a line of small print */
export function picture(measured: readonly Measured[], below: string): string {
  const parts: string[] = []
  let y = 10
  for (const { database, about, rows } of measured) {
    parts.push(text(10, y + 18, `${database}: ${about}`, 'bold'))
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
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 26}" role="img" aria-label="Seconds of each way to migrate">
<style>text{font:14px system-ui,sans-serif;fill:#57606a}.bold{font-weight:600}.small{font-size:11px}@media(prefers-color-scheme:dark){text{fill:#c9d1d9}}</style>
${parts.join('\n')}
</svg>
`
}

function text(x: number, y: number, content: string, kind = ''): string {
  const harmless = content.replace(/[<>&]/g, (one) => `&#${one.charCodeAt(0)};`)
  return `<text x="${x.toFixed(1)}" y="${y}"${kind ? ` class="${kind}"` : ''}>${harmless}</text>`
}
