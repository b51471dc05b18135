import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { messageOf } from '../failure.ts'
import { closeSession, connect, goodbye, serverVersion } from '../postgres/connection.ts'
import type { ConnectionParameters } from '../postgres/connection-string.ts'
import type { Context } from './context.ts'

/** Milliseconds between two looks. */
const pause = 2000

/** What is looked at, and how. */
export interface View {
  connection: ConnectionParameters
  database: string
  role: 'source' | 'target'
  /** Asks one or two light questions; `number` is `server_version_num`. */
  look(client: pg.Client, number: number): Promise<void>
  /** Told when the server could not be asked: what was seen before need not hold any more. */
  blind(): void
}

/**
 * Looks at a server every two seconds, in one session of its own, while others work there. It never throws: a look that fails
 * costs nothing but what it would have shown, and the next one opens another session.
 */
export class Onlooker {
  private readonly stop = new AbortController()
  private readonly running: Promise<void>

  constructor(view: View, context: Pick<Context, 'log' | 'signal'>) {
    this.running = this.watch(view, context)
  }

  /** Ends the looks and their session. A look that gets no answer is not waited for: nobody needs it any more. */
  async end(): Promise<void> {
    this.stop.abort()
    await this.running
  }

  private async watch(view: View, { log, signal }: Pick<Context, 'log' | 'signal'>): Promise<void> {
    const { connection, database, role } = view
    const over = AbortSignal.any([this.stop.signal, signal])
    let session: pg.Client | undefined
    let number = 0
    let limit: NodeJS.Timeout | undefined
    const hurry = () => {
      limit = setTimeout(() => session?.connection.stream.destroy(), goodbye)
    }
    over.addEventListener('abort', hurry, { once: true })
    while (!over.aborted) {
      try {
        await sleep(pause, undefined, { signal: over })
        if (!session) {
          session = await connect(connection, { database, role, readOnly: true, signal: over })
          number = (await serverVersion(session)).number
        }
        await view.look(session, number)
      } catch (error) {
        if (!over.aborted) log.debug(`The ${role} cannot be looked at: ${messageOf(error)}`)
        view.blind()
        if (session) await closeSession(session)
        session = undefined
      }
    }
    view.blind()
    if (session) await closeSession(session)
    over.removeEventListener('abort', hurry)
    clearTimeout(limit)
  }
}
