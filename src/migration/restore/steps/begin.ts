import type pg from 'pg'
import { quoteIdentifier } from '../../../postgres/identifiers.ts'
import { borneOut, markSchema, notOurs, readMark, writeMark } from '../database/mark.ts'
import type { RestoreOptions } from '../options.ts'
import { EntryFailed } from '../run/patient-session.ts'
import { endSessions, sessionPrefix } from '../run/target-session.ts'
import type { RunningRestore } from '../running-restore.ts'

/** Marks the database, and takes over what an interrupted restore left: its sessions and its rights. */
export async function begin(restore: RunningRestore): Promise<void> {
  await restore.worker.retrying('the mark of the restore', '', async (session) => {
    const client = await session.own()
    const mark = await readMark(client)
    if (mark && !mark.ours) throw notOurs(mark)
    const left = mark?.state
    if (mark && !left) {
      restore.context.warn(
        `The comment of the schema "${markSchema}" in the target database "${restore.options.targetName}" is none of ours: rights that the account has lent itself in an earlier run cannot be found from it`,
      )
    }
    if (left) {
      await endSessions(client, `${sessionPrefix}%`, restore.execution.signal, left.loader)
      const { marked } = restore.rights
      // which dump it is, this run says; what is to be given back, the server must bear out
      const { dump, ...given } = await borneOut(client, left, restore.plan.facts.target.major)
      Object.assign(marked, given)
    }
    await writeMark(client, restore.rights.marked)
    await unlimit(client, restore.options)
  })
  if (restore.resuming) await becomeOwners(restore)
}

/** Takes away the limit by which the database was known before it had its mark. */
async function unlimit(
  client: pg.Client,
  { targetName, createdLimit }: RestoreOptions,
): Promise<void> {
  if (createdLimit === undefined) return
  const { rowCount } = await client.query(
    'SELECT 1 FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) $1 AND datconnlimit OPERATOR(pg_catalog.=) $2',
    [targetName, createdLimit],
  )
  if (rowCount)
    await client.query(`ALTER DATABASE ${quoteIdentifier(targetName)} CONNECTION LIMIT -1`)
}

async function becomeOwners(restore: RunningRestore): Promise<void> {
  // objects that were given away already can only be worked on as their owners
  const owners = restore.plan.entries.map(({ entry }) => entry.owner)
  for (const role of new Set([...owners, restore.plan.database.owner].filter(Boolean))) {
    await restore.worker.retrying(`membership in ${role}`, '', async (session) => {
      await restore.rights.become(session, role)
    })
  }
}

/**
 * Lends the account again what it needs to read a database that an earlier run has restored to its end. What cannot be lent
 * shows in the verification.
 */
export async function lookAgain(restore: RunningRestore): Promise<void> {
  const { marked } = restore.rights
  marked.complete = true
  marked.loader = null
  const { owner } = restore.plan.database
  try {
    await restore.worker.retrying('the mark of the restore', '', async (session) => {
      const client = await session.own()
      const mark = await readMark(client)
      if (mark && !mark.ours) throw notOurs(mark)
      if (mark?.state) {
        const { memberships } = await borneOut(client, mark.state, restore.plan.facts.target.major)
        marked.memberships = memberships
      }
      await restore.rights.markAs(session, owner)
    })
    await becomeOwners(restore)
  } catch (error) {
    if (!(error instanceof EntryFailed) || error.stops) throw restore.explain(error)
    // it was no entry of the archive, and what comes of it the verification says
    const [told] = restore.execution.failed.splice(0)
    restore.context.log.warning(
      `The account reads with its own rights alone: ${told?.reason ?? ''}`,
    )
  } finally {
    await restore.worker.close()
  }
}
