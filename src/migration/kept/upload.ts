import { createReadStream, createWriteStream } from 'node:fs'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { formatBytes, timeLeft } from '../../text/numbers.ts'
import type { Context } from '../context.ts'
import { isFull, refuseUnlessFree, temporaryFull, writingTo } from '../free-space.ts'
import { bytesAtRate, progressLine } from '../progress-line.ts'
import { type ArtifactStore, formatParts, type StoredArtifact } from './artifact-store.ts'
import { type DumpContext, listFiles, partsFile } from './directory.ts'
import { DumpEncryption, type Piece } from './encryption.ts'
import { type Manifest, manifestFile } from './manifest.ts'
import { sealFile } from './seal.ts'

/**
 * A dump as artifacts. One, under the name that was asked for, when it is small enough. Otherwise its archives go into
 * `<name>-part-001`, …, each a whole artifact of its own, and the artifact `<name>` comes last, with the manifest, the role
 * scripts and `parts.json`, which lists the parts: where it exists, the dump is complete. A file too large for a part is
 * cut into `<file>.part-0001`, …; or, encrypted, into several numbered files.
 */

export interface Limits {
  /** Bytes of a part, at most. */
  bytes: number
  /** Files in a part, at most: the artifact client needs 20 kB of memory for each. */
  files: number
  /** Seconds that a part may take at the speed of the one before: after an hour an upload loses its authentication. */
  seconds: number
  /** Bytes below which no slow connection makes a part. */
  least: number
}

export const defaultLimits: Limits = {
  bytes: 1024 ** 3,
  files: 4000,
  seconds: 20 * 60,
  least: 32 * 1024 ** 2,
}

/** A job may have 500 artifacts. */
export const mostParts = 450

/**
 * The artifacts that a dump will need, where the connection is no reason for smaller ones.
 *
 * @param bytes of the dump, and the files that it has
 */
export function artifactsFor(bytes: number, files: number): number {
  const most = Math.max(defaultLimits.bytes, Math.ceil(bytes / mostParts))
  const parts = Math.max(Math.ceil(bytes / most), Math.ceil(files / defaultLimits.files))
  return parts <= 1 ? 1 : parts + 1
}

export interface UploadOptions {
  /** Of the main artifact. */
  name: string
  /** Are the archives compressed? */
  compressed: boolean
  retentionDays?: number | undefined
  /** Encrypts everything, names included. */
  passphrase?: string | undefined
  /** A private directory for what is encrypted or cut: one part's size at a time. */
  scratch: string
  limits?: Partial<Limits>
}

/** The main artifact; `bytes` are those of all. */
export interface UploadedDump extends StoredArtifact {
  parts: StoredArtifact[]
}

type UploadContext = DumpContext & Pick<Context, 'warn'>

/**
 * Uploads a sealed dump.
 *
 * @throws Failure when a part could not be uploaded after all attempts; ArtifactNameTaken; Cancelled
 */
export async function uploadDump(
  store: ArtifactStore,
  directory: string,
  manifest: Manifest,
  options: UploadOptions,
  context: UploadContext,
): Promise<UploadedDump> {
  const limits = { ...defaultLimits, ...options.limits }
  const { passphrase } = options
  const upload = new Upload(
    store,
    directory,
    options,
    passphrase === undefined ? undefined : await DumpEncryption.start(passphrase, context.warn),
    context,
  )
  const files = [
    ...manifest.files,
    ...(await listFiles(directory)).filter(
      ({ path }) => path === manifestFile || path === sealFile,
    ),
  ]
  upload.total = files.reduce((sum, file) => sum + file.bytes, 0)
  const most = Math.max(limits.bytes, Math.ceil(upload.total / mostParts))
  const pieces = files.map(({ path, bytes }) => ({ path, offset: 0, length: bytes }))
  if (upload.total <= most && files.length <= limits.files)
    return { ...(await upload.send(options.name, pieces, [])), parts: [] }

  const parts: StoredArtifact[] = []
  const cutter = new Cutter(pieces.filter((piece) => piece.path.includes('/')))
  let limit = most
  while (cutter.left > 0) {
    const part = cutter.take(limit, limits.files)
    const name = `${options.name}-part-${String(parts.length + 1).padStart(3, '0')}`
    const [before, began] = [upload.sent, performance.now()]
    parts.push(await upload.send(name, part))
    const perSecond = ((upload.sent - before) * 1000) / Math.max(1, performance.now() - began)
    const least = Math.max(limits.least, cutter.left / Math.max(1, mostParts - parts.length))
    limit = Math.min(most, Math.max(least, Math.floor(perSecond * limits.seconds)))
  }
  const rest = pieces.filter((piece) => !piece.path.includes('/'))
  const main = await upload.send(options.name, rest, parts)
  return { ...main, bytes: parts.reduce((sum, part) => sum + part.bytes, main.bytes), parts }
}

class Upload {
  total = 0
  sent = 0
  private readonly began = performance.now()
  private readonly store: ArtifactStore
  private readonly directory: string
  private readonly options: UploadOptions
  private readonly encryption: DumpEncryption | undefined
  private readonly context: UploadContext

  constructor(
    store: ArtifactStore,
    directory: string,
    options: UploadOptions,
    encryption: DumpEncryption | undefined,
    context: UploadContext,
  ) {
    this.store = store
    this.directory = directory
    this.options = options
    this.encryption = encryption
    this.context = context
  }

