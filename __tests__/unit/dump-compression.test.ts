import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { chosenCompression, fits } from '../../src/migration/dump/compression.ts'
import type { Inputs } from '../../src/migration/inputs.ts'

const directory = join(tmpdir(), 'not', 'made', 'yet')

const choose = (inputs: Partial<Inputs>, bytes = 1000) =>
  chosenCompression(
    {
      command: 'migrate',
      compression: { method: 'auto' },
      keepDump: false,
      uploadDump: false,
      ...inputs,
    },
    [{ bytes }],
    directory,
  )

describe('the compression of a dump', () => {
  test('is none where nobody keeps it and it fits into memory', async () => {
    expect(await choose({})).toEqual({ method: 'none' })
  })

  test.each<[string, Partial<Inputs>]>([
    ['is kept on the runner', { keepDump: true }],
    ['is uploaded', { uploadDump: true }],
    ['is the result', { command: 'dump' }],
    ['foretells one that is kept', { command: 'rehearse' }],
  ])('is that of the client where the dump %s', async (_name, inputs) => {
    expect(await choose(inputs)).toEqual({ method: 'auto' })
  })

  test('is that of the client where the dump does not fit', async () => {
    expect(await choose({}, 1e15)).toEqual({ method: 'auto' })
  })

  test('is the one that the user has chosen', async () => {
    const compression = { method: 'gzip', level: 9 } as const
    expect(await choose({ compression })).toEqual(compression)
  })

  test.each([
    [1, { memory: 4, disk: 16 }, true],
    [1, { memory: 3.9, disk: 16 }, false],
    [1, { memory: 4, disk: 15.9 }, false],
  ])('%s bytes of databases fit into %o: %s', (bytes, room, expected) => {
    expect(fits(bytes, room)).toBe(expected)
  })
})
