import { messageOf } from '../../../failure.ts'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier, quoteLiteral } from '../../../postgres/identifiers.ts'
import { refuses } from '../../../postgres/sqlstates.ts'
import type { EntryResult } from '../../../report/model.ts'
import { type Refusal, tryInTransaction } from '../owners/grants.ts'
import type { TemporaryRights } from '../owners/temporary-rights.ts'
import { belongsToSuperuser, isMigrated } from '../plan/losses-on-database.ts'
import type { RestorePlan } from '../plan/plan.ts'
import type { Worker } from '../run/worker.ts'
import { type DatabaseProperties, type Grant, hasDefaultPrivileges } from './properties.ts'
import { settingEntry, settingParameter, settingValue } from './settings.ts'

/** CREATE, CONNECT and TEMPORARY. */
const ownPrivileges = 3

/** What the target may refuse of a database. */
const takesNot = ['setting', 'grant', 'parameter grant'] as const

/**
 * Gives the target database the settings, privileges, comment and owner of the source's. Each setting goes alone: one that
 * only a superuser may make must not cost the others. What is refused of it is a loss like any other. The connection limit comes later (limitConnections).
 *
 * @returns what the target refused and is accepted, or is no loss, with its reason
 */
export async function applyProperties(
  plan: RestorePlan,
  name: string,
  rights: TemporaryRights,
  worker: Worker,
): Promise<EntryResult[]> {
  const { database, facts } = plan
  const quoted = quoteIdentifier(name)
  const refused: EntryResult[] = []
  // what is shown of a statement is without the value: an application may keep a secret in a setting
  const attempt = async (entry: string, sql: string, shown = sql, isLoss = true) => {
    await worker.collecting(entry, shown, async (session) => {
      try {
        await session.query(sql)
      } catch (error) {
        const sqlstate = sqlstateOf(error) ?? ''
        if (!takesNot.some((what) => refuses(sqlstate, what))) throw error
        refuse(entry, messageOf(error), sqlstate, shown, isLoss)
      }
    })
  }
  // a loss ends the run when everything else is done, unless it is accepted by name
  const refuse = (
    entry: string,
    message: string,
    sqlstate: string | null,
    sql: string,
    isLoss = true,
  ) => {
    const reason = isLoss
      ? worker.lose(entry, message, sqlstate, sql)
      : `the target refuses: ${message}`
    if (reason !== undefined) refused.push({ entry, reason })
  }
  for (const setting of database.settings) {
    const of =
      setting.role === null
        ? `ALTER DATABASE ${quoted}`
        : `ALTER ROLE ${quoteIdentifier(setting.role)} IN DATABASE ${quoted}`
    const entry = settingEntry(setting)
    const statement = `${of} SET ${settingParameter(setting.name)} TO`
    const role = setting.role === null ? undefined : facts.roles.get(setting.role)
    if (setting.role !== null && role === undefined) {
      const missing = `the role "${setting.role}" does not exist on the target`
      refuse(entry, missing, null, `${statement} …`)
      continue
    }
    // a superuser of the target's own is nobody that was migrated
    const isLoss = role?.superuser !== true || facts.target.account.superuser
    const sql = `${statement} ${settingValue(setting.name, setting.value)}`
    await attempt(entry, sql, `${statement} …`, isLoss)
  }
  // while the account owns it: an owner may, and so may nobody else but a superuser
  if (database.template) {
    await attempt('DATABASE TEMPLATE', `ALTER DATABASE ${quoted} WITH IS_TEMPLATE true`)
  }
  if (database.comment !== null) {
    await attempt(
      'COMMENT DATABASE',
      `COMMENT ON DATABASE ${quoted} IS ${quoteLiteral(database.comment)}`,
      `COMMENT ON DATABASE ${quoted} IS …`,
      false,
    )
  }
  await giveOwner()
  for (const { sql, grantor } of grantsOf(database, quoted)) await grant(sql, grantor)
  return refused

  /** As whoever made it, else as the account, which owns the database or is a member of who does. */
  async function grant(sql: string, grantor: string | undefined): Promise<void> {
    let first: Refusal | undefined
    let done = false
    await worker.retrying('ACL DATABASE', sql, async (session) => {
      for (const role of new Set([grantor, undefined])) {
        const able = role === undefined || (await rights.become(session, role)) === undefined
        if (!able || done) continue
        const as = role === undefined ? 'NONE' : quoteIdentifier(role)
        const refusal = await tryInTransaction(session, [`SET LOCAL ROLE ${as}; ${sql}`])
        if (!refusal) done = true
        first ??= refusal
      }
    })
    if (done || !first) return
    const entry = 'ACL DATABASE'
    const reason = worker.lose(entry, first.message, first.sqlstate, sql)
    if (reason !== undefined) refused.push({ entry, reason })
  }

  /** The owner comes before the grants, which are his. */
  async function giveOwner(): Promise<void> {
    const { owner } = database
    if (owner === facts.target.account.name) return
    let reason: string | undefined
    await worker.retrying(`membership in ${owner}`, '', async (session) => {
      reason = await rights.become(session, owner)
    })
    const entry = 'OWNER DATABASE'
    const sql = `ALTER DATABASE ${quoted} OWNER TO ${quoteIdentifier(owner)}`
    if (reason === undefined) await attempt(entry, sql)
    // whose objects stay with the account, his database does, too
    else if (isMigrated(facts, owner)) refuse(entry, reason, '42501', sql)
    else refused.push({ entry, reason })
  }

  function grantsOf(
    source: DatabaseProperties,
    target: string,
  ): { sql: string; grantor: string | undefined }[] {
    if (source.acl === null || (belongsToSuperuser(facts) && hasDefaultPrivileges(source)))
      return []
    const statements: { sql: string; grantor: string | undefined }[] = []
    const to = (grantee: string) => (grantee === '' ? 'PUBLIC' : quoteIdentifier(grantee))
    const known = (grant: Grant) => grant.grantee === '' || facts.roles.has(grant.grantee)
    statements.push({ sql: `REVOKE ALL ON DATABASE ${target} FROM PUBLIC`, grantor: undefined })
    // the owner's own grants first: those of others are made on the strength of them
    const ordered = [...source.acl].sort(
      (a, b) => Number(a.grantor !== source.owner) - Number(b.grantor !== source.owner),
    )
    for (const grant of ordered) {
      if (grant.grantee === source.owner) continue
      if (!known(grant)) {
        refused.push({
          entry: 'ACL DATABASE',
          reason: `the role "${grant.grantee}" does not exist on the target`,
        })
        continue
      }
      statements.push({
        sql: `GRANT ${grant.privilege} ON DATABASE ${target} TO ${to(grant.grantee)}${grant.grantable ? ' WITH GRANT OPTION' : ''}`,
        grantor: grant.grantor === source.owner ? undefined : grant.grantor,
      })
    }
    // an owner has every privilege until some are revoked
    const own = source.acl.filter((grant) => grant.grantee === source.owner)
    if (own.length < ownPrivileges && facts.roles.has(source.owner)) {
      const list = own.map(({ privilege }) => privilege).join(', ')
      const owner = quoteIdentifier(source.owner)
      statements.push({ sql: `REVOKE ALL ON DATABASE ${target} FROM ${owner}`, grantor: undefined })
      if (list) {
        statements.push({
          sql: `GRANT ${list} ON DATABASE ${target} TO ${owner}`,
          grantor: undefined,
        })
      }
    }
    return statements
  }
}
