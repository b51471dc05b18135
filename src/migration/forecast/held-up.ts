import { qualifiedName } from '../../postgres/identifiers.ts'
import type { HeldUp, HistoryPoint, OutagePhase, Report, Span } from '../../report/model.ts'
import { formatDuration } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import type { Settings } from './forecast.ts'
import { overlapOf } from './outage.ts'

/** Part of the outage below which nothing is worth a word. */
const least = 0.05
const most = 3

/** What was done with one table, and when. */
interface Piece {
  table: string
  step: 'dump' | 'load' | 'indexes'
  span: Span
  /** From when on nothing but this was waited for: of rows that are loaded while they are dumped, the end of their dump. */
  since: number
}

/**
 * What holds an outage up most, and what would shorten it, the worst first: a table at which a phase works alone in the end,
 * while its other sessions have nothing left to do; and what all sessions work at together, which takes half as long with
 * twice as many at best.
 *
 * @param point what the run took
 * @param databases with the timelines of their tables; without those the phases alone speak
 */
export function heldUpBy(
  { seconds, phases }: Pick<HistoryPoint, 'seconds' | 'phases'>,
  { jobs }: Pick<Settings, 'jobs'>,
  databases: Report['databases'] = [],
): HeldUp[] {
  // what the restore does beside the dump is not waited for
  const beside = overlapOf({ seconds, phases })
  const beyond = beside > 0 ? ' beyond the end of the dump' : ''
  const took = (name: OutagePhase) => phases.find((phase) => phase.name === name)?.seconds ?? 0
  const pieces = databases.map(({ tables }) =>
    tables.flatMap(({ schema, name, timeline = {} }): Piece[] =>
      (['dump', 'load', 'indexes'] as const).flatMap((step) => {
        const span = timeline[step]
        const dumped = step === 'load' ? (timeline.dump?.end ?? 0) : 0
        const table = printable(qualifiedName(schema, name))
        return span ? [{ table, step, span, since: Math.max(span.start, dumped) }] : []
      }),
    ),
  )
  // databases follow one another, and each waits for its own
  const dumping = pieces.flatMap((own) => alone(own.filter(({ step }) => step === 'dump')))
  const restoring = pieces.flatMap((own) => alone(own.filter(({ step }) => step !== 'dump')))
  const waited = (found: readonly Alone[]) => found.reduce((sum, one) => sum + one.seconds, 0)
  const together = (phase: 'dump' | 'restore', alones: readonly Alone[], sessions: number) => {
    const own = Math.max(0, took(phase) - (phase === 'restore' ? beside : 0))
    return {
      seconds: Math.max(0, own - waited(alones)) / 2,
      what: `The ${phase} takes ${formatDuration(own)} of ${formatDuration(seconds)}${phase === 'restore' ? beyond : ''}, most of it with ${phase}-jobs: ${sessions} at work`,
    }
  }
  const found: HeldUp[] = [
    ...dumping.map(({ table, seconds }) => ({
      what: `The dump waits ${formatDuration(seconds)} for ${table} alone, with all other tables done`,
      seconds,
      remedy:
        'Partition the table, so that several sessions dump it, or move old rows of it beforehand',
    })),
    ...restoring.map(({ table, step, seconds }) =>
      step === 'indexes'
        ? {
            what: `The restore waits ${formatDuration(seconds)} for the indexes of ${table} alone, with everything else in place`,
            seconds,
            remedy:
              'Drop its slowest index on the source before that night, where no constraint needs it, and build it on the target after the cutover (CREATE INDEX CONCURRENTLY); a GIN index takes longest',
          }
        : {
            what: `The restore waits ${formatDuration(seconds)} for the rows of ${table} alone, with everything else in place`,
            seconds,
            remedy:
              'Partition the table, so that several sessions load it, or move old rows of it beforehand',
          },
    ),
    {
      ...together('dump', dumping, jobs.dump),
      remedy: `Set dump-jobs: ${2 * jobs.dump}, where the source has processors and a disk that are idle meanwhile`,
    },
    {
      ...together('restore', restoring, jobs.restore),
      remedy: `Set restore-jobs: ${2 * jobs.restore}, where the target has processors that are idle meanwhile`,
    },
    {
      what: `The verification takes ${formatDuration(took('verify'))} of ${formatDuration(seconds)}`,
      seconds: took('verify') / 2,
      remedy: `Set restore-jobs: ${2 * jobs.restore}, with which more sessions read as well; verify: counts takes less, and proves the number of rows alone`,
    },
  ]
  return found
    .filter((one) => one.seconds >= least * seconds)
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, most)
}

interface Alone {
  table: string
  step: Piece['step']
  /** For so long nothing else was worked at. */
  seconds: number
}

/**
 * The table that is worked at last, and for how long it alone was. None where that is no time, or nothing is known; nor where it
 * was begun when all others were done: the sessions had their hands full, and more of them would have begun it sooner.
 */
function alone(pieces: readonly Piece[]): Alone[] {
  const [last] = [...pieces].sort((a, b) => b.span.end - a.span.end)
  if (!last) return []
  const own = pieces.filter(({ table }) => table === last.table)
  const others = pieces.filter(({ table }) => table !== last.table)
  const free = Math.max(last.since, ...others.map(({ span }) => span.end))
  const begun = Math.min(...own.map(({ span }) => span.start))
  const seconds = last.span.end - free
  if (others.length > 0 && begun >= Math.max(...others.map(({ span }) => span.end))) return []
  return seconds > 0 ? [{ table: last.table, step: last.step, seconds }] : []
}
