import { createHash } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { sideBySide } from '../../src/report/html/definitions.ts'
import { renderHtml } from '../../src/report/html/html.ts'
import { searchScript } from '../../src/report/html/search.ts'
import {
  cancelledReport,
  failedReport,
  goodReport,
  hostile,
  hostileReport,
  largeReport,
  rehearsedReport,
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
    .replace(/^[\s\S]*<body>|<script>[\s\S]*<\/script>|<svg class="lane[\s\S]*?<\/svg>/g, '')
    .replace(/<\/?(?:code|small|strong|br|span)[^>]*>/g, ' ')
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
  circle: ['class', 'cx', 'cy', 'r'],
  div: ['class', 'tabindex', 'role', 'aria-label'],
  figcaption: ['class'],
  figure: [],
  h3: [],
  dl: ['class'],
  dt: [],
  footer: [],
  h1: [],
  h2: [],
  head: [],
  header: ['class'],
  html: ['lang'],
  li: [],
  line: ['class', 'x1', 'x2', 'y1', 'y2'],
  main: [],
  mark: [],
  meta: ['charset', 'http-equiv', 'content', 'name'],
  ol: [],
  p: ['class'],
  path: ['d', 'class', 'fill', 'stroke', 'stroke-width', 'stroke-linecap', 'stroke-linejoin'],
  pre: ['class'],
  rect: ['class', 'x', 'y', 'width', 'height'],
  script: [],
  section: ['id'],
  small: [],
  span: ['class'],
  strong: [],
  style: [],
  summary: [],
  svg: ['class', 'viewBox', 'height', 'role', 'aria-label', 'aria-hidden'],
  table: ['class'],
  tbody: [],
  td: ['class', 'data-label'],
  text: ['class', 'x', 'y', 'text-anchor'],
  th: ['scope', 'class'],
  thead: [],
  title: [],
  tr: [],
  ul: ['class'],
}

/** Checks that the page is made of nothing but the vocabulary, and that every element is closed where it should be. */
function expectWellFormed(page: string): void {
  const open: string[] = []
  const rest = page
    .replace(/^<!doctype html>|(?<=<style>)[^<]*|(?<=<script>)[\s\S]*?(?=<\/script>)/g, '')
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
    'Migrated 2 databases, 41 roles, 8 tables, 83,923,268 rows in 3 min 12 s: every row and object compared equal; 3 kinds of difference are known, and the report explains them.',
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
    'Timeline',
    'Phase | | Started after | Took',
    'cutover | | 3.2 s | 3 min 8 s',
    'preflight | | 0.0 s | 0.8 s',
    'client | | 0.8 s | 2.4 s',
    'dump-roles | | 3.2 s | 0.4 s',
    'dump shop | | 3.6 s | 46 s',
    'restore-roles | | 50 s | 1.1 s',
    'upload shop | | 50 s | 21 s',
    'dump audit | | 50 s | 9.5 s',
    'restore shop | | 51 s | 1 min 11 s',
    'upload audit | | 1 min 11 s | 4.2 s',
    'restore audit | | 2 min 2 s | 15 s',
    'analyze | | 2 min 17 s | 12 s',
    'verify | | 2 min 29 s | 43 s',
    'Left out by the inputs: freeze.',
    'What each table took',
    'Those that were worked on longest come first. The numbers are the time at work.',
    'dump',
    'load of the rows',
    'indexes and constraints',
    'check on the target',
    'pale: shared with other tables, or waiting',
    'Table | | Dump | Load | Indexes | Check',
    'public.order_items | | 46 s | 42 s | 30 s | 1 min 20 s',
    'public.orders | | 18 s | 18 s | 12 s | 9.7 s',
    'Last to end: dump of public.order_items (46 s of work, done after 49 s); load of public.order_items (42 s of work, done after 1 min 32 s); indexes of public.order_items (30 s of work, done after 2 min 2 s); check of public.order_items (1 min 20 s of work, done after 3 min 12 s).',
    'Databases',
    'Database | Size | Dump | Dumped in | Restored in | Entries restored | Tables | Rows | Compared',
    'shop | 17 GB | 3.8 GB | 46 s | 1 min 11 s | 511 of 512 | 6 | 65,721,623 | equal',
    'audit → audit_2026 | 2.1 GB | 296 MB | 9.5 s | 15 s | 40 of 40 | 2 | 18,201,645 | equal',
    'Throughput',
    'Database | Read from the source | Dump written | Restored | Source checked | Target checked',
    'shop | 381 MB/s | 85 MB/s | 246 MB/s | 1,900,000 rows/s | 1,700,000 rows/s',
    'audit_2026 | 231 MB/s | 31 MB/s | 148 MB/s | – | –',
    'Roles',
    '41 roles on the source · 37 created · 4 there already · 20 of 20 memberships restored · verified',
    'Role | Difference | Reason',
    'dba | SUPERUSER | PolarDB has no SUPERUSER to give; the role has POLAR_SUPERUSER instead',
    'repl | REPLICATION | The account of the migration may not give REPLICATION',
    'Left out or changed, with the reason',
    'Database | What | Reason',
    'shop | EXTENSION plpython3u | The target does not have it; allow-missing lets it be left out',
    'What to do next',
    'Nothing was written to the source while it was dumped, but nothing keeps anybody from it now: stop the applications, or migrate with freeze-source: true for the cutover',
    'Change the connection strings of the applications to the primary endpoint of the target: host, port, account; "audit" is called "audit_2026" there',
    'Enable the event trigger, which is on the source (target, shop )',
    'ALTER EVENT TRIGGER "watch | it" ENABLE',
    'To go back: let the applications use the source as before, on which nothing was changed. What was written to the target meanwhile is not there',
    'Release the ECS instance that ran the job, where one was started for it: the action runner/stop does, in a job with if: always()',
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
    'Table | | Source rows | Target rows | Result',
    'public.order_items | | 41,220,987 | 41,220,987 | equal',
    'public.orders | | 9,881,204 | 9,881,204 | equal',
    'billing.payments | | 7,120,003 | 7,120,003 | equal',
    'billing.invoices | | 7,004,512 | 7,004,512 | equal',
    'public.customers | | 482,113 | 482,113 | equal',
    'public.products | | 12,804 | 12,804 | equal',
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
      'verify | | 2 min 29 s | ✕ 43 s, failed',
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
  expect(text).toContain('dump | | 3.6 s | ✕ 21 s, failed')
})

