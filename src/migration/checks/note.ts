import { Failure } from '../../failure.ts'
import {
  type CheckResult,
  isBlocker,
  isUnknown,
  type Report,
  type Severity,
} from '../../report/model.ts'
import { counted, firstTen, formatCount } from '../../text/numbers.ts'
import { shorten } from '../../text/text.ts'
import type { Context } from '../context.ts'
import { whyOf } from './others.ts'

/** What a result was made of, so that a single blocker stops the run in its own words. */
const failures = new WeakMap<CheckResult, Failure>()

/** The longest line that a run ends with. */
const longest = 12_000

/** Keeps a failure as a failed check, a blocker unless it is said otherwise, and lets the others go on. */
export function noteFailure(
  context: Pick<Context, 'record'>,
  id: string,
  failure: Failure,
  {
    severity = 'blocker',
    why = whyOf(id),
    paste = failure.paste,
  }: { severity?: Severity; why?: string | undefined; paste?: string | undefined } = {},
): void {
  const { message, why: cause, remedy } = failure
  const result: CheckResult = {
    ...{ id, severity, status: 'failed', objects: [], remedy },
    message: [message, cause].filter(Boolean).join(': '),
    ...reason(id, why),
    ...(paste === undefined ? {} : { paste }),
  }
  failures.set(result, failure)
  context.record.check(result)
}

const reason = (id: string, why = whyOf(id)) => (why === undefined ? {} : { why })

/** Keeps a result in the report, with why it matters. */
export function note(context: Pick<Context, 'record'>, result: CheckResult): void {
  context.record.check({ ...result, ...reason(result.id, result.why) })
}

/** Keeps one check's answer in the report. */
export function check(
  context: Pick<Context, 'record'>,
  id: string,
  severity: Severity,
  passed: boolean,
  message: string,
  remedy = '',
  objects: string[] = [],
): void {
  const status: CheckResult['status'] = passed ? 'passed' : 'failed'
  context.record.check({
    id,
    severity,
    status,
    message,
    objects,
    remedy: passed ? '' : remedy,
    ...reason(id),
  })
}

/**
 * Stops a run that a check has found a blocker for, before anything is touched. One that could not be asked stops nothing: what
 * it would have told is met later at the latest.
 *
 * @throws Failure with all of them
 */
export function refuseBlockers({ report }: Pick<Context, 'report'>): void {
  const blockers = report.checks.filter(isBlocker)
  const [first, ...others] = blockers
  if (!first) return
  const known = failures.get(first)
  if (others.length === 0 && known) throw known
  throw refusal(
    `${report.words.noun} cannot begin: ${counted(blockers.length, 'blocker')}`,
    blockers,
  )
}

/** What a preflight ends with where it is not ready. */
export function notReady({ checks }: Report): Failure {
  const [blockers, unknown] = [checks.filter(isBlocker), checks.filter(isUnknown)]
  const found = [
    ...(blockers.length > 0 ? [counted(blockers.length, 'blocker')] : []),
    ...(unknown.length > 0
      ? [`${counted(unknown.length, 'blocker')} that could not be asked`]
      : []),
  ]
  // what one blocker keeps from being asked (a server that does not answer) is no news of its own
  const told = blockers.length === 1 ? blockers : [...blockers, ...unknown]
  return refusal(`Not ready to migrate: ${found.join(' and ')}`, told)
}

/** One is told in its own words, several by their names: what each of them found and what mends it is in the report. */
function refusal(title: string, results: readonly CheckResult[]): Failure {
  const [first, ...others] = results
  if (first && others.length === 0) {
    const { message, objects, remedy, paste } = first
    const said = [message, firstTen(objects)].filter(Boolean).join(': ')
    const mended = paste === undefined ? remedy : `${remedy} (lines to paste are in the report)`
    return new Failure(
      title,
      `${shorten(said, longest)}. Nothing was touched`,
      shorten(mended, longest),
    )
  }
  const names = [...Map.groupBy(results, ({ id }) => id)].map(([id, { length }]) =>
    length === 1 ? id : `${id} (${formatCount(length)})`,
  )
  return new Failure(
    title,
    `${shorten(names.join(', '), longest)}. Nothing was touched`,
    'Mend each of them: the report says what was found and what to do',
  )
}
