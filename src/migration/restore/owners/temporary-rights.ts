import { messageOf } from '../../../failure.ts'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { refuses } from '../../../postgres/sqlstates.ts'
import { isTaken } from '../../../postgres/tried.ts'
import { type RestoreState, writeMark } from '../database/mark.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import type { TargetFacts } from '../plan/target-facts.ts'
import type { TargetSession } from '../run/target-session.ts'

/**
 * Rights that the account lends itself, and owners-to-be, for the time of a restore. Each is written down in the target
 * before it is taken, and given back at the end or by the next run (docs/polardb.md, "Owners").
 */
export class TemporaryRights {
  private readonly facts: TargetFacts
  private readonly database: string
  readonly marked: RestoreState
  /** Roles that the account can become: true, or why not. */
  private readonly able = new Map<string, true | string>()

  constructor(facts: TargetFacts, database: string, marked: RestoreState) {
    this.facts = facts
    this.database = database
    this.marked = marked
  }

  /** Writes down in the target what was taken so far. */
  async save(session: TargetSession): Promise<void> {
    await writeMark(await session.own(), this.marked)
  }

  /**
   * Makes sure that the account can act as a role and make it an owner.
   *
   * @returns undefined, or why it cannot
   */
  async become(session: TargetSession, role: string): Promise<string | undefined> {
    const known = this.able.get(role)
    if (known !== undefined) return known === true ? undefined : known
    const result = await this.tryToBecome(session, role)
    this.able.set(role, result ?? true)
    return result
  }

