import type pg from 'pg'
import { Failure } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts'
import { counted, firstTen, formatCount } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import { check, noteFailure } from '../checks/note.ts'
import type { Source } from '../checks/preflight.ts'
import type { Context } from '../context.ts'
import type { Inputs } from '../inputs.ts'
import { retrying } from '../retry.ts'
import {
  type FreezeMark,
  freezeSchema,
  mostRoles,
  readFreezeMark,
  readOnlySetting,
  readReadOnlySettings,
  writingRoles,
} from './mark.ts'
import { mayNotEndRemedy, namesOf, type OtherSession, otherSessions, wait } from './sessions.ts'
import { readBypasses } from './writes.ts'

/** What stands in the way of a freeze, as a check of the report. */
interface Obstacle {
  id: string
  message: string
  remedy: string
  objects: string[]
}

/** What is asked of one database. */
interface Facts {
  mayChange: boolean
  mayMark: boolean
  owner: string
  mark: FreezeMark | null
  /** Roles with a setting of their own that lets them write, and whether the account may change it. */
  roles: { role: string; mayChange: boolean }[]
  prepared: string[]
  subscriptions: string[] | null
}

/**
 * Finds out before anything is changed whether the source can be frozen by this account: what it may not do, and what would
 * write all the same. Each obstacle is a blocker among the checks of the report. Changes nothing.
 *
 * @throws Cancelled
 */
export async function checkFreeze(
  source: Source,
  inputs: Pick<Inputs, 'freezeExcept' | 'allowWrites'>,
  context: Context,
): Promise<void> {
  try {
    await lookAhead(source, inputs, context)
  } catch (error) {
    if (context.signal.aborted || !(error instanceof Failure)) throw error
    noteFailure(context, 'freeze-asked', error)
  }
}

async function lookAhead(
  source: Source,
  { freezeExcept, allowWrites }: Pick<Inputs, 'freezeExcept' | 'allowWrites'>,
  context: Context,
): Promise<void> {
  const standby =
    'A standby takes no changes, and its primary goes on writing to it: it cannot be frozen'
  const primary = 'Name the primary in source, or freeze it yourself and set freeze-source to false'
  check(
    context,
    'freeze-standby',
    'blocker',
    !source.standby,
    source.standby ? standby : 'the source is no standby',
    primary,
  )
  if (source.standby) return
  const options = { role: 'source', readOnly: true, signal: context.signal } as const
  const note = (id: string, what: Obstacle | undefined, fine: string) => {
    const { message = fine, remedy = '', objects = [] } = what ?? {}
    check(context, id, 'blocker', what === undefined, message, remedy, objects)
  }
  for (const { source: database } of source.databases) {
    const facts = await retrying(context, () =>
      withConnection(source.connection, { ...options, database }, (client) =>
        readFacts(client, source),
      ),
    )
    const name = printable(database)
    note(
      'freeze-owner',
      ownerObstacle(database, facts, source),
      `the account may make "${name}" read-only`,
    )
    note(
      'freeze-mark',
      markObstacle(database, facts.mark),
      `nothing in "${name}" is in the way of a mark`,
    )
    note(
      'freeze-roles',
      rolesObstacle(database, facts, source),
      `no role of "${name}" escapes the freeze`,
    )
    const bypass = bypassObstacle(database, facts)
    if (bypass && allowWrites) context.warn(`${bypass.message}; allow-writes lets the freeze begin`)
    note(
      'freeze-bypass',
      allowWrites ? undefined : bypass,
      `nothing that a freeze cannot stop writes to "${name}"`,
    )
    if (facts.subscriptions === null) {
      context.warn(
        `Whether a subscription writes to "${name}" could not be seen: the account may not read pg_subscription`,
      )
    }
  }
  const names = source.databases.map((database) => database.source)
  const look = () =>
    retrying(context, () =>
      withConnection(source.connection, options, (client) =>
        otherSessions(client, names, freezeExcept),
      ),
    )
  let sessions = await look()
  if (sessions.some(({ mayEnd }) => !mayEnd)) {
    // one that only passes, as monitoring does, is in nobody's way
    await wait(1000, context.signal)
    const before = new Set(sessions.map(({ pid }) => pid))
    sessions = (await look()).filter(({ pid, mayEnd }) => mayEnd || before.has(pid))
  }
  note('freeze-sessions', sessionsObstacle(sessions), sessionsFine(sessions))
}

async function readFacts(client: pg.Client, { version, superuser }: Source): Promise<Facts> {
  const { rows } = await client.query<{ owner: string; member: boolean; mark: boolean }>(
    `SELECT r.rolname AS owner, pg_catalog.pg_has_role(d.datdba, 'USAGE') AS member,
            pg_catalog.has_database_privilege(d.oid, 'CREATE') AS mark
       FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba
      WHERE d.datname = pg_catalog.current_database()`,
  )
  const [row] = rows
  if (!row) throw new Error('the server does not list the database that is connected')
  const writing = writingRoles(await readReadOnlySettings(client))
  // CREATEROLE changes any role but superusers; from 16 on only those that it administers ("CREATE ROLE", release notes of 16)
  const administers =
    version.number >= 160_000
      ? `me.rolcreaterole AND pg_catalog.pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION')`
      : 'me.rolcreaterole'
  const { rows: roles } = await client.query<{ role: string; may: boolean }>(
    `SELECT r.rolname AS role, me.rolsuper OR r.rolname = session_user OR (NOT r.rolsuper AND ${administers}) AS may
       FROM pg_catalog.pg_roles r JOIN pg_catalog.pg_roles me ON me.rolname = session_user
      WHERE r.rolname::pg_catalog.text = ANY ($1::pg_catalog.text[]) ORDER BY 1`,
    [writing],
  )
  return {
    mayChange: superuser || row.member,
    mayMark: row.mark,
    owner: row.owner,
    mark: await readFreezeMark(client),
    roles: roles.map(({ role, may }) => ({ role, mayChange: may })),
    ...(await readBypasses(client)),
  }
}

