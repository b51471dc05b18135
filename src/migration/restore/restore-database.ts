import type pg from 'pg'
import { Cancelled, Failure } from '../../failure.ts'
import { type Archive, readArchive } from '../../postgres/archive/archive.ts'
import { refuseInserts } from '../../postgres/archive/check.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { qualifiedName } from '../../postgres/identifiers.ts'
import { runProgram } from '../../postgres/programs/process.ts'
import { programEnvironment, programPath } from '../../postgres/programs/programs.ts'
import type { ChecklistItem, RestoreResult } from '../../report/model.ts'
import type { Context } from '../context.ts'
import { refuseUnaccepted } from '../losses.ts'
import { retrying } from '../retry.ts'
import type { PlannedRoles } from '../roles/weigh.ts'
import type { AnnouncedEntry } from '../verify/compare/announced.ts'
import { refusedCollations } from './database/locales.ts'
import { dumpIdentity } from './database/mark.ts'
import { databaseExists, elsewhere } from './database/outside.ts'
import { cannotResume, checkLocale, prepareDatabase } from './database/prepare.ts'
import type { DatabaseProperties } from './database/properties.ts'
import { refusedSettings } from './database/settings.ts'
import type { RestoreOptions } from './options.ts'
import type { KeptOwner } from './owners/ownership.ts'
import { lossesOnDatabase } from './plan/losses-on-database.ts'
import { labelProvider } from './plan/needed-roles.ts'
import { makePlan, type RestorePlan } from './plan/plan.ts'
import { announce } from './plan/planned-entry.ts'
import { readTargetFacts, type TargetFacts } from './plan/target-facts.ts'
import { tableOf } from './run/load.ts'
import { PlanRefused, refuseLosses, Stages } from './stages.ts'

export interface Restored {
  result: RestoreResult
  /** What the comparison is to expect of what was left out or changed. */
  announced: AnnouncedEntry[]
  /** What is to be done at the cutover. */
  checklist: ChecklistItem[]
  /** Roles of the source whose objects belong to the account now, with the reason. Null where an earlier run restored. */
  owners: KeptOwner[] | null
  /**
   * What ends the run once everything else is done: entries that the target refused, none of them rows, which a resume tries
   * again. Undefined when nothing failed.
   */
  failure: Failure | undefined
  /** How the role connects that statistics are collected as, since code of the database runs then. Null for the account. */
  analyzeAs: ConnectionParameters | null
  /**
   * Gives the account what belongs to no other role, and drops the role that loaded: before owners and grants are compared.
   * `release` does it otherwise.
   *
   * @throws Failure; Cancelled
   */
  settle(): Promise<void>
  /**
   * Ends the memberships by which the account may still read and analyze what it gave away, and takes the mark off the
   * database. To be called once that is no longer needed, whatever came of it; the next run does so otherwise. It never
   * throws: what could not be given back is a warning.
   *
   * @param proven false leaves the mark: a resume then goes on with what comes after the restore
   */
  release(proven?: boolean): Promise<void>
}

/**
 * Reads the archives, asks the target, and decides about every entry. Changes nothing.
 *
 * @param plannedRoles roles that the target will have when the plan is carried out
 * @throws Failure when an archive cannot be used, the target cannot be asked, or the plan would lose rows or behaviour
 *   that `allowMissing` does not give up: with the whole list
 */
export async function planRestore(
  options: RestoreOptions,
  context: Context,
  plannedRoles: PlannedRoles = new Map(),
): Promise<RestorePlan> {
  const archives: Archive[] = []
  for (const directory of options.archives) archives.push(await readArchive(directory))
  if (!options.proven) for (const { entries } of archives) refuseInserts(entries)
  const asked = await retrying(context, () => askTarget(options, archives, context))
  const facts = { ...asked, roles: new Map([...asked.roles, ...plannedRoles]) }
  const plan = makePlan(archives, facts, {
    database: options.database,
    allowMissing: options.allowMissing,
    expectedRows: options.expectedRows,
    wanted: await wantedEntries(options, archives, context),
  })
  refuseLosses(plan, context)
  refuseUnaccepted(
    lossesOnDatabase(facts, options.database),
    options.allowMissing,
    `the database "${options.database.name}"`,
    context,
  )
  for (const warning of plan.warnings) context.warn(warning)
  return plan
}

