import { describe, expect, test } from '@jest/globals'
import { wordsOf } from '../../src/commands/index.ts'
import { renderMarkdown } from '../../src/report/markdown.ts'
import {
  cancelledReport,
  failedReport,
  goodReport,
  hostile,
  hostileReport,
  largeReport,
  rehearsedReport,
} from '../support/sample-reports.ts'

/** What GitHub refuses: a summary of more than 1 MiB a step. */
const mebibyte = 1024 * 1024

test('the summary of a run that went well is exactly this', () => {
  expect(renderMarkdown(goodReport()).split('\n')).toEqual([
    '## ✅ Migrated and verified',
    '',
    'Migrated 2 databases, 41 roles, 8 tables, 83,923,268 rows in 3 min 12 s: every row and object compared equal; 3 kinds of difference are known, and the report explains them.',
    '',
    'PostgreSQL 11.22 → PolarDB 11.9 (polar&#95;version 1.1.20) · client programs 11.22 · 3 min 8 s from the first byte dumped to verified · dump kept as artifact `polardb-dump`, 4.1 GB',
    '',
    '### Timeline',
    '',
    '```mermaid',
    'gantt',
    '  dateFormat x',
    '  axisFormat %H:%M:%S',
    '  todayMarker off',
    '  section All databases',
    '  preflight 0.8 s :1795138200000, 800ms',
    '  client 2.4 s :1795138200800, 2400ms',
    '  dump-roles 0.4 s :1795138203200, 400ms',
    '  restore-roles 1.1 s :1795138249600, 1100ms',
    '  analyze 12 s :1795138336800, 12200ms',
    '  verify 43 s :1795138349000, 43000ms',
    '  section shop',
    '  dump 46 s :1795138203600, 46000ms',
    '  upload 21 s :1795138249600, 21000ms',
    '  restore 1 min 11 s :1795138250700, 71300ms',
    '  section audit',
    '  dump 9.5 s :1795138249600, 9500ms',
    '  upload 4.2 s :1795138270600, 4200ms',
    '  restore 15 s :1795138322000, 14800ms',
    '```',
    '',
    '<details>',
    '<summary>Phases: 13</summary>',
    '',
    '| Phase | Database | Status | Started after | Took |',
    '| --- | --- | --- | ---: | ---: |',
    '| preflight |  | succeeded | 0.0 s | 0.8 s |',
    '| client |  | succeeded | 0.8 s | 2.4 s |',
    '| freeze |  | skipped | – | – |',
    '| dump-roles |  | succeeded | 3.2 s | 0.4 s |',
    '| dump | `shop` | succeeded | 3.6 s | 46 s |',
    '| restore-roles |  | succeeded | 50 s | 1.1 s |',
    '| upload | `shop` | succeeded | 50 s | 21 s |',
    '| dump | `audit` | succeeded | 50 s | 9.5 s |',
    '| restore | `shop` | succeeded | 51 s | 1 min 11 s |',
    '| upload | `audit` | succeeded | 1 min 11 s | 4.2 s |',
    '| restore | `audit` | succeeded | 2 min 2 s | 15 s |',
    '| analyze |  | succeeded | 2 min 17 s | 12 s |',
    '| verify |  | succeeded | 2 min 29 s | 43 s |',
    '',
    '</details>',
    '',
    '### Databases',
    '',
    '| Database | Size | Dump | Dumped in | Entries restored | Restored in | Tables | Rows | Compared |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |',
    '| `shop` | 17 GB | 3.8 GB | 46 s | 511 of 512 | 1 min 11 s | 6 | 65,721,623 | equal |',
    '| `audit` → `audit_2026` | 2.1 GB | 296 MB | 9.5 s | 40 of 40 | 15 s | 2 | 18,201,645 | equal |',
    '',
    '### Roles',
    '',
    '41 roles on the source · 37 created · 4 there already · 20 of 20 memberships restored · verified',
    '',
    '| Role | Difference | Reason |',
    '| --- | --- | --- |',
    '| `dba` | SUPERUSER | PolarDB has no SUPERUSER to give; the role has POLAR&#95;SUPERUSER instead |',
    '| `repl` | REPLICATION | The account of the migration may not give REPLICATION |',
    '',
    '### Left out or changed, with the reason',
    '',
    '| Database | What | Reason |',
    '| --- | --- | --- |',
    '| `shop` | `EXTENSION plpython3u` | The target does not have it; allow-missing lets it be left out |',
    '',
    '### What to do next',
    '',
    '1. Nothing was written to the source while it was dumped, but nothing keeps anybody from it now: stop the applications, or migrate with freeze-source: true for the cutover',
    '2. Change the connection strings of the applications to the primary endpoint of the target: host, port, account; "audit" is called "audit&#95;2026" there',
    '3. Enable the event trigger, which is on the source (target, `shop`)<br><code>ALTER EVENT TRIGGER "watch &#124; it" ENABLE</code>',
    '4. To go back: let the applications use the source as before, on which nothing was changed. What was written to the target meanwhile is not there',
    '5. Release the ECS instance that ran the job, where one was started for it: the action runner/stop does, in a job with if: always()',
    '',
    '### Warnings',
    '',
    '- The source has 2 replication slots: they are not migrated.',
    '',
    '### Warnings of checks',
    '',
    '**`extension-unavailable`** (warning): The target does not have 1 extension of the source; allow-missing lets it be left out<br>',
    'Concerns `plpython3u`<br>',
    '**Next step:** Rewrite what uses it, or ask Alibaba Cloud for it',
    '',
    '',
    '### Checks that could not be asked',
    '',
    '- allow-writes is set (`source-writes`)',
    '',
    '<details>',
    '<summary>Checks: 2 passed</summary>',
    '',
    '| Check | What was found |',
    '| --- | --- |',
    '| `target-version` | The target is no older than the source |',
    '| `target-empty` | No target database exists yet |',
    '',
    '</details>',
    '',
    '<details>',
    '<summary>Tables: 8 of 8 equal</summary>',
    '',
    '| Database | Table | Source rows | Target rows | Result |',
    '| --- | --- | ---: | ---: | --- |',
    '| `shop` | `public.order_items` | 41,220,987 | 41,220,987 | equal |',
    '| `audit_2026` | `public.events` | 18,200,441 | 18,200,441 | equal |',
    '| `shop` | `public.orders` | 9,881,204 | 9,881,204 | equal |',
    '| `shop` | `billing.payments` | 7,120,003 | 7,120,003 | equal |',
    '| `shop` | `billing.invoices` | 7,004,512 | 7,004,512 | equal |',
    '| `shop` | `public.customers` | 482,113 | 482,113 | equal |',
    '| `shop` | `public.products` | 12,804 | 12,804 | equal |',
    '| `audit_2026` | `public.actors` | 1,204 | 1,204 | equal |',
    '',
    '</details>',
    '',
    '<details>',
    '<summary>Objects by kind</summary>',
    '',
    '| Database | Kind | Source | Target | Result |',
    '| --- | --- | ---: | ---: | --- |',
    '| `shop` | index | 31 | 31 | equal |',
    '| `shop` | function | 44 | 44 | equal |',
    '| `shop` | view | 12 | 12 | equal |',
    '| `shop` | trigger | 9 | 9 | equal |',
    '| `shop` | sequence | 18 | 18 | equal |',
    '| `shop` | large object | 204 | 204 | equal |',
    '| `audit_2026` | index | 4 | 4 | equal |',
    '| `audit_2026` | function | 1 | 1 | equal |',
    '',
    '</details>',
    '',
    '',
  ])
})

