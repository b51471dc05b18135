import { Failure } from '../../failure.ts'
import type { Context } from '../context.ts'
import type { ArtifactStore, StoredArtifact } from './artifact-store.ts'
import { type CutPiece, Cutter } from './cutter.ts'
import { type DumpContext, type FoundFile, listFiles } from './directory.ts'
import { DumpEncryption } from './encryption.ts'
import { hashFiles } from './hash-files.ts'
import { type Manifest, manifestFile } from './manifest.ts'
import { sealFile } from './seal.ts'
import { Sender, type SendOptions, type Sent } from './send.ts'
import { defaultLimits, type Limits, mostEarly, mostParts } from './upload-limits.ts'

/**
 * A dump as artifacts. One, under the name that was asked for, when it is small enough. Otherwise its archives go into
 * `<name>-part-001`, …, each a whole artifact of its own, and the artifact `<name>` comes last, with the manifest, the role
 * scripts and `parts.json`, which lists the parts: where it exists, the dump is complete. A file too large for a part is
 * cut into `<file>.part-0001`, …; or, encrypted, into several numbered files. A part whose archives are complete can be sent before
 * the dump is sealed; see early-upload.ts.
 */

export interface UploadOptions extends SendOptions {
  /** Of the main artifact. */
  name: string
  /** Encrypts everything, names included. */
  passphrase?: string | undefined
  limits?: Partial<Limits> | undefined
}

/** The main artifact; `bytes` are those of all. */
export interface UploadedDump extends StoredArtifact {
  parts: StoredArtifact[]
}

/** A part that was sent. */
interface SentPart extends Sent {
  /** What it was to be called. */
  name: string
  pieces: readonly CutPiece[]
}

/** What is sent while the dump goes on. */
export interface Beside {
  context: DumpContext
  /** Bytes that the whole dump has, as far as anybody can tell. */
  expected: number
  /** Told which files a part is made of, before it is sent. */
  onPieces: (pieces: readonly CutPiece[]) => void
}

/** The upload of one dump: parts of it may be sent before it is sealed. */
export class DumpUpload {
  private readonly store: ArtifactStore
  private readonly directory: string
  private readonly name: string
  private readonly limits: Limits
  private readonly encryption: DumpEncryption | undefined
  private readonly sender: Sender
  private readonly cutter = new Cutter()
  private parts: SentPart[] = []
  /** The SHA-256 that files had when they were sent early, and the bytes that all had when they were handed in. */
  private readonly early = new Map<string, string>()
  private readonly sizes = new Map<string, number>()
  /** Parts that were begun: no name is used twice. */
  private number = 0
  /** Bytes a second of the part before. */
  private rate: number | undefined
  /** The service has given away the name of the main artifact: from then on it may be there. */
  isMainMade = false

  private constructor(
    store: ArtifactStore,
    directory: string,
    options: UploadOptions,
    encryption: DumpEncryption | undefined,
  ) {
    this.store = store
    this.directory = directory
    this.name = options.name
    this.limits = { ...defaultLimits, ...options.limits }
    this.encryption = encryption
    this.sender = new Sender(store, directory, options, encryption)
  }

  /** @throws Failure when the passphrase is empty */
  static async begin(
    store: ArtifactStore,
    directory: string,
    options: UploadOptions,
    { warn }: Pick<Context, 'warn'>,
  ): Promise<DumpUpload> {
    const { passphrase } = options
    const encryption =
      passphrase === undefined ? undefined : await DumpEncryption.start(passphrase, warn)
    return new DumpUpload(store, directory, options, encryption)
  }

  /** The names that parts were to have, those that are void or were never sent included. */
  get names(): string[] {
    return Array.from({ length: this.number }, (_, index) => this.nameOf(index + 1))
  }

  /** Some of it is sent. */
  get isBegun(): boolean {
    return this.parts.length > 0
  }

  /** Files of archives that are complete. */
  add(files: readonly FoundFile[]): void {
    for (const { path, bytes } of files) this.sizes.set(path, bytes)
    this.cutter.add(files.map(wholeOf))
  }

  /**
   * Whether what is complete is enough for a part.
   *
   * @param expected bytes that the whole dump has, as far as anybody can tell
   */
  isWorthPart(expected: number): boolean {
    const share = this.shareOf(mostEarly, this.expect(expected))
    return this.number < mostEarly && this.cutter.left >= Math.max(this.limits.early, share)
  }

  /**
   * Sends a part while the dump goes on. What could not be sent stays for later.
   *
   * @throws as Sender.send()
   */
  async sendEarly({ context, expected, onPieces }: Beside): Promise<StoredArtifact> {
    const { artifact } = await this.sendPart(mostEarly, this.expect(expected), context, {
      reserve: expected,
      before: async (pieces) => {
        onPieces(pieces)
        this.sender.begin(lengthOf(pieces))
        await this.hash(pieces, context)
      },
    })
    return artifact
  }

  /**
   * Files are gone, or will be: what was sent of them is void, and what was sent with them is to be sent again.
   *
   * @returns the names of the parts that are void
   */
  forget(isGone: (path: string) => boolean): string[] {
    const isVoid = ({ pieces }: SentPart) => pieces.some(({ path }) => isGone(path))
    const gone = this.parts.filter(isVoid)
    this.parts = this.parts.filter((part) => !isVoid(part))
    this.cutter.drop(isGone)
    for (const { pieces, numbers } of gone) {
      this.encryption?.forget(numbers)
      // where there are others, none of them is cut
      this.cutter.add(pieces.filter(({ path }) => !isGone(path)))
    }
    for (const path of this.early.keys()) if (isGone(path)) this.early.delete(path)
    return gone.map(({ name }) => name)
  }

