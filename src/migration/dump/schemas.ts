import { mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Cancelled, Failure } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import { together } from '../../postgres/together.ts'
import type { Source } from '../checks/preflight.ts'
import { readFreezeMark, withoutMark } from '../freeze/mark.ts'
import { autoJobs } from '../jobs.ts'
import { archivePath, type DumpedDatabase } from '../kept/manifest.ts'
import { inPool } from '../pool.ts'
import { readDatabaseProperties } from '../restore/database/properties.ts'
import { retrying } from '../retry.ts'
import type { Run } from '../run.ts'
import { type DumpSource, dumpSchema } from './programs.ts'

/** The definitions of databases, without rows: seconds, whatever their size. */
export interface DumpedSchemas {
  directory: string
  databases: DumpedDatabase[]
  /** What each of them took, by its name on the source. */
  seconds: ReadonlyMap<string, number>
}

interface HowDumped {
  refused?: ((database: string, failure: Failure) => void) | undefined
  lockWait?: number | undefined
}

/**
 * Dumps the definitions of every database, several at once, and hands them on; they are removed afterwards. What would be lost on
 * a target is known from them before the first row is dumped.
 *
 * @param work gets them while they are still being dumped, so that something else can be done meanwhile
 * @param how.refused is told what pg_dump refuses, so that the other databases go on; without it that is thrown
 * @param how.lockWait milliseconds to wait for a lock, where that is not to be as long as ever
 * @throws Failure; Cancelled
 */
export async function withSchemas<T>(
  source: Source,
  dumpSource: DumpSource,
  run: Run,
  work: (dumping: Promise<DumpedSchemas>) => Promise<T>,
  how: HowDumped = {},
): Promise<T> {
  const directory = join(run.temporaryDirectory, 'schemas')
  const stop = new AbortController()
  const own = { ...run, signal: AbortSignal.any([run.signal, stop.signal]) }
  const dumping = dumpSchemas(source, dumpSource, directory, own, how)
  // whoever waits for it hears of it
  dumping.catch(() => {})
  try {
    return await work(dumping)
  } finally {
    stop.abort(new Cancelled())
    await dumping.catch(() => {})
    await rm(directory, { recursive: true, force: true })
  }
}

async function dumpSchemas(
  source: Source,
  dumpSource: DumpSource,
  directory: string,
  run: Run,
  { refused, lockWait }: HowDumped,
): Promise<DumpedSchemas> {
  const seconds = new Map<string, number>()
  // the roles are read meanwhile, and a session each reads what is not in an archive
  const free = source.freeConnections - 4
  const workers = Math.max(1, Math.min(autoJobs(run.processors), free))
  const dumped = await inPool(
    source.databases,
    { workers, signal: run.signal },
    async (database, _resource, _index, signal): Promise<DumpedDatabase[]> => {
      const { source: name, target, bytes } = database
      const path = archivePath(name, 1)
      const own = { ...run, signal }
      try {
        const archive = join(directory, path)
        const made = await dumpOneSchema(name, source, dumpSource, { archive, lockWait }, own)
        seconds.set(name, made.seconds)
        const { properties } = made
        return [{ name, target, bytes, archives: [{ path }], properties, fingerprint: undefined }]
      } catch (error) {
        if (!refused || signal.aborted || !(error instanceof Failure)) throw error
        refused(name, error)
        return []
      }
    },
  )
  return { directory, databases: dumped.flat(), seconds }
}

/** @param how.archive the directory to make */
async function dumpOneSchema(
  name: string,
  source: Source,
  dumpSource: DumpSource,
  { archive, lockWait }: { archive: string; lockWait: number | undefined },
  run: Run,
): Promise<{ properties: DumpedDatabase['properties']; seconds: number }> {
  const [, file] = archivePath(name, 1).split('/')
  const logFile = join(run.reportDirectory, `pg_dump-schema-${file}.log`)
  const options = { database: name, readOnly: true, role: 'source', signal: run.signal } as const
  await mkdir(dirname(archive), { recursive: true, mode: 0o700 })
  return await retrying(run, async () => {
    await rm(archive, { recursive: true, force: true })
    const { properties, extra } = await withConnection(
      source.connection,
      options,
      async (client) => {
        const [properties, mark] = await together(client, [
          () => readDatabaseProperties(client),
          () => readFreezeMark(client),
        ])
        // what the target makes of the names, it will make of the dump's
        const quoting = run.inputs.dumpOptions.filter((one) => one === '--quote-all-identifiers')
        return { properties, extra: [...quoting, ...withoutMark(mark)] }
      },
    )
    const began = performance.now()
    const { encoding } = properties
    await dumpSchema(
      dumpSource,
      { database: name, directory: archive, encoding, lockWait, extra, logFile },
      run,
    )
    return { properties, seconds: (performance.now() - began) / 1000 }
  })
}
