import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { allChecks, firstChecks, lastChecks } from '../src/migration/checks/all.ts'

const path = join(import.meta.dirname, '..', 'docs', 'checks.md')
const [start, end] = ['<!-- list: node scripts/list-checks.ts -->', '<!-- end of list -->']

/** docs/checks.md as the list of checks would have it: what is between its two marks, a table for each side. */
export function documentedChecks(): string {
  const text = readFileSync(path, 'utf8')
  const [before = '', rest = ''] = text.split(start)
  return `${before}${start}\n\n${tables()}\n${end}${rest.split(end)[1] ?? ''}`
}

function tables(): string {
  const checks = [...firstChecks, ...allChecks, ...lastChecks].toSorted((a, b) =>
    a.id < b.id ? -1 : 1,
  )
  const titles: Record<string, string> = {
    source: 'Asked of the source',
    target: 'Asked of the target',
    'source target': 'Asked of both',
    '': 'Asked of the runner and the inputs',
  }
  return Object.entries(titles)
    .map(([sides, title]) => {
      const rows = checks
        .filter(({ needs }) => needs.toSorted().join(' ') === sides)
        .map(
          ({ id, severity, why }) =>
            `| \`${id}\` | ${severity} | ${why.replaceAll('|', '\\|')} |\n`,
        )
      return rows.length === 0
        ? ''
        : `### ${title}\n\n| check | where it fails | why it matters |\n| --- | --- | --- |\n${rows.join('')}`
    })
    .filter(Boolean)
    .join('\n')
}

if (import.meta.main) writeFileSync(path, documentedChecks())
