/**
 * Runs an action's bundle the way a GitHub runner does: its own environment and nothing of ours, inputs and state as
 * variables, files for outputs, state, environment and summary, the workspace as the current directory. And reads its
 * log the way a runner does: `runnerCommands`.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { parse } from 'yaml'
import { compileCache } from './run-directory.ts'
import { guard, isRoot, reachable } from './server.ts'

export { type RunnerCommand, runnerCommands, visibleLog } from './runner-commands.ts'

export interface ActionOptions {
  /** As under `with:`; names as in action.yml. */
  inputs?: Record<string, string>
  /** An action.yml: inputs that are not given have its defaults, as on a runner. */
  metadata?: string
  /** What an earlier step of the same action saved: post gets main's. */
  state?: Record<string, string>
  /** Variables beyond the runner's own; undefined takes one of those away. */
  env?: Record<string, string | undefined>
  /** The directory of an earlier run, to go on in its job: same workspace, temporary directory and tool cache. */
  directory?: string
  /** Run a copy of the folder of bundles from an empty directory, so that no node_modules is around it. */
  isolated?: boolean
  /** Run as somebody else; needs root. */
  user?: { uid: number; gid: number }
  /** Text of the log as it comes, standard output and error alike. */
  onLog?: (text: string) => void
}

export interface ActionResult {
  /** The exit status; null when a signal ended it. */
  code: number | null
  signal: NodeJS.Signals | null
  log: string
  outputs: Record<string, string>
  state: Record<string, string>
  env: Record<string, string>
  /** The job summary's Markdown. */
  summary: string
  /** Everything below is in here. */
  directory: string
  temp: string
  tools: string
  workspace: string
  /** Processes that the action left behind, by their command line. */
  orphans: () => { pid: number; command: string }[]
  /** Ends what it left behind and removes the directory. */
  cleanUp: () => void
}

export interface RunningAction {
  readonly pid: number
  readonly directory: string
  readonly temp: string
  /** The log so far. */
  log: () => string
  /** Resolves when the log matches; rejects when the action ends without. */
  logged: (pattern: RegExp) => Promise<void>
  kill: (signal: NodeJS.Signals) => void
  /**
   * As a cancelled job: SIGINT, 7.5 s later SIGTERM, and at last SIGKILL, to the action's process alone. A runner sends that 2.5 s
   * later (that what is to be done fits in, unit/cancellation adds up); here it comes late enough for a machine that has three
   * other tests on its two processors, and still ends what hangs.
   */
  cancel: () => void
  readonly result: Promise<ActionResult>
}

const files = {
  GITHUB_OUTPUT: 'output',
  GITHUB_STATE: 'state',
  GITHUB_ENV: 'env',
  GITHUB_PATH: 'path',
  GITHUB_STEP_SUMMARY: 'summary.md',
}

/** Runs a bundle to its end. @param bundle the path of its entry file */
export async function runAction(
  bundle: string,
  options: ActionOptions = {},
): Promise<ActionResult> {
  return startAction(bundle, options).result
}

/** Starts a bundle, for tests that send it signals while it runs. */
export function startAction(bundle: string, options: ActionOptions = {}): RunningAction {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'runner-'))
  const dismissGuard = options.directory ? undefined : guard(directory)
  const folder = (name: string) => {
    mkdirSync(join(directory, name), { recursive: true })
    return join(directory, name)
  }
  const [temp, tools, workspace, home] = ['temp', 'tools', 'workspace', 'home'].map(folder) as [
    ...[string, string, string, string],
  ]
  const commands = folder(`commands-${randomUUID()}`)
  for (const name of Object.values(files)) writeFileSync(join(commands, name), '')
  writeFileSync(join(commands, 'event.json'), JSON.stringify({ repository: { private: true } }))
  const entry = options.isolated ? isolate(bundle, folder('action')) : bundle
  const node = nodeProgram(directory, options.user !== undefined)
  if (options.user) {
    const { uid, gid } = options.user
    execFileSync('chown', ['-R', `${uid}:${gid}`, directory])
  }
  const child = spawn(node, [entry], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: workspace,
    ...options.user,
    env: {
      ...runnerEnvironment({ directory, temp, tools, workspace, home, commands }),
      // a copy of the bundles is run once, and what is run is ours alone to write
      ...(options.isolated || options.user ? {} : compileCache()),
      ...inputVariables(options),
      ...prefixed('STATE_', options.state ?? {}),
      ...options.env,
    },
  })
  const log = collect(child, options.onLog)
  const ended = new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve([code, signal]))
  })
  const read = (name: keyof typeof files) => readFileSync(join(commands, files[name]), 'utf8')
  const left = () => orphans(directory)
  const result = ended.then(([code, signal]) => ({
    ...{ code, signal, directory, temp, tools, workspace, orphans: left },
    log: log.text(),
    outputs: fileCommands(read('GITHUB_OUTPUT')),
    state: fileCommands(read('GITHUB_STATE')),
    env: fileCommands(read('GITHUB_ENV')),
    summary: read('GITHUB_STEP_SUMMARY'),
    cleanUp: () => {
      for (const { pid } of left()) endProcess(pid)
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
      void dismissGuard?.()
    },
  }))
  return {
    ...{ pid: child.pid ?? 0, directory, temp, result },
    log: log.text,
    logged: async (pattern) => {
      const matched = log.until(pattern)
      await Promise.race([matched, ended])
      if (!pattern.test(log.text()))
        throw new Error(`the action ended before it wrote ${pattern}:\n${log.text()}`)
    },
    kill: (signal) => void child.kill(signal),
    cancel: () => {
      child.kill('SIGINT')
      const timers = [
        setTimeout(() => child.kill('SIGTERM'), 7500),
        setTimeout(() => child.kill('SIGKILL'), 40_000),
      ]
      child.on('exit', () => timers.forEach(clearTimeout))
    },
    result,
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function collect(child: ChildProcess, onLog: ((text: string) => void) | undefined) {
  let text = ''
  const waiting = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      onLog?.(chunk)
      for (const look of waiting) look()
    })
  return {
    text: () => text,
    until: (pattern: RegExp) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (!pattern.test(text)) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
  }
}

