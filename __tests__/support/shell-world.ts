import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Terminal } from './command-line.ts'

const root = join(import.meta.dirname, '..', '..')

export interface ShellResult {
  code: number | null
  /** Standard output and error as they came. */
  log: string
}

export interface ShellOptions {
  env?: Record<string, string>
  /** The directory; by default that of the world. */
  cwd?: string
  /** The shell and its options. */
  shell?: string[]
}

/**
 * A machine on which somebody follows a page: an empty directory, this repository to be cloned from where the page says that it is, and
 * PATH, HOME and TMPDIR of their own. `git` believes that the address of GitHub is local.
 */
export class ShellWorld {
  private readonly terminal = new Terminal()

  constructor() {
    const repository = this.path('github', 'your-organisation', 'migrate-to-polardb.git')
    mkdirSync(repository, { recursive: true })
    mkdirSync(this.path('bin'))
    if (process.env.RUN_FROM === 'src') {
      mkdirSync(join(repository, 'dist', 'cli'), { recursive: true })
      writeFileSync(join(repository, 'package.json'), '{"type":"module"}')
      const source = JSON.stringify(join(root, 'src', 'cli.ts'))
      const entry = join(repository, 'dist', 'cli', 'index.js')
      writeFileSync(entry, `#!/usr/bin/env node\nawait import(${source})\n`, { mode: 0o755 })
    } else {
      for (const name of ['dist', 'action.yml', 'package.json'])
        cpSync(join(root, name), join(repository, name), { recursive: true })
    }
    const git = (...words: string[]) =>
      execFileSync('git', words, { cwd: repository, stdio: 'ignore', env: this.environment() })
    git('init', '--quiet', '--initial-branch=main')
    git('add', '.')
    const who = ['-c', 'user.email=octocat@example.com', '-c', 'user.name=octocat']
    git(...who, 'commit', '--quiet', '--message=Release')
    git('tag', 'v0')
    const url = `file://${this.path('github')}/`
    writeFileSync(
      this.path('home', '.gitconfig'),
      `[url "${url}"]\n\tinsteadOf = https://github.com/\n[advice]\n\tdetachedHead = false\n`,
    )
  }

  path(...parts: string[]): string {
    return this.terminal.path(...parts)
  }

  /** Puts a program before all others in PATH. @param script of the shell */
  program(name: string, script: string): void {
    writeFileSync(this.path('bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  }

  private environment(): Record<string, string> {
    // no program of the project's, but Node 24, which the pages ask for
    const path = (process.env.PATH ?? '').split(':').filter((entry) => !/node_modules/.test(entry))
    return {
      PATH: [this.path('bin'), dirname(process.execPath), ...path].join(':'),
      HOME: this.path('home'),
      TMPDIR: this.path('temp'),
      LANG: 'C.UTF-8',
    }
  }

  /** Runs lines in one shell, which ends at the first that fails. */
  async run(script: string, options: ShellOptions = {}): Promise<ShellResult> {
    const { env = {}, cwd = this.terminal.directory, shell = ['bash', '-eo', 'pipefail'] } = options
    const [file = '', ...words] = shell
    const child = spawn(file, [...words, '-c', script], {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...this.environment(), ...env },
    })
    let log = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        log += chunk
      })
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', resolve)
    })
    return { code, log }
  }

  async cleanUp(): Promise<void> {
    await this.terminal.cleanUp()
  }
}
