import { availableParallelism } from 'node:os'
import type { ProcessorTime } from './processors.ts'

/** One run of one way. */
export interface Run {
  /** The whole command's, as a user waits for it. */
  seconds: number
  /** What it cost; where all share one machine, the sum by its cores is the least that any order of the work can take. */
  processor: ProcessorTime
  /** Of the commands by hand: what the dump took, and then the restore. */
  halves?: [dump: number, restore: number]
  /** Of the action: from the first byte dumped to verified, or to restored where nothing is verified; seconds. */
  outage?: number
  /** Of the action: its phases as the report has them, in seconds from its start. */
  phases?: { name: string; startedAt: number; seconds: number }[]
}

/** A way with its runs: the median is that of the run in the middle, and so are its parts. */
export interface Row {
  way: string
  seconds: number[]
  median: number
  /** By the first way's median. */
  ratio: number
  middle: Run
  /** Seconds in which dump and restore ran at once. */
  overlap: number
}

/** What was to be reached, and what was. */
export interface Goal {
  what: string
  goal: number
  reached: number
  /** Where it was not reached: what the time went to. */
  reason: string | undefined
}

/** One database of the benchmark, each way with its figures; the first way is what the others are compared with. */
export interface Measured {
  database: string
  about: string
  /** Source and target are apart. */
  far: boolean
  rows: Row[]
  goals: Goal[]
}

/** The bundle without what the commands by hand do not do either, and with all that it does. */
export const core = 'the action: no roles, counts, no artifact'
export const everything = 'the action: everything'

/** Puts the runs of all ways together, and holds them against the goals. */
export function goalsOf(
  about: Pick<Measured, 'database' | 'about' | 'far'>,
  ways: readonly { way: string; runs: readonly Run[] }[],
): Measured {
  const middles = ways.map(({ runs }) => middleOf(runs))
  const first = middles[0]
  if (!first) throw new Error('nothing was measured')
  const rows = ways.map(({ way, runs }, index): Row => {
    const middle = middles[index] ?? first
    return {
      way,
      seconds: runs.map(({ seconds }) => seconds),
      median: middle.seconds,
      ratio: middle.seconds / first.seconds,
      middle,
      overlap: overlapOf(middle),
    }
  })
  const goals: Goal[] = []
  const hold = (what: string, way: string, goal: number, of: (row: Row) => number) => {
    const row = rows.find((one) => one.way === way)
    if (!row) return
    const reached = of(row)
    goals.push({
      what,
      goal,
      reached,
      reason: reached <= goal ? undefined : reasonOf(row, first.seconds),
    })
  }
  hold('the core, by the documented commands', core, 0.7, ({ ratio }) => ratio)
  hold('everything, by the documented commands', everything, 0.95, ({ ratio }) => ratio)
  if (about.far) {
    const slower = Math.max(...(first.halves ?? [Number.NaN]))
    hold(
      'the outage with everything, by the slower half of the documented commands',
      everything,
      1.15,
      ({ middle }) => (middle.outage ?? Number.NaN) / slower,
    )
  }
  return { ...about, rows, goals }
}

function middleOf(runs: readonly Run[]): Run {
  const sorted = runs.toSorted((one, other) => one.seconds - other.seconds)
  const middle = sorted[Math.floor(sorted.length / 2)]
  if (!middle) throw new Error('a way was not run')
  return middle
}

/** Seconds in which phases of two names were under way at once. */
function overlapOf({ phases = [] }: Run): number {
  const of = (wanted: string) => phases.filter(({ name }) => name === wanted)
  let sum = 0
  for (const dump of of('dump'))
    for (const restore of of('restore')) {
      const end = Math.min(dump.startedAt + dump.seconds, restore.startedAt + restore.seconds)
      sum += Math.max(0, end - Math.max(dump.startedAt, restore.startedAt))
    }
  return sum
}

/**
 * Where the time went: what does not grow with the data, the longest phases, and how little it could have been, since source, target
 * and runner share the processors of one machine.
 *
 * @param documented seconds that the documented commands took
 */
function reasonOf({ middle, overlap }: Row, documented: number): string {
  const { phases = [], seconds, processor } = middle
  const took = new Map<string, number>()
  for (const { name, seconds: own } of phases) took.set(name, (took.get(name) ?? 0) + own)
  const list = [...took].sort((one, other) => other[1] - one[1])
  const fixed = ['preflight', 'client', 'schema'].reduce(
    (sum, name) => sum + (took.get(name) ?? 0),
    0,
  )
  const longest = list.slice(0, 3).map(([name, own]) => `${name} ${own.toFixed(1)} s`)
  return `of ${seconds.toFixed(1)} s, ${fixed.toFixed(1)} s were checks and plans before the dump; the longest phases were ${longest.join(', ')}; dump and restore ran at once for ${overlap.toFixed(1)} s; processor time: ${costOf(processor)}, ${leastOf(processor, seconds, documented)}`
}

function leastOf(
  { source, target, runner }: ProcessorTime,
  seconds: number,
  documented: number,
): string {
  const cores = availableParallelism()
  const least = (source + target + runner) / cores
  return `which keeps ${cores} processors busy for ${least.toFixed(1)} s in any order, ${(least / documented).toFixed(2)} of the documented commands; ${((100 * least) / seconds).toFixed(0)} % of them were used`
}

function costOf({ source, target, runner }: ProcessorTime): string {
  return `source ${source.toFixed(1)} s, target ${target.toFixed(1)} s, runner ${runner.toFixed(1)} s`
}

/** A database's figures and goals as Markdown. */
export function summary({ database, about, far, rows, goals }: Measured): string {
  const lines = [
    `### ${database}${far ? ', far away (200 Mbit/s, 5 ms)' : ''}`,
    '',
    `${about}`,
    '',
    '| way | median, s | ratio | dump, s | restore, s | at once, s | outage, s | processor, s: source, target, runner | all, s |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |',
  ]
  const number = (value: number | undefined) => (value === undefined ? '' : value.toFixed(1))
  for (const { way, seconds, median, ratio, middle, overlap } of rows) {
    const phase = (wanted: string) =>
      middle.phases
        ?.filter(({ name }) => name === wanted)
        .reduce((sum, { seconds: own }) => sum + own, 0)
    const [dump, restore] = middle.halves ?? [phase('dump'), phase('restore')]
    const { source, target, runner } = middle.processor
    const cost = [source, target, runner].map(number).join(', ')
    const parts = [...[dump, restore, middle.phases && overlap, middle.outage].map(number), cost]
    lines.push(
      `| ${way} | ${number(median)} | ${ratio.toFixed(2)} | ${parts.join(' | ')} | ${seconds.map(number).join(', ')} |`,
    )
  }
  lines.push('', '| goal | at most | reached | |', '| --- | ---: | ---: | --- |')
  for (const { what, goal, reached, reason } of goals)
    lines.push(`| ${what} | ${goal.toFixed(2)} | ${reached.toFixed(2)} | ${reason ?? 'reached'} |`)
  return `${lines.join('\n')}\n`
}
