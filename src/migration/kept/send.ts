import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { formatBytes, timeLeft } from '../../text/numbers.ts'
import { refuseUnlessFree, temporaryFull, writingTo } from '../free-space.ts'
import { bytesAtRate, progressLine } from '../progress-line.ts'
import { type ArtifactStore, formatParts, type StoredArtifact } from './artifact-store.ts'
import { type CutPiece, copyPiece } from './cutter.ts'
import { type DumpContext, listFiles, partsFile } from './directory.ts'
import type { DumpEncryption } from './encryption.ts'

export interface SendOptions {
  /** Are the archives compressed? */
  compressed: boolean
  retentionDays?: number | undefined
  /** A private directory for what is encrypted or cut: one part's size at a time. */
  scratch: string
}

/** How one artifact is sent. */
export interface Sending {
  context: DumpContext
  /** Those sent before, for the main artifact; undefined for a part. */
  parts?: readonly StoredArtifact[]
  /** Where something else goes on beside it: bytes that are to be left on the disk for that. */
  beside?: { reserve: number }
  onName?: (name: string) => void
}

/** What was sent. */
export interface Sent {
  artifact: StoredArtifact
  /** Of the numbered files that it was encrypted into. */
  numbers: string[]
}

/** Sends pieces of a dump as artifacts, encrypted or cut where that is to be, and shows how far it is. */
export class Sender {
  /** Bytes of all that is to be sent. */
  total = 0
  sent = 0
  private began = performance.now()
  private readonly store: ArtifactStore
  private readonly directory: string
  private readonly options: SendOptions
  private readonly encryption: DumpEncryption | undefined

  /** @param directory of the dump */
  constructor(
    store: ArtifactStore,
    directory: string,
    options: SendOptions,
    encryption: DumpEncryption | undefined,
  ) {
    this.store = store
    this.directory = directory
    this.options = options
    this.encryption = encryption
  }

  /** From now on so many bytes are to be sent. */
  begin(total: number): void {
    this.total = total
    this.sent = 0
    this.began = performance.now()
  }

  /**
   * Uploads one artifact.
   *
   * @throws Failure when it could not be uploaded after all attempts; ArtifactNameTaken; Cancelled
   */
  async send(name: string, pieces: readonly CutPiece[], how: Sending): Promise<Sent> {
    const { encryption, directory } = this
    const { parts, beside } = how
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0)
    if (!encryption && !parts?.length && pieces.every((piece) => piece.cut === undefined)) {
      const files = pieces.map(({ path }) => path)
      return { artifact: await this.upload(name, directory, files, bytes, how), numbers: [] }
    }
    const { scratch } = this.options
    await checkSpace(scratch, bytes, beside?.reserve ?? 0)
    return await writingTo(scratch, temporaryFull, () => this.sendCopies(name, pieces, bytes, how))
  }

  /** Uploads what must be encrypted or cut before. */
  private async sendCopies(
    name: string,
    pieces: readonly CutPiece[],
    bytes: number,
    how: Sending,
  ): Promise<Sent> {
    const { encryption, directory } = this
    const { context, parts, beside } = how
    const staging = await mkdtemp(join(this.options.scratch, 'upload-'))
    let numbers: string[] = []
    try {
      if (encryption) {
        const show = () => this.show(0, name, context, 'Encrypting')
        const atOnce = beside ? 1 : undefined
        numbers = await encryption.add(directory, pieces, staging, context.signal, show, atOnce)
        if (parts) await encryption.finish(staging)
      } else for (const piece of pieces) await copyPiece(directory, piece, staging, context.signal)
      if (parts?.length)
        await writeFile(join(staging, partsFile), formatParts(parts), { mode: 0o600 })
      const files = (await listFiles(staging)).map(({ path }) => path)
      return { artifact: await this.upload(name, staging, files, bytes, how), numbers }
    } catch (error) {
      encryption?.forget(numbers)
      throw error
    } finally {
      await rm(staging, { recursive: true, force: true })
    }
  }

  private async upload(
    name: string,
    directory: string,
    files: string[],
    bytes: number,
    { context, parts, beside, onName }: Sending,
  ): Promise<StoredArtifact> {
    const request = {
      name,
      directory,
      files,
      compressed: this.options.compressed || this.encryption !== undefined,
      retentionDays: this.options.retentionDays,
      isLoose: parts === undefined,
      isGentle: beside !== undefined,
      ...(onName ? { onName } : {}),
    }
    // a failed attempt starts again at nothing
    const stored = await this.store.upload(request, context.signal, (sent) =>
      this.show(sent, name, context),
    )
    this.sent += bytes
    return stored
  }

  private show(bytes: number, name: string, { progress }: DumpContext, what = 'Uploading'): void {
    const done = Math.min(this.total, this.sent + bytes)
    const seconds = (performance.now() - this.began) / 1000
    const parts = [...bytesAtRate(done, this.total, seconds), timeLeft(done, this.total, seconds)]
    progress.update(progressLine(`${what} ${name}`, parts))
  }
}

/** @param reserve bytes that something else needs of the disk */
function checkSpace(directory: string, bytes: number, reserve: number): Promise<void> {
  return refuseUnlessFree(directory, bytes + reserve, (free) => [
    'There is no space to prepare the upload',
    `It takes ${formatBytes(bytes)} at a time${reserve > 0 ? `, beside the ${formatBytes(reserve)} that the dump may still need` : ''}, and ${formatBytes(free)} are free at ${directory}`,
    'Free space on the runner, or set upload-dump to false and use dump-directory',
  ])
}
