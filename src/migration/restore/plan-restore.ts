import type pg from 'pg'
import { Failure } from '../../failure.ts'
import { type Archive, readArchive } from '../../postgres/archive/archive.ts'
import { checkRoots, refuseInserts } from '../../postgres/archive/check.ts'
import { withRoleNames } from '../../postgres/archive/roles.ts'
import { withConnection } from '../../postgres/connection.ts'
import { runProgram } from '../../postgres/programs/process.ts'
import { programEnvironment, programPath } from '../../postgres/programs/programs.ts'
import { sameRoleNames } from '../../postgres/roles/role-names.ts'
import type { Context } from '../context.ts'
import { refuseUnaccepted } from '../losses.ts'
import { retrying } from '../retry.ts'
import type { PlannedRoles } from '../roles/weigh.ts'
import { refusedCollations } from './database/locales.ts'
import { databaseExists, inMaintenanceDatabase } from './database/maintenance-database.ts'
import { checkLocale } from './database/prepare.ts'
import type { DatabaseProperties } from './database/properties.ts'
import { refusedSettings } from './database/settings.ts'
import type { RestoreOptions } from './options.ts'
import { lossesOnDatabase } from './plan/losses-on-database.ts'
import { labelProvider } from './plan/needed-roles.ts'
import { lossesOf, makePlan, type RestorePlan } from './plan/plan.ts'
import { readTargetFacts, type TargetFacts } from './plan/target-facts.ts'

/**
 * What is accepted goes into the report's losses, everything else ends the run.
 *
 * @throws Failure with the whole list of what the target cannot take, each with its remedy
 */
export function refuseLosses(plan: RestorePlan, context: Context): void {
  const { name } = plan.database
  context.record.acceptedLosses(lossesOf(plan.accepted, name))
  refuseUnaccepted(lossesOf(plan.losing, name), [], `the database "${name}"`, context)
}

/** The target refused an extension that must not be missing. */
export class PlanRefused extends Error {
  override readonly name = 'PlanRefused'
  readonly failure: Failure

  constructor(failure: Failure) {
    super(failure.message)
    this.failure = failure
  }
}

/**
 * Reads the archives, asks the target, and decides about every entry. Changes nothing.
 *
 * @param plannedRoles roles that the target will have when the plan is carried out
 * @param read one of the archives, where it was read already
 * @throws Failure when an archive cannot be used, the target cannot be asked, or the plan would lose rows or behaviour
 *   that `allowMissing` does not give up: with the whole list
 */
export async function planRestore(
  options: RestoreOptions,
  context: Context,
  plannedRoles: PlannedRoles = new Map(),
  read?: Archive,
): Promise<RestorePlan> {
  const archives: Archive[] = []
  for (const directory of options.archives) {
    const known = read?.directory === directory ? read : undefined
    archives.push(await openArchive(directory, options, known))
  }
  checkRoots(archives)
  const asked = await retrying(context, () => askTarget(options, archives, context))
  const facts = { ...asked, roles: new Map([...asked.roles, ...plannedRoles]) }
  const plan = makePlan(archives, facts, {
    database: options.database,
    allowMissing: options.allowMissing,
    expectedRows: options.expectedRows,
    roleNames: options.roleNames,
    isRehearsal: options.isRehearsal,
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
 * Reads an archive for a restore, with the names that roles have on the target.
 *
 * @param read the same, where it was read already
 * @throws Failure when it cannot be used
 */
export async function openArchive(
  directory: string,
  options: RestoreOptions,
  read?: Archive,
): Promise<Archive> {
  const { roleNames = sameRoleNames } = options
  const archive = withRoleNames(read ?? (await readArchive(directory)), roleNames)
  if (!options.proven) refuseInserts(archive.entries)
  return archive
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
    return inMaintenanceDatabase(options, context.signal, async (client) => {
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
  const labelProviders = labelProvidersOf(archives)
  const facts = await readTargetFacts(client, { databaseExists, labelProviders })
  return {
    ...facts,
    refusedSettings: await refusedSettings(client, database.settings),
    refusedCollations: await refusedCollations(client, archives, database.encoding),
  }
}

/** The providers of security labels that archives name. */
export function labelProvidersOf(archives: readonly Archive[]): Set<string> {
  const labels = archives.flatMap(({ entries }) =>
    entries.filter(({ desc }) => desc === 'SECURITY LABEL'),
  )
  const named = labels.map(({ definition }) => labelProvider(definition))
  return new Set(named.filter((provider) => provider !== null))
}

/** Which entries the user's own options leave: pg_restore itself says so by its list. Null without such options. */
export async function wantedEntries(
  options: Pick<RestoreOptions, 'client' | 'extraOptions'>,
  archives: readonly Archive[],
  context: Pick<Context, 'signal'>,
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
