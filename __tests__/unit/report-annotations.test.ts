import { expect, test } from '@jest/globals'
import { annotations } from '../../src/report/annotations.ts'
import {
  cancelledReport,
  failedReport,
  goodReport,
  hostileReport,
  largeReport,
} from '../support/sample-reports.ts'

test('a good run has one notice, and warnings about what was left out', () => {
  expect(annotations(goodReport())).toEqual([
    {
      level: 'warning',
      title: 'Left out of shop: one entry',
      message:
        'EXTENSION plpython3u (The target does not have it; allow-missing lets it be left out).',
    },
    {
      level: 'warning',
      title: 'Check: extension-unavailable',
      message:
        'The target does not have 1 extension of the source; allow-missing lets it be left out. Concerns plpython3u. Rewrite what uses it, or ask Alibaba Cloud for it.',
    },
    {
      level: 'warning',
      title: 'Warning',
      message: 'The source has 2 replication slots: they are not migrated.',
    },
    {
      level: 'notice',
      title: 'Migrated and verified',
      message:
        'Migrated 2 databases, 41 roles, 8 tables, 83,923,268 rows in 3 min 12 s: every row and object compared equal; 3 kinds of difference are known, and the report explains them.',
    },
  ])
})

test('a failed run names what could not be restored and what differs', () => {
  expect(annotations(failedReport()).filter(({ level }) => level === 'error')).toEqual([
    {
      level: 'error',
      title: 'Not restored: FK CONSTRAINT public.order_items order_items_order_id_fkey of shop',
      message:
        'insert or update on table "order_items" violates foreign key constraint "order_items_order_id_fkey" (SQLSTATE 23503). Remove the rows without an order on the source, then migrate again.',
    },
    {
      level: 'error',
      title: 'Differs: table public.orders of shop',
      message: 'table public.orders of database shop: 13 rows missing.',
    },
    {
      level: 'error',
      title: 'Differs: table public.products of shop',
      message: 'table public.products of database shop: 2 rows changed.',
    },
    {
      level: 'error',
      title: 'Differs: function public.total_of(order_id bigint) of shop',
      message: 'function public.total_of(order_id bigint) of database shop: missing on the target.',
    },
    {
      level: 'error',
      title: 'Differs: function public.tax_rate() of shop',
      message: 'function public.tax_rate() of database shop: different.',
    },
  ])
})

test('a cancelled run needs no annotation beside its own', () => {
  expect(annotations(cancelledReport())).toEqual([])
})

test('the run’s own error is left to setFailed, and room is kept for it', () => {
  const report = hostileReport()
  const errors = annotations(report).filter(({ level }) => level === 'error')
  expect(errors).toHaveLength(9)
  expect(errors.map(({ message }) => message)).not.toContain(report.error?.message)
})

test('there are at most ten of a level, the last one says how many are missing', () => {
  const errors = annotations(largeReport(20_000, true)).filter(({ level }) => level === 'error')
  expect(errors).toHaveLength(10)
  expect(errors[0]?.title).toBe('Differs: table tenant_9.measurements_of_station_19999 of shop')
  expect(errors[9]?.title).toBe('11 more')
})

test('no text is longer than GitHub shows, holds a line break or a hidden character', () => {
  const report = hostileReport()
  report.checks = report.checks.map((check) => ({ ...check, message: 'x'.repeat(10_000) }))
  const all = annotations(report)
  for (const { title, message } of all) {
    expect(message.length).toBeLessThanOrEqual(4096)
    expect(title.length).toBeLessThanOrEqual(200)
    expect(title + message).not.toMatch(/[\p{Cc}\u202e\u200b]/u)
  }
  expect(all.some(({ message }) => message.endsWith('…'))).toBe(true)
})

test('many names leave room for the next step', () => {
  const report = goodReport()
  report.checks = report.checks.map((check) => ({
    ...check,
    objects: Array(5000).fill('n'.repeat(400)),
  }))
  const check = annotations(report).find(({ title }) => title === 'Check: extension-unavailable')
  expect(check?.message).toMatch(/and 4980 more\. Rewrite what uses it/)
})
