import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { withConnection } from '../../postgres/connection.ts'
import { mayPass } from '../../postgres/errors.ts'
import type { Version } from '../../postgres/version.ts'
import type { Source, SourceDatabase } from '../checks/preflight.ts'
import { archivePath, type DumpedDatabase } from '../kept/manifest.ts'
import { retrying } from '../retry.ts'
import type { Run } from '../run.ts'
import { MomentGone, TableAwaited, TableReplaced } from '../verify/read-session.ts'
import { dumpMoment } from './one-database.ts'
import type { DumpSource } from './programs.ts'
import type { DumpSink } from './sink.ts'

/** A moment that is lost cannot be had again: so often a database is dumped anew from another one. */
const mostRedumps = 2

/**
 * Dumps a database, and takes the fingerprint of the same moment. When a connection is lost or the source restarts, the
 * moment is gone, and with it all that was dumped: it is removed, and made again of a new moment, twice at most.
 */
export async function dumpOne(
  database: SourceDatabase,
  dumpSource: DumpSource,
  source: Source,
  run: Run,
  target: Version | undefined,
  sink: DumpSink | undefined,
): Promise<DumpedDatabase> {
  const directory = join(run.dumpDirectory, dirname(archivePath(database.source, 1)))
  let hasTold = false
  // what was told early is void when the moment is lost, and from then on nothing is told early; nor is a table held that is waited for
  let isWhole = false
  const early: DumpSink | undefined = sink && {
    ...sink,
    schema: (...what) => {
      hasTold = true
      sink.schema(...what)
    },
  }
  return await retrying(
    run,
    async (attempt) => {
      if (attempt > 0) {
        await rm(directory, { recursive: true, force: true })
        // a source that restarts must be there before another moment of it is looked at
        await retrying(run, () => reach(source, database.source, run))
      }
      return await dumpMoment(
        database,
        dumpSource,
        source,
        run,
        target,
        isWhole ? undefined : early,
      )
    },
    {
      again: (error) => mayPass(error) || error instanceof MomentGone,
      most: mostRedumps,
      interrupted: (error) => {
        if (hasTold) sink?.lost(database.source)
        isWhole ||= hasTold || error instanceof TableAwaited
        hasTold = false
        const how =
          sink && isWhole ? ', into one archive, which is restored when it is complete' : ''
        run.warn(
          `${database.source}: ${whyGone(error)}; its dump is made again from the beginning${how}`,
        )
      },
    },
  )
}

function whyGone(error: unknown): string {
  if (error instanceof TableAwaited)
    return 'somebody waits for a table that is held until the dump ends'
  return error instanceof TableReplaced ? error.message : 'the connection to the source was lost'
}

/** @throws Failure while the source takes no connection */
async function reach(source: Source, database: string, run: Run): Promise<void> {
  const options = { database, readOnly: true, role: 'source', signal: run.signal } as const
  await withConnection(source.connection, options, async () => {})
}
