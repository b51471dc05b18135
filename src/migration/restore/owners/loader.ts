import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { Failure } from '../../../failure.ts'
import { connect } from '../../../postgres/connection.ts'
import type { ConnectionParameters } from '../../../postgres/connection-string.ts'
import { mayPass, sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier, quoteLiteral } from '../../../postgres/identifiers.ts'
import { writePasswordFile } from '../../../postgres/programs/programs.ts'
import { refuses } from '../../../postgres/sqlstates.ts'
import { printable } from '../../../text/text.ts'
import type { Context } from '../../context.ts'
import { markSchema, writeMark } from '../database/mark.ts'
import type { RestoreOptions } from '../options.ts'
import type { RestorePlan } from '../plan/plan.ts'
import type { Login, TargetSession } from '../run/target-session.ts'
import type { Worker } from '../run/worker.ts'
import {
  createLoginRole,
  dropLoginRole,
  powerless,
  sweepLoginRoles,
  temporaryRole,
} from './login-role.ts'
import type { TemporaryRights } from './temporary-rights.ts'

/** A name for the loader of a restore that is about to begin. */
export function newLoaderName(): string {
  return `${temporaryRole}${randomBytes(8).toString('hex')}`
}

/**
 * A login role for the time of one restore that owns what is restored while rows are loaded and indexes built. Code of the
 * database runs then (checks, index expressions, defaults, and so on), and finds nothing in its session but this role: there
 * is no way back to the account, as there is from SET ROLE. It may create no roles and no databases, and is a member of
 * nobody; only when all rows are in it joins those owners that have no powers themselves, for their materialized views and
 * statistics.
 */
export class Loader {
  readonly name: string
  /** Where its sessions connect, and the password file of its pg_restore. */
  readonly connection: Pick<RestoreOptions, 'target' | 'passwordFile'>
  private readonly plan: RestorePlan
  private readonly options: RestoreOptions
  private readonly context: Context
  private readonly owners = new Set<string>()

  private constructor(
    name: string,
    connection: Pick<RestoreOptions, 'target' | 'passwordFile'>,
    plan: RestorePlan,
    options: RestoreOptions,
    context: Context,
  ) {
    this.name = name
    this.connection = connection
    this.plan = plan
    this.options = options
    this.context = context
  }

  /**
   * Makes the role that the mark names, or lets it log in again, and tries that.
   *
   * @param session the account's
   * @returns the loader, or why the account must load by itself
   */
  static async make(
    session: TargetSession,
    plan: RestorePlan,
    options: RestoreOptions,
    rights: TemporaryRights,
    context: Context,
  ): Promise<Loader | string> {
    const { account, major } = plan.facts.target
    const { loader: name } = rights.marked
    await sweepLoginRoles(await session.own())
    if (name === null) return 'the restore was begun without one'
    if (!account.superuser && !account.createRole) return 'the account may not create roles'
    if (major < 16 && !account.superuser && !(await inherits(session))) {
      return 'the account is NOINHERIT, and could not work on what the role owns'
    }
    const { client } = options
    const made = await createLoginRole(await session.own(), name, {
      connections: 4 * options.jobs + 8,
      member: account.superuser ? null : account.name,
      // clients before version 10 know no SCRAM
      scram: Number.parseInt(client.version, 10) >= 10,
      // there is nothing in it to be used, and it is there until the restore is done
      holds: `USAGE ON SCHEMA ${quoteIdentifier(markSchema)}`,
    })
    if (typeof made === 'string') return made
    context.secret?.(made.password)
    const target: ConnectionParameters = {
      ...options.target,
      user: name,
      password: made.password,
    }
    const passwordFile = await writePasswordFile(
      context.temporaryDirectory,
      `loader-${name.slice(temporaryRole.length)}`,
      target,
    )
    const loader = new Loader(name, { target, passwordFile }, plan, options, context)
    await loader.letConnect(session)
    const refused = await loader.tryLogin()
    if (refused === undefined) return loader
    await loader.dissolve(session)
    return refused
  }

  private async tryLogin(): Promise<string | undefined> {
    const { target } = this.connection
    try {
      const client = await connect(target, {
        database: this.options.targetName,
        role: 'target',
        signal: this.context.signal,
      })
      try {
        const { rows } = await client.query<{ name: string }>('SELECT session_user AS name')
        return rows[0]?.name === this.name ? undefined : 'the server lets it in as somebody else'
      } finally {
        await client.end().catch(() => {})
      }
    } catch (error) {
      if (!(error instanceof Failure) || mayPass(error)) throw error
      return `the server does not let it in: ${error.why}`
    }
  }

