import { createHash } from 'node:crypto'
import { withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import type { HistoryPoint } from '../../report/model.ts'
import type { FirstConnection } from '../checks/destination.ts'
import { identityOf } from '../checks/same-server.ts'
import type { Context } from '../context.ts'

/** What a point belongs to: points of anything else foretell nothing. */
export type Identity = Pick<HistoryPoint, 'source' | 'target' | 'databases'>

/**
 * Who source and target are, and which databases, as digests, so that a history holds no name of either. A server is known by
 * its system identifier, which its standbys share, and where that cannot be read (before 9.6) by host and port.
 *
 * @throws Failure where a server cannot be reached; Cancelled
 */
export async function identify(
  source: { connection: ConnectionParameters; databases: readonly { source: string }[] },
  target: Pick<FirstConnection, 'connection'>,
  context: Pick<Context, 'signal'>,
): Promise<Identity> {
  const names = source.databases.map((database) => database.source).sort()
  return {
    source: digest('server', await nameOf(source.connection, 'source', context)),
    target: digest('server', await nameOf(target.connection, 'target', context)),
    databases: digest('databases', JSON.stringify(names)),
  }
}

async function nameOf(
  connection: ConnectionParameters,
  role: 'source' | 'target',
  { signal }: Pick<Context, 'signal'>,
): Promise<string> {
  const { systemIdentifier } = await withConnection(
    connection,
    { role, readOnly: true, signal },
    async (client) => {
      await client.query('BEGIN')
      return await identityOf(client)
    },
  )
  return systemIdentifier ?? `${connection.host}:${connection.port}`
}

function digest(kind: string, text: string): string {
  return createHash('sha256').update(`${kind}\0${text}`).digest('hex').slice(0, 16)
}
