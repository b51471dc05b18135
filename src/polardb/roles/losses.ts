import { quoteIdentifier } from '../../postgres/identifiers.ts'
import { printable } from '../../text/text.ts'

/**
 * Something that a role could do on the source and cannot do on the target: how `allow-missing` names it, and what takes its
 * place there, in SQL where there is some.
 */
export interface RoleLoss {
  entry: string
  remedy: string
}

export interface FoundRoleLoss extends RoleLoss {
  reason: string
}

/** What an administrator of a cluster can do that its accounts cannot. */
const administrator = 'Have an administrator of the cluster run:'

/** Privileges that take the place of predefined roles which are nothing but privileges (PostgreSQL, "Predefined Roles"). */
const privileges: Record<string, { tables: string; sequences: string }> = {
  pg_read_all_data: { tables: 'SELECT', sequences: 'SELECT' },
  pg_write_all_data: { tables: 'INSERT, UPDATE, DELETE', sequences: 'UPDATE' },
}

export function lostRole(role: string, reason: string): RoleLoss {
  return {
    entry: `ROLE ${printable(role)}`,
    remedy: `Give the role another name on the source: ${reason}`,
  }
}

export function lostMembership(member: string, role: string): RoleLoss {
  const entry = `MEMBERSHIP ${printable(member)} in ${printable(role)}`
  const to = quoteIdentifier(printable(member))
  const instead = privileges[role]
  if (instead) {
    const { tables, sequences } = instead
    return {
      entry,
      remedy:
        'On the target, for each schema s and each role o that will create tables in it, run: ' +
        `GRANT USAGE ON SCHEMA s TO ${to}; GRANT ${tables} ON ALL TABLES IN SCHEMA s TO ${to}; ` +
        `GRANT ${sequences} ON ALL SEQUENCES IN SCHEMA s TO ${to}; ` +
        `ALTER DEFAULT PRIVILEGES FOR ROLE o IN SCHEMA s GRANT ${tables} ON TABLES TO ${to}`,
    }
  }
  return {
    entry,
    remedy: `${administrator} GRANT ${quoteIdentifier(printable(role))} TO ${to}`,
  }
}

/** @param word an option of CREATE ROLE, `REPLICATION` say */
export function lostAttribute(role: string, word: string): RoleLoss {
  const quoted = quoteIdentifier(printable(role))
  const alter = `${administrator} ALTER ROLE ${quoted} ${word}`
  const policy = `or, for each table t with row security, run: CREATE POLICY p ON t TO ${quoted} USING (true) WITH CHECK (true)`
  return {
    entry: `ROLE ${printable(role)} ${word}`,
    remedy: word === 'BYPASSRLS' ? `${alter}; ${policy}` : alter,
  }
}

/** @param role null for ALTER ROLE ALL */
export function lostSetting(role: string | null, parameter: string): RoleLoss {
  const name = printable(parameter)
  return {
    entry: `SETTING ${role === null ? 'ALL' : printable(role)} ${name}`,
    remedy: `Do without it on the source: ALTER ROLE ${role === null ? 'ALL' : '…'} RESET ${quoteIdentifier(name)}`,
  }
}

/** @param role null for PUBLIC */
export function lostParameter(role: string | null, privilege: string, parameter: string): RoleLoss {
  const who = role === null ? 'PUBLIC' : printable(role)
  const to = role === null ? who : quoteIdentifier(who)
  return {
    entry: `PARAMETER ${who} ${privilege} ${printable(parameter)}`,
    remedy: `${administrator} GRANT ${privilege} ON PARAMETER ${quoteIdentifier(printable(parameter))} TO ${to}`,
  }
}

export function lostLabel(role: string, provider: string): RoleLoss {
  return {
    entry: `SECURITY LABEL ROLE ${printable(role)} ${printable(provider)}`,
    remedy: 'Have the provider loaded there (shared_preload_libraries), or do without the labels',
  }
}

/** @param where whose password is to be set: on the source it would be migrated, on the target it comes after */
export function lostLogin(role: string, where: 'source' | 'target'): RoleLoss {
  // without its name: many roles are put together by what mends them
  const alter = `ALTER ROLE … PASSWORD '…'`
  return {
    entry: `LOGIN ${printable(role)}`,
    remedy:
      where === 'source'
        ? `Give it a password that the target takes, on the source before the dump: SET password_encryption = 'scram-sha-256'; ${alter}`
        : `Give it a password on the target after the migration: ${alter}`,
  }
}
