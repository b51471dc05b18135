import { expect, test } from '@jest/globals'
import { aclDifference, describeAcl, granteeOf } from '../../src/migration/verify/catalog/acl.ts'

const ownerAll = ['DELETE', 'INSERT', 'REFERENCES', 'SELECT', 'TRIGGER', 'TRUNCATE', 'UPDATE'].map(
  (privilege) => `alice\n${privilege}`,
)

test('no ACL, the default written out, and the default of 17 with MAINTAIN are the same', () => {
  expect(aclDifference(null, 'alice', 'table')).toEqual([])
  expect(aclDifference(ownerAll, 'alice', 'table')).toEqual([])
  expect(aclDifference([...ownerAll, 'alice\nMAINTAIN'], 'alice', 'table')).toEqual([])
})

test('grants and revocations are told apart from the default', () => {
  const entries = [...ownerAll.slice(1), 'bob\nSELECT*', '\nSELECT', 'carol\nMAINTAIN']
  expect(aclDifference(entries, 'alice', 'table')).toEqual(
    ['+:SELECT', '+bob:SELECT*', '+carol:MAINTAIN', '- owner:DELETE'].sort(),
  )
})

test('what everybody has by default is a loss when it is gone', () => {
  expect(aclDifference(['alice\nEXECUTE'], 'alice', 'function')).toEqual(['-:EXECUTE'])
})

test('default privileges in a schema add to nothing', () => {
  expect(aclDifference(['bob\nSELECT'], 'alice', 'table', false)).toEqual(['+bob:SELECT'])
})

test('the role is found behind whatever its name holds', () => {
  const [line = ''] = aclDifference(['a: b\n:c\nSELECT'], 'alice', 'column')
  expect(granteeOf(line)).toBe('a: b\n:c')
  expect(describeAcl(line)).toBe('SELECT to a: b\n:c')
})
