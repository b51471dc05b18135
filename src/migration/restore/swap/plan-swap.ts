import type pg from 'pg'
import { Failure, messageOf } from '../../../failure.ts'
import { systemDatabases } from '../../../polardb/limits/limits.ts'
import { withConnection } from '../../../postgres/connection.ts'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { keepQuiet } from '../../../postgres/safe-session.ts'
import { formatBytes } from '../../../text/numbers.ts'
import { printable } from '../../../text/text.ts'
import type { Context } from '../../context.ts'
import { giveBack } from '../database/drop.ts'
import { existingObjects } from '../database/existing-objects.ts'
import { assertNonePrepared } from '../database/in-use.ts'
import { databaseExists, inMaintenanceDatabase } from '../database/maintenance-database.ts'
import { readMark } from '../database/mark.ts'
import { ownLimit } from '../database/own-limit.ts'
import { readExisting } from '../database/standing.ts'
import type { RestoreOptions } from '../options.ts'
import { retireLoginRole, sweepLoginRoles } from '../owners/login-role.ts'
import { asOwner, joinOwner, nameWith, type Swap } from './exchange.ts'

type Place = Pick<RestoreOptions, 'target' | 'targetName'>

/**
 * Finds out whether a database is to be exchanged, and that it can be. Changes nothing.
 *
 * @param place the target and the name that the new database is to have
 * @returns false where nothing is there yet that could be exchanged
 * @throws Failure when the account may not rename the database, or nobody may
 */
export async function lookAtSwap(place: Place, context: Context): Promise<boolean> {
  const { targetName: name } = place
  if (!(await databaseExists(place, context.signal))) return false
  if (systemDatabases.has(name)) {
    throw new Failure(
      `The database "${name}" is never exchanged`,
      'It belongs to the server itself',
      'Restore under another name (databases: name=other-name)',
    )
  }
  if ((await countObjects(place, context)) === 0) return false
  await inMaintenanceDatabase(place, context.signal, async (client) => {
    await assertRenamable(client, name)
    await assertNonePrepared(client, name)
  })
  return true
}

/**
 * lookAtSwap(), and what dead runs have left is given back and removed.
 *
 * @param dump identifies the dump (see dumpIdentity)
 * @returns null where the new database is made under its name at once
 * @throws Failure as lookAtSwap()
 */
export async function planSwap(place: Place, dump: string, context: Context): Promise<Swap | null> {
  if (!(await lookAtSwap(place, context))) return null
  const { targetName: name } = place
  await clearUp(place, context)
  const building = nameWith(name, `_new_${dump.slice(0, 8)}`)
  await inMaintenanceDatabase(place, context.signal, async (client) => {
    const { rows } = await client.query<{ bytes: string }>(
      'SELECT pg_catalog.pg_database_size(oid) AS bytes FROM pg_catalog.pg_database WHERE datname = $1',
      [name],
    )
    context.log.info(
      `${printable(name)} holds ${formatBytes(Number(rows[0]?.bytes ?? 0))} and stays until the exchange: the target needs room for both`,
    )
  })
  const there = { ...place, targetName: building }
  let begun = false
  if (await databaseExists(there, context.signal)) {
    begun = (await markIn(there, context)) === dump
  }
  await removeLeftovers(place, building, context)
  return { name, building, begun }
}

/** How many objects the database holds; one that the account cannot look into counts as holding some. */
async function countObjects(place: Place, context: Context): Promise<number> {
  try {
    return await withConnection(
      place.target,
      { database: place.targetName, role: 'target', readOnly: true, signal: context.signal },
      async (client) => (await existingObjects(client)).length,
    )
  } catch (error) {
    if (error instanceof Failure && error.sqlstate === '42501') return 1
    throw error
  }
}

/** What a run that died after an exchange had lent itself is written down in the database that it had exchanged. @returns its loader */
async function clearUp(place: Place, context: Context): Promise<string | null> {
  try {
    return await withConnection(
      place.target,
      { database: place.targetName, role: 'target', signal: context.signal },
      async (client) => {
        const marked = (await readMark(client))?.state
        await keepQuiet(client)
        if (marked) await giveBack(client, marked, context)
        return marked?.loader ?? null
      },
    )
  } catch (error) {
    if (!(error instanceof Failure && error.sqlstate === '42501')) throw error
    return null
  }
}

