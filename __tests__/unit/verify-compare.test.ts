import { describe, expect, test } from '@jest/globals'
import { type Decisions, hashOf } from '../../src/migration/verify/catalog/definition.ts'
import type { CatalogFingerprint, CatalogObject } from '../../src/migration/verify/catalog/model.ts'
import {
  type Comparison,
  compareFingerprints,
} from '../../src/migration/verify/compare/fingerprints.ts'
import type { RoleSubstitute } from '../../src/migration/verify/compare/sides.ts'
import type { DatabaseFingerprint, TableFingerprint } from '../../src/migration/verify/model.ts'
import type { EntryResult } from '../../src/report/model.ts'

const empty: CatalogFingerprint = { owners: ['alice', 'bob'], acls: [], kinds: {} }

function fingerprint(parts: Partial<DatabaseFingerprint> = {}): DatabaseFingerprint {
  return {
    format: 1,
    server: 150000,
    encoding: 'UTF8',
    level: 'data',
    method: 'hash',
    floatDigits: 3,
    moments: null,
    recipes: [],
    tables: [],
    notRead: [],
    sequences: [],
    largeObjects: { count: 0, ranges: [], groups: [], comments: { count: 0, digest: '0' } },
    catalog: empty,
    rows: 0,
    seconds: 1,
    rowsPerSecond: 0,
    ...parts,
  }
}

test('a sequence that moved is compared with what is in the dump, wherever it stood before and after', () => {
  const at = (last: number) => ({ last: String(last), called: true })
  const source = { schema: 'public', name: 's', ...at(3), later: at(8) }
  const isEqual = (sequence: typeof source, last: number) =>
    compareFingerprints(
      fingerprint({ sequences: [sequence] }),
      fingerprint({ sequences: [{ schema: 'public', name: 's', ...at(last) }] }),
      [],
    ).equal
  const cycled = { ...source, dumped: [at(9), at(1)] }
  expect([1, 2, 3, 5, 8, 9].filter((last) => isEqual(cycled, last))).toEqual([1, 9])
  // nothing says how it was dumped
  expect([1, 2, 3, 5, 8, 9].filter((last) => isEqual(source, last))).toEqual([3, 5, 8])
})

function compareKind(
  kind: string,
  source: CatalogObject[],
  target: CatalogObject[],
  options: {
    expected?: EntryResult[]
    substitutes?: RoleSubstitute[]
    servers?: [number, number]
    acls?: string[][]
    decisions?: Decisions
  } = {},
): Comparison['objects'][number] | undefined {
  const { expected = [], substitutes = [], servers = [150000, 150000], acls = [] } = options
  const side = (objects: CatalogObject[], server: number) =>
    fingerprint({ server, catalog: { ...empty, acls, kinds: { [kind]: objects } } })
  const { objects } = compareFingerprints(
    side(source, servers[0]),
    side(target, servers[1]),
    expected,
    substitutes,
    options.decisions,
  )
  return objects.find((one) => one.kind === kind)
}

describe('tables', () => {
  const table = (rows: number, digest = '1') => ({
    schema: 's',
    name: 't',
    rows,
    digest,
    recipe: 0,
  })
  const compare = (target: DatabaseFingerprint['tables'], expected: EntryResult[] = []) =>
    compareFingerprints(
      fingerprint({ tables: [table(2)] }),
      fingerprint({ tables: target }),
      expected,
    )

  test('equal counts with another digest do not match', () => {
    expect(compare([table(2, '2')])).toMatchObject({ equal: false, tables: [{ match: false }] })
  })

  test('a digest that the target could not compute does not match', () => {
    const { digest: _, ...counted } = table(2)
    expect(compare([counted])).toMatchObject({ equal: false })
    expect(compare([{ ...table(2), unlike: ['a'] }])).toMatchObject({ equal: false })
  })

  test('a missing table is explained by the entry that was left out', () => {
    expect(compare([], [{ entry: 'TABLE s.t', reason: 'no such type' }])).toMatchObject({
      equal: true,
      verified: true,
      tables: [{ targetRows: null, match: false, explained: 'no such type' }],
    })
  })

  test('missing rows are explained by left-out data, not by a table that was restored otherwise', () => {
    expect(
      compare([table(1)], [{ entry: 'TABLE s.t', reason: 'restored without COMPRESSION' }]).equal,
    ).toBe(false)
    expect(compare([table(1)], [{ entry: 'TABLE DATA s.t', reason: 'excluded' }]).equal).toBe(true)
  })

  test('a materialized view with other rows is explained, an empty one is not', () => {
    const view = { schema: 's', name: 'v', kind: 'materialized view' as const, rows: 5 }
    const compared = (other: DatabaseFingerprint['tables'][number]) =>
      compareFingerprints(fingerprint({ tables: [view] }), fingerprint({ tables: [other] }), [])
    expect(compared({ ...view, rows: 6 })).toMatchObject({
      equal: true,
      tables: [{ match: false }],
    })
    expect(compared({ ...view, rows: 0, populated: false })).toMatchObject({ equal: false })
  })
})

