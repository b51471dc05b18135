import { messageOf } from '../../failure.ts'
import type { ArchiveEntry } from '../../postgres/archive-entry.ts'
import { maskStatement, splitStatements } from '../../postgres/archive-statement.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { quoteIdentifier } from '../../postgres/identifiers.ts'
import type { EntryResult } from '../../report/model.ts'
import { counted } from '../../report/text.ts'
import type { PlannedEntry } from './fate.ts'
import { mostTogether } from './graph.ts'
import type { RestorePlan } from './plan.ts'
import type { TemporaryRights } from './rights.ts'
import { rolesIn } from './roles.ts'
import { mayPass, type Session } from './session.ts'
import type { Worker } from './worker.ts'

/** Kinds whose owner is changed by `ALTER kind name OWNER TO` (pg_backup_archiver.c, _getObjectDescription). */
const byName =
  /^(COLLATION|CONVERSION|DOMAIN|FOREIGN TABLE|MATERIALIZED VIEW|SEQUENCE|STATISTICS|TABLE|TEXT SEARCH DICTIONARY|TEXT SEARCH CONFIGURATION|TYPE|VIEW|PROCEDURAL LANGUAGE|SCHEMA|EVENT TRIGGER|FOREIGN DATA WRAPPER|SERVER|PUBLICATION|SUBSCRIPTION)$/
/** … and those whose name takes arguments, which the DROP statement has. */
const byDrop = /^(AGGREGATE|FUNCTION|OPERATOR|OPERATOR CLASS|OPERATOR FAMILY|PROCEDURE)$/

/** Statements that make `owner` the owner of what an entry creates; empty for what has no owner, or a superuser's alone. */
export function ownerStatements(entry: ArchiveEntry, owner: string): string[] {
  const to = ` OWNER TO ${quoteIdentifier(owner)}`
  if (entry.desc === 'BLOB') return [`ALTER LARGE OBJECT ${Number(entry.tag)}${to}`]
  if (entry.desc === 'BLOB METADATA') {
    return entry.definition
      .split('\n')
      .filter(Boolean)
      .map((oid) => `ALTER LARGE OBJECT ${Number(oid)}${to}`)
  }
  if (byName.test(entry.desc)) {
    const schema = entry.namespace ? `${quoteIdentifier(entry.namespace)}.` : ''
    return [`ALTER ${entry.desc} ${schema}${quoteIdentifier(entry.tag)}${to}`]
  }
  if (byDrop.test(entry.desc)) {
    const object = entry.dropStatement.replace(/^DROP (?=[A-Z])/, '').replace(/[;\s]*$/, '')
    return [`ALTER ${object}${to}`]
  }
  return []
}

/** Publications of everything and foreign-data wrappers may only be a superuser's, and subscriptions before version 16. */
function takesSuperuser({ entry, archive }: PlannedEntry): boolean {
  return (
    /^(FOREIGN DATA WRAPPER|SUBSCRIPTION|PROCEDURAL LANGUAGE|EVENT TRIGGER)$/.test(entry.desc) ||
    (entry.desc === 'PUBLICATION' &&
      /\bFOR (ALL TABLES|TABLES IN SCHEMA)\b/.test(
        maskStatement(entry.definition, archive.standardStrings),
      ))
  )
}

/** A role of the source whose objects stay with the account. */
export interface KeptOwner {
  role: string
  owner: string
  reason: string
  objects: number
}

/** Gives every object to its old owner, as far as that can be, and then applies the grants of the archives. */
export class Ownership {
  /** Owners that could not be had, by role. */
  readonly kept = new Map<string, KeptOwner>()
  /** Single objects and grants that the server refused. */
  readonly refused: EntryResult[] = []
  private readonly plan: RestorePlan
  private readonly rights: TemporaryRights
  private readonly worker: Worker
  /** The owner that each entry's object has got, where it is not the account: by archive and id. */
  private readonly owners = new Map<string, string>()

