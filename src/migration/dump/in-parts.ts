import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Cancelled } from '../../failure.ts'
import { readArchive } from '../../postgres/archive/archive.ts'
import { compressionArguments } from '../../postgres/programs/arguments.ts'
import type { Context } from '../context.ts'
import { archivePath } from '../kept/manifest.ts'
import { inPool } from '../pool.ts'
import type { TimedTable } from '../timing.ts'
import { copyShares } from './copy-progress.ts'
import { lockWait } from './held-tables.ts'
import { PartQueue } from './part-queue.ts'
import {
  checkPart,
  checkSchema,
  partArguments,
  type StoredTable,
  schemaArguments,
  tablesWithRows,
} from './parts.ts'
import {
  compressionMethods,
  type DumpDatabaseOptions,
  type DumpSource,
  dumpArchive,
} from './programs.ts'
import { DumpProgress, type TableSizes } from './progress.ts'
import type { PartAhead, PartTable } from './sink.ts'
import { type Written, watchingDump } from './watch-dump.ts'

export interface DumpPartsOptions extends Omit<DumpDatabaseOptions, 'directory' | 'logFile'> {
  /** Of the whole dump. */
  dumpDirectory: string
  /** Sessions that all of it may have at once. */
  sessions: number
  /** Milliseconds that the shortest question to the source takes. */
  roundTrip: number
  /** The data archives. */
  parts: readonly PartAhead[]
  /** All tables, as the server lists them in the moment of the dump. */
  tables: readonly StoredTable[]
  /** Of the archive with this number: 1 is the schema archive. */
  logFile: (number: number) => string
  /** Is done to every archive before it is complete. */
  finish: (directory: string) => Promise<void>
  /** The schema archive is complete. */
  onSchema: () => void
  /** Rows of a data archive of a single table come, and it is known that it will not be given up for a later time. */
  onFlow: (part: PartAhead) => void
  /** A data archive is complete, and holds what it was to hold. */
  onPart: (part: PartAhead) => void
}

/**
 * Dumps a database into a schema archive and its data archives, which are told when the schema archive is: one after the other in
 * their order, or several at once where that is faster (see PartQueue). Each is one run of pg_dump with the same snapshot; the last has
 * as many jobs as are left. Nobody is told of a run that is given up to see that several at once are not faster.
 *
 * @throws as dumpDatabase, and Failure where an archive does not hold what it was to hold
 */
export async function dumpInParts(
  source: DumpSource,
  options: DumpPartsOptions,
  sizes: TableSizes,
  context: Context,
): Promise<Written> {
  const { database, dumpDirectory, parts, tables } = options
  const path = archivePath(database, 1)
  const directory = join(dumpDirectory, dirname(path))
  const progress = new DumpProgress(sizes)
  const queue = new PartQueue(options)
  /** The tables whose rows must be in some part: what is in the parts is checked when it is known. */
  const expected = Promise.withResolvers<StoredTable[]>()
  expected.promise.catch(() => {})

  const dump = async (): Promise<TimedTable[]> => {
    const able = await compressionMethods(source.client, context)
    const common = {
      ...options,
      lockWait,
      compression: compressionArguments(source.client, options.compression, able),
    }
    const dumpSchema = async (own: Context): Promise<TimedTable[]> => {
      const archive = {
        ...common,
        directory: join(dumpDirectory, path),
        jobs: 1,
        extra: [...options.extra, ...schemaArguments],
        logFile: options.logFile(1),
      }
      await dumpArchive(source, archive, own, () => {})
      queue.schemaDone()
      await options.finish(archive.directory)
      const defined = await readArchive(archive.directory)
      checkSchema(defined, database)
      options.onSchema()
      expected.resolve(tablesWithRows(defined, tables))
      return []
    }
    const flows = (part: PartAhead, { signal }: Context) => {
      if (!signal.aborted) options.onFlow(part)
    }
    const dumpPart = async (part: PartAhead, own: Context): Promise<TimedTable[]> => {
      const archive = {
        ...common,
        directory: join(dumpDirectory, part.path),
        jobs: queue.jobsOf(part),
        extra: [...options.extra, ...partArguments(part, parts)],
        logFile: options.logFile(parts.indexOf(part) + 2),
      }
      const givenUp = queue.givenUp(part)
      const kept = queue.kept(part)
      const signal = givenUp ? AbortSignal.any([own.signal, givenUp]) : own.signal
      let timed: TimedTable[]
      try {
        timed = await dumpArchive(source, archive, { ...own, signal }, (line) => {
          if (part.isRest) void kept.then(() => progress.read(line))
          if (!/dumping contents of table /.test(line)) return
          queue.flows(part)
          // it may have begun before the schema archive, which is told first, was complete
          if (!part.isRest)
            void Promise.all([kept, expected.promise]).then(
              () => flows(part, own),
              () => {},
            )
        })
      } catch (error) {
        if (!(error instanceof Cancelled) || !givenUp?.aborted) throw error
        // pg_dump makes its directory anew
        await rm(archive.directory, { recursive: true, force: true })
        context.log.debug(`${part.path} is dumped later: beside others all are hardly faster`)
        queue.giveBack(part)
        return []
      }
      queue.done(part)
      await options.finish(archive.directory)
      const made = await readArchive(archive.directory)
      checkPart(made, part, parts, await expected.promise, database)
      // of a dump that is given up nothing more is told
      if (own.signal.aborted) throw new Cancelled()
      if (!part.isRest) progress.end(part.bytes)
      options.onPart(part)
      return timed
    }
    const pool = { workers: queue.most, signal: context.signal }
    const timed = await inPool(queue, pool, async (task, _resource, _index, signal) => {
      const own = { ...context, signal }
      if (task !== 'schema') return await dumpPart(task, own)
      try {
        return await dumpSchema(own)
      } catch (error) {
        expected.reject(error)
        throw error
      }
    })
    return timed.flat()
  }
  return await watchingDump(source, { database, directory }, progress, context, dump, {
    written: (bytes, now) => queue.look(now, bytes),
    look: async (client, number) => {
      for (const [table, share] of await copyShares(client, number, tables)) {
        const part = parts.find(({ isRest, tables: [own] }) => !isRest && isSame(own, table))
        if (part) queue.came(part, share)
      }
    },
  })
}

function isSame(one: PartTable | undefined, other: PartTable): boolean {
  return one?.schema === other.schema && one.name === other.name
}
