import { createHash } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { sideBySide } from '../../src/report/html/definitions.ts'
import { renderHtml } from '../../src/report/html/html.ts'
import {
  cancelledReport,
  failedReport,
  goodReport,
  hostile,
  hostileReport,
  largeReport,
} from '../support/sample-reports.ts'

const entities: Record<string, string> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
}

/** What somebody reads on the page: a line an element, or a row of a table. */
function textOf(page: string): string[] {
  return page
    .replace(/^[\s\S]*<body>/, '')
    .replace(/<\/?(?:code|small|strong|tspan|br|span)[^>]*>/g, ' ')
    .replace(/\n?<\/t[hd]>(?=<t[hd])/g, ' | ')
    .replace(/<\/?(?:t[hd])[^>]*>/g, '')
    .replace(/<\/?[a-z][^>]*>/g, '\n')
    .replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => entities[entity] ?? '')
    .split('\n')
    .map((line) => line.replace(/ +/g, ' ').trim())
    .filter(Boolean)
}

/** Elements and attributes that the page is made of. */
const vocabulary: Record<string, string[]> = {
  body: [],
  br: [],
  code: [],
  dd: ['class'],
  details: ['open'],
  div: ['class', 'tabindex', 'role', 'aria-label'],
  dl: ['class'],
  dt: [],
  footer: [],
  h1: [],
  h2: [],
  head: [],
  header: ['class'],
  html: ['lang'],
  li: [],
  line: ['x1', 'x2', 'y1', 'y2'],
  main: [],
  mark: [],
  meta: ['charset', 'http-equiv', 'content', 'name'],
  ol: [],
  p: ['class'],
  path: ['d', 'class', 'fill', 'stroke', 'stroke-width', 'stroke-linecap', 'stroke-linejoin'],
  pre: ['class'],
  rect: ['class', 'x', 'y', 'width', 'height', 'rx'],
  section: [],
  small: [],
  span: ['class'],
  strong: [],
  style: [],
  summary: [],
  svg: ['class', 'viewBox', 'role', 'aria-label', 'aria-hidden'],
  table: [],
  tbody: [],
  td: ['class'],
  text: ['class', 'x', 'y', 'text-anchor'],
  th: ['scope', 'class'],
  thead: [],
  title: [],
  tr: [],
  tspan: ['class'],
  ul: [],
}

