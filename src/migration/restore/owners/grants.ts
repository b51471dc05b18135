import type pg from 'pg'
import { messageOf } from '../../../failure.ts'
import type { Archive } from '../../../postgres/archive/archive.ts'
import { rolesIn } from '../../../postgres/archive/roles.ts'
import { maskStatement, splitStatements } from '../../../postgres/archive/statement.ts'
import { mayPass, sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { majorOf } from '../../../postgres/version.ts'
import type { EntryResult } from '../../../report/model.ts'
import type { RestorePlan } from '../plan/plan.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { mostTogether } from '../run/schedule.ts'
import type { TargetSession } from '../run/target-session.ts'
import type { Worker } from '../run/worker.ts'
import type { TemporaryRights } from './temporary-rights.ts'

/** A statement of an ACL entry, and the role that the archive sets before it; null is the object's owner. */
interface GrantStatement {
  role: string | null
  sql: string
}

/** One way to make a grant: as a role (null is the account itself), with USAGE on a schema for as long as it takes. */
interface Way {
  as: string | null
  usageOn: string | null
}

/** Why a server did not do what a GRANT or REVOKE says. */
export interface Refusal {
  message: string
  sqlstate: string | null
}

/**
 * The answers to a GRANT or REVOKE that succeeded and did nothing, or not all (PostgreSQL, "Error Codes":
 * privilege_not_revoked and privilege_not_granted, which are warnings).
 */
const doneByHalves = /^0100[67]$/

/**
 * Applies the grants of archives. One that the target refuses is a loss of behaviour, and is told as such: somebody can do
 * less than before, or after a lost REVOKE more.
 */
export class Grants {
  /** Grants that were accepted as lost, and those made otherwise than the archive says. */
  readonly changed: EntryResult[] = []
  /** Names of entries of which the target refused something. */
  readonly lost = new Set<string>()
  private readonly plan: RestorePlan
  private readonly rights: TemporaryRights
  private readonly worker: Worker
  private readonly ownerOf: (item: PlannedEntry) => string | undefined

  /** @param ownerOf the role that owns what an ACL entry is about, where that is not the account */
  constructor(
    plan: RestorePlan,
    rights: TemporaryRights,
    worker: Worker,
    ownerOf: (item: PlannedEntry) => string | undefined,
  ) {
    this.plan = plan
    this.rights = rights
    this.worker = worker
    this.ownerOf = ownerOf
  }

  private get account(): string {
    return this.plan.facts.target.account.name
  }

  /** Applies ACL and DEFAULT ACL entries: many in one message where all of it works, or else each grant on its own. */
  async apply(items: readonly PlannedEntry[]): Promise<void> {
    for (let from = 0; from < items.length; from += mostTogether) {
      const some = items.slice(from, from + mostTogether)
      const running = this.worker.begin(some[0]?.name ?? '', some.length)
      let done = false
      await this.worker.retrying('grants', '', async (session) => {
        const texts: string[] = []
        for (const item of some) {
          for (const statement of this.statements(item)) {
            const [way] = await this.ways(session, item, statement)
            texts.push(`SET LOCAL ROLE ${roleName(way?.as ?? null)}; ${statement.sql}`)
          }
        }
        done = (await tryInTransaction(session, texts)) === undefined
      })
      if (!done) for (const item of some) await this.applyOne(item)
      running.end()
    }
  }

  private async applyOne(item: PlannedEntry): Promise<void> {
    for (const statement of this.statements(item)) {
      let refusal: Refusal | undefined
      await this.worker.retrying(item.name, statement.sql, async (session) => {
        refusal = await this.make(session, item, statement)
      })
      if (refusal) this.lose(item.name, refusal, statement.sql)
    }
  }

  /** @returns undefined as soon as one way led there, or what the server answered to the first */
  private async make(
    session: TargetSession,
    item: PlannedEntry,
    statement: GrantStatement,
  ): Promise<Refusal | undefined> {
    let first: Refusal | undefined
    for (const { as, usageOn } of await this.ways(session, item, statement)) {
      const grant = `SET LOCAL ROLE ${roleName(as)}; ${statement.sql}`
      const texts = usageOn && as ? await this.withUsage(session, as, usageOn, grant) : [grant]
      if (texts.length === 0) continue
      const refusal = await tryInTransaction(session, texts)
      if (!refusal) return undefined
      first ??= refusal
    }
    return first
  }

  /**
   * Who may make a grant: whoever the archive says, else the owner, whose grant gives the same privilege; else the account,
   * which PostgreSQL takes for the owner that it is a member of (docs/polardb.md, "Owners": an owner without USAGE on the schema
   * cannot grant himself); last the owner with that USAGE.
   */
  private async ways(
    session: TargetSession,
    item: PlannedEntry,
    { role }: GrantStatement,
  ): Promise<Way[]> {
    const owner = item.entry.desc === 'DEFAULT ACL' ? item.entry.owner : this.ownerOf(item)
    const ways: Way[] = []
    for (const one of [role, owner ?? this.account]) {
      if (one === null || ways.some(({ as }) => as === one)) continue
      if ((await this.rights.become(session, one)) !== undefined) continue
      ways.push({ as: one === this.account ? null : one, usageOn: null })
    }
    if (!ways.some(({ as }) => as === null)) ways.push({ as: null, usageOn: null })
    const { namespace } = item.entry
    if (owner !== undefined && namespace !== '') ways.push({ as: owner, usageOn: namespace })
    return ways
  }

  /** The grant with USAGE lent before it and taken back after it, in one transaction; nothing where that is not the point. */
  private async withUsage(
    session: TargetSession,
    role: string,
    schema: string,
    grant: string,
  ): Promise<string[]> {
    const { rows } = await session.query<{ owner: string }>(
      `SELECT pg_catalog.pg_get_userbyid(n.nspowner) AS owner FROM pg_catalog.pg_namespace n
         JOIN pg_catalog.pg_roles r ON r.rolname = $2
        WHERE n.nspname = $1 AND NOT pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')`,
      [schema, role],
    )
    const [found] = rows
    if (!found || (await this.rights.become(session, found.owner)) !== undefined) return []
    const as = `SET LOCAL ROLE ${roleName(found.owner === this.account ? null : found.owner)}`
    const usage = `USAGE ON SCHEMA ${quoteIdentifier(schema)}`
    const grantee = quoteIdentifier(role)
    return [
      `${as}; GRANT ${usage} TO ${grantee};`,
      grant,
      `${as}; REVOKE ${usage} FROM ${grantee};`,
    ]
  }

  private lose(name: string, { message, sqlstate }: Refusal, sql: string): void {
    this.lost.add(name)
    const reason = this.worker.lose(name, message, sqlstate, sql)
    if (reason !== undefined) this.changed.push({ entry: name, reason })
  }

  /** The grants of an entry, each with the role that the archive sets before it. */
  private statements(item: PlannedEntry): GrantStatement[] {
    const { entry, archive } = item
    const { target } = this.plan.facts
    const found: GrantStatement[] = []
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
      const sql =
        target.major < 17
          ? withoutMaintain(statement)
          : withoutWidening(statement, majorOf(archive.serverVersion), archive)
      if (
        target.major < 17 &&
        sql !== statement &&
        !this.changed.some((one) => one.entry === item.name)
      ) {
        this.changed.push({
          entry: item.name,
          reason: 'restored without the privilege MAINTAIN, which came with PostgreSQL 17',
        })
      }
      if (sql !== null) found.push({ role, sql })
    }
    return expandLargeObjects(item, found)
  }
}

