import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A file system of its own with little room. */
export class SmallDisk {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  /** @returns undefined where nothing can be mounted: that takes root, and a container that lets it */
  static make(bytes: number): SmallDisk | undefined {
    const path = mkdtempSync(join(tmpdir(), 'small-disk-'))
    try {
      const options = `size=${Math.ceil(bytes / 1024)}k,mode=0755`
      execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path], { stdio: 'ignore' })
      return new SmallDisk(path)
    } catch {
      rmdirSync(path)
      return undefined
    }
  }

  /** Takes its room away, but for so many bytes. @returns what gives it back */
  fill(left = 0): () => void {
    const { bavail, bsize } = statfsSync(this.path)
    const file = join(this.path, 'filler')
    try {
      writeFileSync(file, Buffer.alloc(Math.max(0, bavail * bsize - left)))
    } catch (error) {
      // somebody else has written meanwhile, and so it is full
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
    return () => rmSync(file)
  }

  remove(): void {
    execFileSync('umount', ['--lazy', this.path])
    rmdirSync(this.path)
  }
}
