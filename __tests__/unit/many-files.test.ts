import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import { ManyFiles } from '../../src/postgres/archive/many-files.ts'
import { temporaryDirectory } from '../support/server.ts'

let directory: string
let clock = 0
beforeEach(() => {
  directory = temporaryDirectory('many-files-')
  clock = 0
  jest.spyOn(performance, 'now').mockImplementation(() => clock)
})
afterEach(() => {
  jest.restoreAllMocks()
  rmSync(directory, { recursive: true })
})

/** Asks so often, each answer taking so many milliseconds, and tells who was asked. */
async function asked(many: ManyFiles, times: number, milliseconds: number): Promise<string> {
  let who = ''
  for (let time = 0; time < times; time++)
    who += await many.ask(
      () => {
        clock += milliseconds
        return 'n'
      },
      async () => 'l',
    )
  return who
}

test('this thread asks as long as answers come at once, and now and then looks whether they do again', async () => {
  const many = new ManyFiles()
  expect(await asked(many, 500, 0.01)).toBe('n'.repeat(500))
  // one slow answer may be the fault of others on the machine
  expect(await asked(many, 1, 5)).toBe('n')
  expect(await asked(many, 10, 0.01)).toBe('n'.repeat(10))
  expect(await asked(many, 405, 5)).toBe(`nnn${'l'.repeat(200)}n${'l'.repeat(200)}n`)
  await asked(many, 200, 5)
  expect(await asked(many, 10, 0.01)).toBe('n'.repeat(10))
})

test('others have their turn meanwhile', async () => {
  let turns = 0
  let isOver = false
  const others = () => {
    turns++
    if (!isOver) setImmediate(others)
  }
  setImmediate(others)
  await asked(new ManyFiles(), 100, 1)
  isOver = true
  expect(turns).toBeGreaterThan(5)
})

test('what is not there, or cannot be asked for, is not known', async () => {
  const many = new ManyFiles()
  writeFileSync(join(directory, 'file'), 'abc')
  mkdirSync(join(directory, 'folder'))
  expect((await many.stat(join(directory, 'file')))?.size).toBe(3)
  expect((await many.stat(join(directory, 'folder')))?.isFile()).toBe(false)
  expect(await many.stat(join(directory, 'none'))).toBeUndefined()
  expect(await many.stat(join(directory, 'file', 'below'))).toBeUndefined()
  expect(await many.stat(join(directory, 'x'.repeat(300)))).toBeUndefined()
  // the same through the threads
  await asked(many, 3, 5)
  expect((await many.stat(join(directory, 'file')))?.size).toBe(3)
  expect(await many.stat(join(directory, 'none'))).toBeUndefined()
})
