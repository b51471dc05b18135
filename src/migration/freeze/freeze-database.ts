import type pg from 'pg'
import { Failure } from '../../failure.ts'
import { serverVersion } from '../../postgres/connection.ts'
import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts'
import { keepQuiet } from '../../postgres/safe-session.ts'
import { firstTen } from '../../text/numbers.ts'
import { printable } from '../../text/text.ts'
import {
  type FreezeMark,
  type FreezeState,
  type Frozen,
  freezeSchema,
  on,
  readFreezeMark,
  readOnlySetting,
  readReadOnlySettings,
  writeFreezeState,
  writingRoles,
} from './mark.ts'
import { isAlive } from './sessions.ts'

/**
 * Makes a database read-only by default, for its roles that have a setting of their own as well, and marks it: all of it or
 * nothing. A freeze that a run which is over has left is taken over, with what it remembers.
 *
 * @param client a session that may write, in that database
 * @param number `server_version_num`
 * @returns the mark as it is now
 * @throws Failure where a mark of somebody else's stands there, or another run that is at work has frozen it
 */
export async function freezeDatabase(
  client: pg.Client,
  place: { database: string; oid: string; number: number },
  by: Pick<Frozen, 'run' | 'at' | 'holder'>,
): Promise<FreezeState> {
  return await inOne(client, async () => {
    const mark = await readFreezeMark(client)
    refuseForeignMark(place.database, mark)
    const state = mark?.state ?? null
    const other = state?.frozen
    if (other && other.run !== by.run && (await isAlive(client, other.holder))) {
      throw otherRun(place.database, other)
    }
    const settings = await readReadOnlySettings(client)
    const earlier = state?.frozen ?? null
    const roles = [...(earlier?.roles ?? [])].filter(
      // what somebody has changed since the earlier freeze is what is to come back
      ({ role }) => settings.inDatabase.get(role) === on,
    )
    for (const role of writingRoles(settings)) {
      roles.push({ role, setting: settings.inDatabase.get(role) ?? null })
    }
    const frozen: Frozen = {
      ...by,
      at: earlier?.at ?? by.at,
      setting: earlier && settings.database === on ? earlier.setting : settings.database,
      roles,
      dump: earlier?.dump ?? null,
      target: earlier?.target ?? null,
    }
    const now: FreezeState = {
      format: 1,
      database: place.oid,
      frozen,
      revoked: state?.revoked ?? [],
    }
    await writeFreezeState(client, now)
    const database = quoteIdentifier(place.database)
    await client.query(`ALTER DATABASE ${database} SET ${readOnlySetting} = ${on}`)
    for (const role of writingRoles(settings)) {
      await client.query(
        `ALTER ROLE ${quoteIdentifier(role)} IN DATABASE ${database} SET ${readOnlySetting} = ${on}`,
      )
    }
    return now
  })
}

/** The look beforehand was a while ago, and what stands there is not to be written over. */
function refuseForeignMark(database: string, mark: FreezeMark | null): void {
  if (!mark || (mark.ours && mark.empty && mark.state)) return
  throw new Failure(
    `The schema "${freezeSchema}" in "${printable(database)}" is not ours`,
    `It appeared after the preflight and belongs to "${printable(mark.owner)}"; a freeze keeps there what it has changed`,
    'Rename or drop it, then run again',
  )
}

/** The failure of a freeze that another run holds. */
export function otherRun(database: string, { at, holder }: Frozen): Failure {
  return new Failure(
    `"${printable(database)}" is frozen by another run that is still at work`,
    `It froze the database at ${at}, and its session, process ${holder.pid} of the source, is there`,
    `Wait for that run or cancel it, which thaws; if it is gone without its session, end that: SELECT pg_catalog.pg_terminate_backend(${holder.pid})`,
  )
}

/**
 * Undoes a freeze, exactly: settings that were there before come back, and what somebody has changed since stays. Where a dump
 * was sealed meanwhile, the mark stays and says that it is no longer the cutover.
 *
 * @param client a session that may write, in that database
 * @param run only a freeze of this run, where it is given
 * @returns whether there was one
 */
