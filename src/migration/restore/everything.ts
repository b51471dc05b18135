import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { readArchive } from '../../postgres/archive/archive.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { qualifiedName } from '../../postgres/identifiers.ts'
import { type ClientPrograms, writePasswordFile } from '../../postgres/programs/programs.ts'
import type { RoleCatalog } from '../../postgres/roles/catalog.ts'
import type { Loss } from '../../report/model.ts'
import { formatDuration, printable } from '../../text/text.ts'
import { analyzeDatabase } from '../analyze.ts'
import { checkClientLogin } from '../checks/client-login.ts'
import { resultOf } from '../dump/everything.ts'
import type { Inputs } from '../inputs.ts'
import { autoJobs } from '../jobs.ts'
import { databasesOf } from '../kept/load.ts'
import { type DumpedDatabase, polardbRolesFile, rolesFile } from '../kept/manifest.ts'
import { lossesAmong, refuseUnaccepted } from '../losses.ts'
import { runPhase, skipPhase } from '../phases.ts'
import { retrying } from '../retry.ts'
import { requireRoles } from '../roles/preconditions.ts'
import { restoreRoles } from '../roles/restore-roles.ts'
import type { PlannedRoles } from '../roles/weigh.ts'
import type { Session } from '../run.ts'
import { parseFingerprint } from '../verify/kept-fingerprint.ts'
import { readSubstitutes, verifyDatabase } from '../verify/verify-database.ts'
import { announcedLimit, limitConnections } from './database/connection-limit.ts'
import { mustEmpty } from './database/empty.ts'
import { cannotResume } from './database/prepare.ts'
import { parseDatabaseProperties } from './database/properties.ts'
import { type Destination, describe, type Refused, throwAll } from './destinations.ts'
import type { RestoreOptions } from './options.ts'
import { type NeededRole, neededRoles } from './plan/needed-roles.ts'
import type { RestorePlan } from './plan/plan.ts'
import { planRestore, type Restored, restoreDatabase } from './restore-database.ts'
import type { Swap } from './swap/exchange.ts'
import { exchangeAll, finishSwaps, planSwaps } from './swap/swaps.ts'

/** A dump on this runner's disk, just made or checked, and the client programs to restore it with. */
export interface RestorableDump {
  directory: string
  client: ClientPrograms
  databases: DumpedDatabase[]
  /** What of the source it goes without. */
  losses: Loss[]
  roles: { catalog: RoleCatalog } | null
  /** Nobody but this run, or who knows the passphrase, can have written it. */
  proven: boolean
}

/**
 * The target half: roles, then every database with its own verdict. A database that fails does not lose the results of the
 * others; when all have been tried, the run fails with what failed.
 *
 * @param afterRoles called when the roles are restored and before any data is
 * @returns nothing; everything is in the session's report
 * @throws Failure; Cancelled
 */
