import { withConnection } from '../../postgres/connection.ts'
import { printable } from '../../text/text.ts'
import { existingObjects } from '../restore/database/existing-objects.ts'
import { databaseExists } from '../restore/database/maintenance-database.ts'
import type { PlannedRestore } from '../restore/plan-everything.ts'
import { retrying } from '../retry.ts'
import type { Run } from '../run.ts'

/**
 * Why nothing is restored before the dump is complete: what is dropped or gone on with is not touched while it is not sure that
 * there will be a dump. Whether a database is large enough for it, the dump says by itself.
 *
 * @param planned what is to be restored, as decided before the dump
 * @returns undefined where the restore may begin while the dump goes on
 */
export async function whyAfterDump(
  { target, databases }: PlannedRestore,
  run: Run,
): Promise<string | undefined> {
  const { ifTargetNotEmpty } = run.inputs
  if (ifTargetNotEmpty === 'replace')
    return 'if-target-not-empty: replace drops nothing before there is a dump to take its place'
  if (ifTargetNotEmpty !== 'resume') return undefined
  for (const { options } of databases) {
    const { targetName: database } = options
    const objects = await retrying(run, async () => {
      if (!(await databaseExists(options, run.signal))) return []
      const where = { database, role: 'target', readOnly: true, signal: run.signal } as const
      return await withConnection(target, where, (client) => existingObjects(client))
    })
    if (objects.length > 0)
      return `${printable(database)} is not empty, and is gone on with, as if-target-not-empty: resume says`
  }
  return undefined
}
