import { expect, test } from '@jest/globals'
import {
  brokenPhase,
  databaseResult,
  differencesOf,
  leftOutOf,
  tableDifference,
  tablesInOrder,
} from '../../src/report/findings.ts'
import type { DatabaseResult, TableResult } from '../../src/report/model.ts'
import { failedReport, goodReport } from '../support/sample-reports.ts'

function table(change: Partial<TableResult>): TableResult {
  return {
    schema: 'public',
    name: 'orders',
    sourceRows: 10,
    targetRows: 10,
    match: false,
    ...change,
  }
}

function database(change: Partial<DatabaseResult>): DatabaseResult {
  return {
    name: 'shop',
    target: 'shop',
    bytes: 0,
    dumpBytes: 0,
    dumpSeconds: 0,
    restoreSeconds: 0,
    tables: [],
    objects: [],
    verified: true,
    ...change,
  }
}

test('tables come with the differing first, then the explained, then the largest', () => {
  const tables = [
    table({ name: 'small', match: true }),
    table({ name: 'b', match: true, sourceRows: 20 }),
    table({ name: 'a', match: true, sourceRows: 20 }),
    table({ name: 'explained', explained: 'the extension is missing' }),
    table({ name: 'differs' }),
  ]
  const names = tablesInOrder(database({ tables })).map(({ name }) => name)
  expect(names).toEqual(['differs', 'explained', 'a', 'b', 'small'])
})

test.each([
  [table({ match: true }), 'equal'],
  [table({}), 'contents differ'],
  [table({ targetRows: null }), 'not on the target'],
  [
    table({ targetRows: null, unreadable: 'on the target: denied [42501]' }),
    'cannot be read on the target: denied [42501]',
  ],
  [table({ targetRows: 9 }), '1 row missing'],
  [table({ targetRows: 12 }), '2 rows too many'],
  [
    table({ missingRows: 1, changedRows: 2000, extraRows: 3 }),
    '1 row missing, 2,000 rows changed, 3 rows only on the target',
  ],
])('a table’s difference is said in words: %#', (found, words) => {
  expect(tableDifference(found)).toBe(words)
})

test('an object whose difference was announced is left out, not different', () => {
  const objects = {
    kind: 'function',
    source: 3,
    target: 2,
    missing: ['audit.log()', 'public.f()'],
    different: [],
    extra: ['public.g()'],
    explained: [{ entry: 'audit.log()', reason: 'its language is not on the target' }],
  }
  const report = { ...goodReport(), databases: [database({ objects: [objects] })] }
  expect(differencesOf(report).map(({ object, how }) => [object, how])).toEqual([
    ['public.f()', 'missing on the target'],
    ['public.g()', 'only on the target'],
  ])
  expect(leftOutOf(report).map(({ object, reason }) => [object, reason])).toEqual([
    ['audit.log()', 'its language is not on the target'],
  ])
})

test('a table whose difference was announced is left out, not different', () => {
  const tables = [table({ targetRows: null, explained: 'it needs postgis' })]
  const report = { ...goodReport(), databases: [database({ tables })] }
  expect(differencesOf(report)).toEqual([])
  expect(leftOutOf(report).map(({ reason }) => reason)).toEqual([
    'not on the target: it needs postgis',
  ])
})

test('a database differs, failed, is equal or was not verified', () => {
  const error = { message: 'm', cause: 'c', remedy: 'r' }
  expect(databaseResult(database({}))).toBe('equal')
  expect(databaseResult(database({ verified: false }))).toBe('not verified')
  expect(databaseResult(database({ tables: [table({})] }))).toBe('differs')
  expect(databaseResult(database({ tables: [table({ explained: 'why' })] }))).toBe('equal')
  expect(databaseResult(database({ error }))).toBe('failed')
})

test('the phase that a run failed in is the last one that failed', () => {
  expect(brokenPhase(failedReport())?.name).toBe('verify')
  expect(brokenPhase(goodReport())).toBeUndefined()
})
