import { wordsOf } from '../../src/commands/index.ts'
import type { Report } from '../../src/report/model.ts'
import { sampleForecast, samplePoint } from './sample-history.ts'

/** A result that a test may still change. */
type Writable<T> = T extends readonly (infer U)[]
  ? Writable<U>[]
  : T extends object
    ? { -readonly [K in keyof T]: Writable<T[K]> }
    : T

/** A report that a test may still change before it is shown. */
export type SampleReport = Writable<Report>

/** A migration of two databases to a PolarDB 11 that went well, every row compared. */
export function goodReport(): SampleReport {
  return {
    command: 'migrate',
    words: wordsOf('migrate'),
    status: 'succeeded',
    startedAt: '2026-11-20T01:30:00.000Z',
    source: { version: '11.22', major: 11 },
    target: {
      version: '11.9',
      major: 11,
      polardb: '1.1.20',
      superuserOption: 'POLAR_SUPERUSER',
    },
    client: {
      version: '11.22',
      directory: '/opt/hostedtoolcache/postgresql-client/11.22/x64/bin',
      origin: 'installed from the PostgreSQL repository',
      bytes: 1_800_000,
      seconds: 2.4,
    },
    phases: [
      { name: 'preflight', status: 'succeeded', startedAt: 0, seconds: 0.8 },
      { name: 'client', status: 'succeeded', startedAt: 0.8, seconds: 2.4 },
      { name: 'freeze', status: 'skipped', startedAt: 3.2, seconds: 0 },
      { name: 'dump-roles', status: 'succeeded', startedAt: 3.2, seconds: 0.4 },
      { name: 'dump', status: 'succeeded', startedAt: 3.6, seconds: 46, database: 'shop' },
      { name: 'restore-roles', status: 'succeeded', startedAt: 49.6, seconds: 1.1 },
      { name: 'upload', status: 'succeeded', startedAt: 49.6, seconds: 21, database: 'shop' },
      { name: 'dump', status: 'succeeded', startedAt: 49.6, seconds: 9.5, database: 'audit' },
      { name: 'restore', status: 'succeeded', startedAt: 50.7, seconds: 71.3, database: 'shop' },
      { name: 'upload', status: 'succeeded', startedAt: 70.6, seconds: 4.2, database: 'audit' },
      { name: 'restore', status: 'succeeded', startedAt: 122, seconds: 14.8, database: 'audit' },
      { name: 'analyze', status: 'succeeded', startedAt: 136.8, seconds: 12.2 },
      { name: 'verify', status: 'succeeded', startedAt: 149, seconds: 43 },
    ],
    checks: [
      {
        id: 'target-version',
        severity: 'blocker',
        status: 'passed',
        message: 'The target is no older than the source',
        objects: [],
        remedy: '',
      },
      {
        id: 'target-empty',
        severity: 'blocker',
        status: 'passed',
        message: 'No target database exists yet',
        objects: [],
        remedy: '',
      },
      {
        id: 'extension-unavailable',
        severity: 'warning',
        status: 'failed',
        message:
          'The target does not have 1 extension of the source; allow-missing lets it be left out',
        objects: ['plpython3u'],
        remedy: 'Rewrite what uses it, or ask Alibaba Cloud for it',
      },
      {
        id: 'source-writes',
        severity: 'warning',
        status: 'skipped',
        message: 'allow-writes is set',
        objects: [],
        remedy: '',
      },
    ],
    roles: {
      source: 41,
      created: 37,
      existing: 4,
      differences: [
        {
          role: 'dba',
          what: 'SUPERUSER',
          reason: 'PolarDB has no SUPERUSER to give; the role has POLAR_SUPERUSER instead',
          explained: true,
        },
        {
          role: 'repl',
          what: 'REPLICATION',
          reason: 'The account of the migration may not give REPLICATION',
          explained: true,
        },
      ],
      memberships: { source: 20, restored: 20 },
      verified: true,
    },
    databases: [
      {
        name: 'shop',
        target: 'shop',
        bytes: 18_400_000_000,
        dumpBytes: 4_100_000_000,
        dumpSeconds: 46,
        restoreSeconds: 71.3,
        restore: {
          entries: 512,
          restored: 511,
          skipped: [
            {
              entry: 'EXTENSION plpython3u',
              reason: 'The target does not have it; allow-missing lets it be left out',
            },
          ],
          failed: [],
          attempts: 1,
        },
        tables: [
          table('public', 'customers', 482_113),
          {
            ...table('public', 'orders', 9_881_204),
            timeline: {
              dump: { start: 3.7, end: 21.2, busy: 17.5 },
              load: { start: 50.9, end: 68.4, busy: 17.5 },
              indexes: { start: 68.4, end: 118.1, busy: 12.2 },
              check: { start: 149.1, end: 158.8, busy: 9.7 },
            },
          },
          {
            ...table('public', 'order_items', 41_220_987),
            timeline: {
              dump: { start: 3.7, end: 49.4, busy: 45.7 },
              load: { start: 50.8, end: 92.3, busy: 41.5 },
              indexes: { start: 92.3, end: 121.9, busy: 29.6 },
              check: { start: 149.1, end: 191.7, busy: 80.3 },
            },
          },
          table('public', 'products', 12_804),
          table('billing', 'invoices', 7_004_512),
          table('billing', 'payments', 7_120_003),
        ],
        objects: [
          kind('index', 31),
          kind('function', 44),
          kind('view', 12),
          kind('trigger', 9),
          kind('sequence', 18),
          kind('large object', 204),
        ],
        verified: true,
        verifyRowsPerSecond: { source: 1_900_000, target: 1_700_000 },
      },
      {
        name: 'audit',
        target: 'audit_2026',
        bytes: 2_300_000_000,
        dumpBytes: 310_000_000,
        dumpSeconds: 9.5,
        restoreSeconds: 14.8,
        restore: { entries: 40, restored: 40, skipped: [], failed: [], attempts: 1 },
        tables: [table('public', 'events', 18_200_441), table('public', 'actors', 1_204)],
        objects: [kind('index', 4), kind('function', 1)],
        verified: true,
      },
    ],
    artifact: { id: 4711, name: 'polardb-dump', digest: 'sha256:0f3a', bytes: 4_410_000_000 },
    verified: true,
    losses: [],
    checklist: [
      {
        what: 'Enable the event trigger, which is on the source',
        side: 'target',
        database: 'shop',
        lines: ['ALTER EVENT TRIGGER "watch | it" ENABLE'],
      },
    ],
    sourceStill: true,
    cutoverSeconds: 188.4,
    warnings: ['The source has 2 replication slots: they are not migrated.'],
    error: null,
  }
}

