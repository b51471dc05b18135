import {
  counted,
  formatBytes,
  formatCount,
  formatDuration,
  formatRange,
  markdown,
  markdownCode,
  shorten,
} from '../text/text.ts'
import {
  databaseResult,
  differencesOf,
  differingObjects,
  leftOutOf,
  rowsOf,
  tableDifference,
  tableDiffers,
  tablesInOrder,
} from './findings.ts'
import { blockerPart, passedRows, warningParts } from './markdown-checks.ts'
import type { Range, Report, RoleDifference } from './model.ts'
import { compares, outcome, sentence, serverName, writtenWords } from './verdict.ts'

/** GitHub draws up to 1 MiB of summary a step and refuses a longer one as a whole; some room stays for line ends. */
const limit = 1024 * 1024 - 4096

/** Tables that compared equal are listed up to this many, the largest first: report.html has them all. */
const equalTables = 100

/** Bars in the timeline: more cannot be read, and GitHub draws no Mermaid text beyond 50,000 characters. */
const bars = 50

/** The longest text in a cell: one endless message must not push the rest out. */
const longestCell = 1000

const elsewhere = '`report.html` and `report.json` in the artifact `polardb-report`'

/**
 * The job summary in GitHub's Markdown, always under 1 MiB: the verdict, what needs attention, the timeline, then the
 * tables. When there is more than fits, lists are cut and say by how much; no section takes more than a third of the
 * room that is left, so that a long one never hides those after it.
 */
export function renderMarkdown(report: Report): string {
  const page = new Page()
  page.add(heading(report))
  page.add(failure(report))
  page.add(freeze(report))
  blockers(page, report)
  // where checks are all there is, they are read first
  if (isPreflight(report)) checkWarnings(page, report)
  failedEntries(page, report)
  checklist(page, report)
  differences(page, report)
  page.add(timeline(report))
  estimate(page, report)
  databases(page, report)
  roles(page, report)
  leftOut(page, report)
  notCompared(page, report)
  const warnings = report.warnings.map((warning) => `- ${prose(warning)}`)
  page.list('### Warnings', warnings)
  if (!isPreflight(report)) checkWarnings(page, report)
  passedChecks(page, report)
  tables(page, report)
  objects(page, report)
  return page.text
}

const isPreflight = ({ words }: Report) => words.ends === 'checked'

class Page {
  text = ''
  #left = limit

