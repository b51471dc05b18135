import { counted } from '../../../text/numbers.ts'
import type { DatabaseFingerprint } from '../model.ts'
import type { ExpectedDifference } from './expected-differences.ts'

/**
 * What a comparison of this very database does not see, a sentence each: the lines of docs/verification.md, "What it does
 * not see", that apply to what the source holds.
 *
 * @param expected what the restore left out or changed: what of it is `notCompared` is said entry by entry
 * @returns none where everything is compared
 */
export function notCompared(
  source: DatabaseFingerprint,
  expected: readonly ExpectedDifference[] = [],
): string[] {
  const count = (kind: string) => source.catalog?.kinds[kind]?.length ?? 0
  const lines: string[] = []
  const say = (number: number, what: string, sentence: string) => {
    if (number > 0) lines.push(`${counted(number, what)}: ${sentence}`)
  }
  say(source.notRead.length, 'foreign table', 'the rows are on another server and were not read')
  say(
    count('user mapping'),
    'user mapping',
    'options were not compared, since they may hold passwords',
  )
  say(
    count('subscription'),
    'subscription',
    'the connection was not compared, since it may hold a password',
  )
  const others = (source.catalog?.kinds.extension ?? []).filter(({ name }) => name !== 'plpgsql')
  say(
    others.length,
    'extension',
    'the objects that its script makes were not compared one by one, its version and grants were',
  )
  const views = source.tables.filter(({ kind }) => kind === 'materialized view')
  say(
    views.length,
    'materialized view',
    'the target has computed the rows anew, so their number was compared and their contents were not',
  )
  for (const { entry, reason, notCompared } of expected)
    if (notCompared) lines.push(`${entry}: ${reason}`)
  return lines
}
