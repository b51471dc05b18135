import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { wordsOf } from '../../src/commands/index.ts'
import { beginJunit } from '../../src/host/junit-file.ts'
import { renderJunit, renderUnfinishedJunit } from '../../src/report/junit.ts'
import type { Report } from '../../src/report/model.ts'
import {
  cancelledReport,
  failedReport,
  goodReport,
  hostile,
  hostileReport,
  largeReport,
} from '../support/sample-reports.ts'
import { canParseXml, parseXml, type XmlElement } from '../support/xml.ts'

test('the JUnit XML of a run that went well is exactly this', () => {
  const report = goodReport()
  report.databases.splice(1)
  report.losses = [
    { entry: 'EXTENSION plpython3u', database: 'shop', reason: 'not there', remedy: '' },
  ]
  expect(renderJunit(report)).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="migrate-to-polardb" tests="18" failures="0" errors="0" time="0">
<testsuite name="shop" tests="14" failures="0" errors="0" skipped="1" time="0" timestamp="2026-11-20T01:30:00.000Z">
<testcase classname="shop.table" name="public.customers"/>
<testcase classname="shop.table" name="public.orders" time="9.7"/>
<testcase classname="shop.table" name="public.order_items" time="80.3"/>
<testcase classname="shop.table" name="public.products"/>
<testcase classname="shop.table" name="billing.invoices"/>
<testcase classname="shop.table" name="billing.payments"/>
<testcase classname="shop.index" name="all of the kind (31 on the source, 31 on the target)"/>
<testcase classname="shop.function" name="all of the kind (44 on the source, 44 on the target)"/>
<testcase classname="shop.view" name="all of the kind (12 on the source, 12 on the target)"/>
<testcase classname="shop.trigger" name="all of the kind (9 on the source, 9 on the target)"/>
<testcase classname="shop.sequence" name="all of the kind (18 on the source, 18 on the target)"/>
<testcase classname="shop.large object" name="all of the kind (204 on the source, 204 on the target)"/>
<testcase classname="shop.accepted losses" name="EXTENSION plpython3u"><skipped message="not there"/></testcase>
<testcase classname="shop" name="verified"/>
</testsuite>
<testsuite name="roles" tests="3" failures="0" errors="0" skipped="2" time="0" timestamp="2026-11-20T01:30:00.000Z">
<testcase classname="roles" name="all roles (41 on the source)"/>
<testcase classname="roles" name="dba: SUPERUSER"><skipped message="PolarDB has no SUPERUSER to give; the role has POLAR_SUPERUSER instead"/></testcase>
<testcase classname="roles" name="repl: REPLICATION"><skipped message="The account of the migration may not give REPLICATION"/></testcase>
</testsuite>
<testsuite name="run" tests="1" failures="0" errors="0" skipped="0" time="0" timestamp="2026-11-20T01:30:00.000Z">
<testcase classname="run" name="migrate"/>
</testsuite>
</testsuites>
`)
})

test('until the run has ended the file says that it has not, whatever was in it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'junit-'))
  try {
    const path = join(directory, 'results', 'junit.xml')
    for (let times = 0; times < 2; times++) {
      await beginJunit(goodReport(), path)
      expect(await readFile(path, 'utf8')).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="migrate-to-polardb" tests="1" failures="0" errors="1" time="0">
<testsuite name="run" tests="1" failures="0" errors="1" skipped="0" time="0" timestamp="2026-11-20T01:30:00.000Z">
<testcase classname="run" name="migrate"><error message="the run did not come to its end" type="undecided"></error></testcase>
</testsuite>
</testsuites>
`)
      await writeFile(path, 'of an earlier step')
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})

/** What became of each test case: its result, its name and the message. */
function results(report: Report): string[] {
  return [
    ...renderJunit(report).matchAll(
      /<testcase classname="[^"]*" name="([^"]*)"[^>]*><(\w+) message="([^"]*)"/g,
    ),
  ].map(([, name, result, message]) => `${result} ${name}: ${message}`)
}

test('what differs has failed, and so has what could not be restored', () => {
  expect(results(failedReport()).filter((line) => !line.startsWith('skipped'))).toEqual([
    'failure public.orders: 13 rows missing',
    'failure public.products: 2 rows changed',
    'failure all of the kind (44 on the source, 43 on the target): 2 differ',
    'failure public.total_of(order_id bigint): missing on the target',
    'failure public.tax_rate(): different',
    expect.stringMatching(/^failure FK CONSTRAINT .* \(SQLSTATE 23503\)$/),
    'failure verified: the two sides differ',
    'error migrate: Verification found differences: 2 tables and 2 objects of database shop',
  ])
})

test('what could not be decided is an error, even where everything else has passed', () => {
  const report = goodReport()
  const [shop] = report.databases
  if (!shop) throw new Error('the good report has a database')
  shop.verified = false
  shop.objects[2] = {
    ...{ kind: 'view', source: 12, target: 12, missing: [], different: [] },
    undecided: [{ entry: 'public.v: query', reason: 'it could not be rebuilt' }],
  }
  expect(results(report)).toEqual(
    expect.arrayContaining([
      'error public.v: query: it could not be rebuilt',
      'error verified: nothing is proven of it',
    ]),
  )
})

