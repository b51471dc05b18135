import { type ChildProcess, spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { Cancelled } from '../../failure.ts'
import { type Patience, type SilentPeer, type Standing, Watchdog } from '../watchdog.ts'

export interface ProgramOptions {
  /** The child's whole environment: nothing is inherited, so no secret of the job reaches it by accident. */
  env: Record<string, string>
  cwd?: string
  signal?: AbortSignal
  /** Every complete line of stderr (no newline), as it comes. */
  onErrorLine?: (line: string) => void
  /**
   * Where stdout goes; it is collected (up to `keep` bytes) otherwise. A promise, which never rejects, holds the program back:
   * no more is read until it resolves.
   */
  onOutput?: (chunk: Buffer) => void | Promise<void>
  /** Bytes of stdout and of stderr kept for the result; default 64 KiB, the last ones. */
  keep?: number
  input?: string
  /** What it writes is for this account alone (umask 077): dumps and role scripts. */
  privateFiles?: boolean
  /** Milliseconds after which the program is ended like a cancelled one, with `timedOut` set. */
  deadline?: number
  /** Ends it when it stands still and the server, asked by `look`, does not work for it. */
  watch?: { look: () => Promise<Standing>; patience?: Patience | undefined }
}

export interface ProgramResult {
  /** The exit code; null when a signal ended it. */
  code: number | null
  killedBy: NodeJS.Signals | null
  timedOut: boolean
  stdout: string
  stderr: string
}

/** Process groups under way, so that a dying action can end them all. */
const running = new Set<number>()

/** Milliseconds between SIGTERM and SIGKILL: the runner itself kills 10 s after it cancelled. */
export const grace = 2000

/**
 * Runs a program in a process group of its own and waits for its end. Never a shell. On abort the whole group gets
 * SIGTERM (pg_dump and pg_restore then cancel their statements on the server), and SIGKILL two seconds later.
 *
 * @throws the spawn error (ENOENT, EACCES, E2BIG), or Cancelled or SilentPeer after the group is gone; a non-zero exit is no
 * error here
 */
export async function runProgram(
  path: string,
  args: string[],
  options: ProgramOptions,
): Promise<ProgramResult> {
  options.signal?.throwIfAborted()
  const keep = options.keep ?? 65_536
  // a child begins with the umask of the moment in which it is spawned
  const before = options.privateFiles ? process.umask(0o077) : undefined
  let child: ChildProcess
  try {
    child = spawn(path, args, {
      env: options.env,
      cwd: options.cwd ?? '/',
      detached: true,
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
  } finally {
    if (before !== undefined) process.umask(before)
  }
  const { promise, resolve, reject } = Promise.withResolvers<ProgramResult>()
  const group = child.pid
  if (group !== undefined) running.add(group)
  let timedOut = false
  let killer: NodeJS.Timeout | undefined
  const end = () => {
    if (group === undefined || !running.has(group)) return
    signalGroup(group, 'SIGTERM')
    killer ??= setTimeout(() => {
      if (running.has(group)) signalGroup(group, 'SIGKILL')
    }, grace)
  }
  options.signal?.addEventListener('abort', end, { once: true })
  const timer = options.deadline
    ? setTimeout(() => {
        timedOut = true
        end()
      }, options.deadline)
    : undefined

  let silent: SilentPeer | undefined
  let seen = -1
  const watchdog =
    options.watch && group !== undefined
      ? new Watchdog({
          ...(options.watch.patience ? { patience: options.watch.patience } : {}),
          isMoving: async () => {
            const before = seen
            seen = await timeOfGroup(group)
            return seen !== before
          },
          look: options.watch.look,
          giveUp: (error) => {
            silent = error
            end()
          },
        })
      : undefined

  const stdout = new Tail(keep)
  const stderr = new Tail(keep)
  const lines = options.onErrorLine ? new LineSplitter(options.onErrorLine) : undefined
  child.stdout?.on('data', (chunk: Buffer) => {
    if (!options.onOutput) return stdout.add(chunk)
    const taken = options.onOutput(chunk)
    if (!taken) return
    child.stdout?.pause()
    void taken.then(() => child.stdout?.resume())
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr.add(chunk)
    lines?.add(chunk)
  })
  child.stdin?.on('error', () => {}) // a program may end before it has read everything
  child.stdin?.end(options.input)
  child.on('error', reject)
  child.on('exit', () => {
    clearTimeout(timer)
    clearTimeout(killer)
    if (group === undefined) return
    // A worker may outlive its leader that was killed. Node has reaped the leader by now, so the number of the group stays
    // taken only as long as a worker lives; that is long enough for this signal, and for none later.
    signalGroup(group, 'SIGKILL')
    running.delete(group)
  })
  child.on('close', (code, killedBy) => {
    lines?.flush()
    resolve({ code, killedBy, timedOut, stdout: stdout.text(), stderr: stderr.text() })
  })
  try {
    const result = await promise
    if (options.signal?.aborted) throw new Cancelled()
    if (silent) throw silent
    return result
  } finally {
    watchdog?.end()
    options.signal?.removeEventListener('abort', end)
    clearTimeout(timer)
    clearTimeout(killer)
  }
}

/**
 * The time that the processes of a group have spent on a processor, in nanoseconds: it stands still when all of them wait.
 * -1 where it cannot be read (Linux, proc(5), /proc/pid/schedstat).
 */
async function timeOfGroup(group: number): Promise<number> {
  let sum = 0
  let found = false
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = await readFile(`/proc/${name}/stat`, 'latin1')
      // the name of the program stands in brackets and may hold anything
      const [, , processGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      if (Number(processGroup) !== group) continue
      const [time] = (await readFile(`/proc/${name}/schedstat`, 'latin1')).split(' ')
      sum += Number(time)
      found = true
    } catch {
      // it has ended meanwhile
    }
  }
  return found ? sum : -1
}

/** Ends every program under way, at once and without grace: for a process that is about to die. */
export function killAllPrograms(): void {
  for (const group of running) signalGroup(group, 'SIGKILL')
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal)
  } catch {
    // the group is gone already
  }
}

/** The last bytes of a stream. */
class Tail {
  private chunks: Buffer[] = []
  private size = 0
  private readonly most: number

  constructor(most: number) {
    this.most = most
  }

  add(chunk: Buffer): void {
    this.chunks.push(chunk)
    this.size += chunk.length
    while (this.chunks.length > 1 && this.size - (this.chunks[0]?.length ?? 0) >= this.most) {
      this.size -= this.chunks.shift()?.length ?? 0
    }
  }

  text(): string {
    return Buffer.concat(this.chunks).subarray(-this.most).toString('utf8')
  }
}

/** Splits a byte stream at newlines; a line longer than 1 MiB is handed on in pieces. */
class LineSplitter {
  private rest = Buffer.alloc(0)
  private readonly onLine: (line: string) => void

  constructor(onLine: (line: string) => void) {
    this.onLine = onLine
  }

  add(chunk: Buffer): void {
    let data = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk
    for (let at = data.indexOf(10); at >= 0; at = data.indexOf(10)) {
      this.onLine(data.subarray(0, at).toString('utf8'))
      data = data.subarray(at + 1)
    }
    this.rest = Buffer.from(data)
    if (this.rest.length > 1_048_576) this.flush()
  }

  flush(): void {
    if (this.rest.length > 0) this.onLine(this.rest.toString('utf8'))
    this.rest = Buffer.alloc(0)
  }
}
