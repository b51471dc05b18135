import { createPublicKey } from 'node:crypto'
import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'
import { Cancelled, Failure } from '../../src/failure.ts'
import { decryptFile, encryptRange, privateKeyOf } from '../../src/migration/kept/age.ts'
import { openDump } from '../../src/migration/kept/directory.ts'
import { decryptDump, isEncrypted } from '../../src/migration/kept/encryption.ts'
import type { Manifest } from '../../src/migration/kept/manifest.ts'
import { fence } from '../support/documents.ts'
import { encryptDump } from '../support/keep-dump.ts'
import { noise, QuietContext, Scratch, sampleDump, sampleFiles } from '../support/sample-dump.ts'
import { missingForAge, typed } from '../support/typed.ts'

const passphrase = 'corréct horse battery "staple"'
const files = (directory: string) =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort()

let scratch: Scratch
let manifest: Manifest
beforeAll(async () => {
  scratch = new Scratch()
  manifest = await sampleDump(scratch.of('dump'))
  await encryptDump(scratch.of('dump'), scratch.of('sealed'), passphrase, new QuietContext())
})
afterAll(() => scratch[Symbol.dispose]())

describe('an encrypted dump', () => {
  test('is the same dump after decryption', async () => {
    const context = new QuietContext()
    await decryptDump(scratch.of('sealed'), scratch.of('plain'), passphrase, context)
    expect(await openDump(scratch.of('plain'), context)).toEqual(manifest)
  })

  test('can be decrypted where it is, leaving nothing encrypted behind', async () => {
    cpSync(scratch.of('sealed'), scratch.of('place'), { recursive: true })
    const [directory, context] = [scratch.of('place'), new QuietContext()]
    await decryptDump(directory, directory, passphrase, context, { remove: true })
    expect(await openDump(directory, context)).toEqual(manifest)
    expect(files(directory)).toEqual([...Object.keys(sampleFiles), 'manifest.json'].sort())
  })

  test('shows neither names nor content nor the key', async () => {
    expect(await isEncrypted(scratch.of('sealed'))).toBe(true)
    expect(await isEncrypted(scratch.of('dump'))).toBe(false)
    const numbered = Array.from({ length: 11 }, (_, at) => `${String(at + 1).padStart(6, '0')}.age`)
    expect(files(scratch.of('sealed'))).toEqual([...numbered, 'identity.age', 'index.age'])
    for (const name of files(scratch.of('sealed'))) {
      const content = readFileSync(join(scratch.of('sealed'), name)).toString('latin1')
      expect(content).not.toMatch(/shop|toc\.dat|roles|canary|polardb|SECRET-KEY|age1/)
      expect(statSync(join(scratch.of('sealed'), name)).mode & 0o777).toBe(0o600)
    }
  })

  test('has another key each time', async () => {
    await encryptDump(scratch.of('dump'), scratch.of('again'), passphrase, new QuietContext())
    for (const name of files(scratch.of('sealed')))
      expect(readFileSync(join(scratch.of('again'), name))).not.toEqual(
        readFileSync(join(scratch.of('sealed'), name)),
      )
  })

  test('says so when the passphrase is short, and refuses an empty one', async () => {
    const context = new QuietContext()
    await encryptDump(scratch.of('dump'), scratch.of('short'), 'secret', context)
    expect(context.warnings).toEqual([expect.stringContaining('The passphrase is short')])
    expect(context.warnings.join()).not.toContain('secret')
    await expect(
      encryptDump(scratch.of('dump'), scratch.of('empty'), '', context),
    ).rejects.toMatchObject({ why: 'The passphrase is empty' })
  })

  test('is decrypted by the age program, as docs/encryption.md shows', () => {
    const missing = missingForAge()
    if (missing) {
      console.warn(`SKIPPED: ${missing}`)
      return
    }
    const script = fence('docs/encryption.md', 'Decrypting by hand', 1)
    cpSync(scratch.of('sealed'), scratch.of('by-hand'), { recursive: true })
    typed(script, passphrase, { cwd: scratch.of('by-hand') })
    for (const [path, content] of Object.entries(sampleFiles))
      expect(readFileSync(join(scratch.of('by-hand'), 'dump', path)).equals(content)).toBe(true)
    expect(existsSync(join(scratch.of('by-hand'), 'key.txt'))).toBe(false)
  })
})