/** The same migration, in which rows were lost, an object changed and an entry could not be restored. */
export function failedReport(): SampleReport {
  const report = goodReport()
  report.checklist = []
  const [shop] = report.databases
  if (!shop?.restore) throw new Error('the good report has a restored database')
  shop.restore = {
    ...shop.restore,
    restored: 509,
    failed: [
      {
        entry: 'FK CONSTRAINT public.order_items order_items_order_id_fkey',
        reason:
          'insert or update on table "order_items" violates foreign key constraint "order_items_order_id_fkey"',
        sqlstate: '23503',
        statement:
          'ALTER TABLE ONLY public.order_items\n    ADD CONSTRAINT order_items_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);',
        remedy: 'Remove the rows without an order on the source, then migrate again',
      },
    ],
  }
  shop.tables[1] = {
    ...table('public', 'orders', 9_881_204),
    targetRows: 9_881_191,
    match: false,
    missingRows: 13,
    differingKeys: ['(id)=(…)'],
  }
  shop.tables[3] = { ...table('public', 'products', 12_804), match: false, changedRows: 2 }
  shop.objects[1] = {
    kind: 'function',
    source: 44,
    target: 43,
    missing: ['public.total_of(order_id bigint)'],
    different: ['public.tax_rate()'],
  }
  shop.verified = false
  return {
    ...report,
    status: 'failed',
    phases: report.phases.map((phase) =>
      phase.name === 'verify' ? { ...phase, status: 'failed' } : phase,
    ),
    verified: false,
    cutoverSeconds: null,
    error: {
      message: 'Verification found differences: 2 tables and 2 objects of database shop',
      cause: '13 rows of public.orders are not on the target, and 1 entry could not be restored',
      remedy:
        'Do not switch over. Read the differences, then migrate again with if-target-not-empty: replace',
    },
  }
}

/** A migration that was cancelled while the larger database was being dumped. */
export function cancelledReport(): SampleReport {
  const { roles: _roles, artifact: _artifact, ...report } = goodReport()
  return {
    ...report,
    checklist: [],
    status: 'cancelled',
    phases: [
      ...report.phases.slice(0, 4),
      { name: 'dump', status: 'failed', startedAt: 3.6, seconds: 20.9, database: 'shop' },
    ],
    checks: report.checks.slice(0, 2),
    databases: [],
    verified: false,
    cutoverSeconds: null,
    warnings: [],
    error: {
      message: 'The job was cancelled',
      cause: 'The runner asked the action to stop',
      remedy: 'Run it again',
    },
  }
}

