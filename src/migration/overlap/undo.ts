import { Failure } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import { printable } from '../../text/text.ts'
import type { Context } from '../context.ts'
import { dropOwnDatabase } from '../restore/database/drop.ts'
import { emptyDatabase } from '../restore/database/empty.ts'
import { type ExistingDatabase, readExisting } from '../restore/database/standing.ts'
import type { RestoreOptions } from '../restore/options.ts'
import { retrying } from '../retry.ts'

/**
 * Removes what a restore has made of a dump that there will not be: a database that it created is dropped, one that was there,
 * empty, is emptied again. What does not carry the mark of this dump is left alone.
 *
 * @param dump identifies the dump (see dumpIdentity)
 * @param created the restore has created the database
 * @throws Failure when something cannot be removed; Cancelled
 */
export async function undoRestore(
  options: Pick<RestoreOptions, 'target' | 'targetName'>,
  dump: string,
  created: boolean,
  context: Context,
): Promise<void> {
  const name = printable(options.targetName)
  await retrying(context, async () => {
    const existing = await look(options, context)
    if (!existing) return
    const { mark, objects } = existing
    const isMarked = mark?.ours === true && mark.state?.dump === dump
    // it was stopped before it wrote its mark
    const isNew = created && mark === null && objects.length === 0
    if (created && (isMarked || isNew)) {
      await dropOwnDatabase(options, context)
      context.log.info(`Dropped ${name}, which this run had created`)
    } else if (isMarked) {
      await emptyDatabase(options, context, async () => {})
      context.log.info(`Emptied ${name} again, which was empty before this run`)
    }
  })
}

/** @returns undefined where the database is not there */
async function look(
  { target, targetName }: Pick<RestoreOptions, 'target' | 'targetName'>,
  context: Context,
): Promise<ExistingDatabase | undefined> {
  const options = { database: targetName, role: 'target', signal: context.signal } as const
  try {
    return await withConnection(target, options, readExisting)
  } catch (error) {
    if (error instanceof Failure && error.sqlstate === '3D000') return undefined
    throw error
  }
}
