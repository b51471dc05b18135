import type pg from 'pg'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import { quoteIdentifier } from '../../postgres/identifiers.ts'
import { renamedRoles } from '../../postgres/roles/role-names.ts'
import { formatDuration } from '../../text/numbers.ts'
import { doStill } from '../cancellation.ts'
import type { ReachedTarget, Source } from '../checks/preflight.ts'
import type { DatabaseName } from '../database-names.ts'
import { runPhase } from '../phases.ts'
import { inMaintenanceDatabase } from '../restore/database/maintenance-database.ts'
import { createDatabase } from '../restore/database/prepare.ts'
import { type DatabaseProperties, readDatabaseProperties } from '../restore/database/properties.ts'
import { retrying } from '../retry.ts'
import type { Run } from '../run.ts'
import { createMark, type RehearsalState, writeMark } from './mark.ts'
import { lockNumber, newRehearsalName, rehearsalDatabase } from './names.ts'
import { isRehearsing, Presence, rehearsalSign } from './presence.ts'
import { outside, removeRehearsal } from './remove.ts'
import { sweepRehearsals } from './sweep.ts'

/** Milliseconds that removing may take in a job that is not cancelled: a database of terabytes is many files. */
const removing = 20 * 60_000

/** Everything that a rehearsal makes on the target, from its first moment to its last. */
export class Rehearsal {
  readonly name: string
  private readonly run: Run
  private presence: Presence | undefined
  private target: ReachedTarget | undefined
  private state: RehearsalState | undefined

  /** @param name what everything that it makes begins with */
  constructor(run: Run, name = newRehearsalName()) {
    this.run = run
    this.name = name
  }

  /** The databases of a source with the names that they get in this rehearsal. */
  rename<T extends DatabaseName>(databases: readonly T[]): T[] {
    return databases.map((database, index) => ({
      ...database,
      target: rehearsalDatabase(this.name, index + 1),
    }))
  }

  /** Notes why it does not begin. */
  notRun(reason: string): void {
    const { run } = this
    run.record.rehearsal({ name: this.name, outcome: 'not run', note: `${reason}.` })
    run.log.info(`Not run: ${reason}`)
  }

  /**
   * Removes what earlier rehearsals have left, and makes the databases of this one, empty, each as the source's is. `end` is to be
   * called whatever comes of it.
   *
   * @returns false where it does not begin, which is noted
   * @throws Failure where the target refuses; Cancelled
   */
  async begin(source: Source, target: ReachedTarget): Promise<boolean> {
    const { run } = this
    const { connection } = target
    this.target = target
    this.presence = await retrying(run, () =>
      Presence.begin(connection, rehearsalSign(lockNumber(this.name)), run),
    )
    // looked for when one's own sign is there, so that of two that begin at once at most one goes on
    if (run.inputs.roles === 'skip' && (await this.outside((client) => this.isBeside(client)))) {
      this.notRun(
        'another rehearsal is under way on this target, and with roles: skip both would lend themselves the same roles',
      )
      return false
    }
    await sweepRehearsals(connection, run.inputs.rehearsalAge, run)
    const databases = this.rename(source.databases)
    // noted before it is made: the answer to CREATE DATABASE may be lost
    this.state = {
      ...{ format: 1, rehearsal: this.name, at: 0, kept: false },
      databases: databases.map((_, index) => ({ number: index + 1, oid: null })),
    }
    const numbers = this.state.databases.map(({ number }) => number)
    this.state = await this.outside((client) => createMark(client, this.name, numbers))
    run.record.rehearsal({ name: this.name, outcome: 'begun', note: '' })
    for (const [index, database] of databases.entries()) {
      const read = { database: database.source, readOnly: true, role: 'source' } as const
      const properties = await retrying(run, () =>
        withConnection(source.connection, { ...read, signal: run.signal }, readDatabaseProperties),
      )
      const oid = await this.make(database.target, properties)
      this.state.databases[index] = { number: index + 1, oid }
      const { state } = this
      await this.outside((client) => writeMark(client, state))
    }
    run.log.info(
      `Rehearsing into databases of its own: ${this.name}_1${databases.length > 1 ? ` to ${this.name}_${databases.length}` : ''}`,
    )
    return true
  }

  private isBeside(client: pg.Client): Promise<boolean> {
    return isRehearsing(client, lockNumber(this.name))
  }

