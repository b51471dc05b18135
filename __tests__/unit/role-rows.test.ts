import { expect, test } from '@jest/globals'
import { RoleRows } from '../../src/migration/restore/plan/role-rows.ts'
import type { Archive } from '../../src/postgres/archive/archive.ts'
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