function ownerObstacle(
  database: string,
  facts: Facts,
  { connection }: Source,
): Obstacle | undefined {
  const [name, account] = [printable(database), printable(connection.user)]
  const quoted = [database, connection.user, facts.owner].map((one) =>
    printable(quoteIdentifier(one)),
  )
  const [quotedName, quotedAccount, quotedOwner] = quoted
  if (!facts.mayChange) {
    return {
      id: 'freeze-owner',
      message: `"${name}" belongs to "${printable(facts.owner)}": only its owner and superusers make it read-only, and "${account}" is neither`,
      remedy: `GRANT ${quotedOwner} TO ${quotedAccount}; or use the owner or a superuser as the account of the source`,
      objects: [database],
    }
  }
  if (facts.mayMark) return undefined
  return {
    id: 'freeze-owner',
    message: `"${account}" may not create the schema in "${name}" that says what was frozen`,
    remedy: `GRANT CREATE ON DATABASE ${quotedName} TO ${quotedAccount}`,
    objects: [database],
  }
}

/** A schema of the mark's name that is somebody else's, or holds something. */
function markObstacle(database: string, mark: FreezeMark | null): Obstacle | undefined {
  if (!mark || (mark.ours && mark.empty && mark.state)) return undefined
  const why = !mark.ours
    ? `belongs to "${printable(mark.owner)}"`
    : mark.empty
      ? 'has a comment that is none of ours'
      : 'holds objects'
  return {
    id: 'freeze-mark',
    message: `The schema "${freezeSchema}" in "${printable(database)}" ${why}, and a freeze keeps there what it has changed`,
    remedy: `Rename or drop it: DROP SCHEMA ${quoteIdentifier(freezeSchema)}`,
    objects: [database],
  }
}

function rolesObstacle(
  database: string,
  { roles }: Facts,
  { version, connection }: Source,
): Obstacle | undefined {
  if (roles.length > mostRoles) {
    return {
      id: 'freeze-roles',
      message: `${counted(roles.length, 'role')} would go on writing to "${printable(database)}" by a setting of their own, and a freeze remembers ${formatCount(mostRoles)} at most`,
      remedy: `As a superuser: ALTER ROLE … RESET ${readOnlySetting} for those that need none, and the same IN DATABASE ${printable(quoteIdentifier(database))}`,
      objects: roles.slice(0, 100).map(({ role }) => role),
    }
  }
  // before 9.0 a role has no setting of its own in a single database
  const found = roles.filter(({ mayChange }) => !mayChange || version.number < 90_000)
  if (found.length === 0) return undefined
  const names = found.map(({ role }) => role)
  return {
    id: 'freeze-roles',
    message: `${counted(names.length, 'role')} would go on writing to "${printable(database)}", by a setting of their own that "${printable(connection.user)}" may not change: ${firstTen(names.map(printable))}`,
    remedy: `As a superuser: ALTER ROLE ${names[0] === undefined ? '' : printable(quoteIdentifier(names[0]))} RESET ${readOnlySetting} for each, and the same IN DATABASE ${printable(quoteIdentifier(database))}`,
    objects: names,
  }
}

function bypassObstacle(
  database: string,
  { prepared, subscriptions }: Facts,
): Obstacle | undefined {
  const name = printable(database)
  const [gid] = prepared
  const [subscription] = subscriptions ?? []
  const what = [
    ...(gid === undefined
      ? []
      : [
          `${counted(prepared.length, 'prepared transaction')} can still be committed: ${firstTen(prepared.map(printable))}`,
        ]),
    ...(subscription === undefined
      ? []
      : [
          `${counted(subscriptions?.length ?? 0, 'subscription')} would go on writing: ${firstTen((subscriptions ?? []).map(printable))}`,
        ]),
  ]
  if (what.length === 0) return undefined
  const remedy = [
    ...(gid === undefined
      ? []
      : [
          `COMMIT PREPARED ${printable(quoteLiteral(gid))} or ROLLBACK PREPARED, each in "${name}"`,
        ]),
    ...(subscription === undefined
      ? []
      : [
          `ALTER SUBSCRIPTION ${printable(quoteIdentifier(subscription))} DISABLE, each in "${name}"`,
        ]),
  ]
  return {
    id: 'freeze-bypass',
    message: `A freeze does not stop everything in "${name}": ${what.join('; ')}`,
    remedy: remedy.join('; '),
    objects: [...prepared, ...(subscriptions ?? [])],
  }
}

function sessionsObstacle(sessions: readonly OtherSession[]): Obstacle | undefined {
  const barred = sessions.filter(({ mayEnd }) => !mayEnd)
  if (barred.length === 0) return undefined
  return {
    id: 'freeze-sessions',
    message: `The account may not end ${counted(barred.length, 'session')}: ${namesOf(barred)}`,
    remedy: mayNotEndRemedy,
    objects: [...new Set(barred.map(({ role }) => role))],
  }
}

function sessionsFine(sessions: readonly OtherSession[]): string {
  return sessions.length === 0
    ? 'no session is to be ended'
    : `${counted(sessions.length, 'session')} will be ended: ${namesOf(sessions)}`
}
