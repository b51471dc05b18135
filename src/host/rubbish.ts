import { readdirSync, rmSync } from 'node:fs'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { isPartOfDump } from '../migration/kept/directory.ts'

/** Something that this run made on the runner's disk and must not leave there. */
export interface Rubbish {
  path: string
  /** The directory was there before: only what was put into it is removed. */
  contentsOnly: boolean
  /** It stays when it holds a file of this name: the report of a run that could write one, a dump that is sealed. */
  unless?: string
}

/**
 * Removes files and directories, as many as can be.
 *
 * @param options.onlyDumps leaves a directory alone that holds anything but a dump, or a part of one: after a while somebody
 *   else may use it
 * @returns the paths of those that were to go, without those that stay because of what they hold
 * @throws AggregateError with the error of each that could not be removed
 */
export async function removeRubbish(
  rubbish: readonly Rubbish[],
  options: { onlyDumps?: boolean } = {},
): Promise<string[]> {
  const errors: unknown[] = []
  const removed: string[] = []
  for (const { path, contentsOnly, unless } of rubbish) {
    const names = await readdir(path).catch(() => [] as string[])
    if (unless !== undefined && names.includes(unless)) continue
    if (options.onlyDumps && unless !== 'report.json' && !names.every(isPartOfDump)) continue
    removed.push(path)
    // what cannot be removed must not keep the rest
    for (const each of contentsOnly ? names.map((name) => join(path, name)) : [path])
      await rm(each, { recursive: true, force: true, maxRetries: 3 }).catch((error: unknown) =>
        errors.push(error),
      )
  }
  if (errors.length > 0) throw new AggregateError(errors)
  return removed
}

/** As removeRubbish, at once and as far as it can be done: for a process that ends now. */
export function removeAtOnce(rubbish: readonly Rubbish[]): void {
  for (const { path, contentsOnly, unless } of rubbish) {
    try {
      const names = readdirSync(path)
      if (unless !== undefined && names.includes(unless)) continue
      for (const each of contentsOnly ? names.map((name) => join(path, name)) : [path])
        rmSync(each, { recursive: true, force: true })
    } catch {
      // the next run tries again
    }
  }
}

/**
 * Ends client programs whose parent was killed. They are known by their environment: their password file lies in the run's
 * private directory.
 */
export async function endPrograms(directory: string): Promise<void> {
  const mine = async () => {
    const pids: number[] = []
    for (const pid of await readdir('/proc')) {
      if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
      if (environment.split('\0').some((entry) => entry.startsWith(`PGPASSFILE=${directory}/`)))
        pids.push(Number(pid))
    }
    return pids
  }
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const pids = await mine()
    if (pids.length === 0) return
    for (const pid of pids) {
      try {
        process.kill(pid, signal)
      } catch {
        // gone in the meantime
      }
    }
    await setTimeout(500)
  }
}
