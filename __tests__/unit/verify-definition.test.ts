import { expect, test } from '@jest/globals'
import {
  canonical,
  hashOf,
  isPrinted,
  isShown,
  sameText,
} from '../../src/migration/verify/catalog/definition.ts'

test('a trigger definition is the same before and after 11', () => {
  const define = (word: string) =>
    `CREATE TRIGGER t BEFORE INSERT ON s.t FOR EACH ROW EXECUTE ${word} s.f('EXECUTE FUNCTION')`
  expect(
    sameText(hashOf('definition', define('PROCEDURE')), hashOf('definition', define('FUNCTION'))),
  ).toBe(true)
})

test.each([
  ['query', 'SELECT t.a FROM public.t', 'SELECT a FROM t'],
  ['query', 'SELECT a.x FROM a, b', 'SELECT b.x FROM a, b'],
  ['query', 'SELECT 1', 'SELECT  1'],
  ['body', 'SELECT (1)', 'SELECT 1'],
  [
    'definition',
    `CREATE TRIGGER t BEFORE UPDATE ON s.t FOR EACH ROW WHEN (new.a = ' EXECUTE PROCEDURE ') EXECUTE FUNCTION f()`,
    `CREATE TRIGGER t BEFORE UPDATE ON s.t FOR EACH ROW WHEN (new.a = ' EXECUTE FUNCTION ') EXECUTE FUNCTION f()`,
  ],
  ['definition', `CHECK ((a = ' EXECUTE PROCEDURE '))`, `CHECK ((a = ' EXECUTE FUNCTION '))`],
])('%s: %j and %j are two texts', (facet, a, b) => {
  expect(canonical(facet, a)).not.toBe(canonical(facet, b))
  expect(sameText(hashOf(facet, a), hashOf(facet, b))).toBe(false)
})

test('what fingerprints of earlier versions kept behind the hash does not count', () => {
  expect(sameText('0123456789abcdef~01234567', '0123456789abcdef')).toBe(true)
  expect(sameText('0123456789abcdef~01234567', '0123456789abcde0~01234567')).toBe(false)
})

test('short texts that are kept as they are compare whole', () => {
  expect(sameText('=1.0~rc1', '=1.0~rc2')).toBe(false)
})

test.each([
  ['constraint', 'definition', true],
  ['view', 'query', true],
  ['table', 'default of a', true],
  ['domain', 'constraints', true],
  ['operator', 'definition', false],
  ['function', 'body', false],
  ['table', 'replica identity', false],
  ['table', 'persistence', false],
  ['table', 'access method', false],
  ['table', 'columns', false],
  ['index', 'invalid', false],
])('whether a rebuild decides about %s: %s: %j', (kind, facet, printed) => {
  expect(isPrinted(kind, facet)).toBe(printed)
})

test.each([
  ['foreign server', 'definition'],
  ['foreign server', 'options'],
  ['foreign table', 'server'],
  ['foreign table', 'foreign options of a'],
  ['user mapping', 'definition'],
  ['subscription', 'publications'],
  ['database', 'setting app.secret of somebody'],
  ['table', 'comment of a'],
])('of %s the report never shows: %s', (kind, facet) => {
  expect(isShown(kind, facet)).toBe(false)
})
