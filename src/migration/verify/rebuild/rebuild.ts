import { Cancelled, Failure, messageOf } from '../../../failure.ts'
import { type Archive, readArchive } from '../../../postgres/archive/archive.ts'
import { withRoleNames } from '../../../postgres/archive/roles.ts'
import type { ConnectionParameters } from '../../../postgres/connection-string.ts'
import { sqlstateOf } from '../../../postgres/errors.ts'
import { type RoleNames, sameRoleNames } from '../../../postgres/roles/role-names.ts'
import { counted } from '../../../text/numbers.ts'
import type { Context } from '../../context.ts'
import { inMaintenanceDatabase } from '../../restore/database/maintenance-database.ts'
import type { DatabaseProperties } from '../../restore/database/properties.ts'
import { withScratchDatabase } from '../../restore/database/scratch.ts'
import { makePlan, type RestorePlan } from '../../restore/plan/plan.ts'
import { readTargetFacts, type TargetFacts } from '../../restore/plan/target-facts.ts'
import { sessionPrefix, TargetSession } from '../../restore/run/target-session.ts'
import type { Decisions, OpenDefinition } from '../catalog/definition.ts'
import type { CatalogFingerprint } from '../catalog/model.ts'
import { type MayAlter, withSession } from '../read-session.ts'
import { selectEntries } from './entries.ts'
import { insideTarget } from './inside.ts'
import { dropBuilders, withBuilder } from './place.ts'
import { Rebuilt } from './rebuilt.ts'
import { readTexts, Work } from './work.ts'

/** The dump's own schema, for a rebuild. */
export interface SchemaSource {
  /** The source database, as it was at the dump. */
  properties: DatabaseProperties
  /** Directories that `pg_dump -Fd` wrote, with or without rows; asked for only when something differs. */
  archives(): Promise<string[]>
}

export interface RebuildOptions {
  connection: ConnectionParameters
  /** The database on the target that is being verified. */
  database: string
  schema: SchemaSource
  open: readonly OpenDefinition[]
  /** What the source's roles are called on the target, as its fingerprint was read. Default the same. */
  roleNames?: RoleNames | undefined
  /** Both texts of what differs are wanted for the report. */
  showDefinitions: boolean
  /** Whether the database itself may serve for it, in a transaction that is rolled back, where no other can be created. */
  mayAlter?: MayAlter
}

/**
 * Decides about definitions that are printed otherwise on the target than they were on the source, by an independent
 * rebuild: the dump's own schema, as far as they need it, is restored into a throw-away database on the target, and what
 * the server prints there is held against what it prints of the target. The same statements on the same server print the
 * same, so a definition that still differs is another one. No rows are restored, no owners, no grants, nothing that acts
 * (event triggers, subscriptions, servers).
 *
 * @returns the decisions; what could not be rebuilt is undecided, with the reason
 * @throws Cancelled; never because a rebuild failed
 */
export async function rebuildDefinitions(
  options: RebuildOptions,
  context: Context,
): Promise<Decisions> {
  const rebuilt = new Rebuilt(options.open)
  try {
    await rebuild(options, rebuilt, context)
  } catch (error) {
    if (error instanceof Cancelled || context.signal.aborted) throw new Cancelled()
    if (!(error instanceof Failure) && sqlstateOf(error) === undefined) throw error
    rebuilt.refuse(error instanceof Failure ? `${error.message}: ${error.why}` : messageOf(error))
  }
  if (options.showDefinitions) await readTarget(options, rebuilt, context)
  return rebuilt
}

async function rebuild(options: RebuildOptions, rebuilt: Rebuilt, context: Context): Promise<void> {
  const archives = []
  const { roleNames = sameRoleNames } = options
  for (const directory of await options.schema.archives())
    archives.push(withRoleNames(await readArchive(directory), roleNames))
  const began = performance.now()
  let entries: number
  try {
    entries = await rebuildBeside(options, archives, rebuilt, context)
  } catch (error) {
    if (!(error instanceof NotCreated) || context.signal.aborted) throw error
    entries = await rebuildInside(options, archives, rebuilt, context).catch((inside: unknown) => {
      if (!(inside instanceof Failure) || context.signal.aborted) throw inside
      throw new Failure(error.message, `${error.why}; ${inside.message}: ${inside.why}`, '')
    })
  }
  const { database, open } = options
  context.log.info(
    `${database}: ${counted(open.length, 'definition')} printed differently, decided by rebuilding ${counted(entries, 'entry', 'entries')} of the dump's schema in ${((performance.now() - began) / 1000).toFixed(1)} s`,
  )
}

