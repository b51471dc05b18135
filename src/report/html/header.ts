import { counted, formatBytes, formatDuration } from '../../text/numbers.ts'
import type { Report } from '../model.ts'
import { elapsed, isRefusal, outcome, sentence, serverName, writtenWords } from '../verdict.ts'
import { codes, cut, type Markup, markup, nothing, section } from './page.ts'

const symbols = {
  good: icon('M4 12.5 9.5 18 20 6.5'),
  doubtful: icon('M12 4v10M12 18.5v1.5'),
  bad: icon('M5.5 5.5l13 13M18.5 5.5l-13 13'),
}

function icon(path: string): Markup {
  return markup`<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${path}" fill="none" stroke="currentColor" stroke-width="3.4" stroke-linecap="round" stroke-linejoin="round"/></svg>`
}

/** The verdict, large, over its colour. */
export function header(report: Report): Markup {
  const { mark, title, sentence } = outcome(report)
  return markup`<header class="${mark}"><div>
<p class="kind">PostgreSQL to PolarDB · ${report.command} · ${minuteOf(report.startedAt)}</p>
<h1>${symbols[mark]}${title}</h1>
<p>${cut(sentence)}</p>
</div></header>`
}

/** `2026-11-20 01:30 UTC`; what is no time stays as it is. */
function minuteOf(moment: string): string {
  const date = new Date(moment)
  return Number.isNaN(date.getTime())
    ? moment
    : `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

/** Why a run failed, and what to do. */
export function failure(report: Report): Markup {
  const { error } = report
  if (!error || isRefusal(report)) return nothing
  const part = (name: string, text: string, kind = '') =>
    text === '' ? nothing : markup`<dt>${name}</dt><dd class="${kind}">${cut(sentence(text))}</dd>`
  return markup`<dl class="error">${part('What happened', error.message, 'what')}${part('Why', error.cause)}${part('Next step', error.remedy)}</dl>
`
}

/** Whether the source takes writes, and what to do about it. */
export function freeze({ freeze }: Report): Markup {
  if (!freeze?.next) return nothing
  const since = freeze.since === null ? '' : ` since ${minuteOf(freeze.since)}`
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

/** What became of what a rehearsal has made, unless the verdict says it. */
export function rehearsal({ rehearsal }: Report): Markup {
  if (!rehearsal?.note || rehearsal.outcome === 'not run') return nothing
  const titles = {
    begun: 'The rehearsal came to no end',
    removed: 'The rehearsal left nothing behind',
    kept: 'The rehearsal is kept for a look',
    left: 'The rehearsal was not removed',
  }
  return section(
    titles[rehearsal.outcome],
    markup`<p>${cut(sentence(rehearsal.note))}</p>
<p class="quiet">Its names begin with ${codes([rehearsal.name])}</p>`,
  )
}

/** Both sides, the programs and the run in numbers. */
export function facts(report: Report): Markup {
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
${dump ? fact('Dump', dump.id, `made at ${minuteOf(dump.createdAt)}`) : nothing}
${artifact ? fact('Dump kept as artifact', artifact.name, formatBytes(artifact.bytes)) : nothing}
</dl>
`
}
