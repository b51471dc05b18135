import { describe, expect, test } from '@jest/globals'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import {
  type Compression,
  compressionArguments,
  dumpArguments,
  dumpRolesArguments,
} from '../../src/postgres/programs/arguments.ts'
import type { ClientPrograms } from '../../src/postgres/programs/programs.ts'

const connection = parseConnectionString('postgresql://u:s3cret@h/d')
const client = (version: string): ClientPrograms => ({
  version,
  majorName: version.split('.')[0] ?? '',
  directory: '/bin',
  origin: '',
  warnings: [],
})
const base = {
  connection,
  database: 'd',
  directory: '/dump',
  jobs: 4,
  compression: [],
  sourceNumber: 150_020,
  extra: [],
}

describe('the arguments of pg_dump', () => {
  test('hold no password, and the database as a quoted connection string', () => {
    const args = dumpArguments(client('15.20'), { ...base, database: "x' host=evil" })
    expect(args.join('\n')).not.toContain('s3cret')
    expect(args.find((arg) => arg.startsWith('--dbname='))).toContain("dbname='x\\' host=evil'")
  })

  test.each([
    ['14.19', 90_100, 4, true],
    ['14.19', 90_100, 1, false],
    ['14.19', 90_200, 4, false],
    ['15.20', 150_000, 4, false],
  ])(
    'client %s, source %d, %d jobs: --no-synchronized-snapshots is %s',
    (version, sourceNumber, jobs, passed) => {
      const args = dumpArguments(client(version), { ...base, sourceNumber, jobs })
      expect(args.includes('--no-synchronized-snapshots')).toBe(passed)
    },
  )

  test.each([
    ['15.20', 110_009, true],
    ['15.20', 150_000, false],
    ['13.20', 110_009, false],
    ['15.20', undefined, false],
  ])('client %s, target %p: --no-toast-compression is %s', (version, targetNumber, passed) => {
    const args = dumpArguments(client(version), { ...base, targetNumber })
    expect(args.includes('--no-toast-compression')).toBe(passed)
  })

  test('end with what the user adds, so that it wins', () => {
    const extra = ['--lock-wait-timeout=1', '--encoding=UTF8']
    const args = dumpArguments(client('15.20'), { ...base, encoding: 'LATIN1', extra })
    expect(args).toContain('--encoding=LATIN1')
    expect(args.slice(-2)).toEqual(extra)
  })
})

test.each<[string, Compression, string[], string]>([
  ['15.20', { method: 'auto' }, [], '--compress=1'],
  ['16.14', { method: 'auto' }, [], '--compress=gzip:1'],
  ['16.14', { method: 'auto' }, ['lz4'], '--compress=lz4:1'],
  ['18.6', { method: 'auto' }, ['lz4', 'zstd'], '--compress=zstd:1'],
  ['15.20', { method: 'none' }, [], '--compress=0'],
  ['15.20', { method: 'gzip', level: 9 }, [], '--compress=9'],
  ['15.20', { method: 'gzip' }, [], '--compress=6'],
  ['16.14', { method: 'gzip' }, [], '--compress=gzip'],
  ['16.14', { method: 'zstd', level: 3 }, ['zstd'], '--compress=zstd:3'],
])('client %s, compression %j, built with %j: %s', (version, wish, able, expected) => {
  expect(compressionArguments(client(version), wish, new Set(able))).toEqual([expected])
})

test.each([true, false])('role passwords %s', (rolePasswords) => {
  const args = dumpRolesArguments(connection, '/roles.sql', { rolePasswords, major: 15 })
  expect(args.includes('--no-role-passwords')).toBe(!rolePasswords)
  expect(args).toContain('--roles-only')
  expect(args.join('\n')).not.toContain('s3cret')
})

test('what was sent and is not confirmed is bounded where libpq can bound it, and the user has the last word', () => {
  const connection = parseConnectionString('postgresql://mover@source.example/shop')
  const arguments_ = (major: number, from = connection) =>
    dumpRolesArguments(from, '/roles.sql', { rolePasswords: true, major }).join(' ')
  expect(arguments_(12)).toContain("tcp_user_timeout='120000'")
  expect(arguments_(11)).not.toContain('tcp_user_timeout')
  const own = parseConnectionString('postgresql://mover@source.example/shop?tcp_user_timeout=5000')
  expect(arguments_(15, own).match(/tcp_user_timeout='?\d+/g)).toEqual([
    expect.stringContaining('5000'),
  ])
})
