import { expect, test } from '@jest/globals'
import { RoleRows } from '../../src/migration/restore/plan/role-rows.ts'
import type { Archive } from '../../src/postgres/archive/archive.ts'
import type { ArchiveEntry } from '../../src/postgres/archive/entry.ts'
import { archiveEntry } from '../support/archive-entry.ts'

test.each([
  ['CREATE TABLE s.t (\n    a integer,\n    who regrole\n);', true],
  ['CREATE TABLE s.t (\n    "a ""b"" c" pg_catalog.aclitem[] NOT NULL,\n    b integer\n);', true],
  ['CREATE TABLE s.t (\n    ünder regrole[] DEFAULT NULL\n)\nPARTITION BY LIST (a);', true],
  ['CREATE TABLE s.t (\n    regrole text,\n    aclitem integer\n);', false],
  [
    'CREATE TABLE s.t (\n    "who regrole" text,\n    b text DEFAULT \'\n    c regrole\n\'::text\n);',
    false,
  ],
  ['CREATE TABLE s.t (\n    a s.regrole,\n    b regrole_ish\n);', false],
  ['CREATE TABLE s.regrole (\n    a integer\n);', false],
])('rows that are names of roles: %j', (definition, isFound) => {
  const data = archiveEntry({ desc: 'TABLE DATA', namespace: 's', tag: 't', hasData: true })
  const entries = [archiveEntry({ namespace: 's', tag: 't', definition }), data]
  const rows = new RoleRows({ standardStrings: true, entries } as unknown as Archive)
  expect(rows.decide(data)?.kind).toBe(isFound ? 'leave-out' : undefined)
  expect(
    rows.decide(archiveEntry({ desc: 'TABLE DATA', namespace: 'other', tag: 't' })),
  ).toBeUndefined()
  expect(rows.decide(entries[0] ?? data)).toBeUndefined()
})

const holder = 'CREATE TABLE s.t (\n    id integer,\n    who regrole\n);'

/** A table `s.t` of some definition behind others of the archive. */
function tableOn(others: readonly { desc: string; definition: string }[], definition: string) {
  const entries = others.map((other, index) =>
    archiveEntry({ ...other, dumpId: index + 10, dependencies: [index + 9], tag: `o${index}` }),
  )
  const data = archiveEntry({ desc: 'TABLE DATA', namespace: 's', hasData: true })
  const dependencies = [others.length + 9]
  return {
    data,
    archive: {
      standardStrings: true,
      // a parent may stand behind its child
      entries: [archiveEntry({ namespace: 's', definition, dependencies }), ...entries, data],
    } as unknown as Archive,
  }
}

test.each([
  [[{ desc: 'TABLE', definition: holder }], 'CREATE TABLE s.t (\n)\nINHERITS (s.o0);', true],
  [
    [{ desc: 'TYPE', definition: 'CREATE TYPE s.o0 AS (\n\ta integer,\n\tb regrole[]\n);' }],
    'CREATE TABLE s.t OF s.o0;',
    true,
  ],
  [
    [
      { desc: 'DOMAIN', definition: 'CREATE DOMAIN s.o0 AS aclitem;' },
      { desc: 'TYPE', definition: 'CREATE TYPE s.o1 AS (\n\tb s.o0\n);' },
    ],
    'CREATE TABLE s.t (\n    pairs s.o1[]\n);',
    true,
  ],
  [
    [
      {
        desc: 'DOMAIN',
        definition: "CREATE DOMAIN s.o0 AS text DEFAULT 'CREATE DOMAIN x AS regrole';",
      },
    ],
    'CREATE TABLE s.t (\n    a s.o0\n);',
    false,
  ],
  [[{ desc: 'FUNCTION', definition: holder }], 'CREATE TABLE s.t (\n    a integer\n);', false],
])('rows that name roles by a parent or a type: %j', (others, definition, isFound) => {
  const { data, archive } = tableOn(others, definition)
  expect(new RoleRows(archive).decide(data)?.kind).toBe(isFound ? 'leave-out' : undefined)
})

test('a foreign key to rows that are left out is left out as well, and both are losses of the rehearsal', () => {
  const entries = [
    archiveEntry({ namespace: 's', tag: 't', definition: holder }),
    archiveEntry({
      dumpId: 2,
      namespace: 's',
      tag: 'o',
      definition: 'CREATE TABLE s.o (\n    a integer\n);',
    }),
    archiveEntry({ dumpId: 3, desc: 'TABLE DATA', namespace: 's', tag: 't' }),
  ]
  const archive = { standardStrings: true, entries } as unknown as Archive
  const key = (from: string, to: string) =>
    archiveEntry({
      ...{ desc: 'FK CONSTRAINT', namespace: 's', tag: `${from} key` },
      definition: `ALTER TABLE ONLY ${from}\n    ADD CONSTRAINT key FOREIGN KEY (a) REFERENCES ${to}(id);`,
    })
  const rows = new RoleRows(archive)
  const decided = (entry: ArchiveEntry, from = rows) => {
    const decision = from.decide(entry)
    return decision?.kind === 'leave-out' && [decision.loss, decision.ofRehearsal, decision.reason]
  }
  expect(decided(key('s.o', 's.t'))).toEqual(['behaviour', true, expect.stringContaining('s.t')])
  expect(decided(key('s.o', '"s"."t"'))).toEqual(['behaviour', true, expect.any(String)])
  for (const [from, to] of [
    ['s.o', 's.o'],
    ['s.o', 'other.t'],
    ['s.t', 's.t'],
    ['s.t', 's.o'],
  ] as const)
    expect(decided(key(from, to))).toBe(false)
  const [, , data] = entries
  if (data) expect(decided(data)).toEqual(['rows', true, expect.stringContaining('name roles')])
  // where the dump says that there are no rows, nothing is lost
  const none = new RoleRows(archive, new Map([['"s"."t"', 0]]))
  for (const entry of [key('s.o', 's.t'), data]) if (entry) expect(decided(entry, none)).toBe(false)
})
