import { expect, test } from '@jest/globals'
import { wordsOf } from '../../src/commands/index.ts'
import { jsonPieces } from '../../src/report/json.ts'
import type { Report } from '../../src/report/model.ts'
import { renderJson } from '../support/report-json.ts'
import { sampleForecast, samplePoint } from '../support/sample-history.ts'
import { failedReport, goodReport, hostileReport } from '../support/sample-reports.ts'

/** The same value with the keys of every object in the opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  )
}

test.each([goodReport(), failedReport(), hostileReport()])(
  'a report is read back as it was',
  (report) => {
    const { words, ...kept } = report
    expect(words).toEqual(wordsOf(report.command))
    expect(JSON.parse(renderJson(report))).toEqual(kept)
  },
)

test('the outage to announce and the runs that it rests on are read back as they were', () => {
  const forecast = sampleForecast()
  const stated = { low: 1000, high: 1500, confidence: null }
  const history = [samplePoint(), samplePoint({ run: '7002', stated, rows: null })]
  expect(JSON.parse(renderJson({ ...goodReport(), forecast, history }))).toMatchObject({
    forecast,
    history,
  })
})

test('the order of the fields does not depend on how the report came about', () => {
  const report = failedReport()
  expect(renderJson(reversed(report) as Report)).toBe(renderJson(report))
})

test('a small report is exactly this text', () => {
  const report: Report = {
    warnings: ['slow'],
    verified: false,
    error: { remedy: 'Check the host', cause: 'timed out', message: 'No connection' },
    sourceStill: 'unknown',
    losses: [],
    checklist: [],
    cutoverSeconds: null,
    databases: [],
    checks: [],
    phases: [{ name: 'preflight', status: 'failed', startedAt: 0, seconds: 0.1 + 0.2 }],
    startedAt: '2026-11-20T01:30:00.000Z',
    status: 'failed',
    command: 'migrate',
    words: wordsOf('migrate'),
  }
  expect(renderJson(report)).toBe(`{
  "command": "migrate",
  "status": "failed",
  "startedAt": "2026-11-20T01:30:00.000Z",
  "phases": [
    {
      "name": "preflight",
      "status": "failed",
      "startedAt": 0,
      "seconds": 0.3
    }
  ],
  "checks": [],
  "databases": [],
  "losses": [],
  "checklist": [],
  "sourceStill": "unknown",
  "verified": false,
  "cutoverSeconds": null,
  "warnings": [
    "slow"
  ],
  "error": {
    "message": "No connection",
    "cause": "timed out",
    "remedy": "Check the host"
  }
}
`)
})

test('nothing outside the model is written', () => {
  const report = { ...goodReport(), connection: 'postgresql://app:secret@db' }
  expect(renderJson(report)).not.toContain('secret')
})

test('the file can be shown in a log or a terminal', () => {
  for (const line of renderJson(hostileReport()).split('\n')) {
    expect(line).not.toMatch(/##\[|^\s*::|[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
  }
})

test('a report of many tables is written in pieces, none of which grows with it', () => {
  const report = goodReport()
  const [database] = report.databases
  const [table] = database?.tables ?? []
  if (!database || !table) throw new Error('the sample has no table')
  const tables = Array.from({ length: 5000 }, (_, at) => ({ ...table, name: `t${at}` }))
  const many = { ...report, databases: [{ ...database, tables }] }
  const pieces = [...jsonPieces(many)]
  expect(JSON.parse(pieces.join('')).databases[0].tables).toEqual(tables)
  expect(pieces.length).toBeGreaterThan(10)
  expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(100_000)
})
