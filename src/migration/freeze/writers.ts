import { Failure } from '../../failure.ts'
import { formatDuration } from '../../text/numbers.ts'
import { check, noteFailure } from '../checks/note.ts'
import type { Source } from '../checks/preflight.ts'
import type { Run } from '../run.ts'
import { isWritten, Looks, sentenceOf } from './looks.ts'
import { wait } from './sessions.ts'

/** Milliseconds between the two looks that show whether anybody writes: sessions hand in their counts within a second. */
const defaultSample = 2000

/** Milliseconds between two looks of a run. */
export function sampleOf({ sample = defaultSample }: Pick<Run, 'sample'>): number {
  return sample
}

/**
 * Whether somebody has written to a source since it was first looked at. The time in between is the sample; more is waited only
 * where transactions were begun that no count speaks of yet.
 *
 * @param looks that have begun
 * @returns what is said of it, undefined where nobody was seen
 */
export async function seeWriters(
  looks: Looks,
  run: Run,
  severity: 'blocker' | 'warning',
): Promise<{ message: string; remedy: string } | undefined> {
  const { began } = looks
  const passed = () => performance.now() - began
  let seen = await looks.compare()
  const left = sampleOf(run) - passed()
  if (left > 0 && seen.some(({ writes, why }) => writes === 'unknown' && why === undefined)) {
    await wait(left, run.signal)
    seen = await looks.compare()
  }
  const found = seen.filter(isWritten)
  const isQuiet = found.length === 0
  const message = isQuiet
    ? `nobody was seen writing to the source for ${formatDuration(passed() / 1000)}`
    : `The source is being written to, and what is written after the dump begins is not migrated: ${found.map(sentenceOf).join('; ')}`
  const remedy =
    'Stop the writes; or let the migration do it with freeze-source: true; or migrate all the same with allow-writes: true'
  const names = found.map(({ database }) => database)
  check(run, 'source-writers', severity, isQuiet, message, remedy, names)
  return isQuiet ? undefined : { message, remedy }
}

/**
 * Begins to look whether somebody writes to a source, for who only wants to know.
 *
 * @returns to be called later: the longer the better. It notes what was seen as a warning among the checks
 */
export async function expectNoWriters(source: Source, run: Run): Promise<() => Promise<void>> {
  const looks = new Looks(source, run)
  try {
    await looks.begin()
  } catch (error) {
    if (run.signal.aborted || !(error instanceof Failure)) throw error
    noteFailure(run, 'source-writers', error, { severity: 'warning' })
    return async () => {}
  }
  return async () => {
    await seeWriters(looks, run, 'warning')
  }
}
