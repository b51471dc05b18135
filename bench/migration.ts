/**
 * The whole migration beside the commands that it replaces, in turns on the same servers: the documented commands, the same
 * tuned by hand, the bundle in two of its modes, and pgcopydb where it is on PATH. Prints medians, ratios and the goals, and writes
 * them as JSON and as a picture.
 *
 *     npm run bench -- [--database mixed,tables,one,objects,wide] [--scale 1] [--rounds 3] [--far] [--output bench-results]
 *     npm run bench -- --markdown [--scale 1] [--rounds 3]
 *
 * `--far` puts 200 Mbit/s and 5 ms between the source and everybody else. `--markdown` measures all databases, near and far, and
 * writes the tables as Markdown, too. Starts servers of its own and removes them again; the bundle in dist/ is what is measured,
 * so build it first.
 */

import { spawn } from 'node:child_process'
import { accessSync, constants, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { delimiter, join } from 'node:path'
import { parseArgs } from 'node:util'
import { clientDirectory } from '../__tests__/support/clients.ts'
import { ResultsServer } from '../__tests__/support/results-server.ts'
import { runAction } from '../__tests__/support/runner.ts'
import { TestServer, temporaryDirectory } from '../__tests__/support/server.ts'
import type { Report } from '../src/report/model.ts'
import { databases } from './databases.ts'
import { far } from './far.ts'
import { core, everything, goalsOf, type Measured, type Run, summary } from './goals.ts'
import { picture } from './picture.ts'
import { cpuOf, ofServer, type ProcessorTime } from './processors.ts'

const { values } = parseArgs({
  options: {
    database: { type: 'string' },
    scale: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '3' },
    far: { type: 'boolean', default: false },
    markdown: { type: 'boolean', default: false },
    output: { type: 'string', default: 'bench-results' },
  },
})
const names = (
  values.database ?? (values.markdown ? Object.keys(databases).join() : 'mixed')
).split(',')
const scale = Number(values.scale)
const rounds = Number(values.rounds)
const major = 15
const root = join(import.meta.dirname, '..')
const cores = availableParallelism()
let runs = 0

const programs = await clientDirectory(major)
if (!programs) throw new Error(`the client programs of PostgreSQL ${major} are missing`)

interface Way {
  name: string
  /** @returns what is to be known of its parts */
  run(source: string, target: string): Promise<Omit<Run, 'seconds' | 'processor'>>
}

const directory = temporaryDirectory('bench-')
const results = await ResultsServer.start()
const settings = {
  shared_buffers: "'1GB'",
  max_wal_size: "'4GB'",
  max_connections: '100',
  max_locks_per_transaction: '256',
}
const source = await TestServer.start(major, { settings })
const target = await TestServer.start(major, { settings })
const line = await far(source.port, 200e6, 5)

try {
  const measured: Measured[] = []
  for (const name of names) {
    const kind = databases[name]
    if (!kind) throw new Error(`there is no database "${name}": ${Object.keys(databases)}`)
    await source.sql(`CREATE DATABASE ${name}`)
    for (const statement of kind.statements(scale)) await source.sql(statement, name)
    await source.sql('VACUUM ANALYZE', name)
    await source.sql('CHECKPOINT')
    const about = `${kind.about}${scale === 1 ? '' : `, times ${scale}`}`
    for (const isFar of values.markdown ? [false, true] : [values.far])
      measured.push(await measure(name, about, isFar))
    await source.sql(`DROP DATABASE ${name}`)
  }
  mkdirSync(values.output, { recursive: true })
  const machine = `${cores} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, PostgreSQL ${major} on both sides`
  const date = new Date().toISOString().slice(0, 10)
  const about = { machine, date, scale, rounds }
  writeFileSync(
    join(values.output, 'migration.json'),
    `${JSON.stringify({ ...about, measured }, null, 2)}\n`,
  )
  writeFileSync(join(values.output, 'migration.svg'), picture(measured, `${date}, ${machine}`))
  if (values.markdown)
    writeFileSync(
      join(values.output, 'migration.md'),
      `${date}, ${machine}, medians of ${rounds}\n\n${measured.map(summary).join('\n')}`,
    )
  console.log(`${machine}; the figures and a picture are in ${values.output}/`)
} finally {
  await line.stop()
  await source.stop()
  await target.stop()
  await results.stop()
  rmSync(directory, { recursive: true, force: true })
}