  /** Lets the role connect, where the database is not open to everybody. */
  async letConnect(session: TargetSession): Promise<void> {
    const { targetName } = this.options
    const { rows } = await session.query<{ able: boolean }>(
      'SELECT pg_catalog.has_database_privilege($1::pg_catalog.name, pg_catalog.current_database(), $2) AS able',
      [this.name, 'CONNECT'],
    )
    if (rows[0]?.able) return
    await attempt(
      session,
      `GRANT CONNECT ON DATABASE ${quoteIdentifier(targetName)} TO ${quoteIdentifier(this.name)}`,
    )
  }

  /**
   * Gives the role what it needs of what is there by now: the schemas that the account has made for the archives, leave to
   * create in those that were there before, and the tablespaces that the archives name.
   *
   * @returns undefined, or what it cannot have
   */
  async lend(session: TargetSession): Promise<string | undefined> {
    const wanted = this.plan.entries.filter(({ decision }) => decision.kind !== 'leave-out')
    const made = new Set(
      wanted.filter(({ entry }) => entry.desc === 'SCHEMA').map(({ entry }) => entry.tag),
    )
    const used = new Set(wanted.map(({ entry }) => entry.namespace).filter(Boolean))
    const to = quoteIdentifier(this.name)
    for (const { schema, own } of await this.closedSchemas(session)) {
      const quoted = quoteIdentifier(schema)
      const given =
        own && made.has(schema) && (await attempt(session, `ALTER SCHEMA ${quoted} OWNER TO ${to}`))
      if (!given) await attempt(session, `GRANT USAGE, CREATE ON SCHEMA ${quoted} TO ${to}`)
    }
    const closed = (await this.closedSchemas(session)).filter(({ schema }) => used.has(schema))
    if (closed.length > 0) {
      const names = closed.map(({ schema }) => printable(schema)).join(', ')
      return `the account cannot let it create in ${names}`
    }
    for (const tablespace of new Set(wanted.map(({ entry }) => entry.tablespace))) {
      if (!this.plan.facts.tablespaces.has(tablespace)) continue
      const { rows } = await session.query<{ able: boolean }>(
        'SELECT pg_catalog.has_tablespace_privilege($1::pg_catalog.name, $2, $3) AS able',
        [this.name, tablespace, 'CREATE'],
      )
      const grant = `GRANT CREATE ON TABLESPACE ${quoteIdentifier(tablespace)} TO ${to}`
      if (!rows[0]?.able && !(await attempt(session, grant))) {
        return `the account cannot let it use the tablespace ${printable(tablespace)}`
      }
    }
    return undefined
  }

  /** Schemas of the archives and of extensions where the account has a privilege and the role has not. */
  private async closedSchemas(
    session: TargetSession,
    privileges: 'USAGE' | 'USAGE, CREATE' = 'USAGE, CREATE',
  ): Promise<{ schema: string; own: boolean }[]> {
    const { rows } = await session.query<{ schema: string; own: boolean }>(
      `SELECT n.nspname AS schema, pg_catalog.pg_get_userbyid(n.nspowner) = session_user AS own
         FROM pg_catalog.pg_namespace n
        WHERE (n.nspname = ANY ($2) OR EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extnamespace = n.oid))
          AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ${quoteLiteral(markSchema)})
          AND EXISTS (SELECT FROM pg_catalog.unnest($3::pg_catalog.text[]) p(privilege)
                       WHERE pg_catalog.has_schema_privilege(session_user, n.oid, p.privilege)
                         AND NOT pg_catalog.has_schema_privilege($1::pg_catalog.name, n.oid, p.privilege))`,
      [
        this.name,
        [
          ...new Set(
            this.plan.entries.flatMap(({ entry }) =>
              entry.desc === 'SCHEMA' ? [entry.tag] : [entry.namespace],
            ),
          ),
        ],
        privileges.split(', '),
      ],
    )
    return rows
  }

