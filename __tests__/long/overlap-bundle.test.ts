import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { markSchema } from '../../src/migration/restore/database/mark.ts'
import { temporaryRole } from '../../src/migration/restore/owners/login-role.ts'
import { isRestoredEarly } from '../support/dump-in-parts.ts'
import { between, metadata, postBundle, readEverything, readReport } from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { membershipsOf } from '../support/restore-harness.ts'
import { ResultsServer } from '../support/results-server.ts'
import { orphans, runAction, startAction } from '../support/runner.ts'
import { TestServer } from '../support/server.ts'

/** The action from source, for which every table is large enough for a part of its own. */
const partedMain = join(import.meta.dirname, '..', 'support', 'parted-main.ts')
/** The same, for which a large table is loaded while it is dumped. */
const growingMain = join(import.meta.dirname, '..', 'support', 'growing-main.ts')

let source: TestServer
let target: PlainTarget
let results: ResultsServer
/** Before each server a network that does what it is told. */
let near: TcpProxy
let far: TcpProxy
const directory = mkdtempSync(join(tmpdir(), 'overlap-dumps-'))

beforeAll(async () => {
  ;[source, target, results] = await Promise.all([
    TestServer.start(15),
    startPlainTarget(15),
    ResultsServer.start(),
  ])
  ;[near, far] = await Promise.all([TcpProxy.start(source.port), TcpProxy.start(target.port)])
  await source.sql('CREATE ROLE app')
  await source.sql('CREATE DATABASE shop OWNER app')
  await source.sql('CREATE DATABASE stock')
  await source.sql('CREATE TABLE parts AS SELECT generate_series(1, 5000) AS id', 'stock')
  await source.sql(
    `SET ROLE app;
     CREATE TABLE big (id int PRIMARY KEY, t text, tags text[]);
     INSERT INTO big SELECT g, repeat(md5(g::text), 3), ARRAY[md5(g::text), 'x'] FROM generate_series(1, 40000) g;
     CREATE INDEX big_tags ON big USING gin (tags);
     CREATE TABLE second (id int PRIMARY KEY REFERENCES big, t text);
     INSERT INTO second SELECT id, t FROM big WHERE id <= 20000;
     CREATE TABLE last (id serial PRIMARY KEY); INSERT INTO last SELECT FROM generate_series(1, 100);
     SELECT lo_from_bytea(9001, decode(repeat('ab', 100000), 'hex'))`,
    'shop',
  )
})
afterEach(async () => {
  near.calm()
  far.calm()
  await target.backend.sql('DROP DATABASE IF EXISTS shop WITH (FORCE)')
})
afterAll(async () => {
  await Promise.all([near?.stop(), far?.stop()])
  await Promise.all([source?.stop(), target?.stop(), results?.stop()])
  rmSync(directory, { recursive: true, force: true })
})

function inputs(more: Record<string, string> = {}): Record<string, string> {
  const plain = between(source, target, 'shop', {
    'allow-missing': '*',
    'upload-dump': 'false',
    ...more,
  })
  return {
    ...plain,
    source: through(near, plain.source ?? ''),
    target: through(far, plain.target ?? ''),
  }
}

const kept = (name: string) => ({
  'dump-directory': join(directory, name),
  'keep-dump': 'true',
})

async function expectEqualData(): Promise<void> {
  const [here, there] = [await source.connect('shop'), await target.backend.connect('shop')]
  expect(await readEverything(there)).toEqual(await readEverything(here))
  await Promise.all([here.end(), there.end()])
  expect(await marks()).toEqual([])
}

const marks = async () =>
  (
    await target.backend.sql(
      `SELECT nspname FROM pg_namespace WHERE nspname = '${markSchema}'`,
      'shop',
    )
  ).rows

/** The restore of a dump by itself, which has to do it all and to prove it. */
async function expectResumed(name: string): Promise<void> {
  const {
    source: _,
    'source-password': __,
    ...rest
  } = inputs({
    command: 'restore',
    'if-target-not-empty': 'resume',
    ...kept(name),
  })
  const resumed = await runAction(partedMain, { metadata, inputs: rest })
  expect(readReport(resumed).report.error).toBeNull()
  expect(resumed.outputs.verified).toBe('true')
  await expectEqualData()
  expect(await membershipsOf(target)).toEqual([])
  resumed.cleanUp()
}

