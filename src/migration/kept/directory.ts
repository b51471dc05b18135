import { randomUUID } from 'node:crypto'
import { constants, lstatSync } from 'node:fs'
import { chmod, lstat, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, messageOf } from '../../failure.ts'
import { ManyFiles } from '../../postgres/archive/many-files.ts'
import type { Context } from '../context.ts'
import { hashFiles } from './hash-files.ts'
import {
  type DumpContents,
  type DumpedFile,
  formatManifest,
  formatVersion,
  isSafePath,
  type Manifest,
  manifestFile,
  mostBytes,
  parseManifest,
  polardbRolesFile,
  rolesFile,
  shown,
} from './manifest.ts'
import { isSealedBy, makeSeal, mostSealBytes, sealFile } from './seal.ts'

/** What the functions here need of the run's context. */
export type DumpContext = Pick<Context, 'log' | 'progress' | 'signal'>

/** Lists the parts of a dump that took several artifacts; the artifacts' files, not the dump's. */
export const partsFile = 'parts.json'

/** Below the dump's directory, what is downloaded lies here until all of it has proven to be there. */
export const incomingDirectory = 'incoming'

/** Is this a name that a dump, encrypted or not, or one under way can have at its top? */
export function isPartOfDump(name: string): boolean {
  return /^(roles(\.polardb)?\.sql|manifest\.(json|seal)(\.tmp)?|parts\.json|databases|incoming|(\d{6,9}|identity|index)\.age|\.zip-\w{6})$/.test(
    name,
  )
}

export interface FoundFile {
  path: string
  bytes: number
}

/**
 * Ends a dump: every file in the directory is hashed and listed in `manifest.json`, which is written last and in one
 * step, so that a directory with a manifest is a complete dump. Files become readable to their owner alone.
 *
 * @param directory holds the archives at the paths that `contents` names (see `archivePath`), and the role scripts
 * @param passphrase writes a seal beside the manifest, so that nobody without it can change the dump
 * @throws Failure when an archive is missing, a file is none of the dump's, or a file cannot be read; Cancelled
 */
export async function sealDump(
  directory: string,
  contents: DumpContents,
  context: DumpContext,
  passphrase?: string,
): Promise<Manifest> {
  for (const name of [manifestFile, sealFile]) await rm(join(directory, name), { force: true })
  const found = await listFiles(directory)
  const archives = contents.databases.flatMap((database) => database.archives)
  for (const { path } of found) {
    const expected =
      path === rolesFile ||
      path === polardbRolesFile ||
      archives.some((archive) => path.startsWith(`${archive.path}/`))
    if (!expected || !isSafePath(path))
      throw new Failure(
        `${shown(path)} in the dump directory does not belong to the dump`,
        'A dump holds its archives, its role scripts and its manifest',
        'Use an empty directory as dump-directory',
      )
  }
  const digests = await hashFiles(directory, found, 'Hashing the dump', context)
  const files: DumpedFile[] = found.map((file, index) => ({
    ...file,
    sha256: digests[index] ?? '',
  }))
  const manifest: Manifest = {
    formatVersion,
    id: randomUUID(),
    createdAt: new Date().toISOString(),
    ...contents,
    files,
  }
  const text = Buffer.from(formatManifest(manifest))
  // what cannot be read again must not be found out at the restore; what was read is as large as what there is, and not kept
  parseManifest(text)
  await makePrivate(directory, files)
  if (passphrase !== undefined)
    await writeWhole(join(directory, sealFile), Buffer.from(await makeSeal(text, passphrase)))
  await writeWhole(join(directory, manifestFile), text)
  return manifest
}

/** How a dump is to prove that nobody changed it. */
export interface Proof {
  passphrase: string
  /** It was decrypted with the passphrase, which proves as much: then it need not carry a seal, as older dumps do not. */
  decrypted: boolean
}

/**
 * Reads a dump's manifest and holds every file against it, before anything is restored.
 *
 * @param proof demands a right seal; without it a seal is not looked at
 * @returns the manifest; all its paths exist below `directory`, as plain files of that size and SHA-256
 * @throws Failure naming the file that is missing, cut off, altered, too many, a link, or the reason why the directory is
 *   no dump; Cancelled
 */
export async function openDump(
  directory: string,
  context: DumpContext,
  proof?: Proof,
): Promise<Manifest> {
  const manifest = await readManifest(directory, context, proof)
  const found = await listFiles(directory)
  const expected = new Map(manifest.files.map((file) => [file.path, file]))
  const present = new Map(found.map((file) => [file.path, file]))
  for (const file of manifest.files) {
    const bytes = present.get(file.path)?.bytes
    if (bytes === undefined) throw missing(file.path, found)
    if (bytes !== file.bytes)
      throw refused(
        `${file.path} has ${bytes} bytes`,
        `The manifest says ${file.bytes}: it was cut off or altered`,
      )
  }
  for (const { path } of found)
    if (!expected.has(path) && ![manifestFile, sealFile, partsFile].includes(path))
      throw refused(`${shown(path)} does not belong to it`, 'The manifest does not name this file')
  const digests = await hashFiles(directory, manifest.files, 'Checking the dump', context)
  for (const [index, file] of manifest.files.entries())
    if (digests[index] !== file.sha256)
      throw refused(
        `${file.path} was altered`,
        'Its SHA-256 is not the one that the manifest gives',
      )
  return manifest
}

