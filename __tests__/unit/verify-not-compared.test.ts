import { expect, test } from '@jest/globals'
import { notCompared } from '../../src/migration/verify/compare/not-compared.ts'
import type { DatabaseFingerprint } from '../../src/migration/verify/model.ts'
import { renderHtml } from '../../src/report/html/html.ts'
import { renderMarkdown } from '../../src/report/markdown.ts'
import { goodReport } from '../support/sample-reports.ts'

const empty: DatabaseFingerprint = {
  format: 1,
  server: 150_020,
  encoding: 'UTF8',
  level: 'data',
  method: 'hash',
  floatDigits: 3,
  moments: null,
  recipes: [],
  tables: [],
  notRead: [],
  sequences: [],
  largeObjects: null,
  catalog: { owners: [], acls: [], kinds: {} },
  rows: 0,
  seconds: 0,
  rowsPerSecond: 0,
}

test('a database without any of it has nothing that is not compared', () => {
  expect(notCompared(empty)).toEqual([])
})

test('what a comparison cannot see is said of the databases that hold it', () => {
  const lines = notCompared({
    ...empty,
    tables: [{ schema: 'app', name: 'summary', kind: 'materialized view', rows: 1 }],
    notRead: [{ schema: 'app', name: 'elsewhere', reason: 'a foreign table' }],
    catalog: {
      owners: [],
      acls: [],
      kinds: {
        'user mapping': [{ name: 'a' }, { name: 'b' }],
        subscription: [{ name: 's' }],
        extension: [{ name: 'plpgsql' }, { name: 'hstore' }],
      },
    },
  })
  expect(lines.map((line) => line.split(':')[0])).toEqual([
    '1 foreign table',
    '2 user mappings',
    '1 subscription',
    '1 extension',
    '1 materialized view',
  ])
})

test('what was left out so that nothing can be compared is said entry by entry, and no other', () => {
  const reason = 'its rows name roles'
  expect(
    notCompared(empty, [
      { entry: 'TABLE DATA app.t', reason, notCompared: true },
      { entry: 'EXTENSION x', reason: 'not there' },
    ]),
  ).toEqual([`TABLE DATA app.t: ${reason}`])
})

test('the page and the summary show it, the page and the summary of a database without it do not', () => {
  const report = goodReport()
  for (const text of [renderHtml(report), renderMarkdown(report)])
    expect(text).not.toContain('Not compared')
  const [database] = report.databases
  if (database) database.notCompared = ['2 user mappings: options were not compared']
  for (const text of [renderHtml(report), renderMarkdown(report)]) {
    expect(text).toContain('Not compared')
    expect(text).toContain('2 user mappings')
  }
})
