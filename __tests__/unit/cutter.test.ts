import { expect, test } from '@jest/globals'
import { type CutPiece, Cutter } from '../../src/migration/kept/cutter.ts'
import { randomIntegers } from '../support/random.ts'

test('every byte of every file is handed out once, whatever was given back meanwhile (seed 3)', () => {
  const next = randomIntegers(3)
  for (let round = 0; round < 200; round++) {
    const cutter = new Cutter()
    const sizes = Array.from({ length: 1 + next(6) }, () => next(500))
    const pieces = sizes.map((length, at) => ({ path: `a/${at}`, offset: 0, length }))
    const half = next(pieces.length)
    cutter.add(pieces.slice(0, half))
    const taken: CutPiece[] = []
    let isWhole = false
    while (cutter.left > 0 || !isWhole) {
      if (!isWhole && (cutter.left === 0 || next(3) === 0)) {
        cutter.add(pieces.slice(half))
        isWhole = true
        continue
      }
      // another limit each time, as the speed of the connection has it
      const part = cutter.take(20 + next(200), 1 + next(4))
      expect(part.length).toBeGreaterThan(0)
      if (next(3) === 0) cutter.giveBack(part)
      else taken.push(...part)
    }
    expect([cutter.bytes, cutter.paths().size]).toEqual([0, 0])
    for (const [at, length] of sizes.entries()) {
      const own = taken.filter(({ path }) => path === `a/${at}`)
      expect(own.length).toBeGreaterThan(0)
      let end = 0
      for (const [index, piece] of own.entries()) {
        expect(piece.offset).toBe(end)
        expect(piece.cut).toBe(own.length === 1 ? undefined : index + 1)
        end += piece.length
      }
      expect(end).toBe(length)
    }
  }
})

test('what is gone is handed out no more', () => {
  const cutter = new Cutter()
  cutter.add(['a/1', 'b/1', 'a/2'].map((path) => ({ path, offset: 0, length: 100 })))
  cutter.take(60, 1)
  cutter.drop((path) => path.startsWith('a/'))
  expect([...cutter.paths()]).toEqual(['b/1'])
  expect(cutter.take(1000, 9)).toEqual([{ path: 'b/1', offset: 0, length: 100 }])
  expect(cutter.left).toBe(0)
})