async function markIn(place: Place, context: Context): Promise<string | undefined> {
  return await withConnection(
    place.target,
    { database: place.targetName, role: 'target', signal: context.signal },
    async (client) => (await readMark(client))?.state?.dump,
  )
}

/**
 * Whether a database of such a name was built by a run: it has the mark, or it holds nothing, belongs to the account and still has
 * the limit with which it was created, so that the run ended before it wrote the mark.
 */
async function isOurs(place: Place, context: Context): Promise<boolean> {
  const { target, targetName } = place
  const options = { database: targetName, role: 'target', signal: context.signal } as const
  return await withConnection(target, options, async (client) => {
    const { mark, objects } = await readExisting(client)
    if (mark !== null || objects.length > 0) return mark?.state != null
    const { rowCount } = await client.query(
      `SELECT 1 FROM pg_catalog.pg_database
        WHERE datname OPERATOR(pg_catalog.=) $1 AND datconnlimit OPERATOR(pg_catalog.=) $2
          AND pg_catalog.pg_get_userbyid(datdba) OPERATOR(pg_catalog.=) session_user`,
      [targetName, ownLimit('swap', targetName)],
    )
    return rowCount === 1
  })
}

/** Databases that dead runs were building for the same name: they are dropped, and what only has such a name is told. */
async function removeLeftovers(place: Place, building: string, context: Context): Promise<void> {
  const { targetName: name } = place
  const found = await inMaintenanceDatabase(place, context.signal, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      'SELECT datname AS name FROM pg_catalog.pg_database WHERE datallowconn AND datname <> $1',
      [building],
    )
    return rows.flatMap((row) => {
      const suffix = /_new_[0-9a-f]{8}$/.exec(row.name)?.[0]
      return suffix && nameWith(name, suffix) === row.name ? [row.name] : []
    })
  })
  for (const left of found) {
    const there = { ...place, targetName: left }
    const line = `DROP DATABASE ${quoteIdentifier(left)}`
    try {
      if (!(await isOurs(there, context))) {
        context.warn(
          `The database "${printable(left)}" looks as if an earlier run had built it and left it behind: if nobody needs it, ${printable(line)}`,
        )
        continue
      }
      const loader = await clearUp(there, context)
      // not by force: a run that is under way still works in its own
      await asOwner(there, context, async (client) => {
        await client.query(line)
        // it owned nothing but what was in there
        if (loader !== null) await retireLoginRole(client, loader)
        await sweepLoginRoles(client)
      })
      context.log.info(`Dropped ${printable(left)}, which an earlier run had begun to build`)
    } catch (error) {
      if (context.signal.aborted) throw error
      context.warn(
        `The database "${printable(left)}", which an earlier run had begun to build, is still there: ${messageOf(error)}`,
      )
    }
  }
}

/** Tries whether the account is, or can become, an owner: in a transaction that is rolled back. */
async function assertRenamable(client: pg.Client, name: string): Promise<void> {
  const { rows } = await client.query<{ owner: string; able: boolean }>(
    `SELECT pg_catalog.pg_get_userbyid(d.datdba) AS owner, r.rolsuper OR r.rolcreatedb OR COALESCE(pg_catalog.pg_has_role(r.oid, p.oid, 'MEMBER'), false) AS able
       FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.rolname = session_user
       LEFT JOIN pg_catalog.pg_roles p ON p.rolname = 'pg_polar_superuser' WHERE d.datname = $1`,
    [name],
  )
  const [row] = rows
  const step =
    'Rename the database in the console of the cluster, or restore under another name (databases: name=other-name) and exchange the names yourself'
  if (!row?.able) {
    throw new Failure(
      `The database "${name}" cannot be exchanged`,
      'The account may not rename databases: it lacks CREATEDB',
      step,
    )
  }
  await client.query('BEGIN')
  try {
    await joinOwner(client, row.owner)
  } catch (error) {
    if (sqlstateOf(error) === undefined) throw error
    throw new Failure(
      `The database "${name}" cannot be exchanged`,
      `It belongs to "${row.owner}", whose member the account cannot become: ${messageOf(error)}`,
      step,
      { cause: error, sqlstate: sqlstateOf(error) },
    )
  } finally {
    await client.query('ROLLBACK')
  }
}