export async function restoreEverything(
  dump: RestorableDump,
  connection: ConnectionParameters,
  session: Session,
  afterRoles: () => Promise<void> = async () => {},
): Promise<void> {
  const destinations = chooseDatabases(session.inputs.databases, dump, session)
  const { databases: wanted, allowMissing } = session.inputs
  const losses = lossesAmong(dump.losses, destinations, wanted)
  refuseUnaccepted(losses, allowMissing, 'the source', session)
  const passwordFile = await writePasswordFile(session.temporaryDirectory, 'target', connection)
  await checkClientLogin(dump.client, connection, 'target', passwordFile, session)
  const swaps = await planSwaps(destinations, connection, session)
  const restores = destinations.map((destination) => ({
    destination,
    options: restoreOptions(
      destination,
      dump,
      connection,
      passwordFile,
      session,
      swaps.get(destination),
    ),
  }))
  for (const { options } of session.inputs.ifTargetNotEmpty === 'replace' ? restores : []) {
    options.inPlace = await mustEmpty(options, session)
  }
  const plans = new Map<Destination, RestorePlan>()
  // nothing of any database is restored, and no role is made, while one of them would lose something
  const plan = async (roles?: PlannedRoles, refusal?: Failure) => {
    const refusals: Refused[] = refusal ? [{ what: 'the roles', error: refusal }] : []
    for (const { destination, options } of restores) {
      try {
        plans.set(destination, await planRestore(options, session, roles))
      } catch (error) {
        if (error instanceof Cancelled || session.signal.aborted) throw error
        destination.result.error = describe(error)
        refusals.push({ what: `the database "${destination.source}"`, error })
      }
    }
    throwAll(refusals, 'cannot be restored')
  }
  const { existingRoles } = session.inputs
  // as long as the old databases answer, the roles that use them stay as they are
  const first = swaps.size > 0 ? 'keep' : existingRoles
  const restoreTheRoles = (existing: typeof existingRoles, planning: typeof plan) =>
    restoreRolesPhase(dump, destinations, connection, session, existing, planning)
  let { afterDatabases, created } = await restoreTheRoles(first, plan)
  await afterRoles()

  const failures: Refused[] = []
  for (const { destination, options } of restores) {
    const plan = plans.get(destination)
    if (!plan) continue
    try {
      await restoreOne(destination, options, plan, session)
    } catch (error) {
      if (error instanceof Cancelled || session.signal.aborted) throw error
      destination.result.error = describe(error)
      failures.push({ what: `the database "${destination.source}"`, error })
      session.log.warning(`${destination.source}: ${messageOf(error)}`)
    }
  }
  if (swaps.size > 0 && failures.length === 0) {
    if (existingRoles !== first) {
      const again = await restoreTheRoles(existingRoles, async () => {})
      afterDatabases = again.afterDatabases
    }
    failures.push(...(await exchangeAll(restores, swaps, session)))
  }
  for (const [{ source }, { name, building }] of failures.length > 0 ? swaps : []) {
    session.log.info(
      `The old database ${printable(name)} answers as before unless the report says that it was exchanged; the new one of ${printable(source)} is ${printable(building)}: restore with the kept dump and if-target-not-empty: swap goes on with it, the next migration drops it`,
    )
  }
  await afterDatabases()
  for (const { destination, options } of restores) {
    if (destination.result.error) continue
    try {
      await limitConnections(options, session)
    } catch (error) {
      if (error instanceof Cancelled || session.signal.aborted) throw error
      destination.result.verified = false
      destination.result.error = describe(error)
      failures.push({ what: `the database "${destination.source}"`, error })
    }
  }
  if (failures.length === 0) failures.push(...(await finishSwaps(restores, swaps, session)))
  const { report } = session
  if (session.dumpBegan !== null && failures.length === 0) {
    report.cutoverSeconds = Math.round((Date.now() - session.dumpBegan) / 100) / 10
  }
  report.verified =
    report.databases.length > 0 &&
    report.databases.every(({ verified }) => verified) &&
    (report.roles?.verified ?? true)
  if (created.length > 0 && destinations.every(({ result }) => result.error)) {
    session.warn(
      `Roles that this run created stay on the target, and the next run finds them: ${created.slice(0, 20).map(printable).join(', ')}${created.length > 20 ? ` and ${created.length - 20} more (roles.polardb.sql names them)` : ''}`,
    )
  }
  throwAll(failures, 'failed')
  if (report.roles && !report.roles.verified) {
    const unexplained = report.roles.differences.filter(({ explained }) => !explained)
    throw new Failure(
      'The roles of the target differ from those of the source',
      unexplained
        .map(({ role, what }) => `"${role}": ${what}`)
        .slice(0, 10)
        .join('; '),
      'The report lists every difference; correct the roles on the target, then run verify',
    )
  }
}

