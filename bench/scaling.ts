/**
 * How the restore scales with processors: measures what each load, index, key and ANALYZE of a database takes of a processor, and reckons from
 * that how long the migration takes with 1 to 32 processors on the source, the runner and the target each: by the documented commands, and
 * by the action, whose schedule is the real one (bench/modelled.ts). Then this machine does both, and the reckoned time is held against the
 * measured one.
 *
 *     npx node bench/scaling.ts [--database mixed,one] [--scale 0.15] [--times 100] [--rounds 1] [--output bench-results]
 *     npx node bench/scaling.ts --costs bench-results/scaling-costs.json [--times 100]
 *
 * `--times` reckons for a database so many times as large. `--costs` takes what an earlier run has measured, and starts no server.
 * Otherwise it starts servers of its own and removes them again; the bundle in dist/ is what is measured, so build it first.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { clientDirectory } from '../__tests__/support/clients.ts'
import { runAction } from '../__tests__/support/runner.ts'
import { TestServer, temporaryDirectory } from '../__tests__/support/server.ts'
import type { Report } from '../src/report/model.ts'
import { databases } from './databases.ts'
import { Measuring, program } from './measured-costs.ts'
import {
  action,
  type Costed,
  documented,
  leastOf,
  multiplied,
  type Told,
  type World,
} from './modelled.ts'
import { lines } from './picture.ts'
import { median } from './processors.ts'

const { values } = parseArgs({
  options: {
    database: { type: 'string', default: 'mixed' },
    scale: { type: 'string', default: '0.15' },
    times: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '1' },
    costs: { type: 'string' },
    output: { type: 'string', default: 'bench-results' },
  },
})
const major = 15
const counts = [1, 2, 4, 8, 16, 32]
const cores = availableParallelism()
const times = Number(values.times)

/** What was measured of a database. */
interface Measured {
  name: string
  costs: Costed
  /** Seconds on this machine: from the first byte dumped to the last index built. */
  taken: { documented: number[]; action: number[] }
}

const measured = values.costs
  ? (JSON.parse(readFileSync(values.costs, 'utf8')) as Measured[])
  : await measureAll()
mkdirSync(values.output, { recursive: true })
if (!values.costs)
  writeFileSync(join(values.output, 'scaling-costs.json'), JSON.stringify(measured))
const machine = `${cores} processors (${cpus()[0]?.model.trim()}), PostgreSQL ${major}`
for (const { name, costs, taken } of measured) {
  await holdAgainst(name, costs, taken)
  await scaling(name, multiplied(costs, times))
}
console.log(machine)

/** The reckoned times of this machine, on which everybody shares the processors, beside the measured ones. */
async function holdAgainst(name: string, costs: Costed, taken: Measured['taken']): Promise<void> {
  const all = { name: 'machine', cores }
  const world = { source: all, runner: all, target: all }
  const jobs = { dump: Math.max(2, cores), restore: Math.max(2, cores) }
  const reckoned = {
    documented: (await documented(costs, world, jobs)).seconds,
    action: (await action(costs, world, { jobs, overlap: true, analyze: false })).seconds,
  }
  console.log(`\n${name}: all on these ${cores} processors`)
  console.log(
    '| way | reckoned, s | measured, s | reckoned by measured |\n| --- | ---: | ---: | ---: |',
  )
  for (const way of ['documented', 'action'] as const) {
    const seconds = median(taken[way])
    const by = (reckoned[way] / seconds).toFixed(2)
    console.log(`| ${way} | ${reckoned[way].toFixed(1)} | ${seconds.toFixed(1)} | ${by} |`)
  }
}

