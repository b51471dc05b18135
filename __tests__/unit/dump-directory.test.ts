import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Cancelled, Failure } from '../../src/failure.ts'
import { openDump, sealDump } from '../../src/migration/kept/directory.ts'
import { archivePath, type Manifest } from '../../src/migration/kept/manifest.ts'
import { failureOf } from '../support/failure.ts'
import { randomIntegers } from '../support/random.ts'
import {
  QuietContext,
  Scratch,
  sampleContents,
  sampleDump,
  sampleFiles,
} from '../support/sample-dump.ts'

const archive = archivePath('shop', 1)
let scratch: Scratch
let manifest: Manifest

beforeEach(async () => {
  scratch = new Scratch()
  manifest = await sampleDump(scratch.path)
})

afterEach(() => scratch[Symbol.dispose]())

const open = () => openDump(scratch.path, new QuietContext())
const why = async () => (await failureOf(open())).line

describe('a sealed dump', () => {
  test('opens with the manifest that it was sealed with', async () => {
    expect(await open()).toEqual(manifest)
    expect(manifest.files.map(({ path }) => path)).toEqual(Object.keys(sampleFiles).sort())
  })

  test('has the digests that sha256sum computes', () => {
    const list = manifest.files.map(({ path, sha256 }) => `${sha256}  ${path}\n`).join('')
    execFileSync('sha256sum', ['--check', '--quiet'], { cwd: scratch.path, input: list })
  })

  test('is readable to its owner alone', () => {
    const modes = new Set<string>()
    for (const entry of readdirSync(scratch.path, { recursive: true, withFileTypes: true })) {
      const { mode } = statSync(join(entry.parentPath, entry.name))
      modes.add(`${entry.isDirectory() ? 'directory' : 'file'} ${(mode & 0o777).toString(8)}`)
    }
    expect([...modes].sort()).toEqual(['directory 700', 'file 600'])
  })

  test('can be sealed again, and is then another dump', async () => {
    const again = await sealDump(scratch.path, sampleContents, new QuietContext())
    expect(again.files).toEqual(manifest.files)
    expect(again.id).not.toBe(manifest.id)
  })

  test('opens after a zip has lost its modes, and with empty directories in it', async () => {
    for (const { path } of manifest.files) chmodSync(scratch.of(path), 0o644)
    mkdirSync(scratch.of('databases/empty/1'), { recursive: true })
    expect((await open()).id).toBe(manifest.id)
  })
})

describe('a dump cannot be sealed', () => {
  test('when an archive is missing', async () => {
    rmSync(scratch.of(archive), { recursive: true })
    await expect(sealDump(scratch.path, sampleContents, new QuietContext())).rejects.toMatchObject({
      why: expect.stringContaining(`${archive}/toc.dat`),
    })
    expect(existsSync(scratch.of('manifest.json'))).toBe(false)
  })

  test('when a file is not its own', async () => {
    scratch.write('customers\n.csv', 'x')
    await expect(sealDump(scratch.path, sampleContents, new QuietContext())).rejects.toThrow(
      '"customers\\n.csv" in the dump directory does not belong to the dump',
    )
    expect(existsSync(scratch.of('manifest.json'))).toBe(false)
  })

  test('after the job was cancelled', async () => {
    const context = new QuietContext()
    context.stop.abort(new Cancelled())
    await expect(sealDump(scratch.path, sampleContents, context)).rejects.toBeInstanceOf(Cancelled)
    expect(existsSync(scratch.of('manifest.json'))).toBe(false)
  })
})

