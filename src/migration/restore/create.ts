import type pg from 'pg'
import { Failure } from '../../failure.ts'
import { systemDatabases } from '../../polardb/limits.ts'
import { connect, serverVersion, withConnection } from '../../postgres/connection.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts'
import { counted, printable } from '../../report/text.ts'
import type { Context } from '../context.ts'
import type { DatabaseProperties } from './database.ts'
import { firstNormalOid } from './facts.ts'
import type { RestoreOptions } from './options.ts'
import { endSessions, mayPass, pause, sessionPrefix } from './session.ts'
import { readState, stateSchema } from './state.ts'

/** Where the target database stands before its restore. */
export type Standing =
  /** It was just created, or is empty. */
  | 'empty'
  /** It holds what an interrupted restore of the same dump left. */
  | 'begun'

/**
 * Runs `work` in a database of the target that is not the one to be restored: there it is created, looked at and dropped.
 */
export async function elsewhere<T>(
  options: RestoreOptions,
  signal: AbortSignal,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const candidates = [options.target.dbname, 'postgres', 'template1'].filter(
    (name, index, all) => name !== options.targetName && all.indexOf(name) === index,
  )
  let refused: unknown
  for (const database of candidates) {
    let client: pg.Client
    try {
      client = await connect(options.target, { database, role: 'target', signal })
    } catch (error) {
      const sqlstate = error instanceof Failure ? error.sqlstate : undefined
      if (sqlstate !== '3D000' && sqlstate !== '42501') throw error
      refused ??= error
      continue
    }
    try {
      return await work(client)
    } finally {
      await client.end().catch(() => {})
    }
  }
  throw refused
}

/**
 * Whether the target has the database, by a try to connect to it: no other database need be open to the account. One that
 * may not be connected to exists as well.
 */
export async function databaseExists(
  options: RestoreOptions,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const client = await connect(options.target, {
      database: options.targetName,
      role: 'target',
      signal,
    })
    await client.end()
    return true
  } catch (error) {
    const sqlstate = error instanceof Failure ? error.sqlstate : undefined
    if (sqlstate === '3D000') return false
    if (sqlstate === '42501') return true
    throw error
  }
}

/**
 * Sees to it that the target database is there and may be restored into: creates it, drops and recreates it, or makes sure
 * that it is empty or holds the same restore, interrupted, as the options say.
 *
 * @param dump identifies the dump (see dumpIdentity)
 * @returns how it stands, and whether it was created now
 * @throws Failure when it is missing and may not be created, not empty, or cannot be created as the source's is
 */
export async function prepareDatabase(
  options: RestoreOptions,
  dump: string,
  context: Context,
): Promise<{ standing: Standing; created: boolean }> {
  const { targetName, database } = options
  const exists = await databaseExists(options, context.signal)
  const create = async () => {
    await elsewhere(options, context.signal, (client) =>
      createDatabase(client, targetName, database, context),
    )
    return { standing: 'empty' as const, created: true }
  }
  if (!exists) {
    if (!options.createDatabase) {
      throw new Failure(
        `The target has no database "${targetName}"`,
        'create-database is false',
        'Create the database, or set create-database to true',
      )
    }
    return create()
  }
  if (options.ifNotEmpty === 'replace') {
    // its owner may have let nobody else connect, the account included
    await elsewhere(options, context.signal, (client) => becomeOwner(client, targetName))
  }
  const content = await withConnection(
    options.target,
    { database: targetName, role: 'target', signal: context.signal },
    async (client) => ({
      objects: await contentOf(client),
      state: await readState(client),
      mayCreate: await mayCreate(client),
    }),
  )
  if (!content.mayCreate && options.ifNotEmpty !== 'replace') {
    throw new Failure(
      `The account may not create anything in the database "${targetName}"`,
      'It lacks the privilege CREATE on it',
      `As the owner of the database, run: GRANT CREATE ON DATABASE ${quoteIdentifier(targetName)} TO the account`,
      { sqlstate: '42501' },
    )
  }
  if (content.objects.length === 0) return { standing: 'empty', created: false }
  if (options.ifNotEmpty === 'replace') {
    await dropDatabase(options, context)
    return create()
  }
  const holds = `It holds ${counted(content.objects.length, 'object')} (${content.objects.slice(0, 5).map(printable).join(', ')}${content.objects.length > 5 ? ', …' : ''})`
  if (options.ifNotEmpty === 'fail') {
    throw new Failure(
      `The target database "${targetName}" is not empty`,
      content.state?.dump === dump
        ? `${holds}, left by an interrupted restore of this dump`
        : holds,
      content.state?.dump === dump
        ? 'Set if-target-not-empty to resume to go on with it, or to replace to begin anew'
        : 'Empty it, restore under another name (databases: name=other-name), or set if-target-not-empty to replace',
    )
  }
  if (content.state?.dump !== dump) {
    throw new Failure(
      `The restore of the database "${targetName}" cannot be resumed`,
      content.state
        ? 'It was begun with another dump'
        : 'Nothing in it says that a restore was interrupted: the mark that a restore leaves until it is done is missing',
      'Resume with the dump that it was begun with, or set if-target-not-empty to replace',
    )
  }
  return { standing: 'begun', created: false }
}

