import { formatCount } from '../../text/numbers.ts'
import { markdown, markdownCode, shorten } from '../../text/text.ts'

/** GitHub draws up to 1 MiB of summary a step and refuses a longer one as a whole; some room stays for line ends. */
const limit = 1024 * 1024 - 4096

/** The longest text in a cell: one endless message must not push the rest out. */
const longestCell = 1000

const elsewhere = '`report.html` and `report.json` in the artifact `polardb-report`'

/** The summary as it grows, never longer than GitHub takes. */
export class Page {
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
    const gap = head === '' ? '' : head.endsWith('|') ? '\n' : '\n\n'
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
export function tableHead(head: string, columns: string[]): string {
  const names = columns.map((column) => column.replace(/>$/, ''))
  const rules = columns.map((column) => (column.endsWith('>') ? '---:' : '---'))
  return `${head}\n\n${row(names)}\n${row(rules)}`
}

/** A row of a table, from cells that are Markdown. */
export function row(cells: string[]): string {
  return `| ${cells.join(' | ')} |`
}

/** A text as it is read, cut where it gets unreasonable. */
export const prose = (text: string) => markdown(shorten(text, longestCell))
/** A name, or anything where every character counts. */
export const code = (text: string) => markdownCode(shorten(text, longestCell))
/** Names in a row; the first ten of many. */
export const codes = (texts: readonly string[]) => {
  const shown = texts.slice(0, 10).map(code)
  return shown.join(', ') + (texts.length > 10 ? ` and ${formatCount(texts.length - 10)} more` : '')
}
