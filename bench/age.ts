/**
 * Whether `src/migration/kept/age.ts` is worth its lines: files encrypted and decrypted with it, and with the streams of the
 * age-encryption library, in turns in one process.
 *
 *     node bench/age.ts [megabytes]
 *
 * Prints a Markdown table. `age.ts` stays while the ratios are three or more; otherwise the library's streams do.
 */

import { createPublicKey, randomFillSync } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'
import { decryptFile, encryptRange, privateKeyOf } from '../src/migration/kept/age.ts'

const bytes = Number(process.argv[2] ?? 256) * 1024 * 1024
const rounds = 3

const directory = await mkdtemp(join(tmpdir(), 'bench-age-'))
const [plain, sealed, opened] = ['plain', 'sealed', 'opened'].map((name) => join(directory, name))
if (!plain || !sealed || !opened) throw new Error('three names')
try {
  await writeFile(plain, randomFillSync(Buffer.allocUnsafe(bytes)))
  const identity = await generateX25519Identity()
  const key = privateKeyOf(identity)
  const encrypter = new Encrypter()
  encrypter.addRecipient(await identityToRecipient(identity))
  const decrypter = new Decrypter()
  decrypter.addIdentity(identity)

  const ways = {
    'encrypt, age.ts': async () => {
      await using input = await open(plain)
      await using output = await open(sealed, 'w')
      const range = { offset: 0, length: bytes }
      await encryptRange(input, range, output, createPublicKey(key), () => {})
    },
    'decrypt, age.ts': async () => {
      await using input = await open(sealed)
      await using output = await open(opened, 'w')
      await decryptFile(input, output, key, () => {})
    },
    'encrypt, library': async () => save(await encrypter.encrypt(contentOf(plain)), sealed),
    'decrypt, library': async () => save(await decrypter.decrypt(contentOf(sealed)), opened),
  }
  const best = new Map<string, number>()
  for (let round = 0; round < rounds; round++)
    for (const [way, run] of Object.entries(ways)) {
      const began = performance.now()
      await run()
      best.set(way, Math.min(best.get(way) ?? Number.POSITIVE_INFINITY, performance.now() - began))
    }
  if (!(await readFile(opened)).equals(await readFile(plain))) throw new Error('not what went in')

  console.log(`One file of ${bytes / 1024 / 1024} MiB, one at a time, best of ${rounds}\n`)
  console.log('| | age.ts | age-encryption | ratio |\n|---|---|---|---|')
  for (const way of ['encrypt', 'decrypt']) {
    const [ours, theirs] = [best.get(`${way}, age.ts`) ?? 0, best.get(`${way}, library`) ?? 0]
    const rate = (time: number) => `${(bytes / 1048.576 / time).toFixed(0)} MiB/s`
    console.log(`| ${way} | ${rate(ours)} | ${rate(theirs)} | ${(theirs / ours).toFixed(1)} |`)
  }
} finally {
  await rm(directory, { recursive: true })
}

function contentOf(file: string): globalThis.ReadableStream<Uint8Array> {
  const content = Readable.toWeb(createReadStream(file, { highWaterMark: 1024 * 1024 }))
  return content as unknown as globalThis.ReadableStream<Uint8Array>
}

function save(content: globalThis.ReadableStream<Uint8Array>, file: string): Promise<void> {
  return pipeline(Readable.fromWeb(content as ReadableStream<Uint8Array>), createWriteStream(file))
}