/** Runs every way in turns, `rounds` times. */
async function measure(name: string, about: string, isFar: boolean): Promise<Measured> {
  const taken = new Map<string, Run[]>()
  for (let round = 0; round < rounds; round++) {
    for (const way of ways()) {
      await target.sql(`DROP DATABASE IF EXISTS ${name}`)
      await target.sql('CHECKPOINT')
      const uri = source.uri(name)
      const began = performance.now()
      const before = processorTime()
      const parts = await way.run(
        isFar ? uri.replace(`:${source.port}/`, `:${line.port}/`) : uri,
        target.uri('postgres'),
      )
      const seconds = (performance.now() - began) / 1000
      const after = processorTime()
      const processor = {
        source: after.source - before.source,
        target: after.target - before.target,
        runner: after.runner - before.runner,
      }
      taken.set(way.name, [...(taken.get(way.name) ?? []), { ...parts, seconds, processor }])
      console.log(`${name}, round ${round + 1}: ${way.name} ${seconds.toFixed(1)} s`)
    }
  }
  const all = [...taken].map(([way, runs]) => ({ way, runs }))
  const measured = goalsOf({ database: name, about, far: isFar }, all)
  console.log(`\n${summary(measured)}`)
  return measured

  function ways(): Way[] {
    const all: Way[] = [
      {
        name: 'the documented commands',
        run: (from, to) => byHand(from, to, name, ['-j', '5'], ['-j', '6']),
      },
      {
        name: 'the same, tuned by hand',
        run: (from, to) =>
          byHand(from, to, name, ['-j', String(cores), '-Z1'], ['-j', String(cores)]),
      },
      {
        name: core,
        run: (from, to) =>
          action(from, to, {
            roles: 'skip',
            verify: 'counts',
            analyze: 'false',
            'upload-dump': 'false',
          }),
      },
      { name: everything, run: (from, to) => action(from, to, {}) },
    ]
    const pgcopydb = onPath('pgcopydb')
    if (pgcopydb) {
      all.push({
        name: 'pgcopydb clone, 4 + 4 jobs',
        run: async (from) => {
          await target.sql(`CREATE DATABASE ${name}`)
          const jobs = ['--table-jobs', '4', '--index-jobs', '4']
          const place = ['--dir', join(directory, 'pgcopydb'), '--restart', '--no-role-passwords']
          const sides = ['--source', from, '--target', target.uri(name)]
          await program(pgcopydb, ['clone', ...sides, ...jobs, ...place])
          return {}
        },
      })
    }
    return all
  }
}

/** What everybody has taken so far. */
function processorTime(): ProcessorTime {
  const runner = cpuOf(process.pid).children
  return { source: ofServer(source), target: ofServer(target), runner }
}

/** The procedure as documented: roles, dump, restore into a database that was made beforehand. */
async function byHand(
  from: string,
  to: string,
  name: string,
  dumpOptions: string[],
  restoreOptions: string[],
): Promise<{ halves: [dump: number, restore: number] }> {
  const roles = join(directory, 'roles.sql')
  const dump = join(directory, 'dump')
  await program(join(programs ?? '', 'pg_dumpall'), ['-d', from, '-r', '-f', roles])
  const began = performance.now()
  await program(join(programs ?? '', 'pg_dump'), ['-d', from, '-Fd', ...dumpOptions, '-f', dump])
  const dumped = performance.now()
  await program(join(programs ?? '', 'psql'), ['-q', '-d', to, '-f', roles])
  await target.sql(`CREATE DATABASE ${name}`)
  await program(join(programs ?? '', 'pg_restore'), [
    '-d',
    target.uri(name),
    ...restoreOptions,
    dump,
  ])
  const restored = performance.now()
  rmSync(dump, { recursive: true, force: true })
  return { halves: [(dumped - began) / 1000, (restored - dumped) / 1000] }
}

async function action(
  from: string,
  to: string,
  inputs: Record<string, string>,
): Promise<Omit<Run, 'seconds' | 'processor'>> {
  const run = await runAction(join(root, 'dist', 'main', 'index.js'), {
    inputs: {
      command: 'migrate',
      source: from,
      target: to,
      'client-path': programs ?? '',
      'allow-public-artifact': 'true',
      ...inputs,
    },
    env: results.environment(String(++runs)),
  })
  const { report: path, verified, 'cutover-seconds': outage } = run.outputs
  const proven = inputs.verify !== undefined || verified === 'true'
  if (run.code !== 0 || !proven || path === undefined) throw new Error(run.log)
  const { phases } = JSON.parse(readFileSync(path, 'utf8')) as Report
  run.cleanUp()
  return {
    outage: Number(outage),
    phases: phases.map(({ name, startedAt, seconds }) => ({ name, startedAt, seconds })),
  }
}

/** Ends with an error when it fails; what it prints of roles that exist is no failure of the procedure. */
async function program(path: string, parameters: string[]): Promise<void> {
  const child = spawn(path, parameters, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (text: Buffer) => {
    said = (said + text).slice(-2000)
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code !== 0) throw new Error(`${path} ended with ${code}: ${said}`)
}

function onPath(name: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((entry) => join(entry, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}
