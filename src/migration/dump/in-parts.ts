import { dirname, join } from 'node:path'
import { readArchive } from '../../postgres/archive/archive.ts'
import { compressionArguments } from '../../postgres/programs/arguments.ts'
import type { Context } from '../context.ts'
import { archivePath } from '../kept/manifest.ts'
import { inPool, type Queue } from '../pool.ts'
import type { TimedTable } from '../timing.ts'
import { lockWait } from './held-tables.ts'
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
import type { PartAhead } from './sink.ts'
import { Streams } from './streams.ts'
import { type Written, watchingDump } from './watch-dump.ts'

export interface DumpPartsOptions extends Omit<DumpDatabaseOptions, 'directory' | 'logFile'> {
  /** Of the whole dump. */
  dumpDirectory: string
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
  /** A data archive is complete, and holds what it was to hold. */
  onPart: (part: PartAhead) => void
}

/**
 * Dumps a database into a schema archive and then its data archives: one after the other in their order, or several at once where
 * that is faster (see Streams). Each is one run of pg_dump with the same snapshot; the last has as many jobs as are left.
 *
 * @throws as dumpDatabase, and Failure where an archive does not hold what it was to hold
 */
export async function dumpInParts(
  source: DumpSource,
  options: DumpPartsOptions,
  sizes: TableSizes,
  context: Context,
): Promise<Written> {
  const { database, dumpDirectory, parts, jobs } = options
  const path = archivePath(database, 1)
  const directory = join(dumpDirectory, dirname(path))
  const progress = new DumpProgress(sizes)
  const queue = new PartQueue(parts, jobs)

  const dump = async (): Promise<TimedTable[]> => {
    const able = await compressionMethods(source.client, context)
    const common = {
      ...options,
      lockWait,
      compression: compressionArguments(source.client, options.compression, able),
    }
    const schema = {
      ...common,
      directory: join(dumpDirectory, path),
      jobs: 1,
      extra: [...options.extra, ...schemaArguments],
      logFile: options.logFile(1),
    }
    await dumpArchive(source, schema, context, () => {})
    await options.finish(schema.directory)
    const defined = await readArchive(schema.directory)
    checkSchema(defined, database)
    const expected = tablesWithRows(defined, options.tables)
    options.onSchema()

    const pool = { workers: Math.min(jobs, parts.length), signal: context.signal }
    const timed = await inPool(queue, pool, async (part, _resource, _index, signal) => {
      const archive = {
        ...common,
        directory: join(dumpDirectory, part.path),
        jobs: part.isRest ? queue.left : 1,
        extra: [...options.extra, ...partArguments(part, parts)],
        logFile: options.logFile(parts.indexOf(part) + 2),
      }
      const tables = await dumpArchive(source, archive, { ...context, signal }, (line) => {
        if (part.isRest) progress.read(line)
        else if (/dumping contents of table /.test(line)) queue.flows()
      })
      await options.finish(archive.directory)
      checkPart(await readArchive(archive.directory), part, parts, expected, database)
      if (!part.isRest) progress.end(part.bytes)
      queue.done()
      options.onPart(part)
      return tables
    })
    return timed.flat()
  }
  return await watchingDump(
    source,
    { database, directory },
    progress,
    context,
    dump,
    (bytes, now) => queue.look(now, bytes),
  )
}

/** Hands out the parts in their order, as many at once as is worth it. */
class PartQueue implements Queue<PartAhead> {
  private readonly parts: readonly PartAhead[]
  private readonly jobs: number
  private readonly streams: Streams
  private begun = 0
  private ended = 0
  /** Parts of single tables that rows have come of, those that are done included. */
  private flowed = 0
  private closed = false
  private wake = Promise.withResolvers<void>()

  constructor(parts: readonly PartAhead[], jobs: number) {
    this.parts = parts
    this.jobs = jobs
    this.streams = new Streams(jobs)
  }

  async next(signal: AbortSignal): Promise<PartAhead | undefined> {
    const aborted = () => this.notify()
    signal.addEventListener('abort', aborted)
    try {
      while (!this.closed && !signal.aborted && this.begun < this.parts.length) {
        if (this.begun - this.ended < this.streams.allowed) return this.parts[this.begun++]
        await this.wake.promise
      }
      return undefined
    } finally {
      signal.removeEventListener('abort', aborted)
    }
  }

  close(): void {
    this.closed = true
    this.notify()
  }

  /** Jobs for the last part: those that no other has. */
  get left(): number {
    return Math.max(1, this.jobs - (this.begun - this.ended - 1))
  }

  /** Rows of one more part are coming. */
  flows(): void {
    this.flowed++
  }

  done(): void {
    this.ended++
    this.notify()
  }

  look(now: number, bytes: number): void {
    // with the last part all are begun, and there is nothing left to decide
    if (this.begun === this.parts.length) return
    this.streams.look(now, bytes, this.flowed - this.ended)
    this.notify()
  }

  private notify(): void {
    this.wake.resolve()
    this.wake = Promise.withResolvers<void>()
  }
}
