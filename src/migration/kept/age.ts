import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
  type ScryptOptions,
  scrypt,
  timingSafeEqual,
} from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { promisify } from 'node:util'
import { messageOf } from '../../failure.ts'

/**
 * Files in the age format (age-encryption.org/v1). The age-encryption library makes keys and the two short files of a dump;
 * the many and large files go through Node's own crypto: on two busy cores it encrypts 3.1 times and decrypts 4.8 times as fast as
 * the library's streams (`bench/age.ts`, 128 MiB), and leaves next to no garbage. The library and
 * the `age` program are what the tests hold this against.
 */

/** The STREAM construction of age: chunks of 64 KiB, each with a tag of ChaCha20-Poly1305. */
const chunkBytes = 65_536
const tagBytes = 16
const sealedChunkBytes = chunkBytes + tagBytes
const chunksAtOnce = 16
const nonceBytes = 16
const algorithm = 'chacha20-poly1305'
const tagLength = { authTagLength: tagBytes }
/** Ours take 184 bytes. */
const mostHeaderBytes = 1024

/**
 * scrypt's N is 2^17: the least that OWASP's Password Storage Cheat Sheet accepts. It takes 128 MiB; age's own default,
 * 2^18, would take the process beyond 300 MB. Both are accepted when reading, and nothing that takes more.
 */
const workFactor = 17
const highestWorkFactor = 18
const versionLine = 'age-encryption.org/v1'
const x25519Label = 'age-encryption.org/v1/X25519'
const scryptLabel = 'age-encryption.org/v1/scrypt'

/** The library, loaded where a dump is encrypted: it takes 5 MB of memory, and most runs do without it. */
const library = () => import('age-encryption')

/** Makes the key of a dump: an identity, `AGE-SECRET-KEY-1…`. A secret. */
export async function newIdentity(): Promise<string> {
  return (await library()).generateX25519Identity()
}

/** An age file was altered, cut off, or encrypted to another key: `message` says what was noticed. */
export class AgeError extends Error {
  override readonly name = 'AgeError'
}

/** The passphrase does not open the file. The format cannot tell this from a stanza that was altered. */
export class WrongPassphrase extends Error {}

/** A part of a file. */
export interface ByteRange {
  offset: number
  length: number
}

/** Encrypts a short text with a passphrase. */
export async function encryptWithPassphrase(text: string, passphrase: string): Promise<Uint8Array> {
  const { Encrypter, Stanza } = await library()
  const encrypter = new Encrypter()
  encrypter.addRecipient({
    async wrapFileKey(fileKey) {
      const salt = randomBytes(16)
      const key = await passphraseKey(passphrase, salt, workFactor)
      const cipher = createCipheriv(algorithm, key, Buffer.alloc(12), tagLength)
      const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()])
      const args = ['scrypt', salt.toString('base64').replace(/=+$/, ''), String(workFactor)]
      return [new Stanza(args, body)]
    },
  })
  return encrypter.encrypt(text)
}

/** @throws WrongPassphrase; AgeError */
export async function decryptWithPassphrase(
  sealed: Uint8Array,
  passphrase: string,
): Promise<string> {
  const { Decrypter } = await library()
  const decrypter = new Decrypter()
  decrypter.addIdentity({
    async unwrapFileKey([stanza, ...others]) {
      const [type, salt = '', logN = ''] = stanza?.args ?? []
      if (!stanza || others.length > 0 || type !== 'scrypt' || stanza.body.length !== 32)
        throw new AgeError('it is not encrypted with a passphrase')
      if (!/^[1-9]\d?$/.test(logN) || Number(logN) > highestWorkFactor)
        throw new AgeError(`its scrypt work factor is above ${highestWorkFactor}`)
      const key = await passphraseKey(passphrase, Buffer.from(salt, 'base64'), Number(logN))
      const decipher = createDecipheriv(algorithm, key, Buffer.alloc(12), tagLength)
      decipher.setAuthTag(stanza.body.subarray(16))
      const fileKey = decipher.update(stanza.body.subarray(0, 16))
      try {
        decipher.final()
      } catch {
        throw new WrongPassphrase()
      }
      return fileKey
    },
  })
  return decrypter.decrypt(sealed, 'text').catch(rethrow)
}

/** Decrypts a short text with an identity, `AGE-SECRET-KEY-1…`. @throws AgeError */
export async function decryptText(sealed: Uint8Array, identity: string): Promise<string> {
  const { Decrypter } = await library()
  const decrypter = new Decrypter()
  decrypter.addIdentity(identity)
  return decrypter.decrypt(sealed, 'text').catch(rethrow)
}

/** Encrypts a short text to an identity. */
export async function encryptText(text: string, identity: string): Promise<Uint8Array> {
  const { Encrypter, identityToRecipient } = await library()
  const encrypter = new Encrypter()
  encrypter.addRecipient(await identityToRecipient(identity))
  return encrypter.encrypt(text)
}