test.each([
  ['an index is built', /CREATE INDEX big_tags/],
  ['rows are loaded', /COPY public\.second/],
])(
  'a run that is killed while %s leaves a sealed dump, with which a restore goes on',
  async (_, statement) => {
    const name = `killed-${statement.source.length}`
    const held = far.when(statement, 'stall')
    const running = startAction(partedMain, { metadata, inputs: inputs(kept(name)) })
    await held
    await running.logged(/The dump has the id/)
    running.kill('SIGKILL')
    const killed = await running.result
    expect(await marks()).toHaveLength(1)
    far.close()
    for (const { pid } of killed.orphans()) process.kill(pid, 'SIGKILL')
    await expectResumed(name)
    killed.cleanUp()
  },
)

test('a run that is cancelled while both halves are at work ends in time and leaves nothing at work', async () => {
  const held = Promise.all([
    near.when(/COPY public\.last /, 'stall'),
    far.when(/CREATE INDEX big_tags|COPY public\.(big|second)/, 'none'),
  ])
  const running = startAction(partedMain, { metadata, inputs: inputs() })
  await held
  running.cancel()
  const cancelled = await running.result
  expect(cancelled.signal).toBeNull()
  expect(cancelled.orphans()).toEqual([])
  expect(readReport(cancelled).report.status).toBe('cancelled')
  const { rows } = await target.backend.sql(
    `SELECT rolname FROM pg_roles WHERE left(rolname, ${temporaryRole.length}) = '${temporaryRole}' AND rolcanlogin`,
  )
  expect(rows).toEqual([])
  expect(await membershipsOf(target)).toEqual([])
  cancelled.cleanUp()
})

test('a run that is killed while a table is loaded that is still being dumped leaves no row of it, and the next one begins anew', async () => {
  void near.when(/COPY public\.big /, 'portion')
  const running = startAction(growingMain, { metadata, inputs: inputs({ 'restore-jobs': '4' }) })
  await running.logged(/TABLE DATA public\.big is loaded while it is dumped/)
  const streams = async () =>
    (
      await target.backend.sql(
        `SELECT p.tuples_processed::int AS rows FROM pg_stat_activity a JOIN pg_stat_progress_copy p ON p.pid = a.pid
          WHERE a.datname = 'shop' AND a.application_name LIKE '% stream %'`,
      )
    ).rows
  while (!(await streams()).some(({ rows }) => rows > 0)) await sleep(20)
  running.kill('SIGKILL')
  const killed = await running.result
  expect(await marks()).toHaveLength(1)
  near.close()
  far.close()
  for (const { pid } of killed.orphans()) process.kill(pid, 'SIGKILL')
  while ((await streams()).length > 0) await sleep(20)
  const { rows } = await target.backend.sql('SELECT FROM big LIMIT 1', 'shop')
  expect(rows).toEqual([])
  const more = { 'if-target-not-empty': 'replace', 'restore-jobs': '4' }
  const run = await runAction(growingMain, { metadata, inputs: inputs(more) })
  expect(readReport(run).report.error).toBeNull()
  expect(run.outputs.verified).toBe('true')
  await expectEqualData()
  expect(await membershipsOf(target)).toEqual([])
  killed.cleanUp()
  run.cleanUp()
})

/** Kills what is at work for a run, by the name of the program. */
function killPrograms(directory: string, program: RegExp): void {
  const found = orphans(directory).filter(({ command }) => program.test(command))
  expect(found.length).toBeGreaterThan(0)
  for (const { pid } of found) process.kill(pid, 'SIGKILL')
}

test('a pg_restore that is killed is made up for', async () => {
  const held = far.when(/COPY public\.second/, 'stall')
  const running = startAction(partedMain, { metadata, inputs: inputs() })
  await held
  killPrograms(running.directory, /\/pg_restore /)
  const run = await running.result
  expect(readReport(run).report.error).toBeNull()
  expect(run.outputs.verified).toBe('true')
  expect(run.orphans()).toEqual([])
  await expectEqualData()
  run.cleanUp()
})

test('a pg_dump that is killed fails the run, and leaves nothing of it on the target', async () => {
  const held = Promise.all([
    near.when(/COPY public\.last /, 'stall'),
    far.when(/COPY public\.(big|second)/, 'none'),
  ])
  const running = startAction(partedMain, { metadata, inputs: inputs() })
  await held
  killPrograms(running.directory, /\/pg_dump /)
  const run = await running.result
  expect(readReport(run).report.error?.cause).toContain('pg_dump was killed by SIGKILL')
  expect(run.orphans()).toEqual([])
  const { rows } = await target.backend.sql(
    `SELECT datname AS name FROM pg_database WHERE datname = 'shop'
     UNION ALL SELECT rolname FROM pg_roles WHERE left(rolname, ${temporaryRole.length}) = '${temporaryRole}'`,
  )
  expect(rows).toEqual([])
  expect(await membershipsOf(target)).toEqual([])
  run.cleanUp()
})

