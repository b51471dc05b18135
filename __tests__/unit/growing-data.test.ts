import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { CopyScript } from '../../src/postgres/archive/copy-script.ts'
import { GrowingData } from '../../src/postgres/archive/growing-data.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'growing-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const rows = Array.from({ length: 5000 }, (_, index) => `${index}\t${'x'.repeat(index % 90)}\n`)
const content = Buffer.from(`${rows.join('')}\\.\n\n\n`)
const never = new AbortController().signal

/** Reads what a directory has, and comes to have. */
function reading(data: GrowingData, signal = never) {
  const taken: Buffer[] = []
  const done = data.read(async (chunk) => void taken.push(chunk), signal)
  done.catch(() => {})
  return { done, text: () => Buffer.concat(taken).toString() }
}

describe.each([
  ['.dat', (bytes: Buffer) => bytes],
  ['.dat.gz', (bytes: Buffer) => gzipSync(bytes)],
  ['.dat.zst', (bytes: Buffer) => zstdCompressSync(bytes)],
] as const)('a file 3269%s', (suffix, packed) => {
  const whole = packed(content)
  const path = () => join(directory, `3269${suffix}`)

  test('is read as it grows, whatever it ends with meanwhile, and to its end', async () => {
    const data = new GrowingData(directory)
    const cuts = [0, 1, 7, whole.length >> 1, whole.length - 3, whole.length]
    await writeFile(path(), '')
    const { done, text } = reading(data)
    for (const [index, to] of cuts.entries()) {
      await appendFile(path(), whole.subarray(cuts[index - 1] ?? 0, to))
      expect(await data.size()).toBe(to)
      await sleep(120)
    }
    data.complete(whole.length)
    await done
    expect(text()).toBe(content.toString())
  })

  test('that is shorter or longer than it is said to be is refused', async () => {
    for (const wrong of [whole.length - 1, whole.length + 1]) {
      const data = new GrowingData(directory)
      await writeFile(path(), whole)
      const { done } = reading(data)
      data.complete(wrong)
      await expect(done).rejects.toThrow(`were read, which has ${wrong}`)
    }
  })

  test('that was cut off never gives the line that ends the rows', async () => {
    const data = new GrowingData(directory)
    const half = whole.subarray(0, whole.length - 40)
    await writeFile(path(), half)
    const script = new CopyScript()
    const done = data.read(async (chunk) => void script.read(chunk), never)
    data.complete(half.length)
    await done.catch(() => {})
    expect(script.isComplete).toBe(false)
  })

  test('is let go of when the work ends, and when nobody takes what is in it', async () => {
    const data = new GrowingData(directory)
    await writeFile(path(), whole)
    const stop = new AbortController()
    const { done } = reading(data, stop.signal)
    await sleep(50)
    stop.abort()
    await expect(done).rejects.toThrow('abort')
    const failing = data.read(() => Promise.reject(new Error('full')), never)
    await expect(failing).rejects.toThrow('full')
  })
})

test('rows begin with the file, and end where it says so', () => {
  const script = new CopyScript()
  const parts = [content.subarray(0, 1000), content.subarray(1000)].flatMap((one) =>
    script.read(one).map(({ bytes }) => bytes),
  )
  expect(Buffer.concat(parts).toString()).toBe(rows.join(''))
  expect(script.isComplete).toBe(true)
})

test('a directory that is not there, or not filled yet, has nothing', async () => {
  const data = new GrowingData(join(directory, 'later'))
  expect(await data.size()).toBe(0)
  await mkdir(join(directory, 'later'))
  for (const name of ['toc.dat', 'blobs.toc', 'blob_1.dat'])
    await writeFile(join(directory, 'later', name), 'x')
  expect(await data.size()).toBe(0)
})

test('what cannot be read while it grows says why', async () => {
  await writeFile(join(directory, '1.dat.lz4'), 'x')
  await expect(new GrowingData(directory).size()).rejects.toThrow('compressed in a way')
  await writeFile(join(directory, '2.dat'), 'x')
  await expect(new GrowingData(directory).size()).rejects.toThrow('several data files')
})

test('what is there and was not taken yet is known', async () => {
  const data = new GrowingData(directory)
  expect(await data.unread()).toBe(0)
  await writeFile(join(directory, '3269.dat'), content)
  expect(await data.unread()).toBe(content.length)
  const asked = Promise.withResolvers<void>()
  const taken = Promise.withResolvers<void>()
  const done = data.read(async () => {
    asked.resolve()
    await taken.promise
  }, never)
  await asked.promise
  expect(await data.unread()).toBe(content.length)
  taken.resolve()
  data.complete(content.length)
  await done
  expect(await data.unread()).toBe(0)
})

test('what is compressed counts as what was read of it has been unpacked to', async () => {
  const data = new GrowingData(directory)
  const half = gzipSync(content)
  await writeFile(join(directory, '3269.dat.gz'), half)
  const stop = new AbortController()
  const { done, text } = reading(data, stop.signal)
  while (text().length < content.length || (await data.unread()) > 0) await sleep(10)
  stop.abort()
  await done.catch(() => {})
  await appendFile(join(directory, '3269.dat.gz'), half)
  expect(await data.unread()).toBeCloseTo(content.length)
})
