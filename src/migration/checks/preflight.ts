import type pg from 'pg'
import { Failure, messageOf } from '../../failure.ts'
import { detectTarget, type Target } from '../../polardb/detect.ts'
import { superuserOption } from '../../polardb/roles/target.ts'
import { serverVersion, withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { quoteIdentifier } from '../../postgres/identifiers.ts'
import { oldestSource } from '../../postgres/programs/clients/versions.ts'
import { recoveryOf } from '../../postgres/startup.ts'
import { together } from '../../postgres/together.ts'
import type { Version } from '../../postgres/version.ts'
import type { Loss } from '../../report/model.ts'
import { printable } from '../../text/text.ts'
import type { Context } from '../context.ts'
import { type DatabaseName, isProvidersDatabase } from '../database-names.ts'
import type { Inputs } from '../inputs.ts'
import { lookingAgain } from '../retry.ts'
import { type FirstConnection, firstConnection } from './destination.ts'
import { isEmptyDatabase } from './empty-database.ts'
import { check, noteFailure } from './note.ts'
import { findMemberRows, ownObjects } from './source-losses.ts'

export interface SourceDatabase extends DatabaseName {
  /** Size on the source's disk. */
  bytes: number
}

/** What the checks learned of the target, and how it is connected to. */
export type ReachedTarget = Target & FirstConnection

/** What the checks learned of the source. */
export interface Source {
  connection: ConnectionParameters
  version: Version
  databases: SourceDatabase[]
  superuser: boolean
  standby: boolean
  /** Connections that this account can still open. */
  freeConnections: number
  /** What of the source no dump carries, whatever the target is. */
  losses: Loss[]
}

/**
 * Connects to the source and learns what is to be migrated. Changes nothing. Databases that do not exist are a failed check,
 * so that the others go on; see refuseBlockers().
 *
 * @throws Failure of the connection, or of a server that is too old to be asked anything
 */
export async function inspectSource(
  connection: ConnectionParameters,
  wanted: Inputs['databases'],
  context: Context,
): Promise<Source> {
  const options = { role: 'source', readOnly: true, signal: context.signal } as const
  const look = async (client: pg.Client) => {
    const version = await serverVersion(client)
    context.record.source({ version: version.version, major: version.major })
    if (version.number < oldestSource) {
      throw new Failure(
        `PostgreSQL ${version.version} is too old to be migrated`,
        'No source before 8.4 is migrated: 9.3 and newer are dumped by their own client programs, older ones by newer programs',
        'Upgrade the source to 8.4 or newer first',
      )
    }
    const [rows, state] = await together(client, [
      () => databasesOn(client),
      () => accountOn(client, version.number),
    ])
    const { chosen, failure } = selectDatabases(wanted, connection.dbname, rows)
    const idle =
      wanted === 'all' ? await emptyMaintenance(chosen, connection, version.number, context) : []
    const names = chosen.filter(({ source }) => !idle.includes(source))
    const databases = names.map((name) => ({
      ...name,
      bytes: Number(rows.find((row) => row.name === name.source)?.bytes ?? 0),
    }))
    const kept = wanted === 'all' ? rows.map(({ name }) => name).filter(isProvidersDatabase) : []
    const passedOver = [
      ...idle.map((name) => `"${name}", which is empty`),
      ...kept.map((name) => `"${name}", which the provider keeps for itself`),
    ]
    // last, since a look that is interrupted is taken again
    if (failure) noteFailure(context, 'source-databases', failure)
    else
      check(
        context,
        'source-databases',
        'blocker',
        true,
        wanted === 'none'
          ? 'none to migrate: roles is only'
          : `${databases.length} to migrate${passedOver.map((one) => `; passed over: ${one}`).join('')}`,
      )
    return {
      connection,
      version,
      databases,
      superuser: state?.superuser ?? false,
      standby: state?.standby ?? false,
      freeConnections: state?.free ?? 0,
      losses: wanted === 'all' ? closedDatabases(rows) : [],
    }
  }
  const source = await lookingAgain(context, () => withConnection(connection, options, look))
  for (const { source: name } of source.databases) {
    source.losses.push(...(await findMemberRows(connection, name, context)))
  }
  if (wanted === 'all') await lookIntoTemplate(connection, context)
  return source
}

async function accountOn(client: pg.Client, number: number) {
  const { rows } = await client.query<{ superuser: boolean; standby: boolean; free: number }>(`
    SELECT rolsuper AS superuser, ${recoveryOf(number)} AS standby,
           pg_catalog.current_setting('max_connections')::int
             - (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_stat_activity)
             - CASE WHEN rolsuper THEN 0 ELSE pg_catalog.current_setting('superuser_reserved_connections')::int END AS free
      FROM pg_catalog.pg_roles WHERE rolname = session_user`)
  return rows[0]
}

/** @throws Failure where one has a name that is no text */
async function databasesOn(
  client: pg.Client,
): Promise<{ name: string; bytes: string | null; connectable: boolean }[]> {
  try {
    const { rows } = await client.query<{
      name: string
      bytes: string | null
      connectable: boolean
    }>(`
      SELECT datname AS name, datallowconn AND datconnlimit <> -2 AS connectable,
             CASE WHEN pg_catalog.has_database_privilege(oid, 'CONNECT')
                  THEN pg_catalog.pg_database_size(oid) END AS bytes
        FROM pg_catalog.pg_database WHERE datname NOT IN ('template0', 'template1') ORDER BY 1`)
    return rows
  } catch (error) {
    if (sqlstateOf(error) !== '22021') throw error
    throw new Failure(
      'The databases of the source cannot be listed',
      'The name of one is not UTF-8, which a database in SQL_ASCII takes and no client that reads text can show',
      'Rename it on the source: with client_encoding SQL_ASCII, SELECT oid, datname FROM pg_database shows its bytes, and ALTER DATABASE … RENAME gives it another name',
      { cause: error, sqlstate: '22021' },
    )
  }
}

/** Databases that nobody may connect to, pg_dump included; an interrupted DROP DATABASE leaves one, too (connection limit -2). */
function closedDatabases(existing: readonly { name: string; connectable: boolean }[]): Loss[] {
  return existing
    .filter(({ connectable, name }) => !connectable && !isProvidersDatabase(name))
    .map(({ name }) => ({
      entry: `DATABASE ${printable(name)}`,
      database: null,
      reason: 'it allows no connections, so nothing of it can be dumped',
      remedy: `Open it for the migration: ALTER DATABASE ${printable(quoteIdentifier(name))} ALLOW_CONNECTIONS true; or drop it, if nobody needs it`,
    }))
}

/** What somebody put into template1 comes into every database that is created after it, and no dump of another carries it. */
async function lookIntoTemplate(connection: ConnectionParameters, context: Context): Promise<void> {
  const options = {
    database: 'template1',
    readOnly: true,
    role: 'source',
    signal: context.signal,
  } as const
  let objects: string[]
  try {
    objects = await lookingAgain(context, () => withConnection(connection, options, ownObjects))
  } catch (error) {
    if (context.signal.aborted) throw error
    // most servers let anybody in; where this one does not, nothing of it is migrated, and that is to be known
    context.warn(
      `The database template1 is not migrated, and could not be looked into: ${messageOf(error)}`,
    )
    return
  }
  if (objects.length === 0) return
  const named = objects.slice(0, 10).map(printable).join(', ')
  const more = objects.length > 10 ? ` and ${objects.length - 10} more` : ''
  context.warn(
    `The database template1 holds objects of your own and is not migrated: databases that are created on the target will lack them (${named}${more})`,
  )
}

/**
 * The maintenance database where it holds nothing: every server has one, it is nobody's data, and a cloud account may create
 * nothing in it. `all` does not mean it then.
 */
async function emptyMaintenance(
  chosen: readonly DatabaseName[],
  connection: ConnectionParameters,
  number: number,
  context: Context,
): Promise<string[]> {
  const database = 'postgres'
  if (!chosen.some(({ source }) => source === database)) return []
  const options = { database, role: 'source', readOnly: true, signal: context.signal } as const
  const empty = await withConnection(connection, options, (client) =>
    isEmptyDatabase(client, number),
  )
  if (!empty) return []
  context.log.info(`The source's maintenance database "${database}" is empty: passed over`)
  return [database]
}

/**
 * Connects to the target and learns what it is and what the account may do there. Changes nothing.
 *
 * What stands in the way is a failed check, so that the others go on: a standby, a read-only endpoint, an old version; see
 * refuseBlockers().
 *
 * @throws Failure where it cannot be connected to
 */
export async function inspectTarget(
  connection: ConnectionParameters,
  inputs: Pick<Inputs, 'superuserOption' | 'roles'>,
  context: Context,
): Promise<ReachedTarget> {
  const target = await firstConnection(connection, (one) => reach(one, context))
  if (!target.named)
    context.log.info(
      `The target has no database "${connection.dbname}" (yet): connected to "${target.connection.dbname}"`,
    )
  context.record.target({
    version: target.version,
    major: target.major,
    polardb: target.polardb,
    superuserOption: superuserOption(target, inputs.superuserOption),
  })
  if (target.number < 110_000) {
    const failure = new Failure(
      `The target is PostgreSQL ${target.version}`,
      'PolarDB for PostgreSQL begins with version 11',
      'Check the host of the target: is it the cluster?',
    )
    noteFailure(context, 'target-version', failure)
  }
  return target
}

async function reach(connection: ConnectionParameters, context: Context): Promise<Target> {
  const inspect = async (client: pg.Client) => {
    const [{ rows }, target] = await together(client, [
      () =>
        client.query<{ standby: boolean; read_only: string }>(
          `SELECT pg_catalog.pg_is_in_recovery() AS standby, pg_catalog.current_setting('transaction_read_only') AS read_only`,
        ),
      () => detectTarget(client),
    ])
    const standby = rows[0]?.standby ?? false
    if (standby || rows[0]?.read_only === 'on') {
      const failure = new Failure(
        'The target is read-only',
        standby
          ? `${connection.host} is a standby in recovery: a read-only node or endpoint`
          : 'transaction_read_only is on for this account and database',
        'Connect to the primary endpoint of the cluster, which accepts writes',
        { sqlstate: '25006' },
      )
      noteFailure(context, 'target-writable', failure)
    } else check(context, 'target-writable', 'blocker', true, 'the target accepts writes')
    return target
  }
  const options = { role: 'target', signal: context.signal } as const
  return await lookingAgain(context, () => withConnection(connection, options, inspect))
}

/** The databases to migrate that there are, with a failure that names all that do not exist or refuse connections. */
export function selectDatabases(
  wanted: Inputs['databases'],
  connected: string,
  existing: { name: string; connectable: boolean }[],
): { chosen: DatabaseName[]; failure: Failure | undefined } {
  if (wanted === 'all') {
    const chosen = existing
      .filter(({ connectable, name }) => connectable && !isProvidersDatabase(name))
      .map(({ name }) => ({ source: name, target: name }))
    return { chosen, failure: undefined }
  }
  if (wanted === 'none') return { chosen: [], failure: undefined }
  const names = wanted.length > 0 ? wanted : [{ source: connected, target: connected }]
  const isThere = ({ source }: DatabaseName) =>
    existing.some((row) => row.name === source && row.connectable)
  const missing = names.filter((name) => !isThere(name))
  const failure =
    missing.length === 0
      ? undefined
      : new Failure(
          missing.length === 1
            ? 'A database does not exist on the source'
            : `${missing.length} databases do not exist on the source`,
          missing.map(({ source }) => `"${source}"`).join(', '),
          'Check the names: they are case-sensitive, and template0 and template1 are not migrated',
          { sqlstate: '3D000' },
        )
  return { chosen: names.filter(isThere), failure }
}
