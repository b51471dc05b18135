/**
 * What it brings to upload parts of a dump while it is made (src/migration/kept/early-upload.ts): the time from the end of the dump
 * until the artifact is complete, with it and without, in turns, for a dump of four databases and for the migration of one of four tables.
 *
 *     node bench/upload.ts [megabytes] [Mbit/s of the artifact service] [rounds]
 *
 * Between the source and everybody else are 200 Mbit/s and 5 ms, as with `npm run bench -- --far`. Starts servers of its own and
 * removes them again; the source of the action is what is measured.
 */

import { clientDirectory } from '../__tests__/support/clients.ts'
import { runInProcess } from '../__tests__/support/in-process.ts'
import { takeMasks } from '../__tests__/support/masks.ts'
import { ResultsServer } from '../__tests__/support/results-server.ts'
import { TestServer } from '../__tests__/support/server.ts'
import { GitHubArtifacts } from '../src/action/artifacts.ts'
import { Failure } from '../src/failure.ts'
import type { Limits } from '../src/migration/kept/upload-limits.ts'
import type { Report } from '../src/report/model.ts'
import { formatBytes } from '../src/text/numbers.ts'
import { far } from './far.ts'
import { median } from './processors.ts'

const megabytes = Number(process.argv[2] ?? 320)
const rate = Number(process.argv[3] ?? 100)
const rounds = Number(process.argv[4] ?? 3)
const major = 15
const pieces = 4

const programs = await clientDirectory(major)
if (!programs) throw new Error(`the client programs of PostgreSQL ${major} are missing`)

/** Rows of a kilobyte that no compression makes smaller than it. */
const table = (name: string) =>
  `CREATE TABLE ${name} AS SELECT g AS id, (SELECT string_agg(sha512((g * 100 + part)::text::bytea), '') FROM generate_series(1, 16) part) AS data
     FROM generate_series(1, ${Math.ceil((megabytes * 900) / pieces)}) g`

const numbers = Array.from({ length: pieces }, (_, index) => index + 1)
const kinds = [
  { command: 'dump', databases: numbers.map((number) => `part_${number}`) },
  { command: 'migrate', databases: ['whole'] },
]
const ways: [string, Partial<Limits>][] = [
  ['when the dump is complete', { early: Number.POSITIVE_INFINITY }],
  ['while it is made', {}],
]

const { stop: giveBackOutput } = takeMasks()
const settings = { max_wal_size: "'4GB'", autovacuum: 'off' }
const [source, target, results] = await Promise.all([
  TestServer.start(major, { settings }),
  TestServer.start(major, { settings }),
  ResultsServer.start(),
])
results.uploadRate = rate * 1e6
const line = await far(source.port, 200e6, 5)
let runs = 0
try {
  console.log(`${rate} Mbit/s to the artifact service, medians of ${rounds}\n`)
  console.log('| run | uploaded | dump | parts sent early | from its end to the artifact |')
  console.log('| --- | --- | ---: | ---: | ---: |')
  for (const { command, databases } of kinds) {
    for (const name of databases) {
      await source.sql(`CREATE DATABASE ${name}`)
      const tables = databases.length > 1 ? [1] : numbers
      for (const number of tables) await source.sql(table(`t${number}`), name)
    }
    const taken = ways.map(() => [] as Taken[])
    for (let round = 0; round < rounds; round++)
      for (const [index, [, limits]] of ways.entries())
        taken[index]?.push(await run(command, databases, limits))
    for (const [index, [way]] of ways.entries()) {
      const of = (figure: keyof Taken) => median((taken[index] ?? []).map((one) => one[figure]))
      const seconds = (figure: keyof Taken) => `${of(figure).toFixed(1)} s`
      console.log(
        `| ${command}, ${formatBytes(of('bytes'))} | ${way} | ${seconds('dump')} | ${of('early')} | ${seconds('rest')} |`,
      )
    }
    for (const name of databases) await source.sql(`DROP DATABASE ${name}`)
  }
} finally {
  giveBackOutput()
  await line.stop()
  await Promise.all([source.stop(), target.stop(), results.stop()])
}

interface Taken {
  /** Of the artifacts. */
  bytes: number
  /** Seconds of the dump. */
  dump: number
  /** Parts that were sent before it was complete. */
  early: number
  /** Seconds from the end of the dump until the artifact was complete. */
  rest: number
}

async function run(
  command: string,
  databases: readonly string[],
  limits: Partial<Limits>,
): Promise<Taken> {
  for (const name of databases) await target.sql(`DROP DATABASE IF EXISTS ${name}`)
  const say = { debug: () => {}, info: () => {}, warning: () => {} }
  const { error, report, lines } = await runInProcess(
    {
      command,
      source: source.uri('postgres').replace(`:${source.port}/`, `:${line.port}/`),
      ...(command === 'migrate' ? { target: target.uri('postgres') } : {}),
      databases: databases.join(),
      'client-path': programs ?? '',
    },
    {
      artifacts: new GitHubArtifacts(say, results.environment(String(++runs))),
      canUpload: true,
      uploadLimits: limits,
    },
  )
  if (error) throw error instanceof Failure ? new Error(error.line) : error
  const dumped = endOf(report, 'dump')
  return {
    bytes: report.artifact?.bytes ?? 0,
    dump: dumped - Math.min(...phases(report, 'dump').map(({ startedAt }) => startedAt)),
    early: lines.filter((text) => /^Uploaded .* while the dump goes on$/.test(text)).length,
    rest: endOf(report, 'upload') - dumped,
  }
}

function phases(report: Report, phase: string) {
  return report.phases.filter(({ name }) => name === phase)
}

function endOf(report: Report, phase: string): number {
  return Math.max(...phases(report, phase).map(({ startedAt, seconds }) => startedAt + seconds))
}
