import { execFileSync, spawn } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
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
}

export interface WorkflowResult {
  code: number | null
  log: string
  /** How each job ended, by its name. */
  jobs: Record<string, 'succeeded' | 'failed'>
}

/** act, where it is in PATH or ACT names it, or as Go makes it; undefined where there is none of these. */
export function findAct(): string | undefined {
  const named = process.env.ACT
  if (named) return named
  try {
    execFileSync('act', ['--version'], { stdio: 'ignore' })
    return 'act'
  } catch {
    // not installed
  }
  const bin = join(process.env.TEST_RUN_DIRECTORY ?? tmpdir(), `act-${version}`)
  const program = join(bin, 'act')
  if (existsSync(program)) return program
  try {
    execFileSync('go', ['install', `github.com/nektos/act@${version}`], {
      env: { ...process.env, GOBIN: bin, GOFLAGS: '-mod=mod' },
      stdio: 'ignore',
    })
    return program
  } catch {
    return undefined
  }
}

/** A repository with workflows, in which they are run. */
export class Repository {
  private readonly directory: string = mkdtempSync(join(tmpdir(), 'act-'))
  private readonly dismiss = guard(this.directory)
  private readonly act: string
  /** Local directories in the place of actions, `owner/name@ref`. */
  private readonly actions: Record<string, string>

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

  /** The action as it is checked out: the bundles, or with RUN_FROM=src what runs the source in their place. */
  private stage(): string {
    const stage = this.path('action')
    mkdirSync(join(stage, 'dist'), { recursive: true })
    for (const file of ['action.yml', '.github/workflows/migrate.yml'])
      cpSync(join(root, file), join(stage, file))
    if (process.env.RUN_FROM !== 'src') {
      cpSync(join(root, 'dist'), join(stage, 'dist'), { recursive: true })
      return stage
    }
    writeFileSync(join(stage, 'package.json'), '{"type":"module"}')
    for (const name of ['main', 'post']) {
      mkdirSync(join(stage, 'dist', name))
      const source = JSON.stringify(join(root, 'src', `${name}.ts`))
      writeFileSync(join(stage, 'dist', name, 'index.js'), `await import(${source})\n`)
    }
    return stage
  }

  /** Runs a workflow as its file is. @param file its path, from the root of this repository */
  async run(file: string, workflow: Workflow = {}): Promise<WorkflowResult> {
    const { inputs = {}, secrets = {}, vars = {}, env = {}, payload } = workflow
    const { event = 'workflow_dispatch' } = workflow
    writeFileSync(this.path('event.json'), JSON.stringify(payload ?? {}))
    const name = basename(file)
    copyFileSync(join(root, file), this.path('workspace', '.github', 'workflows', name))
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
        ...['--platform', 'self-hosted=-self-hosted', '--platform', 'ubuntu-latest=-self-hosted'],
        ...Object.entries(this.actions).flatMap(([action, at]) => [
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
    let log = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        log += chunk
      })
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', resolve)
    })
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
