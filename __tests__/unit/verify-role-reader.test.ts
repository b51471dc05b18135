import { expect, test } from '@jest/globals'
import { aclOf, linesOf, roleReader } from '../../src/migration/verify/catalog/role-reader.ts'
import { renamedRoles, sameRoleNames } from '../../src/postgres/roles/role-names.ts'

const names = renamedRoles('run', ['zoe', 'Ada "x"', 'user', 'PUBLIC', 'b'])
const reader = () => roleReader(names)

test('the roles of a policy are read in the names, quotes and order of the source', () => {
  const { text } = reader()
  expect(text('roles', 'run_r1, run_r2, run_r3')).toBe('"Ada ""x""", user, zoe')
  expect(text('roles', 'PUBLIC')).toBe('PUBLIC')
  expect(text('roles', 'PUBLIC, run_r1, run_r4')).toBe('PUBLIC, "PUBLIC", zoe')
  // the target's own
  expect(text('roles', 'own, run_r1, zoe')).toBe('own, zoe, "zoe (of the target)"')
})

test('of what a function sets, the role alone is read so', () => {
  const { text } = reader()
  expect(text('settings', 'role=run_r2, search_path="run_r1", work_mem=4MB')).toBe(
    'role=Ada "x", search_path="run_r1", work_mem=4MB',
  )
  expect(text('settings', 'role=none')).toBe('role=none')
  expect(text('settings', 'role=zoe')).toBe('role=zoe (of the target)')
  expect(text('settings', 'x.role=run_r1')).toBe('x.role=run_r1')
  expect(text('definition', 'run_r1')).toBe('run_r1')
})

test('privileges are read so, those of everybody and of the owner as they are', () => {
  const from = reader()
  expect(aclOf(['run_r1\nSELECT', '\nUSAGE*', 'run_r2\nUPDATE*', 'own\nSELECT'], from)).toEqual([
    'zoe\nSELECT',
    '\nUSAGE*',
    'Ada "x"\nUPDATE*',
    'own\nSELECT',
  ])
  expect(aclOf(null, from)).toBeNull()
  expect(
    linesOf(['+run_r1:SELECT (a b)', '-:EXECUTE', '+run_r2:EXECUTE*', '- owner:EXECUTE'], from),
  ).toEqual(['+Ada "x":EXECUTE*', '+zoe:SELECT (a b)', '- owner:EXECUTE', '-:EXECUTE'])
})

test('where the names are the same, nothing changes', () => {
  const { name, text } = roleReader(sameRoleNames)
  expect([name('a'), text('roles', 'b, a')]).toEqual(['a', 'b, a'])
})
