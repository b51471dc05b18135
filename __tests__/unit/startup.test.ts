import { describe, expect, test } from '@jest/globals'
import { parseConnectionString } from '../../src/postgres/connection-string.ts'
import {
  firstStatements,
  learnStartup,
  lesserMode,
  startupModesFor,
  startupOptions,
} from '../../src/postgres/startup.ts'

const somewhere = (user: string) => parseConnectionString(`host=h user=${user} dbname=d`)

describe('the startup packet', () => {
  test("has the user's options first and ours last", () => {
    const options = startupOptions(
      { ...somewhere('a'), options: '-c search_path=x' },
      'read',
      'settings',
    )
    expect(options?.startsWith('-c search_path=x -c search_path=pg_catalog,pg_temp ')).toBe(true)
    expect(options).toContain('-c default_transaction_read_only=on')
    expect(options).not.toContain('event_triggers')
    // money is read by the same rule on either side
    expect(options).toContain('-c lc_monetary=C')
    expect(startupOptions(somewhere('a'), 'write', 'settings')).toContain(
      'default_transaction_read_only=off',
    )
    expect(startupOptions(somewhere('a'), 'read', 'no event triggers')).toMatch(
      /event_triggers=off$/,
    )
    expect(startupOptions(somewhere('a'), 'read', 'nothing')).toBeUndefined()
  })

  test('is remembered by server and account', () => {
    expect(startupModesFor(somewhere('b'))).toEqual(['no event triggers', 'settings', 'nothing'])
    learnStartup(somewhere('b'), 'settings')
    expect(startupModesFor(somewhere('b'))).toEqual(['settings', 'nothing'])
    expect(startupModesFor(somewhere('c'))).toHaveLength(3)
    learnStartup(somewhere('b'), 'nothing')
    expect(startupOptions(somewhere('b'), 'read')).toBeUndefined()
  })

  test.each([
    ['42704', 'unrecognized configuration parameter "event_triggers"', 'settings'],
    ['42501', 'permission denied to set parameter "event_triggers"', 'settings'],
    ['08P01', 'unsupported startup parameter: options', 'nothing'],
    ['08P01', 'unsupported startup parameter in options: search_path', 'nothing'],
    [
      '0A000',
      "Feature not supported: RDS Proxy currently doesn't support command-line options.",
      'nothing',
    ],
    ['42501', 'permission denied to set parameter "local_preload_libraries"', 'nothing'],
    ['XX000', 'unexpected packet', 'nothing'],
    ['28P01', 'password authentication failed for user "postgres"', undefined],
    ['57P03', 'the database system is starting up', undefined],
    ['53300', 'sorry, too many clients already', undefined],
    ['3D000', 'database "d" does not exist', undefined],
    ['ECONNRESET', 'read ECONNRESET', undefined],
    ['42501', 'permission denied for database "d"', undefined],
  ])('that is refused with %s %s is followed by: %s', (code, message, mode) => {
    expect(lesserMode(Object.assign(new Error(message), { code }), 'no event triggers')).toBe(mode)
  })
})

test('the first statements only name what a server of that version knows', () => {
  const of = (number: number) =>
    firstStatements(number, 'read', 1)
      .split('; ')
      .map((statement) => statement.split(' ')[1])
  expect(of(80_400)).not.toContain('bytea_output')
  expect(of(90_000)).not.toContain('tcp_keepalives_idle')
  expect(of(80_400)).toContain('sql_inheritance')
  expect(of(90_200)).not.toContain('lock_timeout')
  expect(of(160_000)).not.toContain('transaction_timeout')
  expect(of(180_000)).toEqual(expect.arrayContaining(['transaction_timeout', 'row_security']))
  expect(of(180_000)).not.toContain('sql_inheritance')
})
