import type { Severity } from '../../report/model.ts'
import type { Known } from './known.ts'
import type { Probe, SideName } from './probe.ts'
import type { Question } from './question.ts'

/** What a check says. */
export type Answer =
  | { status: 'passed'; message: string }
  | {
      status: 'failed'
      /** What was found, without its list of objects. */
      message: string
      objects?: string[]
      /** What to do, in a sentence. */
      remedy: string
      /** Lines to paste, where there are any: SQL, a line of pg_hba.conf, of the workflow. See paste.ts for names in them. */
      paste?: string
      severity?: Severity
      /** What is to be done about it at the cutover, and no sooner; `objects` go along. */
      atCutover?: string
    }
  /** It could not be asked, and why. A blocker that was skipped means not ready. */
  | { status: 'skipped'; message: string; severity?: Severity }

/** Something that is looked at before a migration: facts to ask for, and a judgement that is pure. */
export interface Check {
  /** Stable, in kebab-case; docs/checks.md lists it. */
  id: string
  /** Where it fails and the answer says no other. */
  severity: Severity
  /** Why it matters, in one sentence without a full stop. */
  why: string
  /** Where such a side is not given the check is left out; where it was not reached it is skipped. */
  needs: readonly SideName[]
  questions?: { source?: readonly Question<object>[]; target?: readonly Question<object>[] }
  probes?: readonly Probe<unknown>[]
  /**
   * @returns what is to be said
   * @throws NotAsked, which makes the check skipped; Failure, which is what was found and stops a migration
   */
  judge(known: Known): Answer
}
