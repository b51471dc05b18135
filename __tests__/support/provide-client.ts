import { type ExecFileException, execFile } from 'node:child_process'
import { chownSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RunnerToolCache } from '../../src/action/tool-cache.ts'
import { Cancelled, Failure } from '../../src/failure.ts'
import type { Context } from '../../src/migration/context.ts'
import {
  type ClientEnvironment,
  type ProvideOptions,
  provideClient,
} from '../../src/postgres/programs/clients/provide.ts'
import type { ClientPrograms } from '../../src/postgres/programs/programs.ts'
import { newContext } from './context.ts'
import { compileCache } from './run-directory.ts'

/** What an ordinary user's process is told to provide. */
export interface Order {
  options: ProvideOptions
  environment: Omit<ClientEnvironment, 'installed'>
  /** Where the runner's temporary files and its tool cache are. */
  temporary: string
  toolCache: string
}

export interface Outcome {
  client?: ClientPrograms
  failure?: { what: string; why: string; remedy: string }
  /** Anything else that was thrown: a defect. */
  defect?: string
  lines: string[]
  progress: string[]
  seconds: number
  user: number
}

/** As root, what the tests provide is provided by this user. */
const nobody = 65534
export const asRoot = process.getuid?.() === 0

/** Makes a directory that the ordinary user of provideAsUser can write. */
export function makeUserDirectory(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o755 })
  if (asRoot) chownSync(path, nobody, nobody)
  return path
}

/**
 * Runs provideClient in a process of its own, as an ordinary user who owns nothing but the directories of the order. No
 * installed program counts: those of this machine would be found first.
 *
 * @param kill called with the process's group, for a test that ends it
 */
export async function provideAsUser(
  order: Order,
  kill?: (end: () => void, files: string) => void,
): Promise<Outcome> {
  const directory = makeUserDirectory(join(order.temporary, `order-${Math.random().toString(36)}`))
  const file = join(directory, 'order.json')
  writeFileSync(file, JSON.stringify(order), { mode: 0o644 })
  const { promise, resolve } = Promise.withResolvers<ExecFileException | null>()
  const child = execFile(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', import.meta.filename, file],
    {
      cwd: '/',
      env: {
        PATH: process.env.PATH,
        RUNNER_TOOL_CACHE: order.toolCache,
        RUNNER_TEMP: order.temporary,
        ...compileCache('server'),
      },
      ...(asRoot ? { uid: nobody, gid: nobody } : {}),
    },
    (error) => resolve(error),
  )
  kill?.(() => child.kill('SIGKILL'), directory)
  const error = await promise
  if (kill) return { lines: [], progress: [], seconds: 0, user: 0 }
  if (error) throw error
  return JSON.parse(readFileSync(`${file}.outcome`, 'utf8'))
}

/** A context outside any runner. */
export function testContext(
  temporaryDirectory: string,
  log: (line: string) => void = () => {},
  progress: (line: string) => void = () => {},
): Context {
  return newContext('migrate', {
    log: { debug: () => {}, info: log, warning: log },
    progress: { update: progress },
    temporaryDirectory,
    warn: log,
  })
}

async function main(file: string): Promise<void> {
  const order: Order = JSON.parse(readFileSync(file, 'utf8'))
  const outcome: Outcome = {
    lines: [],
    progress: [],
    seconds: 0,
    user: process.getuid?.() ?? 0,
  }
  const context = testContext(
    order.temporary,
    (line) => void outcome.lines.push(line),
    (line) => void outcome.progress.push(line),
  )
  const started = performance.now()
  try {
    const environment = { ...order.environment, installed: () => [] }
    outcome.client = await provideClient(order.options, context, new RunnerToolCache(), environment)
  } catch (error) {
    if (error instanceof Failure) {
      outcome.failure = { what: error.message, why: error.why, remedy: error.remedy }
    } else
      outcome.defect = error instanceof Cancelled ? 'cancelled' : String((error as Error).stack)
  }
  outcome.seconds = (performance.now() - started) / 1000
  writeFileSync(`${file}.outcome`, JSON.stringify(outcome))
}

const [, script, order] = process.argv
if (script && order && realpathSync(script) === import.meta.filename) await main(order)