/**
 * What a restore of these archives would leave out of the database as the target is now, for a comparison on another day.
 *
 * @throws Failure when the target cannot be asked; Cancelled
 */
export async function planAgain(
  options: Pick<RestoreOptions, 'target' | 'targetName' | 'database' | 'allowMissing'>,
  directories: readonly string[],
  context: Context,
): Promise<RestorePlan> {
  const archives: Archive[] = []
  for (const directory of directories) archives.push(await readArchive(directory))
  const { target, targetName, database, allowMissing } = options
  const facts = await retrying(context, () =>
    withConnection(
      target,
      { database: targetName, role: 'target', signal: context.signal },
      (client) => factsFor(client, archives, database, true),
    ),
  )
  return makePlan(archives, facts, { database, allowMissing, wanted: null })
}

async function askTarget(
  options: RestoreOptions,
  archives: readonly Archive[],
  context: Context,
): Promise<TargetFacts> {
  const { database, targetName, createDatabase } = options
  const exists = await databaseExists(options, context.signal)
  // what replace drops says nothing about the database that takes its place
  if (!exists || (options.ifNotEmpty === 'replace' && !options.inPlace)) {
    return elsewhere(options, context.signal, async (client) => {
      if (createDatabase) await checkLocale(client, targetName, database)
      return await factsFor(client, archives, database, false)
    })
  }
  return withConnection(
    options.target,
    { database: targetName, role: 'target', signal: context.signal },
    (client) => factsFor(client, archives, database, true),
  )
}

async function factsFor(
  client: pg.Client,
  archives: readonly Archive[],
  database: DatabaseProperties,
  databaseExists: boolean,
): Promise<TargetFacts> {
  const labelProviders = new Set<string>()
  for (const { entries } of archives) {
    for (const entry of entries) {
      const provider = entry.desc === 'SECURITY LABEL' ? labelProvider(entry.definition) : null
      if (provider !== null) labelProviders.add(provider)
    }
  }
  const facts = await readTargetFacts(client, { databaseExists, labelProviders })
  return {
    ...facts,
    refusedSettings: await refusedSettings(client, database.settings),
    refusedCollations: await refusedCollations(client, archives, database.encoding),
  }
}

/** Which entries the user's own options leave: pg_restore itself says so by its list. Null without such options. */
async function wantedEntries(
  options: RestoreOptions,
  archives: readonly Archive[],
  context: Context,
): Promise<Map<Archive, Set<number>> | null> {
  if (options.extraOptions.length === 0) return null
  const wanted = new Map<Archive, Set<number>>()
  for (const archive of archives) {
    const ids = new Set<number>()
    let text = ''
    const result = await runProgram(
      programPath(options.client, 'pg_restore'),
      ['--list', '--format=directory', ...options.extraOptions, archive.directory],
      {
        env: programEnvironment('/dev/null', options.client.libraryPath),
        signal: context.signal,
        onOutput: (chunk) => {
          text += chunk.toString('latin1')
        },
      },
    )
    if (result.code !== 0) {
      throw new Failure(
        'pg_restore does not accept the restore-options',
        result.stderr.trim().split('\n')[0] ?? `it ended with ${result.code}`,
        'Correct restore-options',
      )
    }
    const known = new Set(archive.entries.map((entry) => entry.dumpId))
    for (const [, id] of text.matchAll(/^(\d+); \d+ \d+ /gm)) {
      if (known.has(Number(id))) ids.add(Number(id))
    }
    wanted.set(archive, ids)
  }
  return wanted
}

