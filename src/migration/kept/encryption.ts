import { createPublicKey, type KeyObject } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Cancelled, Failure, messageOf } from '../../failure.ts'
import { isFull } from '../free-space.ts'
import { inPool } from '../pool.ts'
import { BytesProgress } from '../progress-line.ts'
import {
  AgeError,
  type ByteRange,
  decryptFile,
  decryptText,
  decryptWithPassphrase,
  encryptRange,
  encryptText,
  encryptWithPassphrase,
  newIdentity,
  privateKeyOf,
  WrongPassphrase,
} from './age.ts'
import { type DumpContext, listFiles, partsFile } from './directory.ts'
import { isSafePath, shown } from './manifest.ts'
import { weaknessOf } from './seal.ts'

/**
 * Dumps in the age format (age-encryption.org/v1; docs/encryption.md), such that the `age` program can decrypt them:
 *
 * - `identity.age`: a key made for this dump, encrypted with the passphrase. Only this file costs a scrypt.
 * - `000001.age`, …: the dump's files, or pieces of them, encrypted to that key. Its public half is written nowhere, so who
 *   lacks the passphrase cannot make such a file either.
 * - `index.age`: what the numbers stand for, one line each: `000001.age`, a tab, the path. A path that stands on several
 *   lines is the pieces of one file in that order.
 */
export const identityFile = 'identity.age'
export const indexFile = 'index.age'

const mostIndexBytes = 512 * 1024 * 1024
/** Files at once, while the disk is waited for. */
const atOnce = 3

/** A file of the dump, or a piece of it. */
export interface Piece extends ByteRange {
  path: string
}

export class DumpEncryption {
  /** What each numbered file holds a piece of, in the order of the pieces. */
  private readonly index = new Map<string, string>()
  private numbered = 0
  private readonly identity: string
  private readonly sealedIdentity: Uint8Array
  private readonly publicKey: KeyObject

  private constructor(identity: string, sealedIdentity: Uint8Array) {
    this.identity = identity
    this.sealedIdentity = sealedIdentity
    this.publicKey = createPublicKey(privateKeyOf(identity))
  }

  /** Makes the key of a dump. @throws Failure when the passphrase is empty */
  static async start(passphrase: string, warn: (message: string) => void): Promise<DumpEncryption> {
    if (passphrase === '')
      throw new Failure(
        'The dump cannot be encrypted',
        'The passphrase is empty',
        'Set passphrase to a secret of at least 12 random characters',
      )
    const weakness = weaknessOf(passphrase)
    if (weakness) warn(weakness)
    const identity = await newIdentity()
    const sealed = await encryptWithPassphrase(`${identity}\n`, passphrase)
    return new DumpEncryption(identity, sealed)
  }

  /**
   * Encrypts pieces of a dump's files into numbered files.
   *
   * @param out a directory that exists
   * @param files that are worked on at once
   * @returns the names of the files made, in the order of the pieces
   */
  async add(
    directory: string,
    pieces: readonly Piece[],
    out: string,
    signal: AbortSignal,
    onBytes: (bytes: number) => void,
    files = atOnce,
  ): Promise<string[]> {
    const names = pieces.map(() => `${String(++this.numbered).padStart(6, '0')}.age`)
    await inPool(pieces, { workers: files, signal }, async (piece, _, at) => {
      await using output = await openNew(join(out, names[at] ?? ''))
      try {
        await using input = await open(join(directory, piece.path), 'r')
        await encryptRange(input, piece, output, this.publicKey, (bytes) => {
          if (signal.aborted) throw new Cancelled()
          onBytes(bytes)
        })
      } catch (error) {
        throw explain(piece.path, error)
      }
    })
    for (const [at, name] of names.entries()) this.index.set(name, pieces[at]?.path ?? '')
    return names
  }

  /** Takes files out of the index that are no longer a part of the dump: they are not there, or nobody is to read them. */
  forget(names: readonly string[]): void {
    for (const name of names) this.index.delete(name)
  }

  /** Writes `identity.age` and `index.age`: call it after the last `add`. @returns their names */
  async finish(out: string): Promise<string[]> {
    const lines = [...this.index].map(([name, path]) => `${name}\t${path}`)
    await writeNew(join(out, identityFile), this.sealedIdentity)
    await writeNew(join(out, indexFile), await encryptText(`${lines.join('\n')}\n`, this.identity))
    return [identityFile, indexFile]
  }
}

/** Is this the directory of an encrypted dump? */
export async function isEncrypted(directory: string): Promise<boolean> {
  const stats = await stat(join(directory, identityFile)).catch(() => undefined)
  return stats?.isFile() === true
}

/**
 * Decrypts a dump. What comes out is as authentic as the passphrase is secret, but only `openDump` says whether it is
 * complete.
 *
 * @param out is made if missing; may be `directory` itself
 * @param options `remove`: delete each encrypted file once it is decrypted, so that the disk need not hold both
 * @throws Failure that tells a wrong passphrase from a file that was altered, cut off, removed or added; Cancelled
 */
