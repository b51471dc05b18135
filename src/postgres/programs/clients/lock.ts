import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cancelled } from '../../../failure.ts'

/** Milliseconds between two signs of life of a holder. */
const heartbeat = 1000

export interface Lock {
  /** Whether it is still ours: a process that was stopped for long may have lost it. */
  held(): Promise<boolean>
}

/**
 * Runs `work` while nobody else who uses the same lock file does, in this process, on this machine, in another
 * container or on another machine that shares the directory: nothing is assumed of process ids or clocks. The file of a
 * holder that was killed is taken over.
 *
 * @param takeover milliseconds without a sign of life, several times its interval of 1000, after which a holder counts
 *   as dead: killed, or its machine gone
 * @param onWait called once when somebody else holds the lock
 * @throws Cancelled while waiting; what `work` throws; an error when the directory cannot be written
 */
export async function withLock<T>(
  path: string,
  takeover: number,
  signal: AbortSignal,
  onWait: () => void,
  work: (lock: Lock) => Promise<T>,
): Promise<T> {
  await mkdir(dirname(path), { recursive: true })
  const token = randomUUID()
  let waited = false
  while (!(await take(path, token))) {
    if (!waited) onWait()
    waited = true
    await waitForEnd(path, takeover, signal)
  }
  const timer = setInterval(() => {
    const now = new Date()
    utimes(path, now, now).catch(() => {}) // a lock that was taken from us is found by held()
  }, heartbeat)
  const held = async () => (await readFile(path, 'utf8').catch(() => '')) === token
  try {
    return await work({ held })
  } finally {
    clearInterval(timer)
    if (await held()) await rm(path, { force: true })
  }
}

async function take(path: string, token: string): Promise<boolean> {
  try {
    await writeFile(path, token, { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Returns when the lock may be free: it is gone, or its holder has shown no sign of life and it was put aside. */
async function waitForEnd(path: string, takeover: number, signal: AbortSignal): Promise<void> {
  let last = await fingerprint(path)
  let changed = performance.now()
  while (last !== undefined) {
    await sleep(200, undefined, { signal }).catch(() => {
      throw new Cancelled()
    })
    const now = await fingerprint(path)
    if (now !== last) changed = performance.now()
    else if (performance.now() - changed > takeover) {
      const aside = `${path}.${randomUUID()}`
      await rename(path, aside).catch(() => {}) // somebody else was faster
      await rm(aside, { force: true })
      return
    }
    last = now
  }
}

async function fingerprint(path: string): Promise<string | undefined> {
  const file = await stat(path).catch(() => undefined)
  return file ? `${file.ino} ${file.mtimeMs}` : undefined
}
