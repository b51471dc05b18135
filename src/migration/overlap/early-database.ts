import type { Archive } from '../../postgres/archive/archive.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { DumpedDatabase } from '../kept/manifest.ts'
import { dumpIdentity } from '../restore/database/mark.ts'
import { dumpedAs } from '../restore/destinations.ts'
import { rowsIn } from '../restore/options-for.ts'
import { neededRoles } from '../restore/plan/needed-roles.ts'
import type { PlannedDatabase } from '../restore/plan-everything.ts'
import type { Restored } from '../restore/restore-database.ts'
import {
  analyzeRestored,
  carryOutOne,
  concludeOne,
  verifyRestored,
} from '../restore/restore-one.ts'
import { retrying } from '../retry.ts'
import { requireRoles } from '../roles/preconditions.ts'
import type { Run } from '../run.ts'
import type { ArrivingDatabase } from './arriving-database.ts'
import { undoRestore } from './undo.ts'

/** The restore of one database whose dump is not sealed yet. */
export class EarlyDatabase {
  readonly database: PlannedDatabase
  /** Identifies the dump in the mark of the target. */
  private readonly dump: string
  /** The database was not there before. */
  private created = false
  private restored: Restored | undefined
  private proven = false
  /** Why its statistics could not be collected. */
  private notAnalyzed: { error: unknown } | undefined

  private constructor(database: PlannedDatabase, dump: string) {
    this.database = database
    this.dump = dump
  }

  /**
   * @param database decided about by its definitions, with the archives with its rows to come
   * @throws Failure where roles are missing that are not migrated; Cancelled
   */
  static async of(
    database: PlannedDatabase,
    arriving: ArrivingDatabase,
    run: Run,
  ): Promise<EarlyDatabase> {
    const { options, plan } = database
    const early = new EarlyDatabase(database, await dumpIdentity(options.archives))
    options.prepared = (created) => {
      early.created = created
    }
    const check = async (archive: Archive) => {
      // those that are migrated are all there
      if (run.inputs.roles !== 'skip') return
      const where = { role: 'target', readOnly: true, signal: run.signal } as const
      await retrying(run, () =>
        withConnection(options.target, where, (client) =>
          requireRoles(client, neededRoles(archive)),
        ),
      )
    }
    // a dump of the definitions alone, by which it was decided, has no large objects, and does not name whom they belong to
    for (const archive of plan.archives) await check(archive)
    options.arriving = arriving.arriving(check)
    return early
  }

  /** Restores it while it is dumped, and analyzes it. @throws Failure; Cancelled */
  async restore(run: Run): Promise<void> {
    const restored = await carryOutOne(this.database, run)
    this.restored = restored
    try {
      await analyzeRestored(this.database, restored, run)
    } catch (error) {
      if (run.signal.aborted) throw error
      this.notAnalyzed = { error }
    }
  }

  /** What was known of the definitions alone is known of all by now. */
  complete(whole: DumpedDatabase, run: Run): void {
    const { destination, options } = this.database
    const expectedRows = rowsIn(whole)
    Object.assign(destination, dumpedAs(whole, run.dumpDirectory))
    if (expectedRows) options.expectedRows = expectedRows
  }

  /** Verifies what was restored, when the dump is sealed. To be followed by release(). @throws Failure; Cancelled */
  async conclude(run: Run): Promise<void> {
    const { database, restored, notAnalyzed } = this
    if (!restored) throw new TypeError('it is not restored')
    const verify = async () => {
      if (notAnalyzed) throw notAnalyzed.error
      await verifyRestored(database, restored, true, run)
    }
    await concludeOne(database, restored, run, verify, async (proven = false) => {
      this.proven = proven
    })
  }

  /**
   * Gives back what the account has lent itself, and takes the mark off what is verified. To be called when no database needs it:
   * what one has lent itself, those after it have found.
   */
  async release(): Promise<void> {
    const { restored } = this
    this.restored = undefined
    await restored?.release(this.proven)
  }

  /** Removes what was restored. @throws Failure; Cancelled */
  async undo(run: Run): Promise<void> {
    // with the mark it would be forgotten what a restore that came to its end has lent itself, and who loaded
    await this.release()
    await undoRestore(this.database.options, this.dump, this.created, run)
  }
}
