import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Cancelled, Failure } from '../../src/failure.ts'
import { extractZip } from '../../src/migration/kept/unzip.ts'
import { failureOf } from '../support/failure.ts'
import { randomIntegers } from '../support/random.ts'
import { noise, Scratch } from '../support/sample-dump.ts'

interface Member {
  path: string
  content?: string | Buffer
  deflate?: boolean
  /** What the list says, where it lies. */
  claims?: { bytes?: number; packed?: number; offset?: number; method?: number; flags?: number }
  mode?: number
  /** Sizes and offset in a 64-bit field, as for files above 4 GiB. */
  wide?: boolean
}

/** A zip file, right or wrong: APPNOTE.TXT 4.3.6. */
function zip(members: Member[], options: { wide?: boolean; comment?: string } = {}): Buffer {
  const parts: Buffer[] = []
  const list: Buffer[] = []
  let offset = 0
  for (const { path, content = '', deflate, claims = {}, mode = 0o100600, wide } of members) {
    const plain = Buffer.from(content)
    const data = deflate ? deflateRawSync(plain) : plain
    const name = Buffer.from(path)
    const method = claims.method ?? (deflate ? 8 : 0)
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(method, 8)
    local.writeUInt16LE(name.length, 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt16LE(claims.flags ?? 0x800, 8)
    entry.writeUInt16LE(method, 10)
    const numbers = [
      claims.bytes ?? plain.length,
      claims.packed ?? data.length,
      claims.offset ?? offset,
    ]
    const extra = Buffer.alloc(wide ? 28 : 0)
    if (wide) {
      extra.writeUInt16LE(1, 0)
      extra.writeUInt16LE(24, 2)
      for (const [at, number] of numbers.entries())
        extra.writeBigUInt64LE(BigInt(number), 4 + at * 8)
    }
    for (const [index, at] of [24, 20, 42].entries())
      entry.writeUInt32LE(wide ? 0xffffffff : (numbers[index] ?? 0), at)
    entry.writeUInt16LE(name.length, 28)
    entry.writeUInt16LE(extra.length, 30)
    entry.writeUInt32LE((mode << 16) >>> 0, 38)
    parts.push(local, name, data)
    list.push(entry, name, extra)
    offset += 30 + name.length + data.length
  }
  const directory = Buffer.concat(list)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(members.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  const large = Buffer.alloc(76)
  if (options.wide) {
    large.writeUInt32LE(0x06064b50, 0)
    large.writeBigUInt64LE(BigInt(members.length), 32)
    large.writeBigUInt64LE(BigInt(directory.length), 40)
    large.writeBigUInt64LE(BigInt(offset), 48)
    large.writeUInt32LE(0x07064b50, 56)
    large.writeBigUInt64LE(BigInt(offset + directory.length), 64)
    end.fill(0xff, 8, 20)
  }
  const comment = Buffer.from(options.comment ?? '')
  end.writeUInt16LE(comment.length, 20)
  return Buffer.concat([...parts, directory, ...(options.wide ? [large] : []), end, comment])
}

/** A 64-bit zip file with a number of its end that no position in a file can be; `at` counts from the end's start. */
function impossibleList(file: Buffer, at: number): Buffer {
  file.fill(0xff, file.length - 98 + at, file.length - 98 + at + 8)
  return file
}

let scratch: Scratch
const never = new AbortController().signal
const extract = (content: Buffer, signal = never) => {
  writeFileSync(scratch.of('a.zip'), content)
  return extractZip(scratch.of('a.zip'), scratch.of('into'), signal)
}
const why = async (content: Buffer) => (await failureOf(extract(content))).line

beforeEach(() => {
  scratch = new Scratch()
})
afterEach(() => scratch[Symbol.dispose]())

describe('a zip file', () => {
  test('is unpacked, stored or deflated, in private files', async () => {
    const large = noise(3_000_000)
    const paths = await extract(
      zip([
        { path: 'databases/', mode: 0o40755 },
        { path: 'databases/shop/1/toc.dat', content: large },
        { path: 'databases/shop/1/2.dat', content: large, deflate: true },
        { path: 'manifest.json', content: '{}', deflate: true },
        { path: 'roles.sql' },
      ]),
    )
    expect(paths).toHaveLength(4)
    expect(readFileSync(scratch.of('into/databases/shop/1/toc.dat')).equals(large)).toBe(true)
    expect(readFileSync(scratch.of('into/databases/shop/1/2.dat')).equals(large)).toBe(true)
    expect(readFileSync(scratch.of('into/manifest.json'), 'utf8')).toBe('{}')
    expect(readFileSync(scratch.of('into/roles.sql'), 'utf8')).toBe('')
    expect(statSync(scratch.of('into/roles.sql')).mode & 0o777).toBe(0o600)
    expect(statSync(scratch.of('into/databases/shop')).mode & 0o777).toBe(0o700)
  })

  test('may have 64-bit fields and a comment', async () => {
    const members = [
      { path: 'a', content: 'one', wide: true },
      { path: 'b', content: 'two' },
    ]
    await extract(zip(members, { wide: true, comment: 'x'.repeat(300) }))
    expect(readFileSync(scratch.of('into/a'), 'utf8')).toBe('one')
    expect(readFileSync(scratch.of('into/b'), 'utf8')).toBe('two')
  })

  test('is refused before a byte is written where it unpacks to more than is allowed', async () => {
    writeFileSync(
      scratch.of('bomb.zip'),
      zip([
        { path: 'a', content: 'x'.repeat(600), deflate: true },
        { path: 'b', content: 'x'.repeat(600), deflate: true },
      ]),
    )
    const signal = new AbortController().signal
    const unpack = (most: number) =>
      extractZip(scratch.of('bomb.zip'), scratch.of('into'), signal, most)
    expect((await failureOf(unpack(1199))).why).toContain('it unpacks to 1.2 kB, more than')
    expect(existsSync(scratch.of('into/a'))).toBe(false)
    expect(await unpack(1200)).toEqual(['a', 'b'])
  })

  const one = { path: 'toc.dat', content: 'x'.repeat(100) }

  test.each<[string, Buffer, RegExp]>([
    ['is none', Buffer.from('<html>not found</html>'), /its end is missing/],
    ['is empty', Buffer.alloc(0), /its end is missing/],
    ['is cut off at its end', zip([one]).subarray(0, -3), /its end is missing/],
    ['is cut off at its start', zip([one, one]).subarray(100), /list of files is damaged|cut off/],
    ['leads upwards', zip([one, { path: '../evil' }]), /no dump has: "\.\.\/evil"/],
    ['leads upwards in the middle', zip([{ path: 'a/../../evil' }]), /"a\/\.\.\/\.\.\/evil"/],
    ['has an absolute path', zip([{ path: '/tmp/evil' }]), /"\/tmp\/evil"/],
    ['has a path of another system', zip([{ path: 'a\\..\\evil' }]), /no dump has/],
    ['has a path with a line break', zip([{ path: 'a\n::error::b' }]), /"a\\n::error::b"/],
    ['has a path with a NUL', zip([{ path: 'a\0b' }]), /no dump has/],
    ['has a hidden file', zip([{ path: '.bashrc' }]), /no dump has/],
    ['has a link', zip([{ path: 'a', content: '/etc', mode: 0o120777 }]), /a is a symbolic link/],
    ['has a file twice', zip([one, one]), /holds toc\.dat twice/],
    [
      'has a file below a file',
      zip([one, { path: 'toc.dat/1' }]),
      /holds toc\.dat\/1 below a file, toc\.dat/,
    ],
    [
      'has a file below a file that comes later',
      zip([{ path: 'TOC.dat/a/b' }, one]),
      /holds TOC\.dat\/a\/b below a file/,
    ],
    [
      'has a file twice where case is ignored',
      zip([one, { path: 'TOC.dat' }]),
      /holds TOC\.dat twice/,
    ],
    ['is encrypted', zip([{ ...one, claims: { flags: 1 } }]), /encrypted by a zip program/],
    ['is packed unusually', zip([{ ...one, claims: { method: 12 } }]), /unknown way \(12\)/],
    [
      'grows when unpacked',
      zip([{ ...one, deflate: true, claims: { bytes: 99 } }]),
      /announced size/,
    ],
    ['shrinks when unpacked', zip([{ ...one, claims: { bytes: 101 } }]), /announced size/],
    ['is no deflate', zip([{ ...one, claims: { method: 8 } }]), /cannot be unpacked/],
    [
      'is larger than any disk',
      zip([{ ...one, wide: true, claims: { bytes: 2 ** 52 } }]),
      /does not fit on the disk/,
    ],
    [
      'has an impossible size',
      zip([{ ...one, wide: true, claims: { bytes: 2 ** 60 } }]),
      /impossible size/,
    ],
    [
      'says that its list is where no file ends',
      impossibleList(zip([one], { wide: true }), 48),
      /cut off/,
    ],
    [
      'says that its 64-bit end is where no file ends',
      impossibleList(zip([one], { wide: true }), 64),
      /cut off/,
    ],
    [
      'lists more files than any dump has',
      impossibleList(zip([one], { wide: true }), 32),
      /too many files/,
    ],
    [
      'has a file where no file ends',
      zip([{ ...one, wide: true, claims: { offset: 2 ** 63 } }]),
      /impossible size/,
    ],
    ['has a file elsewhere', zip([{ ...one, claims: { offset: 5 } }]), /is not where it should be/],
    ['has a file behind its end', zip([{ ...one, claims: { offset: 2 ** 31 } }]), /cut off/],
    [
      'has content behind its end',
      zip([{ ...one, claims: { packed: 5000 } }]),
      /cut off|announced/,
    ],
  ])('is refused when it %s', async (_, content, reason) => {
    expect(await why(content)).toMatch(reason)
    expect(existsSync(scratch.of('evil'))).toBe(false)
  })

  test('with one wrong name writes nothing at all', async () => {
    await why(zip([one, { path: '../evil' }]))
    expect(existsSync(scratch.of('into'))).toBe(false)
  })

  test('replaces no file', async () => {
    scratch.write('into/toc.dat', 'mine')
    expect(await why(zip([one]))).toMatch(/would replace toc\.dat/)
    expect(readFileSync(scratch.of('into/toc.dat'), 'utf8')).toBe('mine')
  })

  test('is left when the job is cancelled', async () => {
    const stop = AbortSignal.abort(new Cancelled())
    await expect(extract(zip([one]), stop)).rejects.toBeInstanceOf(Cancelled)
  })

  test('that anybody may have damaged is unpacked or refused, and stays inside (seed 3)', async () => {
    const next = randomIntegers(3)
    const members = [
      one,
      { path: 'd/two', content: noise(5000), deflate: true },
      { path: 'd/e/three' },
    ]
    const [plain, wide] = [zip(members), zip(members, { wide: true })]
    for (let round = 0; round < 600; round++) {
      const damaged = Buffer.from(round % 2 ? plain : wide)
      // mostly near the end, where the list is
      for (let changes = 1 + next(4); changes > 0; changes--) {
        const at = next(4)
          ? damaged.length - 1 - next(Math.min(300, damaged.length))
          : next(damaged.length)
        damaged[at] = next(3) ? next(256) : 0xff
      }
      writeFileSync(
        scratch.of('a.zip'),
        damaged.subarray(0, next(5) ? undefined : next(damaged.length)),
      )
      try {
        await extractZip(scratch.of('a.zip'), scratch.of(`rounds/${round}`), never)
      } catch (error) {
        if (!(error instanceof Failure)) throw error
      }
    }
    expect(readdirSync(scratch.path).sort()).toEqual(['a.zip', 'rounds'])
    for (const name of readdirSync(join(scratch.path, 'rounds'))) expect(name).toMatch(/^\d+$/)
  })
})
