import { expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { parseFingerprint } from '../../src/migration/verify/kept-fingerprint.ts'
import type { DatabaseFingerprint } from '../../src/migration/verify/model.ts'

function whole(): DatabaseFingerprint {
  return {
    format: 1,
    server: 150000,
    encoding: 'UTF8',
    level: 'data',
    method: 'hash',
    floatDigits: 3,
    moments: null,
    recipes: [[['id', 'int4send']]],
    tables: [
      { schema: 's', name: 't', rows: 1, digest: '-12', recipe: 0 },
      { schema: 's', name: 'v', rows: 0, kind: 'materialized view', populated: false },
    ],
    notRead: [{ schema: 's', name: 'f', reason: 'foreign' }],
    sequences: [
      {
        schema: 's',
        name: 'q',
        last: '9223372036854775807',
        called: true,
        later: { last: '1', called: false },
      },
    ],
    largeObjects: {
      count: 2,
      ranges: [
        { from: 1, to: 5, count: 1, digest: '1' },
        { from: 6, to: 4294967295, count: 1, digest: '1' },
      ],
      groups: [{ owner: 'a', acl: ['+b:SELECT'], count: 2, which: '3' }],
      comments: { count: 0, digest: '0' },
    },
    catalog: {
      owners: ['a'],
      acls: [['+b:SELECT']],
      kinds: { table: [{ name: 's.t', owner: 0, acl: 0, facets: { columns: 'x' } }] },
    },
    rows: 1,
    seconds: 0.1,
    rowsPerSecond: 10,
  }
}

test('a fingerprint is read as it was written', () => {
  expect(parseFingerprint(JSON.parse(JSON.stringify(whole())))).toEqual(whole())
})

/** Sets what the path names; undefined removes it. */
function altered(path: string, value: unknown): unknown {
  const copy = JSON.parse(JSON.stringify(whole()))
  const steps = path.split('.')
  const last = steps.pop() ?? ''
  const holder = steps.reduce((one, step) => one[step], copy)
  if (value === undefined) delete holder[last]
  else holder[last] = value
  return copy
}

test.each([
  ['level', 'everything'],
  ['method', 'sha1'],
  ['floatDigits', 15],
  ['recipes.0.0.1', 'pg_sleep'],
  ['recipes.0.0.0', 7],
  ['tables', {}],
  ['tables.0.rows', '1'],
  ['tables.0.rows', -1],
  ['tables.0.digest', undefined],
  ['tables.0.digest', '1e9'],
  ['tables.0.recipe', 1],
  ['tables.0.name', 'a\0b'],
  ['tables.1.populated', true],
  ['sequences.0.last', 5],
  ['sequences.0.later', null],
  ['largeObjects', null],
  ['largeObjects.ranges.1.from', 5],
  ['largeObjects.ranges.0.digest', undefined],
  ['catalog', null],
  ['catalog.kinds.table.0.owner', 1],
  ['catalog.kinds.table.0.acl', -1],
  ['catalog.kinds.table.0.facets.columns', 7],
])('a fingerprint whose %s is %j is refused', (path, value) => {
  expect(() => parseFingerprint(altered(path, value))).toThrow(Failure)
})

test.each([[null], [7], [[]], [{}], [{ format: 2 }]])('%j is no fingerprint', (value) => {
  expect(() => parseFingerprint(value)).toThrow(Failure)
})
