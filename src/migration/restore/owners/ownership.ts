import { messageOf } from '../../../failure.ts'
import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { maskStatement } from '../../../postgres/archive/statement.ts'
import { mayPass, sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { sameRoleNames } from '../../../postgres/roles/role-names.ts'
import type { EntryResult } from '../../../report/model.ts'
import { counted } from '../../../text/numbers.ts'
import type { RestorePlan } from '../plan/plan.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { mostTogether } from '../run/schedule.ts'
import type { TargetSession } from '../run/target-session.ts'
import type { Worker } from '../run/worker.ts'
import type { TemporaryRights } from './temporary-rights.ts'

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

/** Gives every object to its old owner, as far as that can be. */
export class Ownership {
  /** Owners that could not be had, by role. */
  readonly kept = new Map<string, KeptOwner>()
  /** Single objects that cannot have their owner. */
  readonly refused: EntryResult[] = []
  private readonly plan: RestorePlan
  private readonly rights: TemporaryRights
  private readonly worker: Worker
  /** The owner that each entry's object has got, where it is not the account: by archive and id. */
  private readonly owners = new Map<string, string>()
  /** Entries whose objects went from the loader to the account. */
  private readonly staying = new Set<string>()

  constructor(plan: RestorePlan, rights: TemporaryRights, worker: Worker) {
    this.plan = plan
    this.rights = rights
    this.worker = worker
  }

  private inText(text: string): string {
    return (this.plan.options.roleNames ?? sameRoleNames).inText(text)
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

  /** Whether an ACL entry is about what the account got from the loader. */
  settled(item: PlannedEntry): boolean {
    return item.entry.dependencies.some((id) => this.staying.has(idOf(item, id)))
  }

  /** Makes the loader the owner again of what an interrupted run has given away. */
  async takeBack(loader: string, items: readonly PlannedEntry[]): Promise<void> {
    const followers = await this.followers()
    const own = items.filter(({ entry }) => !followers.has(keyOf(entry)))
    await this.giveAll(
      own.filter((item) => !item.byAccount || item.entry.desc === 'SCHEMA'),
      loader,
    )
  }

  /** Gives the account what it keeps: while code of the database could run, the loader owned it. */
  async settle(): Promise<void> {
    const followers = await this.followers()
    const { account } = this
    const staying = this.plan.entries.filter(
      (item) =>
        item.decision.kind !== 'leave-out' &&
        (!item.byAccount || item.entry.desc === 'SCHEMA') &&
        !this.owners.has(idOf(item, item.entry.dumpId)) &&
        !followers.has(keyOf(item.entry)),
    )
    const schemas = new Set(staying.map(({ entry }) => entry.namespace).filter(Boolean))
    await this.worker.retrying('temporary grants', '', async (session) => {
      // the database and its schemas have their owners, who may have left themselves less than everything
      await this.rights.createInDatabase(session, [account])
      await this.rights.createIn(
        session,
        [...schemas].map((schema) => ({ role: account, schema })),
      )
    })
    await this.giveAll(staying, account)
    for (const item of staying) this.staying.add(idOf(item, item.entry.dumpId))
  }

  /** Makes a role the owner of objects, many in one message; what cannot be had, or is not there, stays as it is. */
  private async giveAll(items: readonly PlannedEntry[], owner: string): Promise<void> {
    const statements = items.flatMap(({ entry }) => ownerStatements(entry, owner))
    for (let from = 0; from < statements.length; from += mostTogether) {
      const some = statements.slice(from, from + mostTogether)
      let done = false
      await this.worker.retrying('owners', some[0] ?? '', async (session) => {
        done = await succeeds(session, some.join(';\n'))
      })
      if (done) continue
      for (const sql of some) {
        await this.worker.retrying('owners', sql, async (session) => {
          await succeeds(session, sql)
        })
      }
    }
  }

  private async takeBackSchemas(session: TargetSession): Promise<void> {
    const { databaseGrants } = this.rights.marked
    this.rights.marked.databaseGrants = []
    await this.rights.takeBackGrants(session)
    this.rights.marked.databaseGrants = databaseGrants
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
      const said = this.inText(reason)
      const kept = this.kept.get(role) ?? { role, owner: this.account, reason: said, objects: 0 }
      kept.objects++
      this.kept.set(role, kept)
    }
    return result
  }

  /** Sequences that belong to a column: their owner is the table's, and cannot be changed apart from it. */
  private async followers(): Promise<Set<string>> {
    const found = new Set<string>()
    await this.worker.retrying('owned sequences', '', async (session) => {
      const { rows } = await session.query<{ schema: string; name: string }>(`
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
      const done = await this.worker.collecting(`OWNER ${item.name}`, sql, async (session) => {
        given = await this.alter(session, item, sql)
      })
      if (!done || !given) return
    }
    this.owners.set(idOf(item, item.entry.dumpId), owner)
  }

  private async alter(session: TargetSession, item: PlannedEntry, sql: string): Promise<boolean> {
    try {
      await session.query(sql)
      return true
    } catch (error) {
      if (sqlstateOf(error) !== '42501') throw error
      try {
        // an interrupted run may have given it away before: then it takes the owner to say so again
        await this.rights.as(session, item.entry.owner, sql)
        return true
      } catch (second) {
        if (sqlstateOf(second) === undefined) throw second
        const entry = `OWNER ${item.name}`
        const reason = this.worker.lose(entry, messageOf(error), '42501', sql)
        if (reason !== undefined) this.refused.push({ entry, reason })
        return false
      }
    }
  }

  /** The role that owns what an ACL entry is about, where that is not the account. */
  ownerOf({ archive, entry }: PlannedEntry): string | undefined {
    for (const id of entry.dependencies) {
      const owner = this.owners.get(idOf({ archive }, id))
      if (owner !== undefined) return owner
    }
    return undefined
  }

  /** What is to be told of owners: one line a role. */
  report(): EntryResult[] {
    const kept = [...this.kept.values()].map(({ role, owner, reason, objects }) => ({
      entry: `OWNER ${this.inText(role)}`,
      reason: `${counted(objects, 'object')} ${objects === 1 ? 'stays' : 'stay'} with "${owner}": ${reason}`,
    }))
    return [...kept, ...this.refused]
  }
}

/** Runs statements in one transaction; false, and nothing done, when the server refuses one of them. */
async function succeeds(session: TargetSession, sql: string): Promise<boolean> {
  const client = await session.own()
  await client.query('BEGIN')
  try {
    await client.query(sql)
    await client.query('COMMIT')
    return true
  } catch (error) {
    const sqlstate = sqlstateOf(error)
    if (sqlstate === undefined || mayPass(error)) throw error
    await client.query('ROLLBACK')
    return false
  }
}

/** Statements in one message at most. */
const mostStatements = 1000

const idOf = ({ archive }: Pick<PlannedEntry, 'archive'>, id: number) =>
  `${archive.directory}\0${id}`

const keyOf = (entry: ArchiveEntry) => `${entry.desc}\0${entry.namespace}\0${entry.tag}`
