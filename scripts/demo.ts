// The main job on this machine: a PostgreSQL with a small shop in it moves to a stand-in for PolarDB 11, through the bundle
// in dist/, run as a GitHub runner runs it. `npm run demo -- --keep` leaves both servers up for a look.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PolarStandIn } from '../__tests__/support/polardb-standin.ts'
import { ResultsServer } from '../__tests__/support/results-server.ts'
import { runAction } from '../__tests__/support/runner.ts'
import { hasServer, type Major, majors, TestServer } from '../__tests__/support/server.ts'

const root = join(import.meta.dirname, '..')
const keep = process.argv.includes('--keep')
const say = (line = '') => process.stdout.write(`${line}\n`)

const major = chooseMajor()
const cleanUps: (() => Promise<void> | void)[] = []
let stopping = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (stopping) return
    stopping = true
    void cleanUp().then(() => process.exit(1))
  })
}

let code = 1
try {
  code = await demo()
} finally {
  if (!keep) await cleanUp()
}
process.exitCode = code

async function demo(): Promise<number> {
  say(`Starting a PostgreSQL ${major} with a small shop in it: the source`)
  const source = await TestServer.start(major)
  cleanUps.push(() => source.stop())
  await source.sql('CREATE DATABASE shop')
  await source.sql(readFileSync(join(root, 'scripts', 'demo-source.sql'), 'utf8'), 'shop')

  say(
    'Starting the target: a real PostgreSQL behind a front that answers as PolarDB 11 does. It is no PolarDB.',
  )
  const target = await PolarStandIn.start({ major })
  cleanUps.push(() => target.stop())
  const results = await ResultsServer.start()
  cleanUps.push(() => results.stop())

  say('Running dist/ as a runner does')
  say()
  const run = await runAction(join(root, 'dist', 'main', 'index.js'), {
    inputs: {
      command: 'migrate',
      source: source.uri('shop').replace(/:[^:@/]+@/, '@'),
      'source-password': source.password,
      target: target.uri('postgres').replace(/:[^:@/]+@/, '@'),
      'target-password': target.password,
      // an engineer would look at the plan's list first: on PolarDB 11 nothing of this shop is lost
      'allow-public-artifact': 'true',
    },
    env: results.environment(),
    // a runner acts on command lines and does not show them
    onLog: (text) => process.stdout.write(text.replace(/^::.*\n/gm, '')),
  })
  cleanUps.push(() => run.cleanUp())
  await runAction(join(root, 'dist', 'post', 'index.js'), {
    state: run.state,
    directory: run.directory,
  })

  const report = join(root, 'demo-report')
  rmSync(report, { recursive: true, force: true })
  mkdirSync(report)
  if (run.outputs.report && existsSync(run.outputs.report)) {
    cpSync(join(run.outputs.report, '..'), report, { recursive: true })
  }
  writeFileSync(join(report, 'summary.md'), run.summary)
  say()
  for (const { name, size } of results.artifacts()) say(`Artifact ${name}: ${size} bytes`)
  say(`The report: ${join(report, 'report.html')} and report.json`)
  say(
    `Verified: ${run.outputs.verified ?? 'false'}; cutover took ${run.outputs['cutover-seconds'] ?? '?'} s`,
  )
  if (keep) {
    say()
    say('Both servers are still up. Connect with:')
    say(`  psql '${source.uri('shop')}'   # the source`)
    say(`  psql '${target.uri('shop')}'   # the target, as the migrating account`)
    say('Ctrl-C stops them and removes everything.')
    await new Promise(() => setInterval(() => {}, 60_000))
  }
  return run.code === 0 && run.outputs.verified === 'true' ? 0 : 1
}

/** The newest major that has both an embedded server and client programs on this machine; else 15, whose client the action fetches. */
function chooseMajor(): Major {
  if (!hasServer(15)) {
    say('The demo needs the embedded PostgreSQL servers, which exist for Linux x64 only.')
    process.exit(1)
  }
  const installed = (candidate: Major) =>
    existsSync(`/usr/lib/postgresql/${candidate}/bin/pg_dumpall`) ||
    existsSync(`/usr/pgsql-${candidate}/bin/pg_dumpall`)
  return [...majors].reverse().find((candidate) => candidate >= 13 && installed(candidate)) ?? 15
}

async function cleanUp(): Promise<void> {
  for (const step of cleanUps.reverse().splice(0)) await step()
}
