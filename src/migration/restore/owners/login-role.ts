import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import type pg from 'pg'
import { messageOf } from '../../../failure.ts'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier, quoteLiteral } from '../../../postgres/identifiers.ts'
import { refuses } from '../../../postgres/sqlstates.ts'

/** Names of the roles that are made for a run begin so; eight random bytes follow. */
export const temporaryRole = 'migrate-to-polardb loader '

/** A job of GitHub Actions lasts five days at most ("Usage limits"): a role that outlives its run can log in no longer. */
const lifetime = '5 days'

/** Whether a name is one of those: what somebody else wrote in their place is not touched. */
export function isTemporaryRole(name: string): boolean {
  return name.startsWith(temporaryRole) && /^[0-9a-f]{16}$/.test(name.slice(temporaryRole.length))
}

export interface LoginRoleOptions {
  /** Sessions that it may have at the same time. */
  connections: number
  /** The account, which becomes a member of the role to look after what it owns; null for a superuser. */
  member: string | null
  /** Its clients know SCRAM. */
  scram: boolean
  /**
   * What it is granted in the transaction that makes it, and keeps for as long as it is needed: no server drops a role that a
   * privilege refers to, in whichever database, so no other run takes it for one that is left (see sweepLoginRoles).
   */
  holds: string
}

/**
 * Creates a login role without any power, or lets one that was made before log in again, with a password of its own. The
 * server gets no more than the password's verifier, so that no log of statements has it.
 *
 * @param client the account's session
 * @param name begins with `temporaryRole`
 * @returns the password, or why the account cannot make such a role
 */
