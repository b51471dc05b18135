import { expect, test } from '@jest/globals'
import { allChecks } from '../../src/migration/checks/all.ts'
import { judge } from '../../src/migration/checks/judge.ts'
import { Known } from '../../src/migration/checks/known.ts'
import { parseInputs } from '../../src/migration/inputs.ts'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import { versionOfNumber } from '../../src/postgres/version.ts'
import { newContext } from '../support/context.ts'

/** What a check of a source says of answers to its questions. */
function judged(id: string, answers: Record<string, object[]>) {
  const check = allChecks.find((one) => one.id === id)
  if (!check) throw new Error(`there is no check ${id}`)
  const inputs = parseInputs(() => '', [{ name: 'preflight', needs: [], dump: 'none' }])
  const source = {
    connection: parseConnectionString('host=h user=reader'),
    version: versionOfNumber(150_000),
    databases: [{ source: 'shop', target: 'shop', bytes: 0 }],
    ...{ superuser: false, standby: false, freeConnections: 50, losses: [] },
  }
  const runner = {
    ...{ dumpDirectory: '/', free: 1, processors: 1, canUpload: false, environment: {} },
  }
  const known = new Known({ inputs, runner, source }, [])
  for (const question of check.questions?.source ?? [])
    known.source.note(question, 'shop', answers[question.id] ?? [])
  const context = newContext('preflight')
  judge(known, [check], ['source'], context)
  return context.report.checks[0]
}

const session = {
  ...{ pid: 7, of: 'shop', account: 'app', application: 'worker', age: 10, writes: true },
  hidden: false,
}

test('a transaction that has written and is open for an hour', () => {
  const id = 'source-long-transactions'
  const open = (...rows: object[]) =>
    judged(id, { 'open-transactions': rows.map((row) => ({ ...session, ...row })) })
  expect(open({}, { age: 3599 })).toMatchObject({ status: 'passed' })
  expect(open({ age: 7200, writes: false }, { age: 7200, of: 'other' })).toMatchObject({
    status: 'passed',
  })
  expect(open({ age: 7200 })).toMatchObject({
    status: 'failed',
    severity: 'warning',
    objects: ['process 7 of "app" (worker), 2 h old'],
    paste: 'SELECT pg_catalog.pg_terminate_backend(7);',
  })
  // before 9.4 no server says whether it has written
  expect(open({ age: 7200, writes: null })).toMatchObject({ status: 'failed' })
  // what cannot be seen is not taken for nothing
  expect(open({ age: null, writes: null, hidden: true })).toMatchObject({
    status: 'skipped',
    message: expect.stringContaining('GRANT pg_read_all_stats TO "reader"'),
  })
})

test('a table that is locked for a minute, or by who knows whom', () => {
  const locked = (row: object, pid: number | null = 7) =>
    judged('source-locks', {
      'exclusive-locks': [{ pid, schema: 'public', name: 'orders' }],
      'open-transactions': [{ ...session, ...row }],
    })
  expect(locked({ age: 59 })).toMatchObject({ status: 'passed' })
  expect(locked({ age: 61 })).toMatchObject({
    status: 'failed',
    severity: 'blocker',
    objects: ['"public"."orders", by process 7'],
    paste: 'SELECT pg_catalog.pg_terminate_backend(7);',
  })
  expect(locked({}, null)).toMatchObject({ status: 'failed', severity: 'blocker' })
  expect(locked({ age: null, hidden: true })).toMatchObject({
    status: 'failed',
    severity: 'warning',
  })
})

test('maintenance of a database that is migrated, and of the whole server', () => {
  const running = (of: string) =>
    judged('source-maintenance', {
      'running-maintenance': [{ pid: 7, of, work: 'CREATE INDEX CONCURRENTLY' }],
    })
  expect(running('other')).toMatchObject({ status: 'passed' })
  expect(running('shop')).toMatchObject({
    objects: ['CREATE INDEX CONCURRENTLY, process 7 in "shop"'],
  })
  expect(running('')).toMatchObject({ status: 'failed', severity: 'warning' })
})

test('a transaction that is prepared in a database that stays behind is nobody’s concern here', () => {
  const prepared = { gid: 'x', of: 'other', owner: 'app', age: 5 }
  expect(
    judged('source-prepared-transactions', { 'prepared-transactions': [prepared] }),
  ).toMatchObject({ status: 'passed' })
})
