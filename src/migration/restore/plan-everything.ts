import { Cancelled, Failure } from '../../failure.ts'
import { type Archive, readArchive } from '../../postgres/archive/archive.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { type ClientPrograms, writePasswordFile } from '../../postgres/programs/programs.ts'
import type { RoleCatalog } from '../../postgres/roles/catalog.ts'
import type { Loss } from '../../report/model.ts'
import type { Inputs } from '../inputs.ts'
import type { DumpedDatabase } from '../kept/manifest.ts'
import { lossesAmong, refuseUnaccepted } from '../losses.ts'
import { isGivenUp, retrying } from '../retry.ts'
import { requireLogins } from '../roles/logins.ts'
import { requireRoles } from '../roles/preconditions.ts'
import { planRoleRestore } from '../roles/restore-roles.ts'
import type { RoleRestore } from '../roles/role-restore.ts'
import type { PlannedRoles } from '../roles/weigh.ts'
import type { Run } from '../run.ts'
import { mustEmpty } from './database/empty.ts'
import {
  type Destination,
  describe,
  destinationsOf,
  dumpedAs,
  type Refused,
  throwAll,
} from './destinations.ts'
import type { RestoreOptions } from './options.ts'
import { optionsFor } from './options-for.ts'
import { type NeededRole, neededRoles } from './plan/needed-roles.ts'
import type { RestorePlan } from './plan/plan.ts'
import { planRestore } from './plan-restore.ts'
import type { Swap } from './swap/exchange.ts'
import { planSwaps, refusedSwaps } from './swap/swaps.ts'

/** A dump on this runner's disk, just made or checked, and the client programs to restore it with. */
export interface RestorableDump {
  directory: string
  /** Null where no database of it is restored. */
  client: ClientPrograms | null
  databases: DumpedDatabase[]
  /** What of the source it goes without. */
  losses: Loss[]
  /** Null when they are not migrated. `script` is exactly what pg_dumpall wrote. A secret. */
  roles: { script: string; catalog: RoleCatalog } | null
  /** Nobody but this run, or who knows the passphrase, can have written it. */
  proven: boolean
  /** Definitions without rows, to decide from; what is restored is decided about again. */
  isSchema: boolean
  /** Nothing may be made on the target, not for a moment either: no role to log in as. */
  isLookOnly?: boolean
}

/** One database, where it goes and how. */
export interface PlannedDatabase {
  destination: Destination
  options: RestoreOptions
  plan: RestorePlan
}

/** All that is to be restored: decided, and accepted by the user where something is lost. */
export interface PlannedRestore {
  target: ConnectionParameters
  databases: PlannedDatabase[]
  swaps: ReadonlyMap<Destination, Swap>
  /** Null when they are not migrated. */
  roles: RoleRestore | null
  /** Decides about the roles once more, for another way with those that exist. */
  planRoles(existingRoles: Inputs['existingRoles']): Promise<RoleRestore | null>
}

/**
 * Where each database is to go, and the way to the roles: what lasts of what is decided before the dump. The rest, which is as large
 * as the definitions, is decided about again.
 */
export interface PlannedAhead extends Pick<PlannedRestore, 'target' | 'planRoles'> {
  destinations: readonly Destination[]
}

/**
 * Where each database is to go, and the way to the roles: what is held of what was decided before the dump. The rest is as large as the
 * definitions, and is decided about again.
 */
export interface PlannedAhead extends Pick<PlannedRestore, 'target' | 'planRoles'> {
  destinations: readonly Destination[]
}

/** What is to be held of a plan while the dump is made. */
export function plannedAhead({ target, planRoles, databases }: PlannedRestore): PlannedAhead {
  return { target, planRoles, destinations: databases.map(({ destination }) => destination) }
}

/**
 * Decides about everything of a dump before anything is changed: the roles, and every entry of every database. While one of
 * them would lose something that is not accepted, nothing is restored, and all of it is told at once.
 *
 * @throws Failure with everything that is in the way; Cancelled
 */
export async function planEverything(
  dump: RestorableDump,
  target: ConnectionParameters,
  run: Run,
): Promise<PlannedRestore> {
  const { planned, refusals } = await decideEverything(dump, target, run)
  throwAll(refusals, 'cannot be restored')
  return planned
}

/**
 * planEverything() with what is in its way as a list, of each part of the migration.
 *
 * @throws Failure of what keeps it from deciding at all; Cancelled
 */