export async function createLoginRole(
  client: pg.Client,
  name: string,
  options: LoginRoleOptions,
): Promise<{ password: string } | string> {
  const password = randomBytes(24).toString('base64url')
  const verifier = options.scram ? scramVerifier(password) : md5Verifier(password, name)
  const { rows } = await client.query<{ exists: boolean; until: string; major: number }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1) AS exists,
            (pg_catalog.now() OPERATOR(pg_catalog.+) '${lifetime}'::pg_catalog.interval)::pg_catalog.text AS until,
            pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog./) 10000 AS major`,
    [name],
  )
  const [row] = rows
  if (!row) throw new Error('the server did not answer')
  const quoted = quoteIdentifier(name)
  const login = `LOGIN CONNECTION LIMIT ${options.connections} PASSWORD ${quoteLiteral(verifier)} VALID UNTIL ${quoteLiteral(row.until)}`
  await client.query('BEGIN')
  try {
    await client.query(
      row.exists
        ? `ALTER ROLE ${quoted} ${login}`
        : `CREATE ROLE ${quoted} NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT ${login}`,
    )
    if (options.member !== null) {
      await client.query(
        `GRANT ${quoted} TO ${quoteIdentifier(options.member)}${row.major >= 16 ? ' WITH SET TRUE, INHERIT TRUE' : ''}`,
      )
    }
    await client.query(`GRANT ${options.holds} TO ${quoted}`)
    if ((await powerless(client, [name])).length === 1) {
      await client.query('COMMIT')
      return { password }
    }
    await client.query('ROLLBACK')
    return 'the target gives every new role powers'
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    if (!refuses(sqlstateOf(error) ?? '', 'login role')) throw error
    return `the target refuses to make it: ${messageOf(error)}`
  }
}

/**
 * Those of some roles through which nobody gets at more than objects: neither they nor any role that they are members of is
 * a superuser or polar_superuser, may create roles or databases, replicate, pass over row security, or is one of the server's
 * own roles.
 */
export async function powerless(client: pg.Client, roles: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `WITH RECURSIVE reach AS (
       SELECT r.oid AS first, r.oid AS role FROM pg_catalog.pg_roles r WHERE r.rolname = ANY ($1)
       UNION
       SELECT reach.first, m.roleid FROM reach JOIN pg_catalog.pg_auth_members m ON m.member = reach.role)
     SELECT r.rolname AS name FROM pg_catalog.pg_roles r
      WHERE r.rolname = ANY ($1)
        AND NOT EXISTS (SELECT FROM reach JOIN pg_catalog.pg_roles p ON p.oid = reach.role
                         WHERE reach.first = r.oid
                           AND (p.rolsuper OR p.rolcreaterole OR p.rolcreatedb OR p.rolreplication OR p.rolbypassrls OR p.rolname ~ '^pg_'))`,
    [roles],
  )
  return rows.map(({ name }) => name)
}

/**
 * Ends the sessions of such a role, gives what it owns in this database to the account, takes back what it was granted, and
 * drops it.
 *
 * @returns undefined, or why it is still there, without login
 */
export async function dropLoginRole(client: pg.Client, name: string): Promise<string | undefined> {
  const quoted = quoteIdentifier(name)
  const { rowCount } = await client.query('SELECT FROM pg_catalog.pg_roles WHERE rolname = $1', [
    name,
  ])
  if (!rowCount) return undefined
  await client.query(
    'SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = $1',
    [name],
  )
  await client.query('BEGIN')
  try {
    await client.query(`REASSIGN OWNED BY ${quoted} TO SESSION_USER`)
    // DROP OWNED would drop what it owns
    const { rows } = await client.query<{ owned: boolean }>(
      `SELECT EXISTS (SELECT FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
         WHERE r.rolname = $1 AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.deptype = 'o'
           AND d.dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))) AS owned`,
      [name],
    )
    if (rows[0]?.owned) throw new Error(`the role ${name} still owns objects`)
    await client.query(`DROP OWNED BY ${quoted}`)
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
  try {
    await client.query(`DROP ROLE ${quoted}`)
    return undefined
  } catch (error) {
    if (sqlstateOf(error) === undefined) throw error
    // nothing held it any more, so another run may have been quicker
    const { rowCount: left } = await client.query(
      'SELECT FROM pg_catalog.pg_roles WHERE rolname = $1',
      [name],
    )
    if (!left) return undefined
    await client.query(`ALTER ROLE ${quoted} NOLOGIN`).catch(() => {})
    return messageOf(error)
  }
}

/**
 * Keeps anybody from logging in as such a role, and the account from being its member, whether or not it was made before the
 * run was ended. It stays, and what it owns with it: see sweepLoginRoles.
 */
export async function retireLoginRole(client: pg.Client, name: string): Promise<void> {
  await endLogin(client, name)
  await leaveLoginRole(client, name)
}

/**
 * Keeps anybody from logging in as such a role.
 *
 * @returns whether nobody can; true as well where there is no such role
 */
export async function endLogin(client: pg.Client, name: string): Promise<boolean> {
  await attempt(client, `ALTER ROLE ${quoteIdentifier(name)} NOLOGIN`)
  const { rows } = await client.query<{ login: boolean }>(
    'SELECT rolcanlogin AS login FROM pg_catalog.pg_roles WHERE rolname = $1',
    [name],
  )
  return !rows.some(({ login }) => login)
}

/**
 * Ends the membership in such a role that the account has given itself.
 *
 * @returns whether it has none
 */
export async function leaveLoginRole(client: pg.Client, name: string): Promise<boolean> {
  await attempt(client, `REVOKE ${quoteIdentifier(name)} FROM SESSION_USER`)
  const { rowCount } = await client.query(
    // from version 16 on who makes a role is made its member by the server, to administer it: that nobody can end
    `SELECT FROM pg_catalog.pg_auth_members m
       JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles a ON a.oid = m.member
      WHERE r.rolname = $1 AND a.rolname = session_user
        AND (m.grantor = m.member OR pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 160000)`,
    [name],
  )
  return !rowCount
}

/** A role that is not there, or is another account's, shows in what is left. */
async function attempt(client: pg.Client, statement: string): Promise<void> {
  try {
    await client.query(statement)
  } catch (error) {
    if (!refuses(sqlstateOf(error) ?? '', 'grant')) throw error
  }
}

/**
 * Drops roles that no run needs: one that is needed owns something or was granted something (see LoginRoleOptions.holds), and
 * so does that of a restore that may be resumed, until its database or its mark is dropped. Its age says nothing: a run may be at work
 * for days. What refers to a role is known to every database of the server, which refuses the drop as well.
 */
export async function sweepLoginRoles(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    // starts_with came with version 11
    `SELECT r.rolname AS name FROM pg_catalog.pg_roles r
      WHERE pg_catalog.left(r.rolname::pg_catalog.text, pg_catalog.length($1)) = $1
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_shdepend d
                         WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = r.oid)`,
    [temporaryRole],
  )
  for (const { name } of rows) {
    if (!isTemporaryRole(name)) continue
    try {
      await client.query(`DROP ROLE ${quoteIdentifier(name)}`)
    } catch (error) {
      // another account's, or somebody is just using it
      if (sqlstateOf(error) === undefined) throw error
    }
  }
}

/** As the server stores a password (RFC 5803; PostgreSQL source, scram_build_secret), with its number of iterations. */
export function scramVerifier(password: string, salt = randomBytes(16)): string {
  const iterations = 4096
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256')
  const key = (name: string) => createHmac('sha256', salted).update(name).digest()
  const stored = createHash('sha256').update(key('Client Key')).digest('base64')
  const server = key('Server Key').toString('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:${server}`
}

function md5Verifier(password: string, name: string): string {
  return `md5${createHash('md5').update(`${password}${name}`).digest('hex')}`
}
