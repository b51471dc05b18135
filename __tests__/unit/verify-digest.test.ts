import { expect, test } from '@jest/globals'
import {
  type ColumnType,
  differingColumns,
  digestExpression,
  recipeOf,
} from '../../src/migration/verify/rows/digest.ts'

const defaults = {
  schema: 'pg_catalog',
  type: 'b',
  base: 0,
  element: 0,
  subtype: 0,
  attributes: [],
}
const types = new Map<number, ColumnType>(
  (
    [
      { oid: 23, name: 'int4' },
      { oid: 25, name: 'text' },
      { oid: 701, name: 'float8' },
      { oid: 600, name: 'point' },
      { oid: 2202, name: 'regprocedure' },
      { oid: 1007, name: '_int4', element: 23 },
      { oid: 1022, name: '_float8', element: 701 },
      { oid: 1017, name: '_point', element: 600 },
      { oid: 3904, name: 'int4range', type: 'r', subtype: 23 },
      { oid: 20000, name: 'mood', schema: 'public', type: 'e' },
      { oid: 20001, name: '_mood', schema: 'public', element: 20000 },
      { oid: 20002, name: 'pair', schema: 'public', type: 'c', attributes: [23, 25] },
      { oid: 20003, name: 'positive', schema: 'public', type: 'd', base: 23 },
      { oid: 20004, name: 'floats', schema: 'public', type: 'r', subtype: 701 },
      { oid: 20005, name: 'geometry', schema: 'public' },
      { oid: 20006, name: 'moods', schema: 'public', type: 'r', subtype: 20000 },
      { oid: 19, name: 'name' },
      { oid: 1043, name: 'varchar' },
      { oid: 13001, name: 'sql_identifier', schema: 'information_schema', type: 'd', base: 19 },
      { oid: 13002, name: 'sql_identifier', schema: 'information_schema', type: 'd', base: 1043 },
      { oid: 20008, name: 'sql_identifier', schema: 'public', type: 'd', base: 19 },
      // somebody's own type that is called like one of PostgreSQL's
      { oid: 20007, name: 'int4', schema: 'public' },
    ] as const
  ).map((type) => [type.oid, { ...defaults, ...type } as ColumnType]),
)

test.each([
  [23, 'int4send'],
  [701, 'float8send'],
  [600, 'floats:point_send'],
  [2202, 'text'],
  [1007, 'array_send'],
  [1022, 'float_array'],
  [1017, 'floats:array_send'],
  [3904, 'range_send'],
  [20000, 'enum_send'],
  [20001, 'text'],
  [20002, 'text'],
  [20003, 'int4send'],
  [20004, 'floats:range_send'],
  [20005, 'text'],
  [20006, 'text'],
  [20007, 'text'],
  // a domain of the system's that is over another type before 12
  [13001, 'textsend'],
  [13002, 'textsend'],
  [20008, 'namesend'],
])('a column of type %i goes in as %s', (type, form) => {
  expect(recipeOf([{ name: 'c', type }], types)).toEqual([['c', form]])
})

test('columns are sorted by name, since a restore may order them differently', () => {
  const columns = ['b', 'a', 'B', 'ä'].map((name) => ({ name, type: 23 }))
  expect(recipeOf(columns, types).map(([name]) => name)).toEqual(['B', 'a', 'b', 'ä'])
})

test('a hostile column name is quoted', () => {
  const sql = digestExpression([['a" || pg_sleep(9) || "', 'int4send']], 'hash', 't')
  expect(sql).toContain('pg_catalog.int4send("t"."a"" || pg_sleep(9) || """)')
})

test('a form that nobody knows is refused: a manifest is no place for SQL', () => {
  expect(() => digestExpression([['a', 'pg_sleep(9) || textsend']], 'hash', 't')).toThrow(
    'unknown form',
  )
})

test('columns that the target lacks or reads in another way are named', () => {
  const source = recipeOf(
    [
      { name: 'a', type: 23 },
      { name: 'b', type: 25 },
      { name: 'c', type: 701 },
    ],
    types,
  )
  const target = recipeOf(
    [
      { name: 'a', type: 23 },
      { name: 'b', type: 23 },
      { name: 'd', type: 23 },
    ],
    types,
  )
  expect(differingColumns(source, target)).toEqual(['b', 'c'])
})
