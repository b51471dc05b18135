import { describe, expect, test } from '@jest/globals'
import { renderMarkdown } from '../../src/report/markdown.ts'
import {
  cancelledReport,
  failedReport,
  goodReport,
  hostile,
  hostileReport,
  largeReport,
} from '../support/sample-reports.ts'

/** What GitHub refuses: a summary of more than 1 MiB a step. */
const mebibyte = 1024 * 1024

test('the summary of a run that went well is exactly this', () => {
  expect(renderMarkdown(goodReport()).split('\n')).toEqual([
    '## ✅ Migrated and verified',
    '',
    'Migrated 2 databases, 41 roles, 8 tables, 83,923,268 rows in 3 min 12 s: every row and object compared equal; what is otherwise has 3 known reasons, which the report gives.',
    '',
    'PostgreSQL 11.22 → PolarDB 11.9 (polar&#95;version 1.1.20) · client programs 11.22 · 3 min 8 s from the first byte dumped to verified · dump kept as artifact `polardb-dump`, 4.1 GB',
    '',
    '### At the cutover',
    '',
    '| What | Where | Lines to paste |',
    '| --- | --- | --- |',
    '| Enable the event trigger, which is on the source | target, `shop` | <code>ALTER EVENT TRIGGER "watch &#124; it" ENABLE</code> |',
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

test('the summary of a failed run is exactly this', () => {
  expect(renderMarkdown(failedReport()).split('\n')).toEqual([
    '## ❌ Migration failed',
    '',
    'Migration failed in phase verify after 3 min 12 s.',
    '',
    'PostgreSQL 11.22 → PolarDB 11.9 (polar&#95;version 1.1.20) · client programs 11.22 · dump kept as artifact `polardb-dump`, 4.1 GB',
    '',
    '> [!CAUTION]',
    '> **What:** Verification found differences: 2 tables and 2 objects of database shop.',
    '>',
    '> **Why:** 13 rows of public.orders are not on the target, and 1 entry could not be restored.',
    '>',
    '> **Next step:** Do not switch over. Read the differences, then migrate again with if-target-not-empty: replace.',
    '',
    '### Entries that could not be restored',
    '',
    '| Database | Entry | SQLSTATE | Reason | Next step |',
    '| --- | --- | --- | --- | --- |',
    '| `shop` | `FK CONSTRAINT public.order_items order_items_order_id_fkey` | `23503` | insert or update on table "order&#95;items" violates foreign key constraint "order&#95;items&#95;order&#95;id&#95;fkey" | Remove the rows without an order on the source, then migrate again |',
    '',
    '### Differences',
    '',
    '| Database | What | Difference | Keys |',
    '| --- | --- | --- | --- |',
    '| `shop` | table `public.orders` | 13 rows missing | `(id)=(…)` |',
    '| `shop` | table `public.products` | 2 rows changed |  |',
    '| `shop` | function `public.total_of(order_id bigint)` | missing on the target |  |',
    '| `shop` | function `public.tax_rate()` | different |  |',
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
    '  verify 43 s failed :crit, 1795138349000, 43000ms',
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
    '### Databases',
    '',
    '| Database | Size | Dump | Dumped in | Entries restored | Restored in | Tables | Rows | Compared |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |',
    '| `shop` | 17 GB | 3.8 GB | 46 s | 509 of 512 | 1 min 11 s | 6 | 65,721,623 | differs |',
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
    '<summary>Tables: 6 of 8 equal</summary>',
    '',
    '| Database | Table | Source rows | Target rows | Result |',
    '| --- | --- | ---: | ---: | --- |',
    '| `shop` | `public.orders` | 9,881,204 | 9,881,191 | ❌ 13 rows missing |',
    '| `shop` | `public.products` | 12,804 | 12,804 | ❌ 2 rows changed |',
    '| `shop` | `public.order_items` | 41,220,987 | 41,220,987 | equal |',
    '| `audit_2026` | `public.events` | 18,200,441 | 18,200,441 | equal |',
    '| `shop` | `billing.payments` | 7,120,003 | 7,120,003 | equal |',
    '| `shop` | `billing.invoices` | 7,004,512 | 7,004,512 | equal |',
    '| `shop` | `public.customers` | 482,113 | 482,113 | equal |',
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
    '| `shop` | function | 44 | 43 | ❌ 2 differences |',
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

test('the summary of a cancelled run is exactly this', () => {
  expect(renderMarkdown(cancelledReport()).split('\n')).toEqual([
    '## ❌ Migration cancelled',
    '',
    'Migration cancelled in phase dump of database "shop" after 25 s.',
    '',
    'PostgreSQL 11.22 → PolarDB 11.9 (polar&#95;version 1.1.20) · client programs 11.22',
    '',
    '> [!CAUTION]',
    '> **What:** The job was cancelled.',
    '>',
    '> **Why:** The runner asked the action to stop.',
    '>',
    '> **Next step:** Run it again.',
    '',
    '### Timeline',
    '',
    '```mermaid',
    'gantt',
    '  dateFormat x',
    '  axisFormat %H:%M:%S',
    '  todayMarker off',
    '  preflight 0.8 s :1795138200000, 800ms',
    '  client 2.4 s :1795138200800, 2400ms',
    '  dump-roles 0.4 s :1795138203200, 400ms',
    '  dump 21 s failed :crit, 1795138203600, 20900ms',
    '```',
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
    '',
  ])
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
    expect(text.match(/^###? .*|^<summary>\w+/gm)).toEqual([
      '## ❌ Migration failed',
      '### Blockers',
      '### Entries that could not be restored',
      '### Differences',
      '### Timeline',
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
      [1, 2, 3].flatMap(() => ['<details>', '</details>']),
    )
    expect(text).toMatch(/\*\*Passwords to set by hand:\*\*\n\n- <code>/)
    expect(text.match(/ more: see `report\.html` and `report\.json`/g)?.length).toBeGreaterThan(10)
    expect(text).toContain('The 50 longest of 45,000 phases.')
  })
})
