import { execFile, execFileSync, spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import { withLock } from './lock.ts'
import { guard } from './server.ts'

/**
 * Workflows run on this machine by act (https://github.com/nektos/act), without containers: its host mode. The action comes from
 * this directory, artifacts go to a stand-in for GitHub's service. What act does not do as GitHub does stands in docs/examples.md.
 */

const root = join(import.meta.dirname, '..', '..')
const version = 'v0.2.89'

export interface Workflow {
  inputs?: Record<string, string>
  secrets?: Record<string, string>
  vars?: Record<string, string>
  /** Variables of every job, those of the artifact service among them. */
  env?: Record<string, string>
  /** The event that starts it. */
  event?: string
  /** What GitHub tells of the event. */
  payload?: object
  /** Labels of runners beside `self-hosted` and `ubuntu-latest`: their jobs run here, too. */
  labels?: string[]
  /** Ends act and everything that it runs, as when the runner goes away. */
  signal?: AbortSignal
}

/** An action of others, in whose place a script runs; it fails where an input is missing or empty. */
export interface StubbedAction {
  inputs: string[]
  outputs?: Record<string, string>
  /** Variables for the steps that follow. */
  env?: Record<string, string>
}

export interface WorkflowResult {
  code: number | null
  log: string
  /** How each job ended, by its name. */
  jobs: Record<string, 'succeeded' | 'failed'>
}

/** Why examples are not run here, for the title of a skipped test. */
export const withoutAct = ' (skipped: act is not here, and there is no Go that could build it)'

/** act, where ACT names it, where it is in PATH, or as Go builds it, once for all runs; undefined where there is none of these. */
export async function findAct(): Promise<string | undefined> {
  const named = process.env.ACT
  if (named) return named
  const run = promisify(execFile)
  try {
    await run('act', ['--version'])
    return 'act'
  } catch {
    // not installed
  }
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'act')
  const program = join(cache, version, 'act')
  mkdirSync(cache, { recursive: true })
  await withLock(join(cache, 'lock'), async () => {
    if (existsSync(program)) return
    const made = join(cache, `${version}.made`)
    try {
      // without cgo, as act's own releases; what Go would make faster takes it as long again to compile
      const flags = ['-gcflags=all=-N -l', '-ldflags=-s -w']
      await run('go', ['install', ...flags, `github.com/nektos/act@${version}`], {
        env: {
          ...process.env,
          CGO_ENABLED: '0',
          PATH: `${process.env.PATH ?? ''}:/usr/local/go/bin`,
          GOBIN: made,
          GOFLAGS: '-mod=mod',
        },
        timeout: 600_000,
      })
      renameSync(made, dirname(program))
    } catch {
      // neither Go nor a way to its modules
    }
  })
  return existsSync(program) ? program : undefined
}

/** A repository with workflows, in which they are run. */
export class Repository {
  private readonly directory: string = mkdtempSync(join(tmpdir(), 'act-'))
  private readonly dismiss = guard(this.directory)
  private readonly act: string
  /** Local directories in the place of actions, `owner/name@ref`. */
  private readonly actions: Record<string, string>
  private readonly stubs = new Map<string, string>()

  constructor(act: string) {
    this.act = act
    this.actions = { 'your-organisation/migrate-to-polardb@v0': this.stage() }
    const git = (...words: string[]) =>
      execFileSync('git', words, { cwd: this.path('workspace'), stdio: 'ignore' })
    mkdirSync(this.path('workspace', '.github', 'workflows'), { recursive: true })
    git('init', '--quiet', '--initial-branch=main')
    git('remote', 'add', 'origin', 'https://github.com/octocat/shop.git')
    const who = ['-c', 'user.email=octocat@example.com', '-c', 'user.name=octocat']
    git(...who, 'commit', '--quiet', '--allow-empty', '--message=Begin')
  }

  private path(...parts: string[]): string {
    return join(this.directory, ...parts)
  }