describe('objects', () => {
  const definition = (text: string) => ({ definition: hashOf('definition', text) })

  test.each([
    ['index', 's.i', 'INDEX s.i'],
    ['constraint', 's.t c', 'FK CONSTRAINT s.t c'],
    ['constraint', 's.my table c', 'TABLE s.my table'],
    ['trigger', 's.t r', 'TABLE s.t'],
    ['function', 's.f(integer)', 'FUNCTION s.f(integer)'],
    ['operator', 's.=== (integer, integer)', 'OPERATOR s.==='],
    ['operator class', 's.c USING btree', 'OPERATOR CLASS s.c'],
    ['extension', 'plpython3u', 'EXTENSION plpython3u'],
    ['extension', 'plpython3u', 'EXTENSION - plpython3u'],
    [
      'default privileges',
      'for role a in schema s on tables',
      'DEFAULT ACL s.DEFAULT PRIVILEGES FOR TABLES',
    ],
    [
      'default privileges',
      'for role a on functions',
      'DEFAULT ACL DEFAULT PRIVILEGES FOR FUNCTIONS',
    ],
    ['statistics object', 's.o', 'STATISTICS s.o'],
    ['foreign server', 'f', 'SERVER f'],
    ['user mapping', 'USER MAPPING a SERVER f', 'USER MAPPING a SERVER f'],
    ['security label', 'table s.t selinux', 'SECURITY LABEL TABLE s.t'],
    ['cast', 'CAST (integer AS s.pair)', 'CAST (integer AS s.pair)'],
    ['event trigger', 'e', 'EVENT TRIGGER e'],
    ['table', 's.odd\nname', 'TABLE s.odd\\nname'],
  ])('a missing %s %j is explained by the entry %j', (kind, name, entry) => {
    expect(compareKind(kind, [{ name }], [])).toMatchObject({ missing: [expect.any(String)] })
    expect(
      compareKind(kind, [{ name }], [], { expected: [{ entry, reason: 'why' }] }),
    ).toMatchObject({
      missing: [],
      explained: [{ reason: 'why' }],
    })
  })

  test('the index of a constraint is explained by the constraint', () => {
    const index = { name: 's.i', facets: { 'of constraint': '=s.t c' } }
    const expected = [{ entry: 'CONSTRAINT s.t c', reason: 'NULLS NOT DISTINCT' }]
    expect(compareKind('index', [index], [], { expected })).toMatchObject({ missing: [] })
  })

  test('an index that is invalid on the source is not in a dump', () => {
    const index = { name: 's.i', facets: { invalid: '=invalid' } }
    expect(compareKind('index', [index], [])).toMatchObject({
      missing: [],
      explained: [{ entry: 's.i' }],
    })
  })

  test.each([
    ['comment', 'COMMENT TABLE s.t'],
    ['comment of c', 'COMMENT COLUMN s.t.c'],
    ['default of c', 'DEFAULT s.t c'],
    ['row security', 'ROW SECURITY s.t'],
    ['partition bound', 'TABLE ATTACH s.t'],
    ['columns', 'TABLE s.t'],
  ])('a different %s of a table is explained by the entry %s, and by no other', (facet, entry) => {
    const source = [{ name: 's.t', facets: { [facet]: 'a' } }]
    const target = [{ name: 's.t', facets: { [facet]: 'b' } }]
    expect(compareKind('table', source, target)).toMatchObject({ different: [`s.t: ${facet}`] })
    expect(
      compareKind('table', source, target, { expected: [{ entry, reason: '' }] }),
    ).toMatchObject({ different: [] })
    const other = [{ entry: entry.replace('s.t', 's.u'), reason: '' }]
    expect(compareKind('table', source, target, { expected: other })).toMatchObject({
      different: [`s.t: ${facet}`],
    })
  })

  test.each([
    ['setting work_mem', 'SETTING work_mem'],
    ['setting work_mem of app', 'SETTING app work_mem'],
    ['connection limit', 'DATABASE CONNECTION LIMIT'],
    ['comment', 'COMMENT DATABASE'],
    ['comment', 'COMMENT DATABASE shop'],
  ])(
    'a different %s of the database is explained by the entry %s, and by no other',
    (facet, entry) => {
      const source = [{ name: '', facets: { [facet]: 'a' } }]
      const target = [{ name: '' }]
      expect(compareKind('database', source, target)).toMatchObject({ different: [facet] })
      expect(
        compareKind('database', source, target, { expected: [{ entry, reason: '' }] }),
      ).toMatchObject({ different: [] })
      const expected = [
        { entry: 'SETTING jit', reason: '' },
        { entry: 'ACL DATABASE', reason: '' },
      ]
      expect(compareKind('database', source, target, { expected })).toMatchObject({
        different: [facet],
      })
    },
  )

  test('what was restored otherwise may differ in that alone, and must be there', () => {
    const change = { entry: 'TABLE s.t', reason: 'without lz4', facets: ['compression of'] }
    const source = [{ name: 's.t', facets: { 'compression of a': 'l', columns: 'a' } }]
    const options = { expected: [change] }
    expect(
      compareKind('table', source, [{ name: 's.t', facets: { columns: 'a' } }], options),
    ).toMatchObject({ different: [], explained: [{ reason: 'without lz4' }] })
    expect(
      compareKind('table', source, [{ name: 's.t', facets: { columns: 'b' } }], options),
    ).toMatchObject({ different: ['s.t: columns'] })
    expect(compareKind('table', source, [], options)).toMatchObject({ missing: ['s.t'] })
  })

  test('another owner of the database is explained by its entry', () => {
    const expected = [{ entry: 'OWNER DATABASE', reason: 'a superuser' }]
    const [source, target] = [[{ name: '', owner: 0 }], [{ name: '', owner: 1 }]]
    expect(compareKind('database', source, target)?.different).toHaveLength(1)
    expect(compareKind('database', source, target, { expected })?.different).toEqual([])
  })

  test('another owner is explained only by a substitute for that very role', () => {
    const [source, target] = [[{ name: 's.t', owner: 0 }], [{ name: 's.t', owner: 1 }]]
    const substitute = { role: 'alice', instead: 'bob', reason: 'a superuser there' }
    expect(compareKind('table', source, target)?.different).toEqual([
      's.t: owner (alice on the source, bob on the target)',
    ])
    expect(compareKind('table', source, target, { substitutes: [substitute] })).toMatchObject({
      different: [],
      explained: [{ reason: 'a superuser there' }],
    })
    const elsewhere = { ...substitute, instead: 'carol' }
    expect(
      compareKind('table', source, target, { substitutes: [elsewhere] })?.different,
    ).toHaveLength(1)
  })

  test('a lost grant is explained by its entry or by the role that could not be created', () => {
    const acls = [['+carol:SELECT', '+dave:UPDATE (c)']]
    const [source, target] = [[{ name: 's.t', acl: 0 }], [{ name: 's.t' }]]
    expect(compareKind('table', source, target, { acls })?.different).toEqual([
      's.t: grants (lost: SELECT to carol), grants (lost: UPDATE (c) to dave)',
    ])
    const expected = [{ entry: 'ACL TABLE s.t', reason: '' }]
    expect(compareKind('table', source, target, { acls, expected })?.different).toEqual([])
    const substitutes = [{ role: 'carol', instead: null, reason: 'a reserved name' }]
    expect(compareKind('table', source, target, { acls, substitutes })?.different).toEqual([
      's.t: grants (lost: UPDATE (c) to dave)',
    ])
  })

  test.each([
    ['nobody touched it', ['+:CREATE', '+:USAGE'], ['+:USAGE'], true],
    ['a role was added', ['+:CREATE', '+:USAGE', '+app:CREATE'], ['+:USAGE', '+app:CREATE'], true],
    ['CREATE was revoked on the source', ['+:USAGE'], ['+:USAGE'], true],
    ['a grant was lost', ['+:CREATE', '+:USAGE', '+app:CREATE'], ['+:USAGE'], false],
    ['the target was opened', ['+:CREATE', '+:USAGE'], ['+:CREATE', '+:USAGE'], true],
  ])('the schema public from 13 to 15: %s', (_, before, after, equal) => {
    const result = compareKind(
      'schema',
      [{ name: 'public', acl: 0 }],
      [{ name: 'public', acl: 1 }],
      {
        acls: [before, after],
        servers: [130000, 150000],
      },
    )
    expect(result?.different.length === 0).toBe(equal)
  })

  test('a grant on the schema public to its owner of the source is no gain, to another it is', () => {
    const born = { name: 'public', facets: { 'owner since initdb': '=admin' } }
    const compare = (acls: string[][]) =>
      compareKind('schema', [born], [{ name: 'public', acl: 0 }], {
        acls,
        servers: [150000, 150000],
      })?.different
    expect(compare([['+admin:CREATE', '+admin:USAGE']])).toEqual([])
    expect(compare([['+eve:CREATE']])).toEqual(['public: grants (gained: CREATE to eve)'])
  })

  test('large objects that belonged to nobody are explained, those of a role are not', () => {
    const objects = (owner: string) => ({
      count: 1,
      ranges: [{ from: 0, to: 9, count: 1, digest: '7' }],
      groups: [{ owner, acl: [], count: 1, which: '3' }],
      comments: { count: 0, digest: '0' },
    })
    const compare = (owner: string) =>
      compareFingerprints(
        fingerprint({ largeObjects: objects(owner) }),
        fingerprint({ largeObjects: objects('alice') }),
        [],
      ).objects.find(({ kind }) => kind === 'large object')
    expect(compare('')).toMatchObject({
      different: [],
      explained: [{ reason: expect.stringContaining('belonged to nobody') }],
    })
    expect(compare('bob')).toMatchObject({ different: [expect.stringContaining('"bob"')] })
  })

  describe('a definition that is printed differently', () => {
    const source = [{ name: 's.t c', facets: definition(`CHECK (((v)::text = ANY (a)))`) }]
    const target = [{ name: 's.t c', facets: definition(`CHECK ((v = ANY (a)))`) }]
    const decisions = (decision: ReturnType<Decisions['decide']>): Decisions => ({
      decide: () => decision,
      texts: () => ({ source: 'one', target: 'other' }),
    })

    test('is a difference as long as nobody decides, between majors as within one', () => {
      const servers: [number, number] = [150000, 110000]
      expect(compareKind('constraint', source, target)?.different).toEqual(['s.t c: definition'])
      expect(compareKind('constraint', source, target, { servers })?.different).toHaveLength(1)
    })

    test('is none where the rebuild prints it as the target does', () => {
      const result = compareKind('constraint', source, target, { decisions: decisions('equal') })
      expect(result).toEqual({
        kind: 'constraint',
        source: 1,
        target: 1,
        missing: [],
        different: [],
      })
    })

    test('is one where the rebuild prints another, with both texts', () => {
      const result = compareKind('constraint', source, target, {
        decisions: decisions('different'),
      })
      expect(result).toMatchObject({
        different: ['s.t c: definition'],
        definitions: [{ name: 's.t c', what: 'definition', source: 'one', target: 'other' }],
      })
    })

    test('is neither where the rebuild says nothing, and then nothing is verified', () => {
      const undecided = decisions({ undecided: 'it could not be rebuilt' })
      const [a, b] = [source, target].map((constraint) =>
        fingerprint({ catalog: { ...empty, kinds: { constraint } } }),
      )
      if (!a || !b) throw new Error('two sides')
      const comparison = compareFingerprints(a, b, [], [], undecided)
      expect(comparison).toMatchObject({ equal: true, verified: false })
      expect(comparison.objects.find(({ kind }) => kind === 'constraint')).toMatchObject({
        different: [],
        undecided: [{ entry: 's.t c: definition', reason: 'it could not be rebuilt' }],
      })
    })

    test('is never decided where only one side has it, or where it is no matter of printing', () => {
      const all = { decisions: decisions('equal') }
      expect(compareKind('constraint', source, [{ name: 's.t c' }], all)?.different).toHaveLength(1)
      expect(compareKind('constraint', [{ name: 's.t c' }], target, all)?.different).toHaveLength(1)
      for (const facet of ['replica identity', 'persistence', 'access method', 'columns']) {
        const side = (hash: string) => [{ name: 's.t', facets: { [facet]: hash } }]
        expect(compareKind('table', side('1'), side('2'), all)?.different).toEqual([
          `s.t: ${facet}`,
        ])
      }
      expect(compareKind('constraint', source, [], all)?.missing).toHaveLength(1)
      const owned = (owner: number) => [{ name: 's.t', owner }]
      expect(compareKind('table', owned(0), owned(1), all)?.different).toHaveLength(1)
    })
  })

  test("an extension's other version explains its own differences only", () => {
    const source = [{ name: 'e', facets: { version: '=1.0', comment: 'a' } }]
    expect(
      compareKind('extension', source, [{ name: 'e', facets: { version: '=1.1', comment: 'b' } }]),
    ).toMatchObject({
      different: [],
      explained: [
        { entry: 'e: version (1.0 on the source, 1.1 on the target)' },
        { entry: 'e: comment' },
      ],
    })
    expect(
      compareKind('extension', source, [{ name: 'e', facets: { version: '=1.0', comment: 'b' } }])
        ?.different,
    ).toEqual(['e: comment'])
  })

  test('a facet that an older server does not have is not compared', () => {
    const [source, target] = [[{ name: 's.r' }], [{ name: 's.r', facets: { multirange: 'a' } }]]
    expect(compareKind('type', source, target, { servers: [130000, 150000] })?.different).toEqual(
      [],
    )
    expect(compareKind('type', source, target, { servers: [140000, 150000] })?.different).toEqual([
      's.r: multirange',
    ])
  })

  test('what only the target has is a difference, but for what every database has', () => {
    expect(compareKind('view', [], [{ name: 's.v' }])).toMatchObject({ extra: ['s.v'] })
    expect(compareKind('extension', [], [{ name: 'plpgsql' }])).not.toHaveProperty('extra')
  })
})

