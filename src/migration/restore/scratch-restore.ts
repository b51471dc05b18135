import { join } from 'node:path'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import type { Archive } from '../../postgres/archive/archive.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { sqlstateOf } from '../../postgres/errors.ts'
import { type ClientPrograms, writePasswordFile } from '../../postgres/programs/programs.ts'
import {
  type CheckResult,
  type Loss,
  newReport,
  type RestoreResult,
  wordsOfAnyRun,
} from '../../report/model.ts'
import { ReportWriter } from '../../report/writer.ts'
import { printable } from '../../text/text.ts'
import { doStill } from '../cancellation.ts'
import type { Context } from '../context.ts'
import type { DumpedSchemas } from '../dump/schemas.ts'
import { autoJobs } from '../jobs.ts'
import type { Run } from '../run.ts'
import type { CatalogSide } from '../verify/compare/sides.ts'
import { databaseExists, inMaintenanceDatabase } from './database/maintenance-database.ts'
import {
  type DatabaseProperties,
  parseDatabaseProperties,
  readDatabaseProperties,
} from './database/properties.ts'
import { withScratchDatabase } from './database/scratch.ts'
import type { RestoreOptions } from './options.ts'
import { NoLoader } from './owners/loader.ts'
import { sweepLoginRoles } from './owners/login-role.ts'
import { lossesOf, makePlan, type RestorePlan } from './plan/plan.ts'
import { planRestore } from './plan-restore.ts'
import { beginRestore } from './restore-database.ts'
import {
  answer,
  answersFor,
  refusals,
  type ScratchOutcome,
  scratchChecks,
} from './scratch-answers.ts'
import { compareDefinitions, readDefinitions } from './scratch-definitions.ts'

/** What a throw-away restore is made from, and where. */
export interface ScratchOptions {
  /** The source, for its catalogs. */
  source: ConnectionParameters
  target: ConnectionParameters
  /** The account may create databases there. */
  mayCreate: boolean
  schemas: DumpedSchemas
  client: ClientPrograms
}

/**
 * Restores the definitions of every database, without a row, into a throw-away database on the target, by the very restore of a
 * migration: what only a server can refuse is refused today. Owners and grants are left out, since roles that are missing
 * are not made for it: a role lives outside of the database, its name is one that the migration must find free or as it was,
 * and a killed run would leave it there. The role plan answers for them. Subscriptions and user mappings are left out as well,
 * since they hold passwords, and pg_cron, which lives in one database alone.
 *
 * @returns the answers of its checks, for all databases together; skipped where the account may not create databases
 * @throws Cancelled; the throw-away database is gone then as well
 */
export async function scratchRestore(options: ScratchOptions, run: Run): Promise<CheckResult[]> {
  if (!options.mayCreate) {
    const message =
      'the schema was not restored into a throw-away database: the account may not create databases on the target (CREATEDB)'
    return scratchChecks.map((check) => answer(check, 'skipped', message))
  }
  const checks: CheckResult[] = []
  for (const dumped of options.schemas.databases) {
    const { name } = dumped
    const properties = parseDatabaseProperties(dumped.properties)
    const archives = dumped.archives.map(({ path }) => join(options.schemas.directory, path))
    try {
      const target = dumped.target ?? name
      const outcome = await restoreOne({ ...options, name: target, properties, archives }, run)
      checks.push(...answersFor(name, outcome, run.inputs.allowMissing))
    } catch (error) {
      if (error instanceof Cancelled || run.signal.aborted) throw new Cancelled()
      if (error instanceof NoLoader) {
        const message = `${printable(name)}: the schema was not restored into a throw-away database: code of the database would run with the rights of the account (${printable(error.why)}). ${error.remedy}`
        checks.push(...scratchChecks.map((check) => answer(check, 'skipped', message)))
        continue
      }
      if (!(error instanceof Failure) && sqlstateOf(error) === undefined) throw error
      const why = error instanceof Failure ? `${error.message}: ${error.why}` : messageOf(error)
      const remedy = error instanceof Failure ? error.remedy : 'Put the cause right, then try again'
      checks.push(answer(refusals, 'failed', `${printable(name)}: ${printable(why)}`, [], remedy))
    }
  }
  return checks
}

interface OneDatabase extends ScratchOptions {
  /** Where the migration will put it. */
  name: string
  properties: DatabaseProperties
  archives: string[]
}

async function restoreOne(one: OneDatabase, run: Run): Promise<ScratchOutcome> {
  const { target, name } = one
  const quiet = quietly(run)
  const place = { target, targetName: name }
  const existing = await readExisting(place, run)
  // one that was made beforehand is as it is for a reason: a locale that the target lacks, say
  const { name: _, owner: __, acl: ___, ...like } = existing ?? one.properties
  const born: DatabaseProperties = {
    ...one.properties,
    ...pickLocale(like),
    owner: '',
    acl: null,
    comment: null,
    settings: [],
    connectionLimit: -1,
    template: false,
  }
  const source = await readDefinitions(one.source, one.properties.name, 'source', run)
  let clean = false
  try {
    return await withScratchDatabase(target, name, born, quiet, async (scratch) => {
      const outcome = await restoreInto(scratch, one, born, source, quiet, run)
      clean = true
      return {
        ...outcome,
        // what the console or a superuser has put there is there
        refused: outcome.refused.filter(
          ({ entry }) =>
            !existing?.extensions.some((known) => entry === `EXTENSION ${printable(known.name)}`),
        ),
      }
    })
  } finally {
    // a restore that ended early has left its role without login; nothing that it owns is there any more
    if (!clean) {
      const sweep = (signal: AbortSignal) => inMaintenanceDatabase(place, signal, sweepLoginRoles)
      await doStill(run.signal, sweepTime, sweep).catch(() => {})
    }
  }
}