  /**
   * Uploads one artifact.
   *
   * @param parts those sent before, for the main artifact; undefined for a part
   */
  async send(name: string, pieces: CutPiece[], parts?: StoredArtifact[]): Promise<StoredArtifact> {
    const { encryption, directory } = this
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0)
    if (!encryption && !parts?.length && pieces.every((piece) => piece.cut === undefined))
      return this.upload(
        name,
        directory,
        pieces.map(({ path }) => path),
        bytes,
      )

    await checkSpace(this.options.scratch, bytes)
    return await writingTo(this.options.scratch, temporaryFull, () =>
      this.sendCopies(name, pieces, bytes, parts),
    )
  }

  /** Uploads what must be encrypted or cut before. */
  private async sendCopies(
    name: string,
    pieces: CutPiece[],
    bytes: number,
    parts?: StoredArtifact[],
  ): Promise<StoredArtifact> {
    const { encryption, directory, context } = this
    const staging = await mkdtemp(join(this.options.scratch, 'upload-'))
    try {
      if (encryption) {
        await encryption.add(directory, pieces, staging, context.signal, () =>
          this.show(0, name, 'Encrypting'),
        )
        if (parts) await encryption.finish(staging)
      } else for (const piece of pieces) await copyPiece(directory, piece, staging, context.signal)
      if (parts?.length)
        await writeFile(join(staging, partsFile), formatParts(parts), { mode: 0o600 })
      const files = (await listFiles(staging)).map(({ path }) => path)
      return await this.upload(name, staging, files, bytes)
    } finally {
      await rm(staging, { recursive: true, force: true })
    }
  }

  private async upload(
    name: string,
    directory: string,
    files: string[],
    bytes: number,
  ): Promise<StoredArtifact> {
    const { signal } = this.context
    const request = {
      name,
      directory,
      files,
      compressed: this.options.compressed || this.encryption !== undefined,
      retentionDays: this.options.retentionDays,
    }
    // a failed attempt starts again at nothing
    const stored = await this.store.upload(request, signal, (sent) => this.show(sent, name))
    this.sent += bytes
    return stored
  }

  private show(bytes: number, name: string, what = 'Uploading'): void {
    const done = Math.min(this.total, this.sent + bytes)
    const seconds = (performance.now() - this.began) / 1000
    const parts = [...bytesAtRate(done, this.total, seconds), timeLeft(done, this.total, seconds)]
    this.context.progress.update(progressLine(`${what} ${name}`, parts))
  }
}

interface CutPiece extends Piece {
  /** 1, 2, … when it is not the whole file. */
  cut?: number
}

/** Hands out files, and pieces of files too large for a part, in groups. */
class Cutter {
  /** Bytes, and files, not yet handed out. */
  left: number
  private readonly queue: CutPiece[]

  constructor(pieces: Piece[]) {
    this.queue = [...pieces].reverse()
    // an empty file counts too
    this.left = pieces.reduce((sum, piece) => sum + piece.length + 1, 0)
  }

  /** At most that many bytes and files, and at least something. */
  take(bytes: number, files: number): CutPiece[] {
    const taken: CutPiece[] = []
    let room = bytes
    for (let next = this.queue.at(-1); next && taken.length < files; next = this.queue.at(-1)) {
      if (next.cut !== undefined || next.length > bytes) {
        // alone in its part: then nothing but this piece has to be copied
        if (taken.length === 0) taken.push(this.cut(next, bytes))
        break
      }
      if (next.length > room) break
      taken.push(next)
      room -= next.length
      this.left -= next.length + 1
      this.queue.pop()
    }
    return taken
  }

  private cut(piece: CutPiece, bytes: number): CutPiece {
    this.queue.pop()
    const { path, offset } = piece
    const length = Math.min(bytes, piece.length)
    const cut = piece.cut ?? 1
    this.left -= length
    if (length < piece.length)
      this.queue.push({
        path,
        offset: offset + length,
        length: piece.length - length,
        cut: cut + 1,
      })
    else this.left -= 1
    return { path, offset, length, cut }
  }
}

async function copyPiece(
  directory: string,
  piece: CutPiece,
  staging: string,
  signal: AbortSignal,
): Promise<void> {
  const source = join(directory, piece.path)
  await mkdir(dirname(join(staging, piece.path)), { recursive: true, mode: 0o700 })
  try {
    if (piece.cut === undefined) await copyFile(source, join(staging, piece.path))
    else
      await pipeline(
        createReadStream(source, { start: piece.offset, end: piece.offset + piece.length - 1 }),
        createWriteStream(join(staging, pieceName(piece.path, piece.cut)), { mode: 0o600 }),
        { signal },
      )
  } catch (error) {
    if (signal.aborted) throw new Cancelled()
    if (isFull(error)) throw error
    throw new Failure(
      `A piece of ${piece.path} could not be made for the upload`,
      messageOf(error),
      'Free space in the directory for temporary files',
    )
  }
}

function pieceName(path: string, cut: number): string {
  return `${path}.part-${String(cut).padStart(4, '0')}`
}

function checkSpace(directory: string, bytes: number): Promise<void> {
  return refuseUnlessFree(directory, bytes, (free) => [
    'There is no space to prepare the upload',
    `It takes ${formatBytes(bytes)} at a time, and ${formatBytes(free)} are free at ${directory}`,
    'Free space on the runner, or set upload-dump to false and use dump-directory',
  ])
}
