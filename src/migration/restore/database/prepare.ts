import type pg from 'pg'
import { Failure, messageOf } from '../../../failure.ts'
import { serverVersion, withConnection } from '../../../postgres/connection.ts'
import { mayPass, sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier, quoteLiteral } from '../../../postgres/identifiers.ts'
import { endsSession, saysExists } from '../../../postgres/sqlstates.ts'
import { printable } from '../../../text/text.ts'
import type { Context } from '../../context.ts'
import { retrying } from '../../retry.ts'
import type { RestoreOptions } from '../options.ts'
import { becomeOwner, dropDatabase, isInvalid } from './drop.ts'
import { emptyDatabase } from './empty.ts'
import { refusedLocales } from './locales.ts'
import { databaseExists, inMaintenanceDatabase } from './maintenance-database.ts'
import type { DatabaseProperties } from './properties.ts'
import { type ExistingDatabase, readExisting, type Standing, standingOf } from './standing.ts'

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
): Promise<Prepared> {
  // the answer to a CREATE DATABASE may be lost: then the next try finds what this one has made
  const lost = { creation: false }
  return await retrying(
    context,
    async () => {
      const found = await prepare(options, dump, context, lost)
      return { ...found, created: found.created || (lost.creation && found.standing === 'empty') }
    },
    {
      // a database that others use is not dropped by waiting for them
      again: (error) => mayPass(error) && !(error instanceof Failure && error.sqlstate === '55006'),
    },
  )
}

interface Prepared {
  standing: Standing
  created: boolean
}

