import type pg from 'pg'
import { messageOf } from '../../../failure.ts'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier, quoteLiteral } from '../../../postgres/identifiers.ts'
import { listParameters } from '../../../postgres/roles/settings.ts'
import { refuses } from '../../../postgres/sqlstates.ts'
import { rolledBack } from '../../../postgres/tried.ts'
import { printable } from '../../../text/text.ts'
import type { DatabaseSetting } from './properties.ts'

/** The value of a setting as `ALTER … SET name TO` takes it. */
export function settingValue(name: string, value: string): string {
  if (!listParameters.has(name.toLowerCase())) return quoteLiteral(value)
  const members: string[] = []
  const member = /\s*(?:"((?:[^"]|"")*)"|([^,"]*[^,"\s]))\s*(?:,|$)/gy
  for (let found = member.exec(value); found; found = member.exec(value)) {
    members.push(found[1]?.replaceAll('""', '"') ?? found[2] ?? '')
    if (member.lastIndex >= value.length) break
  }
  return members.length === 0 ? `''` : members.map(quoteLiteral).join(', ')
}

/** What `allow-missing` calls a setting: that of a role in the database is called like that of the role. */
export function settingEntry({
  role,
  of,
  name,
}: Pick<DatabaseSetting, 'role' | 'of' | 'name'>): string {
  const who = of ?? role
  return `SETTING ${who === null ? '' : `${printable(who)} `}${printable(name)}`
}

/** A setting's name as statements take it. */
export function settingParameter(name: string): string {
  return name.split('.').map(quoteIdentifier).join('.')
}

/** Settings whose values name roles that may not be there yet: only the real statement can tell. */
const undecided = new Set(['role', 'session_authorization'])

/**
 * Which of a database's settings the target refuses, with its words: each is tried for the account itself, where the server asks
 * for the same power and the same value (PostgreSQL source, AlterSetting), in a transaction that is rolled back.
 *
 * @returns reasons by `settingEntry`; empty where the account may set nothing for itself, which says nothing of databases
 */
export async function refusedSettings(
  client: pg.Client,
  settings: readonly DatabaseSetting[],
): Promise<Map<string, string>> {
  const refused = new Map<string, string>()
  if (settings.length === 0) return refused
  return rolledBack(client, async () => {
    if ((await answer(client, 'work_mem', `'4MB'`)) !== undefined) return refused
    for (const setting of settings) {
      const { name, value } = setting
      if (undecided.has(name.toLowerCase())) continue
      const reason = await answer(client, settingParameter(name), settingValue(name, value))
      if (reason !== undefined) refused.set(settingEntry(setting), reason)
    }
    return refused
  })
}

async function answer(
  client: pg.Client,
  parameter: string,
  value: string,
): Promise<string | undefined> {
  await client.query('SAVEPOINT trial')
  try {
    await client.query(`ALTER ROLE CURRENT_USER SET ${parameter} TO ${value}`)
    return undefined
  } catch (error) {
    if (!refuses(sqlstateOf(error) ?? '', 'setting')) throw error
    return messageOf(error)
  } finally {
    await client.query('ROLLBACK TO SAVEPOINT trial')
  }
}
