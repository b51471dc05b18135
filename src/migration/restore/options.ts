import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import type { ClientPrograms } from '../../postgres/programs/programs.ts'
import type { RoleNames } from '../../postgres/roles/role-names.ts'
import type { Patience } from '../../postgres/watchdog.ts'
import type { NoteStep } from '../timing.ts'
import type { DigestFacts } from '../verify/rows/ahead.ts'
import type { ArrivingParts } from './arriving.ts'
import type { DatabaseProperties } from './database/properties.ts'
import type { StreamSizes } from './stream-sizes.ts'

/** The restore of one database: what, where to, and how. */
export interface RestoreOptions {
  /** Directories that `pg_dump -Fd` wrote, in the order of their restore. */
  archives: string[]
  /** Those that are still to come, where the dump is being made meanwhile; `archives` are those without rows then. */
  arriving?: ArrivingParts
  /** The source database, as readDatabaseProperties read it at the time of the dump. */
  database: DatabaseProperties
  target: ConnectionParameters
  /** What the source's roles are called there: in `database` already, in the archives not. Default the same. */
  roleNames?: RoleNames
  /** Name of the database on the target. */
  targetName: string
  /** Nobody but this run, or who knows the passphrase, can have written the archives. */
  proven?: boolean
  /** Holds the target's password for pg_restore (see writePasswordFile). */
  passwordFile: string
  client: ClientPrograms
  /** Sessions that work on the target at the same time, at least 1. */
  jobs: number
  /** Create the database when the target does not have it. */
  createDatabase: boolean
  ifNotEmpty: 'fail' | 'resume' | 'replace'
  /** For `replace`: the account may not drop the database, and empties it (see mustEmpty). */
  inPlace?: boolean
  /** Nothing of the archives may run with the rights of the account: without a role of its own for it there is no restore. */
  needsLoader?: boolean
  /** The connection limit with which the database is created, and which it has until its mark is written (see ownLimit). */
  createdLimit?: number
  /** Leave the mark when all is done: the database is not yet where it is to be. */
  keepMark?: boolean
  /** The database is a copy that is removed again; see plan/asleep.ts for what it goes without. */
  isRehearsal?: boolean
  /** Collect the planner statistics of tables that are done while others are restored. */
  analyze?: boolean
  /**
   * Read large tables for the verification while others are restored, as digests by the facts of the source's fingerprint; without
   * facts by what is presumed of them.
   */
  readAhead?: { facts?: DigestFacts }
  /** Patterns of entries that may be left out although rows or behaviour are lost with them. */
  allowMissing: string[]
  /** Further pg_restore options of the user's. */
  extraOptions: string[]
  /** Exact rows of each table in the dump by its quoted `"schema"."table"`: what a resumed load is measured by. */
  expectedRows?: ReadonlyMap<string, number>
  /** When the rows of one table go through several sessions at once; default streamSizes. */
  streams?: StreamSizes | undefined
  /** What the server may be silent for while pg_restore works; see watchdog.ts. */
  patience?: Patience | undefined
  /** Told whether the database was created now, when it is there. */
  prepared?: (created: boolean) => void
  /** Told of every step of a table that is done. */
  timed?: NoteStep
  /** Takes what pg_restore wrote to stderr, as it came. */
  logFile: string
}
