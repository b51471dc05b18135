import { join } from 'node:path'
import type pg from 'pg'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import type { Archive } from '../../postgres/archive/archive.ts'
import { serverVersion, withConnection } from '../../postgres/connection.ts'
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
import { counted, printable } from '../../text/text.ts'
import { doStill } from '../cancellation.ts'
import type { Context } from '../context.ts'
import type { DumpedSchemas } from '../dump/schemas.ts'
import { autoJobs } from '../jobs.ts'
import { groupLosses } from '../losses.ts'
import type { Run } from '../run.ts'
import { readCatalog } from '../verify/catalog/catalog.ts'
import { isPrinted } from '../verify/catalog/definition.ts'
import type { CatalogFingerprint } from '../verify/catalog/model.ts'
import { compareCatalogs } from '../verify/compare/catalogs.ts'
import {
  type ExpectedDifference,
  ExpectedDifferences,
} from '../verify/compare/expected-differences.ts'
import type { CatalogSide } from '../verify/compare/sides.ts'
import { withSession } from '../verify/read-session.ts'
import { databaseExists, inMaintenanceDatabase } from './database/maintenance-database.ts'
import {
  type DatabaseProperties,
  parseDatabaseProperties,
  readDatabaseProperties,
} from './database/properties.ts'
import { withScratchDatabase } from './database/scratch.ts'
import type { RestoreOptions } from './options.ts'
import { sweepLoginRoles } from './owners/login-role.ts'
import { allowMissing } from './plan/allow-missing.ts'
import { lossesOf, makePlan, type RestorePlan } from './plan/plan.ts'
import { planRestore } from './plan-restore.ts'
import { beginRestore } from './restore-database.ts'

/** The checks that a restore of the empty schema answers. */
export const scratchChecks = [
  {
    id: 'scratch-restore',
    severity: 'blocker',
    why: 'what only a server can refuse is refused at night otherwise, when the rows are in (with preflight-restore)',
    needs: ['source', 'target'],
  },
  {
    id: 'scratch-differences',
    severity: 'warning',
    why: 'the verification fails for a definition that arrives as another one (with preflight-restore)',
    needs: ['source', 'target'],
  },
  {
    id: 'scratch-definitions',
    severity: 'info',
    why: 'what the target prints in other words is decided by a rebuild, which takes CREATEDB (with preflight-restore)',
    needs: ['source', 'target'],
  },
] as const
const [refusals, differences, definitions] = scratchChecks

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

/** What one database's throw-away restore has shown. */
interface Outcome {
  refused: Omit<Loss, 'database'>[]
  /** What the verification would call different; null where the restore did not get as far as that. */
  different: string[] | null
  /** Definitions that the target prints otherwise: the verification rebuilds them to decide. */
  printed: string[]
  entries: number
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

async function restoreOne(one: OneDatabase, run: Run): Promise<Outcome> {
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
): Promise<Outcome> {
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

async function readDefinitions(
  connection: ConnectionParameters,
  database: string,
  role: 'source' | 'target',
  run: Run,
): Promise<CatalogSide> {
  const read = async (client: pg.Client) => {
    const { number } = await serverVersion(client)
    return { server: number, catalog: withoutOwners(await readCatalog(client, number)) }
  }
  return await withSession({ connection, database, role }, run.signal, read)
}

/** Kinds that belong to the roles or to the database itself, and those that a throw-away database goes without. */
const notCompared =
  /^(database|default privileges|user mapping|subscription|extension member|large object)$/

function withoutOwners({ kinds }: CatalogFingerprint): CatalogFingerprint {
  const some = Object.entries(kinds).filter(([kind]) => !notCompared.test(kind))
  return {
    owners: [],
    acls: [],
    kinds: Object.fromEntries(
      some.map(([kind, objects]) => [
        kind,
        objects.map(({ name, facets }) => ({ name, ...(facets ? { facets } : {}) })),
      ]),
    ),
  }
}

/**
 * Both ways in which a definition may come back otherwise: as another one, which the verification would say, or in other words.
 * Pure.
 *
 * @param expected what the restore has left out or changed, and the server refused
 */
export function compareDefinitions(
  source: CatalogSide,
  target: CatalogSide,
  expected: readonly ExpectedDifference[],
): { different: string[]; printed: string[] } {
  const known = new ExpectedDifferences(expected)
  const printed: string[] = []
  // the throw-away database is what a rebuild would be: what is printed otherwise in it is equal to what it was made of
  const { objects } = compareCatalogs(source, target, known, [], {
    decide: ({ kind, name, facet }) => {
      if (isPrinted(kind, facet)) printed.push(`${kind} ${printable(name)}`)
      return 'equal'
    },
    texts: () => undefined,
  })
  const different = objects.flatMap(({ kind, missing, different: others, extra = [] }) => [
    ...missing.map((name) => `${kind} ${name}: missing`),
    ...others.map((name) => `${kind} ${name}`),
    ...extra.map((name) => `${kind} ${name}: only on the target`),
  ])
  return { different, printed: [...new Set(printed)] }
}

function answersFor(
  name: string,
  { refused, different, printed, entries }: Outcome,
  patterns: readonly string[],
): CheckResult[] {
  const accepts = allowMissing(patterns.filter((line) => line.trim() !== '*'))
  const shown = printable(name)
  const open = refused.filter(({ entry }) => !accepts(entry))
  const accepted = refused.length - open.length
  // what hangs on something has its remedy, and comes after it
  const byRemedy = Map.groupBy(groupLosses(open), ({ remedy }) => remedy)
  const checks = [...byRemedy].map(([remedy, groups]) =>
    answer(
      refusals,
      'failed',
      `${shown}: ${groups[0]?.reason ?? ''}`,
      groups.flatMap((group) => group.entries),
      remedy,
    ),
  )
  if (open.length === 0) {
    const all = counted(entries, 'entry', 'entries')
    const but = accepted === 0 ? '' : `; ${accepted} refused, as allow-missing allows`
    checks.push(
      answer(
        refusals,
        'passed',
        `${shown}: ${all} of the schema tried in a throw-away database${but}`,
      ),
    )
  }
  if (different === null) {
    const message = `${shown}: the restore ended before its definitions could be compared`
    const rest = [differences, definitions]
    return [...checks, ...rest.map((check) => answer(check, 'skipped', message))]
  }
  checks.push(
    different.length > 0
      ? answer(
          differences,
          'failed',
          `${shown}: ${counted(different.length, 'definition')} would be another on the target, and the verification would say so`,
          different,
          'Compare them on both sides: what the target cannot have is to be changed on the source, or accepted in allow-missing',
        )
      : answer(differences, 'passed', `${shown}: the definitions arrive as they are`),
    answer(
      definitions,
      'passed',
      printed.length === 0
        ? `${shown}: the target prints every definition as the source does`
        : `${shown}: ${counted(printed.length, 'definition')} printed otherwise by the target: the verification decides by rebuilding them, which needs CREATEDB`,
      printed,
    ),
  )
  return checks
}

function answer(
  { id, severity, why }: (typeof scratchChecks)[number],
  status: CheckResult['status'],
  message: string,
  objects: string[] = [],
  remedy = '',
): CheckResult {
  // who asked for more than the account may have is told so, and what he may have not is no blocker by itself
  const weight = status === 'skipped' ? 'warning' : severity
  return { id, severity: weight, status, message, objects, remedy, why }
}
