import { describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import {
  count,
  dictionary,
  fields,
  list,
  name,
  oneOf,
  readBy,
  text,
} from '../../src/migration/kept/schema.ts'
import { parseRoleCatalog } from '../../src/migration/roles/kept-catalog.ts'

const schema = fields({
  list: list(fields({ name, count }), 2),
  facets: dictionary(text),
  kind: oneOf(['a', 'b']),
})
const right = {
  list: [{ name: 'one', count: 1 }],
  facets: { constructor: 'kept', 'a b': '' },
  kind: 'a',
}
const read = (value: unknown) =>
  readBy(schema, value, { whole: 'the thing' }, (flaw) => new Failure('wrong', flaw, 'mend it'))
const flaw = (value: unknown) => {
  try {
    read(value)
  } catch (error) {
    if (error instanceof Failure) return error.why
    throw error
  }
  throw new Error('it was accepted')
}

describe('a schema', () => {
  test('gives what it names, whatever the keys of a dictionary are', () => {
    expect(read({ ...right, more: 1 })).toEqual(right)
  })

  test.each<[unknown, string]>([
    [null, '`the thing` is no object'],
    [[], '`the thing` is no object'],
    [{ ...right, list: undefined }, '`list` is missing'],
    [{ ...right, list: [[]] }, '`list[0]` is no object'],
    [{ ...right, list: [{ name: 'secret' }] }, '`list[0].count` is missing'],
    [{ ...right, list: [{ name: 'secret', count: '1' }] }, '`list[0].count` is no whole number'],
    [{ ...right, list: [{ name: '', count: 1 }] }, '`list[0].name` is empty'],
    [{ ...right, list: [1, 2, 3] }, '`list` has more than 2 entries'],
    [{ ...right, list: { 0: {} } }, '`list` is no list'],
    [{ ...right, facets: [] }, '`facets` is no object'],
    [{ ...right, facets: { 'a\n::error::': 7 } }, '`facets.a\\n::error::` is no text'],
    [{ ...right, facets: { a: 'secret\0' } }, '`facets.a` is a text with a NUL in it'],
    [{ ...right, kind: 'secret' }, '`kind` is not one of a, b'],
  ])('says of %j what is wrong, and not with what', (value, why) => {
    expect(flaw(value)).toBe(why)
  })
})

describe('a role catalog from a manifest', () => {
  const role = {
    ...{ name: 'app', superuser: false, polarSuperuser: false, inherit: true, createRole: false },
    ...{ createDatabase: false, login: true, replication: false, bypassRls: false, expired: false },
    ...{ connectionLimit: -1, validUntil: null, password: 'unknown', comment: null },
  }
  const catalog = {
    ...{ version: '15.20', major: 15, roles: [role], predefined: ['pg_monitor'], labels: [] },
    memberships: [{ role: 'app', member: 'b', admin: false, inherit: true, set: true }],
    settings: [{ role: null, database: null, parameter: 'work_mem', value: '' }],
    parameters: [{ role: null, parameter: 'a', privilege: 'SET', grantOption: false }],
  }

  test('is what was written', () => {
    expect(parseRoleCatalog(JSON.parse(JSON.stringify(catalog)))).toEqual(catalog)
  })

  test.each<[string, unknown]>([
    ['roles', undefined],
    ['roles', [{ ...role, superuser: 'no' }]],
    ['roles', [{ ...role, name: '' }]],
    ['roles', [{ ...role, connectionLimit: -2 }]],
    ['roles', [{ ...role, password: 'sha1' }]],
    ['roles', [{ ...role, comment: undefined }]],
    ['memberships', [{ role: 'app', member: 'b', admin: false, inherit: true }]],
    ['settings', [{ role: 1, database: null, parameter: 'a', value: '' }]],
    ['parameters', [[]]],
    ['predefined', ['a\0']],
    ['major', 15.5],
  ])('with wrong %s (%j) is refused', (key, value) => {
    expect(() => parseRoleCatalog({ ...catalog, [key]: value })).toThrow(Failure)
  })
})
