import { describe, expect, test } from '@jest/globals'
import { renamedRoles, sameRoleNames } from '../../src/postgres/roles/role-names.ts'

const prefix = 'rehearsal_202611290230_1f2e3d4c'
const hostile = ['"a"" TO b"', 'line\nbreak', '$1', "it's", 'Ä', 'x'.repeat(63), ' ', 'PUBLIC']

describe('names of roles on a target', () => {
  test('are the same by default', () => {
    expect(sameRoleNames.onTarget('app')).toBe('app')
    expect(sameRoleNames.onSource('app')).toBe('app')
  })

  test('are of the run, unique, short and plain, there and back', () => {
    const names = ['app', 'reader', ...hostile, 'app']
    const roles = renamedRoles(prefix, names)
    const given = names.map((name) => roles.onTarget(name))
    expect(new Set(given).size).toBe(new Set(names).size)
    expect(given[0]).toBe(`${prefix}_r1`)
    for (const [at, name] of given.entries()) {
      expect(name).toMatch(/^rehearsal_202611290230_1f2e3d4c_r\d+$/)
      expect(roles.onSource(name)).toBe(names[at])
    }
  })

  test("keep the server's own roles and PUBLIC", () => {
    const roles = renamedRoles(prefix, ['pg_monitor', 'public', 'pg_old_user_role'])
    for (const name of ['pg_monitor', 'public', '', 'pg_old_user_role', 'pg_unknown']) {
      expect(roles.onTarget(name)).toBe(name)
      expect(roles.onSource(name)).toBe(name)
    }
  })

  test('never take a role of the target for the one of the same name on the source', () => {
    const roles = renamedRoles(prefix, ['app', 'app (of the target)'])
    expect(roles.onSource('app')).toBe('app (of the target) (of the target)')
    expect(roles.onSource('other')).toBe('other')
    // nobody's name of the run
    expect(roles.onSource(`${prefix}_r99`)).toBe(`${prefix}_r99`)
  })

  test('are given to roles that were not known before, and never fall back on the target', () => {
    const roles = renamedRoles(prefix, ['app'])
    const name = roles.onTarget('late')
    expect(name).toBe(`${prefix}_r2`)
    expect(roles.onTarget('late')).toBe(name)
    expect(roles.onSource('late')).not.toBe('late')
  })

  test('are put back into a text, and nothing else is', () => {
    const roles = renamedRoles(prefix, ['app', 'a"b'])
    expect(roles.inText(`"${prefix}_r1" is no member of "${prefix}_r2", nor ${prefix}_r1.`)).toBe(
      '"app" is no member of "a"b", nor app.',
    )
    expect(roles.inText(`${prefix}_r10 ${prefix}_r1x ${prefix} app`)).toBe(
      `${prefix}_r10 ${prefix}_r1x ${prefix} app`,
    )
    expect(sameRoleNames.inText('app')).toBe('app')
  })

  test('are refused where a server would cut or misread them', () => {
    expect(() => renamedRoles('x'.repeat(61), ['app'])).toThrow(RangeError)
    expect(() => renamedRoles('x'.repeat(60), ['app'])).not.toThrow()
    for (const bad of ['pg_run', '', 'A', 'a b', 'a"b'])
      expect(() => renamedRoles(bad, [])).toThrow()
  })
})