  constructor(plan: RestorePlan, rights: TemporaryRights, worker: Worker) {
    this.plan = plan
    this.rights = rights
    this.worker = worker
  }

  private get account(): string {
    return this.plan.facts.target.account.name
  }

  /** The whole pass over owners. */
  async giveBack(items: readonly PlannedEntry[]): Promise<void> {
    const owned = items.filter(
      (item) => item.entry.owner !== '' && ownerStatements(item.entry, item.entry.owner).length > 0,
    )
    const attainable = await this.attainable(owned)
    const objects = attainable.filter(({ entry }) => entry.desc !== 'SCHEMA')
    const schemas = attainable.filter(({ entry }) => entry.desc === 'SCHEMA')
    const pairs = new Map<string, { role: string; schema: string }>()
    for (const { entry } of objects) {
      if (entry.namespace === '' || entry.owner === this.account) continue
      pairs.set(`${entry.owner}\0${entry.namespace}`, {
        role: entry.owner,
        schema: entry.namespace,
      })
    }
    const creators = attainable.filter(({ entry }) =>
      /^(SCHEMA|PUBLICATION|SERVER)$/.test(entry.desc),
    )
    await this.worker.retrying('temporary grants', '', async (session) => {
      await this.rights.createIn(session, [...pairs.values()])
      await this.rights.createInDatabase(session, [
        ...new Set(creators.map(({ entry }) => entry.owner)),
      ])
    })
    const followers = await this.followers()
    const givable = objects.filter(({ entry }) => !followers.has(keyOf(entry)))
    for (let from = 0; from < givable.length; from += mostTogether) {
      await this.giveTogether(givable.slice(from, from + mostTogether))
    }
    // as long as the schemas are the account's, what was granted on them is the account's to take back
    await this.worker.retrying('temporary grants', '', (session) => this.takeBackSchemas(session))
    for (const item of schemas) await this.give(item)
    await this.worker.retrying('temporary grants', '', (session) =>
      this.rights.takeBackGrants(session),
    )
  }

  private async takeBackSchemas(session: Session): Promise<void> {
    const { databaseGrants } = this.rights.state
    this.rights.state.databaseGrants = []
    await this.rights.takeBackGrants(session)
    this.rights.state.databaseGrants = databaseGrants
  }

  /** Those whose owner the account can make an owner; the others are noted with the reason. */
  private async attainable(owned: readonly PlannedEntry[]): Promise<PlannedEntry[]> {
    const { account } = this.plan.facts.target
    const result: PlannedEntry[] = []
    for (const item of owned) {
      const role = item.entry.owner
      let reason: string | undefined
      if (takesSuperuser(item) && !account.superuser) {
        reason = 'such an object can only belong to a superuser, or to who created it'
        if (role !== this.account) this.refused.push({ entry: `OWNER ${item.name}`, reason })
        continue
      }
      await this.worker.retrying(`membership in ${role}`, '', async (session) => {
        reason = await this.rights.become(session, role)
      })
      if (reason === undefined) {
        result.push(item)
        continue
      }
      const kept = this.kept.get(role) ?? { role, owner: this.account, reason, objects: 0 }
      kept.objects++
      this.kept.set(role, kept)
    }
    return result
  }

  /** Sequences that belong to a column: their owner is the table's, and cannot be changed apart from it. */
  private async followers(): Promise<Set<string>> {
    const found = new Set<string>()
    await this.worker.retrying('owned sequences', '', async (session) => {
      const { rows } = await session.client.query<{ schema: string; name: string }>(`
        SELECT n.nspname AS schema, c.relname AS name
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
           AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
         WHERE c.relkind = 'S'`)
      for (const { schema, name } of rows) found.add(`SEQUENCE\0${schema}\0${name}`)
    })
    return found
  }

