import { cpSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import {
  type ArtifactStore,
  formatParts,
  parseParts,
  type StoredArtifact,
  type UploadRequest,
} from '../../src/migration/kept/artifact-store.ts'
import { downloadDump } from '../../src/migration/kept/download.ts'
import type { Manifest } from '../../src/migration/kept/manifest.ts'
import type { Limits } from '../../src/migration/kept/upload-limits.ts'
import { uploadDump } from '../support/keep-dump.ts'
import { randomIntegers } from '../support/random.ts'
import { QuietContext, Scratch, sampleDump } from '../support/sample-dump.ts'

/** Keeps artifacts as directories. */
class DirectoryStore implements ArtifactStore {
  readonly artifacts: (StoredArtifact & { files: string[] })[] = []
  private readonly directory: string
  private last = 0

  constructor(directory: string) {
    this.directory = directory
  }

  async upload({ name, directory, files }: UploadRequest): Promise<StoredArtifact> {
    const id = ++this.last
    let bytes = 0
    for (const file of files) {
      const to = join(this.directory, String(id), file)
      mkdirSync(dirname(to), { recursive: true })
      cpSync(join(directory, file), to)
      bytes += statSync(to).size
    }
    const artifact = { id, name, digest: null, bytes }
    this.artifacts.push({ ...artifact, files })
    return artifact
  }

  async remove(names: readonly string[]): Promise<void> {
    for (const name of names) {
      const at = this.artifacts.findIndex((artifact) => artifact.name === name)
      if (at >= 0) this.artifacts.splice(at, 1)
    }
  }

  settle(): void {}

  async find(name: string): Promise<StoredArtifact | undefined> {
    return this.artifacts.find((artifact) => artifact.name === name)
  }

  async download({ id }: StoredArtifact, into: string): Promise<void> {
    cpSync(join(this.directory, String(id)), into, {
      recursive: true,
      errorOnExist: true,
      force: false,
    })
  }

  uploadReport(): never {
    throw new Error('there is no report here')
  }
}

let scratch: Scratch
let manifest: Manifest
beforeAll(async () => {
  scratch = new Scratch()
  manifest = await sampleDump(scratch.of('dump'))
})
afterAll(() => scratch[Symbol.dispose]())

async function roundTrip(limits: Partial<Limits>, passphrase?: string) {
  using place = new Scratch()
  const context = new QuietContext()
  const store = new DirectoryStore(place.of('store'))
  mkdirSync(place.of('scratch'))
  const options = { name: 'd', compressed: true, scratch: place.of('scratch'), limits, passphrase }
  await uploadDump(store, scratch.of('dump'), manifest, options, context)
  expect(readdirSync(place.of('scratch'))).toEqual([])
  const into = place.of('into')
  expect(await downloadDump(store, { name: 'd', into, passphrase }, context)).toEqual(manifest)
  return store.artifacts
}

describe('a dump in parts', () => {
  test('comes back whole whatever the limits are (seed 5)', async () => {
    const next = randomIntegers(5)
    const bytes = [5000, 65_536, 70_000, 299_999, 300_000, 300_001]
    for (let round = 0; round < 25; round++) {
      const limits = {
        bytes: bytes[round] ?? 3000 + next(400_000),
        files: 1 + next(12),
        least: 1000,
      }
      const artifacts = await roundTrip(limits)
      for (const { name, bytes: size, files } of artifacts.slice(0, -1)) {
        expect(name).toMatch(/^d-part-\d{3}$/)
        expect(size).toBeLessThanOrEqual(limits.bytes)
        expect(files.length).toBeLessThanOrEqual(limits.files)
      }
      expect(artifacts.at(-1)?.name).toBe('d')
    }
  })

  test('comes back whole when it is encrypted too, its index in the last one', async () => {
    const artifacts = await roundTrip({ bytes: 100_000, files: 3 }, 'a long passphrase')
    expect(artifacts.length).toBeGreaterThan(5)
    for (const { name, files } of artifacts) {
      expect(files.every((file) => /^(\d{6}|identity|index)\.age$|^parts\.json$/.test(file))).toBe(
        true,
      )
      expect(files.includes('index.age')).toBe(name === 'd')
    }
  })

  test('has smaller parts after one that took too long', async () => {
    const [first, ...rest] = await roundTrip({ bytes: 100_000, least: 40_000, seconds: 0 })
    expect(first?.bytes).toBeGreaterThan(60_000)
    for (const { bytes } of rest.slice(0, -1)) expect(bytes).toBeLessThanOrEqual(40_000)
  })

  test('is one artifact when it fits', async () => {
    const artifacts = await roundTrip({})
    expect(artifacts.map(({ name }) => name)).toEqual(['d'])
    expect(artifacts[0]?.files).not.toContain('parts.json')
  })
})

describe('the list of parts', () => {
  const parts: StoredArtifact[] = [
    { id: 1, name: 'd-part-001', digest: `sha256:${'a'.repeat(64)}`, bytes: 5 },
    { id: 2, name: 'd-part-002', digest: null, bytes: 0 },
  ]
  const text = formatParts(parts)

  test('comes back as it was written', () => {
    expect(parseParts(text)).toEqual(parts)
  })

  test.each([
    ['cut off', text.slice(0, -5)],
    ['null', 'null'],
    ['of another format', text.replace('polardb-dump-parts', 'x')],
    ['of a later version', text.replace('"formatVersion":1', '"formatVersion":2')],
    ['empty', text.replace(/\[[\s\S]*\]/, '[]')],
    ['naming a part twice', text.replace('"id":2', '"id":1')],
    ['with an id that is no number', text.replace('"id":2', '"id":"2"')],
    ['with a negative size', text.replace('"bytes":5', '"bytes":-5')],
    ['with another kind of digest', text.replace('sha256:', 'md5:')],
    ['with a name that is none', text.replace('"d-part-001"', '{}')],
  ])('is refused when it is %s', (_, damaged) => {
    expect(() => parseParts(damaged)).toThrow(Failure)
  })

  test('that anybody may have damaged is read or refused (seed 9)', () => {
    const next = randomIntegers(9)
    for (let round = 0; round < 2000; round++) {
      const damaged = Buffer.from(text)
      for (let changes = 1 + next(4); changes > 0; changes--)
        damaged[next(damaged.length)] = 32 + next(95)
      try {
        expect(parseParts(damaged.toString())).toHaveLength(2)
      } catch (error) {
        if (!(error instanceof Failure)) throw error
      }
    }
  })
})

test('the limits in the documentation are those of the code', async () => {
  const { defaultLimits } = await import('../../src/migration/kept/upload-limits.ts')
  const text = readFileSync('docs/artifacts.md', 'utf8')
  expect(text).toContain(
    `at most ${defaultLimits.bytes / 1024 ** 3} GiB and ${defaultLimits.files.toLocaleString('en-US')} files`,
  )
  expect(text).toContain(`a part takes ${defaultLimits.seconds / 60} minutes at most`)
})
