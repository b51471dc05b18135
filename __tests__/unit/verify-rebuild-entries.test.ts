import { expect, test } from '@jest/globals'
import type { Decision, PlannedEntry } from '../../src/migration/restore/plan/planned-entry.ts'
import type { OpenDefinition } from '../../src/migration/verify/catalog/definition.ts'
import { selectEntries, withoutServer } from '../../src/migration/verify/rebuild/entries.ts'
import type { Archive } from '../../src/postgres/archive/archive.ts'
import { type ArchiveEntry, entryName } from '../../src/postgres/archive/entry.ts'

const archive = { directory: '/dump', standardStrings: true } as Archive

/** Entries of one archive: `DESC schema.tag`, and the numbers of those that it needs. */
function planned(...list: [string, string, string, number[]?, Partial<ArchiveEntry>?][]) {
  return list.map(([desc, namespace, tag, dependencies = [], more = {}], index): PlannedEntry => {
    const entry = {
      ...{ dumpId: index + 1, desc, namespace, tag, dependencies },
      ...{ section: 'pre-data', hasData: false, definition: '' },
      ...more,
    } as ArchiveEntry
    return { archive, entry, name: entryName(entry), decision: { kind: 'restore' } }
  })
}

const open = (kind: string, name: string, facet = 'definition'): OpenDefinition => ({
  ...{ kind, name, facet, target: 'x', constraint: undefined, printed: true },
})

const names = (entries: PlannedEntry[] | undefined) => entries?.map(({ name }) => name)

test('what differs and what it needs comes first, in the order of the archive; the rest is kept for later', () => {
  const { own, first, rest } = selectEntries(
    planned(
      ['SCHEMA', '', 's'],
      ['EXTENSION', '', 'citext'],
      ['TYPE', 's', 'mood', [1]],
      ['FUNCTION', 's', 'f(integer)', [3]],
      ['TABLE', 's', 't', [2]],
      ['TABLE', 's', 'other'],
      ['TABLE DATA', 's', 't', [5], { section: 'data', hasData: true }],
      ['CHECK CONSTRAINT', 's', 't c', [4, 5]],
      ['CONSTRAINT', 's', 't t_pkey', [5]],
      ['ACL', 's', 'TABLE t', [5]],
      ['EVENT TRIGGER', '', 'e', [4]],
      ['SERVER', '', 'srv'],
      ['PUBLICATION', '', 'p'],
    ),
    [open('constraint', 's.t c')],
  )
  expect(own.map(names)).toEqual([['CHECK CONSTRAINT s.t c']])
  expect(names(first)).toEqual([
    'SCHEMA s',
    'EXTENSION citext',
    'TYPE s.mood',
    'FUNCTION s.f(integer)',
    'TABLE s.t',
    'CHECK CONSTRAINT s.t c',
  ])
  expect(names(rest)).toEqual(['TABLE s.other', 'CONSTRAINT s.t t_pkey'])
})

test('a constraint inside of its table is looked for there, and all that completes a definition comes along', () => {
  const entries = planned(
    ['TABLE', 's', 'a b'],
    ['DEFAULT', 's', 'a b c', [1]],
    ['TABLE ATTACH', 's', 'a b', [1]],
    ['DOMAIN', 's', 'd'],
    ['CHECK CONSTRAINT', 's', 'd late', [4]],
    ['VIEW', 's', 'v'],
    ['RULE', 's', 'v _RETURN', [6]],
    ['VIEW', 's', 'w', [6]],
    ['INDEX', 's', 'i', [1]],
    ['FK CONSTRAINT', 's', 'other fk', [1]],
  )
  const own = (one: OpenDefinition) => names(selectEntries(entries, [one]).own[0])
  expect(own(open('constraint', 's.a b c d'))).toEqual([
    'TABLE s.a b',
    'DEFAULT s.a b c',
    'TABLE ATTACH s.a b',
  ])
  expect(own(open('domain', 's.d', 'constraints'))).toEqual([
    'DOMAIN s.d',
    'CHECK CONSTRAINT s.d late',
  ])
  expect(own(open('view', 's.v', 'query'))).toEqual(['VIEW s.v', 'RULE s.v _RETURN'])
  // a view on a view that is made in two steps needs both
  expect(names(selectEntries(entries, [open('view', 's.w', 'query')]).first)).toEqual([
    'VIEW s.v',
    'RULE s.v _RETURN',
    'VIEW s.w',
  ])
  expect(own(open('index', 's.i'))).toEqual(['INDEX s.i'])
  expect(own(open('index', 's.nowhere'))).toEqual([])
})

test('an index that a constraint made is rebuilt with the constraint', () => {
  const { own } = selectEntries(planned(['TABLE', 's', 't'], ['CONSTRAINT', 's', 't k', [1]]), [
    { ...open('index', 's.k'), constraint: 's.t k' },
  ])
  expect(own.map(names)).toEqual([['CONSTRAINT s.t k']])
})

test('a foreign table becomes an ordinary one, whatever its options hold', () => {
  const define = (sql: string, decision: Decision = { kind: 'restore' }) => {
    const [one] = planned(['FOREIGN TABLE', 's', 't', [], { definition: sql }])
    if (!one) throw new Error('one')
    return withoutServer({ ...one, decision }).decision
  }
  expect(
    define(`CREATE FOREIGN TABLE s.t (
    "OPTIONS (a" character varying(5) OPTIONS (
    name '); x',
    "o)" 'b'
) DEFAULT ' SERVER ; OPTIONS (x)'::text NOT NULL,
    CONSTRAINT k CHECK ((a = ANY (ARRAY['a'::text])))
)
SERVER "odd; server"
OPTIONS (
    path '/x;y'
);
ALTER FOREIGN TABLE ONLY s.t ALTER COLUMN a OPTIONS (
    name 'b'
);
`),
  ).toMatchObject({
    definition: `CREATE TABLE s.t (
    "OPTIONS (a" character varying(5) DEFAULT ' SERVER ; OPTIONS (x)'::text NOT NULL,
    CONSTRAINT k CHECK ((a = ANY (ARRAY['a'::text])))
);
`,
  })
  expect(define('ALTER FOREIGN TABLE ONLY s.t ALTER COLUMN a SET DEFAULT 1;')).toMatchObject({
    definition: 'ALTER TABLE ONLY s.t ALTER COLUMN a SET DEFAULT 1;',
  })
  expect(define(`CREATE TABLE s.t (a text DEFAULT ';ALTER FOREIGN TABLE x');`)).toEqual({
    kind: 'restore',
  })
  const left: Decision = { kind: 'leave-out', reason: '', remedy: '', loss: 'rows' }
  expect(define('CREATE FOREIGN TABLE s.t ()', left)).toBe(left)
})
