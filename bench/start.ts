/**
 * How large the bundles are, and how long they take to their first line: the step's without inputs, which says what is wrong with
 * them, and the command line's help; each beside Node alone and beside itself with Node's compile cache, in turns.
 *
 *     node bench/start.ts [rounds]
 *
 * Prints Markdown. What is in dist/ is measured, so build it first.
 */

import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from '../__tests__/support/server.ts'

const rounds = Number(process.argv[2] ?? 15)
const dist = join(import.meta.dirname, '..', 'dist')
const directory = temporaryDirectory('bench-start-')

/** Seconds from the start of a process to its first output, and the processor time that it took to its end. */
interface Start {
  first: number
  cpu: number
}

const bundle = (name: string, ...options: string[]) => [join(dist, name, 'index.js'), ...options]
const cache = { NODE_COMPILE_CACHE: join(directory, 'cache') }
const ways: Record<string, () => Promise<Start>> = {
  'Node alone': () => start(['--print', '1']),
  'the step': () => start(bundle('main')),
  'the step, with a compile cache': () => start(bundle('main'), cache),
  'the command line': () => start(bundle('cli', '--help')),
  'the command line, with a compile cache': () => start(bundle('cli', '--help'), cache),
}
try {
  const taken = new Map<string, Start[]>()
  for (const run of Object.values(ways)) await run()
  for (let round = 0; round < rounds; round++)
    for (const [way, run] of Object.entries(ways))
      taken.set(way, [...(taken.get(way) ?? []), await run()])
  console.log('| bundle | MB |\n| --- | ---: |')
  for (const name of readdirSync(dist)) {
    const files = readdirSync(join(dist, name)).filter((file) => file.endsWith('.js'))
    const bytes = files.reduce((sum, file) => sum + statSync(join(dist, name, file)).size, 0)
    console.log(`| ${name} | ${(bytes / 1e6).toFixed(1)} |`)
  }
  console.log(`\nMedians of ${rounds} rounds, in turns:\n`)
  console.log('| what | to its first line, s | processor time, s |\n| --- | ---: | ---: |')
  for (const [way, all] of taken) {
    const [first, cpu] = [median(all.map((one) => one.first)), median(all.map((one) => one.cpu))]
    console.log(`| ${way} | ${first.toFixed(2)} | ${cpu.toFixed(2)} |`)
  }
} finally {
  rmSync(directory, { recursive: true, force: true })
}

/** Runs Node in an empty directory, and waits for its end. */
async function start(parameters: string[], environment: object = {}): Promise<Start> {
  const began = performance.now()
  const usage = join(directory, 'usage.json')
  const probe = ['--import', join(import.meta.dirname, 'usage.mjs')]
  const child = spawn(process.execPath, [...probe, ...parameters], {
    cwd: directory,
    env: {
      PATH: process.env.PATH,
      HOME: directory,
      RUNNER_TEMP: directory,
      BENCH_USAGE: usage,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let first = Number.NaN
  child.stdout.on('data', () => {
    if (Number.isNaN(first)) first = (performance.now() - began) / 1000
  })
  await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  const { cpu } = JSON.parse(readFileSync(usage, 'utf8')) as { cpu: number }
  return { first, cpu }
}

function median(all: number[]): number {
  return all.toSorted((one, other) => one - other)[Math.floor(all.length / 2)] ?? Number.NaN
}