/** @param plan decides about the databases; called when the roles are decided about and none is made yet */
async function restoreRolesPhase(
  dump: RestorableDump,
  destinations: Destination[],
  connection: ConnectionParameters,
  session: Session,
  existingRoles: Inputs['existingRoles'],
  plan: (roles?: PlannedRoles, refusal?: Failure) => Promise<void>,
): Promise<{ afterDatabases: () => Promise<void>; created: readonly string[] }> {
  const { inputs, report } = session
  const { roles } = dump
  const needed: NeededRole[] = []
  for (const { archives, properties } of destinations) {
    for (const archive of archives)
      needed.push(...neededRoles(await readArchive(archive), properties))
  }
  if (inputs.roles === 'skip' || !roles) {
    skipPhase(session, 'restore-roles')
    const options = { role: 'target', readOnly: true, signal: session.signal } as const
    await retrying(session, () =>
      withConnection(connection, options, (client) => requireRoles(client, needed)),
    )
    await plan()
    return { afterDatabases: async () => {}, created: [] }
  }
  return await runPhase(session, 'restore-roles', async () => {
    const restored = await restoreRoles(
      {
        script: await readFile(join(dump.directory, rolesFile), 'utf8'),
        catalog: roles.catalog,
        target: connection,
        databaseNames: new Map(destinations.map(({ source, target }) => [source, target])),
        superuserOption: inputs.superuserOption,
        existingRoles,
        rolePasswords: inputs.rolePasswords,
        completing: inputs.ifTargetNotEmpty === 'resume',
        neededRoles: needed,
        allowMissing: inputs.allowMissing,
        beforeSending: plan,
        // also when the roles then fail: what was sent is what explains it
        onScript: (script) =>
          writeFile(join(session.temporaryDirectory, polardbRolesFile), script, { mode: 0o600 }),
      },
      session,
    )
    report.roles = restored.result
    const afterDatabases = async () => {
      const { result } = restored
      await restored.applyDeferred(session)
      report.roles = result
    }
    return { afterDatabases, created: restored.createdRoles }
  })
}

async function restoreOne(
  destination: Destination,
  options: RestoreOptions,
  plan: RestorePlan,
  session: Session,
): Promise<void> {
  const { result, source } = destination
  const { targetName: name } = options
  const began = Date.now()
  const restored = await runPhase(
    session,
    'restore',
    () =>
      restoreDatabase(options, plan, session, (outcome) => {
        result.restore = outcome
      }),
    source,
  ).finally(() => {
    result.restoreSeconds = Math.round(Date.now() - began) / 1000
  })
  let proven = false
  try {
    if (restored.owners === null && session.inputs.verify === 'none') {
      throw cannotResume(
        name,
        'Nothing in it says that a restore was interrupted, and with verify: none nothing would be done',
      )
    }
    session.log.info(`Restored ${source} into ${name} in ${formatDuration(result.restoreSeconds)}`)
    await analyzeOne(destination, options, restored, session)
    await restored.settle()
    await verifyOne(destination, options, restored, session)
    proven = true
  } catch (error) {
    if (!restored.failure || session.signal.aborted) throw error
    // what was refused comes first: what differs follows from it, and is in the report
    session.log.warning(`${source}: ${messageOf(error)}`)
  } finally {
    // what the account needed to read what it gave away
    await restored.release(proven)
  }
  if (restored.failure) {
    result.verified = false
    throw restored.failure
  }
}

async function analyzeOne(
  destination: Destination,
  options: RestoreOptions,
  restored: Restored,
  session: Session,
): Promise<void> {
  if (!session.inputs.analyze) return skipPhase(session, 'analyze')
  const { source } = destination
  const { target, targetName, jobs } = options
  await runPhase(
    session,
    'analyze',
    async () => {
      const as = restored.analyzeAs ?? target
      let { refused } = await analyzeDatabase({ target: as, targetName, jobs }, session)
      if (as !== target && refused.length > 0) {
        const only = new Set(refused.map(({ table }) => table))
        refused = (await analyzeDatabase({ target, targetName, jobs, only }, session)).refused
      }
      for (const { table, reason } of refused) {
        session.warn(`${source}: no planner statistics for ${table}: ${reason}`)
      }
    },
    source,
  )
}