const roleName = (role: string | null) => (role === null ? 'NONE' : quoteIdentifier(role))

/**
 * Runs grants in one transaction; nothing is done when the server refuses one of them, be it with a warning.
 *
 * @returns undefined, or why not
 * @throws the error of a lost connection, and of what may pass
 */
export async function tryInTransaction(
  session: TargetSession,
  texts: readonly string[],
): Promise<Refusal | undefined> {
  const warnings: pg.DatabaseError[] = []
  const listen = (notice: unknown) => {
    const warning = notice as pg.DatabaseError
    if (doneByHalves.test(warning.code ?? '')) warnings.push(warning)
  }
  const client = await session.own()
  await client.query('BEGIN')
  client.on('notice', listen)
  try {
    await client.query(texts.join('\n'))
    const [warning] = warnings
    await client.query(warning ? 'ROLLBACK' : 'COMMIT')
    return warning && { message: messageOf(warning), sqlstate: warning.code ?? null }
  } catch (error) {
    const sqlstate = sqlstateOf(error)
    if (sqlstate === undefined) throw error
    await client.query('ROLLBACK').catch(() => {})
    if (mayPass(error)) throw error
    return { message: messageOf(error), sqlstate }
  } finally {
    client.off('notice', listen)
  }
}

/** The privilege MAINTAIN came with version 17: older servers do not know the word. Null when nothing else is granted. */
function withoutMaintain(sql: string): string | null {
  const list = /^(GRANT|REVOKE|REVOKE GRANT OPTION FOR) ([A-Z, ]*\bMAINTAIN\b[A-Z, ]*) ON /.exec(
    sql,
  )
  if (!list) return sql
  const rest = (list[2] ?? '').split(',').filter((privilege) => privilege.trim() !== 'MAINTAIN')
  return rest.length === 0 ? null : `${list[1]} ${rest.join(',')} ON ${sql.slice(list[0].length)}`
}

/**
 * On a server of 17 or later, ALL on tables gives MAINTAIN as well, which no grant of an older source can have meant: such a
 * grant names what it gives.
 *
 * @param sourceMajor of the server that was dumped
 */
export function withoutWidening(
  sql: string,
  sourceMajor: number,
  { standardStrings }: Pick<Archive, 'standardStrings'>,
): string {
  if (!(sourceMajor < 17)) return sql
  const masked = maskStatement(sql, standardStrings)
  const found = /^(GRANT )ALL ON TABLE |^(ALTER DEFAULT PRIVILEGES .* GRANT )ALL ON TABLES /s.exec(
    masked,
  )
  if (!found) return sql
  const at = (found[1] ?? found[2] ?? '').length
  return `${sql.slice(0, at)}${tablePrivileges}${sql.slice(at + 'ALL'.length)}`
}

/** All that there are on tables, from 8.4 to 16. */
const tablePrivileges = 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'

/** From version 17 on one entry stands for many large objects: its statements name the first, and count for each. */
function expandLargeObjects(
  { entry, archive }: PlannedEntry,
  statements: GrantStatement[],
): GrantStatement[] {
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
