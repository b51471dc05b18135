import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compileCache } from './run-directory.ts'
import { orphans } from './runner.ts'
import { guard } from './server.ts'

const root = join(import.meta.dirname, '..', '..')
/** The bundle, or with RUN_FROM=src the source. */
export const program =
  process.env.RUN_FROM === 'src'
    ? join(root, 'src', 'cli.ts')
    : join(root, 'dist', 'cli', 'index.js')

export interface CommandLineOptions {
  /** Variables beside PATH, HOME and TMPDIR: of our own environment nothing else is seen. */
  env?: Record<string, string>
  /** On a terminal, by `script` of util-linux; what is typed is `input`. */
  terminal?: boolean
  /** What is typed, or read from a pipe. */
  input?: string
}

export interface CommandLineResult {
  code: number | null
  stdout: string
  stderr: string
  /** The last line of standard output. */
  last: string
  /** What is left below TMPDIR, but for reports. */
  left: string[]
  /** Processes that it left behind. */
  orphans: string[]
}

/** A directory for runs of the command line, which its guard removes. */
export class Terminal {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'command-line-'))
  private readonly dismiss = guard(this.directory)

  constructor() {
    for (const name of ['home', 'temp']) mkdirSync(join(this.directory, name))
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts)
  }

  /** Runs the command line to its end. */
  run(words: string[], options: CommandLineOptions = {}): Promise<CommandLineResult> {
    return this.start(words, options).result
  }

  start(words: string[], options: CommandLineOptions = {}) {
    const { terminal = false, input, env = {} } = options
    const line = [process.execPath, program, ...words]
    const quoted = line.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
    const [file = '', ...rest] = terminal
      ? ['script', '--quiet', '--return', '--command', `stty cols 80; exec ${quoted}`, '/dev/null']
      : line
    const child = spawn(file, rest, {
      cwd: this.directory,
      stdio: 'pipe',
      env: {
        PATH: (process.env.PATH ?? '')
          .split(':')
          .filter((entry) => !/node_modules/.test(entry))
          .join(':'),
        HOME: this.path('home'),
        TMPDIR: this.path('temp'),
        LANG: 'C.UTF-8',
        TERM: 'xterm',
        ...compileCache(),
        ...env,
      },
    })
    // a terminal stays open, a pipe ends
    if (input !== undefined) child.stdin.write(input)
    if (!terminal) child.stdin.end()
    return { child, ...this.follow(child) }
  }

  private follow(child: ChildProcess) {
    const texts = { stdout: '', stderr: '' }
    const waiting = new Set<() => void>()
    for (const name of ['stdout', 'stderr'] as const)
      child[name]?.setEncoding('utf8').on('data', (chunk: string) => {
        texts[name] += chunk
        for (const look of waiting) look()
      })
    const result = new Promise<CommandLineResult>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) =>
        resolve({
          code,
          ...texts,
          last: texts.stdout.trimEnd().split('\n').at(-1) ?? '',
          left: readdirSync(this.path('temp')).filter((name) => !/^polardb-report-/.test(name)),
          orphans: orphans(this.directory).map(({ command }) => command),
        }),
      )
    })
    const printed = async (pattern: RegExp): Promise<void> => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const look = () => {
        if (pattern.test(texts.stdout)) resolve()
      }
      waiting.add(look)
      look()
      await Promise.race([promise, result])
      waiting.delete(look)
      if (!pattern.test(texts.stdout))
        throw new Error(`it ended before it printed ${pattern}:\n${texts.stdout}${texts.stderr}`)
    }
    return { result, printed }
  }

  /** Removes the directory. */
  async cleanUp(): Promise<void> {
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 })
    await this.dismiss()
  }
}
