import { expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { refuseUnaccepted } from '../../src/migration/losses.ts'
import type { Loss } from '../../src/report/model.ts'
import { ReportWriter } from '../../src/report/writer.ts'
import { goodReport } from '../support/sample-reports.ts'

const loss = (entry: string, reason = 'it cannot be had'): Loss => ({
  entry,
  database: null,
  reason,
  remedy: 'Do without',
})

test('what allow-missing accepts is listed once, and stops nothing', () => {
  const record = new ReportWriter(goodReport())
  const { report } = record
  for (const _ of [1, 2]) {
    refuseUnaccepted(
      [loss('ROLE repl REPLICATION'), loss('MEMBERSHIP reader in pg_monitor')],
      ['ROLE * REPLICATION', 'MEMBERSHIP  reader in pg_monitor'],
      'the roles',
      { record },
    )
  }
  expect(report.losses.map(({ entry }) => entry)).toEqual([
    'ROLE repl REPLICATION',
    'MEMBERSHIP reader in pg_monitor',
  ])
})

test('everything else stops the run at once, by reason and with its remedy', () => {
  const record = new ReportWriter(goodReport())
  const { report } = record
  const checks = report.checks.length
  const many = Array.from({ length: 12 }, (_, index) => loss(`LOGIN r${index}`, 'no hash'))
  const refuse = () =>
    refuseUnaccepted([loss('ROLE a BYPASSRLS'), ...many, loss('LOGIN ok')], ['LOGIN ok'], 'x', {
      record,
    })
  expect(refuse).toThrow(Failure)
  expect(report.checks.slice(checks).map(({ objects }) => objects.length)).toEqual([1, 12])
  expect(report.losses).toEqual([loss('LOGIN ok')])
  try {
    refuse()
  } catch (error) {
    expect((error as Failure).message).toBe(
      'The target cannot take 13 objects of x; nothing was restored',
    )
    expect((error as Failure).why).toMatch(/LOGIN r9 and 2 more: no hash \(Do without\)/)
  }
})