/** Checks that the page is made of nothing but the vocabulary, and that every element is closed where it should be. */
function expectWellFormed(page: string): void {
  const open: string[] = []
  const rest = page
    .replace(/^<!doctype html>|(?<=<style>)[^<]*/g, '')
    .replace(
      /<(\/?)([a-z][a-z0-9]*)((?: [a-zA-Z0-9-]+(?:="[^"<>]*")?)*)(\/?)>/g,
      (_, slash: string, name: string, attributes: string, closed: string) => {
        for (const [, attribute = ''] of attributes.matchAll(/ ([a-zA-Z0-9-]+)(?:="[^"]*")?/g)) {
          if (!vocabulary[name]?.includes(attribute)) throw new Error(`${name} has ${attribute}`)
        }
        if (!vocabulary[name]) throw new Error(`The page has an element ${name}`)
        if (slash && open.pop() !== name) throw new Error(`The page closes ${name} too early`)
        if (!slash && !closed && !['meta', 'br'].includes(name)) open.push(name)
        return ''
      },
    )
  expect(open).toEqual([])
  expect(rest).not.toMatch(/[<>]/)
}

test('the page of a run that went well reads exactly so', () => {
  expect(textOf(renderHtml(goodReport()))).toEqual([
    'PostgreSQL to PolarDB · migrate · 2026-11-20 01:30 UTC',
    'Migrated and verified',
    'Migrated 2 databases, 41 roles, 8 tables, 83,923,268 rows in 3 min 12 s: every row and object compared equal; what is otherwise has 3 known reasons, which the report gives.',
    'Source',
    'PostgreSQL 11.22',
    'Target',
    'PolarDB 11.9 polar_version 1.1.20',
    'Whole run',
    '3 min 12 s',
    'Cutover',
    '3 min 8 s first byte dumped to verified',
    'Client programs',
    '11.22 installed from the PostgreSQL repository',
    'Size of the source',
    '19 GB',
    'Dump kept as artifact',
    'polardb-dump 4.1 GB',
    'What to do next',
    'Nothing was written to the source while it was dumped, but nothing keeps anybody from it now: stop the applications, or migrate with freeze-source: true for the cutover',
    'Change the connection strings of the applications to the primary endpoint of the target: host, port, account; "audit" is called "audit_2026" there',
    'Enable the event trigger, which is on the source (target, shop )',
    'ALTER EVENT TRIGGER "watch | it" ENABLE',
    'To go back: let the applications use the source as before, on which nothing was changed. What was written to the target meanwhile is not there',
    'Release the ECS instance that ran the job, where one was started for it: the action runner/stop does, in a job with if: always()',
    'Timeline',
    'cutover 3 min 8 s',
    '0',
    '30 s',
    '1 min',
    '1 min 30 s',
    '2 min',
    '2 min 30 s',
    '3 min',
    'preflight',
    'preflight: succeeded, 0.8 s, started after 0.0 s',
    '0.8 s',
    'client',
    'client: succeeded, 2.4 s, started after 0.8 s',
    '2.4 s',
    'dump-roles',
    'dump-roles: succeeded, 0.4 s, started after 3.2 s',
    '0.4 s',
    'dump shop',
    'dump of shop: succeeded, 46 s, started after 3.6 s',
    '46 s',
    'restore-roles',
    'restore-roles: succeeded, 1.1 s, started after 50 s',
    '1.1 s',
    'upload shop',
    'upload of shop: succeeded, 21 s, started after 50 s',
    '21 s',
    'dump audit',
    'dump of audit: succeeded, 9.5 s, started after 50 s',
    '9.5 s',
    'restore shop',
    'restore of shop: succeeded, 1 min 11 s, started after 51 s',
    '1 min 11 s',
    'upload audit',
    'upload of audit: succeeded, 4.2 s, started after 1 min 11 s',
    '4.2 s',
    'restore audit',
    'restore of audit: succeeded, 15 s, started after 2 min 2 s',
    '15 s',
    'analyze',
    'analyze: succeeded, 12 s, started after 2 min 17 s',
    '12 s',
    'verify',
    'verify: succeeded, 43 s, started after 2 min 29 s',
    '43 s',
    '13 phases',
    'Phase | Database | Status | Started after | Took',
    'preflight | | succeeded | 0.0 s | 0.8 s',
    'client | | succeeded | 0.8 s | 2.4 s',
    'freeze | | skipped | – | –',
    'dump-roles | | succeeded | 3.2 s | 0.4 s',
    'dump | shop | succeeded | 3.6 s | 46 s',
    'restore-roles | | succeeded | 50 s | 1.1 s',
    'upload | shop | succeeded | 50 s | 21 s',
    'dump | audit | succeeded | 50 s | 9.5 s',
    'restore | shop | succeeded | 51 s | 1 min 11 s',
    'upload | audit | succeeded | 1 min 11 s | 4.2 s',
    'restore | audit | succeeded | 2 min 2 s | 15 s',
    'analyze | | succeeded | 2 min 17 s | 12 s',
    'verify | | succeeded | 2 min 29 s | 43 s',
    'Databases',
    'Database | Size | Dump | Dumped in | Restored in | Entries restored | Tables | Rows | Compared',
    'shop | 17 GB | 3.8 GB | 46 s 381 MB/s | 1 min 11 s 246 MB/s | 511 of 512 | 6 | 65,721,623 | equal',
    'audit → audit_2026 | 2.1 GB | 296 MB | 9.5 s 231 MB/s | 15 s 148 MB/s | 40 of 40 | 2 | 18,201,645 | equal',
    'Roles',
    '41 roles on the source · 37 created · 4 there already · 20 of 20 memberships restored · verified',
    'Role | Difference | Reason',
    'dba | SUPERUSER | PolarDB has no SUPERUSER to give; the role has POLAR_SUPERUSER instead',
    'repl | REPLICATION | The account of the migration may not give REPLICATION',
    'Left out or changed, with the reason',
    'Database | What | Reason',
    'shop | EXTENSION plpython3u | The target does not have it; allow-missing lets it be left out',
    'Warnings',
    'The source has 2 replication slots: they are not migrated.',
    'Warnings of checks',
    'Check | Result | What was found',
    'extension-unavailable | ! warning | The target does not have 1 extension of the source; allow-missing lets it be left out plpython3u Next step: Rewrite what uses it, or ask Alibaba Cloud for it',
    'Checks that could not be asked',
    'Checks | Result | Why',
    'source-writes | ! skipped | allow-writes is set',
    'Checks',
    '2 checks passed',
    'Check | Result | What was found',
    'target-version | passed | The target is no older than the source',
    'target-empty | passed | No target database exists yet',
    'Tables',
    'shop : 6 of 6 tables equal',
    'Table | Source rows | Target rows | Result',
    'public.order_items | 41,220,987 | 41,220,987 | equal',
    'public.orders | 9,881,204 | 9,881,204 | equal',
    'billing.payments | 7,120,003 | 7,120,003 | equal',
    'billing.invoices | 7,004,512 | 7,004,512 | equal',
    'public.customers | 482,113 | 482,113 | equal',
    'public.products | 12,804 | 12,804 | equal',
    'audit_2026 : 2 of 2 tables equal',
    'Table | Source rows | Target rows | Result',
    'public.events | 18,200,441 | 18,200,441 | equal',
    'public.actors | 1,204 | 1,204 | equal',
    'Objects by kind',
    'Database | Kind | Source | Target | Result',
    'shop | index | 31 | 31 | equal',
    'shop | function | 44 | 44 | equal',
    'shop | view | 12 | 12 | equal',
    'shop | trigger | 9 | 9 | equal',
    'shop | sequence | 18 | 18 | equal',
    'shop | large object | 204 | 204 | equal',
    'audit_2026 | index | 4 | 4 | equal',
    'audit_2026 | function | 1 | 1 | equal',
    "The same facts for programs are in report.json , beside this file. Times are of the runner's clock.",
  ])
})

/** The headings of a page, in their order. */
function headings(page: string): string[] {
  return [...page.matchAll(/<h[12]>(.*?)<\/h[12]>/gs)].map(([, text = '']) =>
    text.replace(/<[^>]*>/g, ''),
  )
}

test('the page of a failed run says first why, then what could not be restored and what differs', () => {
  const page = renderHtml(failedReport())
  expect(headings(page).slice(0, 4)).toEqual([
    'Migration failed',
    'Entries that could not be restored',
    'Differences',
    'Timeline',
  ])
  const text = textOf(page)
  expect(text.slice(1, 9)).toEqual([
    'Migration failed',
    'Migration failed in phase verify after 3 min 12 s.',
    'What happened',
    'Verification found differences: 2 tables and 2 objects of database shop.',
    'Why',
    '13 rows of public.orders are not on the target, and 1 entry could not be restored.',
    'Next step',
    'Do not switch over. Read the differences, then migrate again with if-target-not-empty: replace.',
  ])
  expect(text).toEqual(
    expect.arrayContaining([
      'shop | FK CONSTRAINT public.order_items order_items_order_id_fkey | insert or update on table "order_items" violates foreign key constraint "order_items_order_id_fkey" (SQLSTATE 23503) Next step: Remove the rows without an order on the source, then migrate again',
      'shop | table public.orders | ✕ 13 rows missing | (id)=(…)',
      'shop | function public.tax_rate() | ✕ different |',
      'verify | | ✕ failed | 2 min 29 s | 43 s',
      'shop : 4 of 6 tables equal',
    ]),
  )
})

test('the page of a cancelled run says where it was', () => {
  const text = textOf(renderHtml(cancelledReport()))
  expect(text.slice(1, 3)).toEqual([
    'Migration cancelled',
    'Migration cancelled in phase dump of database "shop" after 25 s.',
  ])
  expect(text).toContain('dump | shop | ✕ failed | 3.6 s | 21 s')
})

describe.each([
  ['good', goodReport()],
  ['failed', failedReport()],
  ['cancelled', cancelledReport()],
  ['hostile', hostileReport()],
] as const)('the page of a %s run', (_, report) => {
  const page = renderHtml(report)

  test('is made of known elements and attributes only', () => {
    expectWellFormed(page)
  })

  test('loads nothing and runs nothing', () => {
    expect(page).not.toMatch(
      /<(?:script|link|img|iframe|object|embed|base|form|a)\b|url\(|@import/i,
    )
    expect(page).not.toMatch(/<[^>]*\s(?:on\w+|style|src|href)\s*=/i)
  })

  test('allows its own style and nothing else', () => {
    const style = /<style>([\s\S]*?)<\/style>/.exec(page)?.[1] ?? ''
    const hash = createHash('sha256').update(style).digest('base64')
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1]
    expect(policy?.replaceAll('&#39;', "'")).toBe(
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`,
    )
  })

  test('has one heading of the first level, and a name for every drawing and region', () => {
    expect(page.match(/<h1>/g)).toHaveLength(1)
    for (const [svg] of page.matchAll(/<svg[^>]*>/g)) expect(svg).toMatch(/aria-(?:label|hidden)="/)
    for (const [region] of page.matchAll(/<[^>]*role="region"[^>]*>/g))
      expect(region).toMatch(/aria-label="[^"]+"/)
    for (const [cell] of page.matchAll(/<th[ >][^>]*>?/g))
      expect(cell).toMatch(/scope="(?:col|row)"/)
  })

  test('holds nothing invisible', () => {
    expect(page.replaceAll('\n', '').replaceAll('👩‍🚀', '')).not.toMatch(
      /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u,
    )
  })
})

test('hostile names are shown as they are, what is invisible in them as escapes', () => {
  const text = textOf(renderHtml(hostileReport()))
  expect(text).toContain('</code></details><script>alert(1)</script><img src=x onerror=alert(1)>')
  expect(text).toContain("\"><svg onload=alert(1)> ' onclick='x")
  expect(text).toContain('a\\nb\\r\\n::add-mask::b')
  expect(text).toContain('\\u202egnp.exe\\u200b\\u2028')
})

describe('a large report', () => {
  test('folds 20,000 equal tables away, schema by schema', () => {
    const page = renderHtml(largeReport(20_000))
    expectWellFormed(page)
    expect(page.match(/<details open>/g)).toBeNull()
    expect(textOf(page)).toContain('shop : 20,000 of 20,000 tables equal')
    expect(textOf(page)).toContain('schema tenant_3 : 2,000 tables, 59,988,000 rows, all equal')
    expect(page.match(/measurements_of_station_/g)).toHaveLength(20_000)
  })

  test('lists 50,000 equal tables at most, and says how many more there are', () => {
    const page = renderHtml(largeReport(50_100))
    expect(page.match(/measurements_of_station_/g)).toHaveLength(50_000)
    expect(page).toContain('102 more equal tables are in report.json.')
  })

  test('shows the tables that differ before everything else', () => {
    const text = textOf(renderHtml(largeReport(20_000, true)))
    const first = text.indexOf(
      'shop | table tenant_9.measurements_of_station_19999 | ✕ 59,996 rows missing',
    )
    expect(first).toBeGreaterThan(text.indexOf('Differences'))
    expect(first).toBeLessThan(text.indexOf('Timeline'))
  })

  test('draws the phases of many databases in one row a phase', () => {
    const report = goodReport()
    report.phases = Array.from({ length: 300 }, (_, index) => ({
      name: index % 2 === 0 ? 'dump' : 'restore',
      status: 'succeeded',
      startedAt: index,
      seconds: 1,
      database: `tenant_${Math.floor(index / 2)}`,
    }))
    const svg = /<svg class="timeline"[\s\S]*?<\/svg>/.exec(renderHtml(report))?.[0] ?? ''
    expect(svg.match(/<text x="0"/g)).toHaveLength(2)
    expect(svg.match(/<rect class="bar/g)).toHaveLength(300)
  })
})

test('a run that failed before it knew anything has a page as well', () => {
  const { source: _source, target: _target, client: _client, ...report } = cancelledReport()
  const page = renderHtml({ ...report, status: 'failed', phases: [], checks: [] })
  expectWellFormed(page)
  expect(textOf(page).slice(1, 3)).toEqual(['Migration failed', 'Migration failed.'])
})

test.each(hostile)('a page whose databases are all called %j is whole', (name) => {
  const report = goodReport()
  for (const database of report.databases) Object.assign(database, { name, target: name })
  report.phases = report.phases.map((phase, index) => ({ ...phase, database: `${name}${index}` }))
  expectWellFormed(renderHtml(report))
})

describe('both sides of definitions that differ', () => {
  const withDefinitions = (
    definitions: { name: string; what: string; source: string | null; target: string | null }[],
  ) => {
    const report = failedReport()
    report.databases[0]?.objects.push({
      ...{ kind: 'view', source: 1, target: 1, missing: [] },
      different: definitions.map(({ name, what }) => `${name}: ${what}`),
      undecided: [{ entry: 'public.odd: query', reason: 'VIEW public.odd could not be rebuilt' }],
      definitions,
    })
    return renderHtml(report)
  }

  test('stand side by side, with what differs marked and lines kept', () => {
    const page = withDefinitions([
      {
        name: 'public.open_orders',
        what: 'query',
        source: " SELECT id\n   FROM orders\n  WHERE (state = 'open'::text);",
        target: " SELECT id\n   FROM orders\n  WHERE (state = 'shut'::text);",
      },
      { name: 'public.t', what: 'default of a', source: '1', target: null },
    ])
    expectWellFormed(page)
    expect(page).toContain(
      '<code> SELECT id\n   FROM orders\n  WHERE (state = &#39;<mark>open</mark>&#39;::text);</code>',
    )
    expect(page).toContain('(state = &#39;<mark>shut</mark>&#39;::text);</code>')
    expect(textOf(page)).toEqual(
      expect.arrayContaining([
        'Both sides of what differs',
        'Definition | The dump says | The target has',
        'Not proven: printed differently, and not decided',
        'shop | view public.odd: query | VIEW public.odd could not be rebuilt',
      ]),
    )
    expect(page).toContain('<mark>1</mark></code></td><td class="side"><span class="quiet">none')
  })

  const text = hostile.join(' ')

  test('of any content and length make a page that is safe and not too long', () => {
    const long = Array.from({ length: 20_000 }, (_, index) => `c${index}`).join(', ')
    const page = withDefinitions([
      ...Array.from({ length: 30 }, (_, index) => ({
        ...{ name: `v${index}${text}`, what: text },
        ...{ source: `${text}\n<mark>${index}</mark>`, target: text },
      })),
      { name: 'long', what: 'query', source: `${long} FROM a`, target: `${long} FROM b` },
      { name: 'other', what: 'query', source: long, target: long.replaceAll('c', 'd') },
    ])
    expectWellFormed(page)
    expect(page).toContain('12 more definitions')
    expect(page.length).toBeLessThan(2_000_000)
  })

  test.each([
    ['', '', [], []],
    ['a', '', [['a', true]], []],
    [
      'f(a, b)',
      'f(a, c)',
      [
        ['f(a, ', false],
        ['b', true],
        [')', false],
      ],
      [
        ['f(a, ', false],
        ['c', true],
        [')', false],
      ],
    ],
    [
      'a b',
      'a x b',
      [['a b', false]],
      [
        ['a ', false],
        ['x ', true],
        ['b', false],
      ],
    ],
    [
      'a, a',
      'a',
      [
        ['a', false],
        [', a', true],
      ],
      [['a', false]],
    ],
  ] as [string, string, [string, boolean][], [string, boolean][]][])(
    '%j and %j',
    (left, right, onLeft, onRight) => {
      const [a, b] = sideBySide(left, right)
      expect(a.map(({ text, differs }) => [text, differs])).toEqual(onLeft)
      expect(b.map(({ text, differs }) => [text, differs])).toEqual(onRight)
    },
  )
})
