import { expect, test } from '@jest/globals'
import {
  type Relation,
  relationOf,
  type ServerIdentity,
} from '../../src/migration/checks/same-server.ts'

const primary: ServerIdentity = { systemIdentifier: '7', inRecovery: false, timeline: 1, major: 15 }
const standby = { ...primary, inRecovery: true }
const copy = { ...primary, timeline: 2 }
const other = { ...primary, systemIdentifier: '8' }
const silent = { ...primary, systemIdentifier: null }
const silentStandby = { ...silent, inRecovery: true }
const old = { ...silent, major: 9 }

test.each<[string, ServerIdentity, ServerIdentity, boolean | null, Relation]>([
  ['one server', primary, primary, true, 'same server'],
  ['one server that tells nothing', silent, silent, true, 'same server'],
  ['one server in recovery', standby, standby, true, 'same server'],
  ['a standby and its primary', standby, primary, false, 'standby'],
  ['a primary and its standby', primary, standby, false, 'standby'],
  ['two standbys of one primary', standby, standby, false, 'standby'],
  ['a standby where the lock cannot be tried', standby, primary, null, 'standby'],
  ['a promoted copy', primary, copy, false, 'copy'],
  ['a copy where the lock cannot be tried', primary, copy, null, 'undecided'],
  ['two servers', primary, other, false, 'different'],
  ['two servers where the lock cannot be tried', primary, other, null, 'different'],
  ['a standby of another server', { ...other, inRecovery: true }, primary, false, 'different'],
  ['servers that tell nothing', silent, silent, false, 'different'],
  ['one that tells nothing', silent, primary, false, 'different'],
  ['servers that tell nothing, and no lock', silent, silent, null, 'undecided'],
  ['a standby that tells nothing', silentStandby, silent, false, 'undecided'],
  ['servers of two majors that tell nothing', old, primary, null, 'different'],
])('%s', (_, source, target, lockSeen, relation) => {
  expect(relationOf(source, target, lockSeen)).toBe(relation)
})
