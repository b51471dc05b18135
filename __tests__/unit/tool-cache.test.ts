import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { RunnerToolCache } from '../../src/action/tool-cache.ts'

let directory: string
const before = { ...process.env }

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tools-'))
  Object.assign(process.env, {
    RUNNER_TOOL_CACHE: join(directory, 'cache'),
    RUNNER_TEMP: join(directory, 'temp'),
  })
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
  process.env = { ...before }
})

test('what is stored as GitHub stores it is found again, and what is not complete is not', async () => {
  const entry = join(directory, 'entry')
  mkdirSync(entry)
  writeFileSync(join(entry, 'pg_dump'), 'a program')
  const cache = new RunnerToolCache()
  expect(cache.find('client', 'x64')).toEqual([])
  for (const version of ['15.18.0', '16.14.0']) await cache.store(entry, 'client', version, 'x64')
  await cache.store(entry, 'client', '17.1.0', 'arm64')
  const kept = join(directory, 'cache', 'client')
  // copied in part, as a job leaves it that is ended meanwhile
  mkdirSync(join(kept, '18.4.0', 'x64'), { recursive: true })
  writeFileSync(join(kept, 'notes.txt'), 'no version')
  const found = cache.find('client', 'x64')
  expect(found.sort((a, b) => a.version.localeCompare(b.version))).toEqual([
    { version: '15.18.0', directory: join(kept, '15.18.0', 'x64') },
    { version: '16.14.0', directory: join(kept, '16.14.0', 'x64') },
  ])
  expect(readFileSync(join(kept, '16.14.0', 'x64', 'pg_dump'), 'utf8')).toBe('a program')
})

test('where the runner has no tool cache nothing is found', () => {
  delete process.env.RUNNER_TOOL_CACHE
  expect(new RunnerToolCache().find('client', 'x64')).toEqual([])
})
