import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { openConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import type { Context } from '../context.ts'
import { endSessions, sessionPrefix } from '../restore/run/target-session.ts'
import { LastingSession, retrying } from '../retry.ts'

/**
 * A session on the target that is opened anew when it was lost. The server may still work for the lost one, at a statement
 * that is to be sent again: that one is ended before, as the restore of databases does it.
 */
export class RoleSession extends LastingSession {
  private readonly context: Context

  constructor(target: ConnectionParameters, context: Context) {
    const { signal } = context
    const name = `${sessionPrefix}roles ${randomBytes(6).toString('hex')}`
    let isFirst = true
    super(async () => {
      const opened = await openConnection(target, { role: 'target', signal })
      try {
        if (!isFirst) await endSessions(opened.client, name, signal)
        await opened.client.query('SELECT pg_catalog.set_config($1, $2, false)', [
          'application_name',
          name,
        ])
        isFirst = false
        return opened
      } catch (error) {
        await opened.close()
        throw error
      }
    })
    this.context = context
  }

  /** Does what may be done again from its beginning. */
  async read<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    return await retrying(this.context, async () => await work(await this.client()), {
      interrupted: () => this.drop(),
    })
  }
}