  /**
   * Sends what is not sent yet of the dump, which is sealed by now, and the main artifact last.
   *
   * @throws Failure when a part could not be uploaded after all attempts, or what was sent early is not what was sealed;
   * ArtifactNameTaken; Cancelled
   */
  async finish(manifest: Manifest, context: DumpContext): Promise<UploadedDump> {
    this.checkEarly(manifest)
    const { sender, cutter, limits } = this
    const own = (await listFiles(this.directory)).filter(
      ({ path }) => path === manifestFile || path === sealFile,
    )
    const files = [...manifest.files, ...own]
    const total = bytesOf(files)
    const most = Math.max(limits.bytes, Math.ceil(total / mostParts))
    if (!this.isBegun && total <= most && files.length <= limits.files) {
      sender.begin(total)
      const main = await this.sendMain(files, [], context)
      return { ...main, parts: [] }
    }
    const sent = new Set(this.parts.flatMap(({ pieces }) => pieces.map(({ path }) => path)))
    const waiting = cutter.paths()
    const isArchive = ({ path }: FoundFile) => path.includes('/')
    this.add(
      files.filter((file) => isArchive(file) && !sent.has(file.path) && !waiting.has(file.path)),
    )
    const rest = files.filter((file) => !isArchive(file))
    sender.begin(cutter.bytes + bytesOf(rest))
    while (cutter.left > 0) await this.sendPart(mostParts, cutter.left, context)
    const parts = this.parts.map(({ artifact }) => artifact)
    const main = await this.sendMain(rest, parts, context)
    return { ...main, bytes: bytesOf([...parts, main]), parts }
  }

  private async sendMain(
    files: readonly FoundFile[],
    parts: readonly StoredArtifact[],
    context: DumpContext,
  ): Promise<StoredArtifact> {
    const onName = () => {
      this.isMainMade = true
      this.store.settle()
    }
    return (await this.sender.send(this.name, files.map(wholeOf), { context, parts, onName }))
      .artifact
  }

  /**
   * @param most parts that there may be
   * @param bytes that they are to share, this one included
   */
  private async sendPart(
    most: number,
    bytes: number,
    context: DumpContext,
    early?: { reserve: number; before: (pieces: readonly CutPiece[]) => Promise<void> },
  ): Promise<SentPart> {
    const { limits, cutter, sender } = this
    const share = this.shareOf(most, bytes)
    const atMost = Math.max(limits.bytes, share)
    // the size of the whole is a guess until it is sealed, and no reason for parts that take too long
    const atLeast = early ? limits.least : Math.max(limits.least, share)
    const inTime = this.rate === undefined ? atMost : Math.floor(this.rate * limits.seconds)
    const pieces = cutter.take(Math.min(atMost, Math.max(atLeast, inTime)), limits.files)
    const name = this.nameOf(++this.number)
    try {
      await early?.before(pieces)
      const began = performance.now()
      const sent = await sender.send(name, pieces, { context, ...(early ? { beside: early } : {}) })
      this.rate = (lengthOf(pieces) * 1000) / Math.max(1, performance.now() - began)
      const part = { ...sent, name, pieces }
      this.parts.push(part)
      return part
    } catch (error) {
      cutter.giveBack(pieces)
      throw error
    }
  }

  /** Bytes of each part that is left, where so many share so much. */
  private shareOf(most: number, bytes: number): number {
    return Math.ceil(bytes / Math.max(1, most - this.number))
  }

  /** Bytes that are still to come of the whole dump. */
  private expect(expected: number): number {
    const sent = this.parts.reduce((sum, { pieces }) => sum + lengthOf(pieces), 0)
    return Math.max(this.cutter.left, expected - sent)
  }

  private nameOf(number: number): string {
    return `${this.name}-part-${String(number).padStart(3, '0')}`
  }

  /** Keeps what the files are that pieces are about to be sent of: nothing changes them any more. */
  private async hash(pieces: readonly CutPiece[], context: DumpContext): Promise<void> {
    const paths = new Set(pieces.map(({ path }) => path))
    const files = [...paths]
      .filter((path) => !this.early.has(path))
      .map((path) => ({ path, bytes: 0 }))
    const quiet = { ...context, progress: { update: () => {} } }
    const digests = await hashFiles(this.directory, files, '', quiet)
    for (const [index, { path }] of files.entries()) this.early.set(path, digests[index] ?? '')
  }

  /** @throws Failure that names a file that is not what it was when it was sent */
  private checkEarly({ files }: Manifest): void {
    const sealed = new Map(files.map(({ path, bytes, sha256 }) => [path, { bytes, sha256 }]))
    for (const [path, sha256] of this.early) {
      const file = sealed.get(path)
      if (file?.sha256 !== sha256 || file.bytes !== this.sizes.get(path))
        throw new Failure(
          `The dump is not uploaded: ${path} has changed since it was sent`,
          'Its archive was complete, and was uploaded while others were still being dumped; its SHA-256 is another one now',
          'Find out what writes to the dump directory, or check its disk; then make the dump again',
        )
    }
  }
}

const wholeOf = ({ path, bytes }: FoundFile): CutPiece => ({ path, offset: 0, length: bytes })
const bytesOf = (files: readonly { bytes: number }[]) =>
  files.reduce((sum, { bytes }) => sum + bytes, 0)
const lengthOf = (pieces: readonly CutPiece[]) =>
  pieces.reduce((sum, { length }) => sum + length, 0)
