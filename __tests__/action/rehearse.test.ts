import { readdirSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { dumpCatalogs } from '../support/catalog-dump.ts'
import {
  between,
  demoLosses,
  mainBundle,
  metadata,
  postBundle,
  readReport,
  runJob,
  smallShop,
} from '../support/migration.ts'
import { type PlainTarget, startPlainTarget } from '../support/polardb-standin.ts'
import { TcpProxy, through } from '../support/proxy.ts'
import { type ActionResult, type RunningAction, runAction, startAction } from '../support/runner.ts'
import { TestServer } from '../support/server.ts'

let source: TestServer
let target: PlainTarget
let before: Awaited<ReturnType<typeof catalogs>>

const catalogs = async () => ({
  source: await dumpCatalogs(source),
  target: await dumpCatalogs(target.backend),
})

beforeAll(async () => {
  ;[source, target] = await Promise.all([TestServer.start(15), startPlainTarget(15)])
  await source.sql('CREATE DATABASE shop')
  await source.sql(smallShop(), 'shop')
  // a role and a database of the target's own with names of the source's
  await target.backend.sql('CREATE ROLE app_owner')
  await target.backend.sql('CREATE DATABASE shop')
  before = await catalogs()
})
afterAll(() => Promise.all([source?.stop(), target?.stop()]))

const inputs = () =>
  between(source, target, 'shop', {
    command: 'rehearse',
    'allow-missing': demoLosses,
  })

const left = async () =>
  (await target.backend.sql(`SELECT datname FROM pg_database WHERE datname LIKE 'rehearsal%'`))
    .rowCount

/** Starts a rehearsal, and waits until its restore loads rows. */
async function whileItLoads(
  disturbance: 'slow' | 'stall',
  act: (running: RunningAction) => void,
): Promise<ActionResult> {
  const proxy = await TcpProxy.start(target.port)
  const loads = proxy.when(/COPY .*FROM stdin/, disturbance)
  const running = startAction(mainBundle, {
    metadata,
    inputs: { ...inputs(), target: through(proxy, inputs().target ?? '') },
  })
  try {
    await Promise.race([loads, running.result.then(({ log }) => Promise.reject(new Error(log)))])
    act(running)
    return await running.result
  } finally {
    running.kill('SIGKILL')
    await proxy.stop()
  }
}

/** Whether no session of ours is on the target any more. */
async function isQuiet(): Promise<void> {
  const sessions = `SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'migrate-to-polardb%'`
  while ((await target.backend.sql(sessions)).rowCount) {}
}

test('a rehearsal as a step is verified, says so in its summary, and leaves nothing on either side or on the runner', async () => {
  const run = await runJob({ inputs: inputs() })
  expect(run.report.error).toBeNull()
  expect(run.code).toBe(0)
  expect(run.outputs.verified).toBe('true')
  expect(Number(run.outputs['cutover-seconds'])).toBeGreaterThan(0)
  expect(run.summary).toContain('Rehearsed and verified')
  expect(run.report.rehearsal).toMatchObject({ outcome: 'removed' })
  expect(readdirSync(run.temp).filter((name) => !name.startsWith('polardb-report-'))).toEqual([])
  expect(await catalogs()).toEqual(before)
  run.cleanUp()
})

test('cancelled in its restore it removes what it has made within the ten seconds', async () => {
  const run = await whileItLoads('slow', (running) => running.cancel())
  // nobody had to kill it
  expect([run.code, run.signal]).toEqual([1, null])
  const { report } = readReport(run)
  expect(report.status).toBe('cancelled')
  expect(report.rehearsal).toMatchObject({ outcome: 'removed' })
  expect(report.phases.at(-1)).toMatchObject({ name: 'clean-up', status: 'succeeded' })
  expect(run.orphans()).toEqual([])
  expect(await catalogs()).toEqual(before)
  run.cleanUp()
})

test('what a killed one leaves the next removes', async () => {
  const run = await whileItLoads('stall', (running) => running.kill('SIGKILL'))
  const post = await runAction(postBundle, { metadata, state: run.state, directory: run.directory })
  expect(post.code).toBe(0)
  await isQuiet()
  expect(await left()).toBe(2)
  const next = await runJob({ inputs: inputs() })
  expect(next.report.error).toBeNull()
  expect(next.outputs.verified).toBe('true')
  expect(next.log).toContain('which was left by a dead run')
  expect(await catalogs()).toEqual(before)
  run.cleanUp()
  next.cleanUp()
})