async function mayCreate(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ able: boolean }>(
    `SELECT pg_catalog.has_database_privilege(session_user, pg_catalog.current_database(), 'CREATE') AS able`,
  )
  return rows[0]?.able ?? false
}

/** Objects that need no schema, or may be in one of the system's: catalog, column of the name, kind. */
const others: readonly (readonly [string, string, string])[] = [
  ['pg_publication', 'pubname', 'publication'],
  ['pg_event_trigger', 'evtname', 'event trigger'],
  ['pg_foreign_data_wrapper', 'fdwname', 'foreign-data wrapper'],
  ['pg_foreign_server', 'srvname', 'server'],
  ['pg_language', 'lanname', 'language'],
  ['pg_collation', 'collname', 'collation'],
  ['pg_conversion', 'conname', 'conversion'],
  ['pg_operator', 'oprname', 'operator'],
  ['pg_opfamily', 'opfname', 'operator family'],
  ['pg_ts_config', 'cfgname', 'text search configuration'],
  ['pg_ts_dict', 'dictname', 'text search dictionary'],
  ['pg_am', 'amname', 'access method'],
]

/**
 * What a database holds beyond a new one: objects that initdb did not make and no extension brought, by name; at most 1000.
 */
export async function contentOf(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(`
    WITH objects AS (
      SELECT 'pg_class'::pg_catalog.regclass AS class, c.oid, n.nspname || '.' || c.relname AS name
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'v', 'm', 'S', 'f', 'p') AND n.nspname !~ '^pg_(toast|temp)'
      UNION ALL
      SELECT 'pg_proc'::pg_catalog.regclass, p.oid, n.nspname || '.' || p.proname
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      UNION ALL
      SELECT 'pg_type'::pg_catalog.regclass, t.oid, n.nspname || '.' || t.typname
        FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
       WHERE t.typtype <> 'c' AND t.typelem = 0 AND n.nspname !~ '^pg_(toast|temp)'
      UNION ALL
      SELECT 'pg_namespace'::pg_catalog.regclass, n.oid, 'schema ' || n.nspname
        FROM pg_catalog.pg_namespace n
       WHERE n.nspname !~ '^pg_(toast_)?temp_' AND n.nspname <> ${quoteLiteral(stateSchema)}
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extnamespace = n.oid)
      UNION ALL
      ${others.map(([catalog, column, kind]) => `SELECT '${catalog}'::pg_catalog.regclass, oid, '${kind} ' || ${column} FROM pg_catalog.${catalog}`).join(' UNION ALL ')}
      UNION ALL
      SELECT 'pg_subscription'::pg_catalog.regclass, s.oid, 'subscription ' || s.subname FROM pg_catalog.pg_subscription s
       WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      UNION ALL
      SELECT 'pg_largeobject'::pg_catalog.regclass, m.oid, 'large object ' || m.oid
        FROM pg_catalog.pg_largeobject_metadata m
    )
    SELECT name FROM objects o
     WHERE o.oid >= ${firstNormalOid}
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                        WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e')
     ORDER BY name LIMIT 1000`)
  return rows.map(({ name }) => name)
}

