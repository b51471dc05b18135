import { randomBytes } from 'node:crypto'
import { Failure, messageOf } from '../../../failure.ts'
import { withConnection } from '../../../postgres/connection.ts'
import type { ConnectionParameters } from '../../../postgres/connection-string.ts'
import { mayPass, sqlstateOf } from '../../../postgres/errors.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { doStill } from '../../cancellation.ts'
import type { Context } from '../../context.ts'
import { inMaintenanceDatabase } from '../../restore/database/maintenance-database.ts'
import { createLoginRole, sweepLoginRoles, temporaryRole } from '../../restore/owners/login-role.ts'
import type { TargetFacts } from '../../restore/plan/target-facts.ts'
import { sessionPrefix, TargetSession } from '../../restore/run/target-session.ts'

/**
 * Runs `work` with a login role without any power that may create in a throw-away database and nothing else: an index
 * expression of constants, say, is computed when the index is made, and that is code of the dump. Where no such role can be
 * made, or none can log in, the account works by itself.
 *
 * @param scratch the throw-away database, the account's own
 * @param work gets the role's session and name, or null
 * @returns what `work` returns, and the role's name: it is to be dropped after the database
 */
export async function withBuilder<T>(
  connection: ConnectionParameters,
  scratch: string,
  { target }: Pick<TargetFacts, 'target'>,
  context: Context,
  roles: string[],
  work: (builder: { session: TargetSession; name: string } | null) => Promise<T>,
): Promise<T> {
  const { account } = target
  if (!account.superuser && !account.createRole) return work(null)
  const name = `${temporaryRole}${randomBytes(8).toString('hex')}`
  const place = { database: scratch, role: 'target', signal: context.signal } as const
  const made = await withConnection(connection, place, async (client) => {
    await sweepLoginRoles(client)
    const role = await createLoginRole(client, name, {
      connections: 4,
      member: null,
      scram: true,
      holds: `CONNECT, CREATE ON DATABASE ${quoteIdentifier(scratch)}`,
    })
    if (typeof role === 'string') return role
    roles.push(name)
    try {
      await client.query(`GRANT USAGE, CREATE ON SCHEMA public TO ${quoteIdentifier(name)}`)
    } catch (error) {
      // a superuser's before version 15, and open to everybody
      if (sqlstateOf(error) === undefined) throw error
    }
    return role
  })
  if (typeof made === 'string') {
    context.log.info(`Definitions are rebuilt with the rights of the account: ${made}`)
    return work(null)
  }
  context.secret?.(made.password)
  let session: TargetSession
  try {
    const login = { ...connection, user: name, password: made.password }
    const rebuilding = { target: login, targetName: scratch }
    session = await TargetSession.open(rebuilding, `${sessionPrefix}rebuild`, context.signal)
  } catch (error) {
    if (!(error instanceof Failure) || mayPass(error)) throw error
    context.log.info(
      `Definitions are rebuilt with the rights of the account: the server does not let the role in (${error.why})`,
    )
    return work(null)
  }
  try {
    return await work({ session, name })
  } finally {
    await session.close()
  }
}

/** Milliseconds that dropping a role may take. */
const dropTime = 30_000

/** Drops roles whose database is gone. */
export async function dropBuilders(
  connection: ConnectionParameters,
  targetName: string,
  roles: readonly string[],
  context: Context,
): Promise<void> {
  const place = { target: connection, targetName }
  for (const name of roles) {
    try {
      await doStill(context.signal, dropTime, (signal) =>
        inMaintenanceDatabase(place, signal, (client) =>
          client.query(`DROP ROLE IF EXISTS ${quoteIdentifier(name)}`),
        ),
      )
    } catch (error) {
      context.warn(
        `The temporary role ${name} is still on the target (${messageOf(error)}): drop it by hand`,
      )
    }
  }
}
