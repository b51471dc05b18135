import { estimateAnswers } from '../estimate/answers.ts'
import { scratchChecks } from '../restore/scratch-answers.ts'
import type { Check } from './check.ts'
import { connectionChecks } from './connections.ts'
import { extensionChecks } from './extensions.ts'
import { type CheckFacts, otherChecks } from './others.ts'
import { reachSteps } from './reach.ts'
import { runnerChecks } from './runner.ts'
import { sessionChecks } from './sessions.ts'
import { settingChecks } from './settings.ts'
import { activityChecks } from './source/activity.ts'
import { sourceClients } from './source/clients.ts'
import { expressionChecks } from './source/expressions.ts'
import { healthChecks } from './source/health.ts'
import { indexChecks } from './source/indexes.ts'
import { sourceObjects } from './source/objects.ts'
import { sourcePrivilegeChecks } from './source/privileges.ts'
import { refusedChecks } from './source/refused.ts'
import { rowChecks } from './source/rows.ts'
import { texts } from './source/texts.ts'
import { emptiness } from './target/content.ts'
import { targetPrivilegeChecks } from './target/privileges.ts'
import { targetRoom } from './target/room.ts'
import { together } from './together.ts'
import { versionChecks } from './versions.ts'

/**
 * Every check, in the order in which the report has them. A new one goes into a file for its subject, which exports a list, and
 * the list into here. `npx node scripts/list-checks.ts` writes docs/checks.md.
 */
export const allChecks: readonly Check[] = [
  ...versionChecks,
  ...sessionChecks('source'),
  ...sessionChecks('target'),
  ...connectionChecks('source'),
  ...connectionChecks('target'),
  ...sourcePrivilegeChecks,
  ...targetPrivilegeChecks,
  ...activityChecks,
  ...healthChecks,
  ...indexChecks,
  ...expressionChecks,
  ...rowChecks,
  ...texts,
  ...sourceObjects,
  ...refusedChecks,
  ...extensionChecks,
  ...settingChecks,
  ...sourceClients,
  ...targetRoom,
  ...emptiness,
  ...runnerChecks,
  ...together,
]

/** What is said beside them: on the way to the servers, and by the plan. */
export const firstChecks: readonly CheckFacts[] = [...reachSteps, ...otherChecks]

/** What a preflight finds out when all of them are answered. */
export const lastChecks: readonly CheckFacts[] = [...estimateAnswers, ...scratchChecks]
