import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

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
  private readonly files = new Map<string, { bytes: number; still: number }>()
  private looks = 0
  /** Files that the last look has asked for their size. */
  asked = 0

  constructor(directory: string) {
    this.directory = directory
  }

  /** Bytes in the files of all levels; 0 while the directory does not exist. Files may vanish meanwhile. */
  async look(): Promise<number> {
    const names = await readdir(this.directory, { recursive: true }).catch(() => [])
    this.looks++
    this.asked = 0
    let total = 0
    for (const [index, name] of names.entries()) {
      const known = this.files.get(name)
      // one that merely stood still is seen to have grown when its turn comes
      const isDue = names.length <= few || (index + this.looks) % again === 0
      total += known && known.still >= still && !isDue ? known.bytes : await this.ask(name, known)
    }
    return total
  }

  private async ask(name: string, known: { bytes: number; still: number } | undefined) {
    this.asked++
    const found = await stat(join(this.directory, name)).catch(() => null)
    const bytes = found?.isFile() ? found.size : 0
    this.files.set(name, { bytes, still: known?.bytes === bytes ? known.still + 1 : 0 })
    return bytes
  }
}
