/**
 * Whether `src/migration/kept/age.ts` is worth its lines: files encrypted and decrypted with it, and with the streams of the
 * age-encryption library, in turns in one process.
 *
 *     node bench/age.ts [megabytes] [rounds]
 *
 * Prints a Markdown table of medians, and what they decide: `age.ts` stays while encrypting and decrypting together take the library
 * three times as long or longer; otherwise the library's streams take its place.
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

const bytes = Number(process.argv[2] ?? 64) * 1024 * 1024
const rounds = Number(process.argv[3] ?? 15)

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
  const took = new Map<string, number[]>()
  for (let round = 0; round < rounds; round++)
    for (const [way, run] of Object.entries(ways)) {
      const began = performance.now()
      await run()
      took.set(way, [...(took.get(way) ?? []), performance.now() - began])
    }
  if (!(await readFile(opened)).equals(await readFile(plain))) throw new Error('not what went in')

  console.log(
    `One file of ${bytes / 1024 / 1024} MiB, one at a time, in turns, medians of ${rounds} rounds\n`,
  )
  console.log('| | age.ts | age-encryption | ratio |\n| --- | ---: | ---: | ---: |')
  const rate = (time: number, times = 1) =>
    `${((times * bytes) / 1048.576 / time).toFixed(0)} MiB/s`
  const print = (what: string, ours: number, theirs: number, times = 1) =>
    console.log(
      `| ${what} | ${rate(ours, times)} | ${rate(theirs, times)} | ${(theirs / ours).toFixed(1)} |`,
    )
  let [ours, theirs] = [0, 0]
  for (const way of ['encrypt', 'decrypt']) {
    const [mine, other] = [median(took.get(`${way}, age.ts`)), median(took.get(`${way}, library`))]
    print(way, mine, other)
    ours += mine
    theirs += other
  }
  print('both', ours, theirs, 2)
  console.log(`\nage.ts ${theirs / ours >= 3 ? 'stays' : 'goes: the library is fast enough'}`)
} finally {
  await rm(directory, { recursive: true })
}

function median(all: readonly number[] = []): number {
  return all.toSorted((one, other) => one - other)[Math.floor(all.length / 2)] ?? Number.NaN
}

function contentOf(file: string): globalThis.ReadableStream<Uint8Array> {
  const content = Readable.toWeb(createReadStream(file, { highWaterMark: 1024 * 1024 }))
  return content as unknown as globalThis.ReadableStream<Uint8Array>
}

function save(content: globalThis.ReadableStream<Uint8Array>, file: string): Promise<void> {
  return pipeline(Readable.fromWeb(content as ReadableStream<Uint8Array>), createWriteStream(file))
}
