import { entryName } from '../../../postgres/archive/entry.ts'
import { qualifiedName } from '../../../postgres/identifiers.ts'
import { writeMark } from '../database/mark.ts'
import { makeLoader, NoLoader, withoutLoader } from '../owners/loader.ts'
import { markForAccount } from '../owners/logins.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { correctTables } from '../run/table-defaults.ts'
import type { TargetSession } from '../run/target-session.ts'
import { refillUnlogged } from '../run/unlogged.ts'
import type { RunningRestore } from '../running-restore.ts'
import { receptionOf } from './arrivals.ts'
import { loginOf, refreshViews } from './refresh.ts'

/** Everything that the archives hold, then owners, grants, and what must come after them. */
export async function restoreEntries(restore: RunningRestore): Promise<void> {
  const watch = restore.execution.progress.watch(restore.execution.signal)
  try {
    await restoreAll(restore)
  } finally {
    await watch.end()
  }
}

async function restoreAll(restore: RunningRestore): Promise<void> {
  await useLoader(restore)
  const { loader } = restore.execution
  await restore.worker.drop()
  await restore.execution.inOrder(
    mainEntries(restore).filter(
      ({ entry }) => entry.section === 'pre-data' && !(loader && entry.desc === 'SCHEMA'),
    ),
  )
  restore.refused.push(...(await correctTables(restore.plan, restore.rights, restore.worker)))
  const afterwards = ({ entry }: PlannedEntry) => entry.section !== 'pre-data'
  // what failed and was given up by name has taken its rows, indexes and owner along
  const later = mainEntries(restore).filter(afterwards)
  await emptyLeftOut(restore, later)
  await restore.execution.inParallel(
    later,
    receptionOf(restore, (item) => isMain(item) && afterwards(item)),
  )
  if (loader) await noteOwners(restore)
  await restore.ownership.giveBack([...mainEntries(restore), ...restore.plan.publicSchemas])
  if (loader) {
    const owners = restore.plan.entries.map(({ entry }) => entry.owner).filter(Boolean)
    await restore.worker.retrying('the loader and the owners', '', (session) =>
      loader.join(session, owners),
    )
  }
  const grants = restore.select(({ entry }) => /^(ACL|DEFAULT ACL)$/.test(entry.desc))
  await restore.grants.apply(grants)
  restore.later += grants.length - restore.grants.lost.size
  await refreshViews(restore)
  await refill(restore)
  // they would act on every statement of the restore
  const eventTriggers = restore.select(
    ({ entry }) => entry.desc === 'EVENT TRIGGER' || ofEventTrigger(entry.desc, entry.tag),
  )
  await restore.execution.inOrder(eventTriggers, 'to the end')
  await restore.ownership.giveBack(eventTriggers)
  await refill(restore)
}

/** What an interrupted run may have loaded in part, and what is not loaded any more, holds nothing. */
async function emptyLeftOut(
  restore: RunningRestore,
  items: readonly PlannedEntry[],
): Promise<void> {
  const { ledger, loader } = restore.execution
  const loaded = items.filter(({ entry }) => entry.desc === 'TABLE DATA')
  for (const table of ledger?.tables ?? []) {
    const { schema, name } = table
    if (loaded.some(({ entry }) => entry.namespace === schema && entry.tag === name)) continue
    const work = async (session: TargetSession) => {
      const { rowCount } = await session.query(
        `SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'r'`,
        [schema, name],
      )
      if (rowCount) await session.query(`TRUNCATE ONLY ${qualifiedName(schema, name)}`)
    }
    const entry = entryName({ desc: 'TABLE DATA', namespace: schema, tag: name })
    await restore.worker.retrying(entry, '', work, loader ? 'loader' : 'account')
    await ledger?.leave(table)
  }
}

/** From here on a resume finds objects with their owners. */
async function noteOwners(restore: RunningRestore): Promise<void> {
  restore.rights.marked.owners = true
  await restore.worker.retrying('the mark of the restore', '', async (session) =>
    writeMark(await session.own(), restore.rights.marked),
  )
}

/** Whenever something was interrupted since the last time, the server may have crashed. */
async function refill(restore: RunningRestore): Promise<void> {
  while (restore.refilledAt < restore.execution.attempts) {
    restore.refilledAt = restore.execution.attempts
    await refillUnlogged(restore.plan, restore.rights, restore.worker, (item) =>
      loginOf(restore, item),
    )
  }
}

/** The role that owns what is restored from here on, and loads it: see Loader. */
async function useLoader(restore: RunningRestore): Promise<void> {
  const { execution, rights, options, context, worker } = restore
  markForAccount(restore.plan)
  const loader = await makeLoader(worker, restore.plan, options, rights, context)
  if (!loader) return
  // schemas first, by the account: it takes CREATE on the database to make one, and nothing of the archives runs
  await execution.inOrder(
    restore.select(({ entry }) => entry.desc === 'SCHEMA' && entry.section === 'pre-data'),
  )
  let refused: string | undefined
  await worker.retrying('what the loader needs', '', async (session) => {
    refused = await loader.lend(session)
    if (refused === undefined) return
    await loader.dissolve(session)
    if (!options.needsLoader) await withoutLoader(session, refused, rights, context)
  })
  if (refused !== undefined && options.needsLoader) throw new NoLoader(refused)
  if (refused !== undefined) return
  execution.loader = loader
  restore.plan.loader = loader.name
  if (restore.resuming && rights.marked.owners)
    await restore.ownership.takeBack(loader.name, mainEntries(restore))
}

/** What the archives hold but what comes last. */
function mainEntries(restore: RunningRestore): PlannedEntry[] {
  return restore.select(isMain)
}

function isMain({ entry }: PlannedEntry): boolean {
  return (
    !/^(ACL|DEFAULT ACL|EXTENSION|EVENT TRIGGER|MATERIALIZED VIEW DATA)$/.test(entry.desc) &&
    !ofEventTrigger(entry.desc, entry.tag)
  )
}

function ofEventTrigger(desc: string, tag: string): boolean {
  return desc === 'COMMENT' && tag.startsWith('EVENT TRIGGER ')
}
