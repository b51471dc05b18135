import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import type { Report } from '../../src/report/model.ts'
import { clientDirectory } from '../support/clients.ts'
import { metadata } from '../support/migration.ts'
import { runnerCommands, startAction } from '../support/runner.ts'
import { TestServer } from '../support/server.ts'
import { SmallDisk } from '../support/small-disk.ts'

/** The action from source: the bundles may be behind it. */
const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts')
const mebibyte = 1024 * 1024

let source: TestServer
let disk: SmallDisk | undefined
let temp: string
let client: string

beforeAll(async () => {
  client = (await clientDirectory(15)) ?? ''
  source = await TestServer.start(15)
  await source.sql('CREATE DATABASE shop')
  // random text, which no compression makes small
  await source.sql(
    `CREATE TABLE t AS SELECT md5(random()::text) || md5(random()::text) AS t FROM generate_series(1, 250000) g`,
    'shop',
  )
})
afterAll(() => source?.stop())
beforeEach(() => {
  disk = SmallDisk.make(4 * mebibyte)
  if (!disk) return console.warn('SKIPPED: no file system can be mounted here')
  temp = join(disk.path, 'temp')
  mkdirSync(temp)
})
afterEach(() => disk?.remove())

async function dump(more: Record<string, string>, env: Record<string, string>) {
  const running = startAction(main, {
    metadata,
    inputs: {
      command: 'dump',
      source: source.uri(),
      databases: 'shop',
      'client-path': client,
      ...more,
    },
    env,
  })
  const run = await running.result
  const path = run.outputs.report
  const report =
    path && existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Report) : undefined
  return { ...run, report }
}

test('a dump that fills RUNNER_TEMP makes way for the report of it', async () => {
  if (!disk) return
  const { report, log, outputs, cleanUp } = await dump({}, { RUNNER_TEMP: temp })
  expect(report?.error).toMatchObject({
    message: 'The disk of the runner is full',
    cause: expect.stringContaining(`${temp}/polardb-migration-`),
    remedy: expect.stringContaining('dump-directory'),
  })
  expect(log).not.toContain('could not be written')
  expect(statSync(outputs.report ?? '').mode & 0o777).toBe(0o600)
  expect(readdirSync(temp)).toEqual([expect.stringMatching(/^polardb-report-/)])
  cleanUp()
})

test('a dump that fills another disk names that one', async () => {
  if (!disk) return
  const directory = join(disk.path, 'dump')
  const { report, log, temp: elsewhere, cleanUp } = await dump({ 'dump-directory': directory }, {})
  expect(report?.error).toMatchObject({
    message: 'The disk of the runner is full',
    cause: `${directory}/databases/shop/1: no space left on device`,
    remedy: expect.stringContaining('dump-directory'),
  })
  expect(log).not.toContain(`${elsewhere}: no space`)
  expect(existsSync(directory)).toBe(false)
  cleanUp()
})

test('a RUNNER_TEMP that was full before is named, and nothing is left in it', async () => {
  if (!disk) return
  disk.fill()
  const dumped = join(disk.path, '..', `${basename(disk.path)}-dump`)
  const { code, outputs, log, cleanUp } = await dump(
    { 'dump-directory': dumped },
    { RUNNER_TEMP: temp },
  )
  expect(code).toBe(1)
  expect(outputs).toMatchObject({ verified: 'false' })
  expect(outputs.report).toBeUndefined()
  const [failed, ...more] = runnerCommands(log).filter(({ command }) => command === 'error')
  expect(more).toEqual([])
  expect(failed?.message).toMatch(
    /^The disk of the runner is full\. .*\/temp: no space left on device\. Free space where RUNNER_TEMP is/,
  )
  expect(failed?.message).not.toContain(dumped)
  expect(readdirSync(temp)).toEqual([])
  expect(existsSync(dumped)).toBe(false)
  cleanUp()
})
