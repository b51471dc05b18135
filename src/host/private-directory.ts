import { constants } from 'node:fs'
import {
  lstat,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rmdir,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../failure.ts'
import { endPrograms, type Rubbish, removeRubbish } from './rubbish.ts'

const prefix = 'polardb-migration-'
const ownerFile = 'owner'
/** Bytes; ours take 500. */
const mostOwnerBytes = 65_536
/** Milliseconds between two signs of life, which count where process ids do not: in another container. */
const heartbeat = 60_000
/** Milliseconds without a sign of life after which a run in another container counts as dead. */
const patience = 60 * heartbeat

/** Which process a private directory belongs to, and what else it must not leave behind. */
interface Owner {
  pid: number
  /** When the process began (`/proc/<pid>/stat`, field 22): a process id is given away again. */
  started: string
  /** The kernel's, and the process id namespace within it. */
  boot: string
  namespace: string
  rubbish: Rubbish[]
}

/**
 * The run's private directory (0700) below the runner's temporary one. It says whose it is and what the run has made elsewhere,
 * before it is made, so that the next run finds everything that a killed one has left.
 */
export class PrivateDirectory {
  readonly path: string
  private readonly rubbish: Rubbish[]
  private readonly self: Omit<Owner, 'rubbish'>
  private readonly leave: (rubbish: Rubbish[]) => void
  private readonly timer: NodeJS.Timeout

  private constructor(
    path: string,
    self: Omit<Owner, 'rubbish'>,
    leave: (rubbish: Rubbish[]) => void,
  ) {
    this.path = path
    this.self = self
    this.leave = leave
    this.rubbish = [{ path, contentsOnly: false }]
    this.timer = setInterval(() => {
      const now = new Date()
      // a directory that is being removed needs no sign of life
      utimes(join(path, ownerFile), now, now).catch(() => {})
    }, heartbeat)
    this.timer.unref()
  }

  /**
   * Makes the directory.
   *
   * @param leave told all that is to be removed whenever that changes, for the post step
   * @throws the error of the file system
   */
  static async make(
    runnerTemporary: string,
    leave: (rubbish: Rubbish[]) => void,
  ): Promise<PrivateDirectory> {
    const self = await identity()
    const made = new PrivateDirectory(await mkdtemp(join(runnerTemporary, prefix)), self, leave)
    try {
      await made.note([])
    } catch (error) {
      // nobody would know whose it is
      await made.remove().catch(() => {})
      throw error
    }
    return made
  }

  /** Notes what is about to be made elsewhere, for the post step and for the next run. */
  async note(rubbish: Rubbish[]): Promise<void> {
    this.rubbish.push(...rubbish)
    const owner: Owner = { ...this.self, rubbish: this.rubbish }
    const temporary = join(this.path, `${ownerFile}.new`)
    await writeFile(temporary, JSON.stringify(owner), { mode: 0o600 })
    await rename(temporary, join(this.path, ownerFile))
    this.leave(this.rubbish)
  }

  /** Removes everything that was noted, and the directory. @throws AggregateError; the post step then tries again */
  async remove(): Promise<void> {
    clearInterval(this.timer)
    // last of all what names the rest
    await removeRubbish([...this.rubbish].reverse())
    // later steps may use the same directory: post must not remove what they made
    this.leave([])
  }
}

/**
 * Removes what runs have left that were killed with their post step: private directories of this account whose process is gone,
 * their programs, and the dumps that they name. Never what a live run names, and of a directory that was there before only
 * what a dump consists of.
 *
 * @param tell gets a line for each that was removed, and for each that could not be
 */
export async function removeLeftovers(
  runnerTemporary: string,
  tell: (message: string) => void,
): Promise<void> {
  const self = await identity()
  const dead: { path: string; owner: Owner }[] = []
  const claimed = new Set<string>()
  for (const name of await readdir(runnerTemporary)) {
    if (!name.startsWith(prefix)) continue
    const path = join(runnerTemporary, name)
    if (!(await isOurs(path))) continue
    const owner = await readOwner(path)
    // killed before it wrote its name, or about to: what is empty can go once it is old, and is no loss
    if (!owner) await removeEmpty(path)
    else if (await isAlive(owner, path, self))
      for (const { path } of owner.rubbish) claimed.add(path)
    else dead.push({ path, owner })
  }
  for (const { path, owner } of dead) {
    try {
      await endPrograms(path)
      const elsewhere = owner.rubbish.filter((one) => one.path !== path && !claimed.has(one.path))
      const checked: Rubbish[] = []
      for (const rubbish of elsewhere) if (await isOurs(rubbish.path)) checked.push(rubbish)
      const removed = await removeRubbish(checked, { onlyDumps: true })
      await removeRubbish([{ path, contentsOnly: false }])
      tell(`Removed what a killed run had left: ${[path, ...removed].join(', ')}`)
    } catch (error) {
      tell(`Not everything that a killed run had left could be removed: ${messageOf(error)}`)
    }
  }
}

/** A directory of this account, and no link to one: anybody may put a name into a shared temporary directory. */
async function isOurs(path: string): Promise<boolean> {
  const stats = await lstat(path).catch(() => undefined)
  return stats?.isDirectory() === true && stats.uid === process.getuid?.()
}

async function removeEmpty(path: string): Promise<void> {
  const stats = await lstat(path).catch(() => undefined)
  if (stats && Date.now() - stats.mtimeMs > patience) await rmdir(path).catch(() => {})
}

/** What a private directory says of its run; undefined when it says nothing that can be used. */
async function readOwner(directory: string): Promise<Owner | undefined> {
  try {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
    await using handle = await open(join(directory, ownerFile), flags)
    const stats = await handle.stat()
    if (!stats.isFile() || stats.size > mostOwnerBytes) return undefined
    const value = JSON.parse(await handle.readFile('utf8')) as Partial<Owner> | null
    const { pid, started, boot, namespace, rubbish } = value ?? {}
    if (!Number.isSafeInteger(pid) || !Array.isArray(rubbish)) return undefined
    if ([started, boot, namespace].some((text) => typeof text !== 'string')) return undefined
    const sound = rubbish.every(
      (one: Partial<Rubbish> | null) =>
        typeof one?.path === 'string' &&
        one.path.startsWith('/') &&
        typeof one.contentsOnly === 'boolean',
    )
    return sound ? (value as Owner) : undefined
  } catch {
    return undefined
  }
}

async function isAlive(owner: Owner, path: string, self: Omit<Owner, 'rubbish'>): Promise<boolean> {
  if (owner.boot !== self.boot) return false
  if (owner.namespace === self.namespace) return (await startOf(owner.pid)) === owner.started
  const stats = await lstat(join(path, ownerFile)).catch(() => undefined)
  return stats !== undefined && Date.now() - stats.mtimeMs < patience
}

async function identity(): Promise<Omit<Owner, 'rubbish'>> {
  return {
    pid: process.pid,
    started: (await startOf(process.pid)) ?? '',
    boot: (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim(),
    namespace: await readlink('/proc/self/ns/pid').catch(() => ''),
  }
}

/** When a process began, in the kernel's ticks (proc(5)); undefined when there is none, or it is only waited for. */
async function startOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // the program's name, in parentheses, may hold anything
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' ? undefined : fields[19]
}
