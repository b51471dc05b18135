// The pictures of the README: what the demo left in demo-report/ (`npm run demo`), as a browser shows it. They take Chromium,
// its emoji, and cmark-gfm, which turns GitHub's Markdown into HTML: apt-get install chromium fonts-noto-color-emoji cmark-gfm
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Browser, findBrowser } from '../__tests__/support/browser.ts'

const root = join(import.meta.dirname, '..')
const from = join(root, 'demo-report')
const into = join(root, 'docs', 'pictures')
const schemes = ['light', 'dark'] as const

const path = findBrowser()
if (path === undefined) throw new Error('There is no Chromium on this machine')
mkdirSync(into, { recursive: true })
const page = join(from, 'summary.html')
writeFileSync(page, summaryPage())
const browser = await Browser.start(path)
try {
  for (const scheme of schemes) {
    await take('report', join(from, 'report.html'), 1080, 'Databases', scheme)
    await take('summary', page, 900, 'Not compared', scheme)
  }
} finally {
  await browser.stop()
  rmSync(page)
}

/** @param until the heading at which the picture ends */
async function take(
  name: string,
  file: string,
  width: number,
  until: string,
  scheme: (typeof schemes)[number],
): Promise<void> {
  await browser.open(file, { width, scheme })
  const picture = join(into, `${name}-${scheme}.png`)
  const heading = `[...document.querySelectorAll('h2, h3')].find((one) => one.textContent === '${until}')`
  const height = await browser.evaluate<number>(`${heading}.getBoundingClientRect().top`)
  writeFileSync(picture, await browser.picture(Math.floor(height) - 10))
  process.stdout.write(`${picture}: ${Math.round(statSync(picture).size / 1024)} kB\n`)
}

/** The job summary as GitHub shows it, but for the timeline, which is drawn by GitHub itself. */
function summaryPage(): string {
  const markdown = readFileSync(join(from, 'summary.md'), 'utf8').replace(
    /### Timeline\n\n```mermaid[\s\S]*?```\n\n/,
    '',
  )
  const body = execFileSync('cmark-gfm', ['--unsafe', '--extension', 'table'], {
    input: markdown,
    encoding: 'utf8',
  })
  return `<!doctype html><meta charset="utf-8"><style>
:root { color-scheme: light dark; --line: light-dark(#d1d9e0, #3d444d); --code: light-dark(#818b981f, #656c7633) }
body { font: 14px/1.5 system-ui, sans-serif; margin: 0; padding: 8px 32px 32px; color: light-dark(#1f2328, #f0f6fc); background: light-dark(#fff, #0d1117) }
h2, h3 { margin: 20px 0 12px; font-weight: 600 } h2 { font-size: 21px; padding-bottom: 6px; border-bottom: 1px solid var(--line) } h3 { font-size: 17px }
table { border-collapse: collapse; margin: 0 0 14px } th, td { border: 1px solid var(--line); padding: 5px 12px } th { font-weight: 600 }
code { font: 12px ui-monospace, monospace; background: var(--code); padding: 2px 5px; border-radius: 6px } details { margin: 0 0 14px } li { margin: 3px 0 }
</style>${body}`
}