/**
 * Encrypts a part of a file to the public half of an identity, in constant memory.
 *
 * @param onBytes called with the bytes of plaintext that were done since the last call; may throw to stop the work
 * @throws Error of the file system; Error when the input is shorter than it should be
 */
export async function encryptRange(
  input: FileHandle,
  { offset, length }: ByteRange,
  output: FileHandle,
  recipient: KeyObject,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const { header, fileKey } = newHeader(recipient)
  const streamNonce = randomBytes(nonceBytes)
  const key = deriveKey(fileKey, streamNonce, 'payload')
  await output.writeFile(Buffer.concat([header, streamNonce]))
  const chunks = Math.max(1, Math.ceil(length / chunkBytes))
  const buffer = Buffer.allocUnsafe(Math.min(length, chunksAtOnce * chunkBytes))
  for (let chunk = 0; chunk < chunks; chunk += chunksAtOnce) {
    const from = chunk * chunkBytes
    const plain = buffer.subarray(0, Math.min(length - from, buffer.length))
    if ((await fill(input, plain, offset + from)) < plain.length)
      throw new Error('it became shorter while it was encrypted')
    const sealed: Buffer[] = []
    for (let at = 0; at < Math.max(plain.length, 1); at += chunkBytes) {
      const number = chunk + at / chunkBytes
      const cipher = createCipheriv(algorithm, key, nonce(number, number === chunks - 1), tagLength)
      const piece = cipher.update(plain.subarray(at, at + chunkBytes))
      sealed.push(piece, cipher.final(), cipher.getAuthTag())
    }
    await output.writeFile(Buffer.concat(sealed))
    onBytes(plain.length)
  }
}

/**
 * Decrypts a file of `encryptRange` with the private key of an identity, in constant memory. What it writes before it throws is a true
 * beginning of the plaintext.
 *
 * @param output gets the plaintext where its position is
 * @param onBytes called with the bytes of the encrypted file that were done since the last call; may throw to stop the work
 * @throws AgeError; Error of the file system
 */
export async function decryptFile(
  input: FileHandle,
  output: FileHandle,
  identity: KeyObject,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const { size } = await input.stat()
  const start = Buffer.alloc(Math.min(size, mostHeaderBytes))
  await fill(input, start, 0)
  // the header ends with the line `--- <MAC>` (age-encryption.org/v1, "Header")
  const end = start.indexOf('\n', start.indexOf('\n--- ') + 5) + 1
  if (end <= 5) throw new AgeError('it has no header of an age file')
  const payload = size - end - nonceBytes
  if (payload < tagBytes) throw new AgeError('it is cut off')
  const fileKey = openHeader(start.toString('latin1', 0, end), identity)
  const streamNonce = Buffer.alloc(nonceBytes)
  await fill(input, streamNonce, end)
  const key = deriveKey(fileKey, streamNonce, 'payload')
  const chunks = Math.ceil(payload / sealedChunkBytes)
  const buffer = Buffer.allocUnsafe(Math.min(payload, chunksAtOnce * sealedChunkBytes))
  for (let chunk = 0; chunk < chunks; chunk += chunksAtOnce) {
    const from = chunk * sealedChunkBytes
    const sealed = buffer.subarray(0, Math.min(payload - from, buffer.length))
    if ((await fill(input, sealed, end + nonceBytes + from)) < sealed.length)
      throw new AgeError('it became shorter while it was read')
    const plain: Buffer[] = []
    for (let at = 0; at < sealed.length; at += sealedChunkBytes) {
      const number = chunk + at / sealedChunkBytes
      const one = sealed.subarray(at, at + sealedChunkBytes)
      plain.push(openChunk(one, key, number, number === chunks - 1))
    }
    await output.writeFile(Buffer.concat(plain))
    onBytes(sealed.length)
  }
}

function openChunk(sealed: Buffer, key: Buffer, number: number, last: boolean): Buffer {
  const length = sealed.length - tagBytes
  // only an empty file has an empty chunk
  if (length < 0 || (length === 0 && number > 0)) throw new AgeError('it is cut off')
  const decipher = createDecipheriv(algorithm, key, nonce(number, last), tagLength)
  decipher.setAuthTag(sealed.subarray(length))
  const plain = decipher.update(sealed.subarray(0, length))
  try {
    decipher.final()
  } catch {
    throw new AgeError('a part of it is not what was encrypted')
  }
  return plain
}

/** N = 2^logN, r = 8, p = 1. */
function passphraseKey(passphrase: string, salt: Buffer, logN: number): Promise<Buffer> {
  const N = 2 ** logN
  return derive(passphrase, Buffer.concat([Buffer.from(scryptLabel), salt]), 32, {
    N,
    r: 8,
    p: 1,
    maxmem: 128 * 8 * (N + 16),
  })
}

