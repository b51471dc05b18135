import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { ProgramLog } from '../../src/migration/program-log.ts'
import { temporaryDirectory } from '../support/server.ts'

let directory: string
beforeEach(() => {
  directory = temporaryDirectory('program-log-')
})
afterEach(() => rmSync(directory, { recursive: true }))

test('what a program says is added in its order, without what may hold a value', async () => {
  const file = join(directory, 'log')
  writeFileSync(file, 'before\n')
  const log = new ProgramLog(file, 'pg_dump', '# pg_dump 15')
  log.read('pg_dump: one')
  log.read('DETAIL:  card 4111')
  await new Promise((resolve) => setTimeout(resolve, 150))
  for (let line = 0; line < 1000; line++) log.read(`pg_dump: line ${line}`)
  log.read('pg_dump: last')
  await log.end()
  const lines = Array.from({ length: 1000 }, (_, line) => `pg_dump: line ${line}`)
  expect(readFileSync(file, 'utf8')).toBe(
    ['before', '# pg_dump 15', 'pg_dump: one', ...lines, 'pg_dump: last', ''].join('\n'),
  )
  expect(log.signal.aborted).toBe(false)
})

test('one that is made is for its owner alone', async () => {
  const file = join(directory, 'log')
  await new ProgramLog(file, 'pg_dump', '# pg_dump 15').end()
  expect(statSync(file).mode & 0o777).toBe(0o600)
})

test('one that cannot be written says so, and ends', async () => {
  const log = new ProgramLog(join(directory, 'none', 'log'), 'pg_dump', '# pg_dump 15')
  await new Promise((resolve) => log.signal.addEventListener('abort', resolve))
  expect(log.failed?.code).toBe('ENOENT')
  log.read('pg_dump: one')
  log.read('pg_dump: two')
  await log.end()
})
