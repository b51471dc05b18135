import type { Loss } from '../../../report/model.ts'
import { type DatabaseProperties, hasDefaultPrivileges } from '../database/properties.ts'
import { settingEntry } from '../database/settings.ts'
import type { TargetFacts } from './target-facts.ts'

/**
 * What of the database itself the target is known to refuse before the first byte: settings that it has been asked about, and
 * all that takes the owner where the database exists already and belongs to a superuser, as those do that a console made.
 *
 * @returns losses in the names of `allow-missing`
 */
export function lossesOnDatabase(facts: TargetFacts, database: DatabaseProperties): Loss[] {
  const losses: Loss[] = []
  const lose = (entry: string, reason: string, remedy: string) => {
    losses.push({ entry, database: database.name, reason, remedy })
  }
  const { existing, refusedSettings } = facts
  // an account that may create nothing hears of that alone (see prepareDatabase)
  const foreign = existing?.creatable && belongsToSuperuser(facts) ? existing.owner : undefined
  const belongs = `the database belongs to "${foreign}" on the target`
  for (const setting of database.settings) {
    const { role } = setting
    // a superuser of the target's own is nobody that was migrated
    if (role !== null && !isMigrated(facts, role)) continue
    const entry = settingEntry(setting)
    const refused = refusedSettings?.get(entry)
    if (refused !== undefined) {
      lose(
        entry,
        `the target refuses: ${refused}`,
        'Do without it on the source (ALTER DATABASE … RESET), or have an administrator of the cluster set it afterwards',
      )
    } else if (foreign !== undefined && role === null) {
      lose(entry, `${belongs}, and only he may set it`, giveIt)
    }
  }
  if (foreign === undefined) return losses
  if (database.owner !== foreign && isMigrated(facts, database.owner)) {
    lose('OWNER DATABASE', `${belongs}, and only a superuser may give it away`, giveIt)
  }
  if (!hasDefaultPrivileges(database)) {
    lose('ACL DATABASE', `${belongs}, and only a superuser may grant on it`, giveIt)
  }
  if (database.connectionLimit !== -1) {
    lose('DATABASE CONNECTION LIMIT', `${belongs}, and only he may limit it`, giveIt)
  }
  if (database.template) {
    lose('DATABASE TEMPLATE', `${belongs}, and only he may mark it as a template`, giveIt)
  }
  return losses
}

const giveIt =
  'Have an administrator of the cluster give it to the account, or let the action create the database'

/** Whether the database exists and is a superuser's, and the account is none. */
export function belongsToSuperuser({ existing, target, roles }: TargetFacts): boolean {
  return !target.account.superuser && existing !== null && !!roles.get(existing.owner)?.superuser
}

/** Whether a role of the source can be one of the target's: not a superuser of its own that the account has no power over. */
export function isMigrated({ roles, target }: TargetFacts, role: string): boolean {
  const found = roles.get(role)
  return found !== undefined && (!found.superuser || target.account.superuser)
}
