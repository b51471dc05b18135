import { Failure, messageOf } from '../../failure.ts'
import type { CheckResult } from '../../report/model.ts'
import type { Context } from '../context.ts'
import type { Answer, Check } from './check.ts'
import type { Known } from './known.ts'
import { noteFailure } from './note.ts'
import type { SideName } from './probe.ts'
import { NotAsked } from './question.ts'

/**
 * Lets every check judge, and keeps all answers in the report. Nothing stops at the first: what one check throws is its own
 * result.
 *
 * @param given the sides that the inputs name; what needs another one is left out
 */
export function judge(
  known: Known,
  checks: readonly Check[],
  given: readonly SideName[],
  context: Pick<Context, 'log' | 'record'>,
): void {
  for (const check of checks) {
    if (!check.needs.every((side) => given.includes(side))) continue
    const answer = answerOf(check, known, context)
    if (answer instanceof Failure) noteFailure(context, check.id, answer, check)
    else context.record.check(resultOf(check, answer))
    if (answer instanceof Failure || answer.status !== 'failed' || !answer.atCutover) continue
    const { atCutover: what, objects = [] } = answer
    context.record.leftForCutover([{ what, side: null, database: null, lines: [], objects }])
  }
}

function answerOf(check: Check, known: Known, context: Pick<Context, 'log'>): Answer | Failure {
  try {
    for (const side of check.needs) known[side]
    return check.judge(known)
  } catch (error) {
    if (error instanceof Failure) return error
    if (!(error instanceof NotAsked)) context.log.debug(String((error as Error)?.stack))
    return { status: 'skipped', message: messageOf(error) }
  }
}

/** An answer as the report has it. */
export function resultOf(
  check: Pick<Check, 'id' | 'severity' | 'why'>,
  answer: Answer,
): CheckResult {
  const failed = answer.status === 'failed' ? answer : undefined
  return {
    id: check.id,
    severity: (answer.status !== 'passed' && answer.severity) || check.severity,
    status: answer.status,
    message: answer.message,
    objects: failed?.objects ?? [],
    remedy: failed?.remedy ?? '',
    ...(failed?.paste ? { paste: failed.paste } : {}),
    why: check.why,
  }
}
