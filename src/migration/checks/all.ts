import { estimateAnswers } from '../estimate/answers.ts'
import { scratchChecks } from '../restore/scratch-restore.ts'
import type { Check } from './check.ts'
import { connectionChecks } from './connections.ts'
import { reachSteps } from './reach.ts'
import { sessionChecks } from './sessions.ts'
import { activityChecks } from './source/activity.ts'
import { expressionChecks } from './source/expressions.ts'
import { healthChecks } from './source/health.ts'
import { indexChecks } from './source/indexes.ts'
import { sourcePrivilegeChecks } from './source/privileges.ts'
import { rowChecks } from './source/rows.ts'
import { sourceTexts } from './source/texts.ts'
import { targetPrivilegeChecks } from './target/privileges.ts'
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
  sourceTexts,
  ...together,
]

/** What looking at a server says besides, before the others are asked. */
export const firstChecks: readonly Pick<Check, 'id' | 'severity' | 'why' | 'needs'>[] = [
  ...reachSteps,
  {
    id: 'source-connection',
    severity: 'blocker',
    why: 'nothing can be migrated from a server that does not let the account in',
    needs: ['source'],
  },
  {
    id: 'source-databases',
    severity: 'blocker',
    why: 'a database that does not exist, or lets nobody in, cannot be dumped',
    needs: ['source'],
  },
  {
    id: 'target-connection',
    severity: 'blocker',
    why: 'nothing can be migrated to a server that does not let the account in',
    needs: ['target'],
  },
  {
    id: 'target-writable',
    severity: 'blocker',
    why: 'a standby, or a read-only endpoint of the cluster, refuses every statement of the restore',
    needs: ['target'],
  },
  {
    id: 'target-version',
    severity: 'blocker',
    why: 'PolarDB for PostgreSQL begins with version 11',
    needs: ['target'],
  },
]

/** What a preflight finds out when all of them are answered. */
export const lastChecks: readonly Pick<Check, 'id' | 'severity' | 'why' | 'needs'>[] = [
  ...estimateAnswers,
  ...scratchChecks,
]
