import { describe, expect, test } from '@jest/globals'
import {
  maskStatement,
  namesAt,
  shortStatement,
  splitStatements,
} from '../../src/postgres/archive/statement.ts'

describe('a masked statement', () => {
  test.each([
    [`SELECT 'LEAKPROOF' LEAKPROOF`, `SELECT '         ' LEAKPROOF`],
    [`SELECT 'it''s' x`, `SELECT '     ' x`],
    [`SELECT E'a\\'b' x`, `SELECT E'    ' x`],
    [`SELECT 'a\\' x`, `SELECT '  ' x`],
    [`"a ""q"" LEAKPROOF" x`, `"_________________" x`],
    [`AS $$BEGIN; END$$ x`, `AS $$          $$ x`],
    [`AS $a$x $$ y$a$ z`, `AS $a$      $a$ z`],
    ['a$b$c', 'a$b$c'],
    ['SELECT $1', 'SELECT $1'],
    ['a -- b\nc', 'a     \nc'],
    ['a /* b /* c */ d */ e', 'a                   e'],
    [`'open`, `'    `],
    ['$$open', '$$    '],
  ])('%j hides %j', (sql, masked) => {
    expect(maskStatement(sql)).toBe(masked)
    expect(maskStatement(sql)).toHaveLength(sql.length)
  })

  test('follows standard_conforming_strings', () => {
    expect(maskStatement(`'a\\' b' c`, false)).toBe(`'     ' c`)
    expect(maskStatement(`'a\\' b`, true)).toBe(`'  ' b`)
  })

  test('of a megabyte takes no time to speak of', () => {
    const long = `${'"'.repeat(100_001)}${"'".repeat(100_001)}${'$'.repeat(200_000)}${'/*'.repeat(100_000)}`
    expect(maskStatement(long)).toHaveLength(long.length)
  })
})

test('statements are split at semicolons that are really there', () => {
  expect(
    splitStatements(`\n-- a;\nGRANT a TO "b;c"; SELECT ';'; DO $$ x; $$;\n\nREVOKE ALL`),
  ).toEqual([`GRANT a TO "b;c";`, `SELECT ';';`, `DO $$ x; $$;`, 'REVOKE ALL'])
})

test('a list of names is unquoted', () => {
  expect(namesAt(`"a, ""b""", plain, ünder_1 WITH`, 0)).toEqual([
    { name: 'a, "b"', start: 0, end: 10 },
    { name: 'plain', start: 12, end: 17 },
    { name: 'ünder_1', start: 19, end: 26 },
  ])
})

describe('a statement for people', () => {
  test('is one line of limited length', () => {
    expect(shortStatement('CREATE TABLE a (\n    b int\n);')).toBe('CREATE TABLE a ( b int );')
    expect(shortStatement(`SELECT '${'x'.repeat(1000)}'`, 50)).toHaveLength(50)
    expect(shortStatement('SELECT \u001b[31m')).toBe('SELECT \\x1b[31m')
  })

  test.each([
    [`CREATE USER MAPPING FOR u SERVER s OPTIONS (password 'sec''ret', "user" 'x');`],
    [`CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (api_key 'secret');`],
    [`CREATE SUBSCRIPTION s CONNECTION 'password=secret' PUBLICATION p;`],
    [
      `SELECT * FROM pg_catalog.pg_restore_attribute_stats(\n\t'attname', 'a',\n\t'most_common_vals', '{sec,''ret''}'::text\n);`,
    ],
  ])('shows no secret: %s', (sql) => {
    expect(shortStatement(sql)).not.toMatch(/sec/i)
  })
})
