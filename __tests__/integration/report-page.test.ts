import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { renderHtml } from '../../src/report/html/html.ts'
import { Browser, findBrowser } from '../support/browser.ts'
import {
  failedReport,
  hostileReport,
  largeReport,
  rehearsedReport,
} from '../support/sample-reports.ts'

/**
 * The page in a real browser: Debian's `chromium`, where the machine has it.
 */
const path = findBrowser()
const suite = path === undefined ? describe.skip : describe
if (path === undefined) console.warn('skipped: there is no Chromium on this machine')

suite('report.html in Chromium', () => {
  let browser: Browser
  let directory: string
  const reports = {
    rehearsed: rehearsedReport(),
    failed: failedReport(),
    hostile: hostileReport(),
    large: largeReport(5000, true),
  }
  const file = (name: keyof typeof reports) => join(directory, `${name}.html`)

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'report-page-'))
    for (const name of Object.keys(reports) as (keyof typeof reports)[])
      await writeFile(file(name), renderHtml(reports[name]))
    browser = await Browser.start(path ?? '')
  })
  afterAll(async () => {
    await browser?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  test.each(['rehearsed', 'failed', 'hostile', 'large'] as const)(
    'the page of the %s report complains of nothing, asks for nothing, and is as wide as the screen',
    async (name) => {
      for (const width of [360, 800, 1400]) {
        Object.assign(browser.met, { complaints: [], requests: [] })
        await browser.open(file(name), { width })
        const wide = await browser.evaluate<number>('document.documentElement.scrollWidth')
        expect(wide).toBeLessThanOrEqual(width)
        expect(browser.met).toEqual({ complaints: [], requests: [`file://${file(name)}`] })
      }
    },
  )

  test.each(['light', 'dark'])('every text can be read in the %s scheme', async (scheme) => {
    for (const name of ['rehearsed', 'failed'] as const) {
      await browser.open(file(name), { scheme })
      expect(await browser.evaluate(faintTexts)).toEqual([])
    }
  })

  test('a name is found among 5,000 tables, and everything is back when the field is empty', async () => {
    await browser.open(file('large'))
    const search = (text: string) =>
      browser.evaluate<{ rows: number; lists: number; said: string }>(`(() => {
        const field = document.querySelector('#tables input')
        field.value = ${JSON.stringify(text)}
        field.dispatchEvent(new Event('input'))
        const isShown = (element) => element.checkVisibility({ contentVisibilityAuto: true })
        return {
          rows: [...document.querySelectorAll('#tables tbody tr')].filter(isShown).length,
          lists: document.querySelectorAll('#tables details[open]').length,
          said: document.querySelector('#tables output').textContent,
        }
      })()`)
    const before = await search('')
    expect(await search('STATION_4321')).toEqual({ rows: 1, lists: 2, said: '1 table' })
    expect(await search('station_432')).toMatchObject({ rows: 11, said: '11 tables' })
    expect(await search('nowhere')).toEqual({ rows: 0, lists: 0, said: '0 tables' })
    expect(await search('')).toEqual(before)
  })

  test('without scripts everything is there, and no field that would not work', async () => {
    await browser.open(file('large'), { scripts: false })
    expect(
      await browser.evaluate(
        `[document.querySelectorAll('#tables tbody tr').length, document.querySelectorAll('input').length]`,
      ),
    ).toEqual([5002, 0])
  })
})

/**
 * Texts whose contrast is below 4.5 (Web Content Accessibility Guidelines 2.2, 1.4.3), each with its colours. Of text that is
 * drawn the fill counts.
 */
const faintTexts = `(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number)
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = parse(getComputedStyle(one).backgroundColor)
      if (color[3] !== 0) return color
    }
    return [255, 255, 255]
  }
  const faint = []
  for (const element of document.querySelectorAll('body *')) {
    if (element.closest('script, title')) continue
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue
    const style = getComputedStyle(element)
    const [text, behind] = [parse(element.namespaceURI.endsWith('svg') ? style.fill : style.color), ground(element)]
    const [a, b] = [luminance(text), luminance(behind)].sort((x, y) => y - x)
    const ratio = (a + 0.05) / (b + 0.05) * (style.opacity === '1' ? 1 : Number(style.opacity))
    if (ratio < 4.5) faint.push(element.tagName + ' ' + element.textContent.slice(0, 40) + ' ' + text + ' on ' + behind + ' ' + ratio)
  }
  return faint
})()`
