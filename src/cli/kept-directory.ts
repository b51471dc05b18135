import { copyFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Cancelled, Failure } from '../failure.ts'
import { dumpFull, writingTo } from '../migration/free-space.ts'
import type {
  ArtifactStore,
  StoredArtifact,
  UploadRequest,
} from '../migration/kept/artifact-store.ts'
import { partsFile } from '../migration/kept/directory.ts'
import { indexFile } from '../migration/kept/encryption.ts'

/**
 * A directory in which an encrypted dump is kept: the files that would be an artifact, those of all its parts in one place,
 * as `dump-directory` takes them. What lists the parts is left out, since there are none any more.
 */
export class KeptDirectory implements ArtifactStore {
  readonly keptIn: string
  private number = 0

  /** @param directory is there, empty and private */
  constructor(directory: string) {
    this.keptIn = directory
  }

  async upload(
    request: UploadRequest,
    signal: AbortSignal,
    onBytes?: (bytes: number) => void,
  ): Promise<StoredArtifact> {
    const files = request.files.filter((file) => file !== partsFile)
    // last of all what says that the dump is whole
    const inOrder = [
      ...files.filter((file) => file !== indexFile),
      ...files.filter((file) => file === indexFile),
    ]
    let bytes = 0
    for (const file of inOrder) {
      if (signal.aborted) throw new Cancelled()
      const from = join(request.directory, file)
      const { size } = await stat(from)
      await writingTo(this.keptIn, dumpFull, () => move(from, join(this.keptIn, file)))
      bytes += size
      onBytes?.(bytes)
    }
    this.number++
    return { id: this.number, name: this.keptIn, digest: null, bytes }
  }

  remove(): Promise<never> {
    return notHere()
  }

  settle(): void {}

  find(): Promise<never> {
    return notHere()
  }

  download(): Promise<never> {
    return notHere()
  }

  uploadReport(): Promise<never> {
    return notHere()
  }
}

/** What was encrypted for this purpose goes with the move; on another file system it is copied, and appears whole. */
async function move(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    const copy = `${to}.tmp`
    try {
      await copyFile(from, copy)
      await rename(copy, to)
    } catch (failed) {
      await rm(copy, { force: true })
      throw failed
    }
  }
}

async function notHere(): Promise<never> {
  throw new Failure(
    'There are no artifacts on a command line',
    'A dump lies in a directory',
    'Name it in dump-directory',
  )
}
