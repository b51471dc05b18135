import { expect, test } from '@jest/globals'
import {
  canonical,
  hashOf,
  sameInOtherWords,
  sameText,
} from '../../src/migration/verify/definition.ts'

test.each([
  ['SELECT t.a,\n    t.b\n   FROM public.t;', 'SELECT a,\n b FROM t;'],
  [`SELECT "odd t"."a ""b"" c" FROM s."odd t"`, `SELECT "a ""b"" c" FROM "odd t"`],
])('%j and %j are one query: majors print qualifiers differently', (a, b) => {
  expect(canonical('query', a)).toBe(canonical('query', b))
})

test.each([
  [`SELECT 'a.b'`, `SELECT 'b'`],
  [`SELECT 'it''s  a.b'`, `SELECT 'it''s a.b'`],
  ['SELECT 1.5', 'SELECT 5'],
  ['SELECT a FROM t', 'SELECT b FROM t'],
])('%j and %j are two queries', (a, b) => {
  expect(canonical('query', a)).not.toBe(canonical('query', b))
})

test('a trigger definition is the same before and after 11', () => {
  const define = (word: string) =>
    `CREATE TRIGGER t BEFORE INSERT ON s.t FOR EACH ROW EXECUTE ${word} s.f('EXECUTE FUNCTION')`
  expect(
    sameText(hashOf('definition', define('PROCEDURE')), hashOf('definition', define('FUNCTION'))),
  ).toBe(true)
})

test.each([
  [`((name)::name = CURRENT_USER)`, `(name = (CURRENT_USER)::text)`],
  [`EXTRACT(year FROM d)`, `date_part('year'::text, d)`],
  [`SUBSTRING(a FROM 1 FOR 2)`, `"substring"(a, 1, 2)`],
  [`(d AT TIME ZONE 'UTC'::text)`, `timezone('UTC'::text, (d)::timestamp with time zone)`],
  [`TRIM(BOTH FROM a)`, `btrim(a)`],
])('%j and %j say the same in other words', (a, b) => {
  const [first, second] = [hashOf('using', a), hashOf('using', b)]
  expect(sameText(first, second)).toBe(false)
  expect(sameInOtherWords(first, second)).toBe(true)
})

test.each([
  ['(a > 1)', '(a > 2)'],
  ['(a > 1)', '(a >= 1)'],
  ['(a > 1)', '(b > 1)'],
  [`(a = 'x')`, `(a = 'y')`],
])('%j and %j do not', (a, b) => {
  expect(sameInOtherWords(hashOf('using', a), hashOf('using', b))).toBe(false)
})

test('of what is no expression only the exact text counts', () => {
  expect(hashOf('body', 'SELECT (1)')).toMatch(/^[0-9a-f]{16}$/)
  expect(sameInOtherWords(hashOf('body', 'SELECT (1)'), hashOf('body', 'SELECT 1'))).toBe(false)
})

test('short texts that are kept as they are compare whole', () => {
  expect(sameText('=1.0~rc1', '=1.0~rc2')).toBe(false)
})
