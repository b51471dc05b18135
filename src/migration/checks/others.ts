import type { Severity } from '../../report/model.ts'

/** What docs/checks.md says of a check. */
export interface CheckFacts {
  id: string
  severity: Severity
  why: string
  needs: readonly ('source' | 'target')[]
}

/** What is said beside the checks in all.ts: on the way to the servers, and by the plan. */
export const otherChecks: readonly CheckFacts[] = [
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
  {
    id: 'source-writers',
    severity: 'blocker',
    why: 'what is written after the dump began is not migrated; a blocker in migrate alone, without allow-writes',
    needs: ['source'],
  },
  {
    id: 'freeze-standby',
    severity: 'blocker',
    why: 'with freeze-source: a standby takes no changes, and its primary goes on writing to it',
    needs: ['source'],
  },
  {
    id: 'freeze-owner',
    severity: 'blocker',
    why: 'with freeze-source: only the owner of a database or a superuser makes it read-only by default',
    needs: ['source'],
  },
  {
    id: 'freeze-mark',
    severity: 'blocker',
    why: 'with freeze-source: a schema in the database says what was changed, so that it can be undone by whoever comes next',
    needs: ['source'],
  },
  {
    id: 'freeze-roles',
    severity: 'blocker',
    why: 'with freeze-source: a setting of a role outranks that of the database',
    needs: ['source'],
  },
  {
    id: 'freeze-bypass',
    severity: 'blocker',
    why: 'with freeze-source: prepared transactions and enabled subscriptions write to a database that is read-only by default',
    needs: ['source'],
  },
  {
    id: 'freeze-sessions',
    severity: 'blocker',
    why: 'with freeze-source: a session keeps the settings that it began with, so those that are open have to be ended',
    needs: ['source'],
  },
  {
    id: 'client-programs',
    severity: 'blocker',
    why: 'the dump is made by the client programs, which have to be there and to be let in',
    needs: ['source'],
  },
  {
    id: 'plan-roles',
    severity: 'blocker',
    why: 'the roles are migrated as pg_dumpall writes them',
    needs: ['source'],
  },
  {
    id: 'plan-schema',
    severity: 'blocker',
    why: 'a database is migrated as pg_dump writes it',
    needs: ['source'],
  },
  {
    id: 'plan',
    severity: 'blocker',
    why: 'what the restore does with every entry of the dump is decided before the first one',
    needs: ['source', 'target'],
  },
  {
    id: 'plan-md5-logins',
    severity: 'warning',
    why: 'a target that asks for SCRAM lets nobody in whose password is kept as an md5 hash',
    needs: ['source', 'target'],
  },
  {
    id: 'losses',
    severity: 'blocker',
    why: 'what the target lacks afterwards must be known, and accepted by its name',
    needs: ['source', 'target'],
  },
  {
    id: 'losses-all',
    severity: 'info',
    why: 'to accept all losses at once, if that is what you want',
    needs: ['source', 'target'],
  },
]

const byId = new Map(otherChecks.map((check) => [check.id, check]))

/** Why a check of this list matters; undefined where it is of no list. */
export function whyOf(id: string): string | undefined {
  return byId.get(id)?.why
}