async function prepare(
  options: RestoreOptions,
  dump: string,
  context: Context,
  lost: { creation: boolean },
): Promise<Prepared> {
  const { targetName, database, createdLimit } = options
  const exists = await databaseExists(options, context.signal)
  const create = async () => {
    await inMaintenanceDatabase(options, context.signal, (client) =>
      createDatabase(client, targetName, database, lost, createdLimit),
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
  if (options.ifNotEmpty === 'replace' && !options.inPlace) {
    // its owner may have let nobody else connect, the account included
    await inMaintenanceDatabase(options, context.signal, (client) =>
      becomeOwner(client, targetName),
    )
  }
  const existing = await readUnlessInvalid(options, context)
  if (existing === 'invalid') {
    if (options.ifNotEmpty !== 'replace') {
      throw new Failure(
        `The target database "${targetName}" is invalid`,
        'A DROP DATABASE was interrupted in it, and nobody can connect to it any more',
        `Drop it: DROP DATABASE ${quoteIdentifier(targetName)}, or set if-target-not-empty to replace, which does the same`,
        { sqlstate: '55000' },
      )
    }
    await dropDatabase(options, context)
    return create()
  }
  const standing = standingOf(existing, options, dump)
  if (standing !== 'full') return { standing, created: false }
  if (options.inPlace) {
    await emptyDatabase(options, context)
    return { standing: 'empty', created: false }
  }
  await dropDatabase(options, context)
  return create()
}

/** What is in the database; `invalid` where an interrupted DROP DATABASE lets nobody in. */
async function readUnlessInvalid(
  options: RestoreOptions,
  context: Context,
): Promise<ExistingDatabase | 'invalid'> {
  try {
    return await withConnection(
      options.target,
      { database: options.targetName, role: 'target', signal: context.signal },
      readExisting,
    )
  } catch (error) {
    if (isInvalid(error)) return 'invalid'
    throw error
  }
}

/**
 * Creates the database as the source's is, from template0; see localeClauses for what a target may not be able to do.
 *
 * @param limit of connections (see RestoreOptions.createdLimit)
 */
export async function createDatabase(
  client: pg.Client,
  name: string,
  source: DatabaseProperties,
  lost: { creation: boolean },
  limit = -1,
): Promise<void> {
  const { major } = await serverVersion(client)
  const template = await templateProvider(client, major)
  const limited = limit === -1 ? '' : ` CONNECTION LIMIT ${limit}`
  let failure: unknown
  for (const clauses of localeClauses(source, major, template)) {
    const statement = `CREATE DATABASE ${quoteIdentifier(name)} TEMPLATE template0 ENCODING ${quoteLiteral(source.encoding)} ${clauses}${limited}`
    try {
      await client.query(statement)
      return
    } catch (error) {
      // the connection is lost, or another database is being created from the same template
      if (mayPass(error)) {
        const sqlstate = sqlstateOf(error)
        lost.creation ||= sqlstate === undefined || endsSession(sqlstate)
        throw error
      }
      if (lost.creation && saysExists(sqlstateOf(error) ?? '')) {
        throw new Failure(
          `The database "${name}" is still being created`,
          messageOf(error),
          'Wait until it is there, then run again',
          // as if it were locked: it will be there soon
          { cause: error, sqlstate: '55P03' },
        )
      }
      failure ??= error
    }
    const sqlstate = sqlstateOf(failure)
    if (sqlstate !== '42809' && sqlstate !== '22023') break
  }
  throw await cannotCreate(client, name, source, failure as Error)
}

/**
 * Whether the target has the locale of a database that is to be created there, before anything is.
 *
 * @throws Failure with those that it has, or when its version knows no such provider
 */
export async function checkLocale(
  client: pg.Client,
  name: string,
  source: DatabaseProperties,
): Promise<void> {
  const { major } = await serverVersion(client)
  localeClauses(source, major)
  const message = await refusedLocales(client, spellingsOf(source), source.encoding)
  if (message === undefined) return
  // what the server quotes is not shown, and here it is known
  const cause = new Error(`${message} (${printable(source.collate)}, ${printable(source.ctype)})`)
  throw await cannotCreate(client, name, source, cause)
}

async function cannotCreate(
  client: pg.Client,
  name: string,
  source: DatabaseProperties,
  cause: Error,
): Promise<Failure> {
  const { message } = cause
  const { rows } = await client.query<{ name: string }>(
    `SELECT collname AS name FROM pg_catalog.pg_collation
      WHERE collencoding IN (-1, pg_catalog.pg_char_to_encoding($1)) AND collname ILIKE $2 ORDER BY collname LIMIT 8`,
    [source.encoding, `${source.collate.slice(0, 2)}%`],
  )
  const near = rows.map((row) => row.name).join(', ')
  return new Failure(
    `The database "${name}" cannot be created as it is on the source`,
    `The target says: ${message}`,
    /locale|collat/i.test(message)
      ? `Create the database beforehand with a locale that the target has${near ? ` (${near})` : ''}: text sorts by it`
      : 'Give the account CREATEDB, or create the database beforehand',
    { cause, sqlstate: sqlstateOf(cause) },
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

/** The locales of the operating system for a database, in the ways in which systems spell them. */
function spellingsOf(source: DatabaseProperties): { collate: string; ctype: string }[] {
  const spellings = (locale: string) => {
    const other = locale.replace(/\.utf-?8$/i, (end) => (/-/.test(end) ? '.utf8' : '.UTF-8'))
    return other === locale ? [locale] : [locale, other]
  }
  return spellings(source.collate).flatMap((collate) =>
    spellings(source.ctype)
      .filter((ctype) => source.collate !== source.ctype || ctype === collate)
      .map((ctype) => ({ collate, ctype })),
  )
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
  const libc = spellingsOf(source).map(
    ({ collate, ctype }) => `LC_COLLATE ${quoteLiteral(collate)} LC_CTYPE ${quoteLiteral(ctype)}`,
  )
  const missing = (since: number, what = `The locale provider ${source.provider} for databases`) =>
    new Failure(
      `The target cannot have a database that sorts by the ${source.provider} locale "${source.locale ?? ''}"`,
      `${what} came with PostgreSQL ${since}; the target is ${major}`,
      'Create the database on the target beforehand with a libc locale of your choice: text will sort by that one',
    )
  if (source.provider === 'libc') return libc.map((clauses) => provider + clauses)
  const locale = quoteLiteral(source.locale ?? '')
  if (source.provider === 'icu') {
    if (major < 15) throw missing(15)
    if (source.icuRules !== null && major < 16) throw missing(16, 'Rules of an ICU locale')
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