export async function thawDatabase(
  client: pg.Client,
  database: string,
  run?: string,
): Promise<Frozen | null> {
  return await inOne(client, async () => {
    const mark = await readFreezeMark(client)
    const state = mark?.state
    const frozen = state?.frozen
    if (!state || !frozen || (run !== undefined && frozen.run !== run)) return null
    const settings = await readReadOnlySettings(client)
    // a role that is gone has no settings, either
    const roles = frozen.roles.filter(({ role }) => settings.inDatabase.get(role) === on)
    await refuseForeignRoles(client, database, mark.owner, roles)
    const quoted = quoteIdentifier(database)
    const put = (value: string | null) =>
      // the value has passed the schema: one of the spellings of a boolean
      value === null
        ? `RESET ${readOnlySetting}`
        : `SET ${readOnlySetting} = ${quoteLiteral(value)}`
    if (settings.database === on) {
      await client.query(`ALTER DATABASE ${quoted} ${put(frozen.setting)}`)
    }
    for (const { role, setting } of roles) {
      await client.query(
        `ALTER ROLE ${quoteIdentifier(role)} IN DATABASE ${quoted} ${put(setting)}`,
      )
    }
    const at = new Date().toISOString()
    const revoked = [
      ...state.revoked.filter(({ dump }) => dump !== frozen.dump),
      ...(frozen.dump === null ? [] : [{ dump: frozen.dump, at }]),
    ].slice(-100)
    if (revoked.length === 0 && mark.empty) {
      await client.query(`DROP SCHEMA ${quoteIdentifier(freezeSchema)}`)
    } else {
      await writeFreezeState(client, { ...state, frozen: null, revoked })
    }
    return frozen
  })
}

/**
 * A mark lends its owner none of the rights of whoever undoes it: he may have set what it says of roles only where he may change
 * them (PostgreSQL, "ALTER ROLE"; from 16 on with ADMIN OPTION for the role).
 */
async function refuseForeignRoles(
  client: pg.Client,
  database: string,
  owner: string,
  roles: Frozen['roles'],
): Promise<void> {
  if (roles.length === 0) return
  const { number } = await serverVersion(client)
  const administers =
    number >= 160_000
      ? `o.rolcreaterole AND pg_catalog.pg_has_role(o.oid, r.oid, 'MEMBER WITH ADMIN OPTION')`
      : 'o.rolcreaterole'
  const { rows } = await client.query<{ role: string }>(
    `SELECT r.rolname AS role FROM pg_catalog.pg_roles r JOIN pg_catalog.pg_roles o ON o.rolname::pg_catalog.text = $2
      WHERE r.rolname::pg_catalog.text = ANY ($1::pg_catalog.text[])
        AND NOT (o.rolsuper OR r.oid = o.oid OR (NOT r.rolsuper AND ${administers})) ORDER BY 1`,
    [roles.map(({ role }) => role), owner],
  )
  if (rows.length === 0) return
  const [name, by] = [printable(database), printable(owner)]
  throw new Failure(
    `The mark in "${name}" names roles that are not its owner's to change`,
    `"${by}" owns the schema "${freezeSchema}" and may not change the settings of ${firstTen(rows.map(({ role }) => printable(role)))}`,
    `Find out who wrote it. As a superuser: ALTER ROLE … IN DATABASE ${printable(quoteIdentifier(database))} RESET ${readOnlySetting} for those that were frozen, then run again`,
  )
}

/**
 * Changes what the mark of a frozen database says.
 *
 * @param run only of a freeze of this run
 * @returns false where the database is not frozen by this run any more
 */
export async function noteInMark(
  client: pg.Client,
  run: string,
  change: Partial<Pick<Frozen, 'dump' | 'target'>>,
): Promise<boolean> {
  return await inOne(client, async () => {
    const state = (await readFreezeMark(client))?.state
    if (state?.frozen?.run !== run) return false
    await writeFreezeState(client, { ...state, frozen: { ...state.frozen, ...change } })
    return true
  })
}

/** In one transaction: done wholly, or not at all. Event triggers of the database act on none of it where the account may say so. */
async function inOne<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await keepQuiet(client)
  await client.query('BEGIN')
  try {
    const result = await work()
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}