describe('an encrypted dump is refused', () => {
  let copy: Scratch
  const tampered = async (tamper: (directory: string) => void, secret = passphrase) => {
    copy = new Scratch()
    try {
      cpSync(scratch.of('sealed'), copy.of('sealed'), { recursive: true })
      tamper(copy.of('sealed'))
      const context = new QuietContext()
      await decryptDump(copy.of('sealed'), copy.of('plain'), secret, context)
      await openDump(copy.of('plain'), context)
    } catch (error) {
      if (error instanceof Failure) return error.line
      throw error
    } finally {
      copy[Symbol.dispose]()
    }
    throw new Error('the dump was accepted')
  }
  const flip = (path: string, at: number) => {
    const content = readFileSync(path)
    const position = at < 0 ? content.length + at : at
    content[position] = (content[position] ?? 0) ^ 1
    writeFileSync(path, content)
  }

  test('with a wrong passphrase, and nothing is called tampered', async () => {
    const line = await tampered(() => {}, 'something else')
    expect(line).toMatch(/^The dump cannot be decrypted: the passphrase is wrong\./)
    expect(line).not.toContain('something else')
  })

  test.each<[string, (directory: string) => void, RegExp]>([
    ['the key file is gone', (d) => rmSync(`${d}/identity.age`), /identity\.age.*ENOENT/],
    [
      'the key file is cut off',
      (d) => truncateSync(`${d}/identity.age`, 150),
      /identity\.age was altered or cut off/,
    ],
    [
      'the key was altered',
      (d) => flip(`${d}/identity.age`, -1),
      /identity\.age was altered or cut off/,
    ],
    [
      'the key file costs too much',
      (d) => {
        const text = readFileSync(`${d}/identity.age`, 'latin1').replace(/ 17\n/, ' 30\n')
        writeFileSync(`${d}/identity.age`, text, 'latin1')
      },
      /scrypt work factor is above 18/,
    ],
    ['the index is gone', (d) => rmSync(`${d}/index.age`), /index\.age/],
    ['the index was altered', (d) => flip(`${d}/index.age`, -20), /index\.age was altered/],
    ['a file is gone', (d) => rmSync(`${d}/000004.age`), /000004\.age is missing/],
    [
      'a file is empty',
      (d) => truncateSync(`${d}/000002.age`, 0),
      /000002\.age was altered or cut off.*no header/,
    ],
    [
      'a file is cut off',
      (d) => truncateSync(`${d}/000002.age`, 300),
      /000002\.age was altered or cut off/,
    ],
    [
      'a file ends where a chunk ends',
      (d) => truncateSync(`${d}/000002.age`, 184 + 16 + 65_552),
      /000002\.age was altered or cut off/,
    ],
    [
      'the version of a header was altered',
      (d) => flip(`${d}/000002.age`, 20),
      /000002\.age was altered/,
    ],
    [
      'the key of a header was altered',
      (d) => flip(`${d}/000002.age`, 50),
      /000002\.age was altered/,
    ],
    [
      'the check of a header was altered',
      (d) => flip(`${d}/000002.age`, 150),
      /000002\.age was altered/,
    ],
    ['the nonce was altered', (d) => flip(`${d}/000002.age`, 190), /000002\.age was altered/],
    ['the first byte was altered', (d) => flip(`${d}/000002.age`, 200), /000002\.age was altered/],
    ['the last byte was altered', (d) => flip(`${d}/000002.age`, -1), /000002\.age was altered/],
    [
      'something was added to a file',
      (d) => writeFileSync(`${d}/000002.age`, 'x', { flag: 'a' }),
      /000002\.age was altered/,
    ],
    [
      'a file was added',
      (d) => writeFileSync(`${d}/000099.age`, 'x'),
      /"000099\.age" does not belong/,
    ],
    [
      'a file became a link',
      (d) => {
        rmSync(`${d}/000003.age`)
        symlinkSync('000002.age', `${d}/000003.age`)
      },
      /000003\.age" is a symbolic link/,
    ],
    [
      'two files were exchanged',
      (d) => {
        renameSync(`${d}/000003.age`, `${d}/x`)
        renameSync(`${d}/000002.age`, `${d}/000003.age`)
        renameSync(`${d}/x`, `${d}/000002.age`)
      },
      /The dump is refused: \S+ has \d+ bytes/,
    ],
    [
      'a file is another dump’s',
      (d) => copyFileSync(scratch.of('again/000002.age'), `${d}/000002.age`),
      /000002\.age.*belongs to another dump.*not encrypted with the key/,
    ],
  ])('when %s', async (_, tamper, reason) => {
    expect(await tampered(tamper)).toMatch(reason)
  })

  test('when somebody without the passphrase has made the index', async () => {
    const line = await tampered((directory) => {
      copyFileSync(scratch.of('again/index.age'), `${directory}/index.age`)
    })
    expect(line).toMatch(/index\.age was altered or cut off, or belongs to another dump/)
  })

  test('when its index leads out of the directory', async () => {
    const decrypter = new Decrypter()
    decrypter.addPassphrase(passphrase)
    const key = await decrypter.decrypt(readFileSync(scratch.of('sealed/identity.age')), 'text')
    const encrypter = new Encrypter()
    encrypter.addRecipient(await identityToRecipient(key.trim()))
    for (const path of ['../../evil', '/etc/evil', 'a\x1b[0m', '000001.age', 'index.age']) {
      const index = await encrypter.encrypt(`000001.age\t${path}\n`)
      const line = await tampered((directory) => writeFileSync(`${directory}/index.age`, index))
      expect(line).toMatch(/index\.age holds a line that it cannot have/)
    }
  })
})

