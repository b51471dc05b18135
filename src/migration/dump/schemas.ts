import { mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Failure } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { Source } from '../checks/preflight.ts'
import { readFreezeMark, withoutMark } from '../freeze/mark.ts'
import { archivePath, type DumpedDatabase } from '../kept/manifest.ts'
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

/**
 * Dumps the definitions of every database and hands them on; they are removed afterwards. What would be lost on a target is
 * known from them before the first row is dumped.
 *
 * @param refused is told what pg_dump refuses, so that the other databases go on; without it that is thrown
 * @throws Failure; Cancelled
 */
export async function withSchemas<T>(
  source: Source,
  dumpSource: DumpSource,
  run: Run,
  work: (schemas: DumpedSchemas) => Promise<T>,
  refused?: (database: string, failure: Failure) => void,
): Promise<T> {
  const directory = join(run.temporaryDirectory, 'schemas')
  const databases: DumpedDatabase[] = []
  const seconds = new Map<string, number>()
  try {
    for (const { source: name, target, bytes } of source.databases) {
      const path = archivePath(name, 1)
      const archive = join(directory, path)
      const logFile = join(run.reportDirectory, `pg_dump-schema-${path.split('/')[1]}.log`)
      const options = { database: name, readOnly: true, role: 'source', signal: run.signal }
      await mkdir(dirname(archive), { recursive: true, mode: 0o700 })
      let properties: DumpedDatabase['properties']
      try {
        properties = await retrying(run, async () => {
          await rm(archive, { recursive: true, force: true })
          const { properties, extra } = await withConnection(
            source.connection,
            { ...options, role: 'source' },
            async (client) => ({
              properties: await readDatabaseProperties(client),
              extra: withoutMark(await readFreezeMark(client)),
            }),
          )
          const began = performance.now()
          await dumpSchema(dumpSource, { database: name, directory: archive, extra, logFile }, run)
          seconds.set(name, (performance.now() - began) / 1000)
          return properties
        })
      } catch (error) {
        if (!refused || run.signal.aborted || !(error instanceof Failure)) throw error
        refused(name, error)
        continue
      }
      databases.push({
        name,
        target,
        bytes,
        archives: [{ path }],
        properties,
        fingerprint: undefined,
      })
    }
    return await work({ directory, databases, seconds })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