/** No throw-away database can be had. */
class NotCreated extends Failure {}

/** In a throw-away database. */
async function rebuildBeside(
  options: RebuildOptions,
  archives: Archive[],
  rebuilt: Rebuilt,
  context: Context,
): Promise<number> {
  const { connection, database, schema, roleNames } = options
  const place = { target: connection, targetName: database }
  const facts = await inMaintenanceDatabase(place, context.signal, (client) =>
    readTargetFacts(client, { databaseExists: false, labelProviders: [] }),
  )
  const plan = planOf(archives, facts, schema)
  const was = { created: false }
  const roles: string[] = []
  try {
    return await withScratchDatabase(
      connection,
      database,
      schema.properties,
      context,
      async (scratch) => {
        was.created = true
        const rebuilding = { target: connection, targetName: scratch }
        const account = await TargetSession.open(
          rebuilding,
          `${sessionPrefix}rebuild`,
          context.signal,
        )
        const read = () =>
          withSession({ connection, database: scratch, role: 'target' }, context.signal, (client) =>
            readTexts(client, roleNames),
          )
        try {
          return await withBuilder(connection, scratch, facts, context, roles, (builder) => {
            const work = new Work({ plan, account, builder, transaction: false }, context)
            return decide(options, plan, work, read, rebuilt)
          })
        } finally {
          await account.close()
        }
      },
    )
  } catch (error) {
    if (was.created || !(error instanceof Failure)) throw error
    throw new NotCreated(error.message, error.why, error.remedy, { cause: error })
  } finally {
    await dropBuilders(connection, database, roles, context)
  }
}

/** In a transaction in the database itself. */
async function rebuildInside(
  options: RebuildOptions,
  archives: Archive[],
  rebuilt: Rebuilt,
  context: Context,
): Promise<number> {
  const { connection, database, schema, mayAlter = false, roleNames } = options
  const entries = archives.flatMap((archive) => archive.entries)
  const schemas = new Set(entries.map(({ namespace }) => namespace).filter(Boolean))
  return insideTarget(connection, database, schemas, mayAlter, roleNames, context, (inside) => {
    const plan = planOf(archives, inside.facts, schema)
    const { session: account, read } = inside
    const work = new Work({ plan, account, builder: null, transaction: true }, context)
    return decide(options, plan, work, read, rebuilt)
  })
}

/** Where nothing is restored, nothing is lost; and the target's tablespaces say nothing of a definition. */
function planOf(archives: Archive[], facts: TargetFacts, schema: SchemaSource): RestorePlan {
  const options = { database: schema.properties, allowMissing: ['*'], wanted: null }
  return makePlan(archives, { ...facts, tablespaces: new Set() }, options)
}

/** Rebuilds what is needed, and reads it; what is not equal then may have needed more than its dependencies tell. */
async function decide(
  { open }: RebuildOptions,
  plan: RestorePlan,
  work: Work,
  read: () => Promise<CatalogFingerprint>,
  rebuilt: Rebuilt,
): Promise<number> {
  const { own, first, rest } = selectEntries(plan.entries, open)
  await work.build(first)
  rebuilt.take(await read(), own, work.failures)
  if (rebuilt.isFinal()) return first.length
  await work.build([...rest, ...first.filter(work.hasFailed)])
  rebuilt.take(await read(), own, work.failures)
  return first.length + rest.length
}

async function readTarget(
  { connection, database, roleNames }: RebuildOptions,
  rebuilt: Rebuilt,
  context: Context,
): Promise<void> {
  if (!rebuilt.hasDifferences()) return
  try {
    const place = { connection, database, role: 'target' } as const
    rebuilt.showTarget(
      await withSession(place, context.signal, (client) => readTexts(client, roleNames)),
    )
  } catch (error) {
    if (error instanceof Cancelled || context.signal.aborted) throw new Cancelled()
    if (!(error instanceof Failure) && sqlstateOf(error) === undefined) throw error
    // that they differ is known; how is a help, not the verdict
    context.warn(
      `${database}: both sides of the definitions that differ cannot be shown: ${messageOf(error)}`,
    )
  }
}
