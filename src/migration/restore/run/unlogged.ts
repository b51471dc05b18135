import { splitStatements } from '../../../postgres/archive/statement.ts'
import type { TemporaryRights } from '../owners/temporary-rights.ts'
import type { RestorePlan } from '../plan/plan.ts'
import type { PlannedEntry } from '../plan/planned-entry.ts'
import { tableOf } from './load.ts'
import type { Login } from './target-session.ts'
import type { Worker } from './worker.ts'

/**
 * Fills unlogged tables again that a crash of the server has emptied after they were loaded, and sets sequences again, which
 * may be unlogged as well (PostgreSQL, CREATE TABLE, UNLOGGED). By now the tables have their triggers: these are off meanwhile.
 *
 * @param loginOf who may load the rows of a table that has its owner
 */
export async function refillUnlogged(
  plan: RestorePlan,
  rights: TemporaryRights,
  worker: Worker,
  loginOf: (item: PlannedEntry) => Login,
): Promise<void> {
  const wanted = plan.entries.filter(({ decision }) => decision.kind !== 'leave-out')
  const unlogged = new Set<string>()
  await worker.retrying('unlogged tables', '', async (session) => {
    const { rows } = await session.query<{ schema: string; name: string }>(`
      SELECT n.nspname AS schema, c.relname AS name
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind = 'r' AND c.relpersistence = 'u'`)
    for (const { schema, name } of rows) unlogged.add(`${schema}\0${name}`)
  })
  const data = wanted.filter(
    ({ entry }) => entry.desc === 'TABLE DATA' && unlogged.has(`${entry.namespace}\0${entry.tag}`),
  )
  for (const item of data) {
    const table = tableOf(item)
    const triggers = triggersOf(item, wanted)
    const asOwner = async (what: string, sql: string) =>
      worker.retrying(what, sql, async (session) => rights.as(session, item.entry.owner, sql, item))
    if (triggers.length > 0) {
      await asOwner(item.name, `ALTER TABLE ${table} DISABLE TRIGGER USER`)
    }
    await worker.loadAgain(item, loginOf(item))
    if (triggers.length > 0) {
      // as the archive has them: on, unless it says otherwise
      const states = triggers.flatMap((trigger) =>
        splitStatements(trigger.entry.definition).slice(1),
      )
      await asOwner(item.name, [`ALTER TABLE ${table} ENABLE TRIGGER USER;`, ...states].join('\n'))
    }
  }
  for (const item of wanted.filter(({ entry }) => entry.desc === 'SEQUENCE SET')) {
    await worker.retrying(item.name, item.entry.definition, async (session) =>
      rights.as(session, item.entry.owner, item.entry.definition, item),
    )
  }
}

/** The triggers of the table that a data entry fills, which may be defined in another archive. */
function triggersOf(
  { entry: data }: PlannedEntry,
  wanted: readonly PlannedEntry[],
): PlannedEntry[] {
  const table = wanted.find(
    ({ entry }) =>
      entry.desc === 'TABLE' && entry.namespace === data.namespace && entry.tag === data.tag,
  )
  return wanted.filter(
    ({ archive, entry }) =>
      archive === table?.archive &&
      entry.desc === 'TRIGGER' &&
      entry.dependencies.includes(table.entry.dumpId),
  )
}
