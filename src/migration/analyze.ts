import type pg from 'pg'
import { Cancelled, Failure, messageOf } from '../failure.ts'
import { openConnection, serverVersion, withConnection } from '../postgres/connection.ts'
import type { ConnectionParameters } from '../postgres/connection-string.ts'
import { sqlstateOf } from '../postgres/errors.ts'
import { qualifiedName } from '../postgres/identifiers.ts'
import { aboutLeft, counted, formatCount, formatDuration } from '../text/numbers.ts'
import { printable } from '../text/text.ts'
import type { Context } from './context.ts'
import { goOn } from './go-on.ts'
import { LockWatch, ownSessions } from './lock-waits.ts'
import { Pace } from './pace.ts'
import { inPool } from './pool.ts'
import { nameOfWork, progressLine } from './progress-line.ts'
import { LastingSession, retrying } from './retry.ts'

export interface AnalyzeOptions {
  target: ConnectionParameters
  /** The database. */
  targetName: string
  /** Sessions at the same time, at least 1. */
  jobs: number
  /** Only these tables, by their printable quoted names. */
  only?: ReadonlySet<string>
  /** Not these tables, by their quoted names: they have their statistics. */
  but?: ReadonlySet<string>
}

export interface Analyzed {
  tables: number
  seconds: number
  /** Tables that the account may not analyze. */
  refused: { table: string; reason: string }[]
}

/** Bytes of a table that ANALYZE reads at most: 300 pages for each of 100 histogram bounds (PostgreSQL, analyze.c). */
const mostSampled = 30_000 * 8192

/**
 * Collects planner statistics of every table of a database, the largest tables first, with several sessions: a restored
 * database has none, and plans badly until autovacuum comes by. Partitioned and inheritance parents come last; autovacuum
 * never analyzes those.
 *
 * @throws Failure when a table cannot be analyzed for another reason than a missing right; Cancelled
 */
export async function analyzeDatabase(
  options: AnalyzeOptions,
  context: Context,
): Promise<Analyzed> {
  const began = performance.now()
  const { target, targetName: database } = options
  const connection = { database, role: 'target' as const, signal: context.signal }
  const list = async (client: pg.Client) => {
    const { major } = await serverVersion(client)
    const maintain =
      major >= 17 ? `OR pg_catalog.has_table_privilege(session_user, c.oid, 'MAINTAIN')` : ''
    // without the right ANALYZE passes over a table with no more than a warning
    const { rows } = await client.query<{
      schema: string
      name: string
      bytes: string
      parent: boolean
      partitioned: boolean
      owner: string
      allowed: boolean
    }>(`
      SELECT n.nspname AS schema, c.relname AS name, pg_catalog.pg_table_size(c.oid) AS bytes,
             c.relhassubclass OR c.relkind = 'p' AS parent, c.relkind = 'p' AS partitioned, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
             pg_catalog.pg_has_role(session_user, c.relowner, 'USAGE') ${maintain}
             OR (SELECT pg_catalog.pg_has_role(session_user, d.datdba, 'USAGE') FROM pg_catalog.pg_database d
                  WHERE d.datname = pg_catalog.current_database()) AS allowed
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
         AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       ORDER BY parent, bytes DESC`)
    return { found: rows, major }
  }
  const { found, major } = await retrying(context, () => withConnection(target, connection, list))
  const { only, but } = options
  const all = found.filter(
    (table) =>
      (only?.has(nameOf(table)) ?? true) && !but?.has(qualifiedName(table.schema, table.name)),
  )
  const tables = all.filter(({ allowed }) => allowed)
  const refused = all
    .filter(({ allowed }) => !allowed)
    .map(({ schema, name, owner }) => ({
      table: nameOf({ schema, name }),
      reason: `it belongs to "${printable(owner)}", whose member the account is not`,
    }))
  const weightOf = ({ bytes }: { bytes: string }) => Math.min(Number(bytes), mostSampled)
  const pace = new Pace<string>(
    tables.reduce((sum, table) => sum + weightOf(table), 0),
    options.jobs,
  )
  let done = 0
  const show = () => {
    const left = pace.secondsLeft()
    const running = pace.now()
    const parts = [
      `${formatCount(done)} of ${counted(tables.length, 'table')}`,
      left !== undefined && left >= 1 ? aboutLeft(left) : '',
      running.length > 0 ? (locks.brief ?? '') : '',
    ]
    const now = running.map(({ piece, seconds }) => ({
      name: piece,
      detail: seconds < 5 ? '' : `for ${formatDuration(seconds)}`,
    }))
    context.progress.update(progressLine(nameOfWork('analyze', database), parts, now))
  }
  const sessions = ownSessions(target)
  const waiting = { who: 'the collection of statistics', database, sessions, ours: sessions }
  const locks = new LockWatch({ connection: target, role: 'target' }, waiting, context, show)
  const pool = {
    workers: options.jobs,
    signal: context.signal,
    open: (_: number, signal: AbortSignal) =>
      new LastingSession(() => openConnection(target, { ...connection, signal })),
    close: (session: LastingSession) => session.drop(),
  }
  try {
    await inPool(tables, pool, async (table, session, _, signal) => {
      // without ONLY, which came with version 18, its partitions would be analyzed a second time
      const only = table.partitioned && major >= 18 ? 'ONLY ' : ''
      const statement = `ANALYZE ${only}${qualifiedName(table.schema, table.name)}`
      const analyze = async () => (await session.client()).query(statement)
      const interrupted = () => session.drop()
      const name = nameOf(table)
      pace.begin(name, weightOf(table))
      try {
        await retrying({ ...context, signal }, analyze, { interrupted })
      } catch (error) {
        // dropped meanwhile: nothing is left to analyze
        if (sqlstateOf(error) !== '42P01') throw error
      }
      pace.end(name)
      done++
      show()
    })
  } catch (error) {
    if (error instanceof Failure || error instanceof Cancelled) throw error
    const waited = locks.told(sqlstateOf(error))
    throw new Failure(
      `The database "${database}" could not be analyzed`,
      `${messageOf(error)}${waited ? `; ${waited}` : ''}`,
      `The rows are in place: run ANALYZE by hand, or ${goOn(context)}`,
      { cause: error, sqlstate: sqlstateOf(error) },
    )
  } finally {
    await locks.end()
  }
  return { tables: tables.length, seconds: (performance.now() - began) / 1000, refused }
}

const nameOf = ({ schema, name }: { schema: string; name: string }) =>
  printable(qualifiedName(schema, name))
