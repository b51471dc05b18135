import { estimateAnswers } from '../estimate/answers.ts'
import { scratchChecks } from '../restore/scratch-restore.ts'
import type { Check } from './check.ts'
import { privileges, rowSecurity } from './source/readable.ts'
import { sourceTexts } from './source/texts.ts'
import { together } from './together.ts'

/**
 * Every check, in the order in which the report has them. A new one goes into a file for its subject, which exports a list, and
 * the list into here. `npx node scripts/list-checks.ts` writes docs/checks.md.
 */
export const allChecks: readonly Check[] = [...[rowSecurity, privileges, sourceTexts], ...together]

/** What looking at a server says besides, before the others are asked. */
export const firstChecks: readonly Pick<Check, 'id' | 'severity' | 'why' | 'needs'>[] = [
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
    id: 'target-account',
    severity: 'warning',
    why: 'roles and databases are created by the account that target names',
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