  /** A block as a whole; the limit holds even if blocks that are no longer small should come this way one day. */
  add(block: string): void {
    const piece = `${block}\n\n`
    if (block === '' || Buffer.byteLength(piece) > this.#left) return
    this.text += piece
    this.#left -= Buffer.byteLength(piece)
  }

  /** Lines under a head, as many as may be, and how many there are beyond them and the `more` not even given. */
  list(head: string, lines: string[], more = 0, tail = ''): void {
    if (lines.length === 0) return
    // what the head, the note and the tail need
    let room = this.#left / 3 - Buffer.byteLength(head) - 300
    const shown: string[] = []
    for (const line of lines) {
      room -= Buffer.byteLength(line) + 1
      if (room < 0) break
      shown.push(line)
    }
    const missing = lines.length - shown.length + more
    const note = missing > 0 ? `\n\n${formatCount(missing)} more: see ${elsewhere}.` : ''
    const gap = head.endsWith('|') ? '\n' : '\n\n'
    this.add(`${head}${gap}${shown.join('\n')}${note}${tail}`)
  }

  table(head: string, columns: string[], rows: string[][]): void {
    this.list(tableHead(head, columns), rows.map(row))
  }

  /** A table that is folded away until somebody wants to see it. */
  folded(summary: string, columns: string[], rows: string[][], more = 0): void {
    const head = tableHead(`<details>\n<summary>${summary}</summary>`, columns)
    this.list(head, rows.map(row), more, '\n\n</details>')
  }
}

/** A column whose name ends in `>` is aligned to the right. */
function tableHead(head: string, columns: string[]): string {
  const names = columns.map((column) => column.replace(/>$/, ''))
  const rules = columns.map((column) => (column.endsWith('>') ? '---:' : '---'))
  return `${head}\n\n${row(names)}\n${row(rules)}`
}

function row(cells: string[]): string {
  return `| ${cells.join(' | ')} |`
}

const prose = (text: string) => markdown(shorten(text, longestCell))
const code = (text: string) => markdownCode(shorten(text, longestCell))
const codes = (texts: readonly string[]) => {
  const shown = texts.slice(0, 10).map(code)
  return shown.join(', ') + (texts.length > 10 ? ` and ${formatCount(texts.length - 10)} more` : '')
}

function heading(report: Report): string {
  const { mark, title, sentence } = outcome(report)
  const sides = [
    ...(report.source ? [prose(serverName(report.source))] : []),
    ...(report.target ? [prose(serverName(report.target))] : []),
  ].join(' → ')
  const facts = [
    ...(sides ? [sides] : []),
    ...(report.client ? [`client programs ${prose(report.client.version)}`] : []),
    ...(report.cutoverSeconds === null
      ? []
      : [`${formatDuration(report.cutoverSeconds)} from the first byte dumped to verified`]),
    ...(report.dump ? [`dump ${code(report.dump.id)} of ${prose(report.dump.createdAt)}`] : []),
    ...(report.artifact
      ? [
          `dump kept as artifact ${code(report.artifact.name)}, ${formatBytes(report.artifact.bytes)}`,
        ]
      : []),
  ]
  const symbol = { good: '✅', doubtful: '⚠️', bad: '❌' }[mark]
  return [`## ${symbol} ${title}`, prose(sentence), facts.join(' · ')].filter(Boolean).join('\n\n')
}

function failure({ error }: Report): string {
  if (!error) return ''
  const lines = [
    `**What:** ${prose(sentence(error.message))}`,
    ...(error.cause ? [`**Why:** ${prose(sentence(error.cause))}`] : []),
    ...(error.remedy ? [`**Next step:** ${prose(sentence(error.remedy))}`] : []),
  ]
  return `> [!CAUTION]\n> ${lines.join('\n>\n> ')}`
}

/** Whether the source takes writes, and what to do about it: whoever cuts over or goes back must not have to look for it. */
function freeze({ freeze }: Report): string {
  if (!freeze?.next) return ''
  const kind = freeze.frozen ? 'IMPORTANT' : 'NOTE'
  const state = freeze.frozen
    ? `The source is frozen${freeze.since === null ? '' : ` since ${prose(freeze.since)}`}.`
    : 'The source is not frozen.'
  const written = writtenWords(freeze)
  return `> [!${kind}]\n> **${state}** ${prose(sentence(freeze.next))}${written ? ` ${prose(written)}` : ''}`
}

function blockers(page: Page, report: Report): void {
  const { head, lines } = blockerPart(report)
  page.list(head, lines)
}

function failedEntries(page: Page, report: Report): void {
  const rows = report.databases.flatMap(({ target, restore }) =>
    (restore?.failed ?? []).map((entry) => [
      code(target),
      code(entry.entry),
      entry.sqlstate === null ? '' : code(entry.sqlstate),
      prose(entry.reason),
      prose(entry.remedy),
    ]),
  )
  const columns = ['Database', 'Entry', 'SQLSTATE', 'Reason', 'Next step']
  page.table('### Entries that could not be restored', columns, rows)
}

function checklist(page: Page, { checklist }: Report): void {
  const rows = checklist.map(({ what, side, database, lines }) => [
    prose(what),
    side === null ? '' : database === null ? side : `${side}, ${code(database)}`,
    lines.map(code).join('<br>'),
  ])
  page.table('### At the cutover', ['What', 'Where', 'Lines to paste'], rows)
}

function differences(page: Page, report: Report): void {
  const rows = differencesOf(report).map(({ database, kind, object, how, keys }) => [
    code(database),
    `${prose(kind)} ${code(object)}`,
    how,
    codes(keys),
  ])
  page.table('### Differences', ['Database', 'What', 'Difference', 'Keys'], rows)
}

/** Mermaid draws times in the reader's own time zone, as GitHub does everywhere else. */
function timeline(report: Report): string {
  const start = Date.parse(report.startedAt)
  const ran = report.phases.filter((phase) => phase.status !== 'skipped')
  if (Number.isNaN(start) || ran.length === 0) return ''
  const drawn = ran
    .toSorted((a, b) => b.seconds - a.seconds)
    .slice(0, bars)
    .toSorted((a, b) => a.startedAt - b.startedAt)
  const lines: string[] = []
  const sections = new Set(drawn.map((phase) => phase.database))
  // a run of one database needs no names between its bars
  const named = [...sections].filter((name) => name !== undefined).length > 1
  for (const section of named ? sections : [undefined]) {
    if (named) lines.push(`  section ${section === undefined ? 'All databases' : plain(section)}`)
    for (const phase of drawn.filter((phase) => !named || phase.database === section)) {
      const tag = phase.status === 'failed' ? 'crit, ' : ''
      const from = Math.round(start + phase.startedAt * 1000)
      const took = Math.max(1, Math.round(phase.seconds * 1000))
      const failed = phase.status === 'failed' ? ' failed' : ''
      lines.push(
        `  ${phase.name} ${formatDuration(phase.seconds)}${failed} :${tag}${from}, ${took}ms`,
      )
    }
  }
  return [
    '### Timeline',
    '',
    '```mermaid',
    'gantt',
    '  dateFormat x',
    '  axisFormat %H:%M:%S',
    '  todayMarker off',
    ...lines,
    '```',
    ...(ran.length > drawn.length
      ? ['', `The ${bars} longest of ${formatCount(ran.length)} phases.`]
      : []),
  ].join('\n')
}

/** A name that Mermaid reads as nothing but a name; the tables below show it as it is. */
function plain(name: string): string {
  return shorten(name.replace(/[^\p{L}\p{M}\p{N}_. -]+/gu, '·'), 20).trim() || '·'
}

/** What a migration will take, where that was estimated. */
function estimate(page: Page, { estimate }: Report): void {
  if (!estimate) return
  const took = ({ seconds }: { seconds: Range }) => formatRange(seconds, formatDuration)
  const phases = estimate.phases.map((phase) => [phase.name, took(phase)])
  page.table(
    '### Estimate',
    ['What', 'How much'],
    [
      ['the whole migration', took(estimate)],
      ...phases,
      ['the dump', formatRange(estimate.dumpBytes, formatBytes)],
    ],
  )
  const each = estimate.databases.map((database) => [
    markdownCode(database.name),
    took(database),
    formatRange(database.dumpBytes, formatBytes),
  ])
  if (each.length > 1) page.folded('Each database', ['Database', 'Time', 'Dump'], each)
  page.list(
    '',
    estimate.basis.map((sentence) => `- ${prose(sentence)}`),
  )
}

function databases(page: Page, report: Report): void {
  const rows = report.databases.map((database) => [
    database.name === database.target
      ? code(database.name)
      : `${code(database.name)} → ${code(database.target)}`,
    formatBytes(database.bytes),
    database.dumpBytes > 0 ? formatBytes(database.dumpBytes) : '–',
    database.dumpBytes > 0 ? formatDuration(database.dumpSeconds) : '–',
    database.restore
      ? `${formatCount(database.restore.restored)} of ${formatCount(database.restore.entries)}`
      : '–',
    database.restore ? formatDuration(database.restoreSeconds) : '–',
    database.tables.length > 0 ? formatCount(database.tables.length) : '–',
    database.tables.length > 0 ? formatCount(rowsOf(database.tables)) : '–',
    ...(compares(report) ? [databaseResult(database)] : []),
  ])
  const columns = ['Database', 'Size>', 'Dump>', 'Dumped in>', 'Entries restored>', 'Restored in>']
  const last = ['Tables>', 'Rows>', ...(compares(report) ? ['Compared'] : [])]
  page.table('### Databases', [...columns, ...last], rows)
}

function roles(page: Page, { roles }: Report): void {
  if (!roles) return
  const facts = [
    `${counted(roles.source, 'role')} on the source`,
    `${formatCount(roles.created)} created`,
    `${formatCount(roles.existing)} there already`,
    ...(roles.updated === undefined ? [] : [`${formatCount(roles.updated)} updated`]),
    `${formatCount(roles.memberships.restored)} of ${counted(roles.memberships.source, 'membership')} restored`,
    roles.verified ? 'verified' : 'not verified',
  ]
  page.add(`### Roles\n\n${facts.join(' · ')}`)
  const toSet = (roles.passwordsToSet ?? []).map((role) => `- ${code(role)}`)
  page.list('**Passwords to set by hand:**', toSet)
  const inOrder = (a: RoleDifference, b: RoleDifference) =>
    Number(a.explained) - Number(b.explained)
  const rows = roles.differences
    .toSorted(inOrder)
    .map(({ role, what, reason, explained }) => [
      code(role),
      prose(what),
      explained ? prose(reason) : `❌ ${prose(reason)}`,
    ])
  page.list(tableHead('', ['Role', 'Difference', 'Reason']).trim(), rows.map(row))
}

function leftOut(page: Page, report: Report): void {
  const rows = leftOutOf(report).map(({ database, kind, object, reason }) => [
    code(database),
    `${prose(kind)} ${code(object)}`.trim(),
    prose(reason),
  ])
  const columns = ['Database', 'What', 'Reason']
  page.table('### Left out or changed, with the reason', columns, rows)
}

function notCompared(page: Page, report: Report): void {
  const rows = report.databases.flatMap(({ target, notCompared = [] }) =>
    notCompared.map((line) => [code(target), prose(line)]),
  )
  page.table('### Not compared', ['Database', 'What'], rows)
}

/** What failed but stops nothing, and what could not be asked. */
function checkWarnings(page: Page, report: Report): void {
  for (const { head, lines } of warningParts(report)) page.list(head, lines)
}

function passedChecks(page: Page, report: Report): void {
  const rows = passedRows(report)
  page.folded(`Checks: ${formatCount(rows.length)} passed`, ['Check', 'What was found'], rows)
}

function tables(page: Page, report: Report): void {
  const all = report.databases.flatMap((database) =>
    tablesInOrder(database).map((table) => ({ database: database.target, table })),
  )
  const odd = all.filter(({ table }) => !table.match)
  const equal = all
    .filter(({ table }) => table.match)
    .toSorted((a, b) => (b.table.sourceRows ?? 0) - (a.table.sourceRows ?? 0))
  const shown = [...odd, ...equal.slice(0, equalTables)]
  page.folded(
    `Tables: ${formatCount(equal.length)} of ${formatCount(all.length)} equal`,
    ['Database', 'Table', 'Source rows>', 'Target rows>', 'Result'],
    shown.map(({ database, table }) => [
      code(database),
      code(`${table.schema}.${table.name}`),
      table.sourceRows === null ? '–' : formatCount(table.sourceRows),
      table.targetRows === null ? '–' : formatCount(table.targetRows),
      `${tableDiffers(table) ? '❌ ' : ''}${prose(tableDifference(table))}`,
    ]),
    all.length - shown.length,
  )
}

function objects(page: Page, report: Report): void {
  const rows = report.databases.flatMap((database) =>
    database.objects.map((kind) => [
      code(database.target),
      prose(kind.kind),
      formatCount(kind.source),
      formatCount(kind.target),
      differingObjects(kind).length === 0
        ? 'equal'
        : `❌ ${counted(differingObjects(kind).length, 'difference')}`,
    ]),
  )
  const columns = ['Database', 'Kind', 'Source>', 'Target>', 'Result']
  page.folded('Objects by kind', columns, rows)
}
