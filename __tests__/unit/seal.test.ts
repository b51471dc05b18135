import { execFileSync } from 'node:child_process'
import { createHmac, scryptSync } from 'node:crypto'
import { cpSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { openDump, sealDump } from '../../src/migration/kept/directory.ts'
import { openDumpDirectory } from '../../src/migration/kept/download.ts'
import type { Manifest } from '../../src/migration/kept/manifest.ts'
import { isSealedBy, makeSeal, sealFile } from '../../src/migration/kept/seal.ts'
import { failureOf } from '../support/failure.ts'
import { encryptDump } from '../support/keep-dump.ts'
import { QuietContext, Scratch, sampleContents, sampleDump } from '../support/sample-dump.ts'

const passphrase = 'corréct horse battery "staple"'
let scratch: Scratch
let manifest: Manifest
beforeAll(async () => {
  scratch = new Scratch()
  await sampleDump(scratch.of('dump'))
  manifest = await sealDump(scratch.of('dump'), sampleContents, new QuietContext(), passphrase)
})
afterAll(() => scratch[Symbol.dispose]())

const refusal = async (action: Promise<unknown>): Promise<string> => (await failureOf(action)).line
const copy = (name: string, change: (directory: string) => void): string => {
  cpSync(scratch.of('dump'), scratch.of(name), { recursive: true })
  change(scratch.of(name))
  return scratch.of(name)
}
/** Opens a directory as restore does with the input passphrase. */
const open = (directory: string, given: string | undefined = passphrase) =>
  openDumpDirectory(directory, given, scratch.path, new QuietContext())

describe('a dump that was sealed with a passphrase', () => {
  test('is opened with it, and carries a seal that only its owner can read', async () => {
    expect((await open(scratch.of('dump'))).manifest).toEqual(manifest)
    expect(statSync(scratch.of(`dump/${sealFile}`)).mode & 0o777).toBe(0o600)
    expect(readFileSync(scratch.of(`dump/${sealFile}`), 'utf8')).not.toContain('staple')
  })

  test('can be checked by anybody who knows the passphrase, as the documentation says', () => {
    const seal = JSON.parse(readFileSync(scratch.of(`dump/${sealFile}`), 'utf8'))
    const { salt, n, r, p } = seal.scrypt
    const whole = Buffer.concat([
      Buffer.from('migrate-to-polardb/v1/manifest-seal'),
      Buffer.from(salt, 'base64'),
    ])
    const key = scryptSync(passphrase, whole, 32, { N: n, r, p, maxmem: 2 ** 28 })
    const mac = createHmac('sha256', key)
      .update(readFileSync(scratch.of('dump/manifest.json')))
      .digest('hex')
    expect(mac).toBe(seal.hmacSha256)
  })

  test('is opened without a passphrase, too, and the log says that nothing was proven', async () => {
    const context = new QuietContext()
    expect(await openDump(scratch.of('dump'), context)).toEqual(manifest)
    expect(context.lines.join()).toContain('it was not checked')
  })

  test('is refused with another passphrase', async () => {
    expect(await refusal(open(scratch.of('dump'), 'another passphrase'))).toMatch(
      /manifest\.seal does not fit.*not the one that the dump was made with, or the dump was changed/,
    )
  })

  test('is refused when somebody exchanged a file and its digest, or the id, or the time', async () => {
    const digest = manifest.files[0]?.sha256 ?? ''
    for (const [at, [from, to]] of [
      [digest, digest.replace(/^../, 'ff')],
      [manifest.id, '0f8fad5b-d9cb-469f-a165-70867728950e'],
      [manifest.createdAt, '2001-01-01T00:00:00Z'],
    ].entries()) {
      const directory = copy(`changed-${at}`, (place) => {
        const path = join(place, 'manifest.json')
        writeFileSync(path, readFileSync(path, 'utf8').replace(from ?? '', to ?? ''))
      })
      expect(await refusal(open(directory))).toContain('manifest.seal does not fit')
    }
  })

  test('is refused without its seal, with the way out', async () => {
    const directory = copy('bare', (place) => rmSync(join(place, sealFile)))
    expect(await refusal(open(directory))).toMatch(/carries no seal.*leave passphrase away/)
    expect((await openDump(directory, new QuietContext())).id).toBe(manifest.id)
  })

  test('is refused when its seal is a link', async () => {
    const directory = copy('link', (place) => {
      cpSync(join(place, sealFile), scratch.of('elsewhere'))
      rmSync(join(place, sealFile))
      symlinkSync(scratch.of('elsewhere'), join(place, sealFile))
    })
    expect(await refusal(open(directory))).toContain('ELOOP')
  })

  test('takes its seal along when it is encrypted', async () => {
    const context = new QuietContext()
    await encryptDump(scratch.of('dump'), scratch.of('encrypted'), passphrase, context)
    const opened = await open(scratch.of('encrypted'))
    expect(opened.manifest).toEqual(manifest)
    // decrypted by hand, it is a directory that proves itself again
    expect((await open(opened.directory)).manifest).toEqual(manifest)
    execFileSync('test', ['-f', join(opened.directory, sealFile)])
  })

  test('encrypted before there were seals, is opened by its passphrase alone', async () => {
    const bare = copy('old', (place) => rmSync(join(place, sealFile)))
    await encryptDump(bare, scratch.of('old-encrypted'), passphrase, new QuietContext())
    expect((await open(scratch.of('old-encrypted'))).manifest).toEqual(manifest)
  })
})

describe('a seal', () => {
  const content = Buffer.from('{}')
  let good: Record<string, unknown>
  beforeAll(async () => {
    good = JSON.parse(await makeSeal(content, passphrase))
  })
  const scrypt = (change: object) => ({
    ...good,
    scrypt: { ...(good.scrypt as object), ...change },
  })
  const check = (seal: unknown) =>
    isSealedBy(
      Buffer.from(typeof seal === 'string' ? seal : JSON.stringify(seal)),
      content,
      passphrase,
    )

  test('is another one each time', async () => {
    expect(await check(good)).toBe(true)
    expect(JSON.parse(await makeSeal(content, passphrase))).not.toEqual(good)
  })

  test.each<[string, () => unknown]>([
    ['too large', () => ' '.repeat(5000)],
    ['not JSON', () => '{"format"'],
    ['a list', () => []],
    ['null', () => null],
    ['of another program', () => ({ ...good, format: 'x' })],
    ['of a later version', () => ({ ...good, version: 2 })],
    ['without parameters', () => ({ ...good, scrypt: null })],
    ['of little work', () => scrypt({ n: 2 ** 10 })],
    ['of endless work', () => scrypt({ n: 2 ** 30 })],
    ['of work that is no power of two', () => scrypt({ n: 2 ** 17 + 1 })],
    ['of another block size', () => scrypt({ r: 1_000_000 })],
    ['of much parallel work', () => scrypt({ p: 1_000_000 })],
    ['without salt', () => scrypt({ salt: '' })],
    ['with a code of another length', () => ({ ...good, hmacSha256: 'ff' })],
    ['with a code that is no text', () => ({ ...good, hmacSha256: {} })],
  ])('is refused when it is %s', async (_, seal) => {
    expect(await refusal(check(seal()))).toContain('manifest.seal cannot be used')
  })
})