describe('a dump is refused by name', () => {
  const data = `${archive}/3001.dat.gz`
  const flip = (path: string, at: number) => {
    const content = readFileSync(scratch.of(path))
    content[at] = (content[at] ?? 0) ^ 1
    writeFileSync(scratch.of(path), content)
  }

  test.each<[string, () => void, string]>([
    ['a file is missing', () => rmSync(scratch.of(data)), `${data} is missing`],
    ['a file is cut off', () => truncateSync(scratch.of(data), 5), `${data} has 5 bytes`],
    [
      'a file grew',
      () => writeFileSync(scratch.of(data), 'x', { flag: 'a' }),
      `${data} has 300001`,
    ],
    ['a bit of a file was altered', () => flip(data, 299_999), `${data} was altered`],
    ['the role script was altered', () => flip('roles.sql', 3), 'roles.sql was altered'],
    [
      'two files were exchanged',
      () => {
        renameSync(scratch.of(data), scratch.of('x'))
        renameSync(scratch.of(`${archive}/3002.dat.gz`), scratch.of(data))
        renameSync(scratch.of('x'), scratch.of(`${archive}/3002.dat.gz`))
      },
      `${data} has 70000 bytes`,
    ],
    [
      'a file was added',
      () => scratch.write(`${archive}/9.dat`, ''),
      `"${archive}/9.dat" does not`,
    ],
    ['a hidden file was added', () => scratch.write('.x', ''), '".x" does not belong'],
    [
      'a file with a hostile name was added',
      () => scratch.write('a\n::error::b', ''),
      '"a\\n::error::b"',
    ],
    [
      'a file became a link',
      () => {
        rmSync(scratch.of(data))
        symlinkSync('/etc/passwd', scratch.of(data))
      },
      `"${data}" is a symbolic link`,
    ],
    [
      'an archive became a link',
      () => {
        renameSync(scratch.of(archive), `${scratch.path}-elsewhere`)
        symlinkSync(`${scratch.path}-elsewhere`, scratch.of(archive))
      },
      `"${archive}" is a symbolic link`,
    ],
    [
      'a file became a directory',
      () => {
        rmSync(scratch.of(data))
        mkdirSync(scratch.of(data))
      },
      `${data} is missing`,
    ],
    [
      'a file became a pipe',
      () => {
        rmSync(scratch.of(data))
        execFileSync('mkfifo', [scratch.of(data)])
      },
      `"${data}" is no plain file`,
    ],
    [
      'a file is in pieces',
      () => renameSync(scratch.of(data), scratch.of(`${data}.part-0001`)),
      `Join them: cat ${data}.part-* > ${data}`,
    ],
    ['the manifest is missing', () => rmSync(scratch.of('manifest.json')), 'is no dump'],
    ['the manifest is cut off', () => truncateSync(scratch.of('manifest.json'), 400), 'cut off'],
    [
      'the manifest became a link',
      () => {
        linkSync(scratch.of('manifest.json'), `${scratch.path}-elsewhere`)
        rmSync(scratch.of('manifest.json'))
        symlinkSync(`${scratch.path}-elsewhere`, scratch.of('manifest.json'))
      },
      'ELOOP',
    ],
    [
      'the manifest became a pipe',
      () => {
        rmSync(scratch.of('manifest.json'))
        execFileSync('mkfifo', [scratch.of('manifest.json')])
      },
      'manifest.json is no plain file',
    ],
    [
      'the manifest has a path that escapes',
      () => {
        const text = readFileSync(scratch.of('manifest.json'), 'utf8')
        writeFileSync(scratch.of('manifest.json'), text.replaceAll(data, '../../../etc/passwd'))
      },
      'is no path inside the dump: "../../../etc/passwd"',
    ],
    [
      'the manifest has another version',
      () => {
        const text = readFileSync(scratch.of('manifest.json'), 'utf8')
        writeFileSync(
          scratch.of('manifest.json'),
          text.replace('"formatVersion": 1', '"formatVersion": 7'),
        )
      },
      'has the format version 7',
    ],
  ])('when %s', async (_, tamper, reason) => {
    tamper()
    try {
      expect(await why()).toContain(reason)
    } finally {
      rmSync(`${scratch.path}-elsewhere`, { recursive: true, force: true })
    }
  })

  test('when the directory is something else, or nothing', async () => {
    const context = new QuietContext()
    await expect(openDump(scratch.of(archive), context)).rejects.toThrow('is no dump')
    await expect(openDump(scratch.of('nothing'), context)).rejects.toThrow('is no dump')
  })

  test('whatever single damage was done to it (seed 7)', async () => {
    const next = randomIntegers(7)
    const paths = manifest.files.filter(({ bytes }) => bytes > 0).map(({ path }) => path)
    for (let round = 0; round < 150; round++) {
      const path = paths[next(paths.length)] ?? ''
      const before = readFileSync(scratch.of(path))
      const damage = next(3)
      if (damage === 0) flip(path, next(before.length))
      else if (damage === 1) truncateSync(scratch.of(path), next(before.length))
      else rmSync(scratch.of(path))
      expect(await why()).toContain(path)
      writeFileSync(scratch.of(path), before)
    }
    expect((await open()).id).toBe(manifest.id)
  })

  test('or else accepted whole, whatever was done to its manifest (seed 8)', async () => {
    const next = randomIntegers(8)
    const text = readFileSync(scratch.of('manifest.json'))
    for (let round = 0; round < 300; round++) {
      const damaged = Buffer.from(text)
      for (let changes = 1 + next(3); changes > 0; changes--)
        damaged[next(damaged.length)] = next(256)
      writeFileSync(scratch.of('manifest.json'), damaged)
      try {
        // a change to what stays opaque, a name or a version is none that could be noticed here
        expect((await open()).files).toEqual(manifest.files)
      } catch (error) {
        if (!(error instanceof Failure)) throw error
      }
    }
  })
})

test('opening a dump stops when the job is cancelled', async () => {
  const context = new QuietContext()
  context.progress.update = () => {
    context.stop.abort(new Cancelled())
  }
  await expect(openDump(scratch.path, context)).rejects.toBeInstanceOf(Cancelled)
})