  /** Puts a program before all others in the jobs' PATH. @param script of the shell */
  program(name: string, script: string): void {
    mkdirSync(this.path('bin'), { recursive: true })
    writeFileSync(this.path('bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  }

  /** Lets a script run in the place of an action of others, whatever version of it a workflow names. @param name `owner/name` */
  stub(name: string, { inputs, outputs = {}, env = {} }: StubbedAction): void {
    const at = this.path('stubs', name)
    mkdirSync(at, { recursive: true })
    const lines = (values: Record<string, string>, file: string) =>
      Object.entries(values).map(([key, value]) => `echo '${key}=${value}' >> "$${file}"`)
    const action = {
      name,
      description: `In the place of ${name}`,
      inputs: Object.fromEntries(inputs.map((input) => [input, { required: true }])),
      outputs: Object.fromEntries(
        Object.keys(outputs).map((output) => [
          output,
          { value: `\${{ steps.made.outputs.${output} }}` },
        ]),
      ),
      runs: {
        using: 'composite',
        steps: [
          {
            id: 'made',
            shell: 'bash',
            env: Object.fromEntries(
              inputs.map((input, index) => [`INPUT_${index}`, `\${{ inputs.${input} }}`]),
            ),
            run: [
              ...inputs.map((_, index) => `test -n "$INPUT_${index}"`),
              ...lines(outputs, 'GITHUB_OUTPUT'),
              ...lines(env, 'GITHUB_ENV'),
            ].join('\n'),
          },
        ],
      },
    }
    writeFileSync(join(at, 'action.yml'), stringify(action))
    this.stubs.set(name, at)
  }

  /** The action as it is checked out: the bundles, or with RUN_FROM=src what runs the source in their place. */
  private stage(): string {
    const stage = this.path('action')
    mkdirSync(join(stage, 'dist'), { recursive: true })
    for (const file of ['action.yml', 'runner', '.github/workflows/migrate.yml'])
      cpSync(join(root, file), join(stage, file), { recursive: true })
    if (process.env.RUN_FROM !== 'src') {
      cpSync(join(root, 'dist'), join(stage, 'dist'), { recursive: true })
      return stage
    }
    writeFileSync(join(stage, 'package.json'), '{"type":"module"}')
    for (const name of ['main', 'post', 'runner-start', 'runner-stop']) {
      mkdirSync(join(stage, 'dist', name))
      const source = JSON.stringify(join(root, 'src', `${name}.ts`))
      writeFileSync(join(stage, 'dist', name, 'index.js'), `await import(${source})\n`)
    }
    return stage
  }

  /** Runs a workflow as its file is. @param file its path, from the root of this repository */
  run(file: string, workflow: Workflow = {}): Promise<WorkflowResult> {
    return this.runText(basename(file), readFileSync(join(root, file), 'utf8'), workflow)
  }

  /** Runs a workflow. @param name of its file */
  async runText(name: string, text: string, workflow: Workflow = {}): Promise<WorkflowResult> {
    const {
      inputs = {},
      secrets = {},
      vars = {},
      env = {},
      payload,
      labels = [],
      signal,
    } = workflow
    const { event = 'workflow_dispatch' } = workflow
    writeFileSync(this.path('event.json'), JSON.stringify(payload ?? {}))
    writeFileSync(this.path('workspace', '.github', 'workflows', name), text)
    const used = [...text.matchAll(/^\s*(?:- )?uses: ([^\s@]+)@(\S+)/gm)]
    const actions = { ...this.actions }
    for (const [, action = '', ref] of used) {
      const at = this.stubs.get(action)
      if (at) actions[`${action}@${ref}`] = at
    }
    const lines = (values: Record<string, string>) =>
      Object.entries(values)
        .map(([key, value]) => `${key}='${value}'\n`)
        .join('')
    const list = (kind: string, values: Record<string, string>) => {
      writeFileSync(this.path(kind), lines(values), { mode: 0o600 })
      return this.path(kind)
    }
    const child = spawn(
      this.act,
      [
        event,
        ...['--workflows', join('.github', 'workflows', name)],
        ...['self-hosted', 'ubuntu-latest', ...labels].flatMap((label) => [
          '--platform',
          `${label}=-self-hosted`,
        ]),
        ...Object.entries(actions).flatMap(([action, at]) => [
          '--local-repository',
          `${action}=${at}`,
        ]),
        ...Object.entries(inputs).flatMap(([key, value]) => ['--input', `${key}=${value}`]),
        ...['--secret-file', list('secrets', secrets), '--var-file', list('vars', vars)],
        ...['--env-file', list('env', env)],
        ...(payload ? ['--eventpath', this.path('event.json')] : []),
        ...['--action-cache-path', this.path('cache'), '--no-cache-server', '--pull=false'],
      ],
      {
        cwd: this.path('workspace'),
        stdio: ['ignore', 'pipe', 'pipe'],
        // Node 24 first, as the runner brings it
        env: {
          PATH: `${this.path('bin')}:${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
          HOME: this.directory,
          TMPDIR: this.directory,
          LANG: 'C.UTF-8',
        },
      },
    )
    const stop = () => void child.kill('SIGINT')
    signal?.addEventListener('abort', stop)
    let log = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        log += chunk
      })
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', resolve)
    })
    signal?.removeEventListener('abort', stop)
    const ends = log.matchAll(/^\[[^\]]*\/([^\]]+?)\s*\] 🏁 {2}Job (succeeded|failed)/gmu)
    const jobs = Object.fromEntries([...ends].map(([, job = '', end]) => [job, end]))
    return { code, log, jobs: jobs as WorkflowResult['jobs'] }
  }

  /** What the runs have left where a runner keeps temporary files, besides reports. */
  leftovers(): string[] {
    return readdirSync(this.path('cache'), { recursive: true })
      .map(String)
      .filter((path) => /polardb-(migration|dump)-[^/]*$/.test(path))
  }

  async cleanUp(): Promise<void> {
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 })
    await this.dismiss()
  }
}