/** The headings of a summary, in their order. */
function headings(text: string): string[] {
  return text.match(/^###? .*|^<summary>\w+/gm) ?? []
}

test('the summary of a failed run says first why, then what could not be restored and what differs', () => {
  const text = renderMarkdown(failedReport())
  expect(headings(text).slice(0, 4)).toEqual([
    '## ❌ Migration failed',
    '### Entries that could not be restored',
    '### Differences',
    '### Timeline',
  ])
  expect(text).toContain(`> [!CAUTION]
> **What:** Verification found differences: 2 tables and 2 objects of database shop.
>
> **Why:** 13 rows of public.orders are not on the target, and 1 entry could not be restored.
>
> **Next step:** Do not switch over. Read the differences, then migrate again with if-target-not-empty: replace.
`)
  expect(text).toContain('| `shop` | table `public.orders` | 13 rows missing | `(id)=(…)` |\n')
  expect(text).toContain('\n  verify 43 s failed :crit, 1795138349000, 43000ms\n')
  expect(text).toContain('<summary>Tables: 6 of 8 equal</summary>')
  expect(text).toContain(
    '| `shop` | `public.orders` | 9,881,204 | 9,881,191 | ❌ 13 rows missing |',
  )
  expect(text).toContain('| `shop` | function | 44 | 43 | ❌ 2 differences |')
})

test('the summary of a cancelled run says where it was', () => {
  const text = renderMarkdown(cancelledReport())
  expect(text.split('\n').slice(0, 3)).toEqual([
    '## ❌ Migration cancelled',
    '',
    'Migration cancelled in phase dump of database "shop" after 25 s.',
  ])
  expect(text).toContain('\n  dump 21 s failed :crit, 1795138203600, 20900ms\n')
})

test('what a rehearsal made and could not remove is said at the top', () => {
  const rehearsal = { name: 'rehearsal_1', outcome: 'left', note: 'It may still be there' } as const
  const text = renderMarkdown({ ...rehearsedReport(), rehearsal })
  expect(text).toContain(
    '> [!IMPORTANT]\n> It may still be there. Its names begin with `rehearsal_1`.\n',
  )
})

test('a preflight that is not ready says so once, and each blocker once', () => {
  const report = { ...failedReport(), command: 'preflight', words: wordsOf('preflight') }
  const text = renderMarkdown({
    ...report,
    databases: [],
    checks: ['This is so', 'That is so'].map((message, index) => ({
      ...({ id: `check-${index}`, severity: 'blocker', status: 'failed', message } as const),
      ...{ objects: [], remedy: `Mend it ${index}` },
    })),
    error: {
      message: 'Not ready to migrate: 2 blockers',
      cause: 'check-0, check-1',
      remedy: 'Mend',
    },
  })
  expect(text.split('\n').slice(0, 3)).toEqual([
    '## ❌ Not ready',
    '',
    'Not ready to migrate: 2 blockers; 0 of 2 checks passed. Nothing was touched.',
  ])
  for (const once of ['2 blockers', 'This is so', 'That is so', 'Mend it 0', 'check-1'])
    expect(text.split(once)).toHaveLength(2)
})

describe('hostile names and messages', () => {
  const text = renderMarkdown(hostileReport())
  const [before = '', gantt = '', after = ''] = text.split(/```(?:mermaid)?\n/)

  test('break no table: every row has as many cells as its head', () => {
    let cells = 0
    let rows = 0
    for (const line of text.split('\n')) {
      const pipes = line.split('|').length
      if (!line.startsWith('|')) cells = 0
      else if (cells === 0) cells = pipes
      else {
        expect([line, pipes]).toEqual([line, cells])
        rows += 1
      }
    }
    expect(rows).toBeGreaterThan(500)
  })

  test('begin no element, link, image, emphasis, math or mention outside code', () => {
    const prose = `${before}${after}`
      .replace(/`[^`\n]*`/g, '')
      .replace(/<\/?(?:span|code|details|summary|br)>/g, '')
      .replace(/<span>[^<]*<\/span>/g, '')
      .replace(/^> \[!CAUTION\]$/m, '')
      .replaceAll('**', '')
    expect(prose).not.toMatch(/[<[\]\\`*_~]|(?<!^)!(?=\[)/)
    expect(text.replace(/`[^`\n]*`/g, '')).not.toMatch(/(?<!<span>)[@$]|https:|www\./)
  })

  test('leave nothing invisible in the text', () => {
    for (const line of text.split('\n')) {
      expect(line.replaceAll('👩‍🚀', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
    }
  })

  test('are shown in full in the tables', () => {
    expect(text).toContain('`::error::x2`')
    expect(text).toContain('`a\\nb\\r\\n::add-mask::b2`')
    expect(text).toContain('<code>a&#124;b &#92;&#124; c2</code>')
  })

  test('are but names to Mermaid, which reads nothing else from them', () => {
    const lines = gantt.trimEnd().split('\n').slice(4)
    expect(lines.length).toBeGreaterThan(hostile.length)
    for (const line of lines) {
      expect(line).toMatch(
        /^ {2}(?:section [\p{L}\p{M}\p{N}_. ·…-]+|dump 1\.0 s(?: failed)? :(?:crit, )?\d+, 1000ms)$/u,
      )
    }
  })
})

describe('what a check gives to be pasted', () => {
  const pasting = (paste: string) => {
    const report = hostileReport()
    report.checks = report.checks.slice(0, 1).map((check) => ({ ...check, paste, why: 'because' }))
    return renderMarkdown(report)
  }

  test('is a block of code that nothing in it ends', () => {
    const text = pasting('GRANT a\r\n```\n::error::x\u202e\n````` </pre>')
    expect(text).toContain('\n``````\nGRANT a\\r\n```\n::error::x\\u202e\n````` </pre>\n``````\n')
    expect(text).toContain('Why it matters: because')
  })

  test('is cut where it is long, and says so', () => {
    const text = pasting(Array.from({ length: 1000 }, (_, line) => `line ${line}`).join('\n'))
    expect(text).toContain('line 39\n```\n\n960 more lines are in `report.json`.')
  })
})

describe('size', () => {
  test('20,000 tables that are equal are counted, and the largest are listed', () => {
    const text = renderMarkdown(largeReport(20_000))
    expect(text).toContain('Tables: 20,002 of 20,002 equal')
    expect(text).toContain('19,902 more: see `report.html` and `report.json`')
    expect(Buffer.byteLength(text)).toBeLessThan(20_000)
  })

  test('whatever is long, the summary stays under 1 MiB and no section is lost', () => {
    const report = hostileReport()
    const many = <T>(items: T[]) => Array.from({ length: 3000 }, () => items).flat()
    const long = '|`<🐘'.repeat(5000)
    report.checks = many(report.checks.slice(0, 1)).flatMap((check) => [
      { ...check, message: long },
      { ...check, message: long, severity: 'warning' as const },
      { ...check, message: long, status: 'passed' as const },
    ])
    if (report.roles) {
      report.roles.passwordsToSet = many([long])
      report.roles.differences = many(report.roles.differences)
    }
    report.warnings = many(report.warnings)
    report.phases = many(report.phases)
    report.databases = [...many(report.databases.slice(0, 1)), ...report.databases]
    report.error = { message: long, cause: long, remedy: long }
    const text = renderMarkdown(report)
    expect(Buffer.byteLength(text)).toBeLessThan(mebibyte)
    expect(headings(text)).toEqual([
      '## ❌ Migration failed',
      '### Blockers',
      '### Entries that could not be restored',
      '### Differences',
      '### Timeline',
      '<summary>Phases',
      '### Databases',
      '### Roles',
      '### Left out or changed, with the reason',
      '### Warnings',
      '### Warnings of checks',
      '<summary>Checks',
      '<summary>Tables',
      '<summary>Objects',
    ])
    expect(text.match(/^<\/?details>$/gm)).toEqual(
      [1, 2, 3, 4].flatMap(() => ['<details>', '</details>']),
    )
    expect(text).toMatch(/\*\*Passwords to set by hand:\*\*\n\n- <code>/)
    expect(text.match(/ more: see `report\.html` and `report\.json`/g)?.length).toBeGreaterThan(10)
    expect(text).toContain('The 50 longest of 45,000 phases.')
  })
})