const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt)

function rethrow(error: unknown): never {
  if (error instanceof AgeError || error instanceof WrongPassphrase) throw error
  throw new AgeError(messageOf(error))
}

/** A header with one X25519 stanza, and the new file key in it. */
function newHeader(recipient: KeyObject): { header: Buffer; fileKey: Buffer } {
  const fileKey = randomBytes(16)
  const ephemeral = generateKeyPairSync('x25519')
  const share = rawPublicKey(ephemeral.publicKey)
  const shared = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: recipient })
  const wrapKey = deriveKey(shared, Buffer.concat([share, rawPublicKey(recipient)]), x25519Label)
  const cipher = createCipheriv(algorithm, wrapKey, Buffer.alloc(12), tagLength)
  const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()])
  const start = `${versionLine}\n-> X25519 ${base64(share)}\n${base64(body)}\n---`
  return { header: Buffer.from(`${start} ${base64(headerMac(fileKey, start))}\n`), fileKey }
}

/** @returns the file key. @throws AgeError when the header is not of `newHeader`'s form, altered, or for another key */
function openHeader(header: string, identity: KeyObject): Buffer {
  const [, start = '', share = '', body = '', mac = ''] =
    /^(age-encryption\.org\/v1\n-> X25519 ([A-Za-z0-9+/]{43})\n([A-Za-z0-9+/]{43})\n---) ([A-Za-z0-9+/]{43})\n$/.exec(
      header,
    ) ?? []
  if (!start) throw new AgeError('it has not the header that it should have')
  const publicKey = createPublicKey({
    key: { kty: 'OKP', crv: 'X25519', x: Buffer.from(share, 'base64').toString('base64url') },
    format: 'jwk',
  })
  let fileKey: Buffer
  try {
    // OpenSSL refuses a share of low order, as the format demands
    const shared = diffieHellman({ privateKey: identity, publicKey })
    const salt = Buffer.concat([
      Buffer.from(share, 'base64'),
      rawPublicKey(createPublicKey(identity)),
    ])
    const sealed = Buffer.from(body, 'base64')
    const wrapKey = deriveKey(shared, salt, x25519Label)
    const decipher = createDecipheriv(algorithm, wrapKey, Buffer.alloc(12), tagLength)
    decipher.setAuthTag(sealed.subarray(16))
    fileKey = decipher.update(sealed.subarray(0, 16))
    decipher.final()
  } catch {
    throw new AgeError('it is not encrypted with the key of this dump')
  }
  if (!timingSafeEqual(headerMac(fileKey, start), Buffer.from(mac, 'base64')))
    throw new AgeError('its header is not what was written')
  return fileKey
}

function headerMac(fileKey: Buffer, start: string): Buffer {
  return createHmac('sha256', deriveKey(fileKey, Buffer.alloc(0), 'header'))
    .update(start)
    .digest()
}

function deriveKey(secret: Buffer, salt: Buffer, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, info, 32))
}

function rawPublicKey(key: KeyObject): Buffer {
  return Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url')
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '')
}

/**
 * The private key in an identity, `AGE-SECRET-KEY-1` and 52 characters of Bech32, whose checksum is not looked at: it comes
 * from an encrypted file.
 *
 * @throws AgeError when it is no such text
 */
export function privateKeyOf(identity: string): KeyObject {
  const [, data] =
    /^AGE-SECRET-KEY-1([AC-HJ-NP-Z02-9]{52})[AC-HJ-NP-Z02-9]{6}$/.exec(identity) ?? []
  if (!data) throw new AgeError('it holds no key of age')
  const bits = Array.from(data, (letter) =>
    'QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L'.indexOf(letter).toString(2).padStart(5, '0'),
  ).join('')
  const scalar = Buffer.from(
    Array.from({ length: 32 }, (_, at) => Number.parseInt(bits.slice(at * 8, at * 8 + 8), 2)),
  )
  return createPrivateKey({
    // RFC 8410: what stands before the 32 bytes of an X25519 key
    key: Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), scalar]),
    format: 'der',
    type: 'pkcs8',
  })
}

/** 11 bytes of chunk number, big-endian, and 1 that is 1 for the last chunk. */
function nonce(number: number, last: boolean): Buffer {
  const bytes = Buffer.alloc(12)
  bytes.writeUIntBE(number, 5, 6)
  bytes[11] = last ? 1 : 0
  return bytes
}

/** Reads until the buffer is full or the file ends. @returns bytes read */
async function fill(handle: FileHandle, buffer: Buffer, position: number): Promise<number> {
  let done = 0
  while (done < buffer.length) {
    const { bytesRead } = await handle.read(buffer, done, buffer.length - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done
}
