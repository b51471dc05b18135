import { describe, expect, test } from '@jest/globals'
import { parseOptionLine } from '../../src/postgres/programs/options.ts'

describe.each(['pg_dump', 'pg_restore'] as const)('an option of %s', (program) => {
  test.each([
    ...[
      '--file=/etc/x',
      '--fil=/etc/x',
      '--f=/etc/x',
      '-f/etc/x',
      '-f /etc/x',
      '-vf/etc/x',
      '-Of x',
    ],
    ...[
      '--dbname=x',
      '--dbnam=x',
      '--db x',
      '-d x',
      '-dx',
      '-Oxd x',
      '--format=c',
      '-Fc',
      '--fo=c',
    ],
    ...[
      '--jobs=3',
      '--j=3',
      '-j3',
      '--host=x',
      '-hx',
      '-p1',
      '--port=1',
      '-Ux',
      '--usern=x',
      '--us',
    ],
    ...['--verb', '-v', '-w', '-W', '--pass', '--no-pass', '--ver', '-V', '--help', '--he', '-?'],
    ...['--cle', '--clean', '-c', '-C', '--creat', '--if-e', '--role=x', '--rol=x', '--sect=data'],
    ...['--schema-only', '--schema-o', '-s', '--no-data', '--statistics-o', '--restrict-key=x'],
  ])('is refused where it is the action’s own: %j', (line) => {
    expect(() => parseOptionLine(program, line)).toThrow(
      /does not set itself|options that|value|whole name/,
    )
  })

  test.each([
    ...[
      '',
      '-',
      '--',
      '---',
      '--=x',
      'shop',
      'shop -O',
      '--nonsense',
      '--nonsense=x',
      '-?',
      '-Oq',
      '-ä',
    ],
    ...[
      '--no-own=x',
      '--no-owner x',
      '-O shop',
      '-Ox shop',
      '-t',
      '-Ot',
      '--table',
      '--table=',
      '-n ',
    ],
    ...['-x -f x', '--no-acl --file=x'],
  ])('is refused when it is none: %j', (line) => {
    expect(() => parseOptionLine(program, line)).toThrow(SyntaxError)
  })

  test.each([
    ['--no-comments', ['--no-comments']],
    ['--no-comm', ['--no-comments']],
    ['--table=audit.*', ['--table=audit.*']],
    ['--table audit.*', ['--table=audit.*']],
    ['--table="two words"', ['--table="two words"']],
    ['-t audit.*', ['-taudit.*']],
    ['-taudit.*', ['-taudit.*']],
    ['-t=x', ['-t=x']],
    ['-Ox', ['-O', '-x']],
    ['-Oxt a b', ['-O', '-x', '-ta b']],
    ['--schema=--file', ['--schema=--file']],
  ])('is handed on, written out: %j', (line, expected) => {
    expect(parseOptionLine(program, line)).toEqual(expected)
  })

  test('is refused when it could be several, with their names', () => {
    expect(() => parseOptionLine(program, '--no-s')).toThrow(/whole name: it could be --no-s/)
  })
})

test('options that only one of the programs has are refused for the other', () => {
  expect(parseOptionLine('pg_dump', '--exclude-table-data=x')).toEqual(['--exclude-table-data=x'])
  expect(() => parseOptionLine('pg_restore', '--exclude-table-data=x')).toThrow('pg_restore has')
  expect(parseOptionLine('pg_restore', '-I i')).toEqual(['-Ii'])
  expect(() => parseOptionLine('pg_dump', '-I i')).toThrow('pg_dump has')
  expect(parseOptionLine('pg_dump', '-e postgis')).toEqual(['-epostgis'])
  expect(() => parseOptionLine('pg_restore', '-e')).toThrow('does not set itself, as it does -e')
  expect(() => parseOptionLine('pg_restore', '-1')).toThrow('as it does -1')
})