/** Creates the database as the source's is, from template0; see localeClauses for what a target may not be able to do. */
async function createDatabase(
  client: pg.Client,
  name: string,
  source: DatabaseProperties,
  context: Context,
): Promise<void> {
  const { major } = await serverVersion(client)
  const template = await templateProvider(client, major)
  let failure: unknown
  for (const clauses of localeClauses(source, major, template)) {
    const statement = `CREATE DATABASE ${quoteIdentifier(name)} TEMPLATE template0 ENCODING ${quoteLiteral(source.encoding)} ${clauses}`
    for (let attempt = 0; ; attempt++) {
      try {
        await client.query(statement)
        return
      } catch (error) {
        // another database is being created from the same template
        if (!mayPass(error) || attempt >= 5) {
          failure ??= error
          break
        }
        await pause(attempt + 1, context.signal)
      }
    }
    const sqlstate = sqlstateOf(failure)
    if (sqlstate !== '42809' && sqlstate !== '22023') break
  }
  const { message } = failure as Error
  const { rows } = await client.query<{ name: string }>(
    `SELECT collname AS name FROM pg_catalog.pg_collation
      WHERE collencoding IN (-1, pg_catalog.pg_char_to_encoding($1)) AND collname ILIKE $2 ORDER BY collname LIMIT 8`,
    [source.encoding, `${source.collate.slice(0, 2)}%`],
  )
  const near = rows.map((row) => row.name).join(', ')
  throw new Failure(
    `The database "${name}" cannot be created as it is on the source`,
    `The target says: ${message}`,
    /locale|collat/i.test(message)
      ? `Create the database beforehand with a locale that the target has${near ? ` (${near})` : ''}: text sorts by it`
      : 'Give the account CREATEDB, or create the database beforehand',
    { cause: failure, sqlstate: sqlstateOf(failure) },
  )
}

/** The locale provider of template0, `c` before version 15: what a new database has unless it says otherwise. */
async function templateProvider(client: pg.Client, major: number): Promise<string> {
  if (major < 15) return 'c'
  const { rows } = await client.query<{ provider: string }>(
    `SELECT datlocprovider AS provider FROM pg_catalog.pg_database WHERE datname = 'template0'`,
  )
  return rows[0]?.provider ?? 'c'
}

/**
 * The locale part of CREATE DATABASE, in the order in which it is worth trying: a locale's name is spelt differently by
 * different systems (`en_US.utf8`, `en_US.UTF-8`).
 *
 * @param template the provider of the target's template0
 * @throws Failure when a server of that version has no provider that sorts as the source does
 */
export function localeClauses(source: DatabaseProperties, major: number, template = 'c'): string[] {
  // a PolarDB may not know the clause although its version does, and mostly it is not needed
  const provider = template === 'c' ? '' : 'LOCALE_PROVIDER libc '
  const spellings = (locale: string) => {
    const other = locale.replace(/\.utf-?8$/i, (end) => (/-/.test(end) ? '.utf8' : '.UTF-8'))
    return other === locale ? [locale] : [locale, other]
  }
  const libc = spellings(source.collate).flatMap((collate) =>
    spellings(source.ctype)
      .filter((ctype) => source.collate !== source.ctype || ctype === collate)
      .map((ctype) => `LC_COLLATE ${quoteLiteral(collate)} LC_CTYPE ${quoteLiteral(ctype)}`),
  )
  const missing = (since: number) =>
    new Failure(
      `The target cannot have a database that sorts by the ${source.provider} locale "${source.locale ?? ''}"`,
      `The locale provider ${source.provider} for databases came with PostgreSQL ${since}; the target is ${major}`,
      'Create the database on the target beforehand with a libc locale of your choice: text will sort by that one',
    )
  if (source.provider === 'libc') return libc.map((clauses) => provider + clauses)
  const locale = quoteLiteral(source.locale ?? '')
  if (source.provider === 'icu') {
    if (major < 15) throw missing(15)
    if (source.icuRules !== null && major < 16) throw missing(16)
    const rules = source.icuRules === null ? '' : ` ICU_RULES ${quoteLiteral(source.icuRules)}`
    return libc.map((clauses) => `LOCALE_PROVIDER icu ICU_LOCALE ${locale}${rules} ${clauses}`)
  }
  // the builtin locale C is libc's C
  if (major < 17 && source.locale === 'C') {
    return [`${provider}LC_COLLATE 'C' LC_CTYPE 'C'`]
  }
  if (major < 17) throw missing(17)
  return libc.map((clauses) => `LOCALE_PROVIDER builtin BUILTIN_LOCALE ${locale} ${clauses}`)
}