  /** Gives several objects away in one message; when one cannot be given, each on its own. */
  private async giveTogether(items: readonly PlannedEntry[]): Promise<void> {
    const others = items.filter(({ entry }) => entry.owner !== this.account)
    const statements = others.flatMap(({ entry }) => ownerStatements(entry, entry.owner))
    let given = others.length === 0
    if (others.length > 1 && statements.length <= mostStatements) {
      const sql = statements.join(';\n')
      await this.worker.retrying('owners', sql, async (session) => {
        given = await succeeds(session, sql)
      })
    }
    for (const item of others) {
      if (given) this.owners.set(idOf(item, item.entry.dumpId), item.entry.owner)
      else await this.give(item)
    }
  }

  private async give(item: PlannedEntry): Promise<void> {
    const { owner } = item.entry
    if (owner === this.account) return
    const statements = ownerStatements(item.entry, owner)
    for (let from = 0; from < statements.length; from += mostStatements) {
      const sql = statements.slice(from, from + mostStatements).join(';\n')
      let given = false
      await this.worker.retrying(`OWNER ${item.name}`, sql, async (session) => {
        given = await this.alter(session, item, sql)
      })
      if (!given) return
    }
    this.owners.set(idOf(item, item.entry.dumpId), owner)
  }

  private async alter(session: Session, item: PlannedEntry, sql: string): Promise<boolean> {
    try {
      await session.client.query(sql)
      return true
    } catch (error) {
      if (sqlstateOf(error) !== '42501') throw error
      try {
        // an interrupted run may have given it away before: then it takes the owner to say so again
        await this.rights.as(session, item.entry.owner, sql)
        return true
      } catch (second) {
        if (sqlstateOf(second) === undefined) throw second
        this.refused.push({
          entry: `OWNER ${item.name}`,
          reason: `the target refuses: ${messageOf(error)}`,
        })
        return false
      }
    }
  }

  /** Applies ACL and DEFAULT ACL entries, each grant as whoever made it: together, or else each on its own. */
  async grant(items: readonly PlannedEntry[]): Promise<void> {
    for (let from = 0; from < items.length; from += mostTogether) {
      const some = items.slice(from, from + mostTogether)
      const running = this.worker.begin(some[0]?.name ?? '', some.length)
      let done = false
      await this.worker.retrying('grants', '', async (session) => {
        const texts: string[] = []
        for (const item of some) texts.push(await this.grantText(session, item))
        done = await succeeds(session, texts.join('\n'))
      })
      if (!done) for (const item of some) await this.grantOne(item)
      running.end()
    }
  }

  private async grantOne(item: PlannedEntry): Promise<void> {
    await this.worker.retrying(item.name, item.entry.definition, async (session) => {
      const text = await this.grantText(session, item)
      await session.client.query('BEGIN')
      try {
        await session.client.query(text)
        await session.client.query('COMMIT')
      } catch (error) {
        await session.client.query('ROLLBACK').catch(() => {})
        if (sqlstateOf(error) !== '42501') throw error
        this.refused.push({ entry: item.name, reason: `the target refuses: ${messageOf(error)}` })
      }
    })
  }

  /** The statements of an entry for a transaction block, with the role before each that makes it. */
  private async grantText(session: Session, item: PlannedEntry): Promise<string> {
    const { entry } = item
    const owner =
      entry.desc === 'DEFAULT ACL'
        ? entry.owner
        : entry.dependencies
            .map((id) => this.owners.get(idOf(item, id)))
            .find((one) => one !== undefined)
    let text = ''
    for (const { role, sql } of this.grantStatements(item)) {
      // a grantor that the account cannot become is stood in for by the owner: the privilege is the same
      const able = role !== null && (await this.rights.become(session, role)) === undefined
      const wanted = able ? role : (owner ?? this.account)
      const unable = (await this.rights.become(session, wanted)) !== undefined
      const as = wanted === this.account || unable ? 'NONE' : quoteIdentifier(wanted)
      text += `SET LOCAL ROLE ${as}; ${sql}\n`
    }
    return text
  }