describe('large objects', () => {
  const objects = (digest: string, owner = 'alice'): DatabaseFingerprint['largeObjects'] => ({
    count: 1,
    ranges: [{ from: 16400, to: 4294967295, count: 1, digest }],
    groups: [{ owner, acl: [], count: 1, which: '7' }],
    comments: { count: 0, digest: '0' },
  })
  const compare = (
    target: DatabaseFingerprint['largeObjects'],
    expected: EntryResult[] = [],
    substitutes: RoleSubstitute[] = [],
  ) =>
    compareFingerprints(
      fingerprint({ largeObjects: objects('1') }),
      fingerprint({ largeObjects: target }),
      expected,
      substitutes,
    )

  test('a left-out entry explains a lost object, never a changed one', () => {
    const expected = [{ entry: 'BLOB 16400', reason: 'permission denied' }]
    const lost = {
      count: 0,
      ranges: [{ from: 16400, to: 4294967295, count: 0, digest: '0' }],
      groups: [],
      comments: { count: 0, digest: '0' },
    }
    expect(
      compare(lost, expected).objects.find(({ kind }) => kind === 'large object'),
    ).toMatchObject({ missing: [] })
    expect(compare(objects('2'), expected).equal).toBe(false)
    expect(compare(lost, [{ entry: 'BLOB 16399', reason: 'another' }]).equal).toBe(false)
  })

  test('an owner that the target cannot have is explained', () => {
    expect(compare(objects('1', 'bob')).equal).toBe(false)
    expect(
      compare(objects('1', 'bob'), [], [{ role: 'alice', instead: 'bob', reason: 'why' }]).equal,
    ).toBe(true)
  })
})

