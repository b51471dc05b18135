import type pg from 'pg'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import type { Context } from '../context.ts'
import { LockWatch, ownSessions } from '../lock-waits.ts'
import { nameOfWork, progressLine } from '../progress-line.ts'
import type { TimedTable } from '../timing.ts'
import type { DumpProgress } from './progress.ts'
import { WrittenBytes } from './written-bytes.ts'

/** What pg_dump and pg_dumpall tell the server that they are. */
export const dumpName = 'migrate-to-polardb dump'

/** What a dump has written, and when each table was dumped, as far as pg_dump told. */
export interface Written {
  bytes: number
  seconds: number
  tables: TimedTable[]
}

/** What is looked at beside, while a dump is made. */
export interface AlsoWatched {
  /** Is told, every second, how much is written so far (bytes) and when that was (performance.now()). */
  written?: (bytes: number, now: number) => void
  /** See LockWatch: asks the source in the session that looks after locks. */
  look?: (client: pg.Client, number: number) => Promise<void>
}

/**
 * Shows how far the dump of a database is while it is being made, and says for whom it waits.
 *
 * @param directory everything below it is what was written
 * @param work returns when it dumped which table
 * @param also what else is looked at
 * @throws what `work` throws, with the session that a lock was waited for
 */
export async function watchingDump(
  { connection }: { connection: ConnectionParameters },
  { database, directory }: { database: string; directory: string },
  progress: DumpProgress,
  context: Context,
  work: () => Promise<TimedTable[]>,
  also: AlsoWatched = {},
): Promise<Written> {
  const began = performance.now()
  const sessions = [dumpName, ...ownSessions(connection)]
  const locks = new LockWatch(
    { connection, role: 'source' },
    { who: 'the dump', database, sessions },
    context,
    also.look,
  )
  const written = new WrittenBytes(directory)
  let isLooking = false
  const poll = setInterval(() => {
    if (isLooking) return
    isLooking = true
    void written.look().then((bytes) => {
      isLooking = false
      const parts = locks.brief === undefined ? progress.parts(bytes, began) : [locks.brief]
      context.progress.update(progressLine(nameOfWork('dump', database), parts))
      also.written?.(bytes, performance.now())
    })
  }, 1000)
  let tables: TimedTable[]
  let ended: number
  try {
    tables = await work()
    ended = performance.now()
  } catch (error) {
    throw locks.explain(error)
  } finally {
    clearInterval(poll)
    await locks.end()
  }
  const bytes = await new WrittenBytes(directory).look()
  return { bytes, seconds: (ended - began) / 1000, tables }
}
