import { describe, expect, test } from '@jest/globals'
import { axisSteps } from '../../src/report/html/axis.ts'
import { renderHtml } from '../../src/report/html/html.ts'
import { lane, tickTimes } from '../../src/report/html/lanes.ts'
import { renderMarkdown } from '../../src/report/markdown.ts'
import { windowSentence } from '../../src/report/window.ts'
import { sampleForecast, samplePoint } from '../support/sample-history.ts'
import { hostile, rehearsedReport } from '../support/sample-reports.ts'

describe('the outage to announce is said', () => {
  test('as a range with how sure it is', () => {
    expect(windowSentence(sampleForecast())).toBe(
      'Announce an outage of 31 min 40 s: the forecast is 19 min 10 s to 31 min 40 s, in which at least 60 of 100 runs lie.',
    )
  })

  test('without a confidence where nobody has one', () => {
    expect(windowSentence(sampleForecast({ confidence: null }))).toMatch(
      /from too few runs to say how sure that is\.$/,
    )
  })

  test('as an estimate where no run has measured it', () => {
    const text = windowSentence(sampleForecast({ from: 'estimate', confidence: null }))
    expect(text).toMatch(/are estimated, and no run has measured it yet\.$/)
  })

  test('in the summary, right after the verdict', () => {
    const text = renderMarkdown(rehearsedReport())
    expect(text.split('\n')[0]).toBe('## ✅ Rehearsed and verified')
    expect(text).toMatch(/### The outage window\n\n\*\*Announce an outage of 31 min 40 s: .*\*\*\n/)
    expect(text.indexOf('### The outage window')).toBeLessThan(text.indexOf('### Timeline'))
    expect(text).toContain('| dump | 5 min to 7 min 40 s | 7.5 s |')
    expect(text).toContain('built alone for the last 4 min of the restore (up to 4 min)')
  })
})

describe('earlier runs are drawn', () => {
  const drawn = (report = rehearsedReport()) =>
    /<svg class="plot"[\s\S]*?<\/svg>/.exec(renderHtml(report))?.[0] ?? ''

  test('each once, the unverified one hollow, what was said before as a line, the forecast as a bar', () => {
    const plot = drawn()
    expect(plot.match(/<circle class="run"/g)).toHaveLength(9)
    expect(plot.match(/<circle class="run hollow"/g)).toHaveLength(1)
    expect(plot.match(/<line class="stated"/g)).toHaveLength(7)
    expect(plot.match(/<rect class="forecast"/g)).toHaveLength(1)
    expect(plot).toContain('aria-label="What 10 runs took, from 2026-11-01 to 2026-11-11;')
  })

  test('by their dates: a night that is missing leaves a gap', () => {
    const at = [...drawn().matchAll(/<circle class="run[^"]*" cx="([\d.]+)%/g)].map(([, x]) =>
      Number(x),
    )
    const steps = at.slice(1).map((x, index) => x - (at[index] ?? 0))
    expect(Math.round((steps[4] ?? 0) / (steps[0] ?? 1))).toBe(2)
  })

  test('only from two on; one has its numbers in the table', () => {
    const report = rehearsedReport(1)
    expect(drawn(report)).toBe('')
    expect(renderHtml(report)).toContain('The numbers of one run')
    expect(drawn(rehearsedReport(2))).not.toBe('')
  })

  test('never a single one without a forecast: it is this run', () => {
    const { forecast: _forecast, ...report } = rehearsedReport(1)
    expect(renderHtml(report)).not.toContain('The outage window')
    expect(renderMarkdown(report)).not.toContain('This run and those before it')
    const { forecast: _other, ...two } = rehearsedReport(2)
    expect(renderMarkdown(two)).toContain('<summary>This run and those before it: 2</summary>')
  })

  test('whatever stands in them', () => {
    const history = hostile.map((text) =>
      samplePoint({ startedAt: text, command: text as 'migrate', seconds: 0, bytes: 0 }),
    )
    const page = renderHtml({ ...rehearsedReport(), history })
    expect(page).not.toMatch(/NaN|Infinity|undefined|<img/)
  })

  test('the newest two hundred of many', () => {
    const history = Array.from({ length: 1000 }, (_, index) => samplePoint({ run: `${index}` }))
    expect(drawn({ ...rehearsedReport(), history } as never).match(/<circle/g)).toHaveLength(200)
  })
})

test.each([0.01, 0.4, 7, 59, 61, 3599, 86_400, 5_000_000])(
  'times over %d seconds are few and reach its end',
  (total) => {
    const ticks = tickTimes(total)
    expect(ticks.length).toBeLessThanOrEqual(5)
    expect(ticks.at(-1)).toBeLessThanOrEqual(total)
    const steps = axisSteps(total)
    expect(steps.length).toBeLessThanOrEqual(6)
    expect(steps.at(-1)).toBeGreaterThanOrEqual(total)
  },
)

test('a bar lies within its lane and can be seen, however short and late it is', () => {
  const { text } = lane([{ from: 99.999, to: 100, kind: 'dump' }], 100)
  expect(text).toContain('<rect class="dump" x="99.6%" width="0.4%"/>')
})
