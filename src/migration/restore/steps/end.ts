import { messageOf } from '../../../failure.ts'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { goOn } from '../../go-on.ts'
import { applyProperties } from '../database/apply-properties.ts'
import { inMaintenanceDatabase } from '../database/maintenance-database.ts'
import { writeMark } from '../database/mark.ts'
import { newLoaderName } from '../owners/loader.ts'
import type { RunningRestore } from '../running-restore.ts'

/** The database's own properties. */
export async function finish(restore: RunningRestore): Promise<void> {
  restore.refused.push(
    ...(await applyProperties(
      restore.plan,
      restore.options.targetName,
      restore.rights,
      restore.worker,
    )),
  )
  const { loader } = restore.execution
  if (loader) {
    await restore.worker.retrying('the login of the loader', '', (session) =>
      loader.letConnect(session),
    )
  }
  await restore.worker.close()
}

/**
 * Gives what stays with the account to it, and drops the role that loaded. To be called when no code of the database runs
 * any more, and before owners and grants are compared.
 *
 * @throws what ends the run (see explain)
 */
export async function settle(restore: RunningRestore): Promise<void> {
  const { loader } = restore.execution
  if (!loader) return
  await restore.ownership.settle()
  // what was granted while the loader was the owner stands; what the owner himself was left with does not
  await restore.grants.apply(
    restore.select(
      (item) =>
        item.entry.desc === 'ACL' &&
        restore.ownership.settled(item) &&
        !restore.grants.lost.has(item.name),
    ),
  )
  const { marked } = restore.rights
  await restore.worker.retrying('the role that loaded', '', async (session) => {
    await loader.dissolve(session)
    await restore.rights.takeBackGrants(session)
    // a resume makes another one, and finds everything with its owners
    marked.loader = newLoaderName()
    marked.owners = true
    await writeMark(await session.own(), marked)
  })
  restore.execution.loader = null
  await restore.worker.close()
}

/**
 * The rights go back, and the mark comes off, unless a resume has something to try again. What cannot be given back is
 * told: the migration itself is done.
 *
 * @param proven false when something that comes after the restore did not succeed: a resume then goes on with that
 */
export async function release(restore: RunningRestore, proven: boolean): Promise<void> {
  try {
    await settle(restore)
  } catch (error) {
    restore.context.warn(
      `Objects may still belong to the temporary role ${restore.rights.marked.loader ?? ''} (${messageOf(restore.explain(error))}): ${goOn(restore.context)}`,
    )
    await restore.givingBack.giveBack(restore.execution.loader, false)
    return
  }
  const done = proven && restore.failure === undefined && !restore.options.keepMark
  await restore.givingBack.giveBack(restore.execution.loader, done)
}

/** After a failure: what the account has lent itself goes back, the mark stays for a resume. */
export async function giveBackRights(restore: RunningRestore): Promise<void> {
  await restore.worker.close()
  await restore.givingBack.giveBack(restore.execution.loader, false)
}

/** Removes the database that was created for nothing. */
export async function dropAgain(restore: RunningRestore): Promise<void> {
  await restore.worker.close()
  await inMaintenanceDatabase(restore.options, restore.context.signal, (client) =>
    client.query(`DROP DATABASE ${quoteIdentifier(restore.options.targetName)}`),
  )
}
