import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { GitHubArtifacts } from '../../src/action/artifacts.ts'
import type { Failure } from '../../src/failure.ts'
import { downloadDump, openDumpDirectory } from '../../src/migration/kept/download.ts'
import { failureOf } from '../support/failure.ts'
import { encryptDump, uploadDump } from '../support/keep-dump.ts'
import { takeMasks } from '../support/masks.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { Harness, testContext } from '../support/restore-harness.ts'
import { ResultsServer } from '../support/results-server.ts'
import { QuietContext, Scratch, sampleDump } from '../support/sample-dump.ts'
import { TestServer } from '../support/server.ts'
import { SmallDisk } from '../support/small-disk.ts'

const passphrase = 'a long passphrase'

afterAll(takeMasks().stop)
let scratch: Scratch
let disk: SmallDisk | undefined
let context: QuietContext
let source: TestServer
let target: PlainTarget
let harness: Harness

beforeAll(async () => {
  const found = await Harness.open(15)
  if (!found) throw new Error('no client programs of PostgreSQL 15 can be had here')
  harness = found
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
  await source.sql('CREATE DATABASE shop')
  // elsewhere its rows take longer than any test may
  await source.sql(
    `CREATE FUNCTION slow(int) RETURNS bool LANGUAGE sql AS
       $$ SELECT CASE WHEN current_database() <> 'shop' THEN pg_sleep(600) IS NOT NULL ELSE true END $$;
     CREATE TABLE t (i int CHECK (slow(i))); INSERT INTO t SELECT g FROM generate_series(1, 5) g`,
    'shop',
  )
})
afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop()])
  await harness?.close()
})
beforeEach(() => {
  scratch = new Scratch()
  context = new QuietContext()
  disk = SmallDisk.make(600 * 1024)
  if (!disk) console.warn('SKIPPED: no file system can be mounted here')
})
afterEach(() => {
  disk?.remove()
  scratch[Symbol.dispose]()
})

const full = (path: string, remedy: RegExp) => ({
  message: 'The disk of the runner is full',
  why: `${path}: no space left on device`,
  remedy: expect.stringMatching(remedy),
})

test('a dump that is decrypted onto a full disk names that one, and what was begun can go', async () => {
  if (!disk) return
  await sampleDump(scratch.of('dump'))
  await encryptDump(scratch.of('dump'), scratch.of('encrypted'), passphrase, context)
  disk.fill(100_000)
  const opened = openDumpDirectory(scratch.of('encrypted'), passphrase, disk.path, context)
  expect(await failureOf(opened)).toMatchObject(full(disk.path, /RUNNER_TEMP/))
})

test.each([
  ['arrives', 300_000],
  ['is unpacked', 700_000],
])('a dump that does not fit when it %s names the directory of the dump', async (_, room) => {
  disk?.remove()
  disk = SmallDisk.make(room)
  if (!disk) return
  const server = await ResultsServer.start()
  try {
    const manifest = await sampleDump(scratch.of('dump'))
    const store = new GitHubArtifacts(context.log, server.environment('1', 'a'), [1, 1])
    const request = { name: 'polardb-dump', compressed: true, scratch: scratch.path }
    await uploadDump(store, scratch.of('dump'), manifest, request, context)
    const into = join(disk.path, 'into')
    mkdirSync(into)
    const { line } = await failureOf(downloadDump(store, { name: 'polardb-dump', into }, context))
    expect(line).toContain(into)
    expect(line).toMatch(/(no space left|does not fit).*set dump-directory to a larger disk/)
    expect(readdirSync(into)).not.toContain('manifest.json')
  } finally {
    await server.stop()
  }
})

test('a disk that fills up while a dump arrives is named', async () => {
  if (!disk) return
  const server = await ResultsServer.start()
  try {
    const manifest = await sampleDump(scratch.of('dump'))
    const store = new GitHubArtifacts(context.log, server.environment('1', 'a'), [])
    const request = { name: 'polardb-dump', compressed: true, scratch: scratch.path }
    const stored = await uploadDump(store, scratch.of('dump'), manifest, request, context)
    disk.fill(200_000)
    const into = join(disk.path, 'into')
    const download = store.download({ ...stored, bytes: 0 }, into, undefined, context.signal)
    expect(await failureOf(download)).toMatchObject(full(into, /set dump-directory to a larger/))
  } finally {
    await server.stop()
  }
})

test('a restore without room for its own files names their directory, and no table', async () => {
  if (!disk) return
  const dump = await harness.dump(source, 'shop')
  disk.fill()
  const context = testContext(disk.path)
  const error: unknown = await harness.restore(dump, target, {}, context).catch((e: unknown) => e)
  expect(error).toMatchObject(full(disk.path, /RUNNER_TEMP/))
  expect(context.report.databases.flatMap(({ restore }) => restore?.failed ?? [])).toEqual([])
})

test('pg_restore, too, is not let run on without its log', async () => {
  const dump = await harness.dump(source, 'shop')
  const changes = { logFile: '/dev/full', targetName: 'unlogged', ifNotEmpty: 'replace' } as const
  const error: unknown = await harness.restore(dump, target, changes).catch((e: unknown) => e)
  expect(error).toMatchObject(full('/dev/full', /RUNNER_TEMP/))
  expect((error as Failure).line).not.toContain('TABLE')
  // the server may need a moment to notice that a program has gone
  const loading = `SELECT FROM pg_stat_activity WHERE datname = 'unlogged' AND query ~ '^COPY'`
  while ((await target.backend.sql(loading)).rowCount) await sleep(20)
})
