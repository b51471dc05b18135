import { expect, test } from '@jest/globals'
import { wordsOf } from '../../src/commands/index.ts'
import { Failure } from '../../src/failure.ts'
import type { Wording } from '../../src/report/model.ts'
import { outcome, verdict } from '../../src/report/verdict.ts'
import {
  cancelledReport,
  failedReport,
  goodReport,
  type SampleReport,
} from '../support/sample-reports.ts'

/** The good report without anything that it had to leave out. */
function spotless(change: Partial<SampleReport> = {}): SampleReport {
  const report = goodReport()
  for (const { restore } of report.databases) if (restore) restore.skipped = []
  if (report.roles) report.roles.differences = []
  return { ...report, ...change }
}

const amounts = '2 databases, 41 roles, 8 tables, 83,923,268 rows in 3 min 12 s'

test('a verified migration says that everything compared equal', () => {
  expect(outcome(spotless())).toEqual({
    mark: 'good',
    title: 'Migrated and verified',
    sentence: `Migrated ${amounts}: every row and object compared equal.`,
  })
})

test('a verified migration that left something out says so', () => {
  expect(verdict(goodReport())).toBe(
    `Migrated ${amounts}: every row and object compared equal; 3 kinds of difference are known, and the report explains them.`,
  )
})

test('accepted losses stand in the title, and what has one reason is one thing, however many objects it concerns', () => {
  const reason =
    '"postgres" is a superuser on the target, and only a superuser could give it objects'
  const report = spotless({
    losses: [
      { entry: 'EXTENSION x', database: 'shop', reason: 'not there', remedy: 'none' },
      { entry: 'TABLE s.t', database: 'shop', reason: 'not there', remedy: 'none' },
    ],
  })
  const [database] = report.databases
  database?.restore?.skipped.push(
    { entry: 'OWNER postgres', reason: `205 objects stay with "gctest": ${reason}` },
    { entry: 'EXTENSION x', reason: 'not there' },
    { entry: 'SCHEMA public', reason: 'the target has it already' },
  )
  database?.objects.push({
    ...{ kind: 'view', source: 2, target: 2, missing: [], different: [] },
    explained: ['a', 'b'].map((name) => ({ entry: `${name}: owner`, reason })),
  })
  expect(outcome(report)).toEqual({
    mark: 'good',
    title: 'Migrated and verified, except for 2 accepted losses',
    sentence: `Migrated ${amounts}: every row and object compared equal, except for 2 accepted losses; one kind of difference is known: ${reason}.`,
  })
})

test('a migration of which only rows were counted does not claim more', () => {
  const report = spotless({ verified: false })
  for (const database of report.databases) database.objects = []
  expect(outcome(report)).toEqual({
    mark: 'doubtful',
    title: 'Migrated, not verified',
    sentence: `Migrated ${amounts}; the row counts are equal, but contents and objects were not compared.`,
  })
})

test('a migration that could not compare everything does not claim more', () => {
  expect(outcome(spotless({ verified: false })).sentence).toContain(
    'no difference was found, but not everything could be compared',
  )
})

test('a migration of which nothing was compared does not claim more', () => {
  const report = spotless({ verified: false })
  for (const database of report.databases) database.tables = []
  expect(outcome(report)).toMatchObject({
    mark: 'doubtful',
    sentence: 'Migrated 2 databases, 41 roles in 3 min 12 s; nothing was compared.',
  })
})

test('differences are never a success, whatever the status says', () => {
  const report: SampleReport = {
    ...failedReport(),
    status: 'succeeded',
    verified: true,
    error: null,
  }
  report.roles?.differences.push({
    role: 'app',
    what: 'LOGIN',
    reason: 'not on the target',
    explained: false,
  })
  expect(outcome(report)).toEqual({
    mark: 'bad',
    title: 'Migrated, with differences',
    sentence: `Migrated ${amounts}, but 2 tables, 2 objects and 1 role attribute compared different without a known reason.`,
  })
})

test('a failed migration says where and what', () => {
  expect(verdict(failedReport())).toBe(
    'Migration failed in phase verify after 3 min 12 s: Verification found differences: 2 tables and 2 objects of database shop.',
  )
})

test('a run that failed before its first phase says what', () => {
  const report: SampleReport = { ...failedReport(), phases: [], databases: [] }
  expect(outcome(report).sentence).toBe('Migration failed.')
})

test('a cancelled migration says where', () => {
  expect(verdict(cancelledReport())).toBe(
    'Migration cancelled in phase dump of database "shop" after 25 s.',
  )
})

test('the verdict is one harmless line, whatever the names in it', () => {
  const report = cancelledReport()
  report.phases[4] = { ...report.phases[4], database: 'a\n::error::b' } as never
  expect(verdict(report)).toBe(
    'Migration cancelled in phase dump of database "a\\n::error::b" after 25 s.',
  )
})

test.each<[string, Wording, string]>([
  ['restore', wordsOf('restore'), 'Restored and verified'],
  ['verify', wordsOf('verify'), 'Both sides are equal'],
  ['dump', wordsOf('dump'), 'Dump succeeded'],
  [
    'of another verb',
    { did: 'Rehearsed', noun: 'Rehearsal', ends: 'compared' },
    'Rehearsed and verified',
  ],
  [
    'that is done when it is done',
    { did: 'Gave back', noun: 'Unfreezing', ends: 'done' },
    'Unfreezing succeeded',
  ],
  ['that nobody knows', wordsOf('move'), 'The run succeeded'],
])('a command %s has a title of its own', (command, words, title) => {
  expect(outcome(spotless({ command, words }))).toMatchObject({ mark: 'good', title })
})

test('a preflight with a blocker is not ready, although it ran well', () => {
  const report = spotless({
    command: 'preflight',
    words: { did: 'Checked', noun: 'Preflight', ends: 'checked' },
    databases: [],
  })
  const [first] = report.checks
  expect(outcome(report)).toMatchObject({ mark: 'doubtful', title: 'Ready, with warnings' })
  report.checks.push({ ...first, status: 'failed' } as never)
  expect(outcome(report)).toEqual({
    mark: 'bad',
    title: 'Not ready',
    sentence:
      'Not ready to migrate: 1 blocker and 1 warning; 2 of 5 checks passed. Nothing was touched.',
  })
  // the step fails then, which is no failure of the preflight
  const error = { message: 'Not ready to migrate: 1 blocker', cause: 'It is so', remedy: 'Mend it' }
  const failed = { ...report, status: 'failed', error } as const
  expect(outcome(failed).title).toBe('Not ready')
  expect(verdict(failed)).toBe(outcome(failed).sentence)
})

test('a preflight is not ready while a blocker could not be asked', () => {
  const report = spotless({
    command: 'preflight',
    words: { did: 'Checked', noun: 'Preflight', ends: 'checked' },
    databases: [],
  })
  const [first] = report.checks
  report.checks.push({ ...first, severity: 'blocker', status: 'skipped' } as never)
  expect(outcome(report)).toMatchObject({
    title: 'Not ready',
    sentence: expect.stringMatching(/1 blocker that could not be asked and 1 warning/),
  })
})

test('a run whose report could not be written says so in its last line', () => {
  expect(verdict(goodReport(), new Failure('The disk is full', 'ENOSPC', 'Free space'))).toMatch(
    /^Migrated .* explains? them; but The disk is full/,
  )
})
