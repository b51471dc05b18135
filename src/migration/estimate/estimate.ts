import { withConnection } from '../../postgres/connection.ts'
import { keepingSessions } from '../../postgres/kept-sessions.ts'
import { compressionArguments } from '../../postgres/programs/arguments.ts'
import type { ClientPrograms } from '../../postgres/programs/programs.ts'
import type { Estimate, EstimatedPhase, Range } from '../../report/model.ts'
import { counted, formatBytes, formatDuration, formatRange } from '../../text/numbers.ts'
import type { ReachedTarget, Source } from '../checks/preflight.ts'
import { databasesInput } from '../database-names.ts'
import { chosenCompression } from '../dump/compression.ts'
import { partSizes } from '../dump/part-sizes.ts'
import { compressionMethods } from '../dump/programs.ts'
import { autoJobs, autoReaders } from '../jobs.ts'
import { artifactsFor } from '../kept/upload-limits.ts'
import type { Run } from '../run.ts'
import { type Basis, estimateDatabase, totalOf } from './model.ts'
import { sampleCompression } from './sample-rows.ts'
import { type DatabaseSizes, readSizes } from './sizes.ts'
import { sampleSource } from './source-sample.ts'
import { sampleTarget } from './target-sample.ts'

/**
 * Says what a migration will take, before it: how long each phase, how large the dump, how many artifacts. Reads the source's
 * catalogs and a few megabytes of rows, in statements of seconds; on the target it fills temporary tables in a transaction
 * that is rolled back. Nothing is changed, and no row is kept or told.
 *
 * @param target undefined where none was given
 * @param known.client pg_dump's, whose compression is the sample's; without it that of the inputs for an older one
 * @param known.schemaSeconds what pg_dump took for the definitions, by database
 * @returns the estimate, which is in the report as well
 * @throws Failure when a side cannot be reached or asked; Cancelled
 */
export async function estimateMigration(
  source: Source,
  target: Pick<ReachedTarget, 'connection'> | undefined,
  run: Run,
  known: Known = {},
): Promise<Estimate> {
  return await keepingSessions(run.signal, () => estimateBoth(source, target, run, known))
}

/** What was learned before: see estimateMigration(). */
interface Known {
  client?: ClientPrograms
  schemaSeconds?: ReadonlyMap<string, number>
}

async function estimateBoth(
  source: Source,
  target: Pick<ReachedTarget, 'connection'> | undefined,
  run: Run,
  known: Known,
): Promise<Estimate> {
  const { inputs } = run
  const sizes: DatabaseSizes[] = []
  for (const { source: name, bytes } of source.databases) {
    const options = { database: name, role: 'source', readOnly: true, signal: run.signal } as const
    sizes.push(
      await withConnection(source.connection, options, (client) =>
        readSizes(client, { name, bytes }),
      ),
    )
  }
  const { client = someClient } = known
  const able = known.client ? await compressionMethods(client, run) : new Set<string>()
  const compression = await chosenCompression(inputs, source.databases, run.dumpDirectory)
  const [argument = ''] = compressionArguments(client, compression, able)
  const sampled = await sampleSource(source.connection, sizes, sampleCompression(argument), run)
  const measured = target ? await sampleTarget(target.connection, run) : 'no target was given'
  const isMeasured = typeof measured !== 'string'
  const { dumpJobs, restoreJobs, verify, analyze, passphrase } = inputs
  const auto = autoJobs(run.processors)
  const fingerprint = autoReaders(run.processors)
  const free = Math.max(1, source.freeConnections - fingerprint - 4)
  const basis: Basis = {
    source: sampled,
    target: isMeasured ? measured : null,
    jobs: {
      dump: dumpJobs === 'auto' ? Math.min(auto, free) : dumpJobs,
      restore: restoreJobs === 'auto' ? auto : restoreJobs,
      fingerprint,
    },
    ...(known.schemaSeconds ? { schemaSeconds: known.schemaSeconds } : {}),
    verify,
    analyze,
    isEarly: inputs.ifTargetNotEmpty !== 'replace',
    upload: inputs.uploadDump ? { encrypted: passphrase !== undefined } : null,
  }
  const databases = sizes.map((one) => estimateDatabase(one, basis))
  const phases = phasesOf(databases)
  const isEarly = basis.isEarly && sizes.some(({ bytes }) => bytes >= partSizes.database)
  const dumpBytes = sumOf(databases.map((one) => one.dumpBytes))
  const files = sizes.reduce((all, { tables }) => all + tables.length, 0)
  const estimate: Estimate = {
    seconds: totalOf(phases, isEarly),
    dumpBytes,
    phases,
    artifacts: inputs.uploadDump ? artifactsFor(dumpBytes.high, files) : 0,
    databases,
    basis: [
      ...basisOf(sizes, sampled.tables, argument),
      isMeasured
        ? 'The target was measured with temporary tables, which is a lower bound: rows of a real table are written to its log as well'
        : `The target was not measured (${measured}): its phases go by what servers take elsewhere`,
      ...(isEarly
        ? [
            'At the low end a large database is restored while it is dumped, at the high end afterwards',
          ]
        : []),
    ],
  }
  run.record.estimate(estimate)
  run.log.info(
    `Estimate: ${formatRange(estimate.seconds, formatDuration)} in all (${phases.map(({ name, seconds }) => `${name} ${formatRange(seconds, formatDuration)}`).join(', ')}); the dump ${formatRange(dumpBytes, formatBytes)}`,
  )
  return estimate
}