/** Milliseconds; what is not dropped in time, the next run drops. */
const sweepTime = 5000

const left =
  /^(ACL|DEFAULT ACL|SUBSCRIPTION|SUBSCRIPTION TABLE|USER MAPPING|TABLE DATA|SEQUENCE SET)$/

async function restoreInto(
  scratch: string,
  { target, client, archives }: OneDatabase,
  database: DatabaseProperties,
  source: CatalogSide,
  quiet: Context,
  run: Run,
): Promise<ScratchOutcome> {
  const { inputs } = run
  const options: RestoreOptions = {
    archives,
    proven: true,
    database,
    target,
    targetName: scratch,
    passwordFile: await writePasswordFile(run.temporaryDirectory, 'target', target),
    client,
    jobs: inputs.restoreJobs === 'auto' ? autoJobs(run.processors) : inputs.restoreJobs,
    createDatabase: false,
    ifNotEmpty: 'fail',
    keepMark: true,
    // a preflight promises to change nothing, and what such code does it does elsewhere, too
    needsLoader: true,
    // what is known to be lost is told elsewhere; and whatever is refused, the rest is tried as well
    allowMissing: ['*', '* *'],
    extraOptions: inputs.restoreOptions,
    logFile: join(run.reportDirectory, 'pg_restore-scratch.log'),
  }
  const plan = withoutRoles(await planRestore(options, quiet))
  const entries = plan.entries.filter(({ decision }) => decision.kind !== 'leave-out').length
  const losses = [...quiet.report.losses, ...lossesOf(plan.accepted, database.name)]
  const known = new Set(losses.map(({ entry }) => entry))
  const restore = await beginRestore(options, plan, quiet)
  try {
    const restored = await restore.carryOut()
    try {
      await restored.settle()
      const there = await readDefinitions(target, scratch, 'target', run)
      const expected = [...restored.expected, ...quiet.report.losses]
      return {
        refused: refusedOf(restored.result, quiet, known),
        ...compareDefinitions(source, there, expected),
        entries,
      }
    } finally {
      await restored.release(false)
    }
  } catch (error) {
    const refused = refusedOf(restore.result, quiet, known)
    if (run.signal.aborted || refused.length === 0) throw error
    return { refused, different: null, printed: [], entries }
  }
}

/** The same plan for nobody's objects. */
function withoutRoles(plan: RestorePlan): RestorePlan {
  const archives = plan.archives.map((archive) => ({
    ...archive,
    entries: archive.entries.map((entry) => ({ ...entry, owner: '' })),
  }))
  const wanted = new Map<Archive, ReadonlySet<number>>()
  plan.archives.forEach((archive, index) => {
    const chosen = plan.options.wanted?.get(archive)
    const ids = archive.entries
      .filter(
        ({ desc, tag, dumpId }) =>
          !left.test(desc) &&
          !(desc === 'EXTENSION' && tag === 'pg_cron') &&
          (chosen?.has(dumpId) ?? true),
      )
      .map(({ dumpId }) => dumpId)
    const renewed = archives[index]
    if (renewed) wanted.set(renewed, new Set(ids))
  })
  return makePlan(archives, plan.facts, { ...plan.options, wanted })
}

/** What the server has refused that nobody knew of before. */
function refusedOf(
  result: RestoreResult,
  { report }: Context,
  known: ReadonlySet<string>,
): Omit<Loss, 'database'>[] {
  const failed = result.failed.map(({ entry, reason, sqlstate, remedy }) => ({
    entry,
    reason: sqlstate === null ? reason : `${reason} [${sqlstate}]`,
    remedy,
  }))
  return [...report.losses.filter(({ entry }) => !known.has(entry)), ...failed]
}

/** A context that keeps what a restore records and warns of to itself: nothing of it has happened to the migration. */
function quietly(run: Run): Context {
  const record = new ReportWriter(newReport(run.report.command, wordsOfAnyRun))
  const { debug } = run.log
  const tell = (message: string) => debug.call(run.log, message)
  return {
    ...run,
    record,
    report: record.report,
    log: { debug: tell, info: tell, warning: tell },
    // a database or a role that could not be dropped is the user's to know
    warn: (message) => (/throw-away|temporary role/.test(message) ? run.warn(message) : undefined),
  }
}

/** What the destination is like where it exists already and lets the account look. */
async function readExisting(
  place: Pick<RestoreOptions, 'target' | 'targetName'>,
  run: Run,
): Promise<DatabaseProperties | undefined> {
  if (!(await databaseExists(place, run.signal))) return undefined
  const options = {
    database: place.targetName,
    role: 'target',
    readOnly: true,
    signal: run.signal,
  } as const
  try {
    return await withConnection(place.target, options, readDatabaseProperties)
  } catch (error) {
    const sqlstate = error instanceof Failure ? error.sqlstate : undefined
    if (sqlstate === '42501' || sqlstate === '55000') return undefined
    throw error
  }
}

function pickLocale({
  encoding,
  collate,
  ctype,
  provider,
  locale,
  icuRules,
}: Pick<
  DatabaseProperties,
  'encoding' | 'collate' | 'ctype' | 'provider' | 'locale' | 'icuRules'
>) {
  return { encoding, collate, ctype, provider, locale, icuRules }
}