  /** The grants of an entry, each with the role that the archive sets before it; null is the owner. */
  private grantStatements(item: PlannedEntry): { role: string | null; sql: string }[] {
    const { entry, archive } = item
    const { roles, target } = this.plan.facts
    const found: { role: string | null; sql: string }[] = []
    let role: string | null = null
    for (const statement of splitStatements(entry.definition, archive.standardStrings)) {
      const named = rolesIn(statement, archive.standardStrings)
      if (/^SET SESSION AUTHORIZATION\b/.test(statement)) {
        role = named[0]?.role ?? null
        continue
      }
      if (/^RESET SESSION AUTHORIZATION\b/.test(statement)) {
        role = null
        continue
      }
      const missing = named.find((one) => !roles.has(one.role))
      if (missing) {
        this.refused.push({
          entry: item.name,
          reason: `the role "${missing.role}" does not exist on the target`,
        })
        continue
      }
      const sql = target.major < 17 ? withoutMaintain(statement) : statement
      if (sql !== statement) {
        this.refused.push({
          entry: item.name,
          reason: 'restored without the privilege MAINTAIN, which came with PostgreSQL 17',
        })
      }
      if (sql !== null) found.push({ role, sql })
    }
    return expandLargeObjects(item, found)
  }

  /** What is to be told of owners: one line a role. */
  report(): EntryResult[] {
    const kept = [...this.kept.values()].map(({ role, owner, reason, objects }) => ({
      entry: `OWNER ${role}`,
      reason: `${counted(objects, 'object')} ${objects === 1 ? 'stays' : 'stay'} with "${owner}": ${reason}`,
    }))
    // grants are put together anew when they have to be tried one by one
    const refused = new Map(this.refused.map((one) => [`${one.entry}\0${one.reason}`, one]))
    return [...kept, ...refused.values()]
  }
}

/** Runs statements in one transaction; false, and nothing done, when the server refuses one of them. */
async function succeeds(session: Session, sql: string): Promise<boolean> {
  await session.client.query('BEGIN')
  try {
    await session.client.query(sql)
    await session.client.query('COMMIT')
    return true
  } catch (error) {
    const sqlstate = sqlstateOf(error)
    if (sqlstate === undefined || mayPass(error)) throw error
    await session.client.query('ROLLBACK')
    return false
  }
}

/** Statements in one message at most. */
const mostStatements = 1000

const idOf = ({ archive }: PlannedEntry, id: number) => `${archive.directory}\0${id}`

const keyOf = (entry: ArchiveEntry) => `${entry.desc}\0${entry.namespace}\0${entry.tag}`

/** The privilege MAINTAIN came with version 17: older servers do not know the word. Null when nothing else is granted. */
function withoutMaintain(sql: string): string | null {
  const list = /^(GRANT|REVOKE|REVOKE GRANT OPTION FOR) ([A-Z, ]*\bMAINTAIN\b[A-Z, ]*) ON /.exec(
    sql,
  )
  if (!list) return sql
  const rest = (list[2] ?? '').split(',').filter((privilege) => privilege.trim() !== 'MAINTAIN')
  return rest.length === 0 ? null : `${list[1]} ${rest.join(',')} ON ${sql.slice(list[0].length)}`
}

/** From version 17 on one entry stands for many large objects: its statements name the first, and count for each. */
function expandLargeObjects(
  { entry, archive }: PlannedEntry,
  statements: { role: string | null; sql: string }[],
): { role: string | null; sql: string }[] {
  if (!entry.tag.startsWith('LARGE OBJECTS ')) return statements
  const metadata = archive.entries.find(
    (one) => one.desc === 'BLOB METADATA' && entry.dependencies.includes(one.dumpId),
  )
  const oids = metadata?.definition.split('\n').filter(Boolean) ?? []
  return oids.flatMap((oid) =>
    statements.map(({ role, sql }) => ({
      role,
      sql: sql.replace(/\bLARGE OBJECT \d+/, `LARGE OBJECT ${Number(oid)}`),
    })),
  )
}