/** The manifest, once its seal is right. Both are read only once, so nobody can exchange the manifest after its proof. */
async function readManifest(
  directory: string,
  context: DumpContext,
  proof: Proof | undefined,
): Promise<Manifest> {
  const bytes = await readSmall(directory, manifestFile, mostBytes)
  const seal = await readSmall(directory, sealFile, mostSealBytes).catch((error: Failure) => {
    if ((error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined
    throw error
  })
  if (!proof) {
    if (seal) context.log.info('The dump carries a seal; it was not checked: passphrase is not set')
    return parseManifest(bytes)
  }
  if (seal && !(await isSealedBy(seal, bytes, proof.passphrase)))
    throw new Failure(
      `The dump is refused: ${sealFile} does not fit to ${manifestFile}`,
      'The passphrase is not the one that the dump was made with, or the dump was changed',
      'Set passphrase to the one that the dump was made with; if it is, make the dump again',
    )
  if (!seal && !proof.decrypted)
    throw new Failure(
      'The dump is refused: it carries no seal',
      'passphrase is set, and the dump was made without one, or somebody took its seal away',
      'Make the dump with passphrase; or leave passphrase away, if you trust everybody who could write to the directory',
    )
  return parseManifest(bytes)
}

/**
 * The content of one of the dump's own files. One that is too large is cut off after one byte more than `most`, which is
 * enough for its reader to refuse it.
 *
 * @throws Failure when it is missing, no plain file, a link, or cannot be read; its cause has the system's code
 */
async function readSmall(directory: string, name: string, most: number): Promise<Buffer> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  try {
    await using handle = await open(join(directory, name), flags)
    const stats = await handle.stat()
    if (!stats.isFile()) throw refused(`${name} is no plain file`, 'A dump has no others')
    const limit = Math.min(stats.size, most + 1)
    const buffer = Buffer.alloc(limit)
    let length = 0
    while (length < limit) {
      const { bytesRead } = await handle.read(buffer, length, limit - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return buffer.subarray(0, length)
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure(
      `${shown(directory)} is no dump`,
      `Its ${name} cannot be opened: ${messageOf(error)}`,
      'Give the directory or the artifact of a finished dump',
      { cause: error },
    )
  }
}

/**
 * Every file below a directory, sorted by path.
 *
 * @throws Failure at anything that is neither a directory nor a plain file: a link could lead out of the dump
 */
export async function listFiles(directory: string): Promise<FoundFile[]> {
  const files: FoundFile[] = []
  const many = new ManyFiles()
  const waiting = ['']
  for (let parent = waiting.pop(); parent !== undefined; parent = waiting.pop()) {
    for (const entry of await readdir(join(directory, parent), { withFileTypes: true })) {
      const path = parent === '' ? entry.name : `${parent}/${entry.name}`
      if (entry.isDirectory()) waiting.push(path)
      else if (entry.isFile()) {
        const file = join(directory, path)
        const { size } = await many.ask(
          () => lstatSync(file),
          () => lstat(file),
        )
        files.push({ path, bytes: size })
      } else
        throw refused(
          `${shown(path)} is ${entry.isSymbolicLink() ? 'a symbolic link' : 'no plain file'}`,
          'A dump has plain files and directories only',
        )
    }
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
}

/** Role scripts hold password hashes, archives hold everything: 0600 for files, 0700 for the directories above them. */
async function makePrivate(directory: string, files: DumpedFile[]): Promise<void> {
  const directories = new Set([''])
  const many = new ManyFiles()
  for (const { path } of files) {
    const file = join(directory, path)
    // those of our programs are so already
    const mode = (await many.stat(file))?.mode ?? 0
    if ((mode & 0o7777) !== 0o600) await chmod(file, 0o600)
    for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1))
      directories.add(path.slice(0, at))
  }
  for (const path of directories) await chmod(join(directory, path), 0o700)
}

/** Writes a file so that its name never stands for half of it. */
async function writeWhole(path: string, content: Buffer): Promise<void> {
  const temporary = `${path}.tmp`
  await rm(temporary, { force: true })
  const handle = await open(temporary, 'wx', 0o600)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, path)
}

function missing(path: string, found: FoundFile[]): Failure {
  return found.some((file) => file.path.startsWith(`${path}.part-`))
    ? new Failure(
        `The dump is refused: ${path} is missing`,
        'Its pieces are there, not joined',
        `Join them: cat ${path}.part-* > ${path} && rm ${path}.part-*`,
      )
    : refused(`${path} is missing`, 'The manifest names this file')
}

function refused(what: string, why: string): Failure {
  return new Failure(
    `The dump is refused: ${what}`,
    why,
    'Fetch or make the dump again; nothing was restored',
  )
}