  /**
   * Marks a database whose owner the account is no more. Whoever owns it lets the mark be made, and that membership is written
   * down in the transaction that gives it.
   */
  async markAs(session: TargetSession, owner: string): Promise<void> {
    const client = await session.own()
    const { rows } = await client.query<{ able: boolean }>(
      `SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS able`,
    )
    if (rows[0]?.able) {
      await writeMark(client, this.marked)
      return
    }
    const { account, major } = this.facts.target
    await client.query('BEGIN')
    try {
      await client.query(
        `GRANT ${quoteIdentifier(owner)} TO ${quoteIdentifier(account.name)}${major >= 16 ? ' WITH SET TRUE, INHERIT TRUE' : ''}`,
      )
      const memberships = [...this.marked.memberships, owner]
      await writeMark(client, { ...this.marked, memberships })
      await client.query('COMMIT')
      this.marked.memberships = memberships
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {})
      throw error
    }
  }

  private async tryToBecome(session: TargetSession, role: string): Promise<string | undefined> {
    const { account, major } = this.facts.target
    const found = this.facts.roles.get(role)
    if (!found) return `the role "${role}" does not exist on the target`
    if (role === account.name || account.superuser) return undefined
    if (found.superuser) return `"${role}" is a superuser on the target, and the account is none`
    const { rows } = await session.query<{ able: boolean }>(
      // before version 16, where SET and INHERIT became options of a grant, a member could do all that is done here
      major >= 16
        ? `SELECT pg_catalog.pg_has_role(session_user, $1::pg_catalog.name, 'SET') AND pg_catalog.pg_has_role(session_user, $1::pg_catalog.name, 'USAGE') AS able`
        : `SELECT pg_catalog.pg_has_role(session_user, $1::pg_catalog.name, 'MEMBER') AS able`,
      [role],
    )
    if (rows[0]?.able) return undefined
    const granted = { ...this.marked, memberships: [...this.marked.memberships, role] }
    await writeMark(await session.own(), granted)
    this.marked.memberships.push(role)
    try {
      await session.query(
        `GRANT ${quoteIdentifier(role)} TO ${quoteIdentifier(account.name)}${major >= 16 ? ' WITH SET TRUE, INHERIT TRUE' : ''}`,
      )
      return undefined
    } catch (error) {
      if (sqlstateOf(error) === undefined) throw error
      // a role that is a member of the account, say: PolarDB 11 can do without
      if (await this.mayActAs(session, role)) return undefined
      return `the account cannot become a member of "${role}": ${messageOf(error)}`
    }
  }

  /** PolarDB 11 lets a polar_superuser act as anybody but a superuser, and give objects away, without membership. */
  private async mayActAs(session: TargetSession, role: string): Promise<boolean> {
    const { account, hasPolarSuperuser } = this.facts.target
    if (!account.polarSuperuser || !hasPolarSuperuser) return false
    const client = await session.own()
    return isTaken(client, () => client.query(`SET LOCAL ROLE ${quoteIdentifier(role)}`))
  }

  /** Lets roles create in schemas, as far as they may not: an owner must be able to. */
  async createIn(
    session: TargetSession,
    pairs: readonly { role: string; schema: string }[],
  ): Promise<void> {
    if (pairs.length === 0) return
    const { rows } = await session.query<{ role: string; schema: string }>(
      `SELECT p.role, p.schema FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) p(role, schema)
         JOIN pg_catalog.pg_namespace n ON n.nspname = p.schema JOIN pg_catalog.pg_roles r ON r.rolname = p.role
        WHERE NOT pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')`,
      [pairs.map(({ role }) => role), pairs.map(({ schema }) => schema)],
    )
    if (rows.length === 0) return
    this.marked.schemaGrants.push(...rows)
    await writeMark(await session.own(), this.marked)
    for (const { role, schema } of rows) {
      await this.attempt(
        session,
        `GRANT CREATE ON SCHEMA ${quoteIdentifier(schema)} TO ${quoteIdentifier(role)}`,
      )
    }
  }

  /** Lets roles create in the database: owners of schemas and publications must be able to. */
  async createInDatabase(session: TargetSession, roles: readonly string[]): Promise<void> {
    const { rows } = await session.query<{ role: string }>(
      `SELECT rolname AS role FROM pg_catalog.pg_roles
        WHERE rolname = ANY ($1) AND NOT pg_catalog.has_database_privilege(oid, pg_catalog.current_database(), 'CREATE')`,
      [roles],
    )
    if (rows.length === 0) return
    this.marked.databaseGrants.push(...rows.map(({ role }) => role))
    await writeMark(await session.own(), this.marked)
    for (const { role } of rows) {
      await this.attempt(
        session,
        `GRANT CREATE ON DATABASE ${quoteIdentifier(this.database)} TO ${quoteIdentifier(role)}`,
      )
    }
  }

  /** Takes back what roles were given on schemas and the database, by whoever owns these now. What is left stays written down. */
  async takeBackGrants(session: TargetSession): Promise<void> {
    const { marked } = this
    for (const grant of [...marked.schemaGrants]) {
      const { role, schema } = grant
      const owner = await this.ownerOf(session, 'pg_namespace', 'nspname', 'nspowner', schema)
      const statement = `REVOKE CREATE ON SCHEMA ${quoteIdentifier(schema)} FROM ${quoteIdentifier(role)}`
      if (owner !== null) await this.as(session, owner, statement)
      marked.schemaGrants = marked.schemaGrants.filter((other) => other !== grant)
    }
    for (const role of [...marked.databaseGrants]) {
      const owner = await this.ownerOf(session, 'pg_database', 'datname', 'datdba', this.database)
      const statement = `REVOKE CREATE ON DATABASE ${quoteIdentifier(this.database)} FROM ${quoteIdentifier(role)}`
      if (owner !== null) await this.as(session, owner, statement)
      marked.databaseGrants = marked.databaseGrants.filter((other) => other !== role)
    }
    await writeMark(await session.own(), marked)
  }

  /**
   * Ends the memberships that were taken for the restore.
   *
   * @param roles those of them to end; default all
   * @returns roles whose member the account still is because the server refused to end it; they stay written down
   */
  async takeBackMemberships(
    session: TargetSession,
    roles: readonly string[] = this.marked.memberships,
  ): Promise<string[]> {
    const { account, major } = this.facts.target
    for (const role of new Set(roles)) {
      await this.attempt(
        session,
        `REVOKE ${quoteIdentifier(role)} FROM ${quoteIdentifier(account.name)}`,
      )
    }
    // from version 16 on others may have made the account a member as well: that is not ours to end
    const { rows } = await session.query<{ role: string }>(
      `SELECT r.rolname AS role FROM pg_catalog.pg_auth_members m
         JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles a ON a.oid = m.member
        WHERE a.rolname = session_user AND r.rolname = ANY ($1)
              ${major >= 16 ? 'AND m.grantor = a.oid' : ''}`,
      [roles],
    )
    const left = rows.map(({ role }) => role)
    this.marked.memberships = this.marked.memberships.filter(
      (role) => !roles.includes(role) || left.includes(role),
    )
    this.able.clear()
    await writeMark(await session.own(), this.marked)
    return left
  }

  /**
   * Runs a statement as a role that the account can become, or as itself.
   *
   * @param of the entry of an archive that the statement comes from or works on; without one it is a statement of our own
   */
  async as(
    session: TargetSession,
    role: string,
    statement: string,
    of?: PlannedEntry,
  ): Promise<void> {
    const { account } = this.facts.target
    const other = role !== account.name && (await this.become(session, role)) === undefined
    const client = of ? await session.foreign(of.archive, of.entry.namespace) : await session.own()
    await client.query('BEGIN')
    try {
      if (other) await client.query(`SET LOCAL ROLE ${quoteIdentifier(role)}`)
      await client.query(statement)
      await client.query('COMMIT')
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {})
      throw error
    }
  }

  /** A right that the server refuses to give or take shows later, in what it was for. */
  private async attempt(session: TargetSession, statement: string): Promise<void> {
    try {
      await session.query(statement)
    } catch (error) {
      const sqlstate = sqlstateOf(error)
      if (sqlstate === undefined || !refuses(sqlstate, 'grant')) throw error
    }
  }

  private async ownerOf(
    session: TargetSession,
    catalog: string,
    nameColumn: string,
    ownerColumn: string,
    name: string,
  ): Promise<string | null> {
    const { rows } = await session.query<{ owner: string }>(
      `SELECT pg_catalog.pg_get_userbyid(${ownerColumn}) AS owner FROM pg_catalog.${catalog} WHERE ${nameColumn} = $1`,
      [name],
    )
    return rows[0]?.owner ?? null
  }
}
