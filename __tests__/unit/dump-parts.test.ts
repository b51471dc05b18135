import { describe, expect, test } from '@jest/globals'
import { partSizes } from '../../src/migration/dump/part-sizes.ts'
import {
  checkPart,
  checkSchema,
  optionAgainstParts,
  partArguments,
  planParts,
  type StoredTable,
  tablesWithRows,
} from '../../src/migration/dump/parts.ts'
import { type DumpSink, quietSink } from '../../src/migration/dump/sink.ts'
import { Streams } from '../../src/migration/dump/streams.ts'
import { presumedLeft } from '../../src/migration/restore/run/costs.ts'
import { parseOptionLine } from '../../src/postgres/programs/options.ts'
import { archiveEntry } from '../support/archive-entry.ts'
import { randomIntegers } from '../support/random.ts'

const MiB = 1024 * 1024

function table(name: string, mebibytes: number, more: Partial<StoredTable> = {}): StoredTable {
  return {
    schema: 'public',
    name,
    bytes: mebibytes * MiB,
    methods: ['btree'],
    rows: null,
    mayStandAlone: true,
    ...more,
  }
}

/** All orders of some tables. */
function permutations(tables: readonly StoredTable[]): StoredTable[][] {
  if (tables.length < 2) return [[...tables]]
  return tables.flatMap((first) =>
    permutations(tables.filter((one) => one !== first)).map((rest) => [first, ...rest]),
  )
}

const plan = (...tables: StoredTable[]) =>
  planParts('shop', tables)?.map(({ tables, isRest }) => {
    const names = tables.map(({ name }) => name)
    return isRest ? { rest: names } : names.join()
  }) ?? null

describe('a database is dumped in parts', () => {
  test.each([
    ['not without a table', [], null],
    ['not while it is small', [table('a', 127)], null],
    ['not while no table is large', Array.from({ length: 40 }, (_, i) => table(`t${i}`, 60)), null],
    [
      'not for tables that are a small share of it',
      Array.from({ length: 20 }, (_, i) => table(`t${i}`, 100)),
      null,
    ],
    ['also if it is one table', [table('a', 128)], ['a', { rest: [] }]],
    [
      'the small tables, and those that may not stand alone, together at the end',
      [table('small', 1), table('member', 900, { mayStandAlone: false }), table('large', 800)],
      ['large', { rest: ['small', 'member'] }],
    ],
    [
      'first that of which most is left to do when it is dumped',
      [
        table('small', 200, { methods: [] }),
        table('bare', 500, { methods: [] }),
        table('keyed', 1000),
        table('searched', 300, { methods: ['btree', 'gin'] }),
      ],
      ['searched', 'keyed', 'bare', 'small', { rest: [] }],
    ],
    [
      'of more than there may be those with the longest way to their last index',
      [
        table('bare', 700, { methods: [] }),
        ...Array.from({ length: 7 }, (_, i) => table(`t${i}`, 400 + i)),
      ],
      ['t6', 't5', 't4', 't3', 't2', 't1', 'bare', { rest: ['t0'] }],
    ],
    [
      'in eight at most',
      Array.from({ length: 10 }, (_, i) => table(`t${i}`, 100 + i)),
      ['t9', 't8', 't7', 't6', 't5', 't4', 't3', { rest: ['t0', 't1', 't2'] }],
    ],
  ] as const)('%s', (_, tables, expected) => {
    expect(plan(...tables)).toEqual(expected)
  })

  test.each([0.05, 0.3, 1, 5])(
    'in an order than which none ends sooner, where a byte takes %f times as long on the line as to be loaded',
    (pace) => {
      for (let seed = 1; seed <= 60; seed++) {
        const below = randomIntegers(seed)
        const tables = Array.from({ length: 2 + below(4) }, (_, i) =>
          table(`t${i}`, 100 + below(400), {
            methods: ['btree', 'brin', 'gin', 'gist'].filter(() => below(5) < 2),
          }),
        )
        const end = (order: readonly StoredTable[]) => {
          let [line, last] = [0, 0]
          for (const { bytes, methods } of order) {
            line += bytes * pace
            last = Math.max(last, line + presumedLeft(bytes, methods))
          }
          return last
        }
        const chosen = planParts('shop', tables, { ...partSizes, share: 0 })?.flatMap((part) =>
          part.tables.flatMap(({ name }) => tables.filter((one) => one.name === name)),
        )
        const least = Math.min(...permutations(tables).map(end))
        expect(end(chosen ?? [])).toBeCloseTo(least, 0)
      }
    },
  )

  test('in archives that come after that of the definitions', () => {
    const parts = planParts('Our Shop', [table('a', 200), table('b', 3)])
    expect(parts?.map(({ path, bytes }) => [path, bytes / MiB])).toEqual([
      [expect.stringMatching(/^databases\/Our_Shop\.[0-9a-f]{16}\/2$/), 200],
      [expect.stringMatching(/^databases\/Our_Shop\.[0-9a-f]{16}\/3$/), 3],
    ])
  })

  test.each([
    ['orders', '"public"."orders"'],
    ['a.b', '"public"."a.b"'],
    ['*?', '"public"."*?"'],
    ['a"b', '"public"."a""b"'],
    ['$^\\[](){}|+', '"public"."$^\\[](){}|+"'],
    ['two\nlines', '"public"."two\nlines"'],
    ['--all', '"public"."--all"'],
    ['', '"public".""'],
  ])('by the name %j, quoted so that it is no pattern', (name, pattern) => {
    const parts = planParts('shop', [table(name, 200), table('b', 3)]) ?? []
    expect(parts.map((part) => partArguments(part, parts))).toEqual([
      ['--section=data', `--table=${pattern}`],
      ['--section=data', `--exclude-table-data=${pattern}`],
    ])
  })
})

