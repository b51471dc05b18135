/**
 * What our own work costs beside that of the servers and the client programs, for more and more small tables, and for many
 * roles: the processor time and the peak of memory of the action's own process. The goal: two seconds and a millisecond a table,
 * and 150 MB for 10,000 tables.
 *
 *     node bench/linear.ts [--tables 1000,3000,10000] [--roles 10000] [--from src] [--output bench-results]
 *
 * Prints Markdown, and writes `linear.json`, `linear.svg` and `linear-memory.svg`, each of them after every run, so that one that is
 * ended early leaves what it has measured. `--roles 0` leaves the roles out. Starts servers of its own and removes them again; the
 * bundle in dist/ is what is measured, or that below another directory (`--from`), or with `--from src` the source.
 */

import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { clientDirectory } from '../__tests__/support/clients.ts'
import { between, metadata, withoutPassword } from '../__tests__/support/migration.ts'
import { startPlainTarget } from '../__tests__/support/polardb-standin.ts'
import { runAction } from '../__tests__/support/runner.ts'
import { TestServer, temporaryDirectory } from '../__tests__/support/server.ts'
import { smallTables } from './databases.ts'
import { type Line, lines } from './picture.ts'

const { values } = parseArgs({
  options: {
    tables: { type: 'string', default: '1000,3000,10000' },
    roles: { type: 'string', default: '10000' },
    from: { type: 'string', default: 'dist' },
    output: { type: 'string', default: 'bench-results' },
  },
})
const root = join(import.meta.dirname, '..')
const main =
  values.from === 'src'
    ? join(root, 'src', 'main.ts')
    : join(resolve(root, values.from), 'main', 'index.js')

/** What usage.mjs writes of a run: of the action's own process, up to the beginning of each phase and up to its end. */
interface Taken {
  /** Seconds of processor time. */
  cpu: number
  /** Bytes that were resident at most. */
  memory: number
}
type Usage = Taken & { phases: (Taken & { name: string })[] }

/** A run of the action, and what it took. */
interface Row {
  what: string
  count: number
  command: 'preflight' | 'migrate'
  /** Seconds from its start to its end. */
  seconds: number
  usage: Usage
  /** Seconds that pg_dump takes for the same definitions, or pg_dumpall for the roles. */
  program: number
}

const found = await clientDirectory(15)
if (found === undefined) throw new Error('the client programs of 15 are missing')
const programs = found
const directory = temporaryDirectory('bench-linear-')
// room for the locks of a dump, as a server with so many tables has to have it
const settings = { autovacuum: 'off', max_locks_per_transaction: '1024' }
const source = await TestServer.start(15, { settings })
const target = await startPlainTarget(15, { settings })
const rows: Row[] = []
try {
  for (const count of values.tables.split(',').map(Number)) {
    const name = `tables_${count}`
    await source.sql(`CREATE DATABASE ${name}`)
    for (let made = 0; made < count; made += 500)
      await source.sql(smallTables(Math.min(500, count - made), 10, made), name)
    await source.sql('ANALYZE', name)
    await measure('tables', count, name, { roles: 'skip' })
    await source.sql(`DROP DATABASE ${name}`)
    await target.backend.sql(`DROP DATABASE ${name}`)
  }
  const roles = Number(values.roles)
  if (roles > 0) {
    // teams of a hundred, whose first role is granted to the others
    await source.sql(`DO $$ BEGIN FOR r IN 1..${roles} LOOP
      EXECUTE format('CREATE ROLE worker_%s', r);
      IF r % 100 > 1 THEN EXECUTE format('GRANT worker_%s TO worker_%s', r - r % 100 + 1, r); END IF;
    END LOOP; END $$`)
    await source.sql('CREATE DATABASE roles')
    await measure('roles', roles, 'roles', {})
  }
} finally {
  await target.stop()
  await source.stop()
  rmSync(directory, { recursive: true, force: true })
}

print()

/** Writes what has been measured so far. */
function save(): void {
  mkdirSync(values.output, { recursive: true })
  writeFileSync(join(values.output, 'linear.json'), `${JSON.stringify(rows, null, 2)}\n`)
  writeFileSync(join(values.output, 'linear.svg'), drawnTime())
  writeFileSync(join(values.output, 'linear-memory.svg'), drawnMemory())
}