test('what was not compared is skipped, and never passes', () => {
  const report = goodReport()
  const [shop] = report.databases
  if (!shop) throw new Error('the good report has a database')
  Object.assign(shop, { verified: false, tables: [], objects: [], notCompared: ['the order'] })
  report.phases.push({ name: 'verify', status: 'skipped', startedAt: 1, seconds: 0 })
  expect(results(report)).toEqual(
    expect.arrayContaining(['skipped the order: the order', 'skipped verified: verify: none']),
  )
})

test.each<[string, Report]>([
  ['cancelled', cancelledReport()],
  [
    'that failed before anything was known',
    { ...cancelledReport(), status: 'failed', error: null },
  ],
])('a run %s is no success', (_, report) => {
  expect(results(report).at(-1)).toMatch(/^error migrate: /)
})

test('a preflight has its checks: a blocker fails, one that could not be asked is an error', () => {
  const check = { message: 'so', objects: ['a'], remedy: 'Mend it' } as const
  const report: Report = {
    ...goodReport(),
    ...{ command: 'preflight', words: wordsOf('preflight'), status: 'failed' },
    checks: [
      { id: 'a', severity: 'blocker', status: 'failed', ...check },
      { id: 'b', severity: 'blocker', status: 'skipped', ...check },
      { id: 'c', severity: 'warning', status: 'failed', ...check },
      { id: 'd', severity: 'blocker', status: 'passed', ...check },
    ],
  }
  expect(results(report).slice(-4)).toEqual([
    'failure a: so',
    'error b: so',
    'skipped c: warning: so',
    expect.stringMatching(/^failure preflight: Not ready to migrate: 1 blocker, /),
  ])
})

test('a file where none can be made is refused at once', async () => {
  // Node's own way of making the directories never comes back from there
  await expect(beginJunit(goodReport(), '/proc/nope/junit.xml')).rejects.toThrow(
    'The file for the JUnit XML cannot be written',
  )
})

/** Jenkins' junit-10.xsd: the children and attributes of each element, and what must be there. */
const schema: Record<string, { children: string[]; attributes: string[]; required: string[] }> = {
  testsuites: {
    children: ['testsuite'],
    attributes: ['name', 'time', 'tests', 'failures', 'disabled', 'errors'],
    required: [],
  },
  testsuite: {
    children: ['properties', 'testcase', 'system-out', 'system-err'],
    attributes: [
      ...['name', 'tests', 'failures', 'errors', 'time', 'disabled', 'skipped', 'timestamp'],
      ...['hostname', 'id', 'package'],
    ],
    required: ['name', 'tests'],
  },
  testcase: {
    children: ['skipped', 'error', 'failure', 'system-out', 'system-err'],
    attributes: ['name', 'classname', 'time', 'assertions', 'status'],
    required: ['name', 'classname'],
  },
  skipped: { children: [], attributes: ['type', 'message'], required: [] },
  error: { children: [], attributes: ['type', 'message'], required: [] },
  failure: { children: [], attributes: ['type', 'message'], required: [] },
}

function expectJunit({ name, attributes, children, text }: XmlElement): void {
  const known = schema[name]
  if (!known) throw new Error(`an element ${name}`)
  const names = Object.keys(attributes)
  expect(known.attributes).toEqual(expect.arrayContaining(names))
  expect(names).toEqual(expect.arrayContaining(known.required))
  expect(known.children).toEqual(expect.arrayContaining(children.map((child) => child.name)))
  if (children.length > 0) expect(text.trim()).toBe('')
  for (const count of ['tests', 'failures', 'errors', 'skipped', 'time'])
    if (attributes[count] !== undefined) expect(attributes[count]).toMatch(/^\d+(\.\d+)?$/)
  for (const child of children) expectJunit(child)
}

;(canParseXml ? describe : describe.skip)('a parser of XML reads', () => {
  test.each<[string, Report]>([
    ['a good', goodReport()],
    ['a failed', failedReport()],
    ['a cancelled', cancelledReport()],
    ['a hostile', hostileReport()],
    ['a large', largeReport(1000, true)],
  ])('%s report as JUnit XML, with numbers that agree', (_, report) => {
    const root = parseXml(renderJunit(report))
    expectJunit(root)
    for (const suite of root.children) {
      expect(suite.children).toHaveLength(Number(suite.attributes.tests))
      for (const [kind, count] of [
        ['failure', suite.attributes.failures],
        ['error', suite.attributes.errors],
        ['skipped', suite.attributes.skipped],
      ] as const)
        expect(suite.children.filter(({ children }) => children[0]?.name === kind)).toHaveLength(
          Number(count),
        )
    }
    const sum = root.children.reduce((all, { attributes }) => all + Number(attributes.tests), 0)
    expect(Number(root.attributes.tests)).toBe(sum)
  })

  test('the file of a run that was killed', () =>
    expectJunit(parseXml(renderUnfinishedJunit(goodReport()))))

  test.each(hostile)('a name such as %j as it is, what is invisible in it as escapes', (name) => {
    const report = goodReport()
    for (const database of report.databases) database.target = name
    const [suite] = parseXml(renderJunit(report)).children
    const [, plain = name] = /^([\x20-\x7e]*)$/.exec(name) ?? []
    if (plain === name && /^[\x20-\x7e]*$/.test(name)) expect(suite?.attributes.name).toBe(name)
    else expect(suite?.attributes.name).not.toMatch(/[\p{Cc}\p{Cs}\u202e\u200b]/u)
  })
})