const artifactsOf = (run: string) =>
  results
    .artifacts()
    .filter((one) => one.run === run && !one.name.startsWith('polardb-report'))
    .map(({ name }) => name)

/**
 * Lets the dump go on that is held, once a part of it is sent, and waits for the end.
 *
 * @param held when it is: a part may be sent before, and what is held after the release would be for ever
 */
async function untilSent(running: ReturnType<typeof startAction>, held: Promise<unknown>) {
  await Promise.all([held, running.logged(/Uploaded \S+-part-001, .* while the dump goes on/)])
  near.release()
  return await running.result
}

/** A run of which parts are uploaded, and whose last table is not dumped to its end. */
async function uploading(run: string) {
  const env = results.environment(run, 'migrate')
  const held = near.when(/COPY public\.last /, 'stall')
  const running = startAction(partedMain, {
    metadata,
    inputs: inputs({ 'upload-dump': 'true', 'allow-public-artifact': 'true' }),
    env,
  })
  await held
  await running.logged(/Uploaded polardb-dump-part-001, .* while the dump goes on/)
  expect(artifactsOf(run)).toContain('polardb-dump-part-001')
  return { env, running }
}

test('a run that is cancelled while its dump is uploaded leaves no part of it', async () => {
  const { running } = await uploading('11')
  running.cancel()
  const cancelled = await running.result
  expect(cancelled.signal).toBeNull()
  expect(cancelled.orphans()).toEqual([])
  expect(readReport(cancelled).report.status).toBe('cancelled')
  expect(artifactsOf('11')).toEqual([])
  cancelled.cleanUp()
})

test('of a run that is killed while its dump is uploaded the post step deletes the parts', async () => {
  const { running, env } = await uploading('12')
  running.kill('SIGKILL')
  const killed = await running.result
  expect(artifactsOf('12')).toContain('polardb-dump-part-001')
  const { state, directory } = killed
  const post = await runAction(postBundle, { metadata, state, directory, env })
  expect(post.log).toContain('Deleted the parts of a dump that there will not be')
  expect(artifactsOf('12')).toEqual([])
  for (const { pid } of killed.orphans()) process.kill(pid, 'SIGKILL')
  killed.cleanUp()
})

test('the command dump uploads a database while the next one is dumped', async () => {
  const {
    target: _,
    'target-password': __,
    ...rest
  } = inputs({
    command: 'dump',
    databases: 'shop, stock',
    'upload-dump': 'true',
    'allow-public-artifact': 'true',
  })
  const env = results.environment('13', 'dump')
  const held = near.when(/COPY public\.parts /, 'hold')
  const dumped = await untilSent(startAction(partedMain, { metadata, inputs: rest, env }), held)
  const { report } = readReport(dumped)
  expect(report.error).toBeNull()
  expect(artifactsOf('13')[0]).toBe('polardb-dump-part-001')
  expect(artifactsOf('13').at(-1)).toBe('polardb-dump')
  dumped.cleanUp()
})

test('an encrypted dump is uploaded while it is made, and restored elsewhere', async () => {
  const secret = {
    'upload-dump': 'true',
    'artifact-name': 'parted',
    passphrase: 'correct horse battery staple',
  }
  const env = results.environment('7', 'migrate')
  const held = near.when(/COPY public\.last /, 'hold')
  const running = startAction(partedMain, { metadata, inputs: inputs(secret), env })
  const migrated = await untilSent(running, held)
  const { report } = readReport(migrated)
  expect(report.error).toBeNull()
  expect(migrated.outputs.verified).toBe('true')
  expect(migrated.outputs['artifact-id']).toBeTruthy()
  expect(isRestoredEarly(report, 'shop')).toBe(true)
  expect(artifactsOf('7').length).toBeGreaterThan(1)
  expect(artifactsOf('7').at(-1)).toBe('parted')
  expect(readdirSync(migrated.temp).filter((file) => !file.startsWith('polardb-report'))).toEqual(
    [],
  )
  await target.backend.sql('DROP DATABASE shop')
  const { source: _, 'source-password': __, ...rest } = inputs({ command: 'restore', ...secret })
  const restored = await runAction(partedMain, {
    metadata,
    inputs: rest,
    env: results.environment('7', 'restore'),
  })
  expect(readReport(restored).report.error).toBeNull()
  expect(restored.outputs.verified).toBe('true')
  await expectEqualData()
  migrated.cleanUp()
  restored.cleanUp()
})
