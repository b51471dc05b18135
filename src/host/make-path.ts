import { mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/**
 * Makes a directory and those above it. One by one: in file systems that make nothing, such as /proc, Node's own way of doing it
 * tries for ever.
 *
 * @param mode of those that are made, before the umask
 * @returns whether it was there before
 */
export async function makePath(path: string, mode = 0o700): Promise<boolean> {
  const missing: string[] = []
  for (let at = resolve(path); ; at = dirname(at)) {
    if (await stat(at).catch(() => undefined)) break
    missing.push(at)
  }
  for (const at of missing.reverse()) await mkdir(at, { mode })
  return missing.length === 0
}