/** What the output `databases-json` says of each database, for a matrix. */
export function databasesJson(
  source: Pick<Source, 'databases'> | undefined,
  estimate: Estimate | undefined,
): string {
  const whole = ({ low, high }: Range) => ({ low: Math.round(low), high: Math.round(high) })
  return JSON.stringify(
    (source?.databases ?? []).map(({ source: name, target, bytes }) => {
      const input = databasesInput({ source: name, target })
      const found = estimate?.databases.find((one) => one.name === name)
      const known = found && { seconds: whole(found.seconds), dumpBytes: whole(found.dumpBytes) }
      return { name, target, bytes, ...(known ? { estimate: known } : {}), input }
    }),
  )
}

/** Where pg_dump is not at hand: every one knows gzip. */
const someClient: ClientPrograms = {
  majorName: '15',
  version: '15',
  directory: '',
  origin: '',
  warnings: [],
}

function basisOf(
  sizes: readonly DatabaseSizes[],
  tables: ReadonlyMap<string, ReadonlyMap<string, { bytes: number }>>,
  argument: string,
): string[] {
  const samples = [...tables.values()].flatMap((known) => [...known.values()])
  const bytes = samples.reduce((sum, sample) => sum + sample.bytes, 0)
  const all = sizes.reduce((sum, one) => sum + one.tables.length, 0)
  const method = argument.replace('--compress=', '').replace(/^(\d+)$/, 'gzip:$1')
  return [
    samples.length > 0
      ? `${formatBytes(bytes)} of rows were read from ${samples.length} of ${counted(all, 'table')}, and compressed with ${method}`
      : 'No rows could be read for a sample: sizes alone say how long the dump takes',
    ...(sizes.some(({ tables: known }) =>
      known.some(({ rows, bytes }) => rows === null && bytes > 0),
    )
      ? ['Some tables were never analyzed: their rows are guessed from their size']
      : []),
  ]
}

function phasesOf(databases: Estimate['databases']): EstimatedPhase[] {
  const names = [...new Set(databases.flatMap(({ phases }) => phases.map(({ name }) => name)))]
  return names.map((name) => ({
    name,
    seconds: sumOf(
      databases.flatMap(({ phases }) =>
        phases.filter((phase) => phase.name === name).map(({ seconds }) => seconds),
      ),
    ),
  }))
}

function sumOf(ranges: readonly Range[]): Range {
  return ranges.reduce((all, one) => ({ low: all.low + one.low, high: all.high + one.high }), {
    low: 0,
    high: 0,
  })
}
