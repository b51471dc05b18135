import { expect, test } from '@jest/globals'
import {
  endsSession,
  endsWait,
  isConflict,
  isTransient,
  lacksConnection,
  refuses,
  refusesAll,
  saysExists,
} from '../../src/postgres/sqlstates.ts'

const codes = [
  ...['08006', '0A000', '0LP01', '0P000', '22023', '23505', '25006', '25P02', '28P01', '40001'],
  ...['40003', '40P01', '42501', '42601', '42602', '42704', '42710', '42P04', '42P06', '42P07'],
  ...['53100', '53200', '53300', '55000', '55006', '55P02', '55P03', '57014', '57P01', '57P02'],
  ...['57P03', '57P04', '57P05', '58030', 'XX000'],
]

test.each<[string, (code: string) => boolean, string]>([
  [
    'passes by itself',
    (code) => isTransient(code),
    '08006 40001 40003 40P01 53300 55006 55P03 57014 57P01 57P02 57P03',
  ],
  ['ends the session', endsSession, '08006 57P01 57P02 57P03 57P04 57P05'],
  [
    'leaves a program without a connection',
    lacksConnection,
    '08006 53300 57P01 57P02 57P03 57P04 57P05',
  ],
  ['is the end of every other statement, too', refusesAll, '25006 53100 53200 53300 58030'],
  ['was in the way', (code) => isConflict(code, ''), '40001 40P01 55P03'],
  ['says that a thing is there', saysExists, '23505 42710 42P04 42P06 42P07'],
  ['ends a wait', endsWait, '55P03 57014'],
  ['refuses a setting', (code) => refuses(code, 'setting'), '0A000 22023 42501 42602 42704 55P02'],
  ['refuses a grant', (code) => refuses(code, 'grant'), '0LP01 0P000 42501 42704'],
  ['refuses a membership', (code) => refuses(code, 'membership'), '0LP01 42501'],
  ['refuses a collation', (code) => refuses(code, 'collation'), '0A000 22023 42704'],
])('what %s', (_, holds, expected) => {
  expect(codes.filter(holds).join(' ')).toBe(expected)
})

test('an internal error passes, and is a conflict, only where two sessions changed one row of a catalog', () => {
  const message = 'tuple concurrently updated'
  expect([isTransient('XX000', message), isConflict('XX000', message)]).toEqual([true, true])
  expect(isTransient('57014', 'canceling statement due to statement timeout')).toBe(false)
})