  /**
   * Makes the role a member of owners, so that it can work on what was given to them; of none through whom it would get at
   * more than objects.
   */
  async join(session: TargetSession, owners: readonly string[]): Promise<void> {
    const { account, major } = this.plan.facts.target
    const others = [...new Set(owners)].filter((owner) => owner !== account.name)
    // its owners' rights to their objects are all it needs: from version 16 on it need not be able to become them
    const option = major >= 16 ? ' WITH SET FALSE, INHERIT TRUE' : ''
    for (const owner of await powerless(await session.own(), others)) {
      const done = await attempt(
        session,
        `GRANT ${quoteIdentifier(owner)} TO ${quoteIdentifier(this.name)}${option}`,
      )
      if (done) this.owners.add(owner)
    }
    // schemas have their owners now
    for (const { schema } of await this.closedSchemas(session, 'USAGE')) {
      await attempt(
        session,
        `GRANT USAGE ON SCHEMA ${quoteIdentifier(schema)} TO ${quoteIdentifier(this.name)}`,
      )
    }
  }

  /** Lets the role read what a materialized view that it owns is made of. */
  async letRead(session: TargetSession, view: string): Promise<void> {
    const { rows } = await session.query<{ name: string }>(
      `SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
         FROM pg_catalog.pg_rewrite w
         JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
         JOIN pg_catalog.pg_class c ON c.oid = d.refobjid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE w.ev_class = $2::pg_catalog.regclass AND c.oid <> w.ev_class
          AND NOT pg_catalog.has_table_privilege($1::pg_catalog.name, c.oid, 'SELECT')`,
      [this.name, view],
    )
    for (const { name } of rows) {
      await attempt(session, `GRANT SELECT ON TABLE ${name} TO ${quoteIdentifier(this.name)}`)
    }
  }

  /** Who is to work on an object: the role where it owns it or has joined its owner, else the account. */
  loginFor(owner: string | undefined): Login {
    return owner === undefined || this.owners.has(owner) ? 'loader' : 'account'
  }

  /** The password is known to nobody any more but to the server. */
  async forget(): Promise<void> {
    await rm(this.connection.passwordFile, { force: true })
  }

  /** Gives what the role still owns to the account, and drops the role. */
  async dissolve(session: TargetSession): Promise<void> {
    const kept = await dropLoginRole(await session.own(), this.name)
    if (kept !== undefined) {
      this.context.warn(
        `The temporary role ${this.name} is still on the target, without login (${kept}): drop it by hand`,
      )
    }
    await this.forget()
  }
}

/**
 * Makes the loader of a restore ready, or says why the account works by itself: then code of the database gets its rights,
 * and the user is to know.
 *
 * @returns undefined where there is none
 * @throws NoLoader where there must be one
 */
export async function makeLoader(
  worker: Worker,
  plan: RestorePlan,
  options: RestoreOptions,
  rights: TemporaryRights,
  context: Context,
): Promise<Loader | undefined> {
  let made: Loader | string = ''
  await worker.retrying('the role that loads', '', async (session) => {
    made = await Loader.make(session, plan, options, rights, context)
    if (typeof made === 'string' && !options.needsLoader)
      await withoutLoader(session, made, rights, context)
  })
  const loader = made as Loader | string
  if (typeof loader !== 'string') return loader
  if (options.needsLoader) throw new NoLoader(loader)
  return undefined
}

/** There is no restore, because no role of its own could be had for it. */
export class NoLoader extends Failure {
  constructor(reason: string) {
    super(
      'Code of the database would run with the rights of the account',
      `No temporary role could be used, because ${reason}`,
      'Give the account CREATEROLE on the target, or use one that has it',
    )
  }
}

/** Notes in the mark that the account loads by itself, and tells why. */
export async function withoutLoader(
  session: TargetSession,
  reason: string,
  rights: TemporaryRights,
  context: Context,
): Promise<void> {
  rights.marked.loader = null
  await writeMark(await session.own(), rights.marked)
  context.warn(
    `Rows are loaded with the rights of the account, and so is code of the database that runs meanwhile (checks, index expressions, defaults): no temporary role could be used, because ${reason}`,
  )
}

async function inherits(session: TargetSession): Promise<boolean> {
  const { rows } = await session.query<{ inherits: boolean }>(
    'SELECT rolinherit AS inherits FROM pg_catalog.pg_roles WHERE rolname = session_user',
  )
  return rows[0]?.inherits ?? false
}

/** Whether the server does it; what it refuses for want of a right shows later, in what it was for. */
async function attempt(session: TargetSession, statement: string): Promise<boolean> {
  try {
    await session.query(statement)
    return true
  } catch (error) {
    const sqlstate = sqlstateOf(error)
    if (sqlstate === undefined || !refuses(sqlstate, 'grant')) throw error
    return false
  }
}