  /**
   * Does the work of the rehearsal.
   *
   * @param work gets a run that restores into the databases of this one
   * @throws Failure where another run has taken this one for dead; what `work` throws
   */
  async during(work: (run: Run) => Promise<void>): Promise<void> {
    const { run, presence } = this
    const taken = new AbortController()
    const end = () => taken.abort(new Cancelled())
    presence?.taken.addEventListener('abort', end, { once: true })
    try {
      await work({
        ...run,
        rehearsal: this.name,
        roleNames: run.inputs.roles === 'skip' ? run.roleNames : renamedRoles(this.name, []),
        inputs: this.inputs(),
        signal: AbortSignal.any([run.signal, taken.signal]),
      })
    } catch (error) {
      if (run.signal.aborted || !taken.signal.aborted) throw error
      throw new Failure(
        'Another rehearsal has taken this one for dead',
        'The session that held its lock on the target was lost, and the other one removes what this one has made',
        'Run again',
      )
    } finally {
      presence?.taken.removeEventListener('abort', end)
    }
  }

  /** The inputs for the work: the databases are there under names of this rehearsal, and nothing outlives it. */
  private inputs(): Run['inputs'] {
    const { inputs } = this.run
    const { databases } = inputs
    return {
      ...inputs,
      // for all, and for the one that the source names, the dump itself has the names
      databases:
        typeof databases === 'string' || databases.length === 0
          ? databases
          : this.rename(databases),
      createDatabase: false,
    }
  }

  /**
   * Removes everything, or leaves it where that is wished. A cancelled job has its share of the ten seconds for it.
   *
   * @param isOver the rehearsal came to its end, well or not
   * @throws Failure naming what is still there; the next rehearsal removes it
   */
  async end(isOver: boolean): Promise<void> {
    const { run, state, target } = this
    try {
      if (!state || !target) return
      if (isOver && run.inputs.keepRehearsal) return await this.keep(state, target)
      const { signal } = run
      await doStill(signal, removing, (limit) =>
        runPhase({ ...run, signal: limit }, 'clean-up', () =>
          removeRehearsal(state, target.connection, { ...run, signal: limit }),
        ),
      )
      const note = 'Everything that it made on the target is removed again'
      run.record.rehearsal({ name: this.name, outcome: 'removed', note })
    } catch (error) {
      const why = error instanceof Cancelled ? 'the time for it was over' : messageOf(error)
      const note = `What it made on the target may still be there, in part (${why}): the next rehearsal removes it`
      run.record.rehearsal({ name: this.name, outcome: 'left', note })
      throw error instanceof Failure
        ? error
        : new Failure(
            `The rehearsal ${this.name} could not be removed from the target`,
            why,
            'The next rehearsal removes it; docs/rehearsal.md has the lines that do it by hand',
            { cause: error },
          )
    } finally {
      await this.presence?.close()
    }
  }

  private async keep(state: RehearsalState, target: ReachedTarget): Promise<void> {
    const { run } = this
    await retrying(run, () =>
      inMaintenanceDatabase(outside(target.connection), run.signal, (client) =>
        writeMark(client, { ...state, kept: true }),
      ),
    )
    const names = state.databases.map(({ number }) => rehearsalDatabase(this.name, number))
    const note = `Kept for a look: ${names.join(', ')}. The first rehearsal after ${formatDuration(run.inputs.rehearsalAge)} removes them with their roles; docs/rehearsal.md has the lines that do it by hand`
    run.record.rehearsal({ name: this.name, outcome: 'kept', note })
    run.warn(note)
  }

  /** @returns the OID of the new database */
  private async make(name: string, properties: DatabaseProperties): Promise<string> {
    const lost = { creation: false }
    return await this.outside(async (client) => {
      const before = await ownOid(client, name)
      if (before !== undefined && !lost.creation) {
        if (this.state)
          this.state.databases = this.state.databases.filter(
            ({ number }) => rehearsalDatabase(this.name, number) !== name,
          )
        throw new Failure(
          `The target has a database "${name}"`,
          'Somebody has made it since this rehearsal began: nobody else gives such names',
          `Look who did, and drop it: DROP DATABASE ${quoteIdentifier(name)}`,
        )
      }
      if (before === undefined) await createDatabase(client, name, properties, lost)
      const oid = before ?? (await ownOid(client, name))
      if (oid === undefined) throw new Error(`the database ${name} is not there`)
      return oid
    })
  }

  private outside<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const { run, target } = this
    if (!target) throw new TypeError('the rehearsal has not begun')
    return retrying(run, () => inMaintenanceDatabase(outside(target.connection), run.signal, work))
  }
}

async function ownOid(client: pg.Client, name: string): Promise<string | undefined> {
  const { rows } = await client.query<{ oid: string }>(
    'SELECT oid::pg_catalog.text AS oid FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) $1',
    [name],
  )
  return rows[0]?.oid
}
