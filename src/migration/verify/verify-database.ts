import type pg from 'pg'
import { Failure, messageOf } from '../../failure.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { type RoleNames, sameRoleNames } from '../../postgres/roles/role-names.ts'
import type { TableResult } from '../../report/model.ts'
import type { DatabaseRecord } from '../../report/writer.ts'
import { counted, formatCount } from '../../text/numbers.ts'
import { retrying } from '../retry.ts'
import type { Run } from '../run.ts'
import { isShown } from './catalog/definition.ts'
import { columnOrderReason } from './compare/catalogs.ts'
import type { ExpectedDifference } from './compare/expected-differences.ts'
import { type Comparison, compareFingerprints } from './compare/fingerprints.ts'
import { notCompared } from './compare/not-compared.ts'
import type { RoleSubstitute } from './compare/sides.ts'
import { fingerprintDatabase } from './fingerprint.ts'
import { parseFingerprint } from './kept-fingerprint.ts'
import type { DatabaseFingerprint } from './model.ts'
import type { MayAlter } from './read-session.ts'
import { rebuildDefinitions, type SchemaSource } from './rebuild/rebuild.ts'
import type { Ahead } from './rows/ahead.ts'
import { explainDifferences } from './rows/drill.ts'

export interface VerifyOptions {
  connection: ConnectionParameters
  /** The database on the target. */
  name: string
  /** Of the source, as its manifest holds it or as it was just taken. */
  fingerprint: unknown
  /** What the restore left out or changed, with its reasons: such differences are explained. */
  expected: ExpectedDifference[]
  /** Roles of the source whose objects or grants the target cannot have, and who has them instead. */
  substitutes: RoleSubstitute[]
  /** What the source's roles are called on the target; everything is compared and told in the source's names. Default the same. */
  roleNames?: RoleNames
  jobs: number
  /** What was read of the target while it was restored. */
  ahead?: Ahead | undefined
  /** See FingerprintOptions: true during a restore, which has the database to itself. */
  mayAlter: MayAlter
  /** The dump's own schema: what decides about definitions that are printed differently. */
  schema: SchemaSource
  /** The live source, where it can be reached: differing tables are then searched for the rows that differ. */
  source?: { connection: ConnectionParameters; database: string } | undefined
}

/**
 * Takes the target's fingerprint and compares it with the source's. The report's entry of the database is filled in before
 * anything is thrown.
 *
 * @throws Failure that names what differs without an explanation; Cancelled
 */
export async function verifyDatabase(
  options: VerifyOptions,
  record: DatabaseRecord,
  run: Run,
): Promise<void> {
  const { name: database } = record.result
  const source = parseFingerprint(options.fingerprint)
  if (source.level === 'none') {
    throw new Failure(
      `The database "${database}" cannot be verified`,
      'The dump was made with verify: none and holds nothing to compare with',
      'Set verify: none here, too, or dump again with verify: data',
    )
  }
  const target = await fingerprintDatabase(
    {
      connection: options.connection,
      database: options.name,
      level: run.inputs.verify,
      jobs: options.jobs,
      recipe: source,
      ahead: options.ahead,
      mayAlter: options.mayAlter,
      roleNames: options.roleNames,
      timed: (step, table, time) => record.ran(step, table, time),
    },
    run,
  )
  if (target.moments && target.still === false)
    run.warn(`${database}: the target changed while it was read: ${target.moments}`)
  if (source.level === 'counts' && run.inputs.verify === 'data') {
    run.warn(
      `${database}: only row counts are compared, since the dump was made with verify: counts`,
    )
  }
  const comparison = await compare(source, target, options, run)
  const unseen = notCompared(source, options.expected)
  const { objects: kinds, verified } = comparison
  record.compared({
    tables: comparison.tables,
    objects: kinds,
    verified,
    verifyRowsPerSecond: { source: source.rowsPerSecond, target: target.rowsPerSecond },
    ...(unseen.length > 0 ? { notCompared: unseen } : {}),
  })
  const reordered = comparison.objects
    .flatMap(({ explained = [] }) => explained)
    .filter(({ reason }) => reason === columnOrderReason)
  if (reordered.length > 0) {
    const named = reordered.slice(0, 10).map(({ entry }) => entry)
    const more = reordered.length > 10 ? `, and ${reordered.length - 10} more` : ''
    run.warn(`${database}: ${named.join('; ')}${more}: ${columnOrderReason}`)
  }
  const tables = comparison.tables.filter(
    ({ match, explained }) => !match && explained === undefined,
  )
  const objects = comparison.objects.flatMap(({ kind, missing, different, extra = [] }) =>
    [...missing, ...different, ...extra].map((name) => `${kind} ${name}`),
  )
  const doubt = doubtOf(source, comparison.equal)
  if (doubt !== undefined) {
    record.notVerified()
    throw new Failure(
      `The database "${database}" is not proven`,
      doubt,
      'Stop the writes to the source, then migrate again',
    )
  }
  const undecided = comparison.objects.flatMap(({ kind, undecided = [] }) =>
    undecided.map(({ entry, reason }) => ({ name: `${kind} ${entry}`, reason })),
  )
  if (comparison.equal && undecided.length > 0) throw notProven(database, undecided)
  if (comparison.equal) {
    const rows = comparison.tables.reduce((sum, { sourceRows }) => sum + (sourceRows ?? 0), 0)
    run.log.info(
      `Verified ${database} (${run.inputs.verify}): ${counted(comparison.tables.length, 'table')}, ${formatCount(rows)} rows`,
    )
    return
  }
  if (options.source) {
    try {
      const drill = {
        source: options.source,
        target: { connection: options.connection, database: options.name },
        fingerprint: source,
        tables: comparison.tables,
        showKeys: run.inputs.showKeys,
        mayAlter: options.mayAlter,
      }
      await retrying(run, () => explainDifferences(drill, record, run))
    } catch (error) {
      if (run.signal.aborted) throw error
      // that they differ is known; which rows they are is a help, not the verdict
      run.warn(`${database}: the rows that differ could not be looked up: ${messageOf(error)}`)
    }
  }
  const named = [...tables.map(described), ...objects]
  const more = named.length > 10 ? `, and ${named.length - 10} more` : ''
  throw new Failure(
    `The target differs from the source in the database "${database}"`,
    `${named.slice(0, 10).join(', ')}${more}`,
    'Do not switch over: the report lists every difference. When the cause is mended, migrate again under another name (databases: name=other-name) or with if-target-not-empty: swap, which keeps what is there until the new database is verified',
    { isDifference: true },
  )
}

