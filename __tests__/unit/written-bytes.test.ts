import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { WrittenBytes } from '../../src/migration/dump/written-bytes.ts'
import { temporaryDirectory } from '../support/server.ts'

let directory: string
beforeEach(() => {
  directory = temporaryDirectory('written-bytes-')
})
afterEach(() => rmSync(directory, { recursive: true }))

test('what is written on all levels is seen to grow, and to vanish', async () => {
  const written = new WrittenBytes(join(directory, 'dump'))
  expect(await written.look()).toBe(0)
  mkdirSync(join(directory, 'dump', 'shop.1'), { recursive: true })
  const file = join(directory, 'dump', 'shop.1', '17.dat')
  writeFileSync(file, 'abc')
  expect(await written.look()).toBe(3)
  appendFileSync(file, 'def')
  for (let look = 0; look < 5; look++) expect(await written.look()).toBe(6)
  // of few files one that stood still is seen to go on at once
  appendFileSync(file, 'ghi')
  expect(await written.look()).toBe(9)
  rmSync(file)
  expect(await written.look()).toBe(0)
})

test('of many files those that are complete are not asked for at every look, and none is forgotten', async () => {
  const many = 900
  const files = Array.from({ length: many }, (_, at) => join(directory, `${at}.dat`))
  for (const file of files) writeFileSync(file, '1234567890')
  const written = new WrittenBytes(directory)
  for (let look = 0; look < 5; look++) expect(await written.look()).toBe(10 * many)
  expect(written.asked).toBeLessThanOrEqual(many / 30)
  // one that stood still for a while
  appendFileSync(files[100] ?? '', 'more')
  let seen = 0
  for (let look = 0; look < 30; look++) seen = await written.look()
  expect(seen).toBe(10 * many + 4)
  // it is written again, so it is looked at again
  expect(written.asked).toBeLessThanOrEqual(many / 30 + 1)
})
