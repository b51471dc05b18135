import { randomBytes } from 'node:crypto'
import { Failure, messageOf } from '../../../failure.ts'
import type { ConnectionParameters } from '../../../postgres/connection-string.ts'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import type { RoleNames } from '../../../postgres/roles/role-names.ts'
import type { Context } from '../../context.ts'
import { readTargetFacts, type TargetFacts } from '../../restore/plan/target-facts.ts'
import { sessionPrefix, TargetSession } from '../../restore/run/target-session.ts'
import type { CatalogFingerprint } from '../catalog/model.ts'
import { isUnused, type MayAlter, pin } from '../read-session.ts'
import { readTexts } from './work.ts'

/** A transaction in the target database in which the schemas of the dump are empty. */
export interface Inside {
  session: TargetSession
  facts: TargetFacts
  read(): Promise<CatalogFingerprint>
}

/**
 * Runs `work` in a transaction in the database that is verified, and rolls it back: for accounts that may create no database.
 * The dump's schemas are renamed there and made anew, which no other session sees and which locks no table; extensions in
 * them are moved to the new ones.
 *
 * @param schemas of the dump's entries
 * @throws Failure where that cannot be done without anybody noticing it: others use the database, or event triggers would run
 */
export async function insideTarget<T>(
  connection: ConnectionParameters,
  database: string,
  schemas: ReadonlySet<string>,
  mayAlter: MayAlter,
  roleNames: RoleNames | undefined,
  context: Context,
  work: (inside: Inside) => Promise<T>,
): Promise<T> {
  const place = { target: connection, targetName: database }
  const session = await TargetSession.open(place, `${sessionPrefix}rebuild`, context.signal)
  const cancel = () => void session.cancel()
  context.signal.addEventListener('abort', cancel, { once: true })
  try {
    const client = await session.own()
    if (!(mayAlter === 'if unused' ? await isUnused(client) : mayAlter)) {
      throw refusal('other sessions use the database')
    }
    const { rows } = await client.query<{ name: string }>(
      `SELECT evtname AS name FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D'`,
    )
    if (rows.length > 0) throw refusal('event triggers of the database would run')
    const facts = await readTargetFacts(client, { databaseExists: true, labelProviders: [] })
    await client.query(`BEGIN; SET LOCAL lock_timeout = '5s'`)
    try {
      await setAside(session, schemas)
      const read = async () => {
        const own = await session.own()
        await pin(own)
        return readTexts(own, roleNames)
      }
      return await work({ session, facts, read })
    } finally {
      // a connection that is lost rolls back as well
      await client.query('ROLLBACK').catch(() => {})
    }
  } finally {
    context.signal.removeEventListener('abort', cancel)
    await session.close()
  }
}

function refusal(why: string): Failure {
  return new Failure(
    'Nothing can be rebuilt inside of the database either',
    why,
    'Give the account CREATEDB',
  )
}

/** Renames the schemas, makes new ones of their names, and moves extensions into these. What is refused stays as it is. */
async function setAside(session: TargetSession, schemas: ReadonlySet<string>): Promise<void> {
  const { rows } = await session.query<{ schema: string; extensions: string[] }>(
    `SELECT n.nspname AS schema, ARRAY(SELECT e.extname::pg_catalog.text FROM pg_catalog.pg_extension e WHERE e.extnamespace = n.oid AND e.extrelocatable) AS extensions
       FROM pg_catalog.pg_namespace n
      WHERE n.nspname = ANY ($1) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`,
    [[...schemas]],
  )
  for (const { schema, extensions } of rows) {
    const name = quoteIdentifier(schema)
    const aside = quoteIdentifier(`migrate-to-polardb ${randomBytes(8).toString('hex')}`)
    const renamed = await attempt(
      session,
      `ALTER SCHEMA ${name} RENAME TO ${aside}; CREATE SCHEMA ${name}`,
    )
    if (!renamed) continue
    for (const extension of extensions) {
      await attempt(session, `ALTER EXTENSION ${quoteIdentifier(extension)} SET SCHEMA ${name}`)
    }
  }
}

async function attempt(session: TargetSession, sql: string): Promise<boolean> {
  await session.query('SAVEPOINT aside')
  try {
    await session.query(sql)
    await session.query('RELEASE SAVEPOINT aside')
    return true
  } catch (error) {
    if (sqlstateOf(error) === undefined) {
      throw new Failure('The rebuild was interrupted', messageOf(error), 'Run verify again', {
        cause: error,
      })
    }
    // entries that find their names taken fail, and say so
    await session.query('ROLLBACK TO SAVEPOINT aside')
    return false
  }
}