export async function decryptDump(
  directory: string,
  out: string,
  passphrase: string,
  context: DumpContext,
  options: { remove?: boolean } = {},
): Promise<void> {
  const { identity, privateKey } = await readIdentity(directory, passphrase)
  const index = await readIndex(directory, identity)
  const files = new Map((await listFiles(directory)).map((file) => [file.path, file.bytes]))
  const own = new Set([identityFile, indexFile, partsFile, ...index.flatMap(({ names }) => names)])
  for (const name of own)
    if (name !== partsFile && !files.has(name))
      throw refused(`${name} is missing`, 'The index names it')
  for (const name of files.keys())
    if (!own.has(name))
      throw refused(`${shown(name)} does not belong to it`, 'The index does not name it')

  const total = [...files.values()].reduce((sum, bytes) => sum + bytes, 0)
  const progress = new BytesProgress('Decrypting the dump', context.progress, total)
  const onBytes = (bytes: number) => {
    if (context.signal.aborted) throw new Cancelled()
    progress.add(bytes)
  }
  await mkdir(out, { recursive: true, mode: 0o700 })
  await inPool(index, { workers: atOnce, signal: context.signal }, async ({ path, names }) => {
    await mkdir(dirname(join(out, path)), { recursive: true, mode: 0o700 })
    await using output = await openNew(join(out, path))
    for (const name of names) {
      try {
        await using input = await open(
          join(directory, name),
          constants.O_RDONLY | constants.O_NOFOLLOW,
        )
        await decryptFile(input, output, privateKey, onBytes)
      } catch (error) {
        throw explain(name, error)
      }
      if (options.remove) await rm(join(directory, name))
    }
  })
  if (options.remove) for (const name of [identityFile, indexFile]) await rm(join(directory, name))
}

/** The key of the dump. @throws Failure: the passphrase is wrong, or the file is damaged */
async function readIdentity(
  directory: string,
  passphrase: string,
): Promise<{ identity: string; privateKey: KeyObject }> {
  const sealed = await readWhole(directory, identityFile, 65_536)
  const text = await decryptWithPassphrase(sealed, passphrase).catch((error: unknown) => {
    if (error instanceof WrongPassphrase)
      throw new Failure(
        'The dump cannot be decrypted: the passphrase is wrong',
        `It does not open ${identityFile}`,
        'Set passphrase to the one that the dump was encrypted with',
      )
    throw explain(identityFile, error)
  })
  // age-keygen, and people, put comments above the key
  const identity = /^AGE-SECRET-KEY-1[0-9A-Z]{58}$/m.exec(text)?.[0]
  if (!identity) throw refused(`${identityFile} holds no key`, 'It was not made by this action')
  try {
    return { identity, privateKey: privateKeyOf(identity) }
  } catch (error) {
    throw explain(identityFile, error)
  }
}

async function readIndex(
  directory: string,
  identity: string,
): Promise<{ path: string; names: string[] }[]> {
  const sealed = await readWhole(directory, indexFile, mostIndexBytes)
  const text = await decryptText(sealed, identity).catch((error: unknown) => {
    throw explain(indexFile, error)
  })
  const paths = new Map<string, string[]>()
  const seen = new Set<string>()
  for (const line of text.split('\n').slice(0, -1)) {
    const [, name, path] = /^(\d{6,9}\.age)\t(.+)$/.exec(line) ?? []
    if (!name || !path || seen.has(name) || !isSafePath(path) || /\.age$/i.test(path))
      throw refused(
        `${indexFile} holds a line that it cannot have`,
        'It was not made by this action',
      )
    seen.add(name)
    const names = paths.get(path)
    if (names) names.push(name)
    else paths.set(path, [name])
  }
  return [...paths].map(([path, names]) => ({ path, names }))
}

async function readWhole(directory: string, name: string, most: number): Promise<Buffer> {
  try {
    await using handle = await open(
      join(directory, name),
      constants.O_RDONLY | constants.O_NOFOLLOW,
    )
    const { size } = await handle.stat()
    if (size > most) throw refused(`${name} is too large`, `It has ${size} bytes`)
    return await handle.readFile()
  } catch (error) {
    throw explain(name, error)
  }
}

async function writeNew(path: string, content: Uint8Array): Promise<void> {
  await using handle = await openNew(path)
  await handle.writeFile(content)
}

function openNew(path: string): Promise<FileHandle> {
  return open(path, 'wx', 0o600).catch((error: unknown) => {
    if (isFull(error)) throw error
    throw new Failure(
      'A file of the dump cannot be written',
      messageOf(error),
      'Use an empty directory with enough space, that belongs to the user who runs the job',
    )
  })
}

/** A Failure for whatever went wrong with one file, but for a full disk: which one that is, the caller knows. */
function explain(name: string, error: unknown): unknown {
  if (error instanceof Failure || error instanceof Cancelled || isFull(error)) return error
  if (error instanceof AgeError)
    return refused(
      `${name} was altered or cut off, or belongs to another dump`,
      `As an age file, ${messageOf(error)}`,
    )
  return new Failure(
    `${name} of the dump cannot be read or written`,
    messageOf(error),
    'Check the disk, and that the file belongs to the user who runs the job',
  )
}

function refused(what: string, why: string): Failure {
  return new Failure(
    `The encrypted dump is refused: ${what}`,
    why,
    'Fetch or make the dump again; nothing was restored',
  )
}