async function measure(
  what: string,
  count: number,
  database: string,
  inputs: Record<string, string>,
): Promise<void> {
  const began = performance.now()
  const environment = { ...process.env, PGPASSWORD: source.password }
  const uri = withoutPassword(source.uri(database))
  const ask = what === 'roles' ? ['pg_dumpall', '-r'] : ['pg_dump', '--schema-only']
  const [name = '', option = ''] = ask
  await promisify(execFile)(
    join(programs, name),
    [option, '-f', join(directory, 'definitions.sql'), '-d', uri],
    {
      env: environment,
    },
  )
  const program = (performance.now() - began) / 1000
  for (const command of ['preflight', 'migrate'] as const) {
    const file = join(directory, 'usage.json')
    const started = performance.now()
    const run = await runAction(main, {
      metadata,
      inputs: between(source, target, database, {
        ...{ command, 'client-path': programs, 'upload-dump': 'false', ...inputs },
      }),
      env: {
        BENCH_USAGE: file,
        NODE_OPTIONS: `--import=${join(import.meta.dirname, 'usage.mjs')}`,
      },
    })
    run.cleanUp()
    if (run.code !== 0) throw new Error(run.log.slice(-4000))
    const seconds = (performance.now() - started) / 1000
    const usage = JSON.parse(readFileSync(file, 'utf8')) as Usage
    rows.push({ what, count, command, seconds, usage, program })
    save()
    console.log(
      `${count} ${what}: ${command} took ${seconds.toFixed(1)} s, ${usage.cpu.toFixed(1)} s of our processor time, ${(usage.memory / 1e6).toFixed(0)} MB`,
    )
  }
}

/** Seconds of our own that a phase took, of all databases. */
function phasesOf({ phases, cpu }: Usage): Map<string, number> {
  const taken = new Map<string, number>()
  for (const [at, { name, cpu: before }] of phases.entries()) {
    const after = phases[at + 1]?.cpu ?? cpu
    taken.set(name, (taken.get(name) ?? 0) + after - before)
  }
  return taken
}

function print(): void {
  console.log(
    '\n| what | command | in all, s | pg_dump or pg_dumpall, s | our processor time, s | goal, s | our memory, MB |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |',
  )
  for (const { what, count, command, seconds, usage, program } of rows) {
    const goal = 2 + count / 1000
    console.log(
      `| ${count} ${what} | ${command} | ${seconds.toFixed(1)} | ${program.toFixed(1)} | ${usage.cpu.toFixed(1)} | ${goal.toFixed(1)} | ${(usage.memory / 1e6).toFixed(0)} |`,
    )
  }
  console.log('\nOur processor time by phase, seconds:\n')
  for (const { what, count, command, usage } of rows) {
    const parts = [...phasesOf(usage)].map(([name, taken]) => `${name} ${taken.toFixed(2)}`)
    console.log(`- ${count} ${what}, ${command}: ${parts.join(', ')}`)
  }
}

/** A line for each command, of what its runs took for so many tables. */
function linesOf(what: string, taken: (usage: Usage) => number): Line[] {
  return (['preflight', 'migrate'] as const).map((command) => ({
    name: `${command}: ${what}`,
    points: rows
      .filter((row) => row.what === 'tables' && row.command === command)
      .map(({ count, usage }) => [count, taken(usage)]),
  }))
}

/** A line of what it may take for so many tables. */
function goalLine(name: string, allowed: (count: number) => number): Line {
  const counts = new Set(rows.filter(({ what }) => what === 'tables').map(({ count }) => count))
  return { name, points: [...counts].map((count) => [count, allowed(count)]) }
}

function drawnTime(): string {
  const goal = goalLine('the goal: 2 s and 1 ms a table', (count) => 2 + count / 1000)
  const all = [...linesOf('our processor time', ({ cpu }) => cpu), goal]
  return lines(all, { x: 'tables', y: 'seconds' })
}

function drawnMemory(): string {
  const goal = goalLine('the goal: 150 MB', () => 150)
  const all = [...linesOf('our memory', ({ memory }) => memory / 1e6), goal]
  return lines(all, { x: 'tables', y: 'MB' })
}
