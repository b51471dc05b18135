import { expect, test } from '@jest/globals'
import { listedAs, listedTypes } from '../../src/postgres/portable-sql.ts'

test.each([
  ['json', 'json'],
  ['Ada "x"', '"Ada ""x"""'],
  ['a, b', '"a, b"'],
  ['', '""'],
])('the name %s is listed as %s', (name, listed) => {
  expect(listedAs(name)).toBe(listed)
})

test.each([
  ['a public."json_scalar"[], b "normalize"', 'a public.json_scalar[], b normalize'],
  ['a "char", b character(1)', 'a "char", b character(1)'],
  ['"a"" b" int, "a, ""b""" text, "A" "B"', '"a"" b" int, "a, ""b""" text, "A" "B"'],
])('the list %s is the same on every server', (list, same) => {
  expect(listedTypes(list)).toBe(same)
})
