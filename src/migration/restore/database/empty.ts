import type pg from 'pg'
import { Failure, messageOf } from '../../../failure.ts'
import { withConnection } from '../../../postgres/connection.ts'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { keepQuiet } from '../../../postgres/safe-session.ts'
import { isTaken } from '../../../postgres/tried.ts'
import { counted } from '../../../text/numbers.ts'
import { printable } from '../../../text/text.ts'
import type { Context } from '../../context.ts'
import type { RestoreOptions } from '../options.ts'
import { endSessions, sessionPrefix } from '../run/target-session.ts'
import { joinOwner } from '../swap/exchange.ts'
import { resetDefaultPrivileges } from './default-privileges.ts'
import { giveBack, tellWhatIsDropped } from './drop.ts'
import { objectsQuery } from './existing-objects.ts'
import { databaseExists, inMaintenanceDatabase } from './maintenance-database.ts'
import { readMark, removeMark } from './mark.ts'

type Place = Pick<RestoreOptions, 'target' | 'targetName'>

/** An object of a database that is to be emptied. */
interface Found {
  class: string
  oid: number
  name: string
  owner: string | null
  /** The account has the owner's rights. */
  able: boolean
}

/**
 * Whether `replace` can only empty a database, since the account may not drop it: one that was made in the console of a
 * cluster belongs to the cluster. Nothing is changed.
 *
 * @throws Failure when there is something in it that the account may not drop either: with the list
 */
export async function mustEmpty(place: Place, context: Context): Promise<boolean> {
  const { targetName: name } = place
  if (!(await databaseExists(place, context.signal))) return false
  const owner = await inMaintenanceDatabase(place, context.signal, async (client) => {
    const { rows } = await client.query<{ owner: string }>(
      'SELECT pg_catalog.pg_get_userbyid(datdba) AS owner FROM pg_catalog.pg_database WHERE datname = $1',
      [name],
    )
    const found = rows[0]?.owner
    return found === undefined || (await canJoin(client, found)) ? undefined : found
  })
  if (owner === undefined) return false
  const left = await withConnection(
    place.target,
    { database: name, role: 'target', signal: context.signal },
    async (client) => {
      const kept: Found[] = []
      const able = new Map<string, boolean>()
      for (const found of await objectsOf(client)) {
        if (found.able) continue
        const role = found.owner
        if (role !== null && !able.has(role)) able.set(role, await canJoin(client, role))
        if (role === null || !able.get(role)) kept.push(found)
      }
      return kept
    },
  )
  if (left.length > 0) {
    throw new Failure(
      `The database "${name}" cannot be replaced`,
      `It belongs to "${owner}", so it can only be emptied, and the account may not drop ${counted(left.length, 'object')} in it: ${left
        .slice(0, 20)
        .map((one) => `${printable(one.name)} (of ${printable(one.owner ?? 'the server')})`)
        .join(', ')}${left.length > 20 ? ', …' : ''}`,
      'Have their owners drop them, drop the database in the console of the cluster, or restore under another name (databases: name=other-name)',
      { sqlstate: '42501' },
    )
  }
  context.log.info(
    `${printable(name)} belongs to ${printable(owner)}: replace will empty it instead of dropping it`,
  )
  return true
}

/** Whether the account has a role's rights or can take them: tried in a transaction that is rolled back. */
async function canJoin(client: pg.Client, role: string): Promise<boolean> {
  return isTaken(client, () => joinOwner(client, role))
}

async function objectsOf(client: pg.Client): Promise<Found[]> {
  const { rows } = await client.query<Found>(`${objectsQuery()}
    SELECT f.class::pg_catalog.oid AS class, f.oid, f.name, r.rolname AS owner,
           COALESCE(pg_catalog.pg_has_role(session_user, r.oid, 'USAGE'), false) OR (SELECT a.rolsuper FROM pg_catalog.pg_roles a WHERE a.rolname = session_user) AS able
      FROM found f
      LEFT JOIN pg_catalog.pg_shdepend d ON d.classid = f.class AND d.objid = f.oid AND d.deptype = 'o'
       AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
       AND d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      LEFT JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
     ORDER BY f.name LIKE 'event trigger %' DESC, f.name LIKE 'publication %' DESC, f.name LIKE 'schema %' DESC, f.name`)
  return rows
}

/**
 * Drops what is in a database, as members of its owners: the database itself, its extensions and its settings stay. Each
 * object goes on its own: a transaction over all would hold more locks than a server has.
 *
 * @param tell says beforehand what is dropped
 * @throws Failure with what is left when something cannot be dropped
 */
export async function emptyDatabase(
  place: Place,
  context: Context,
  tell = tellWhatIsDropped,
): Promise<void> {
  const { targetName: name } = place
  await withConnection(
    place.target,
    { database: name, role: 'target', signal: context.signal },
    async (client) => {
      await keepQuiet(client)
      await tell(client, name, context)
      const mark = await readMark(client)
      if (mark?.state) {
        await endSessions(client, `${sessionPrefix}%`, context.signal, mark.state.loader)
        await giveBack(client, mark.state, context)
      }
      let refused: unknown
      // what goes with another object is gone when its turn comes; what cannot go yet may in the next round
      for (let before = Number.POSITIVE_INFINITY; ; ) {
        const found = await objectsOf(client)
        if (found.length === 0) break
        if (found.length >= before) {
          throw new Failure(
            `The database "${name}" could not be emptied`,
            `${found
              .slice(0, 20)
              .map((one) => printable(one.name))
              .join(', ')}: ${messageOf(refused)}`,
            'Drop what is left by hand, then run again',
            { cause: refused, sqlstate: sqlstateOf(refused) },
          )
        }
        before = found.length
        for (const one of found) {
          context.signal.throwIfAborted()
          refused = (await dropObject(client, one)) ?? refused
        }
      }
      await resetDefaultPrivileges(client, context)
      if (mark?.ours) await removeMark(client)
    },
  )
}

/** What DROP calls what pg_identify_object calls otherwise. */
const kinds: Record<string, string> = { 'foreign-data wrapper': 'FOREIGN DATA WRAPPER' }

async function dropObject(client: pg.Client, found: Found): Promise<unknown> {
  await client.query('BEGIN')
  try {
    const { rows } = await client.query<{ type: string | null; identity: string | null }>(
      'SELECT type, identity FROM pg_catalog.pg_identify_object($1, $2, 0)',
      [found.class, found.oid],
    )
    const [row] = rows
    if (row?.type && row.identity) {
      const undo = found.owner === null || found.able ? [] : await joinOwner(client, found.owner)
      // the server has quoted the name
      await client.query(
        row.type === 'large object'
          ? `SELECT pg_catalog.lo_unlink(${Number(found.oid)})`
          : `DROP ${kinds[row.type] ?? row.type.toUpperCase()} ${row.identity} CASCADE`,
      )
      for (const sql of undo) await client.query(sql)
    }
    await client.query('COMMIT')
    return undefined
  } catch (error) {
    await client.query('ROLLBACK')
    if (sqlstateOf(error) === undefined) throw error
    return error
  }
}
