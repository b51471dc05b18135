import { execFile } from 'node:child_process'
import { createHash, randomInt } from 'node:crypto'
import { accessSync, constants, existsSync, readFileSync, statfsSync, writeFileSync } from 'node:fs'
import { open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { crc32c } from './crc32c.ts'
import { withLock } from './lock.ts'

const run = promisify(execFile)

/** Servers write less than this while tests run: a file system in memory with less to spare is not used. */
const memoryNeeded = 4 * 1024 ** 3

/**
 * Where servers keep their data: a file system in memory, on which initdb and CREATE DATABASE cost a small part of what
 * they cost on a disk, or `otherwise` where the machine has none of it to spare (containers often have 64 MB).
 */
export function fastDirectory(otherwise: string): string {
  try {
    accessSync('/dev/shm', constants.W_OK | constants.X_OK)
    const { bavail, bsize } = statfsSync('/dev/shm')
    return bavail * bsize >= memoryNeeded ? '/dev/shm' : otherwise
  } catch {
    return otherwise
  }
}

/**
 * A data directory such as `make` makes, at `data`. Within a run of the tests (run-directory.ts) `make` runs once for each
 * `key`; everybody gets a copy, which differs from the others in its system identifier as a cluster of its own does.
 *
 * @param key all that the result of `make` depends on
 * @param make makes a data directory, of no running server, at the given path
 */
export async function makeCluster(
  data: string,
  key: unknown,
  make: (data: string) => Promise<void>,
): Promise<void> {
  const store = process.env.TEST_RUN_DIRECTORY
  if (store === undefined || !existsSync(store)) return make(data)
  const name = createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 16)
  const template = join(store, name)
  await withLock(`${template}.lock`, async () => {
    if (existsSync(template)) return
    await rm(`${template}.new`, { recursive: true, force: true }) // whoever made it was killed
    await make(`${template}.new`)
    await rename(`${template}.new`, template)
  })
  await run('cp', ['-a', template, data])
  await giveIdentity(data)
}

/**
 * Gives the cluster in a data directory another system identifier: in pg_control, whose first field it is, with the CRC-32C
 * that ends what is used of that file, and in the long page header that begins each WAL segment.
 */
async function giveIdentity(data: string): Promise<void> {
  const identifier = Buffer.alloc(8)
  identifier.writeUInt32LE(randomInt(2 ** 32 - 1), 0)
  identifier.writeUInt32LE(Math.floor(Date.now() / 1000), 4) // as initdb: the time in the upper half
  const path = join(data, 'global', 'pg_control')
  const control = readFileSync(path)
  const end = endOfControl(control)
  identifier.copy(control)
  control.writeUInt32LE(crc32c(control.subarray(0, end)), end)
  writeFileSync(path, control)
  for (const name of await readdir(join(data, 'pg_wal'))) {
    if (!/^[0-9A-F]{24}$/.test(name)) continue
    const segment = await open(join(data, 'pg_wal', name), 'r+')
    await segment.write(identifier, 0, 8, 24)
    await segment.close()
  }
}

/** Where in pg_control the CRC of what stands before it is: that differs from major to major. */
function endOfControl(control: Buffer): number {
  for (let end = 200; end < 512; end += 4)
    if (control.readUInt32LE(end) === crc32c(control.subarray(0, end))) return end
  throw new Error('pg_control holds no CRC of its content')
}
