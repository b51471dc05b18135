import { Failure } from '../../failure.ts'
import type { CheckResult, Severity } from '../../report/model.ts'
import { counted, firstTen, shorten } from '../../text/text.ts'
import type { Context } from '../context.ts'

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
    why,
    paste,
  }: { severity?: Severity; why?: string; paste?: string | undefined } = {},
): void {
  const { message, why: cause, remedy } = failure
  const result: CheckResult = {
    ...{ id, severity, status: 'failed', objects: [], remedy },
    message: [message, cause].filter(Boolean).join(': '),
    ...(why === undefined ? {} : { why }),
    ...(paste === undefined ? {} : { paste }),
  }
  failures.set(result, failure)
  context.record.check(result)
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
  })
}

/**
 * Stops a run that a check has found a blocker for, before anything is touched.
 *
 * @param noun what does not begin: `Migration`
 * @throws Failure with all of them
 */
export function refuseBlockers(context: Pick<Context, 'report'>): void {
  const { checks, words } = context.report
  const blockers = checks.filter(
    ({ status, severity }) => status === 'failed' && severity === 'blocker',
  )
  const [first] = blockers
  if (!first) return
  const only = blockers.length === 1
  const known = failures.get(first)
  if (only && known) throw known
  const said = ({ message, objects }: CheckResult) =>
    [message, firstTen(objects)].filter(Boolean).join(': ')
  const pasted = ({ remedy, paste }: CheckResult) =>
    paste === undefined ? remedy : `${remedy} (lines to paste are in the report)`
  throw new Failure(
    only ? first.message : `${words.noun} cannot begin: ${counted(blockers.length, 'blocker')}`,
    only
      ? `${firstTen(first.objects)}${first.objects.length > 0 ? '. ' : ''}Nothing was touched`
      : `${shorten(blockers.map((one) => `${one.id}: ${said(one)}`).join('; '), longest)}. Nothing was touched`,
    only
      ? pasted(first)
      : shorten(blockers.map((one) => `${one.id}: ${pasted(one)}`).join('; '), longest),
  )
}