export async function decideEverything(
  dump: RestorableDump,
  target: ConnectionParameters,
  run: Run,
): Promise<{ planned: PlannedRestore; refusals: Refused[] }> {
  const { inputs } = run
  const destinations = destinationsOf(inputs.databases, dump, run)
  const losses = lossesAmong(dump.losses, destinations, inputs.databases)
  refuseUnaccepted(losses, inputs.allowMissing, 'the source', run)
  const passwordFile = await writePasswordFile(run.temporaryDirectory, 'target', target)
  const swaps = dump.isSchema ? new Map() : await planSwaps(destinations, target, run)
  const restores = destinations.map((destination) => {
    const swap = swaps.get(destination)
    const options = optionsFor(destination, dump, target, passwordFile, run, swap)
    return { destination, options }
  })
  for (const { options } of inputs.ifTargetNotEmpty === 'replace' ? restores : []) {
    options.inPlace = await mustEmpty(options, run)
  }
  const needed: NeededRole[] = []
  // of several, each is read again when its database is decided about: all at once they may not fit into the memory
  const isAlone = destinations.length === 1 && destinations[0]?.archives.length === 1
  let alone: Archive | undefined
  for (const { archives, properties } of destinations) {
    for (const path of archives) {
      const archive = await readArchive(path)
      needed.push(...neededRoles(archive, properties))
      if (isAlone) alone = archive
    }
  }
  const planRoles = (existingRoles: Inputs['existingRoles']) =>
    planTheRoles(dump, { destinations, needed, target, existingRoles }, run)
  // one that cannot be exchanged is told before anything is dumped
  const refusals = dump.isSchema ? await refusedSwaps(destinations, target, run) : []
  let roles: RoleRestore | null = null
  let plannedRoles: PlannedRoles = new Map()
  try {
    // as long as the old databases answer, the roles that use them stay as they are
    roles = await planRoles(swaps.size > 0 ? 'keep' : inputs.existingRoles)
    if (roles) plannedRoles = roles.planned
    if (roles?.refusal) refusals.push({ what: 'the roles', error: roles.refusal })
    await requireLogins(target, plannedRoles.keys(), run)
  } catch (error) {
    if (!(error instanceof Failure) || run.signal.aborted || isGivenUp(error)) throw error
    refusals.push({ what: 'the roles', error })
    // the databases are decided about all the same, as if the roles that they need were there
    plannedRoles = new Map(
      needed.map(({ role }) => [run.roleNames.onTarget(role), { superuser: false }]),
    )
  }
  const databases: PlannedDatabase[] = []
  for (const { destination, options } of restores) {
    try {
      const plan = await planRestore(options, run, plannedRoles, alone)
      databases.push({ destination, options, plan })
    } catch (error) {
      if (error instanceof Cancelled || run.signal.aborted) throw error
      destination.record.failed(describe(error))
      refusals.push({ what: `the database "${destination.source}"`, error })
    }
  }
  return { planned: { target, databases, swaps, roles, planRoles }, refusals }
}

/**
 * Decides about one database by what is there of its dump, when the roles are on the target: see planEverything().
 *
 * @param ahead the same database as it was decided about before the dump
 * @returns with how it is exchanged, where it is built beside the one whose name it is to have
 * @throws Failure with everything that is in the way; Cancelled
 */
export async function planDatabase(
  ahead: Destination,
  dumped: DumpedDatabase,
  dump: Pick<RestorableDump, 'directory' | 'client' | 'proven' | 'isSchema'>,
  { target, roles }: Pick<PlannedRestore, 'target' | 'roles'>,
  run: Run,
): Promise<{ database: PlannedDatabase; swap: Swap | undefined }> {
  const destination = { ...ahead, ...dumpedAs(dumped, dump.directory) }
  const swap = (await planSwaps([destination], target, run)).get(destination)
  const passwordFile = await writePasswordFile(run.temporaryDirectory, 'target', target)
  const options = optionsFor(destination, dump, target, passwordFile, run, swap)
  const plan = await planRestore(options, run, roles?.planned)
  return { database: { destination, options, plan }, swap }
}

async function planTheRoles(
  dump: RestorableDump,
  chosen: {
    destinations: readonly Destination[]
    needed: readonly NeededRole[]
    target: ConnectionParameters
    existingRoles: Inputs['existingRoles']
  },
  run: Run,
): Promise<RoleRestore | null> {
  const { inputs } = run
  const { destinations, needed, target, existingRoles } = chosen
  if (inputs.roles === 'only' && !dump.roles)
    throw new Failure(
      'The dump holds no roles',
      'roles is only, and the dump was made with roles: skip',
      'Restore a dump that was made with roles: only or migrate',
    )
  if (inputs.roles === 'skip' || !dump.roles) {
    if (destinations.length === 0)
      throw new Failure(
        'There is nothing to restore',
        'The dump holds the roles alone, and roles is skip',
        'Leave roles out, or name the dump that holds the databases',
      )
    const options = { role: 'target', readOnly: true, signal: run.signal } as const
    await retrying(run, () =>
      withConnection(target, options, (client) => requireRoles(client, needed)),
    )
    return null
  }
  return await planRoleRestore(
    {
      ...dump.roles,
      target,
      roleNames: run.roleNames,
      databaseNames: new Map(destinations.map(({ source, target }) => [source, target])),
      superuserOption: inputs.superuserOption,
      existingRoles,
      rolePasswords: inputs.rolePasswords,
      completing: inputs.ifTargetNotEmpty === 'resume',
      neededRoles: needed,
      allowMissing: inputs.allowMissing,
      isLookOnly: dump.isLookOnly ?? false,
    },
    run,
  )
}