describe('options of the user', () => {
  test.each([
    '-O',
    '-x',
    '--no-owner',
    '--no-privileges',
    '--no-comments',
    '--no-subscriptions',
    '--no-publications',
    '--lock-wait-timeout=1000',
    '--extra-float-digits=3',
    '--quote-all-identifiers',
    '--no-tablespaces',
    '-Sboss',
  ])('%s changes nothing in it', (line) => {
    expect(optionAgainstParts(parseOptionLine('pg_dump', line))).toBeUndefined()
  })

  test.each([
    '-t orders',
    '--table=orders',
    '-n app',
    '--schema=app',
    '-N app',
    '-T x',
    '--exclude-table-data=x',
    '--filter=f',
    '-e hstore',
    '--extension=hstore',
    '--exclude-extension=x',
    '-b',
    '-B',
    '--no-blobs',
    '--large-objects',
    '-o',
    '--oids',
    '--load-via-partition-root',
    '--inserts',
    '--column-inserts',
    '--rows-per-insert=10',
    '--enable-row-security',
    '--no-unlogged-table-data',
    '-E LATIN1',
    '--include-foreign-data=s',
    '--sequence-data',
    '--statistics',
    '--table-and-children=x',
    '--exclude-table-and-children=x',
    '--serializable-deferrable',
    '--disable-triggers',
    '--strict-names',
  ])('%s makes one archive', (line) => {
    const [option] = parseOptionLine('pg_dump', line)
    expect(optionAgainstParts(['-O', option ?? ''])).toBe(option)
  })
})