describe('a file in the age format', () => {
  const sizes = [0, 1, 65_535, 65_536, 65_537, 131_072, 1_048_575, 1_048_576, 1_048_577, 2_500_000]

  test.each(sizes)(
    'of %d bytes is what the age-encryption library reads and writes',
    async (size) => {
      using directory = new Scratch()
      const identity = await generateX25519Identity()
      const content = noise(size)
      directory.write('plain', content)
      {
        await using input = await open(directory.of('plain'))
        await using output = await open(directory.of('ours'), 'w')
        const publicKey = createPublicKey(privateKeyOf(identity))
        await encryptRange(input, { offset: 0, length: size }, output, publicKey, () => {})
      }
      const decrypter = new Decrypter()
      decrypter.addIdentity(identity)
      expect(content.equals(await decrypter.decrypt(readFileSync(directory.of('ours'))))).toBe(true)

      const encrypter = new Encrypter()
      encrypter.addRecipient(await identityToRecipient(identity))
      directory.write('theirs', await encrypter.encrypt(content))
      {
        await using input = await open(directory.of('theirs'))
        await using output = await open(directory.of('back'), 'w')
        await decryptFile(input, output, privateKeyOf(identity), () => {})
      }
      expect(content.equals(readFileSync(directory.of('back')))).toBe(true)
    },
  )
})

test('encryption and decryption stop when the job is cancelled', async () => {
  using directory = new Scratch()
  const stopping = () => {
    const context = new QuietContext()
    context.progress.update = () => context.stop.abort(new Cancelled())
    return context
  }
  const [from, to] = [scratch.of('dump'), directory.of('sealed')]
  await expect(encryptDump(from, to, passphrase, stopping())).rejects.toBeInstanceOf(Cancelled)
  await expect(
    decryptDump(scratch.of('sealed'), directory.of('plain'), passphrase, stopping()),
  ).rejects.toBeInstanceOf(Cancelled)
})