/**
 * Carries a plan out: creates the database, restores every entry that the plan restores, gives objects back to their owners,
 * applies grants, and sets the database's own properties.
 *
 * @returns what was restored and what was not; `result` is put together on failure, too, and handed to `onResult`
 * @throws Failure at the first error that no retry can mend; what is restored stays for `resume`. Cancelled
 */
export async function restoreDatabase(
  options: RestoreOptions,
  plan: RestorePlan,
  context: Context,
  onResult: (result: RestoreResult) => void = () => {},
): Promise<Restored> {
  const dump = await dumpIdentity(options.archives)
  const { standing, created } = await prepareDatabase(options, dump, context)
  const restore = new Stages(options, plan, context, dump, standing !== 'empty')
  if (standing === 'complete') {
    const done = await restoredBefore(options, plan, context, restore)
    onResult(done.result)
    return done
  }
  try {
    await restore.begin()
    try {
      await restore.createExtensions()
    } catch (error) {
      // nothing but extensions is in it, and no second run has to wonder why it is there
      if (created && error instanceof PlanRefused) await restore.dropAgain()
      throw error
    }
    await restore.entries()
    await restore.finish()
    return {
      get result() {
        return restore.result()
      },
      get announced() {
        return restore.announced()
      },
      checklist: restore.checklist(),
      owners: [...restore.ownership.kept.values()],
      get failure() {
        return restore.failure
      },
      analyzeAs: restore.analyzeAs,
      settle: async () => {
        try {
          await restore.settle()
        } catch (error) {
          if (context.signal.aborted) throw new Cancelled()
          throw restore.explain(error)
        } finally {
          onResult(restore.result())
        }
      },
      release: (proven = true) => restore.release(proven),
    }
  } catch (error) {
    await restore.giveBackRights()
    if (context.signal.aborted) throw new Cancelled()
    throw restore.explain(error)
  } finally {
    onResult(restore.result())
  }
}

/**
 * What a resume finds that has nothing to go on with: the restore came to its end, and its mark is off. Nothing of it is
 * touched, since the database may be in use by now; whether it is what the dump holds, the verification says.
 *
 * @throws Failure when it lacks a table of the dump: then it is something else
 */
async function restoredBefore(
  options: RestoreOptions,
  plan: RestorePlan,
  context: Context,
  stages: Stages,
): Promise<Restored> {
  const there = await retrying(context, () =>
    withConnection(
      options.target,
      { database: options.targetName, role: 'target', readOnly: true, signal: context.signal },
      async (client) => {
        const { rows } = await client.query<{ schema: string; name: string }>(
          `SELECT n.nspname AS schema, c.relname AS name
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::pg_catalog."char"[])`,
        )
        return new Set(rows.map(({ schema, name }) => qualifiedName(schema, name)))
      },
    ),
  )
  const tables = plan.entries.filter(
    ({ entry, fate }) => entry.desc === 'TABLE' && fate.kind !== 'leave-out',
  )
  if (tables.length === 0 || !tables.every((table) => there.has(tableOf(table)))) {
    throw cannotResume(
      options.targetName,
      'Nothing in it says that a restore was interrupted: the mark that a restore leaves until it is done is missing, and so are tables of the dump',
    )
  }
  context.log.info(
    `The database ${options.targetName} was restored by an earlier run: nothing is restored again`,
  )
  const skipped = plan.entries.flatMap(({ name, fate }) =>
    fate.kind === 'restore' ? [] : [{ entry: name, reason: fate.reason }],
  )
  try {
    await stages.lookAgain()
  } catch (error) {
    await stages.giveBackRights()
    throw error
  }
  return {
    result: { entries: plan.entries.length, restored: 0, skipped, failed: [], attempts: 1 },
    announced: announce(skipped, plan.entries),
    checklist: stages.checklist(),
    owners: null,
    failure: undefined,
    analyzeAs: null,
    settle: async () => {},
    // whatever came of it: there is nothing that a resume would go on with
    release: () => stages.release(true),
  }
}