test('fingerprints of different methods are never compared', () => {
  expect(() => compareFingerprints(fingerprint(), fingerprint({ method: 'md5' }), [])).toThrow(
    'not taken by the same method',
  )
})

test('the compression of a column is explained where the target is older than 14, and only there', () => {
  const compressed = {
    name: 's.t',
    facets: { 'compression of a': hashOf('compression of a', 'p') },
  }
  const [source, target] = [[compressed], [{ name: 's.t' }]]
  const old = compareKind('table', source, target, { servers: [150000, 110022] })
  expect(old).toMatchObject({ different: [], explained: [{ entry: 's.t: compression of a' }] })
  const same = compareKind('table', source, target)
  expect(same?.different).toEqual(['s.t: compression of a'])
})

describe('partitions among which every server shares out the rows otherwise', () => {
  const root = { schema: 'public', name: 'hashed' }
  const part = (
    name: string,
    rows: number,
    digest: string,
    more: Partial<TableFingerprint> = {},
  ) => ({
    ...{ schema: 'public', name, rows, digest, recipe: 0, scatteredIn: root },
    ...more,
  })
  const recipes: DatabaseFingerprint['recipes'] = [[['k', 'enum_send']]]
  const before = [part('one', 3, '30'), part('two', 2, '20')]
  const compare = (now: TableFingerprint[], level: 'data' | 'counts' = 'data', was = before) =>
    compareFingerprints(
      fingerprint({ recipes, tables: was, level }),
      fingerprint({ recipes, tables: now, level }),
      [],
    )

  test('are equal where they hold the same rows together, and say so', () => {
    const { equal, tables } = compare([part('one', 1, '45'), part('two', 4, '5')])
    expect(equal).toBe(true)
    for (const { match, explained } of tables) {
      expect(match).toBe(false)
      expect(explained).toContain('all partitions of public.hashed together hold the same rows')
    }
    expect(compare([part('one', 1, '0'), part('two', 4, '0')], 'counts').equal).toBe(true)
  })

  const { digest: _, ...unread } = part('two', 4, '5')
  const { scatteredIn: __, ...whole } = part('two', 4, '5')
  test.each<[string, TableFingerprint[]]>([
    ['a row is missing', [part('one', 1, '45'), part('two', 3, '5')]],
    ['a row is another', [part('one', 1, '45'), part('two', 4, '6')]],
    ['a partition is missing', [part('one', 5, '50')]],
    [
      'a partition cannot be read',
      [part('one', 1, '45'), part('two', 4, '5', { unreadable: 'no' })],
    ],
    [
      'a partition has other columns',
      [part('one', 1, '45'), part('two', 4, '5', { unlike: ['k'] })],
    ],
    ['a partition has no digest', [part('one', 5, '50'), unread]],
    ['a partition is read otherwise', [part('one', 1, '45'), part('two', 4, '5', { recipe: 1 })]],
    [
      'a partition is of another table',
      [part('one', 1, '45'), part('two', 4, '5', { scatteredIn: { schema: 'a', name: 'b' } })],
    ],
    ['a partition is of none', [part('one', 1, '45'), whole]],
  ])('differ where %s', (_name, now) => {
    const { equal, tables } = compare(now)
    expect(equal).toBe(false)
    expect(tables.every(({ explained }) => explained === undefined)).toBe(true)
  })

  test('differ in counts alone where a row is missing', () => {
    expect(compare([part('one', 1, '0'), part('two', 3, '0')], 'counts').equal).toBe(false)
  })
})
