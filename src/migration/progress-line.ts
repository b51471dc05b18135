import { formatBytes, formatRate, timeLeft } from '../text/numbers.ts'
import { printable, shorten } from '../text/text.ts'
import type { Context } from './context.ts'

/** Columns of a progress line: with the clock of a terminal before it, it fits into 100. */
const columns = 92
/** Columns of a database's name, and the least that are left to a name of what is being worked on. */
const longestName = 20
const leastName = 12

/**
 * A line about long work that fits the screen: what, how far, how fast, how long still, and then as much of what is worked on now
 * as there is room for.
 *
 * @param what the work; a name of a database in it is given to `nameOfWork`
 * @param parts an empty one is left out
 * @param now what is worked on, the most telling first: a name, and how far it is
 */
export function progressLine(
  what: string,
  parts: readonly string[],
  now: readonly { name: string; detail: string }[] = [],
): string {
  let line = shorten(`${what}: ${parts.filter(Boolean).join(', ')}`, columns)
  let told = 0
  for (const { name, detail } of now) {
    const end = detail === '' ? '' : ` ${detail}`
    const left = now.length - told - 1
    const room = columns - line.length - 2 - end.length - (left > 0 ? ` +${left}`.length : 0)
    const text = printable(name)
    if (text.length > room && (told > 0 || room < leastName)) break
    line += `${told === 0 ? '; ' : ', '}${shorten(text, room)}${end}`
    told++
  }
  return told > 0 && told < now.length ? `${line} +${now.length - told}` : line
}

/** Two such lines as one that fits the screen: one that is short leaves its room to the other. */
export function sideBySide(one: string, other: string): string {
  if (!one || !other) return one || other
  const room = columns - ' | '.length
  const half = Math.floor(room / 2)
  const first = shorten(one, Math.max(half, room - other.length))
  return `${first} | ${shorten(other, room - first.length)}`
}

/** `restore shop`: a verb and a database's name, made harmless and short. */
export function nameOfWork(verb: string, database: string): string {
  return `${verb} ${shorten(printable(database), longestName)}`
}

/** Tells of bytes that are worked through: how many of all, how many a second, how long still. */
export class BytesProgress {
  private done = 0
  private readonly began = performance.now()
  private readonly what: string
  private readonly total: number
  private readonly progress: Context['progress']

  /** @param total where it is known from the beginning; else see `at` */
  constructor(what: string, progress: Context['progress'], total = 0) {
    this.what = what
    this.progress = progress
    this.total = total
  }

  /** So many more are done. */
  add(bytes: number): void {
    this.at(this.done + bytes, this.total)
  }

  /** So many are done in all, of a total that may have grown. */
  at(done: number, total: number): void {
    this.done = done
    const seconds = (performance.now() - this.began) / 1000
    const parts = [...bytesAtRate(done, total, seconds), timeLeft(done, total, seconds)]
    this.progress.update(progressLine(this.what, parts))
  }
}

/** `45 MB of 938 MB`, `35 MB/s`. */
export function bytesAtRate(done: number, total: number, seconds: number): string[] {
  return [
    `${formatBytes(done)} of ${formatBytes(total)}`,
    ...(seconds >= 1 && done > 0 ? [formatRate(done / seconds)] : []),
  ]
}
