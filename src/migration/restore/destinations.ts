import { join } from 'node:path'
import { areDifferences, Failure, messageOf } from '../../failure.ts'
import type { ReportError } from '../../report/model.ts'
import type { DatabaseRecord } from '../../report/writer.ts'
import type { DatabaseName } from '../database-names.ts'
import type { Inputs } from '../inputs.ts'
import { databasesOf } from '../kept/load.ts'
import type { DumpedDatabase } from '../kept/manifest.ts'
import type { Run } from '../run.ts'
import { type DatabaseProperties, parseDatabaseProperties } from './database/properties.ts'

/** A database of the dump and where it goes. */
export interface Destination extends DatabaseName {
  dumped: DumpedDatabase
  properties: DatabaseProperties
  archives: string[]
  /** Of this database in the report. */
  record: DatabaseRecord
}

/**
 * Which databases of a dump are restored, and under which names.
 *
 * @throws Failure as databasesOf()
 */
export function destinationsOf(
  wanted: Inputs['databases'],
  dump: { databases: readonly DumpedDatabase[]; directory: string },
  run: Run,
): Destination[] {
  return databasesOf(dump.databases, wanted).map(({ dumped, ...name }) => ({
    ...name,
    ...dumpedAs(dumped, dump.directory),
    record: run.record.database({ ...name, bytes: dumped.bytes }),
  }))
}

/** What a destination has of the dump of its database. */
export function dumpedAs(
  dumped: DumpedDatabase,
  directory: string,
): Pick<Destination, 'dumped' | 'properties' | 'archives'> {
  return {
    dumped,
    properties: parseDatabaseProperties(dumped.properties),
    archives: dumped.archives.map(({ path }) => join(directory, path)),
  }
}

/** What failed, for the report. */
export function describe(error: unknown): ReportError {
  if (error instanceof Failure)
    return { message: error.message, cause: error.why, remedy: error.remedy }
  return {
    message: 'The restore failed',
    cause: messageOf(error),
    remedy: 'Look into the logs beside the report',
  }
}

/** What failed, for people: `the database "shop"`. */
export interface Refused {
  what: string
  error: unknown
}

/** One failure is thrown as it is; several as one that names each. */
export function throwAll(failures: readonly Refused[], outcome: string): void {
  const [first, ...rest] = failures
  if (!first) return
  if (rest.length === 0) throw first.error
  throw new Failure(
    `${failures.length} parts of the migration ${outcome}`,
    failures.map(({ what, error }) => `${what}: ${messageOf(error)}`).join(' | '),
    'The report has each of them; what else was restored is in it, too',
    { isDifference: areDifferences(failures.map(({ error }) => error)) },
  )
}
