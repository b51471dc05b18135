import type pg from 'pg'
import { messageOf } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import { counted } from '../../text/text.ts'
import { check } from '../checks/note.ts'
import type { Source } from '../checks/preflight.ts'
import type { Context } from '../context.ts'
import { retrying } from '../retry.ts'
import { type Activity, readActivity, type Stillness, stillness } from './stillness.ts'

/** Rows written to the tables of a database since its statistics were reset, as the server counts them. */
interface Writes {
  inserted: number
  updated: number
  deleted: number
  activity: Activity
}

const counts = ['inserted', 'updated', 'deleted'] as const

/**
 * Notes how much has been written to each source database, and later says what was written since: rows that are not in the
 * dump. It asks the statistics of user tables (`pg_stat_user_tables`), which count what transactions did, not what the
 * server writes of itself, as vacuum and checkpoints do to the WAL.
 *
 * @returns to be called when the migration is over; notes whether the source stood still, warns and notes a check for each database. A count that cannot be had is a
 *   failed check, too
 */
export async function watchWrites(source: Source, context: Context): Promise<() => Promise<void>> {
  const before = new Map<string, Writes>()
  for (const { source: name } of source.databases)
    before.set(name, await readWrites(source, name, context))
  return async () => {
    const found: Stillness[] = []
    for (const [name, then] of before) {
      try {
        const now = await readWrites(source, name, context)
        const rows = counts
          .map((what) => ({ what, count: now[what] - then[what] }))
          .filter(({ count }) => count !== 0)
        if (rows.some(({ count }) => count < 0)) {
          throw new Error('the server began to count anew meanwhile, as it does after a crash')
        }
        const quiet = rows.length === 0
        found.push(quiet && stillness(then.activity, now.activity))
        const said = rows.map(({ what, count }) => `${counted(count, 'row')} ${what}`).join(', ')
        const message = quiet
          ? `nothing was written to "${name}" after its dump began`
          : `The source database "${name}" was written to after its dump began, and none of that is on the target: ${said}`
        check(
          context,
          'source-writes',
          'warning',
          quiet,
          message,
          'Stop the writes and migrate again',
          [name],
        )
        if (!quiet) context.warn(message)
      } catch (error) {
        if (context.signal.aborted) throw error
        found.push('unknown')
        const message = `Whether "${name}" was written to during the migration could not be found out: ${messageOf(error)}`
        check(
          context,
          'source-writes',
          'warning',
          false,
          message,
          'Make sure that the writes are stopped',
          [name],
        )
        context.warn(message)
      }
    }
    const unsure = found.includes('unknown') ? 'unknown' : true
    context.record.sourceStill(found.includes(false) ? false : unsure)
  }
}

async function readWrites(source: Source, database: string, context: Context): Promise<Writes> {
  const options = { database, readOnly: true, role: 'source', signal: context.signal } as const
  const read = async (client: pg.Client) => {
    const { rows } = await client.query<Record<(typeof counts)[number], string>>(`
      SELECT COALESCE(pg_catalog.sum(n_tup_ins), 0) AS inserted, COALESCE(pg_catalog.sum(n_tup_upd), 0) AS updated,
             COALESCE(pg_catalog.sum(n_tup_del), 0) AS deleted
        FROM pg_catalog.pg_stat_user_tables`)
    const [row] = rows
    return {
      inserted: Number(row?.inserted),
      updated: Number(row?.updated),
      deleted: Number(row?.deleted),
      activity: await readActivity(source.connection, database, 'source', context.signal),
    }
  }
  return await retrying(context, () => withConnection(source.connection, options, read))
}
