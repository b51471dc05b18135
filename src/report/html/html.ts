import {
  counted,
  formatBytes,
  formatCount,
  formatDuration,
  formatRate,
  shorten,
} from '../../text/text.ts'
import {
  databaseResult,
  differencesOf,
  differingObjects,
  leftOutOf,
  rowsOf,
  tableDifference,
  tableDiffers,
  tablesInOrder,
} from '../findings.ts'
import type { DatabaseResult, Report, TableResult } from '../model.ts'
import { compares, elapsed, outcome, sentence, serverName, writtenWords } from '../verdict.ts'
import { checklist } from './checklist.ts'
import { blockers, checkWarnings, passedChecks } from './checks.ts'
import { definitions, undecided } from './definitions.ts'
import { estimate } from './estimate.ts'
import {
  type Cell,
  code,
  codes,
  cut,
  folded,
  type Markup,
  markup,
  nothing,
  number,
  page,
  section,
  state,
  table,
} from './page.ts'
import { phases } from './timeline.ts'

/** Tables of a database shown in one open list; more are folded away, schema by schema. */
const openTables = 30

/** Rows of a list that are shown before the rest is folded away. */
const openRows = 100

/** Tables that compared equal and are listed at all: browsers do not draw more, and report.json has them. */
const mostTables = 50_000

/** `report.html`: everything the report knows on one self-contained page, the verdict first. */
export function renderHtml(report: Report): string {
  const { mark, title, sentence } = outcome(report)
  const databases = report.databases.map(({ name }) => name).join(', ')
  // where checks are all there is, they are read first
  const isPreflight = report.words.ends === 'checked'
  return page(
    shorten(databases ? `${title}: ${databases}` : title, 200),
    markup`<header class="${mark}"><div>
<p class="kind">PostgreSQL to PolarDB · ${report.command} · ${startOf(report)}</p>
<h1>${symbols[mark]}${title}</h1>
<p>${cut(sentence)}</p>
</div></header>
<main>
${failure(report)}${freeze(report)}${facts(report)}${blockers(report)}${isPreflight ? checkWarnings(report) : nothing}${failedEntries(report)}${checklist(report)}${differences(report)}${definitions(report)}${undecided(report)}${phases(report)}${estimate(report)}${databaseTable(report)}${roles(report)}${leftOut(report)}${notCompared(report)}${warnings(report)}${isPreflight ? nothing : checkWarnings(report)}${passedChecks(report)}${tables(report)}${objects(report)}
</main>
<footer>The same facts for programs are in <code>report.json</code>, beside this file. Times are of the runner's clock.</footer>`,
  )
}

const symbols = {
  good: icon('M4 12.5 9.5 18 20 6.5'),
  doubtful: icon('M12 4v10M12 18.5v1.5'),
  bad: icon('M5.5 5.5l13 13M18.5 5.5l-13 13'),
}

function icon(path: string): Markup {
  return markup`<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${path}" fill="none" stroke="currentColor" stroke-width="3.4" stroke-linecap="round" stroke-linejoin="round"/></svg>`
}