async function scaling(name: string, costs: Costed): Promise<void> {
  const rows: { count: number; by: Told; after: Told; beside: Told; least: number }[] = []
  for (const count of counts) {
    const machine = (of: string) => ({ name: of, cores: count })
    const world: World = {
      source: machine('source'),
      runner: machine('runner'),
      target: machine('target'),
    }
    const jobs = { dump: count, restore: count }
    const options = { jobs, analyze: false }
    rows.push({
      count,
      by: await documented(costs, world, jobs),
      after: await action(costs, world, { ...options, overlap: false }),
      beside: await action(costs, world, { ...options, overlap: true }),
      least: leastOf(costs, count),
    })
  }
  console.log(
    `\n${name}${times === 1 ? '' : `, times ${times}`}: reckoned, source, runner and target with as many processors and jobs each`,
  )
  console.log(
    '| processors | documented: dump, s | restore, s | all, s | the action, one after the other: dump, s | restore, s | all, s | at once, s | ratio | no order takes less, s |',
  )
  console.log('| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |')
  for (const { count, by, after, beside, least } of rows) {
    const halves = [by, after].flatMap(({ dump, seconds }) => [dump, seconds - dump, seconds])
    const cells = [...halves, beside.seconds].map((seconds) => seconds.toFixed(1))
    const ratio = (beside.seconds / by.seconds).toFixed(2)
    console.log(`| ${[count, ...cells, ratio, least.toFixed(1)].join(' | ')} |`)
  }
  const line = (what: string, of: (row: (typeof rows)[number]) => number) => ({
    name: what,
    points: rows.map((row): [number, number] => [Math.log2(row.count), of(row)]),
  })
  const picture = lines(
    [
      line('the action, restored while it is dumped', ({ beside }) => beside.seconds),
      line('the action, dump and then restore', ({ after }) => after.seconds),
      line('the documented commands', ({ by }) => by.seconds),
    ],
    { x: 'processors as a power of two', y: 'seconds' },
    'Seconds of a migration by processors',
  )
  writeFileSync(join(values.output, `scaling-${name}.svg`), picture)
}

async function measureAll(): Promise<Measured[]> {
  const programs = await clientDirectory(major)
  if (!programs) throw new Error(`the client programs of PostgreSQL ${major} are missing`)
  const directory = temporaryDirectory('scaling-')
  const settings = {
    shared_buffers: "'1GB'",
    max_wal_size: "'4GB'",
    max_connections: '100',
    max_locks_per_transaction: '256',
  }
  const source = await TestServer.start(major, { settings })
  const target = await TestServer.start(major, { settings })
  try {
    const all: Measured[] = []
    for (const name of values.database.split(',')) {
      const kind = databases[name]
      if (!kind) throw new Error(`there is no database "${name}": ${Object.keys(databases)}`)
      await source.sql(`CREATE DATABASE ${name}`)
      for (const statement of kind.statements(Number(values.scale)))
        await source.sql(statement, name)
      await source.sql('VACUUM ANALYZE', name)
      await source.sql('CHECKPOINT')
      console.log(`${name}: ${kind.about}, times ${values.scale}`)
      const costs = await new Measuring({ source, target, programs, directory, name }).costs()
      const taken: Measured['taken'] = { documented: [], action: [] }
      const anew = async () => {
        await target.sql(`DROP DATABASE IF EXISTS ${name}`)
        await target.sql('CHECKPOINT')
      }
      for (let round = 0; round < Number(values.rounds); round++) {
        await anew()
        taken.documented.push(await byHand({ source, target, programs, directory, name }))
        await anew()
        taken.action.push(await byAction(source.uri(name), target.uri('postgres'), programs))
      }
      await anew()
      await source.sql(`DROP DATABASE ${name}`)
      all.push({ name, costs, taken })
    }
    return all
  } finally {
    await source.stop()
    await target.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

interface Place {
  source: TestServer
  target: TestServer
  programs: string
  directory: string
  name: string
}

async function byHand({ source, target, programs, directory, name }: Place): Promise<number> {
  const dump = join(directory, 'documented')
  const jobs = String(Math.max(2, cores))
  await target.sql(`CREATE DATABASE ${name}`)
  const began = performance.now()
  await program(join(programs, 'pg_dump'), ['-d', source.uri(name), '-Fd', '-j', jobs, '-f', dump])
  await program(join(programs, 'pg_restore'), ['-d', target.uri(name), '-j', jobs, dump])
  const seconds = (performance.now() - began) / 1000
  rmSync(dump, { recursive: true, force: true })
  return seconds
}

/** Without what comes before the first byte, and after the last index. */
async function byAction(from: string, to: string, programs: string): Promise<number> {
  const run = await runAction(join(import.meta.dirname, '..', 'dist', 'main', 'index.js'), {
    inputs: {
      ...{ command: 'migrate', source: from, target: to, 'client-path': programs },
      ...{ roles: 'skip', verify: 'counts', analyze: 'false', 'upload-dump': 'false' },
    },
  })
  const { report: path } = run.outputs
  if (run.code !== 0 || path === undefined) throw new Error(run.log)
  const { phases } = JSON.parse(readFileSync(path, 'utf8')) as Report
  run.cleanUp()
  const halves = phases.filter(({ name }) => /^(dump|restore)$/.test(name))
  const begin = Math.min(...halves.map(({ startedAt }) => startedAt))
  return Math.max(...halves.map(({ startedAt, seconds }) => startedAt + seconds)) - begin
}
