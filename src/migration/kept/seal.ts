import { createHmac, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { Failure } from '../../failure.ts'
import { formatBytes } from '../../text/numbers.ts'

/**
 * The seal of a dump: an HMAC-SHA-256 over the exact bytes of `manifest.json`, with a key that scrypt makes of the
 * passphrase. The manifest holds the SHA-256 of every file, the dump's id and its time, so whoever lacks the passphrase can
 * change none of them (docs/encryption.md).
 */
export const sealFile = 'manifest.seal'

/** Bytes; ours take 300. */
export const mostSealBytes = 4096

/** Characters below which a passphrase can be found by trying. */
export const shortestPassphrase = 12

/** What a user should know of a passphrase that is too short for what it protects; undefined when it is long enough. */
export function weaknessOf(passphrase: string): string | undefined {
  return passphrase.length < shortestPassphrase
    ? `The passphrase is short: whoever has the dump or its artifact can try out millions. Use at least ${shortestPassphrase} random characters`
    : undefined
}

/** Makes the key one of this purpose: the same passphrase and salt give age, or another program, another key. */
const label = 'migrate-to-polardb/v1/manifest-seal'
const saltBytes = 16
/**
 * N = 2^17, r = 8, p = 1 as for the dump's own encryption (OWASP, Password Storage Cheat Sheet): 128 MiB, half a second. When
 * reading, no seal may make us take less care than that, or more than four times the memory.
 */
const workFactor = 17
const highestWorkFactor = 19

interface Seal {
  salt: Buffer
  workFactor: number
  mac: Buffer
}

/** The text of `manifest.seal`. @param manifest the bytes of `manifest.json` as they are written */
export async function makeSeal(manifest: Uint8Array, passphrase: string): Promise<string> {
  const salt = randomBytes(saltBytes)
  const mac = await macOf(manifest, passphrase, { salt, workFactor })
  const seal = {
    format: 'polardb-dump-seal',
    version: 1,
    scrypt: { salt: salt.toString('base64'), n: 2 ** workFactor, r: 8, p: 1 },
    hmacSha256: mac.toString('hex'),
  }
  return `${JSON.stringify(seal, null, 1)}\n`
}

/**
 * Whether a seal was made with this passphrase over this manifest. The comparison takes the same time wherever the two differ.
 *
 * @param seal the content of `manifest.seal`, which anybody may have written
 * @throws Failure when it is no seal, or asks for more memory than it may
 */
export async function isSealedBy(
  seal: Uint8Array,
  manifest: Uint8Array,
  passphrase: string,
): Promise<boolean> {
  const read = parseSeal(seal)
  return timingSafeEqual(await macOf(manifest, passphrase, read), read.mac)
}

async function macOf(
  manifest: Uint8Array,
  passphrase: string,
  { salt, workFactor }: Pick<Seal, 'salt' | 'workFactor'>,
): Promise<Buffer> {
  const n = 2 ** workFactor
  const options = { N: n, r: 8, p: 1, maxmem: 2 * 128 * n * 8 }
  const key = await deriveKey(passphrase, Buffer.concat([Buffer.from(label), salt]), 32, options)
  return createHmac('sha256', key).update(manifest).digest()
}

const deriveKey = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt)

function parseSeal(bytes: Uint8Array): Seal {
  if (bytes.length > mostSealBytes)
    throw malformed(`it has more than ${formatBytes(mostSealBytes)}`)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw malformed('it is not JSON, or cut off')
  }
  const root = object(value)
  if (root.format !== 'polardb-dump-seal') throw malformed('`format` is not `polardb-dump-seal`')
  if (root.version !== 1) throw malformed('`version` is not 1, the only one that there is')
  const { salt, n, r, p } = object(root.scrypt)
  const factor = typeof n === 'number' ? Math.log2(n) : Number.NaN
  if (!Number.isInteger(factor) || factor < workFactor || factor > highestWorkFactor)
    throw malformed(
      `\`scrypt.n\` is no power of two from 2^${workFactor} to 2^${highestWorkFactor}`,
    )
  if (r !== 8 || p !== 1) throw malformed('`scrypt.r` is not 8, or `scrypt.p` is not 1')
  return {
    salt: matching(salt, 'scrypt.salt', /^[A-Za-z0-9+/]{22}==$/, 'base64'),
    workFactor: factor,
    mac: matching(root.hmacSha256, 'hmacSha256', /^[0-9a-f]{64}$/, 'hex'),
  }
}

function object(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed('it is no object of the form that it should have')
  return value as Record<string, unknown>
}

function matching(value: unknown, where: string, form: RegExp, encoding: 'base64' | 'hex'): Buffer {
  if (typeof value !== 'string' || !form.test(value))
    throw malformed(`\`${where}\` has not the form that it should have`)
  return Buffer.from(value, encoding)
}

function malformed(why: string): Failure {
  return new Failure(
    `The dump is refused: ${sealFile} cannot be used`,
    why,
    'Fetch or make the dump again; nothing was restored',
  )
}
