import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { readCpio, unpackCpio } from '../../src/postgres/programs/clients/rpm.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cpio-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

interface Entry {
  name: string
  mode: number
  content?: string
}

/** A cpio archive as rpm2cpio writes it. */
function archive(...entries: Entry[]): Buffer {
  const parts = [...entries, { name: 'TRAILER!!!', mode: 0 }].map(
    ({ name, mode, content = '' }) => {
      const fields = [1, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0]
      const header = fields.map((value) => value.toString(16).padStart(8, '0')).join('')
      const pad = (text: string) => text.padEnd(Math.ceil(text.length / 4) * 4, '\0')
      return pad(`070701${header}${name}\0`) + pad(content)
    },
  )
  return Buffer.from(parts.join(''))
}

test('files, directories and links are unpacked with their permissions', async () => {
  const packed = archive(
    { name: './usr', mode: 0o040755 },
    { name: './usr/lib/libpq.so.5', mode: 0o120777, content: 'libpq.so.5.15' },
    { name: './usr/bin/psql', mode: 0o100755, content: 'program' },
    { name: './usr/readme', mode: 0o100644, content: 'abcde' },
  )
  await unpackCpio(packed, directory)
  expect(readlinkSync(join(directory, 'usr/lib/libpq.so.5'))).toBe('libpq.so.5.15')
  expect(readFileSync(join(directory, 'usr/bin/psql'), 'utf8')).toBe('program')
  expect(statSync(join(directory, 'usr/bin/psql')).mode & 0o777).toBe(0o755)
  expect(readFileSync(join(directory, 'usr/readme'), 'utf8')).toBe('abcde')
})

test('a set-user-id bit is not unpacked', async () => {
  await unpackCpio(archive({ name: './x', mode: 0o104755, content: '' }), directory)
  expect(statSync(join(directory, 'x')).mode & 0o7777).toBe(0o755)
})

test.each(['../outside', './a/../../outside'])('an entry named %s is refused', async (name) => {
  const packed = archive({ name, mode: 0o100644, content: 'x' })
  await expect(unpackCpio(packed, join(directory, 'root'))).rejects.toThrow(/names/)
})

test('an absolute name stays below the directory', async () => {
  await unpackCpio(archive({ name: '/etc/x', mode: 0o100644, content: 'y' }), directory)
  expect(readFileSync(join(directory, 'etc/x'), 'utf8')).toBe('y')
})

test('nothing is written through a link of the archive', async () => {
  writeFileSync(join(directory, 'target'), 'kept')
  const packed = archive(
    { name: './link', mode: 0o120777, content: 'target' },
    { name: './link', mode: 0o100644, content: 'overwritten' },
  )
  await unpackCpio(packed, directory).catch(() => {})
  expect(readFileSync(join(directory, 'target'), 'utf8')).toBe('kept')
})

test('an archive that ends in the middle is refused', () => {
  const packed = archive({ name: './x', mode: 0o100644, content: 'some content' })
  expect(() => [...readCpio(packed.subarray(0, 120))]).toThrow(/truncated/)
  expect(() => [...readCpio(packed.subarray(0, -8))]).toThrow()
  expect(() => [...readCpio(Buffer.alloc(0))]).toThrow(/No cpio entry/)
})