describe('of the archives that were made', () => {
  const parts = planParts('shop', [table('big', 200), table('small', 3)]) ?? []
  const [big, rest] = parts
  const expected = [table('big', 200), table('small', 3)]
  const entry = (desc: string, tag: string, section: 'data' | 'pre-data' = 'data') =>
    archiveEntry({ desc, tag, namespace: 'public', section })
  const check = (part: typeof big, ...entries: ReturnType<typeof entry>[]) => {
    if (!part) throw new Error('there is no such part')
    checkPart({ entries }, part, parts, expected, 'shop')
  }
  const session = [entry('ENCODING', 'ENCODING', 'pre-data'), entry('DATABASE', 'shop', 'pre-data')]

  test('those with what was expected are taken', () => {
    check(big, ...session, entry('TABLE DATA', 'big'), entry('SEQUENCE SET', 'big_id_seq'))
    check(
      rest,
      ...session,
      entry('TABLE DATA', 'small'),
      entry('BLOBS', 'BLOBS'),
      entry('TABLE DATA', 'config'),
    )
    checkSchema({ entries: [...session, entry('TABLE', 'big', 'pre-data')] }, 'shop')
  })

  test.each([
    [
      'is empty',
      () => check(big, ...session),
      /rows of the table public\.big are missing in databases\/shop\/2/,
    ],
    [
      'lacks a table',
      () => check(rest, entry('TABLE DATA', 'other')),
      /public\.small are missing in databases\/shop\/3/,
    ],
    [
      'holds another table',
      () => check(big, entry('TABLE DATA', 'big'), entry('TABLE DATA', 'bigger')),
      /public\.bigger is in .*2 as well/,
    ],
    [
      'holds large objects, too',
      () => check(big, entry('TABLE DATA', 'big'), entry('BLOBS', 'BLOBS')),
      /BLOBS is in .*2 as well/,
    ],
    [
      'holds rows twice',
      () => check(rest, entry('TABLE DATA', 'small'), entry('TABLE DATA', 'big')),
      /public\.big is in .*3 as well/,
    ],
    [
      'holds a definition',
      () => check(rest, entry('TABLE DATA', 'small'), entry('TABLE', 'small', 'pre-data')),
      /TABLE public\.small is in/,
    ],
    [
      'of the definitions holds rows',
      () => checkSchema({ entries: [entry('TABLE DATA', 'big')] }, 'shop'),
      /in the archive of the definitions/,
    ],
  ])('one that %s is refused', (_, work, why) => {
    expect(work).toThrow(expect.objectContaining({ why: expect.stringMatching(why) }))
  })

  test('rows are expected of the tables that are defined in them', () => {
    const schema = {
      entries: [entry('TABLE', 'big', 'pre-data'), entry('TABLE', 'hashed', 'pre-data')],
    }
    const tables = [...expected, table('hashed', 1, { mayStandAlone: false })]
    expect(tablesWithRows(schema, tables).map(({ name }) => name)).toEqual(['big'])
  })
})

describe('parts are read', () => {
  /** Lets seconds pass, each with so many bytes; one stream more is begun whenever it may be. */
  function streamsAt(rates: readonly number[], most = 8): number[] {
    const streams = new Streams(most)
    const allowed: number[] = []
    let [now, bytes] = [0, 0]
    for (let second = 0; second < 40; second++) {
      const flowing = streams.allowed
      streams.look(now, bytes, flowing)
      now += 1000
      bytes += rates[flowing - 1] ?? 0
      if (allowed.at(-1) !== streams.allowed) allowed.push(streams.allowed)
    }
    return allowed
  }

  test.each([
    ['one after the other where the link is the limit', [100, 100], [1, 2, 1]],
    ['one after the other where a second one adds too little', [100, 129], [1, 2, 1]],
    ['two at once where that is faster', [100, 131, 140], [1, 2, 3, 2]],
    ['as many as are worth it', [100, 200, 300, 310], [1, 2, 3, 4, 3]],
  ])('%s', (_, rates, expected) => {
    expect(streamsAt(rates)).toEqual(expected)
  })

  test('never more than there are jobs', () => {
    expect(streamsAt([100, 200, 300], 2)).toEqual([1, 2])
    expect(streamsAt([100, 200, 300], 1)).toEqual([1])
  })

  test('one after the other while nothing is known', () => {
    const streams = new Streams(4)
    for (let now = 0; now < 60_000; now += 1000) streams.look(now, 0, now % 2000 === 0 ? 0 : 1)
    expect(streams.allowed).toBe(1)
  })
})

test('what a listener does with what it is told is its own affair', async () => {
  const lines: string[] = []
  const say = (line: string) => void lines.push(line)
  const sink = quietSink(
    {
      schema: () => {
        throw new Error('at once')
      },
      flows: () => {
        throw new Error('early')
      },
      data: () => Promise.reject(new Error('later')),
      lost: async () => {
        throw new Error('in a promise')
      },
      dumped: () => {},
    } as DumpSink,
    { log: { debug: say, info: say, warning: say } },
  )
  const database = { name: 'shop', bytes: 0, archives: [], properties: {}, fingerprint: {} }
  sink?.schema(database, [])
  sink?.flows?.('shop', 'databases/shop/2')
  sink?.data('shop', 'databases/shop/2')
  sink?.lost('shop')
  sink?.dumped(database)
  await new Promise((resolve) => setImmediate(resolve))
  expect(lines.map((line) => line.replace(/.*: /, '')).sort()).toEqual([
    'at once',
    'early',
    'in a promise',
    'later',
  ])
  expect(quietSink(undefined, { log: { debug: say, info: say, warning: say } })).toBeUndefined()
})
