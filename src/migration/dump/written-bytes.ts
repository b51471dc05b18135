import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ManyFiles } from '../../postgres/archive/many-files.ts'

/** So many files are asked at every look. */
const few = 500

/** Of more than those, looks after which a file that has not grown is taken for complete, and after how many each of those is asked for again. */
const [still, again] = [3, 30]

/**
 * How much is written below a directory, looked at again and again while it grows. A dump has a file for each table, and writes
 * a few of them at a time: those that are complete are not asked for their size at every look.
 */
export class WrittenBytes {
  private readonly directory: string
  private readonly many = new ManyFiles()
  private readonly files = new Map<string, { bytes: number; still: number }>()
  private looks = 0
  /** Files that the last look has asked for their size. */
  asked = 0

  constructor(directory: string) {
    this.directory = directory
  }

  /** Bytes in the files of all levels; 0 while the directory does not exist. Files may vanish meanwhile. */
  async look(): Promise<number> {
    const paths = await filesBelow(this.directory)
    this.looks++
    this.asked = 0
    let total = 0
    for (const [index, path] of paths.entries()) {
      const known = this.files.get(path)
      // one that merely stood still is seen to have grown when its turn comes
      const isDue = paths.length <= few || (index + this.looks) % again === 0
      total += known && known.still >= still && !isDue ? known.bytes : await this.ask(path, known)
    }
    return total
  }

  private async ask(path: string, known: { bytes: number; still: number } | undefined) {
    this.asked++
    const found = await this.many.stat(path)
    const bytes = found?.isFile() ? found.size : 0
    this.files.set(path, { bytes, still: known?.bytes === bytes ? known.still + 1 : 0 })
    return bytes
  }
}

/** The paths of all that is no directory; readdir() itself could do that, and would ask for the kind of each. */
async function filesBelow(directory: string): Promise<string[]> {
  const paths: string[] = []
  const waiting = [directory]
  for (let parent = waiting.pop(); parent !== undefined; parent = waiting.pop()) {
    for (const entry of await readdir(parent, { withFileTypes: true }).catch(() => [])) {
      const path = join(parent, entry.name)
      if (entry.isDirectory()) waiting.push(path)
      else paths.push(path)
    }
  }
  return paths
}
