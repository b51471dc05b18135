import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { dumpFull, temporaryFull, writingTo } from '../free-space.ts'
import { BytesProgress } from '../progress-line.ts'
import {
  type ArtifactStore,
  type OtherRun,
  parseParts,
  type StoredArtifact,
} from './artifact-store.ts'
import {
  type DumpContext,
  incomingDirectory,
  listFiles,
  openDump,
  type Proof,
  partsFile,
} from './directory.ts'
import { decryptDump, isEncrypted } from './encryption.ts'
import { type Manifest, manifestFile } from './manifest.ts'

export interface DownloadOptions {
  name: string
  /** Where it is looked for, one after the other, when there is none of that name. */
  otherNames?: readonly string[]
  /** This run when undefined. */
  run?: OtherRun | undefined
  /** A directory, empty or not yet there. */
  into: string
  /** Set, it demands an encrypted dump. */
  passphrase?: string | undefined
}

/**
 * Downloads a dump, puts it together, decrypts it and holds every file against the manifest. Until that is done it lies in a
 * directory of its own below `into`: a manifest in `into` says that the dump is whole.
 *
 * @returns the manifest; `into` then holds the dump
 * @throws Failure when there is no such artifact, a part is missing, or anything is not as it was uploaded; Cancelled
 */
export async function downloadDump(
  store: ArtifactStore,
  options: DownloadOptions,
  context: DumpContext,
): Promise<Manifest> {
  const { into } = options
  await checkEmpty(into)
  const incoming = join(into, incomingDirectory)
  return await writingTo(into, dumpFull, async () => {
    await mkdir(incoming, { recursive: true, mode: 0o700 })
    const manifest = await downloadInto(incoming, store, options, context)
    // last of all, and in one step, what makes a dump of it
    const names = (await readdir(incoming)).filter((path) => path !== manifestFile)
    for (const path of [...names, manifestFile])
      await rename(join(incoming, path), join(into, path))
    await rmdir(incoming)
    return manifest
  })
}

async function downloadInto(
  incoming: string,
  store: ArtifactStore,
  { name: wanted, otherNames = [], run, passphrase }: DownloadOptions,
  context: DumpContext,
): Promise<Manifest> {
  const { signal } = context
  let main: StoredArtifact | undefined
  const names = [wanted, ...otherNames]
  for (const one of names) main ??= await store.find(one, run, signal)
  if (!main)
    throw new Failure(
      `There is no artifact ${names.join(' or ')} in ${run ? `run ${run.id}` : 'this run'}`,
      'It was not uploaded (yet), its upload failed, or it has expired',
      run
        ? 'Check artifact-name and run-id'
        : 'Check artifact-name, and that the job needs the one that dumps; give run-id for another run',
    )
  const { name } = main
  let total = main.bytes
  let received = 0
  const progress = new BytesProgress(`Downloading ${name}`, context.progress)
  const fetch = async (artifact: StoredArtifact) => {
    await store.download(artifact, incoming, run, signal, (bytes) =>
      progress.at(received + bytes, total),
    )
    received += artifact.bytes
  }
  await fetch(main)
  const list = join(incoming, partsFile)
  const files = new Set((await listFiles(incoming)).map(({ path }) => path))
  const parts = files.has(partsFile) ? parseParts(await readFile(list, 'utf8')) : []
  total += parts.reduce((sum, part) => sum + part.bytes, 0)
  for (const part of parts) await fetch(part)
  await rm(list, { force: true })
  const encrypted = await isEncrypted(incoming)
  if (encrypted)
    await decryptDump(incoming, incoming, demand(passphrase), context, { remove: true })
  else if (passphrase !== undefined)
    // somebody may have put it in the place of the encrypted one
    throw new Failure(
      `The artifact ${name} is not encrypted`,
      'passphrase is set, so an encrypted dump was expected',
      'Find out who uploaded it; unset passphrase if it was you',
    )
  else await joinPieces(incoming, signal)
  return openDump(incoming, context, proofOf(passphrase, encrypted))
}

/**
 * Opens a dump that was brought into a directory in any way, also as the artifacts are: encrypted, or with files in pieces.
 *
 * @param passphrase decrypts it; a directory that is not encrypted must carry a seal that was made with it
 * @param scratch a private directory, for the decrypted dump
 * @returns the manifest and the directory that it speaks of: `directory`, or one below `scratch`
 * @throws Failure, as `openDump` and `decryptDump` do; Cancelled
 */
export async function openDumpDirectory(
  directory: string,
  passphrase: string | undefined,
  scratch: string,
  context: DumpContext,
): Promise<{ manifest: Manifest; directory: string }> {
  if (!(await isEncrypted(directory))) {
    const manifest = await openDump(directory, context, proofOf(passphrase, false))
    return { manifest, directory }
  }
  const plain = await writingTo(scratch, temporaryFull, async () => {
    const made = await mkdtemp(join(scratch, 'decrypted-'))
    await decryptDump(directory, made, demand(passphrase), context)
    return made
  })
  const manifest = await openDump(plain, context, proofOf(passphrase, true))
  return { manifest, directory: plain }
}

function proofOf(passphrase: string | undefined, decrypted: boolean): Proof | undefined {
  return passphrase === undefined ? undefined : { passphrase, decrypted }
}

function demand(passphrase: string | undefined): string {
  if (passphrase !== undefined) return passphrase
  throw new Failure(
    'The dump is encrypted',
    'No passphrase is set',
    'Set passphrase to the one that the dump was encrypted with',
  )
}

/** Joins `<file>.part-0001`, … to `<file>`, and removes them. Whether all were there is for `openDump` to say. */
async function joinPieces(directory: string, signal: AbortSignal): Promise<void> {
  for (const { path } of await listFiles(directory)) {
    const [, whole, number] = /^(.+)\.part-(\d{4,})$/.exec(path) ?? []
    if (!whole) continue
    // they come sorted, the first one first; a gap makes a file that the manifest does not describe
    if (Number(number) === 1) await rename(join(directory, path), join(directory, whole))
    else {
      await pipeline(
        createReadStream(join(directory, path)),
        createWriteStream(join(directory, whole), { flags: 'a', mode: 0o600 }),
        { signal },
      ).catch((error: unknown) => {
        throw signal.aborted ? new Cancelled() : error
      })
      await rm(join(directory, path))
    }
  }
}

async function checkEmpty(directory: string): Promise<void> {
  const entries = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new Failure(
      `The dump cannot be downloaded into ${directory}`,
      messageOf(error),
      'Set dump-directory to a directory that belongs to the user who runs the job',
    )
  })
  if (entries.length > 0)
    throw new Failure(
      `The dump cannot be downloaded into ${directory}`,
      'The directory is not empty',
      'Set dump-directory to an empty directory',
    )
}