describe.each([
  ['good', goodReport()],
  ['failed', failedReport()],
  ['cancelled', cancelledReport()],
  ['hostile', hostileReport()],
  ['rehearsed', rehearsedReport()],
  ['large', largeReport(50)],
] as const)('the page of a %s run', (_, report) => {
  const page = renderHtml(report)

  test('is made of known elements and attributes only', () => {
    expectWellFormed(page)
  })

  test('loads nothing, and runs nothing but its own search', () => {
    expect(page).not.toMatch(/<(?:link|img|iframe|object|embed|base|form|a)\b|url\(|@import/i)
    expect(page).not.toMatch(/<[^>]*\s(?:on\w+|style|src|href)\s*=/i)
    expect(page.match(/<script/g)).toHaveLength(1)
    expect(page).toContain(`<script>${searchScript}</script>`)
  })

  test('moves nothing, for those who bear no motion', () => {
    expect(page).not.toMatch(
      /transition|animation|@keyframes|scroll-behavior|<(?:animate|set|marquee)/,
    )
  })

  test('allows its own style and its own script and nothing else', () => {
    const hashOf = (element: string) => {
      const text = new RegExp(`<${element}>([\\s\\S]*?)</${element}>`).exec(page)?.[1] ?? ''
      return createHash('sha256').update(text).digest('base64')
    }
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1]
    expect(policy?.replaceAll('&#39;', "'")).toBe(
      `default-src 'none'; style-src 'sha256-${hashOf('style')}'; script-src 'sha256-${hashOf('script')}'; base-uri 'none'; form-action 'none'`,
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
  const listOf = (page: string) => page.slice(page.indexOf('<section id="tables">'))

  test('folds 20,000 equal tables away, schema by schema', () => {
    const page = renderHtml(largeReport(20_000))
    expectWellFormed(page)
    expect(page.match(/<details open>/g)).toBeNull()
    expect(textOf(page)).toContain('shop : 20,000 of 20,000 tables equal')
    expect(textOf(page)).toContain('schema tenant_3 : 2,000 tables, 59,988,000 rows, all equal')
    expect(listOf(page).match(/measurements_of_station_/g)).toHaveLength(20_000)
  })

  test('lists 50,000 equal tables at most, and says how many more there are', () => {
    const page = renderHtml(largeReport(50_100))
    expect(listOf(page).match(/measurements_of_station_/g)).toHaveLength(50_000)
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

  test('draws the phases of many databases in one row a phase, and folds the others away', () => {
    const report = goodReport()
    report.phases = Array.from({ length: 300 }, (_, index) => ({
      name: index % 2 === 0 ? 'dump' : 'restore',
      status: 'succeeded',
      startedAt: index,
      seconds: 1,
      database: `tenant_${Math.floor(index / 2)}`,
    }))
    const drawn = /<h2>Timeline<\/h2>[\s\S]*?<details>/.exec(renderHtml(report))?.[0] ?? ''
    expect(drawn.match(/<th scope="row">/g)).toHaveLength(3)
    expect(drawn.match(/<rect class="phase many"/g)).toHaveLength(300)
    expect(textOf(renderHtml(report))).toContain('300 phases')
  })

  test('is drawn whole within 5 MB where it has 5,000 tables, each with its lane', () => {
    const page = renderHtml(largeReport(5000))
    expect(Buffer.byteLength(page)).toBeLessThan(5_000_000)
    const list = listOf(page)
    expect(list.match(/<rect class="dump"/g)).toHaveLength(5000)
    expect(list.match(/<rect class="indexes pale"/g)).toHaveLength(5000)
  })

  test('names the tables that were worked on longest first', () => {
    const report = largeReport(5000)
    const [slow] = report.databases[0]?.tables.splice(3000, 1) ?? []
    if (!slow) throw new Error('there are 5,000 tables')
    slow.timeline = { load: { start: 60, end: 130, busy: 70 } }
    report.databases[0]?.tables.push(slow)
    const text = textOf(renderHtml(report))
    const at = text.indexOf('What each table took')
    expect(text[at + 1]).toBe(
      'The 25 of 5,000 tables that were worked on longest; the list of tables draws the others. The numbers are the time at work.',
    )
    const rows = text.slice(at).filter((line) => line.startsWith('tenant_'))
    expect(rows[0]).toBe('tenant_0.measurements_of_station_3000 | | – | 1 min 10 s | – | –')
    expect(text.find((line) => line.startsWith('Last to end'))).toBe(
      'Last to end: load of tenant_0.measurements_of_station_3000 (1 min 10 s of work, done after 2 min 10 s).',
    )
  })
})

test('a run that compared nothing shows which tables were worked on all the same', () => {
  const report = failedReport()
  const [shop] = report.databases
  if (!shop) throw new Error('the failed report has a database')
  const timeline = { load: { start: 50, end: 90, busy: 40 } }
  Object.assign(shop, {
    ...{ tables: [], timedTables: [{ schema: 'public', name: 'slow', timeline }] },
  })
  const page = renderHtml({ ...report, databases: [shop] })
  expectWellFormed(page)
  expect(textOf(page)).toContain('public.slow | | – | 40 s | – | –')
})

test.each([
  ['removed', 'The rehearsal left nothing behind'],
  ['left', 'The rehearsal was not removed'],
  ['kept', 'The rehearsal is kept for a look'],
] as const)('what a rehearsal made and is %s is said', (outcome, title) => {
  const rehearsal = { name: 'rehearsal_2026_<x>', outcome, note: 'It is so' }
  const page = renderHtml({ ...rehearsedReport(), rehearsal })
  expect(headings(page)).toContain(title)
  expect(textOf(page)).toEqual(
    expect.arrayContaining(['It is so.', 'Its names begin with rehearsal_2026_<x>']),
  )
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
    expect(page).toContain(
      '<mark>1</mark></code></td><td class="side" data-label="The target has"><span class="quiet">none',
    )
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