function isolate(bundle: string, to: string): string {
  // an action's bundles start one another, so all of dist/ comes along
  const folder = dirname(bundle)
  const root = basename(dirname(folder)) === 'dist' ? dirname(folder) : folder
  cpSync(root, to, { recursive: true })
  return join(to, relative(root, bundle))
}

/** Node 24, which the runner brings; a copy of it where another user could not reach it. */
function nodeProgram(directory: string, otherUser: boolean): string {
  const installed = join(import.meta.dirname, '..', '..', 'node_modules', 'node', 'bin', 'node')
  const current = Number(process.versions.node.split('.')[0]) >= 24
  const program = current || !existsSync(installed) ? process.execPath : installed
  if (!otherUser || !isRoot || reachable(program)) return program
  const copy = join(directory, 'node')
  if (!existsSync(copy)) copyFileSync(program, copy)
  return copy
}

function runnerEnvironment(at: Record<string, string>): Record<string, string> {
  const path = (process.env.PATH ?? '').split(':').filter((entry) => !/node_modules/.test(entry))
  return {
    ...Object.fromEntries(
      Object.entries(files).map(([name, file]) => [name, join(at.commands ?? '', file)]),
    ),
    PATH: path.join(':'),
    HOME: at.home ?? '',
    LANG: 'C.UTF-8',
    CI: 'true',
    GITHUB_ACTIONS: 'true',
    GITHUB_ACTION: '__owner_migrate-to-polardb',
    GITHUB_ACTOR: 'octocat',
    GITHUB_API_URL: 'https://api.github.com',
    GITHUB_EVENT_NAME: 'workflow_dispatch',
    GITHUB_EVENT_PATH: join(at.commands ?? '', 'event.json'),
    GITHUB_GRAPHQL_URL: 'https://api.github.com/graphql',
    GITHUB_JOB: 'migrate',
    GITHUB_REF: 'refs/heads/main',
    GITHUB_REPOSITORY: 'octocat/shop',
    GITHUB_REPOSITORY_OWNER: 'octocat',
    GITHUB_RETENTION_DAYS: '90',
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_RUN_ID: '1',
    GITHUB_RUN_NUMBER: '1',
    GITHUB_SERVER_URL: 'https://github.com',
    GITHUB_SHA: '0123456789abcdef0123456789abcdef01234567',
    GITHUB_WORKFLOW: 'Migrate',
    GITHUB_WORKSPACE: at.workspace ?? '',
    RUNNER_ARCH: 'X64',
    RUNNER_ENVIRONMENT: 'self-hosted',
    RUNNER_NAME: 'test',
    RUNNER_OS: 'Linux',
    RUNNER_TEMP: at.temp ?? '',
    RUNNER_TOOL_CACHE: at.tools ?? '',
    RUNNER_TRACKING_ID: `github_${basename(at.directory ?? '')}`,
  }
}

function prefixed(prefix: string, values: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [prefix + name, value]))
}

function inputVariables({ inputs = {}, metadata }: ActionOptions): Record<string, string> {
  const values: Record<string, string> = {}
  if (metadata) {
    const declared = parse(readFileSync(metadata, 'utf8')) as {
      inputs?: Record<string, { default?: unknown }>
    }
    for (const [name, input] of Object.entries(declared.inputs ?? {}))
      values[name] = String(input.default ?? '')
  }
  return Object.fromEntries(
    Object.entries({ ...values, ...inputs }).map(([name, value]) => [
      `INPUT_${name.replaceAll(' ', '_').toUpperCase()}`,
      value,
    ]),
  )
}

/** The file in which an action hands over values: `name=value` lines, and `name<<end … end` for several lines. */
function fileCommands(text: string): Record<string, string> {
  const values: Record<string, string> = {}
  const lines = text.split('\n')
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? ''
    if (line === '') continue
    const [, name, separator, rest] = /^(.+?)(<<|=)(.*)$/s.exec(line) ?? []
    if (!name || rest === undefined) throw new Error(`Invalid format '${line}'`)
    if (separator === '=') {
      values[name] = rest
      continue
    }
    const end = lines.indexOf(rest, at + 1)
    if (end < 0) throw new Error(`Invalid value. Matching delimiter not found '${rest}'`)
    values[name] = lines.slice(at + 1, end).join('\n')
    at = end
  }
  return values
}

/**
 * Processes that carry the run's tracking id, which is how a runner finds what a job left behind, or that name a path
 * of the run's directory: a program with an environment of its own lacks the id.
 */
export function orphans(directory: string): { pid: number; command: string }[] {
  const found: { pid: number; command: string }[] = []
  const marks = [`github_${basename(directory)}\0`, directory]
  for (const pid of readdirSync('/proc').map(Number)) {
    if (!pid || pid === process.pid) continue
    try {
      const [, parent] =
        / \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8').split(')').pop() ?? '') ?? []
      if (Number(parent) === process.pid) continue // the directory's guard
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
      const place = readlinkSync(`/proc/${pid}/cwd`)
      if (marks.some((mark) => `${environment}\0${command}\0${place}`.includes(mark)))
        found.push({ pid, command: command.replaceAll('\0', ' ').trim() })
    } catch {
      // it ended meanwhile, or belongs to somebody else
    }
  }
  return found
}