/**
 * Drops the target database, never one of the system's: its subscriptions first, which would block it, and our own sessions
 * of an interrupted run.
 */
async function dropDatabase(options: RestoreOptions, context: Context): Promise<void> {
  const { targetName } = options
  if (systemDatabases.has(targetName)) {
    throw new Failure(
      `The database "${targetName}" is never dropped`,
      'It belongs to the server itself',
      'Empty it by hand, or restore under another name (databases: name=other-name)',
    )
  }
  await withConnection(
    options.target,
    { database: targetName, role: 'target', signal: context.signal },
    async (client) => {
      await endSessions(client, `${sessionPrefix}%`, context.signal)
      const { rows } = await client.query<{ name: string }>(`
        SELECT subname AS name FROM pg_catalog.pg_subscription
         WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`)
      for (const { name } of rows) {
        const subscription = quoteIdentifier(name)
        // the slot on the publisher is not ours to drop, and the publisher may be out of reach
        await client.query(`ALTER SUBSCRIPTION ${subscription} DISABLE`)
        await client.query(`ALTER SUBSCRIPTION ${subscription} SET (slot_name = NONE)`)
        await client.query(`DROP SUBSCRIPTION ${subscription}`)
      }
    },
  )
  await elsewhere(options, context.signal, async (client) => {
    try {
      // the server itself waits five seconds for sessions that are about to end
      await client.query(`DROP DATABASE ${quoteIdentifier(targetName)}`)
    } catch (error) {
      const sqlstate = sqlstateOf(error)
      const { rows } = await client.query<{ who: string }>(
        `SELECT DISTINCT usename || COALESCE(' (' || NULLIF(application_name, '') || ')', '') AS who
             FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND usename IS NOT NULL`,
        [targetName],
      )
      const who = rows.map((row) => printable(row.who)).join(', ')
      throw new Failure(
        `The database "${targetName}" cannot be dropped`,
        `${(error as Error).message}${who ? `; connected: ${who}` : ''}`,
        sqlstate === '42501'
          ? 'Drop it as its owner, or make the account a member of the owner'
          : 'End what uses it, then run again',
        { cause: error, sqlstate },
      )
    }
  })
}

/**
 * Makes the account the owner of a database whose owner it may become a member of: an earlier migration gave it away. The
 * membership lasts no longer than the transaction.
 */
async function becomeOwner(client: pg.Client, name: string): Promise<void> {
  const { rows } = await client.query<{ owner: string; account: string }>(
    `SELECT pg_catalog.pg_get_userbyid(datdba) AS owner, session_user AS account FROM pg_catalog.pg_database
      WHERE datname = $1 AND NOT pg_catalog.pg_has_role(session_user, datdba, 'USAGE')`,
    [name],
  )
  const [row] = rows
  if (!row) return
  const { major } = await serverVersion(client)
  const [owner, account] = [quoteIdentifier(row.owner), quoteIdentifier(row.account)]
  try {
    await client.query('BEGIN')
    await client.query(
      `GRANT ${owner} TO ${account}${major >= 16 ? ' WITH SET TRUE, INHERIT TRUE' : ''}`,
    )
    await client.query(`ALTER DATABASE ${quoteIdentifier(name)} OWNER TO ${account}`)
    await client.query(`REVOKE ${owner} FROM ${account}`)
    await client.query('COMMIT')
  } catch (error) {
    // then the DROP says that it takes the owner
    await client.query('ROLLBACK')
    if (sqlstateOf(error) === undefined) throw error
  }
}
