import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type pg from 'pg'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import type { Context } from '../context.ts'
import { LockWatch, ownSessions } from '../lock-waits.ts'
import { nameOfWork, progressLine } from '../progress-line.ts'
import type { TimedTable } from '../timing.ts'
import type { DumpProgress } from './progress.ts'

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
  const poll = setInterval(() => {
    void directorySize(directory).then((bytes) => {
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
  return { bytes: await directorySize(directory), seconds: (ended - began) / 1000, tables }
}

/** Bytes in a directory's files, all levels; 0 while it does not exist. Files may vanish meanwhile. */
async function directorySize(directory: string): Promise<number> {
  let names: import('node:fs').Dirent[]
  try {
    names = await readdir(directory, { withFileTypes: true, recursive: true })
  } catch {
    return 0
  }
  let total = 0
  for (const name of names) {
    if (name.isFile())
      total += (await stat(join(name.parentPath, name.name)).catch(() => ({ size: 0 }))).size
  }
  return total
}