/** Names and messages made to break out of whatever shows them. */
export const hostile = [
  '::error::x',
  '##[add-mask]x',
  'a\nb\r\n::add-mask::b',
  '\x1b[31mred\x9b0m',
  '\u202egnp.exe\u200b\u2028',
  '</code></details><script>alert(1)</script><img src=x onerror=alert(1)>',
  "\"><svg onload=alert(1)> ' onclick='x",
  'a|b \\| c',
  '`` ` ```mermaid',
  '**bold** _it_ ~~no~~ [link](https://evil.example) ![i](https://evil.example/p.png)',
  '@octocat #1 GH-2 :tada: $x^2$ www.evil.example me@evil.example <!-- gone -->',
  '%% section x; click y :crit, 0, 9ms #35;',
  '🐘❤️👩‍🚀',
  '\ud800',
  '',
] as const

/** A failed run in which every text that comes from a database or a program is hostile. */
export function hostileReport(): SampleReport {
  const report = failedReport()
  const all = hostile.join(' ')
  return {
    ...report,
    phases: hostile.map((database, index) => ({
      name: 'dump',
      status: index === 0 ? 'failed' : 'succeeded',
      startedAt: index,
      seconds: 1,
      database,
    })),
    checks: hostile.map((text) => ({
      id: text,
      severity: 'blocker',
      status: 'failed',
      message: text,
      objects: [...hostile],
      remedy: text,
    })),
    roles: {
      source: 1,
      created: 1,
      existing: 0,
      differences: hostile.map((text) => ({
        role: text,
        what: text,
        reason: text,
        explained: false,
      })),
      memberships: { source: 0, restored: 0 },
      passwordsToSet: [...hostile],
      verified: false,
    },
    databases: hostile.map((text) => ({
      name: text,
      target: `${text}2`,
      bytes: 1,
      dumpBytes: 1,
      dumpSeconds: 1,
      restoreSeconds: 1,
      restore: {
        entries: 1,
        restored: 0,
        skipped: [{ entry: text, reason: text }],
        failed: [{ entry: text, reason: text, sqlstate: text, statement: text, remedy: text }],
        attempts: 1,
      },
      tables: hostile.flatMap((name) => [
        { ...table(text, name, 1), targetRows: 0, match: false, differingKeys: [name] },
        { ...table(text, `${name}3`, 1), targetRows: 0, match: false, explained: name },
        table(text, `${name}4`, 1),
      ]),
      objects: [
        {
          kind: text,
          source: 1,
          target: 0,
          missing: [text],
          different: [],
          explained: [{ entry: `${text}5`, reason: text }],
        },
      ],
      verified: false,
      error: { message: text, cause: text, remedy: text },
    })),
    warnings: [...hostile, all],
    error: { message: all, cause: all, remedy: all },
  }
}

/** A rehearsal after `runs` nights of others, with the outage to announce. */
export function rehearsedReport(runs = 10): SampleReport {
  const { artifact: _artifact, ...report } = goodReport()
  const GiB = 1024 ** 3
  const history = Array.from({ length: runs }, (_, index) => {
    const seconds = 1150 + 45 * index + (index % 3) * 40
    return samplePoint({
      run: String(7000 + index),
      // one night is missing
      startedAt: new Date(Date.UTC(2026, 10, 1 + index + (index > 4 ? 1 : 0), 1, 17)).toISOString(),
      bytes: (38 + index) * GiB,
      seconds,
      verified: index !== 6,
      stated:
        index < 3
          ? null
          : { low: 1000 + 40 * index, high: 1250 + 45 * index, confidence: index < 5 ? null : 0.6 },
    })
  })
  return {
    ...report,
    command: 'rehearse',
    words: { did: 'Rehearsed', noun: 'Rehearsal', ends: 'compared' },
    forecast: sampleForecast(),
    history,
  } as SampleReport
}

/** A good run over `tables` tables in ten schemas; every 1,000th table differs where `differing` is set. */
export function largeReport(tables: number, differing = false): SampleReport {
  const report = goodReport()
  report.checklist = []
  const [shop] = report.databases
  if (!shop) throw new Error('the good report has a database')
  const step = 180 / tables
  shop.tables = Array.from({ length: tables }, (_, index) => ({
    ...table(`tenant_${index % 10}`, `measurements_of_station_${index}`, index * 3),
    timeline: {
      dump: {
        start: 3.6 + (46 * index) / tables,
        end: 3.6 + (46 * (index + 1)) / tables,
        busy: step,
      },
      load: { start: 50.8 + (50 * index) / tables, end: 51 + (50 * index) / tables, busy: step },
      indexes: { start: 101.2, end: 120.4, busy: step },
      check: { start: 149.1 + (40 * index) / tables, end: 150 + (40 * index) / tables, busy: step },
    },
    ...(differing && index % 1000 === 999 ? { targetRows: 1, match: false } : {}),
  }))
  return report
}

function table(schema: string, name: string, rows: number) {
  return { schema, name, sourceRows: rows, targetRows: rows, match: true }
}

function kind(name: string, count: number) {
  return { kind: name, source: count, target: count, missing: [], different: [] }
}