async function verifyOne(
  destination: Destination,
  options: RestoreOptions,
  restored: Restored,
  session: Session,
): Promise<void> {
  if (session.inputs.verify === 'none') return skipPhase(session, 'verify')
  const { source, dumped, properties, archives, result } = destination
  const { target: connection, targetName: name, jobs } = options
  const { fingerprint } = dumped
  const { owners } = restored
  const substitutes = owners
    ? owners.map(({ role, owner, reason }) => ({ role, instead: owner, reason }))
    : await readSubstitutes(connection, session)
  await runPhase(
    session,
    'verify',
    () =>
      verifyDatabase(
        {
          ...{ connection, name, fingerprint, jobs },
          // a database that was restored before may be in use
          mayAlter: owners !== null,
          schema: { properties, archives: async () => archives },
          source:
            session.inputs.command === 'migrate' && session.inputs.source
              ? { connection: session.inputs.source, database: source }
              : undefined,
          announced: [
            ...session.report.losses.filter(({ database }) => database === source),
            ...restored.announced,
            ...announcedLimit(properties),
          ],
          substitutes,
        },
        result,
        session,
      ),
    source,
  )
}

/** Which databases of a dump are restored, and under which names. */
function chooseDatabases(
  wanted: Inputs['databases'],
  dump: RestorableDump,
  session: Session,
): Destination[] {
  return databasesOf(dump.databases, wanted).map(({ dumped, ...name }) => ({
    ...name,
    dumped,
    properties: parseDatabaseProperties(dumped.properties),
    archives: dumped.archives.map(({ path }) => join(dump.directory, path)),
    result: resultOf(session, { ...name, bytes: dumped.bytes }),
  }))
}

function restoreOptions(
  destination: Destination,
  dump: RestorableDump,
  connection: ConnectionParameters,
  passwordFile: string,
  session: Session,
  swap?: Swap,
): RestoreOptions {
  const { inputs } = session
  const { tables, level } = parseFingerprint(destination.dumped.fingerprint)
  return {
    archives: destination.archives,
    proven: dump.proven,
    database: {
      ...destination.properties,
      // a library that the target lacks would lock the role out: the roles' own phase tries it before it sets it
      settings: destination.properties.settings.filter(
        ({ role, name }) => role === null || !/_preload_libraries$/.test(name),
      ),
    },
    target: connection,
    targetName: swap?.building ?? destination.target,
    passwordFile,
    client: dump.client,
    jobs: inputs.restoreJobs === 'auto' ? autoJobs(session.processors) : inputs.restoreJobs,
    createDatabase: inputs.createDatabase,
    ...wayInto(inputs.ifTargetNotEmpty, swap),
    allowMissing: inputs.allowMissing,
    extraOptions: inputs.restoreOptions,
    ...(level === 'none'
      ? {}
      : {
          expectedRows: new Map(
            tables.map(({ schema, name, rows }) => [qualifiedName(schema, name), rows]),
          ),
        }),
    logFile: join(
      session.reportDirectory,
      `pg_restore-${destination.archives[0]?.split('/').at(-2)}.log`,
    ),
  }
}

/** What is built for an exchange goes into a database of its own, whose name only this dump can have given it. */
function wayInto(
  wanted: Inputs['ifTargetNotEmpty'],
  swap: Swap | undefined,
): Pick<RestoreOptions, 'ifNotEmpty' | 'keepMark'> {
  if (swap) return { ifNotEmpty: swap.begun ? 'resume' : 'replace', keepMark: true }
  return { ifNotEmpty: wanted === 'swap' ? 'fail' : wanted }
}