function startOf({ startedAt }: Report): string {
  const date = new Date(startedAt)
  return Number.isNaN(date.getTime())
    ? startedAt
    : `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

function failure({ error }: Report): Markup {
  if (!error) return nothing
  const part = (name: string, text: string, kind = '') =>
    text === '' ? nothing : markup`<dt>${name}</dt><dd class="${kind}">${cut(sentence(text))}</dd>`
  return markup`<dl class="error">${part('What happened', error.message, 'what')}${part('Why', error.cause)}${part('Next step', error.remedy)}</dl>
`
}

function freeze({ freeze }: Report): Markup {
  if (!freeze?.next) return nothing
  const since = freeze.since === null ? '' : ` since ${freeze.since}`
  const title = freeze.frozen ? `The source is frozen${since}` : 'The source is not frozen'
  const sessions = freeze.ended > 0 ? ` ${counted(freeze.ended, 'session')} ended.` : ''
  const spared =
    freeze.spared.length > 0 ? markup` Sessions left alone: ${codes(freeze.spared)}.` : nothing
  return section(
    title,
    markup`<p>${cut(sentence(freeze.next))} ${writtenWords(freeze)}${sessions}${spared}</p>
<p class="quiet">Databases: ${codes(freeze.databases)}</p>`,
  )
}

function facts(report: Report): Markup {
  const fact = (name: string, value: string, detail = '') =>
    markup`<div><dt>${name}</dt><dd>${value}${detail ? markup`<small>${detail}</small>` : nothing}</dd></div>`
  const { source, target, client, dump, artifact } = report
  const size = report.databases.reduce((total, database) => total + database.bytes, 0)
  return markup`<dl class="facts">
${source ? fact('Source', serverName(source)) : nothing}
${target ? fact('Target', `${target.polardb === null ? 'PostgreSQL' : 'PolarDB'} ${target.version}`, target.polardb === null ? 'no PolarDB' : `polar_version ${target.polardb}`) : nothing}
${elapsed(report) > 0 ? fact('Whole run', formatDuration(elapsed(report))) : nothing}
${report.cutoverSeconds === null ? nothing : fact('Cutover', formatDuration(report.cutoverSeconds), 'first byte dumped to verified')}
${client ? fact('Client programs', client.version, client.origin ?? client.directory) : nothing}
${size > 0 ? fact('Size of the source', formatBytes(size)) : nothing}
${dump ? fact('Dump', dump.id, `made at ${dump.createdAt}`) : nothing}
${artifact ? fact('Dump kept as artifact', artifact.name, formatBytes(artifact.bytes)) : nothing}
</dl>
`
}

function failedEntries(report: Report): Markup {
  const rows = report.databases.flatMap(({ target, restore }) =>
    (restore?.failed ?? []).map((entry): Cell[] => [
      code(target),
      code(entry.entry),
      markup`${cut(entry.reason)}${entry.sqlstate === null ? '' : ` (SQLSTATE ${entry.sqlstate})`}${
        entry.remedy ? markup`<span class="remedy">Next step: ${cut(entry.remedy)}</span>` : nothing
      }${entry.statement ? folded('Statement', code(entry.statement)) : nothing}`,
    ]),
  )
  if (rows.length === 0) return nothing
  const title = 'Entries that could not be restored'
  return section(title, table(title, ['Database', 'Entry', 'Why'], rows))
}

function differences(report: Report): Markup {
  const found = differencesOf(report)
  if (found.length === 0) return nothing
  const keys = found.some((difference) => difference.keys.length > 0)
  const columns = ['Database', 'What', 'Difference', ...(keys ? ['Keys of differing rows'] : [])]
  const rows = found.map((difference): Cell[] => [
    code(difference.database),
    markup`${difference.kind} ${code(difference.object)}`,
    state('bad', difference.how),
    ...(keys ? [codes(difference.keys)] : []),
  ])
  const more = rows.slice(openRows)
  return section(
    'Differences',
    table('Differences', columns, rows.slice(0, openRows)),
    more.length > 0
      ? folded(counted(more.length, 'more difference'), table('More differences', columns, more))
      : nothing,
  )
}

function comparison(database: DatabaseResult): Cell {
  const result = databaseResult(database)
  const how = result === 'equal' ? 'good' : result === 'not verified' ? 'doubtful' : 'bad'
  return state(how, result)
}

function databaseTable(report: Report): Markup {
  if (report.databases.length === 0) return nothing
  const speed = (bytes: number, seconds: number) =>
    seconds >= 1 && bytes > 0
      ? markup`<br><span class="quiet">${formatRate(bytes / seconds)}</span>`
      : nothing
  const took = (seconds: number, bytes: number) => ({
    class: 'number',
    content: markup`${formatDuration(seconds)}${speed(bytes, seconds)}`,
  })
  const rows = report.databases.map((database): Cell[] => [
    database.name === database.target
      ? code(database.name)
      : markup`${code(database.name)} → ${code(database.target)}`,
    number(formatBytes(database.bytes)),
    number(database.dumpBytes > 0 ? formatBytes(database.dumpBytes) : '–'),
    database.dumpBytes > 0 ? took(database.dumpSeconds, database.bytes) : number('–'),
    database.restore ? took(database.restoreSeconds, database.bytes) : number('–'),
    number(
      database.restore
        ? `${formatCount(database.restore.restored)} of ${formatCount(database.restore.entries)}`
        : '–',
    ),
    number(database.tables.length > 0 ? formatCount(database.tables.length) : '–'),
    number(database.tables.length > 0 ? formatCount(rowsOf(database.tables)) : '–'),
    ...(compares(report) ? [comparison(database)] : []),
  ])
  const columns = ['Database', 'Size>', 'Dump>', 'Dumped in>', 'Restored in>', 'Entries restored>']
  return section(
    'Databases',
    table(
      'Databases',
      [...columns, 'Tables>', 'Rows>', ...(compares(report) ? ['Compared'] : [])],
      rows,
    ),
  )
}

function roles({ roles }: Report): Markup {
  if (!roles) return nothing
  const { memberships, passwordsToSet = [] } = roles
  const summary = [
    `${counted(roles.source, 'role')} on the source`,
    `${formatCount(roles.created)} created`,
    `${formatCount(roles.existing)} there already`,
    ...(roles.updated === undefined ? [] : [`${formatCount(roles.updated)} updated`]),
    `${formatCount(memberships.restored)} of ${counted(memberships.source, 'membership')} restored`,
    roles.verified ? 'verified' : 'not verified',
  ].join(' · ')
  const rows = roles.differences
    .toSorted((a, b) => Number(a.explained) - Number(b.explained))
    .map((difference): Cell[] => [
      code(difference.role),
      difference.explained ? difference.what : state('bad', difference.what),
      cut(difference.reason),
    ])
  return section(
    'Roles',
    markup`<p>${summary}</p>
`,
    passwordsToSet.length > 0
      ? markup`<p><strong>Passwords to set by hand:</strong> ${codes(passwordsToSet)}</p>
`
      : nothing,
    rows.length > 0 ? table('Role differences', ['Role', 'Difference', 'Reason'], rows) : nothing,
  )
}

function leftOut(report: Report): Markup {
  const rows = leftOutOf(report).map(({ database, kind, object, reason }): Cell[] => [
    code(database),
    markup`${kind} ${code(object)}`,
    cut(reason),
  ])
  if (rows.length === 0) return nothing
  const title = 'Left out or changed, with the reason'
  const columns = ['Database', 'What', 'Reason']
  const more = rows.slice(openRows)
  return section(
    title,
    table(title, columns, rows.slice(0, openRows)),
    more.length > 0
      ? folded(`${formatCount(more.length)} more`, table(title, columns, more))
      : nothing,
  )
}

function notCompared({ databases }: Report): Markup {
  const lines = databases.flatMap(({ target, notCompared = [] }) =>
    notCompared.map((line) => markup`<li>${code(target)}: ${cut(line)}</li>`),
  )
  return lines.length === 0 ? nothing : section('Not compared', markup`<ul>${lines}</ul>`)
}

function warnings({ warnings }: Report): Markup {
  if (warnings.length === 0) return nothing
  return section(
    'Warnings',
    markup`<ul>${warnings.map((warning) => markup`<li>${cut(warning)}</li>`)}</ul>`,
  )
}

function tables(report: Report): Markup {
  const withTables = report.databases.filter((database) => database.tables.length > 0)
  if (withTables.length === 0) return nothing
  const all = withTables.reduce((total, database) => total + database.tables.length, 0)
  let [room, hidden] = [mostTables, 0]
  const lists = withTables.map((database) => {
    const inOrder = tablesInOrder(database)
    const odd = inOrder.filter((table) => !table.match)
    const equal = inOrder.slice(odd.length, odd.length + room)
    room -= equal.length
    hidden += inOrder.length - odd.length - equal.length
    const summary = markup`${code(database.target)}: ${formatCount(inOrder.length - odd.length)} of ${counted(inOrder.length, 'table')} equal`
    if (all <= openTables) return folded(summary, tableList(inOrder), true)
    const oddFirst = markup`${odd.length > 0 ? tableList(odd) : nothing}${bySchema(equal)}`
    return folded(summary, oddFirst, odd.length > 0)
  })
  return section(
    'Tables',
    ...lists,
    hidden > 0
      ? markup`<p class="quiet">${formatCount(hidden)} more equal tables are in report.json.</p>`
      : nothing,
  )
}

function bySchema(equal: TableResult[]): Markup {
  const schemas = [...Map.groupBy(equal, (table) => table.schema)].toSorted(([a], [b]) =>
    a < b ? -1 : 1,
  )
  return markup`${schemas.map(([schema, tables]) => {
    const rows = rowsOf(tables)
    return folded(
      markup`schema ${code(schema)}: ${counted(tables.length, 'table')}, ${counted(rows, 'row')}, all equal`,
      tableList(tables),
    )
  })}`
}

function tableList(tables: TableResult[]): Markup {
  return table(
    'Tables',
    ['Table', 'Source rows>', 'Target rows>', 'Result'],
    tables.map((table) => [
      code(`${table.schema}.${table.name}`),
      number(table.sourceRows === null ? '–' : formatCount(table.sourceRows)),
      number(table.targetRows === null ? '–' : formatCount(table.targetRows)),
      state(
        table.match ? 'good' : tableDiffers(table) ? 'bad' : 'doubtful',
        tableDifference(table),
      ),
    ]),
  )
}

function objects(report: Report): Markup {
  const rows = report.databases.flatMap((database) =>
    database.objects.map((kind): Cell[] => {
      const count = differingObjects(kind).length
      return [
        code(database.target),
        kind.kind,
        number(formatCount(kind.source)),
        number(formatCount(kind.target)),
        count === 0 ? state('good', 'equal') : state('bad', counted(count, 'difference')),
      ]
    }),
  )
  if (rows.length === 0) return nothing
  const columns = ['Database', 'Kind', 'Source>', 'Target>', 'Result']
  const kinds = table('Objects by kind', columns, rows)
  return section(
    'Objects by kind',
    rows.length > 20 ? folded(counted(rows.length, 'kind'), kinds) : kinds,
  )
}
