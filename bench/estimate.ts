/**
 * How far the estimate of a migration is from the truth: five databases of different kinds, each estimated, then migrated, on
 * two servers of this machine.
 *
 *     node bench/estimate.ts [major] [scale]
 *
 * Prints a Markdown table: what was said, what it was, and by which factor it lies outside of the range (1.00 is inside). Starts
 * servers of its own and removes them again. With a scale of 1 the databases hold some 50 MB each.
 */

import { clientDirectory } from '../__tests__/support/clients.ts'
import { runInProcess } from '../__tests__/support/in-process.ts'
import { between } from '../__tests__/support/migration.ts'
import { type Major, majors, TestServer } from '../__tests__/support/server.ts'
import { inspectSource, inspectTarget } from '../src/migration/checks/preflight.ts'
import { withSchemas } from '../src/migration/dump/schemas.ts'
import { openDumpSource } from '../src/migration/dump/source.ts'
import { estimateMigration } from '../src/migration/estimate/estimate.ts'
import { required } from '../src/migration/inputs.ts'
import type { Run } from '../src/migration/run.ts'
import type { Range, Report } from '../src/report/model.ts'
import { formatBytes, formatDuration, formatRange } from '../src/text/numbers.ts'

const major = majors.find((one) => one === Number(process.argv[2] ?? 15)) satisfies
  | Major
  | undefined
if (major === undefined) throw new Error(`major must be one of ${majors.join(', ')}`)
const scale = Number(process.argv[3] ?? 1)
const times = (count: number) => Math.ceil(count * scale)

const kinds: Record<string, string> = {
  'many small tables': `DO $$ BEGIN FOR t IN 1..${times(1500)} LOOP
      EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, at timestamptz DEFAULT now(), note text)', t);
      EXECUTE format('INSERT INTO t%s SELECT g, now(), md5(g::text) FROM generate_series(1, 50) g', t);
      IF t %% 100 = 0 THEN COMMIT; END IF;
    END LOOP; END $$`.replaceAll('%%', '%'),
  'one large table': `CREATE TABLE accounts AS SELECT g AS aid, g % 50 AS bid, 0 AS balance, ' '::char(84) AS filler
      FROM generate_series(1, ${times(500_000)}) g; ALTER TABLE accounts ADD PRIMARY KEY (aid)`,
  'heavy indexes': `CREATE TABLE events AS SELECT g AS id, g % 1000 AS who, timestamptz '2024-01-01' + g * interval '1 s' AS at,
      jsonb_build_object('a', g, 'b', md5(g::text), 'tags', ARRAY['q' || g % 97, 'r' || g % 89]) AS payload,
      md5(g::text) AS note, (g * 1.01)::numeric(12, 2) AS amount FROM generate_series(1, ${times(150_000)}) g;
      ALTER TABLE events ADD PRIMARY KEY (id); CREATE INDEX ON events (who, at); CREATE INDEX ON events (note);
      CREATE INDEX ON events (at); CREATE INDEX ON events (amount); CREATE INDEX ON events USING gin (payload)`,
  'large objects': `DO $$ BEGIN FOR o IN 1..${times(2000)} LOOP
      PERFORM lo_from_bytea(0, decode(repeat(md5(o::text), 300 + o % 500), 'hex')); END LOOP; END $$`,
  'wide rows': `CREATE TABLE documents AS SELECT g AS id,
      (SELECT string_agg(md5((g * 400 + w)::text), ' ') FROM generate_series(1, 400) w) AS body
      FROM generate_series(1, ${times(4000)}) g; ALTER TABLE documents ADD PRIMARY KEY (id)`,
}

const programs = await clientDirectory(major)
if (programs === undefined) throw new Error(`the client programs of ${major} are missing`)
const settings = { autovacuum: 'off' }
const source = await TestServer.start(major, { settings })
const target = await TestServer.start(major, { settings })
/** The factor by which a value lies outside of a range; below one where it is too small. */
const outside = ({ low, high }: Range, truth: number) =>
  truth > high ? truth / high : truth < low ? truth / low : 1
const factors: number[] = []
try {
  console.log(`PostgreSQL ${major}, scale ${scale}\n`)
  console.log('| database | what | estimate | truth | outside by |')
  console.log('|---|---|---|---|---|')
  for (const [index, [kind, sql]] of Object.entries(kinds).entries()) {
    const name = `bench_${index}`
    await source.sql(`CREATE DATABASE ${name}`)
    await source.sql(sql, name)
    await source.sql('ANALYZE', name)
    const inputs = {
      ...between(source, target, name),
      'client-path': programs,
      'upload-dump': 'false',
      roles: 'skip',
    }
    const estimated = (await runInProcess(inputs, {}, estimating)).report
    const { estimate } = estimated
    if (!estimate) throw new Error('there is no estimate')
    const { report, error } = await runInProcess(inputs)
    if (error !== undefined) throw error
    const say = (what: string, range: Range, truth: number, format: (value: number) => string) => {
      const factor = outside(range, truth)
      factors.push(factor)
      console.log(
        `| ${kind} | ${what} | ${formatRange(range, format)} | ${format(truth)} | ${factor.toFixed(2)} |`,
      )
    }
    const of = (...names: string[]) =>
      estimate.phases
        .filter((phase) => names.includes(phase.name))
        .reduce(
          (all, { seconds }) => ({ low: all.low + seconds.low, high: all.high + seconds.high }),
          { low: 0, high: 0 },
        )
    say('dump', of('dump'), secondsOf(report, 'dump'), formatDuration)
    say('restore, indexes', of('restore', 'indexes'), secondsOf(report, 'restore'), formatDuration)
    say('analyze', of('analyze'), secondsOf(report, 'analyze'), formatDuration)
    say('verify', of('verify'), secondsOf(report, 'verify'), formatDuration)
    const all = secondsOf(report, 'dump', 'restore', 'analyze', 'verify')
    say('all', estimate.seconds, all, formatDuration)
    say('bytes of the dump', estimate.dumpBytes, report.databases[0]?.dumpBytes ?? 0, formatBytes)
    await source.sql(`DROP DATABASE ${name}`)
    await target.sql(`DROP DATABASE ${name}`)
  }
  const wrong = factors.filter((factor) => factor !== 1)
  const worst = wrong.map((factor) => Math.max(factor, 1 / factor))
  console.log(
    `\n${factors.length - wrong.length} of ${factors.length} lie in their range; the worst is outside by a factor of ${Math.max(1, ...worst).toFixed(2)}`,
  )
} finally {
  await source.stop()
  await target.stop()
}

/** As the command preflight estimates: pg_dump is there, and has dumped the definitions. */
async function estimating(run: Run): Promise<void> {
  const { inputs } = run
  const reached = await inspectTarget(required(inputs, 'target'), inputs, run)
  const looked = await inspectSource(required(inputs, 'source'), inputs.databases, run)
  const dumpSource = await openDumpSource(looked, run, reached)
  await withSchemas(looked, dumpSource, run, async (dumping) => {
    const { seconds: schemaSeconds } = await dumping
    await estimateMigration(looked, reached, run, { client: dumpSource.client, schemaSeconds })
  })
}

function secondsOf(report: Report, ...names: string[]): number {
  return report.phases
    .filter(({ name }) => names.includes(name))
    .reduce((sum, { seconds }) => sum + seconds, 0)
}
