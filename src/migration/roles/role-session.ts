import type pg from 'pg'
import { openConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import type { Context } from '../context.ts'
import { LastingSession, retrying } from '../retry.ts'

/** A session on the target that is opened anew when it was lost. */
export class RoleSession extends LastingSession {
  private readonly context: Context

  constructor(target: ConnectionParameters, context: Context) {
    super(() => openConnection(target, { role: 'target', signal: context.signal }))
    this.context = context
  }

  /** Does what may be done again from its beginning. */
  async read<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    return await retrying(this.context, async () => await work(await this.client()), {
      interrupted: () => this.drop(),
    })
  }
}