/** Why a comparison proves nothing: it was of several moments, and the source did not stand still between them. */
function doubtOf(source: DatabaseFingerprint, equal: boolean): string | undefined {
  const { moments, still = 'unknown' } = source
  if (moments === null || still === true || (still === 'unknown' && equal)) return undefined
  const written =
    still === false
      ? 'it was written to meanwhile'
      : 'nobody can tell whether it was written to meanwhile'
  const found = equal ? 'the two sides compared equal' : 'the two sides differ'
  return `The source was not read in one moment (${moments}), and ${written}: ${found}, which is neither a failure nor a proof`
}

function described({ schema, name, sourceRows, targetRows, unreadable }: TableResult): string {
  const table = `table ${schema}.${name}`
  if (unreadable !== undefined) return `${table} (cannot be read ${unreadable})`
  const rows = (count: number | null) => (count === null ? 'none' : formatCount(count))
  return `${table} (${rows(sourceRows)} rows on the source, ${rows(targetRows)} on the target)`
}

/** Compares; where definitions are printed differently, the dump's own schema decides whether they are different. */
async function compare(
  source: DatabaseFingerprint,
  target: DatabaseFingerprint,
  options: VerifyOptions,
  run: Run,
): Promise<Comparison> {
  const { expected, substitutes, connection, name: database, schema, roleNames } = options
  const comparison = compareFingerprints(source, target, expected, substitutes)
  const showDefinitions =
    comparison.open.length > 0 && run.inputs.showDefinitions && !(await run.isPublicRepository())
  const open = comparison.open.filter(
    ({ kind, facet, printed }) => printed || (showDefinitions && isShown(kind, facet)),
  )
  if (open.length === 0) return comparison
  const decisions = await rebuildDefinitions(
    { connection, database, schema, open, showDefinitions, mayAlter: options.mayAlter, roleNames },
    run,
  )
  return compareFingerprints(source, target, expected, substitutes, decisions)
}

function notProven(database: string, undecided: { name: string; reason: string }[]): Failure {
  const more = undecided.length > 10 ? `, and ${undecided.length - 10} more` : ''
  const [first] = undecided
  return new Failure(
    `The target of the database "${database}" is not proven to be the dump`,
    `No difference was found, but ${counted(undecided.length, 'definition')} printed differently could not be decided: ${undecided
      .slice(0, 10)
      .map(({ name }) => name)
      .join(', ')}${more}; ${first?.reason ?? ''}`,
    'Look at them in the report, mend the reason (the account needs CREATEDB on the target for the rebuild that decides), then run verify',
  )
}

/**
 * The roles whose objects an ordinary account cannot give back, asked of the target itself: its superusers. For a
 * verification apart from the restore, which announces them otherwise.
 */
export async function readSubstitutes(
  connection: ConnectionParameters,
  run: Run,
  names: RoleNames = sameRoleNames,
): Promise<RoleSubstitute[]> {
  const options = { role: 'target', readOnly: true, signal: run.signal } as const
  const read = async (client: pg.Client) => {
    const { rows } = await client.query<{ role: string }>(
      'SELECT rolname AS role FROM pg_catalog.pg_roles WHERE rolsuper',
    )
    return rows.map(({ role }) => ({
      role: names.onSource(role),
      instead: null,
      reason: `"${role}" is a superuser on the target, and only a superuser could give it objects`,
    }))
  }
  return await retrying(run, () => withConnection(connection, options, read))
}
